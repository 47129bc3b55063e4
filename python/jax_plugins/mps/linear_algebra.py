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

from jax._src.interpreters import mlir

from jax_plugins.mps import primitives
from jax_plugins.mps.registration import PLATFORM


def register() -> None:
    """Registers the rules; the platform must be known to JAX already."""
    for platform, group in (("cpu", primitives.LAPACK), ("cuda", primitives.OF_CUDA)):
        rules = mlir._platform_specific_lowerings[platform]
        for primitive in group:
            rule = _with_every_method(rules[primitive].rule)
            mlir.register_lowering(primitive, rule, platform=PLATFORM)


def _with_every_method(rule):
    def wrapped(ctx, *args, **params):
        if getattr(params.get("algorithm"), "name", None) in ("JACOBI", "POLAR", "QDWH"):
            params["algorithm"] = None
        return rule(ctx, *args, **params)

    return wrapped
