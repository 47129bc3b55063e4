"""Lowering rules: how primitives become StableHLO on this platform.

Only for primitives whose common rule does not serve: it is missing, rounds early, or ends in
a call of another vendor's library.

Private part of JAX: ``jax._src.interpreters.mlir._platform_specific_lowerings``.
"""

import functools

import jax.numpy as jnp
from jax import lax
from jax._src.interpreters import mlir as private
from jax.interpreters import mlir

from jax_plugins.mps import guard, linear_algebra, primitives
from jax_plugins.mps.registration import PLATFORM


def register() -> None:
    """Registers all rules; the platform must be known to JAX already."""
    linear_algebra.register()
    guard.attempt("jax.lax.approx_max_k and approx_min_k", _register, "APPROX_TOP_K", _approx_top_k)
    guard.attempt("jax.lax.pbroadcast", _register_pbroadcast)
    guard.attempt("jax.nn.scaled_matmul", _register, "SCALED_MATMUL", _scaled_matmul)
    guard.attempt("gradients of pooling where padding ties with infinity", _register_pooling)


def _register(name: str, rule) -> None:
    mlir.register_lowering(getattr(primitives, name), rule, platform=PLATFORM)


def _register_pbroadcast() -> None:
    of_cuda = private._platform_specific_lowerings["cuda"]
    _register("PBROADCAST", of_cuda[primitives.PBROADCAST].rule)


def _register_pooling() -> None:
    of_cpu = private._platform_specific_lowerings["cpu"][primitives.SELECT_AND_SCATTER_ADD].rule
    _register("SELECT_AND_SCATTER_ADD", functools.partial(_select_and_scatter_add, of_cpu))


def _select_and_scatter_add(of_cpu, ctx, source, operand, *, padding, **params):
    """Padding is made of elements, which may be chosen, as on JAX's CPUs and GPUs.

    Their rule has no answer to padding that takes elements away. The common rule never chooses
    padding: a window that begins with it and holds nothing but infinity tells the two apart.
    """
    if all(low >= 0 and high >= 0 for low, high in padding):
        return of_cpu(ctx, source, operand, padding=padding, **params)
    added = tuple((max(low, 0), max(high, 0)) for low, high in padding)
    taken = [(min(low, 0), min(high, 0), 0) for low, high in padding]

    def of_what_is_left(source, operand):
        zero = jnp.zeros((), operand.dtype)
        left = lax.pad(operand, zero, taken)
        result = primitives.SELECT_AND_SCATTER_ADD.bind(source, left, padding=added, **params)
        return lax.pad(result, zero, [(-low, -high, 0) for low, high, _ in taken])

    return mlir.lower_fun(of_what_is_left, multiple_results=False)(ctx, source, operand)


def _approx_top_k(ctx, operand, *, reduction_dimension, is_max_k, **params):
    """The exact answer, of as many elements as the approximate one would have."""
    count = ctx.avals_out[0].shape[reduction_dimension]
    find = functools.partial(
        _exact_top_k, count=count, axis=reduction_dimension, largest=is_max_k
    )
    return mlir.lower_fun(find, multiple_results=True)(ctx, operand)


def _exact_top_k(operand, *, count: int, axis: int, largest: bool):
    operand = jnp.moveaxis(operand if largest else -operand, axis, -1)
    values, indices = lax.top_k(operand, count)
    values, indices = (jnp.moveaxis(x, -1, axis) for x in (values, indices))
    return (values if largest else -values), indices


def _scaled_matmul(ctx, *operands, preferred_element_type):
    """Products and sums of float32, rounded once.

    The common rule, since JAX 0.11, rounds values and scales to the preferred type first.
    """

    def multiply(left, right, left_scales, right_scales):
        product = lax.dot_general(
            _scaled(left, left_scales),
            _scaled(right, right_scales),
            (((2,), (2,)), ((0,), (0,))),
            preferred_element_type=jnp.float32,
        )
        return [lax.convert_element_type(product, preferred_element_type)]

    return mlir.lower_fun(multiply, multiple_results=True)(ctx, *operands)


def _scaled(values, scales):
    """``values`` [B, M, K] times ``scales`` [B, M, K / n], one for n values each."""
    blocks = (*scales.shape, values.shape[-1] // scales.shape[-1])
    scaled = values.astype(jnp.float32).reshape(blocks) * scales.astype(jnp.float32)[..., None]
    return scaled.reshape(values.shape)
