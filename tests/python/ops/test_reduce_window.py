"""reduce_window with padding, strides and dilations, and pooling (src/lower/reduce_window)."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from ops.harness import (
    FLOATS, Case, device_under_test, distinct, evaluate, fixed, normal, reference_device, suite, uniform,
)  # fmt: skip

SOME = ("float32", "int32", "bfloat16", "uint8")


def window(x, start, body, *options, **more):
    return lax.reduce_window(x, x.dtype.type(start), body, *options, **more)


def lowest(dtype):
    return -np.inf if np.dtype(dtype).kind not in "iu" else np.iinfo(dtype).min


def highest(dtype):
    return np.inf if np.dtype(dtype).kind not in "iu" else np.iinfo(dtype).max


BODIES = [
    ("sum", lax.add, lambda dtype: 0, normal),
    ("max", lax.max, lowest, distinct),
    ("min", lax.min, highest, distinct),
    ("prod", lax.mul, lambda dtype: 1, functools.partial(uniform, 1, 2)),
]

# name, shape, window, strides, padding, base dilation, window dilation
FORMS = [
    ("plain", (6, 5), (2, 3), (1, 1), "VALID", None, None),
    ("strides", (7, 6), (2, 3), (2, 2), "VALID", None, None),
    ("same", (5, 6), (3, 2), (2, 1), "SAME", None, None),
    ("padding", (4, 5), (3, 3), (1, 2), [(2, 0), (1, 2)], None, None),
    ("base_dilation", (4, 3), (2, 2), (1, 1), [(0, 1), (1, 0)], (2, 3), None),
    ("window_dilation", (7, 8), (2, 3), (1, 2), "VALID", None, (3, 2)),
]

# Windows of few and of many elements, which are gone through in different orders.
SPECIAL_FORMS = [
    ("one_axis", (7,), (3,), (2,), [(1, 1)], None, None),
    ("padding", (4, 5), (1, 3), (1, 2), [(1, 1), (1, 0)], None, None),
    ("overlapping", (6, 7), (2, 3), (2, 1), [(0, 0), (2, 2)], None, None),
    ("whole_windows", (6, 6), (2, 2), (2, 2), "VALID", None, None),
    ("base_dilation", (6,), (3,), (1,), [(1, 2)], (2,), None),
    ("window_dilation", (9,), (3,), (2,), [(2, 1)], None, (2,)),
    ("mean", (9, 8), (5, 5), (2, 1), [(2, 2), (0, 3)], None, None),
    ("large", (20, 12), (9, 9), (3, 2), [(4, 4), (4, 5)], None, None),
]


def special(*shape):
    """Infinities, zeros of both signs, ties and NaN; and infinities alone."""

    def make(generator, dtype):
        some = generator.choice([np.inf, -np.inf, np.nan, 0.0, -0.0, 1, 2, -1], size=(2, *shape))
        return np.concatenate([some, generator.choice([np.inf, -np.inf], size=(1, *shape))]).astype(dtype)

    return make


def pooling_and_derivatives(x, t, body, sizes, strides, padding, base, dilation):
    """Value, tangent and, where JAX has it, gradient of each operand."""
    start = -np.inf if body is lax.max else np.inf
    results = []
    for operand, tangent in zip(x, t, strict=True):
        pool = functools.partial(window, start=start, body=body, window_dimensions=sizes, window_strides=strides,
                                 padding=padding, base_dilation=base, window_dilation=dilation)  # fmt: skip
        results += jax.jvp(pool, (operand,), (tangent,))
        if dilation is None:
            results += jax.vjp(pool, operand)[1](jnp.full_like(results[-1], 2))
    return results


CASES = [
    *(
        Case(f"{name}_{form}",
             lambda x, body=body, start=start, sizes=sizes, strides=strides, padding=padding,
             base=base, dilation=dilation: window(x, start(x.dtype), body, sizes, strides, padding,
                                                  base, dilation),
             [argument(*shape)], SOME if form in ("plain", "padding") else ("float32",),
             gradient=name == "sum" or (name in ("max", "min") and base is None and dilation is None),
             accumulates=True)
        for name, body, start, argument in BODIES
        for form, shape, sizes, strides, padding, base, dilation in FORMS
    ),
    Case("from_initial_value",
         lambda x: window(x, 3, lax.add, (2, 2), (1, 1), [(1, 0), (0, 1)]), [normal(3, 3)],
         ("float32", "int32")),
    Case("general_body",
         lambda x: window(x, 0, lambda a, b: a + b + a * b, (2, 2), (1, 1), "VALID"),
         [uniform(0, 1, 3, 4)], ("float32", "int32"), accumulates=True),
    Case("of_pairs",
         lambda x: lax.reduce_window(
             (x, -x), (x.dtype.type(0), x.dtype.type(0)),
             lambda a, b: (a[0] + b[0], lax.min(a[1], b[1])), (2, 3), (1, 1), "VALID"),
         [normal(4, 5)], ("float32", "int32"), accumulates=True),
    Case("window_of_one", lambda x: window(x, 0, lax.add, (1, 1), (2, 1), "VALID"), [normal(4, 3)],
         ("float32",), gradient=True),
    Case("whole_window", lambda x: window(x, 0, lax.add, (4, 3), (1, 1), "VALID"), [normal(4, 3)],
         ("float32", "int8"), accumulates=True),
    Case("empty", lambda x: window(x, 0, lax.add, (1, 2), (1, 1), "VALID"), [normal(0, 3)],
         ("float32",)),
    Case("no_window_fits", lambda x: window(x, 0, lax.add, (3, 2), (1, 1), "VALID"), [normal(2, 3)],
         ("float32",)),
    Case("max_of_nan", lambda x: window(x, -np.inf, lax.max, (2,), (1,), "SAME"),
         [fixed([1, np.nan, 3, -np.inf, 2, np.inf])], FLOATS),
    Case("and", lambda x: window(x, True, lax.bitwise_and, (2, 2), (1, 1), "VALID"), [normal(4, 4)],
         ("bool",)),
    Case("or", lambda x: window(x, False, lax.bitwise_or, (2, 2), (1, 1), "SAME"), [normal(4, 4)],
         ("bool",)),
    Case("average_pool",
         lambda x: window(x, 0, lax.add, (1, 2, 2, 1), (1, 2, 2, 1), "VALID") / 4,
         [normal(2, 4, 6, 3)], FLOATS, gradient=True, accumulates=True),
    Case("max_pool_three_dimensions",
         lambda x: window(x, -np.inf, lax.max, (1, 2, 2, 2, 1), (1, 2, 1, 2, 1), "SAME"),
         [distinct(1, 3, 4, 3, 2)], gradient=True),
    Case("max_pool_ties", lambda x: window(x, -np.inf, lax.max, (2, 2), (1, 1), "VALID"),
         [fixed(np.ones((3, 3)))], gradient=True),
    *(
        Case(f"special_{name}_{form}",
             lambda x, t, body=body, options=options: pooling_and_derivatives(x, t, body, *options),
             [special(*shape), normal(3, *shape)], FLOATS, signed_zeros=True)
        for name, body in [("max", lax.max), ("min", lax.min)]
        for form, shape, *options in SPECIAL_FORMS
    ),
    Case("choice_of_pairs",
         lambda k, v: lax.reduce_window(
             (k[0], v), (k.dtype.type(-np.inf), v.dtype.type(0)),
             lambda a, b: (jnp.where(a[0] > b[0], a[0], b[0]), jnp.where(a[0] > b[0], a[1], b[1])),
             (5, 7), (2, 1), "SAME"),
         [special(9, 9), normal(9, 9)], FLOATS),
    Case("forward_mode_of_max",
         lambda x, t: jax.jvp(lambda v: window(v, -np.inf, lax.max, (2, 2), (1, 1), "SAME"), (x,), (t,)),
         [distinct(4, 4), normal(4, 4)], ("float32", "bfloat16")),
    Case("moving_mean", lambda x: jnp.convolve(x, jnp.ones(3, x.dtype) / 3, mode="same"),
         [normal(9)], gradient=True, accumulates=True),
]  # fmt: skip

test_value, test_gradient = suite(CASES)


@pytest.mark.parametrize("padding", [((-1, 2), (0, 1)), ((-2, -1), (1, -1))])
def test_gradient_where_padding_takes_away(padding):
    # JAX's rule for CPUs has no answer.
    x = special(7, 6)(np.random.default_rng(7), np.dtype("float32"))[0]
    taken = [(min(low, 0), min(high, 0), 0) for low, high in padding]
    added = [(max(low, 0), max(high, 0)) for low, high in padding]
    pool = functools.partial(window, start=-np.inf, body=lax.max, window_dimensions=(3, 2), window_strides=(1, 1))

    def gradient(function, device):
        loss = jax.jit(jax.grad(lambda v: (jnp.where(jnp.isfinite(function(v)), 1, 2) * function(v)).sum()))
        return np.asarray(evaluate(loss, [x], device))

    got = gradient(lambda v: pool(v, padding=padding), device_under_test())
    want = gradient(lambda v: pool(lax.pad(v, np.float32(0), taken), padding=added), reference_device())
    np.testing.assert_array_equal(got, want)
