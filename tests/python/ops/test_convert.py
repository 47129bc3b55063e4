"""convert_element_type and bitcast_convert_type between all pairs (src/lower/convert)."""

import functools

import jax.numpy as jnp
import numpy as np
from jax import lax

from ops.harness import (
    ALL,
    BOOL,
    COMPLEX,
    FLOATS,
    INEXACT,
    INT4,
    INTEGERS,
    Case,
    fixed,
    full_range,
    normal,
    specials,
    suite,
)


def convert(dtype):
    return functools.partial(lax.convert_element_type, new_dtype=dtype)


def bitcast(dtype):
    return functools.partial(lax.bitcast_convert_type, new_dtype=dtype)


def sources(target):
    """Complex numbers become real ones only by a warning, so they convert to themselves."""
    return tuple(d for d in ALL + INT4 if target in COMPLEX or d not in COMPLEX)


def bits(count):
    """Random bytes of ``count`` elements, reinterpreted: every pattern, NaNs too."""

    def make(generator, dtype):
        return np.frombuffer(generator.bytes(count * dtype.itemsize), dtype)

    return make


WIDTHS = {
    8: ("int8", "uint8"),
    16: ("int16", "uint16", "bfloat16", "float16"),
    32: ("int32", "uint32", "float32"),
}

CASES = [
    *(
        Case(f"convert_to_{target}", convert(target), [specials()], sources(target), signed_zeros=True)
        for target in ALL + INT4
    ),
    *(
        Case(f"convert_gradient_to_{target}", convert(target), [normal(3, 4)],
             tuple(d for d in INEXACT if target in COMPLEX or d not in COMPLEX), gradient=True)
        for target in INEXACT
    ),
    *(
        Case(f"convert_large_to_{target}", convert(target), [full_range(64)], INTEGERS)
        for target in FLOATS
    ),
    *(
        Case(f"bitcast_to_{target}", bitcast(target), [bits(32)],
             tuple(d for d in WIDTHS[width] if np.dtype(d).kind in "iu"))
        for width, targets in WIDTHS.items()
        for target in targets
        if np.dtype(target).kind in "iu"
    ),
    *(
        Case(f"bitcast_float_to_{target}", bitcast(target), [specials()],
             tuple(d for d in WIDTHS[width] if np.dtype(d).kind not in "iu"))
        for width, targets in WIDTHS.items()
        for target in targets
        if np.dtype(target).kind in "iu" and width > 8
    ),
    *(
        Case(f"bitcast_int_to_{target}", bitcast(target), [normal(32)], ("int16", "uint16"))
        for target in ("bfloat16", "float16")
    ),
    Case("bitcast_int_to_float32", bitcast("float32"), [fixed([0, 1 << 30, -(1 << 31), 1078530011])],
         ("int32",), signed_zeros=True),
    Case("bitcast_narrow_to_uint8", bitcast("uint8"), [bits(12)],
         ("int16", "uint16", "int32", "uint32")),
    Case("bitcast_narrow_to_int16", bitcast("int16"), [specials()], ("float32",)),
    Case("bitcast_wide_to_int32", bitcast("int32"), [lambda g, d: bits(12)(g, d).reshape(-1, 2)],
         ("int16", "uint16")),
    Case("bitcast_wide_to_uint32", bitcast("uint32"), [lambda g, d: bits(12)(g, d).reshape(-1, 4)],
         ("int8", "uint8")),
    Case("convert_scalar", convert("int32"), [fixed(2.75)], FLOATS),
    Case("convert_empty", convert("int32"), [normal(0, 2)], FLOATS),
    Case("convert_fractions_to_int", convert("int32"), [fixed([0.5, -0.5, 0.99, -0.99, 1.5, -1.5])],
         FLOATS),
    Case("convert_fractions_to_bool", convert("bool"), [fixed([0.5, -0.5, 0.0, -0.0, 1e-3])], FLOATS),
    Case("convert_ties_to_bfloat16", convert("bfloat16"),
         [fixed([1 + 2**-8, 1 + 3 * 2**-8, 1 + 2**-8 + 2**-20, -1 - 2**-8])]),
    Case("convert_ties_to_float16", convert("float16"),
         [fixed([1 + 2**-11, 1 + 3 * 2**-11, 65519.0, 65520.0, 2**-25, 2**-24, 3 * 2**-25])]),
    Case("convert_real", lambda x: jnp.real(x).astype(jnp.int32), [normal(3, 4)], COMPLEX),
    Case("weak_promotion", lambda x: x * 2 + 1.5, [normal(3, 4)], BOOL + INTEGERS + INEXACT),
]  # fmt: skip

test_value, test_gradient = suite(CASES)
