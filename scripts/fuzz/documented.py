"""Where docs/ops.md lets a result differ from XLA:CPU's by more than rounding: elements that are then given other values.

Each rule says, from the operands of one primitive, which elements of its result a documented difference reaches, and no
others. In the runs of the reference that `judge` compares with, these become NaN, infinite, 0 or stay as they are, by
chance; what follows from them follows. Where a difference only says which parts of an element are NaN, none becomes 0: an
element that is finite in none of those runs must not be finite in the result either.
"""

from __future__ import annotations

import functools
import os
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

ROWS = {
    "range": "sum, product, Fourier transform or solution of which a partial result leaves the range of its type",
    "complex": "complex product, quotient or power of which one term overflows",
    "complex scans": "complex cumulative products from the end, and reductions of more than 16 elements from other numbers"
    " than 1, with infinities",
    "complex sums": "complex convolution or product of matrices with infinities or NaN",
    "groups, zeros of padding on GPUs": "convolution with infinities or NaN in the kernel",
    "cholesky": "`cholesky` of complex matrices with infinities or NaN",
    "zeros": "sign of a sum of products that are zeros",
    "nan": "sign of a NaN",
}
"""What the rules go by: the first cells of rows of the table of differences."""

NEAR = 64.0
"""Solutions may leave the range where an operand is within this factor of its end."""


def is_complex(x: Any) -> bool:
    return jnp.issubdtype(x.dtype, jnp.complexfloating)


def is_wide(x: Any) -> bool:
    """Floats whose sums and products are made in their own type."""
    return x.dtype.name in ("float32", "float64", "complex64", "bfloat16")


def magnitude(x: Any, otherwise: float) -> Any:
    """|real| + |imaginary|, with ``otherwise`` for infinities and NaN."""
    parts = (lax.real(x), lax.imag(x)) if is_complex(x) else (x,)
    parts = [part if part.dtype.itemsize > 2 else part.astype(np.float32) for part in parts]
    return sum(jnp.where(jnp.isfinite(part), jnp.abs(part), otherwise) for part in parts)


@functools.cache
def is_gpu() -> bool:
    """Whether the platform under test is a GPU's."""
    return jax.devices(os.environ["JAX_MPS_TEST_PLATFORM"])[0].device_kind != "MLX CPU"


def overflows(size: Any) -> Any:
    return ~(size < 0.5 * float(jnp.finfo(size.dtype).max))


def vanishes(size: Any) -> Any:
    return size < 2 * float(jnp.finfo(size.dtype).tiny)


def contraction(name: str, parameters: dict[str, Any], x: Any, y: Any) -> Any:
    """The sum of products of other operands."""
    if name == "dot_general":
        return lax.dot_general(x, y, parameters["dimension_numbers"])
    names = ("window_strides", "padding", "lhs_dilation", "rhs_dilation", "dimension_numbers", "feature_group_count")
    return lax.conv_general_dilated(x, y, **{key: parameters[key] for key in (*names, "batch_group_count")})


def of_contraction(name: str, parameters: dict[str, Any], x: Any, y: Any, wide: Any) -> Any:
    """``wide``: the type of the sums; that of the operands may be narrower."""
    if not is_complex(x) and not is_complex(y):
        x, y = x.astype(wide), y.astype(wide)
    finite = [jnp.isfinite(operand) for operand in (x, y)]
    sizes = [magnitude(operand, 0.0) for operand in (x, y)]
    free = overflows(contraction(name, parameters, *sizes))  # range
    mask = jnp.zeros_like(free)
    if is_complex(x) or is_complex(y):
        reached = [jnp.where(one, 0.0, 1.0) for one in finite]
        ones = [jnp.ones_like(one) for one in reached]
        mask |= contraction(name, parameters, reached[0], ones[1]) > 0  # complex sums
        mask |= contraction(name, parameters, ones[0], reached[1]) > 0
        if name != "dot_general":
            free |= ~jnp.all(finite[1])  # times zeros of padding
    elif name != "dot_general" and is_gpu() and x.dtype != np.float64:
        free |= ~jnp.all(finite[1])  # zeros of padding on GPUs
    if parameters.get("batch_group_count", 1) > 1:
        free |= ~(jnp.all(finite[0]) & jnp.all(finite[1]))  # groups
    elif parameters.get("feature_group_count", 1) > 1 and x.dtype == np.float64:
        _, features, *_ = parameters["dimension_numbers"].rhs_spec
        if y.shape[features] == 1:
            free |= ~(jnp.all(finite[0]) & jnp.all(finite[1]))  # groups of one feature
    return jnp.where(free, 2, mask)


