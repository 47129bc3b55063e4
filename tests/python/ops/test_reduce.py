"""reduce with the usual and with arbitrary bodies, arg-reductions and scans of one axis
(src/lower/reduce)."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from ops.harness import (
    ALL,
    BOOL,
    COMPLEX,
    FLOATS,
    INEXACT,
    INTEGERS,
    NUMBERS,
    Case,
    distinct,
    fixed,
    full_range,
    normal,
    specials,
    suite,
    uniform,
)

REAL = INTEGERS + FLOATS
AXES = (0, 2)


def raw(primitive, axes=AXES):
    """The primitive itself, without the promotions of jax.numpy."""
    return functools.partial(primitive, axes=axes)


def pair_body(left, right):
    """The running maximum and where it was, ties to the larger index."""
    value, index = left
    other, place = right
    take = (other > value) | ((other == value) & (place > index))
    return jnp.where(take, other, value), jnp.where(take, place, index)


def reduce_pairs(x):
    places = lax.broadcasted_iota(np.int32, x.shape, 1)
    return lax.reduce((x, places), (x.dtype.type(-100), np.int32(-1)), pair_body, (1,))


def mean_and_count(x):
    count = jnp.ones_like(x)
    return lax.reduce(
        (x, count),
        (x.dtype.type(0), x.dtype.type(0)),
        lambda one, other: (one[0] + other[0] * 2 - other[0], one[1] + other[1]),
        (0,),
    )


KEEP = [
    ("sum", raw(lax.reduce_sum), NUMBERS, normal(3, 4, 5)),
    ("prod", raw(lax.reduce_prod), NUMBERS, uniform(1, 2, 3, 4, 5)),
    ("max", raw(lax.reduce_max), BOOL + REAL, normal(3, 4, 5)),
    ("min", raw(lax.reduce_min), BOOL + REAL, normal(3, 4, 5)),
]

CUMULATIVE = [
    ("cumsum", lax.cumsum, NUMBERS),
    ("cumprod", lax.cumprod, NUMBERS),
    ("cummax", lax.cummax, REAL),
    ("cummin", lax.cummin, REAL),
]

CASES = [
    *(
        Case(f"reduce_{name}", function, [argument], dtypes, accumulates=True)
        for name, function, dtypes, argument in KEEP
    ),
    *(
        Case(f"reduce_{name}_gradient", function,
             [distinct(2, 3, 2) if name in ("max", "min") else argument],
             FLOATS + (COMPLEX if name in ("sum", "prod") else ()), gradient=True, accumulates=True)
        for name, function, dtypes, argument in KEEP
    ),
    *(
        Case(f"reduce_{name}_specials", raw(primitive, (0,)), [specials()], FLOATS)
        for name, primitive in [("max", lax.reduce_max), ("min", lax.reduce_min),
                                ("sum", lax.reduce_sum), ("prod", lax.reduce_prod)]
    ),
    *(
        Case(f"reduce_{name}_edges", raw(primitive, (1,)),
             [fixed([[np.nan, 1], [-np.inf, -np.inf], [np.inf, 2], [-3, -np.inf], [np.inf, np.nan]])],
             FLOATS)
        for name, primitive in [("max", lax.reduce_max), ("min", lax.reduce_min)]
    ),
    *(
        Case(f"reduce_{name}_empty", raw(primitive, (0,)), [normal(0, 3)], BOOL + ("int32", "uint8", "float32"))
        for name, primitive in [("max", lax.reduce_max), ("min", lax.reduce_min)]
    ),
    *(
        Case(f"reduce_{name}_empty", raw(primitive, (0,)), [normal(0, 3)], ("int32", "float32"))
        for name, primitive in [("sum", lax.reduce_sum), ("prod", lax.reduce_prod)]
    ),
    *(
        Case(f"reduce_{name}", raw(primitive), [full_range(3, 4, 5)], BOOL + INTEGERS)
        for name, primitive in [("and", lax.reduce_and), ("or", lax.reduce_or), ("xor", lax.reduce_xor)]
    ),
    *(
        Case(f"reduce_{name}_empty", raw(primitive, (0,)), [full_range(0, 5)], BOOL + ("int32",))
        for name, primitive in [("and", lax.reduce_and), ("or", lax.reduce_or), ("xor", lax.reduce_xor)]
    ),
    Case("reduce_no_axes", raw(lax.reduce_sum, ()), [normal(3, 2)], ("float32", "int32")),
    Case("reduce_sum_wraps", raw(lax.reduce_sum), [full_range(3, 4, 5)], INTEGERS),
    Case("reduce_all_axes", raw(lax.reduce_sum, (0, 1, 2)), [normal(3, 4, 5)], ("float32", "int8"),
         accumulates=True),
    Case("reduce_from_initial_value",
         lambda x, start: lax.reduce(x, start, lax.add, (1,)), [normal(3, 4), normal()],
         ("float32", "int32"), accumulates=True),
    Case("reduce_max_from_initial_value",
         lambda x, start: lax.reduce(x, start, lax.max, (1,)), [normal(3, 4), fixed(1)],
         ("float32", "int32", "uint8")),
    Case("reduce_general_body",
         lambda x: lax.reduce(x, x.dtype.type(0), lambda a, b: a + b + a * b, (1,)),
         [uniform(0, 1, 3, 4)], ("float32", "int32"), accumulates=True),
    Case("reduce_general_body_two_axes",
         lambda x: lax.reduce(x, x.dtype.type(1), lambda a, b: jnp.maximum(a, b) * 1, (0, 2)),
         [normal(3, 4, 5)], ("float32", "int32")),
    Case("reduce_of_pairs", reduce_pairs, [normal(4, 7)], ("int32", "float32")),
    Case("reduce_of_pairs_with_arithmetic", mean_and_count, [normal(5, 3)], ("float32", "int32"),
         accumulates=True),
    Case("reduce_general_body_empty",
         lambda x: lax.reduce(x, x.dtype.type(3), lambda a, b: a + b + a * b, (1,)),
         [normal(3, 0)], ("float32",)),
    *(
        Case(f"{name}_{index}",
             lambda x, function=function, index=index: function(x, 1, np.dtype(index).type),
             [normal(4, 7)], REAL if index == "int32" else ("float32",))
        for name, function in [("argmax", lax.argmax), ("argmin", lax.argmin)]
        for index in ("int32", "uint8", "int16")
    ),
    *(
        Case(f"{name}_nan", lambda x, function=function: function(x, 1, np.int32),
             [fixed([[1, np.nan, 3, np.nan], [0, -0.0, 0, 0], [np.inf, 1, np.inf, 2],
                     [-np.inf, -np.inf, -np.inf, 1]])], FLOATS)
        for name, function in [("argmax", lax.argmax), ("argmin", lax.argmin)]
    ),
    *(
        Case(f"{name}_ties", lambda x, function=function: function(x, 0, np.int32),
             [normal(9, 3)], ("bool", "int8", "uint32"))
        for name, function in [("argmax", jnp.argmax), ("argmin", jnp.argmin)]
        for function in [lambda x, axis, dtype, function=function: function(x, axis=axis).astype(dtype)]
    ),
    *(
        Case(name, lambda x, function=function: function(x, 1),
             [uniform(1, 2, 3, 6) if name == "cumprod" else normal(3, 6)], dtypes,
             gradient=name in ("cumsum", "cumprod"), accumulates=True)
        for name, function, dtypes in CUMULATIVE
    ),
    *(
        Case(f"{name}_reverse", lambda x, function=function: function(x, 0, reverse=True),
             [uniform(1, 2, 5, 2) if name == "cumprod" else distinct(5, 2)], ("float32", "int32"),
             gradient=True, accumulates=True)
        for name, function, _ in CUMULATIVE
    ),
    *(
        Case(f"{name}_{kind}", lambda x, function=function: function(x, 0), [argument], ("float32",),
             accumulates=True)
        for name, function, _ in CUMULATIVE
        for kind, argument in [("empty", normal(0, 2)), ("one", normal(1)),
                               ("nan", fixed([1, 2, np.nan, 3, 4])), ("long", uniform(0.9, 1.1, 100))]
    ),
    Case("cumlogsumexp", lambda x: lax.cumlogsumexp(x, 1), [normal(3, 6)], FLOATS, gradient=True,
         accumulates=True),
    Case("mean_of_halves", jnp.mean, [normal(40)], ("bfloat16", "float16"), accumulates=True),
    Case("variance", lambda x: jnp.var(x, axis=0), [normal(6, 3)], FLOATS, gradient=True,
         accumulates=True),
    Case("softmax", lambda x: jax.nn.softmax(x, axis=1), [normal(3, 7)], FLOATS, gradient=True,
         accumulates=True),
    Case("log_softmax", lambda x: jax.nn.log_softmax(x, axis=1), [normal(3, 7)], FLOATS,
         gradient=True, accumulates=True),
    Case("logsumexp_specials", lambda x: jax.nn.logsumexp(x, axis=1),
         [fixed([[-np.inf, -np.inf], [np.inf, 1], [np.nan, 1], [700, 701], [-700, -701]])]),
    Case("norm", lambda x: jnp.linalg.norm(x, axis=1), [normal(3, 5)], INEXACT, gradient=True,
         accumulates=True),
    Case("choice_of_pairs",
         # The element behind a NaN is chosen, whatever came before: the order shows.
         lambda k, v: lax.reduce(
             (k, v), (k.dtype.type(np.inf), v.dtype.type(0)),
             lambda a, b: (jnp.where(a[0] <= b[0], a[0], b[0]), jnp.where(a[0] <= b[0], a[1], b[1])), (1,)),
         [lambda generator, dtype: generator.choice([np.inf, -np.inf, np.nan, 0, 1, 2], size=(20, 37)).astype(dtype),
          normal(20, 37)], FLOATS),
    Case("any_all", lambda x: (jnp.any(x, axis=0), jnp.all(x, axis=1)), [normal(3, 4)], ALL),
]  # fmt: skip

test_value, test_gradient = suite(CASES)
