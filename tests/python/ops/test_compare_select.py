"""Comparisons, select and clamp (src/lower/compare_select)."""

import jax.numpy as jnp
import numpy as np
from jax import lax

from ops.harness import (
    ALL,
    BOOL,
    COMPLEX,
    FLOATS,
    INT4,
    INTEGERS,
    Case,
    full_range,
    normal,
    special_pairs,
    specials,
    suite,
    uniform,
)

COMPARISONS = [
    ("eq", lax.eq),
    ("ne", lax.ne),
    ("lt", lax.lt),
    ("le", lax.le),
    ("gt", lax.gt),
    ("ge", lax.ge),
]

TOTAL = [("eq_to", lax.eq_to_p), ("le_to", lax.le_to_p), ("lt_to", lax.lt_to_p)]


def bind(primitive):
    return lambda x, y: primitive.bind(x, y)


CASES = [
    *(
        Case(name, function, special_pairs(), BOOL + INTEGERS + FLOATS)
        for name, function in COMPARISONS
    ),
    *(Case(name, function, special_pairs(), COMPLEX) for name, function in COMPARISONS[:2]),
    *(Case(f"{name}_int4", function, special_pairs(), INT4) for name, function in COMPARISONS),
    *(Case(name, bind(primitive), special_pairs(), FLOATS) for name, primitive in TOTAL),
    Case("eq_empty", lax.eq, [normal(0, 3), normal(0, 3)], ("float32", "int32")),
    Case("lt_scalar", lax.lt, [normal(), normal()], ("float32", "int32")),
    Case(
        "select",
        lax.select,
        [normal(4, 5, dtype="bool"), normal(4, 5), normal(4, 5)],
        ALL + INT4,
        gradient=True,
    ),
    Case(
        "select_scalar_predicate",
        lax.select_n,
        [normal(dtype="bool"), normal(4, 5), normal(4, 5)],
        ("float32", "int8", "bool"),
        gradient=True,
    ),
    Case(
        "select_of_three",
        lax.select_n,
        [uniform(0, 2, 4, 5, dtype="int32"), normal(4, 5), normal(4, 5), normal(4, 5)],
        ("float32", "int32"),
        gradient=True,
    ),
    Case(
        "select_nan_branch",
        lambda x: jnp.where(x > 0, jnp.log(x), 0.0),
        [specials()],
        FLOATS,
        gradient=True,
    ),
    Case(
        "clamp",
        lax.clamp,
        [uniform(-2, -1, 4, 5), normal(4, 5), uniform(1, 2, 4, 5)],
        tuple(d for d in INTEGERS if d.startswith("i")) + FLOATS,
        gradient=True,
    ),
    Case(
        "clamp_scalar_bounds",
        lambda x: lax.clamp(x.dtype.type(1), x, x.dtype.type(3)),
        [full_range(4, 5)],
        INTEGERS,
    ),
    Case("clamp_specials", lambda x: lax.clamp(-jnp.ones_like(x), x, jnp.ones_like(x)), [specials()],
         FLOATS, signed_zeros=True),
    Case("clamp_nan_bound", lambda x: lax.clamp(jnp.full_like(x, np.nan), x, jnp.ones_like(x)),
         [specials()], FLOATS),
    Case("isnan", jnp.isnan, [specials()], FLOATS + COMPLEX),
    Case("isinf", jnp.isinf, [specials()], FLOATS + COMPLEX),
    Case("signbit", jnp.signbit, [specials()], FLOATS),
    Case("copysign", jnp.copysign, special_pairs(), FLOATS, signed_zeros=True),
    Case("maximum_ties_gradient", jnp.maximum, [uniform(0, 0, 3), uniform(0, 0, 3)], FLOATS,
         gradient=True),
]  # fmt: skip

test_value, test_gradient = suite(CASES)
