"""Floats of 4 and 8 bits and integers of 2 and 4 (src/passes/small_types.rs, src/lower/small_types.rs).

Results leave as float32 or int32, which hold every value of these types, so that they are compared exactly.
"""

import functools

import jax.numpy as jnp
import numpy as np
from jax import lax

from ops.harness import Case, fixed, full_range, specials, value_suite

FLOATS8 = (
    "float8_e3m4", "float8_e4m3", "float8_e4m3b11fnuz", "float8_e4m3fn", "float8_e4m3fnuz",
    "float8_e5m2", "float8_e5m2fnuz",
)  # fmt: skip
SMALL_FLOATS = (*FLOATS8, "float8_e8m0fnu", "float4_e2m1fn")
SMALL_INTEGERS = ("int2", "uint2", "int4", "uint4")


def through(small, x):
    """Rounds to the small type and back."""
    return lax.convert_element_type(lax.convert_element_type(x, small), x.dtype)


def bits(small, x):
    return lax.bitcast_convert_type(lax.convert_element_type(x, small), jnp.uint8)


def in_type(small, function, *arguments):
    result = function(*(lax.convert_element_type(x, small) for x in arguments))
    wide = jnp.float32 if small in SMALL_FLOATS else jnp.int32
    return lax.convert_element_type(result, result.dtype if result.dtype == jnp.bool_ else wide)


def numbers(count):
    """Of all magnitudes that the types hold and some that they do not, ties among them."""

    def make(generator, dtype):
        exponents = generator.integers(-20, 20, count)
        fractions = generator.integers(16, 32, count) / 16
        return (np.ldexp(fractions, exponents) * generator.choice([-1, 1], count)).astype(dtype)

    return make


def small_numbers(*shape):
    """Exact in every type of SMALL_FLOATS but e8m0."""

    def make(generator, dtype):
        return generator.choice([0.0, -0.0, 0.5, 1.0, -1.0, 1.5, 2.0, -3.0, 4.0], shape).astype(dtype)

    return make


def recast(small, other, x):
    """The bits of one type of integers as another, of another width or of none."""
    return lax.convert_element_type(lax.bitcast_convert_type(lax.convert_element_type(x, small), other), jnp.int32)


def product(small, preferred, x, y):
    narrow = (lax.convert_element_type(each, small) for each in (x, y))
    return lax.dot(*narrow, preferred_element_type=preferred)


WIDTHS = {"int2": 2, "uint2": 2, "int4": 4, "uint4": 4, "int8": 8, "uint8": 8, "int16": 16, "uint32": 32}

ARITHMETIC = {
    "add": jnp.add, "multiply": jnp.multiply, "divide": jnp.divide, "maximum": jnp.maximum,
    "less": jnp.less, "equal": jnp.equal,
}  # fmt: skip
INTEGER_ARITHMETIC = {
    "add": lax.add, "multiply": lax.mul, "subtract": lax.sub, "minimum": lax.min, "less": lax.lt,
}  # fmt: skip




CASES = [
    *(
        Case(f"round_to_{small}", functools.partial(through, small), [numbers(500)],
             ("float32", "bfloat16", "float16"), signed_zeros=True)
        for small in SMALL_FLOATS
    ),
    *(
        Case(f"round_specials_to_{small}", functools.partial(through, small), [specials()],
             ("float32", "bfloat16", "float16"), signed_zeros=True)
        for small in FLOATS8
    ),
    *(Case(f"bits_of_{small}", functools.partial(bits, small), [numbers(500)]) for small in FLOATS8),
    *(
        Case(f"{name}_{small}", functools.partial(in_type, small, function),
             [small_numbers(200), small_numbers(200)])
        for small in FLOATS8
        for name, function in ARITHMETIC.items()
    ),
    *(
        Case(f"sum_{small}", functools.partial(in_type, small, functools.partial(jnp.sum, axis=0)),
             [fixed([[1.0, 2.0], [1.5, -1.0], [0.5, -3.0]])])
        for small in FLOATS8
    ),
    *(
        Case(f"gather_{small}", functools.partial(in_type, small, lambda x: x[jnp.array([2, 0, 2])]),
             [small_numbers(3, 4)])
        for small in FLOATS8
    ),
    *(
        Case(f"move_{small}",
             functools.partial(in_type, small, lambda x: jnp.concatenate([x.T, jnp.flip(x.T)], 1)),
             [small_numbers(3, 4)])
        for small in FLOATS8
    ),
    *(
        Case(f"truncate_to_{small}", functools.partial(through, small), [full_range(64)],
             ("int8", "int32", "uint8"))
        for small in SMALL_INTEGERS
    ),
    *(
        Case(f"{name}_{small}", functools.partial(in_type, small, function),
             [full_range(64, dtype="int32"), full_range(64, dtype="int32")], ("int32",))
        for small in SMALL_INTEGERS
        for name, function in INTEGER_ARITHMETIC.items()
    ),
    *(
        Case(f"{small}_as_{other}", functools.partial(recast, small, other),
             [full_range(3, 5, max(1, WIDTHS[other] // WIDTHS[small]), dtype="int32")] if WIDTHS[other] > WIDTHS[small]
             else [full_range(3, 5, dtype="int32")], ("int32",))
        for small in WIDTHS
        for other in WIDTHS
        if small != other and min(WIDTHS[small], WIDTHS[other]) < 8
    ),
    # 448 + 1 is 448, and 448² is NaN, as float8_e4m3fn.
    *(
        Case(f"product_of_{small}_in_{preferred}", functools.partial(product, small, preferred),
             [fixed([[1.5, 2.0], [-3.0, 0.5], [448.0, 1.0], [0.0, -0.0]]), fixed([[1.0, 448.0], [1.0, 1.0]])])
        for small in ("float8_e4m3fn", "float8_e5m2")
        for preferred in ("int32", "uint8", "bool")
    ),
    *(
        Case(f"empty_{small}", functools.partial(through, small), [small_numbers(0, 2)])
        for small in SMALL_FLOATS
    ),
]  # fmt: skip

test_value = value_suite(CASES)
