"""Extrema order the two zeros: -0 is less than 0, wherever the two stand, as on XLA:CPU (src/lower/float_order.rs,
src/lower/reduce/host.rs). Sums start from +0, so that those of -0 are +0 (src/lower/reduce_window).

MLX's maximum, minimum, max, min, cummax and cummin take the zeros for equal, and give the first or the last.
"""

import itertools

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest
from jax import lax

DTYPES = {
    "float32": np.float32,
    "float16": np.float16,
    "bfloat16": ml_dtypes.bfloat16,
    "float64": np.float64,
}

# All rows of three of these, and rows longer than what is reduced side by side.
ONES = [-0.0, 0.0, 1.0, -1.0, np.nan, np.inf, -np.inf]
SHORT = np.array(list(itertools.product(ONES, repeat=3)))
LONG = np.array(
    [
        [-0.0] * 300 + [0.0] + [-0.0] * 40,
        [0.0] * 40 + [-0.0] + [0.0] * 300,
        [-1.0] * 200 + [-0.0, 0.0] * 50 + [-0.0] * 41,
        [1.0] * 200 + [0.0, -0.0] * 50 + [0.0] * 41,
    ]
)


def reduced(body, init):
    return lambda x: lax.reduce(x, x.dtype.type(init), body, (x.ndim - 1,))


def windows(body, init, padding="VALID", stride=1):
    return lambda x: lax.reduce_window(
        x, x.dtype.type(init), body, (1,) * (x.ndim - 1) + (2,), (1,) * (x.ndim - 1) + (stride,), padding
    )


def wide_windows(body, init):
    return lambda x: lax.reduce_window(
        jnp.pad(x, [(0, 0)] * (x.ndim - 1) + [(0, 12)], constant_values=-0.0),
        x.dtype.type(init),
        body,
        (1,) * (x.ndim - 1) + (7,),
        (1,) * x.ndim,
        "VALID",
    )


def scattered(x, method, init):
    flat = x.ravel()
    target = jnp.full(1, init, x.dtype)
    return getattr(target.at[jnp.zeros(flat.size, np.int32)], method)(flat)


def with_places(greatest):
    """An arg-reduction of which the value is used, too."""

    def body(left, right):
        (value, place), (other, other_place) = left, right
        better = (value > other) if greatest else (value < other)
        better |= value != value
        first = better | ((value == other) & (place < other_place))
        return lax.select(better, value, other), lax.select(first, place, other_place)

    def function(x):
        places = lax.broadcasted_iota(np.int32, x.shape, x.ndim - 1)
        init = x.dtype.type(-np.inf if greatest else np.inf)
        return lax.reduce((x, places), (init, np.int32(0)), body, (x.ndim - 1,))

    return function


FORMS = {
    "max": lambda x: x.max(-1),
    "min": lambda x: x.min(-1),
    "max_of_all": lambda x: x.max(),
    "min_of_all": lambda x: x.min(),
    "max_of_columns": lambda x: jnp.stack([x, -x], -1).max(-2),
    "min_of_columns": lambda x: jnp.stack([x, -x], -1).min(-2),
    "max_from_zero": reduced(lax.max, 0.0),
    "max_from_minus_zero": reduced(lax.max, -0.0),
    "min_from_zero": reduced(lax.min, 0.0),
    "min_from_minus_zero": reduced(lax.min, -0.0),
    "maximum": lambda x: lax.max(x[..., 1:], x[..., :-1]),
    "minimum": lambda x: lax.min(x[..., 1:], x[..., :-1]),
    "clamp": lambda x: lax.clamp(x[..., :-2], x[..., 1:-1], x[..., 2:]),
    "clamp_from_zero": lambda x: lax.clamp(x.dtype.type(0.0), x, x.dtype.type(6.0)),
    "clamp_from_minus_zero": lambda x: lax.clamp(x.dtype.type(-0.0), x, x.dtype.type(6.0)),
    "clamp_to_zero": lambda x: lax.clamp(x.dtype.type(-6.0), x, x.dtype.type(0.0)),
    "clamp_to_minus_zero": lambda x: lax.clamp(x.dtype.type(-6.0), x, x.dtype.type(-0.0)),
    "cummax": lambda x: lax.cummax(x, axis=x.ndim - 1),
    "cummin": lambda x: lax.cummin(x, axis=x.ndim - 1),
    "cummax_reversed": lambda x: lax.cummax(x, axis=x.ndim - 1, reverse=True),
    "cummin_reversed": lambda x: lax.cummin(x, axis=x.ndim - 1, reverse=True),
    "cummax_of_columns": lambda x: lax.cummax(jnp.stack([x, -x], -1), axis=x.ndim - 1),
    "max_windows": windows(lax.max, -np.inf),
    "min_windows": windows(lax.min, np.inf),
    "max_windows_padded": windows(lax.max, -np.inf, "SAME", 2),
    "min_windows_padded": windows(lax.min, np.inf, "SAME", 2),
    "max_windows_from_minus_zero": windows(lax.max, -0.0, "SAME"),
    "min_windows_from_zero": windows(lax.min, 0.0, "SAME"),
    "wide_max_windows": wide_windows(lax.max, -np.inf),
    "wide_min_windows": wide_windows(lax.min, np.inf),
    "scatter_max": lambda x: scattered(x, "max", -np.inf),
    "scatter_min": lambda x: scattered(x, "min", np.inf),
    "segment_max": lambda x: jax.ops.segment_max(x.ravel(), jnp.zeros(x.size, np.int32), 1),
    "segment_min": lambda x: jax.ops.segment_min(x.ravel(), jnp.zeros(x.size, np.int32), 1),
    "argmax": lambda x: x.argmax(-1),
    "argmin": lambda x: x.argmin(-1),
    "max_with_place": with_places(True),
    "min_with_place": with_places(False),
}


