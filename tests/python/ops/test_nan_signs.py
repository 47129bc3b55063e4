"""A NaN keeps its sign where XLA:CPU keeps it (src/mlx/elementwise.rs).

The sign decides where sort and top_k put a NaN: jnp.partition sorts negated numbers.  MLX's
CPU backend makes one and the same NaN whenever it rounds to bfloat16.
"""

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest
from jax import lax

from ops.harness import device_under_test, evaluate, reference_device

FLOATS = (ml_dtypes.bfloat16, np.float16, np.float32)


def signed_nans(dtype):
    x = np.array([np.nan, np.nan, 1.0, -0.0, -3.0, np.inf], dtype)
    return np.copysign(x, np.array([1, -1, 1, -1, -1, 1], dtype))


UNARY = {
    "negate": lax.neg,
    "negate_compiled_twice": lambda x: -(-x * 1.5),
    "abs": lax.abs,
    "add": lambda x: x + jnp.ones_like(x),
    "subtract": lambda x: x - jnp.ones_like(x),
    "subtract_from": lambda x: jnp.ones_like(x) - x,
    "multiply": lambda x: x * jnp.full_like(x, 3),
    "multiply_rows": lambda x: x[:, None] * jnp.arange(1, 4, dtype=x.dtype)[None],
    "divide": lambda x: x / jnp.full_like(x, 2),
    "where": lambda x: jnp.where(x > 0, jnp.ones_like(x), x),
    "select": lambda x: lax.select(x == x, jnp.zeros_like(x), x),
    "to_float32": lambda x: x.astype(jnp.float32),
    "to_float16": lambda x: x.astype(jnp.float16),
    "to_bfloat16": lambda x: x.astype(jnp.bfloat16),
    "to_float8": lambda x: x.astype(jnp.float8_e4m3fn),
    "to_complex": lambda x: x.astype(jnp.complex64).real,
    "sort": jnp.sort,
    "transposed_sum": lambda x: x.reshape(2, 3).T + x.reshape(3, 2),
    "sum": lambda x: jnp.sum((x - 1)[:, None] * jnp.ones((1, 3), x.dtype), axis=1),
    "dot": lambda x: x[:, None] @ jnp.ones((1, 1), x.dtype),
}


@pytest.mark.parametrize("dtype", FLOATS, ids=lambda dtype: np.dtype(dtype).name)
@pytest.mark.parametrize("name", UNARY)
def test_nan_keeps_its_sign(name, dtype):
    for each in (jax.jit(UNARY[name]), UNARY[name]):
        arguments = [signed_nans(dtype)]
        got = np.asarray(evaluate(each, arguments, device_under_test()))
        want = np.asarray(evaluate(each, arguments, reference_device()))
        assert got.dtype == want.dtype and got.shape == want.shape
        np.testing.assert_array_equal(np.isnan(got), np.isnan(want))
        np.testing.assert_array_equal(np.signbit(got), np.signbit(want))
        np.testing.assert_array_equal(
            np.nan_to_num(got.astype(np.float32)), np.nan_to_num(want.astype(np.float32))
        )


@pytest.mark.parametrize("dtype", FLOATS, ids=lambda dtype: np.dtype(dtype).name)
def test_partition_loses_no_element(dtype):
    x = np.array([1, np.nan, 3, -5], dtype)
    got = np.asarray(evaluate(lambda x: jnp.partition(x, 1), [x], device_under_test()))
    np.testing.assert_array_equal(got.astype(np.float32), np.array([-5, 1, np.nan, 3], np.float32))


@pytest.mark.parametrize("operator", [lax.add, lax.sub, lax.mul, lax.div])
@pytest.mark.parametrize(
    "shapes",
    [((4, 5), (4, 5)), ((4, 1), (1, 5)), ((3, 4, 1), (3, 1, 5)), ((), (7,)), ((0, 3), (0, 3))],
)
def test_bfloat16_arithmetic_rounds_to_nearest_even(operator, shapes):
    """Bit for bit as float32 rounded once, broadcast, transposed and sliced."""
    generator = np.random.default_rng(3)
    left, right = (generator.standard_normal(shape).astype(ml_dtypes.bfloat16) for shape in shapes)
    broadcast = lambda a, b: operator(*jnp.broadcast_arrays(a, b))  # noqa: E731
    for function in (broadcast, lambda a, b: operator(*(c.T for c in jnp.broadcast_arrays(a, b)))):
        for each in (jax.jit(function), function):
            got = np.asarray(evaluate(each, [left, right], device_under_test()))
            want = np.asarray(evaluate(each, [left, right], reference_device()))
            np.testing.assert_array_equal(got.view(np.uint16), want.view(np.uint16))


@pytest.mark.parametrize("shape", [(), (3,), (0,), (4, 6)])
def test_float32_rounds_to_bfloat16_bit_for_bit(shape):
    generator = np.random.default_rng(4)
    bits = generator.integers(0, 2**32, shape, dtype=np.uint64).astype(np.uint32)
    x = np.asarray(bits).view(np.float32)
    # XLA:CPU flushes denormal numbers, MLX keeps them.
    x = np.where(np.abs(x) < np.finfo(np.float32).tiny, np.float32(1), x).astype(np.float32)
    edges = np.array([0x3F808000, 0x3F818000, 0x3F807FFF, 0x7F7FFFFF, 0xFF7F8000], np.uint32)
    for value in (x, x.T, edges.view(np.float32)):
        got = np.asarray(evaluate(lambda x: x.astype(jnp.bfloat16), [value], device_under_test()))
        want = value.astype(ml_dtypes.bfloat16)
        np.testing.assert_array_equal(np.isnan(got), np.isnan(want))
        number = ~np.isnan(want)
        np.testing.assert_array_equal(got[number].view(np.uint16), want[number].view(np.uint16))