def of_product(bind: Any, values: list[Any]) -> Any:
    """Products of which some factors leave the range."""
    sizes = [magnitude(value, 1.0) for value in values]
    sizes = [jnp.where(size == 0, 1.0, size) for size in sizes]
    products = [
        bind(*(bound(size, 1.0).astype(value.dtype) for size, value in zip(sizes, values)))
        for bound in (jnp.maximum, jnp.minimum)
    ]
    products = [product[0] if isinstance(product, (list, tuple)) else product for product in products]
    over, under = (lax.real(product) if is_complex(product) else product for product in products)
    return overflows(over) | vanishes(under)


def of_elementwise(name: str, parameters: dict[str, Any], values: list[Any]) -> Any:
    """Complex arithmetic."""
    sizes = [magnitude(value, 0.0) for value in values]
    if name in ("mul", "div"):
        return overflows(sizes[0] * sizes[1]) | (overflows(sizes[1] * sizes[1]) if name == "div" else False)
    if name in ("square", "integer_pow"):
        return overflows(sizes[0] ** abs(parameters.get("y", 2)))
    # |x| to the power of y's real part, and the exponential of the angle times y's imaginary part.
    x, y = values
    factors = [jnp.abs(x) ** lax.real(y), jnp.exp(-lax.imag(y) * jnp.angle(x))]
    return sum(overflows(factor) | (vanishes(factor) & (factor >= 0)) for factor in factors) > 0


def of_matrices(values: list[Any], shape: tuple[int, ...], test: Any) -> Any:
    """Matrices of which an element passes the test."""
    mask = sum(jnp.any(test(value), axis=(-2, -1), keepdims=True) for value in values) > 0
    return jnp.broadcast_to(mask, shape)


def reached(name: str, parameters: dict[str, Any], values: list[Any], result: Any, bind: Any) -> Any | None:
    """Which elements of the first result a documented difference reaches: 2 or true where it may make anything of them, 1 where
    it chooses what is NaN and what infinite. None for none."""
    floats = [value for value in values if jnp.issubdtype(getattr(value, "dtype", np.int32), jnp.inexact)]
    if not floats or 0 in result.shape or any(value.size == 0 for value in values):
        return None
    groups = parameters.get("batch_group_count", 1) > 1  # which concern all types
    if name in ("dot_general", "conv_general_dilated") and (is_wide(result) or groups):
        return of_contraction(name, parameters, *values, result.dtype)
    if not all(map(is_wide, floats)):
        return None
    if name in ("reduce_sum", "cumsum", "reduce_window_sum"):
        size = bind(magnitude(values[0], 0.0).astype(values[0].dtype))
        return overflows(lax.real(size) if is_complex(size) else size)
    if name in ("reduce_prod", "cumprod"):
        mask = 2 * of_product(bind, values).astype(np.int32)
        if name == "cumprod" and is_complex(result):
            special = jnp.any(~jnp.isfinite(values[0]), axis=parameters["axis"], keepdims=True)
            mask = jnp.maximum(mask, special.astype(np.int32))  # complex scans
        return mask
    if name == "reduce_window" and [one.primitive.name for one in parameters["jaxpr"].eqns] == ["mul"]:
        return of_product(bind, values)
    if name == "fft":
        axes = tuple(range(-len(parameters["fft_lengths"]), 0))
        return jnp.broadcast_to(overflows(jnp.sum(magnitude(values[0], 0.0), axis=axes, keepdims=True)), result.shape)
    if name in ("triangular_solve", "lu"):
        return of_matrices(values, result.shape, lambda value: overflows(NEAR * magnitude(value, 0.0)))
    if name == "custom_linear_solve":  # a solve of JAX's: the right-hand side is its last operand
        return of_matrices(values[-1:], result.shape, lambda value: overflows(NEAR * magnitude(value, 0.0)))
    if is_complex(values[0]) and name == "cholesky":
        return of_matrices(values, result.shape, lambda value: ~jnp.isfinite(value))
    if is_complex(values[0]) and name in ("mul", "div", "square", "integer_pow", "pow") and is_complex(values[-1]):
        return of_elementwise(name, parameters, values)
    return None


def loosened(x: Any, mask: Any | None, name: str, bits: Any) -> Any:
    """A real result, or a part of a complex one, as a documented difference may have it. ``bits``: chance."""
    negative = (bits >> np.uint32(4)) % np.uint32(2) == 0
    if mask is not None:
        mask = mask.astype(np.int32) + (mask.dtype == np.bool_) * mask
        choice = (bits >> np.uint32(12)) % np.uint32(4)
        infinity = jnp.where(negative, -jnp.inf, jnp.inf).astype(x.dtype)
        x = jnp.where((mask > 0) & (choice == 0), jnp.asarray(jnp.nan, x.dtype), x)
        x = jnp.where((mask > 0) & (choice == 1), infinity, x)
        x = jnp.where((mask > 1) & (choice == 2), jnp.zeros_like(x), x)
    if name in ("dot_general", "conv_general_dilated"):
        x = jnp.where((x == 0) & negative, -x, x)  # zeros
    return jnp.where(jnp.isnan(x) & negative, -x, x)  # nan
