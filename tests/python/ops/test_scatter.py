"""scatter with every body, mode and form of dimension numbers (src/lower/scatter)."""

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from ops.harness import FLOATS, Case, fixed, full_range, normal, suite, uniform

SOME = ("int8", "uint32", "float16", "bfloat16", "float32", "complex64")
FEW = ("float32", "int32")
Numbers = lax.ScatterDimensionNumbers

BODIES = [
    ("add", lax.scatter_add),
    ("mul", lax.scatter_mul),
    ("min", lax.scatter_min),
    ("max", lax.scatter_max),
]

# name, shapes of operand, indices and updates, dimension numbers
FORMS = [
    ("rows", (5, 4), (3, 1), (3, 4), Numbers((1,), (0,), (0,))),
    ("columns", (5, 4), (3, 1), (3, 5), Numbers((1,), (1,), (1,))),
    ("elements", (5, 4), (2, 3, 2), (2, 3), Numbers((), (0, 1), (0, 1))),
    ("windows", (5, 4), (3, 2), (3, 2, 3), Numbers((1, 2), (), (0, 1))),
    ("swapped_index_map", (5, 4), (3, 2), (3, 2, 2), Numbers((1, 2), (), (1, 0))),
    ("window_dims_first", (5, 4), (3, 1), (2, 3), Numbers((0,), (0,), (0,))),
    ("one_window", (5, 4), (2,), (2, 3), Numbers((0, 1), (), (0, 1))),
    ("batching", (3, 5, 4), (3, 2, 1), (3, 2, 4),
     Numbers((2,), (1,), (1,), operand_batching_dims=(0,), scatter_indices_batching_dims=(0,))),
    ("empty_updates", (5, 4), (0, 1), (0, 4), Numbers((1,), (0,), (0,))),
]  # fmt: skip

AT = [
    ("set", lambda x, i, u: x.at[i].set(u, unique_indices=True), [0, 2, -1]),
    ("set_out_of_bounds", lambda x, i, u: x.at[i].set(u), [4, 1, -5]),
    ("set_clip", lambda x, i, u: x.at[i].set(u, mode="clip"), [9, 1, -9]),
    ("add", lambda x, i, u: x.at[i].add(u), [1, 1, -1]),
    ("add_out_of_bounds", lambda x, i, u: x.at[i].add(u), [1, 100, -100]),
    ("add_extreme", lambda x, i, u: x.at[i].add(u, mode="drop"), [2**31 - 1, -(2**31), 0]),
    ("subtract", lambda x, i, u: x.at[i].add(-u), [1, 1, 3]),
    ("multiply", lambda x, i, u: x.at[i].multiply(u, unique_indices=True), [1, 0, 3]),
    ("min", lambda x, i, u: x.at[i].min(u), [1, 1, 3]),
    ("max", lambda x, i, u: x.at[i].max(u), [1, 1, 3]),
    ("columns_set", lambda x, i, u: x.at[:, i].set(u[:, :3].reshape(3, 3)[0]), [0, 2, 1]),
    ("diagonal_add", lambda x, i, u: x.at[i, i].add(u[:, 0]), [0, 2, 0]),
]


def scatter_set(operand, indices, updates, numbers, **options):
    return lax.scatter(operand, indices, updates, numbers, **options)


# The order of colliding updates is not defined, so plain scatters get distinct places.
UNIQUE = {
    "rows": [[4], [0], [2]],
    "columns": [[3], [0], [1]],
    "elements": [[[0, 0], [1, 3], [4, 2]], [[2, 2], [3, 1], [9, 0]]],
    "windows": [[0, 0], [2, 1], [4, 0]],
    "one_window": [3, 1],
    "batching": [[[0], [4]], [[1], [2]], [[5], [-1]]],
    "empty_updates": np.zeros((0, 1)),
}

