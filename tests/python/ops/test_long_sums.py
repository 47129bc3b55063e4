"""Sums, products and scans of many floats, compared with what float64 gives: their error must not grow with their length
(src/lower/reduce/host.rs, src/lower/reduce_window/host.rs, crates/cblas).

MLX's CPU backend adds a whole row into one accumulator: 2^24 is the greatest float32 sum of ones.
"""

import functools

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest
from jax import lax

EPSILON = float(np.finfo(np.float32).eps)
# Below and above the lengths at which anything is divided; primes and powers of two.
SIZES = [31, 257, 4099, 65536, 100_003, 1_000_000]
LONG = 30_000_000


@functools.cache
def constant(size):
    """One number over and over: the errors of its additions have one sign."""
    return np.full(size, 1.9, np.float32)


@functools.cache
def spread(size):
    return np.random.default_rng(size).random(size, np.float32)


@functools.cache
def near_one(size):
    """Factors whose product stays near one."""
    values = 1 + np.random.default_rng(size).normal(size=size) / np.sqrt(size)
    return values.astype(np.float32)


def rows(count, x):
    return x[: x.size // count * count].reshape(count, -1)


def cut(count, x):
    return x[: x.size // count * count].reshape(-1, count)


def middle(x):
    return x[: x.size // 6 * 6].reshape(2, -1, 3)


def ends(x):
    return x[: x.size // 20 * 20].reshape(-1, 2, 10)


def mean_of_squares(x):
    return (x * x).mean()


# The same formula for the device's float32 and for NumPy's float64: of positive numbers, so that the sum of magnitudes is
# the sum.
SUMS = {
    "sum": lambda x: x.sum(),
    "mean": lambda x: x.mean(),
    "mean_of_squares": mean_of_squares,
    "rows": lambda x: rows(3, x).sum(1),
    "columns": lambda x: cut(3, x).sum(0),
    "wide_columns": lambda x: cut(70, x).sum(0),
    "middle_axis": lambda x: middle(x).sum(1),
    "two_axes": lambda x: ends(x).sum((0, 2)),
    "transposed": lambda x: cut(5, x).T.sum(1),
    "reversed": lambda x: x[::-1].sum(),
    "every_other": lambda x: x[::2].sum(),
}


def error(got, truth):
    got, truth = np.asarray(got).astype(truth.dtype), np.asarray(truth)
    assert got.shape == truth.shape
    return float(np.max(np.abs(got - truth) / np.abs(truth))) / EPSILON


def bound(size):
    return 2 * np.log2(max(size, 2))


def check(function, truth, x, device, reference, count=None):
    """The error is below the bound of sums by halves, or that of XLA:CPU."""
    truth = np.asarray(truth)
    compiled = jax.jit(function)
    ours = error(compiled(jax.device_put(x, device)), truth)
    limit = bound(count or x.size)
    if not ours <= limit:
        assert ours <= error(compiled(jax.device_put(x, reference)), truth)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("values", [constant, spread], ids=["constant", "spread"])
@pytest.mark.parametrize("name", SUMS)
def test_sums(name, values, size, device, reference):
    x = values(size)
    if name == "wide_columns" and size < 70:
        size, x = 70, values(70)
    check(SUMS[name], SUMS[name](x.astype(np.float64)), x, device, reference)


def test_gradients_add_up(device, reference):
    """The gradient of a broadcast is a sum."""
    x = spread(1_000_000).reshape(-1, 4)

    def loss(bias):
        return (bias * x).sum()

    gradient = jax.jit(jax.grad(loss))(jax.device_put(np.ones(4, np.float32), device))
    assert error(gradient, x.astype(np.float64).sum(0)) <= bound(x.shape[0])


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
@pytest.mark.parametrize("size", [4099, 1_000_000])
def test_sums_of_halves_are_kept_in_float32(dtype, size, device):
    x = (spread(size) + 1).astype(ml_dtypes.bfloat16 if dtype == "bfloat16" else np.float16)
    truth = x.astype(np.float64).mean()
    wide = jax.jit(lambda x: jnp.mean(x, dtype=jnp.float32))(jax.device_put(x, device))
    assert error(wide, truth) <= bound(size)
    # Rounded once, at the end.
    part = x[:20_000]
    truth = part.astype(np.float64).sum()
    narrow = jax.jit(lambda x: lax.reduce_sum(x, (0,)))(jax.device_put(part, device))
    assert abs(float(narrow) - truth) <= 0.51 * float(ml_dtypes.finfo(x.dtype).eps) * truth
    dot = jax.jit(lambda x: lax.dot(x, x, preferred_element_type=jnp.float32))(jax.device_put(x, device))
    assert error(dot, np.square(x.astype(np.float64)).sum()) <= bound(size)


@pytest.mark.parametrize("size", SIZES)
def test_complex_sums(size, device, reference):
    x = constant(size) + 1j * spread(size)
    truth = x.astype(np.complex128)
    check(lambda x: x.sum(), truth.sum(), x, device, reference)
    check(lambda x: cut(3, x).sum(0), cut(3, truth).sum(0), x, device, reference)
    check(lambda x: jnp.cumsum(x), np.cumsum(truth), x, device, reference)


@pytest.mark.parametrize("size", SIZES)
def test_statistics(size, device, reference):
    x = spread(size)
    wide = x.astype(np.float64)
    check(jnp.linalg.norm, np.sqrt((wide * wide).sum()), x, device, reference)
    check(jnp.var, wide.var(), x, device, reference)
    check(jnp.std, wide.std(), x, device, reference)
    check(jax.nn.logsumexp, np.log(np.exp(wide).sum()), x, device, reference)
    shares = jax.jit(jax.nn.softmax)(jax.device_put(x, device))
    assert error(shares, np.exp(wide) / np.exp(wide).sum()) <= bound(size)


@pytest.mark.parametrize("size", SIZES)
def test_products(size, device, reference):
    x = near_one(size)
    check(jnp.prod, x.astype(np.float64).prod(), x, device, reference)
    check(lambda x: cut(2, x).prod(0), cut(2, x.astype(np.float64)).prod(0), x, device, reference)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("reverse", [False, True])
def test_scans(size, reverse, device, reference):
    def wide(function, x):
        x = x.astype(np.float64)
        return function(x[::-1])[::-1] if reverse else function(x)

    for x in (constant(size), spread(size)):
        check(lambda x: lax.cumsum(x, reverse=reverse), wide(np.cumsum, x), x, device, reference)
        check(
            lambda x: lax.cumsum(cut(2, x), reverse=reverse)[:, 0],
            wide(np.cumsum, cut(2, x)[:, 0]),
            x,
            device,
            reference,
        )
        truth = wide(lambda x: np.log(np.cumsum(np.exp(x))), x + 1)
        check(lambda x: lax.cumlogsumexp(x, reverse=reverse), truth, x + 1, device, reference)
    x = near_one(size)
    check(lambda x: lax.cumprod(x, reverse=reverse), wide(np.cumprod, x), x, device, reference)


@pytest.mark.parametrize("length", [40, 10_000])
def test_scans_hand_on_special_values(length, device, reference):
    """An overflow stays one, what vanished stays zero, and NaN stays."""
    big, tiny, inf, nan = 3e38, 1e-30, np.inf, np.nan
    filler = [0.5] * 40 + [1.0] * (length - 40)
    for scan, values in [
        (lax.cumsum, [*filler, big, big, -big, 1.0]),
        (lax.cumsum, [*filler, inf, 1.0, -inf, 1.0]),
        (lax.cumsum, [*filler, nan, 1.0]),
        (lax.cumprod, [*filler, -1e-30, 1e-30, 1e30, 1e30]),
        (lax.cumprod, [1.0] * length + [1e30, 1e30, tiny, -1.0]),
        (lax.cumprod, [*filler, inf, 0.0, 1.0]),
        (lax.cumlogsumexp, [-inf, -inf, *filler, 1000.0, inf, 1.0]),
        (lax.cumlogsumexp, [*filler, nan, inf, 1.0]),
    ]:
        x = np.array(values, np.float32)
        with np.errstate(all="ignore"):
            if scan is lax.cumlogsumexp:
                expected = np.asarray(jax.jit(scan)(jax.device_put(x, reference)))
            else:
                expected = (np.cumsum if scan is lax.cumsum else np.cumprod)(x)
        got = np.asarray(jax.jit(scan)(jax.device_put(x, device)))
        np.testing.assert_allclose(got, expected, rtol=1e-6)
        assert np.array_equal(np.signbit(got)[got == 0], np.signbit(expected)[expected == 0])


def test_float64(device):
    """As far as float64 is from exact sums of its numbers."""
    with jax.enable_x64(True):
        x = np.full(300_000, 0.1)
        exact = 0.1 * x.size
        epsilon = np.finfo(np.float64).eps
        for function in (jnp.sum, lambda x: jnp.cumsum(x)[-1], lambda x: jnp.tile(x[:, None], 3).sum(0)[1]):
            got = float(jax.jit(function)(jax.device_put(x, device)))
            assert abs(got - exact) <= bound(x.size) * epsilon * exact
        factors = np.full(300_000, 1 + epsilon)
        for function in (jnp.prod, lambda x: jnp.cumprod(x)[-1]):
            got = float(jax.jit(function)(jax.device_put(factors, device)))
            assert abs(got - (1 + factors.size * epsilon)) <= 0.3 * factors.size * epsilon


@pytest.mark.parametrize("size", SIZES)
def test_windows(size, device, reference):
    x = constant(size)
    length = max(size // 2, 1)
    truth = np.full(size - length + 1, x.astype(np.float64)[:length].sum())
    check(lambda x: lax.reduce_window(x, 0.0, lax.add, (length,), (1,), "VALID")[:1], truth[:1], x, device, reference)
    narrow = lax.reduce_window(jax.device_put(x, device), 0.0, lax.add, (20,), (3,), "VALID")
    assert error(narrow, np.full(narrow.shape, 20 * float(x[0]))) <= bound(20)


@pytest.mark.parametrize("size", SIZES)
def test_segments(size, device, reference):
    """XLA:CPU adds one update after the other."""
    x = spread(size)
    segments = np.arange(size, dtype=np.int32) % 2
    truth = np.array([x[::2].astype(np.float64).sum(), x[1::2].astype(np.float64).sum()])
    check(lambda x: jax.ops.segment_sum(x, segments, 2), truth, x, device, reference)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("values", [constant, spread], ids=["constant", "spread"])
def test_dot_products(values, size, device, reference):
    x = values(size)
    forms = [
        lambda x: x @ x,
        lambda x: x[::2] @ x[::2],
        lambda x: rows(4, x) @ rows(4, x)[0],
        lambda x: cut(4, x)[:, 0] @ cut(4, x),
        lambda x: rows(2, x)[0] @ rows(2, x).T,
    ]
    for form in forms:
        # The length of each sum, at least.
        check(form, form(x.astype(np.float64)), x, device, reference, count=size // 8)


def test_thirty_million(device):
    """Above the 2^24 that one float32 accumulator of ones can reach."""
    ones = jax.device_put(np.ones(LONG, np.float32), device)
    assert float(jnp.sum(ones)) == LONG
    assert abs(float(jnp.linalg.norm(ones)) / np.sqrt(LONG) - 1) <= 2 * EPSILON
    assert float(jnp.dot(ones, ones)) == LONG
    assert float(jnp.cumsum(ones)[-1]) == LONG
    assert np.array_equal(ones.reshape(-1, 3).sum(0), np.full(3, LONG / 3, np.float32))
    assert np.array_equal(ones.reshape(3, -1).sum(1), np.full(3, LONG / 3, np.float32))
    mean = jnp.mean(ones * np.float32(1.9))
    # On GPUs the errors of sums by halves have one sign.
    limit = 4 if "CPU" in device.device_kind else bound(LONG)
    assert error(mean, np.asarray(np.float64(np.float32(1.9)))) <= limit


@pytest.mark.parametrize("size", SIZES)
def test_matrix_products(size, device):
    """The crate gemm adds up to 512 products in one accumulator, and such sums one after the other: a constant's errors
    of one sign do not cancel."""
    x = constant(size)
    got = jax.jit(lambda x: rows(8, x) @ cut(8, x))(jax.device_put(x, device))
    assert error(got, rows(8, x.astype(np.float64)) @ cut(8, x.astype(np.float64))) <= max(bound(size // 8), 36)


@pytest.mark.parametrize("dtype", ["int8", "int32", "uint32"])
def test_integer_sums_wrap(dtype, device):
    x = np.random.default_rng(0).integers(0, 127, 1_000_003).astype(dtype)
    x[:3] = np.iinfo(dtype).max
    device_x = jax.device_put(x, device)
    sums = jax.jit(lambda x: (lax.reduce_sum(x, (0,)), lax.cumsum(x)[-1]))(device_x)
    for got in sums:
        assert int(got) == int(x.sum(dtype=x.dtype))
