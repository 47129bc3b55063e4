"""Ops that only move elements: reshape to pad and concatenate (src/lower/shapes)."""

import jax.numpy as jnp
from jax import lax

from ops.harness import ALL, FLOATS, INT4, Case, full_range, normal, suite

SOME = ("bool", "int8", "uint32", "bfloat16", "float16", "float32", "complex64")
FEW = ("float32", "int32")

MOVES = [
    ("reshape", lambda x: lax.reshape(x, (6, 4)), (2, 3, 4), SOME),
    ("reshape_dimensions", lambda x: lax.reshape(x, (6, 4), dimensions=(2, 0, 1)), (2, 3, 4), FEW),
    ("reshape_to_scalar", lambda x: lax.reshape(x, ()), (1, 1), FEW),
    ("reshape_from_scalar", lambda x: lax.reshape(x, (1, 1, 1)), (), FEW),
    ("reshape_empty", lambda x: lax.reshape(x, (5, 0, 2)), (0, 3), FEW),
    ("transpose", lambda x: lax.transpose(x, (2, 0, 1)), (2, 3, 4), SOME),
    ("transpose_five", lambda x: lax.transpose(x, (4, 1, 3, 0, 2)), (2, 3, 1, 2, 3), FEW),
    ("transpose_reshape", lambda x: lax.reshape(x.T, (12,)), (3, 4), FEW),
    ("squeeze", lambda x: lax.squeeze(x, (0, 2)), (1, 3, 1, 2), FEW),
    ("expand_dims", lambda x: lax.expand_dims(x, (0, 3)), (3, 2), FEW),
    ("broadcast", lambda x: lax.broadcast(x, (2, 3)), (4,), SOME),
    ("broadcast_in_dim", lambda x: lax.broadcast_in_dim(x, (3, 2, 4), (1, 2)), (2, 4), SOME),
    ("broadcast_in_dim_expands", lambda x: lax.broadcast_in_dim(x, (3, 5, 4), (0, 2)), (1, 4), FEW),
    ("broadcast_scalar", lambda x: lax.broadcast_in_dim(x, (3, 0, 4), ()), (), FEW),
    ("slice", lambda x: lax.slice(x, (1, 0, 2), (3, 3, 4)), (4, 3, 5), SOME),
    ("slice_strides", lambda x: lax.slice(x, (1, 0), (8, 7), (3, 2)), (9, 7), SOME),
    ("slice_empty", lambda x: lax.slice(x, (1, 2), (1, 3)), (4, 3), FEW),
    ("rev", lambda x: lax.rev(x, (0, 2)), (2, 3, 4), SOME),
    ("rev_empty", lambda x: lax.rev(x, (0,)), (0, 4), FEW),
    ("rev_negative_strides", lambda x: x[::-2, ::-1] * 2, (5, 4), ("float32", "int8")),
    ("rev_then_reshape", lambda x: lax.reshape(lax.rev(x, (1,)), (4, 3)), (3, 4), FEW),
    ("concatenate", lambda x: lax.concatenate([x, x[:1], x[:0]], 0), (3, 4), SOME),
    ("concatenate_last", lambda x: lax.concatenate([x, x[:, :2]], 1), (3, 4), FEW),
    ("tile", lambda x: lax.tile(x, (2, 3)), (2, 2), FEW),
    ("split", lambda x: lax.split(x, (1, 3, 2), axis=1), (2, 6), FEW),
    ("stack", lambda x: jnp.stack([x, x + x, x], axis=1), (2, 3), FEW),
    ("roll", lambda x: jnp.roll(x, (1, -2), (0, 1)), (3, 4), FEW),
    ("diagonal", jnp.diagonal, (3, 4), FEW),
    ("tril", jnp.tril, (3, 4), FEW),
    ("repeat", lambda x: jnp.repeat(x, 3, axis=0), (2, 3), FEW),
    ("unstack", lambda x: lax.unstack(x, axis=1), (2, 3), FEW),
]

PADS = [
    ("edges", [(1, 2, 0), (0, 3, 0)]),
    ("interior", [(0, 0, 2), (1, 1, 1)]),
    ("negative", [(-1, 0, 0), (0, -2, 0)]),
    ("negative_and_interior", [(-2, 1, 1), (3, -4, 2)]),
    ("negative_beyond_interior", [(-1, -1, 3), (0, 0, 0)]),
    ("to_nothing", [(-2, -1, 0), (0, 0, 0)]),
    ("none", [(0, 0, 0), (0, 0, 0)]),
]

CASES = [
    *(Case(name, move, [normal(*shape)], dtypes, gradient=True) for name, move, shape, dtypes in MOVES),
    *(
        Case(f"pad_{name}", lambda x, value, config=config: lax.pad(x, value, config),
             [normal(3, 4), normal()], ("float32", "int32", "bool", "complex64"))
        for name, config in PADS
    ),
    # The gradient by the value is a difference of sums.
    *(
        Case(f"pad_gradient_{name}", lambda x, value, config=config: lax.pad(x, value, config),
             [normal(3, 4), normal()], (*FLOATS, "complex64"), gradient=True, accumulates=True)
        for name, config in PADS
    ),
    Case("pad_empty", lambda x: lax.pad(x, x.dtype.type(1), [(2, 1, 3), (0, 0, 0)]),
         [normal(0, 2)], FEW, gradient=True),
    Case("pad_mode_reflect", lambda x: jnp.pad(x, 2, mode="reflect"), [normal(4, 4)], FEW,
         gradient=True),
    *(
        Case(f"{name}_int4", move, [full_range(*shape)], INT4)
        for name, move, shape, _ in MOVES
        if name in {"reshape", "transpose", "slice", "concatenate", "broadcast_in_dim", "rev"}
    ),
    Case("iota", lambda x: lax.broadcasted_iota(x.dtype, (3, 4), 1) + x[0] * 0, [normal(1)],
         tuple(d for d in ALL if d not in ("bool",))),
    Case("identity", lambda x: x, [full_range(3, 4)], ("bool", "int32", *INT4)),
    Case("same_result_twice", lambda x: (x, x + x, x), [normal(3)], FEW),
    Case("no_result", lambda x: (), [normal(3)], FEW),
    Case("unused_argument", lambda x, y: y, [normal(3), normal(2)], FEW),
]  # fmt: skip

test_value, test_gradient = suite(CASES)
