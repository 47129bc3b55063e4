"""dot_general over all kinds of dimension numbers (src/lower/dot_general)."""

import functools

import jax.numpy as jnp
import numpy as np
from jax import lax

from ops.harness import (
    BOOL, COMPLEX, FLOATS, INEXACT, INTEGERS, Case, fixed, full_range, normal, suite, uniform,
)  # fmt: skip

# name, shapes of both sides, ((contracting left, right), (batch left, right))
FORMS = [
    ("vector_vector", (5,), (5,), (((0,), (0,)), ((), ()))),
    ("matrix_vector", (3, 5), (5,), (((1,), (0,)), ((), ()))),
    ("matrix_matrix", (3, 5), (5, 4), (((1,), (0,)), ((), ()))),
    ("left_transposed", (5, 3), (5, 4), (((0,), (0,)), ((), ()))),
    ("both_transposed", (5, 3), (4, 5), (((0,), (1,)), ((), ()))),
    ("batch", (2, 3, 5), (2, 5, 4), (((2,), (1,)), ((0,), (0,)))),
    ("batch_last", (3, 5, 2), (5, 2, 4), (((1,), (0,)), ((2,), (1,)))),
    ("two_batches_crossed", (2, 3, 4, 5), (3, 5, 2, 6), (((3,), (1,)), ((0, 1), (2, 0)))),
    ("two_contractions", (3, 5, 2), (5, 2, 4), (((1, 2), (0, 1)), ((), ()))),
    ("two_contractions_crossed", (3, 5, 2), (2, 4, 5), (((1, 2), (2, 0)), ((), ()))),
    ("outer", (3,), (4,), (((), ()), ((), ()))),
    ("outer_batched", (2, 3), (2, 4), (((), ()), ((0,), (0,)))),
    ("only_batch", (2, 3), (2, 3), (((), ()), ((0, 1), (0, 1)))),
    ("scalars", (), (), (((), ()), ((), ()))),
    ("contraction_of_nothing", (3, 0), (0, 4), (((1,), (0,)), ((), ()))),
    ("no_rows", (0, 5), (5, 4), (((1,), (0,)), ((), ()))),
    ("everything_free", (2, 3), (4, 5), (((), ()), ((), ()))),
]


def contract(left, right, numbers, **options):
    return lax.dot_general(left, right, numbers, **options)


def halves(*shape):
    """Multiples of 0.5, whose sums of products are exact in every type."""
    return lambda generator, dtype: (generator.integers(-3, 4, shape) / 2).astype(dtype)


CASES = [
    *(
        Case(name, functools.partial(contract, numbers=numbers), [normal(*left), normal(*right)],
             ("float32", "bfloat16", "complex64", "int32") if name not in ("batch", "matrix_matrix")
             else BOOL + INTEGERS + INEXACT, gradient=True, accumulates=True)
        for name, left, right, numbers in FORMS
    ),
    Case("integers_wrap", lambda x, y: x @ y, [full_range(3, 5), full_range(5, 4)], INTEGERS),
    *(
        Case(f"preferred_{preferred}",
             lambda x, y, preferred=preferred: lax.dot(x, y, preferred_element_type=preferred),
             [normal(3, 5), normal(5, 4)], dtypes, accumulates=True)
        for preferred, dtypes in [
            ("int32", ("int8", "int16", "uint8")),
            ("float32", ("int8", "bfloat16", "float16")),
        ]
    ),
    # XLA multiplies in the operands' type, rounds to it, and converts.
    *(
        Case(f"floats_preferred_{preferred}_{name}",
             lambda x, y, preferred=preferred: lax.dot(x, y, preferred_element_type=preferred),
             [uniform(-40, 300, *left), uniform(-3, 9, *right)], FLOATS)
        for preferred in ("int32", "int8", "uint8", "uint32", "bool")
        for name, left, right in [("one", (1,), (1,)), ("outer", (7, 1), (1, 5)), ("empty", (3, 0), (0, 2))]
    ),
    Case("floats_preferred_int32_exact_sums",
         lambda x, y: lax.dot(x, y, preferred_element_type="int32"), [halves(30, 40), halves(40, 20)], FLOATS),
    Case("floats_preferred_int32_out_of_range",
         lambda x, y: lax.dot(x, y, preferred_element_type="int32"),
         [fixed([[1e20], [-1e20], [np.nan], [3e4]]), fixed([[1.0, 3e4]])], FLOATS),
    Case("complex_preferred_float32",
         lambda x, y: lax.dot(x, y, preferred_element_type="float32"), [normal(3, 5), normal(5, 4)], COMPLEX,
         accumulates=True),
    Case("complex_preferred_int32",
         lambda x, y: lax.dot(x, y, preferred_element_type="int32"), [halves(3, 5), halves(5, 4)], COMPLEX),
    Case("preferred_int32_full_range",
         lambda x, y: lax.dot(x, y, preferred_element_type="int32"),
         [full_range(3, 300), full_range(300, 4)], ("int8", "uint8")),
    Case("mixed_dtypes",
         lambda x, y: lax.dot_general(x, y, (((1,), (0,)), ((), ())), preferred_element_type="float32"),
         [normal(3, 5), normal(5, 4, dtype="float32")], ("bfloat16", "float16"), accumulates=True),
    Case("large_integer_sums", lambda x, y: x @ y,
         [lambda g, d: g.integers(0, 2**20, (2, 40)).astype(d),
          lambda g, d: g.integers(0, 2**9, (40, 2)).astype(d)], ("int32", "uint32")),
    Case("float32_is_not_tf32",
         lambda x, y: lax.dot(x, y, precision=lax.Precision.HIGHEST),
         [normal(8, 64), normal(64, 8)], accumulates=True),
    Case("einsum_path", lambda x, y, z: jnp.einsum("bij,bjk,kl->bil", x, y, z),
         [normal(2, 3, 4), normal(2, 4, 5), normal(5, 2)], gradient=True, accumulates=True),
    Case("matmul_broadcasts_batch", jnp.matmul, [normal(2, 1, 3, 4), normal(5, 4, 2)],
         gradient=True, accumulates=True),
    Case("tensordot", lambda x, y: jnp.tensordot(x, y, axes=((0, 2), (1, 0))),
         [normal(3, 2, 4), normal(4, 3, 5)], gradient=True, accumulates=True),
    Case("ragged_dot",
         lambda x, y: lax.ragged_dot(x, y, jnp.array([2, 0, 3], jnp.int32)),
         [normal(5, 4), normal(3, 4, 2)], gradient=True, accumulates=True),
]  # fmt: skip

test_value, test_gradient = suite(CASES)
