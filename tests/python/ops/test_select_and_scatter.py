"""select_and_scatter, the reverse of pooling (src/lower/select_and_scatter)."""

import numpy as np
from jax import lax
from jax._src.lax import windowed_reductions

from ops.harness import FLOATS, Case, distinct, fixed, normal, suite

# name, shape of the operand, window, strides, padding
FORMS = [
    ("plain", (4, 6), (2, 2), (2, 2), [(0, 0), (0, 0)]),
    ("overlapping", (5, 5), (3, 3), (1, 1), [(0, 0), (0, 0)]),
    ("padding", (4, 5), (2, 3), (2, 2), [(1, 1), (0, 2)]),
    ("gaps", (7, 5), (2, 1), (3, 2), [(0, 0), (0, 0)]),
    ("three_dimensions", (4, 4, 2), (2, 2, 1), (2, 1, 1), [(0, 0), (0, 1), (0, 0)]),
]


def result_shape(shape, window, strides, padding):
    return tuple(
        (size + low + high - width) // stride + 1
        for size, width, stride, (low, high) in zip(shape, window, strides, padding, strict=True)
    )


def scatter(source, operand, select, body, start, window, strides, padding):
    return windowed_reductions._select_and_scatter(
        operand, select, window, strides, padding, source, operand.dtype.type(start), body
    )


def powers(*shape):
    """Powers of two: no sum is rounded."""
    return lambda generator, dtype: (2.0 ** (np.arange(np.prod(shape)).reshape(shape) % 7)).astype(dtype)


def special(*shape):
    """Infinities, ties of zeros, and NaN."""
    return lambda generator, dtype: generator.choice(
        [np.inf, -np.inf, np.nan, 0.0, -0.0, 1, 2], size=shape).astype(dtype)  # fmt: skip


CASES = [
    *(
        Case(f"add_{choice}_{name}",
             lambda source, operand, primitive=primitive, window=window, strides=strides,
             padding=padding: windowed_reductions._select_and_scatter_add(
                 source, operand, primitive, window, strides, padding),
             [normal(*result_shape(shape, window, strides, padding)), distinct(*shape)],
             FLOATS if name in ("plain", "padding") else ("float32",), accumulates=True)
        for choice, primitive in [("ge", lax.ge_p), ("le", lax.le_p)]
        for name, shape, window, strides, padding in FORMS
    ),
    *(
        Case(f"{choice}_{body_name}_{name}",
             lambda source, operand, select=select, body=body, start=start, window=window,
             strides=strides, padding=padding: scatter(source, operand, select, body, start, window,
                                                       strides, padding),
             [normal(*result_shape(shape, window, strides, padding)), distinct(*shape)],
             ("float32", "int32"), accumulates=True)
        for choice, select in [("ge", lax.ge), ("lt", lax.lt)]
        for body_name, body, start in [("add", lax.add, 0), ("mul", lax.mul, 1), ("max", lax.max, -3)]
        for name, shape, window, strides, padding in FORMS[1:3]
    ),
    Case("ties_choose_the_first",
         lambda source, operand: scatter(source, operand, lax.ge, lax.add, 0, (2, 2), (2, 2),
                                         [(0, 0), (0, 0)]),
         [normal(2, 2), fixed([[1, 1, 2, 2], [1, 1, 2, 2], [0, 3, 0, 0], [3, 0, 0, 0]])],
         ("float32", "int32")),
    *(
        # Ties and NaN show the order, which is a tree in windows of more than 64 elements.
        Case(f"special_{primitive.name}_{form}",
             lambda source, operand, primitive=primitive, options=options:
                 windowed_reductions._select_and_scatter_add(source, operand, primitive, *options),
             [powers(*result_shape(shape, *options)), special(*shape)], FLOATS)
        for primitive in (lax.ge_p, lax.le_p)
        for form, shape, *options in [
            ("small", (9, 8), (3, 2), (2, 1), [(1, 1), (0, 1)]),
            ("wide", (14, 13), (9, 8), (3, 2), [(0, 0), (0, 0)]),
            ("wide_padded", (9, 11), (9, 9), (2, 3), [(4, 4), (2, 3)]),
        ]
    ),
    Case("wide_less", lambda source, operand: scatter(source, operand, lax.lt, lax.add, 0, (9, 8), (3, 2),
                                                      [(0, 0), (0, 0)]),
         [powers(2, 3), special(14, 13)], FLOATS),
    Case("initial_value",
         lambda source, operand: scatter(source, operand, lax.ge, lax.add, 5, (2, 2), (2, 2),
                                         [(0, 0), (0, 0)]),
         [normal(2, 2), distinct(4, 4)], ("float32", "int32"), accumulates=True),
]  # fmt: skip

test_value = suite(CASES)[0]
