"""Decompositions: the rules of JAX's own platforms, whose calls the library answers.

JAX lowers them to custom calls of jaxlib's kernels (``lapack_sgesdd_ffi`` and
so on) and treats failures and derivatives around these.  The library
implements the kernels themselves, by their names, so that the rules of every
release fit, shapes may be symbolic, and ``jax.export`` knows the calls as stable.

A caller may ask for the method (``algorithm`` of ``svd`` and ``eigh``).  Those
that the CPU's rule has are used; for those of GPUs and TPUs (Jacobi,
polar, QDWH) LAPACK's default stands in.

Private part of JAX: ``jax._src.interpreters.mlir._platform_specific_lowerings``.
"""

import jax.numpy as jnp
from jax import lax
from jax._src.interpreters import mlir

from jax_plugins.mps import guard, primitives
from jax_plugins.mps.registration import PLATFORM


QR = ("geqp3", "geqrf", "householder_product", "ormqr")
"""What JAX promises to refuse in float16, on every platform."""


def register() -> None:
    """Registers the rules; the platform must be known to JAX already."""
    for platform, group in (("cpu", primitives.LAPACK), ("cuda", primitives.OF_CUDA)):
        for name in group:
            guard.attempt(f"decomposition {name.removesuffix('_p')}", _register, platform, name)


def _register(platform: str, name: str) -> None:
    primitive = primitives.of_linear_algebra(name)
    rule = _with_every_method(mlir._platform_specific_lowerings[platform][primitive].rule)
    mlir.register_lowering(primitive, _in_single_precision(primitive, rule), platform=PLATFORM)


def _with_every_method(rule):
    def wrapped(ctx, *args, **params):
        if getattr(params.get("algorithm"), "name", None) in ("JACOBI", "POLAR", "QDWH"):
            params["algorithm"] = None
        return rule(ctx, *args, **params)

    return wrapped


def _in_single_precision(primitive, rule):
    """LAPACK has no half precision: such matrices are decomposed as float32."""

    def wrapped(ctx, *args, **params):
        halves = {aval.dtype for aval in ctx.avals_in if _is_half(aval)}
        if not halves or (primitive.name in QR and jnp.dtype("float16") in halves):
            return rule(ctx, *args, **params)

        def rounded(*args):
            args = [
                lax.convert_element_type(x, jnp.float32) if _is_half(x) else x
                for x in args
            ]
            results = primitive.bind(*args, **params)
            results = results if primitive.multiple_results else [results]
            return [
                lax.convert_element_type(result, aval.dtype)
                for result, aval in zip(results, ctx.avals_out, strict=True)
            ]

        return mlir.lower_fun(rounded, multiple_results=True)(ctx, *args)

    return wrapped


def _is_half(x) -> bool:
    return x.dtype in (jnp.float16, jnp.bfloat16)