def assert_same(got, expected):
    """The same values, and the same signs of zeros; one NaN is as good as another."""
    for one, other in zip(jax.tree.leaves(got), jax.tree.leaves(expected), strict=True):
        one, other = np.asarray(one).astype(np.float64), np.asarray(other).astype(np.float64)
        np.testing.assert_array_equal(one, other)
        np.testing.assert_array_equal(np.signbit(one)[one == 0], np.signbit(other)[other == 0])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", FORMS)
def test_extrema_of_zeros(name, dtype, device, reference):
    function = FORMS[name]
    with jax.enable_x64(dtype == "float64"):
        for values in (SHORT, LONG, SHORT[0], SHORT[1], LONG[0]):
            x = values.astype(DTYPES[dtype])
            compiled = jax.jit(function)
            assert_same(compiled(jax.device_put(x, device)), compiled(jax.device_put(x, reference)))
        if dtype == "float32":
            x = SHORT.astype(np.float32)
            assert_same(function(jax.device_put(x, device)), function(jax.device_put(x, reference)))


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("dtype", DTYPES)
def test_nan_of_either_sign_wins(dtype, sign, device):
    with jax.enable_x64(dtype == "float64"):
        x = np.array([np.inf, np.copysign(np.nan, sign), -np.inf, 1.0] * 20).astype(DTYPES[dtype])
        x = jax.device_put(x, device)
        for name in ("max", "min", "cummax_reversed", "cummin_reversed", "scatter_max", "scatter_min"):
            assert np.isnan(np.asarray(FORMS[name](x)).astype(np.float64)).any(), name
        assert int(x.argmax()) == 1 and int(x.argmin()) == 1


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_gradients(dtype, device, reference):
    """Zeros of either sign share the gradient of an extremum, since they compare equal."""
    x = np.array([-1.0, 0.0, -0.0, -0.0]).astype(DTYPES[dtype])
    for function in (jnp.max, lambda x: jnp.min(-x), lambda x: lax.cummax(x).sum()):
        ours = jax.grad(lambda x: function(x).astype(np.float32))(jax.device_put(x, device))
        theirs = jax.grad(lambda x: function(x).astype(np.float32))(jax.device_put(x, reference))
        assert_same(ours, theirs)


SUMS = {
    "padding": ((1, 1), (2, 2), ((2, 0), (0, 1)), (1, 1)),
    "one_element": ((1, 1), (1, 1), ((0, 0), (0, 0)), (1, 1)),
    "one_element_padded": ((1, 1), (1, 1), ((1, 0), (0, 2)), (1, 1)),
    "one_element_strided": ((1, 1), (1, 2), ((0, 0), (0, 0)), (1, 1)),
    "one_element_dilated": ((1, 1), (1, 1), ((0, 0), (0, 0)), (1, 2)),
    "two_elements": ((1, 2), (1, 1), ((0, 0), (0, 0)), (1, 1)),
    "wide": ((1, 7), (1, 1), ((0, 0), (3, 3)), (1, 1)),
}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", SUMS)
def test_sums_of_windows_start_from_zero(name, dtype, device, reference):
    """Gaps are +0, and so are windows of -0 but for those that are one element each."""
    sizes, strides, padding, base = SUMS[name]
    with jax.enable_x64(dtype == "float64"):
        x = np.where(np.arange(40).reshape(4, 10) % 7 == 5, 1.0, -0.0).astype(DTYPES[dtype])
        for start in (0.0, -0.0):
            function = jax.jit(lambda x: lax.reduce_window(x, x.dtype.type(start), lax.add, sizes, strides, padding, base))
            assert_same(function(jax.device_put(x, device)), function(jax.device_put(x, reference)))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("length", [1, 2, 5, 40, 3000])
def test_cumulative_sums_start_from_zero(length, dtype, device, reference):
    with jax.enable_x64(dtype == "float64"):
        x = np.full((2, length), -0.0).astype(DTYPES[dtype])
        x[1, -1] = 1
        for axis, reverse in ((0, False), (1, False), (1, True)):
            function = jax.jit(lambda x: lax.cumsum(x, axis=axis, reverse=reverse))
            assert_same(function(jax.device_put(x, device)), function(jax.device_put(x, reference)))


@pytest.mark.parametrize("length", [2, 40])
@pytest.mark.parametrize("dtype", [*DTYPES, "complex64"])
def test_other_sums_of_zeros(dtype, length, device, reference):
    with jax.enable_x64(dtype == "float64"):
        zero = np.dtype(DTYPES.get(dtype, dtype))
        x = -np.zeros((length, 3), zero)
        forms = (
            lambda x: jnp.sum(x, axis=0),
            lambda x: jnp.zeros(4, zero).at[jnp.zeros(length, np.int32)].add(x[:, 0]),
            lambda x: jax.ops.segment_sum(x, jnp.arange(length) // 2, 30),
        )
        for form in forms:
            function = jax.jit(lambda x: jax.tree.map(jnp.real, form(x)))
            assert_same(function(jax.device_put(x, device)), function(jax.device_put(x, reference)))
