"""gather: NumPy indexing, all modes and the raw dimension numbers (src/lower/gather)."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from ops.harness import INT4, Case, fixed, full_range, normal, suite, uniform

SOME = ("bool", "int8", "uint32", "float16", "bfloat16", "float32", "complex64")
FEW = ("float32", "int32")
MODES = ("clip", "fill", "promise_in_bounds")
OUTSIDE = [0, -1, 3, 4, -4, -5, 100, -(2**31), 2**31 - 1]


def raw(numbers, sizes, mode, **options):
    return functools.partial(
        lax.gather, dimension_numbers=numbers, slice_sizes=sizes, mode=mode, **options
    )


Numbers = lax.GatherDimensionNumbers

# name, shape of the operand, shape of the indices, dimension numbers, slice sizes
FORMS = [
    ("rows", (5, 4), (3, 1), Numbers((1,), (0,), (0,)), (1, 4)),
    ("columns", (5, 4), (3, 1), Numbers((0,), (1,), (1,)), (5, 1)),
    ("elements", (5, 4), (2, 3, 2), Numbers((), (0, 1), (0, 1)), (1, 1)),
    ("windows", (5, 4), (3, 2), Numbers((1, 2), (), (0, 1)), (2, 3)),
    ("windows_one_collapsed", (5, 4, 3), (2, 2), Numbers((0, 2), (0,), (0, 2)), (1, 3, 2)),
    ("swapped_index_map", (5, 4), (3, 2), Numbers((0, 1), (), (1, 0)), (2, 2)),
    ("one_window", (5, 4), (2,), Numbers((0, 1), (), (0, 1)), (2, 3)),
    ("offset_dims_first", (5, 4), (2, 2, 1), Numbers((0,), (0,), (0,)), (1, 3)),
    ("partial_index_map", (5, 4), (3, 1), Numbers((0, 1), (), (1,)), (5, 2)),
    ("batching", (3, 5, 4), (3, 2, 1),
     Numbers((2,), (1,), (1,), operand_batching_dims=(0,), start_indices_batching_dims=(0,)),
     (1, 1, 4)),
    ("batching_last", (4, 5, 3), (2, 3, 1),
     Numbers((0,), (1,), (1,), operand_batching_dims=(2,), start_indices_batching_dims=(1,)),
     (4, 1, 1)),
    ("empty_indices", (5, 4), (0, 1), Numbers((1,), (0,), (0,)), (1, 4)),
    ("empty_slices", (5, 4), (3, 1), Numbers((1,), (0,), (0,)), (1, 0)),
]  # fmt: skip


def in_bounds(generator, shape, sizes, numbers, indices):
    """Start indices for which every slice lies inside of the operand."""
    limit = [shape[axis] - sizes[axis] + 1 for axis in numbers.start_index_map]
    return np.stack([generator.integers(0, high, indices[:-1]) for high in limit], -1).astype("int32")


def index_maker(shape, indices, numbers, sizes, mode):
    if mode == "promise_in_bounds":
        return lambda generator, _: in_bounds(generator, shape, sizes, numbers, indices)
    return uniform(-7, 7, *indices, dtype="int32")


INDEXING = [
    ("integer_array", lambda x, i: x[i], (5, 3), fixed([[0, 4], [2, -1]], "int32")),
    ("out_of_bounds", lambda x, i: x[i], (4, 3), fixed(OUTSIDE, "int32")),
    ("take_clip", lambda x, i: jnp.take(x, i, axis=0, mode="clip"), (4, 3), fixed(OUTSIDE, "int32")),
    ("take_wrap", lambda x, i: jnp.take(x, i, axis=0, mode="wrap"), (4, 3), fixed(OUTSIDE, "int32")),
    ("take_fill", lambda x, i: jnp.take(x, i, axis=0), (4, 3), fixed(OUTSIDE, "int32")),
    ("take_unsigned", lambda x, i: jnp.take(x, i, axis=0), (4, 3), fixed([0, 3, 4, 2**32 - 1], "uint32")),
    ("take_small_index", lambda x, i: jnp.take(x, i, axis=0, mode="clip"), (4, 3), fixed([0, 3, 200], "uint8")),
    ("take_int8", lambda x, i: x.at[i].get(mode="fill", fill_value=7), (4, 3), fixed([0, 3, 100, -2], "int8")),
    ("two_arrays", lambda x, i: x[i, i[::-1]], (4, 4), fixed([0, 3, 1], "int32")),
    ("arrays_and_slices", lambda x, i: x[1:, i, ::2], (3, 4, 5), fixed([[0], [3]], "int32")),
    ("separated_arrays", lambda x, i: x[i, :, i], (3, 4, 5), fixed([0, 2], "int32")),
    ("new_axis", lambda x, i: x[None, i, ..., None], (3, 4), fixed([0, 2], "int32")),
    ("scalar_index", lambda x, i: x[i], (3, 4), fixed(-2, "int32")),
    ("take_along_axis", lambda x, i: jnp.take_along_axis(x, i, axis=1), (3, 4),
     fixed([[0, 3], [1, 1], [2, -1]], "int32")),
    ("empty_selection", lambda x, i: x[i], (3, 4), fixed(np.zeros((0,)), "int32")),
    ("one_hot_lookup", lambda x, i: jax.nn.one_hot(i, 5, dtype=x.dtype) + x[0, 0] * 0, (1, 1),
     fixed([0, 4, 7, -1], "int32")),
]  # fmt: skip

CASES = [
    *(
        Case(f"{name}_{mode}", raw(numbers, sizes, mode),
             [normal(*shape), index_maker(shape, indices, numbers, sizes, mode)],
             SOME if (name, mode) in {("rows", "fill"), ("windows", "clip")} else FEW, gradient=True)
        for name, shape, indices, numbers, sizes in FORMS
        for mode in MODES
        if mode == "fill" or name not in {"empty_indices", "empty_slices", "offset_dims_first"}
    ),
    *(
        Case(name, function, [normal(*shape), indices], SOME if name == "integer_array" else FEW,
             gradient=name != "one_hot_lookup")
        for name, function, shape, indices in INDEXING
    ),
    Case("fill_value", raw(*FORMS[0][3:], "fill", fill_value=3),
         [normal(5, 4), fixed([[0], [9], [-1]], "int32")], FEW),
    Case("fill_of_integers", raw(*FORMS[0][3:], "fill"),
         [normal(5, 4), fixed([[0], [9], [-1]], "int32")],
         ("int8", "uint8", "int16", "uint16", "uint32", "bool")),
    Case("empty_operand", lambda x, i: x.at[i].get(mode="fill"),
         [normal(3, 0), fixed([0, 1], "int32")], ("float32",)),
    Case("batched", jax.vmap(lambda x, i: x[i]), [normal(3, 5), uniform(0, 4, 3, 2, dtype="int32")],
         FEW, gradient=True),
    Case("int4", lambda x, i: x[i], [full_range(5, 3), fixed([4, 0, -2], "int32")], INT4),
    Case("boolean_mask_where", lambda x, m: jnp.where(m, x, 0), [normal(4), normal(4, dtype="bool")],
         FEW),
    # Metal's kernels have buffers for 11 index arrays.
    *(
        Case(f"index_arrays_{count}", lambda x, i: x[tuple(jnp.roll(i, n) for n in range(x.ndim))],
             [normal(*[2] * count), fixed([0, 1, 1, 0, 1], "int32")], FEW, gradient=count == 12)
        for count in (11, 12, 13)
    ),
    Case("many_indices", lambda x, i: jnp.take(x, i, axis=0), [normal(50, 3), uniform(0, 49, 300, dtype="int32")],
         ("float32",)),
    # GPUs add in any order.
    Case("many_indices_of_each", lambda x, i: jnp.take(x, i, axis=0),
         [normal(50, 3), uniform(0, 49, 300, dtype="int32")], ("float32",), gradient=True, accumulates=True),
]  # fmt: skip

test_value, test_gradient = suite(CASES)
