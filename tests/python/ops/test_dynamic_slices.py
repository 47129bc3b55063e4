"""dynamic_slice and dynamic_update_slice, whose starts are clamped (src/lower/dynamic_slices)."""

import jax
from jax import lax

from ops.harness import INT4, Case, fixed, full_range, normal, suite

SOME = ("bool", "int8", "uint32", "bfloat16", "float32", "complex64")
FEW = ("float32", "int32")


def take(sizes):
    return lambda x, *starts: lax.dynamic_slice(x, starts, sizes)


def put(x, update, *starts):
    return lax.dynamic_update_slice(x, update, starts)


STARTS = {"inside": (1, 2), "clamped_high": (9, 100), "clamped_low": (-8, -200), "mixed": (-1, 3)}

CASES = [
    *(
        Case(f"slice_{name}", take((2, 3)),
             [normal(4, 6), *(fixed(start, "int32") for start in starts)], SOME, gradient=True)
        for name, starts in STARTS.items()
    ),
    *(
        Case(f"update_{name}", put,
             [normal(4, 6), normal(2, 3), *(fixed(start, "int32") for start in starts)],
             SOME, gradient=True)
        for name, starts in STARTS.items()
    ),
    *(
        Case(f"slice_index_{index}", take((2, 3)),
             [normal(4, 6), fixed(1, index), fixed(3, index)], FEW)
        for index in ("int8", "uint8", "int16", "uint16", "uint32")
    ),
    Case("slice_unsigned_beyond", take((2, 3)),
         [normal(4, 6), fixed(2**32 - 1, "uint32"), fixed(2**31, "uint32")], FEW),
    Case("slice_whole", take((4, 6)), [normal(4, 6), fixed(3, "int32"), fixed(-3, "int32")], FEW,
         gradient=True),
    Case("slice_empty", take((0, 3)), [normal(4, 6), fixed(3, "int32"), fixed(1, "int32")], FEW),
    Case("slice_scalar", take(()), [normal()], FEW),
    Case("update_whole", put, [normal(2, 3), normal(2, 3), fixed(1, "int32"), fixed(1, "int32")],
         FEW, gradient=True),
    Case("update_empty", put, [normal(2, 3), normal(0, 3), fixed(1, "int32"), fixed(1, "int32")],
         FEW),
    Case("update_scalar", put, [normal(), normal()], FEW),
    Case("slice_int4", take((2, 3)), [full_range(4, 6), fixed(3, "int32"), fixed(1, "int32")], INT4),
    Case("index_in_dim", lambda x, i: lax.dynamic_index_in_dim(x, i, 1, keepdims=False),
         [normal(3, 4, 2), fixed(-1, "int32")], FEW, gradient=True),
    Case("update_index_in_dim", lambda x, u, i: lax.dynamic_update_index_in_dim(x, u, i, 0),
         [normal(3, 4), normal(4), fixed(2, "int32")], FEW, gradient=True),
    Case("batched_starts", jax.vmap(lambda x, i: lax.dynamic_slice(x, (i,), (2,))),
         [normal(3, 5), fixed([0, 4, -1], "int32")], FEW, gradient=True),
    Case("batched_update", jax.vmap(lambda x, u, i: lax.dynamic_update_slice(x, u, (i,))),
         [normal(3, 5), normal(3, 2), fixed([0, 4, -1], "int32")], FEW, gradient=True),
]  # fmt: skip

test_value, test_gradient = suite(CASES)