CASES = [
    *(
        Case(f"{body}_{name}_{mode}",
             lambda x, i, u, function=function, numbers=numbers, mode=mode: function(
                 x, i, u, numbers, mode=mode),
             [normal(*operand), uniform(-3, 6, *indices, dtype="int32"), normal(*updates)],
             SOME if (name, mode, body) == ("rows", "drop", "add") else FEW,
             gradient=body == "add", accumulates=True)
        for body, function in BODIES
        for name, operand, indices, updates, numbers in FORMS
        for mode in (("drop", "clip") if body == "add" else ("drop",))
    ),
    *(
        Case(f"set_{name}",
             lambda x, i, u, numbers=numbers: scatter_set(x, i, u, numbers, mode="drop",
                                                          unique_indices=True),
             [normal(*operand), fixed(UNIQUE[name], "int32"), normal(*updates)],
             ("bool", *SOME) if name in ("rows", "windows") else FEW, gradient=True)
        for name, operand, indices, updates, numbers in FORMS
        if name in UNIQUE
    ),
    *(
        Case(f"at_{name}", function, [normal(4, 3), fixed(indices, "int32"), normal(3, 3)], FEW,
             gradient=name not in ("min", "max"), accumulates=True)
        for name, function, indices in AT
    ),
    *(
        Case(f"{body}_nan",
             lambda x, i, u, function=function: function(x, i, u, Numbers((), (0,), (0,))),
             [fixed([1, np.nan, 3, -np.inf]), fixed([[0], [1], [2], [3]], "int32"),
              fixed([np.nan, 2, np.inf, np.inf])], FLOATS)
        for body, function in BODIES
    ),
    *(
        Case(f"{body}_full_range",
             lambda x, i, u, function=function: function(x, i, u, Numbers((), (0,), (0,))),
             [full_range(5), uniform(0, 4, 9, 1, dtype="int32"), full_range(9)],
             ("int8", "uint8", "int32", "uint32"))
        for body, function in BODIES
    ),
    Case("apply_general_body",
         lambda x, i: lax.scatter_apply(x, i, jnp.sin, Numbers((), (0,), (0,)),
                                     update_shape=(2,), unique_indices=True),
         [normal(5), fixed([[1], [3]], "int32")]),
    Case("apply_integer_body",
         lambda x, i: lax.scatter_apply(x, i, lambda v: v * 3 + 1, Numbers((), (0,), (0,)),
                                     update_shape=(3,)),
         [normal(5), fixed([[1], [3], [1]], "int32")], ("int32",)),
    Case("add_boolean", lambda x, i, u: x.at[i].max(u), [normal(4), fixed([0, 0, 3], "int32"), normal(3)],
         ("bool",)),
    Case("segment_sum", lambda x, i: jax.ops.segment_sum(x, i, 4),
         [normal(7, 2), fixed([0, 1, 1, 3, 9, 0, 3], "int32")], FEW, gradient=True, accumulates=True),
    Case("segment_max", lambda x, i: jax.ops.segment_max(x, i, 4),
         [normal(7, 2), fixed([0, 1, 1, 3, 9, 0, 3], "int32")], FEW),
    Case("bincount", lambda x: jnp.bincount(x, length=6), [fixed([0, 1, 1, 5, 9, 3])], ("int32",)),
    Case("histogram_weights", lambda i, w: jnp.zeros(5, w.dtype).at[i].add(w),
         [uniform(0, 4, 300, dtype="int32"), normal(300)], ("float32", "bfloat16"), gradient=True,
         accumulates=True, conditioning=8),  # sums of 60 terms, rounded after each in halves
    Case("batched", jax.vmap(lambda x, i, u: x.at[i].add(u)),
         [normal(3, 5), uniform(0, 4, 3, 2, dtype="int32"), normal(3, 2)], FEW, gradient=True,
         accumulates=True),
    Case("empty_operand", lambda x, u: x.at[jnp.zeros(2, jnp.int32)].add(u, mode="drop"),
         [normal(0, 3), normal(2, 3)], ("float32",)),
    Case("scalar_set", lambda x, u: x.at[()].set(u), [normal(), normal()], FEW, gradient=True),
    # Metal's kernels have buffers for 11 index arrays; windows out of bounds are read as well.
    *(
        Case(f"index_arrays_{count}_{body}",
             lambda x, i, u, body=body: getattr(
                 x.at[tuple(jnp.roll(i, n) for n in range(x.ndim))], body)(u, mode="drop"),
             [normal(*[2] * count), fixed([0, 1, 5, 0, 1], "int32"), normal(5)], FEW,
             gradient=body == "add", accumulates=True)
        for count in (11, 12, 13)
        for body in ("set", "add", "max")
    ),
    Case("unsigned_indices", lambda x, i, u: x.at[i].add(u, mode="drop"),
         [normal(4), fixed([0, 3, 2**32 - 1], "uint32"), normal(3)], FEW),
    Case("small_indices", lambda x, i, u: x.at[i].add(u, mode="drop"),
         [normal(4), fixed([0, 3, 200], "uint8"), normal(3)], FEW),
]  # fmt: skip

test_value, test_gradient = suite(CASES)
