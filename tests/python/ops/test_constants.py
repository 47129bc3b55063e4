"""Constants of every dtype inside of programs: splats, dense, empty, special values
(src/lower/constants)."""

import jax.numpy as jnp
import numpy as np
from jax import lax

from ops.harness import ALL, FLOATS, INT4, Case, full_range, normal, special_values, value_suite

# A literal array of the dtype of the argument, made while tracing, so that it becomes a constant.


def literal(make):
    return lambda like: jnp.asarray(make(np.dtype(like.dtype)))


def dense(dtype):
    return normal(5, 7)(np.random.default_rng(7), dtype)


def long(dtype):
    return full_range(3000)(np.random.default_rng(8), dtype)


CASES = [
    Case("specials", literal(special_values), [normal()], ALL + INT4, signed_zeros=True),
    Case("dense", literal(dense), [normal()], ALL + INT4),
    Case("dense_transposed", literal(lambda dtype: dense(dtype).T), [normal()], ("float32", "bool", "int8")),
    Case("splat", lambda x: lax.full((3, 5), 3, x.dtype), [normal()], ALL + INT4),
    Case("splat_nan", lambda x: lax.full((3, 5), np.nan, x.dtype), [normal()], FLOATS),
    Case("splat_minus_zero", lambda x: lax.full((3,), -0.0, x.dtype), [normal()], FLOATS,
         signed_zeros=True),
    Case("splat_all_ones", lambda x: lax.full((9,), np.bool_(True)) & (x == x), [normal()]),
    Case("scalar", lambda x: x + np.asarray(3, x.dtype), [normal()], tuple(d for d in ALL if d != "bool")),
    Case("empty", literal(lambda dtype: np.zeros((0, 3), dtype)), [normal()], ("float32", "bool", "int4")),
    Case("long", literal(long), [normal()], ("bool", "int8", "uint32", "uint16")),
    Case("odd_number_of_booleans", literal(lambda dtype: np.arange(13) % 3 == 0), [normal()]),
    Case("odd_number_of_int4", literal(lambda dtype: np.arange(-3, 4).astype(dtype)), [normal()], ("int4",)),
    Case("same_constant_twice", lambda x: (literal(dense)(x), literal(dense)(x) + x), [normal()],
         ("float32", "int32")),
    *(
        Case(f"iota_axis_{axis}", lambda x, axis=axis: lax.broadcasted_iota(x.dtype, (4, 3, 2), axis),
             [normal()], tuple(d for d in (*ALL, *INT4) if d != "bool"))
        for axis in range(3)
    ),
    Case("iota_empty", lambda x: lax.iota(x.dtype, 0), [normal()], ("float32", "int32")),
    Case("iota_wraps", lambda x: lax.broadcasted_iota(x.dtype, (300,), 0), [normal()], ("int8", "uint8")),
    Case("linspace", lambda x: jnp.linspace(0, 1, 11, dtype=x.dtype), [normal()], FLOATS,
         accumulates=True),
    Case("eye", lambda x: jnp.eye(3, 4, 1, dtype=x.dtype), [normal()], ("float32", "bool", "int8")),
]  # fmt: skip

test_value = value_suite(CASES)
