"""A mask times NaN or infinity, as XLA's algebraic simplifier has it (src/passes/masks.rs).

Compiled, ``x * mask.astype(x.dtype)`` is a choice between x and +0 on XLA; op by op it is a
product, so that NaN times False is NaN.  Each case is run in both ways.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from ops.harness import describe, device_under_test, evaluate, precision_of, reference_device

X = np.array([np.nan, np.inf, -1.0, -np.inf, -0.0, np.nan], np.float32)
M = np.array([False, False, False, True, True, True])
ROWS = np.stack([X, X])


def times(x, mask):
    return x * mask.astype(x.dtype)


CASES = {
    "product": (times, X, M),
    "mask_first": (lambda x, m: m.astype(x.dtype) * x, X, M),
    "promoted": (lambda x, m: x * m, X, M),
    "computed": (lambda x, y: times(x, y > 0), X, np.array([-1, -1, -1, 1, 1, 1], np.float32)),
    "scalar": (times, np.float32(np.nan), np.bool_(False)),
    "empty": (times, X[:0], M[:0]),
    "nested_jit": (lambda x, m: jax.jit(lambda x, k: x * k)(x, m.astype(x.dtype)), X, M),
    "gradient": (
        lambda x, m: jax.grad(lambda x: jnp.sum(times(jnp.sqrt(x), m)))(x),
        np.zeros(6, np.float32),
        M,
    ),
    "gradient_of_vmap": (
        lambda x, m: jax.vmap(jax.grad(lambda x, m: times(1 / x, m)))(x, m),
        np.zeros(6, np.float32),
        M,
    ),
    "vmap": (jax.vmap(times), ROWS, np.stack([M, ~M])),
    "vmap_of_one_mask": (jax.vmap(times, in_axes=(0, None)), ROWS, M),
    "scan": (lambda x, m: lax.scan(lambda c, t: (c, times(*t)), 0.0, (x, m))[1], X, M),
    "loop": (lambda x, m: lax.fori_loop(0, 3, lambda _, x: times(x, m), x), X, M),
    "cond": (lambda x, m: lax.cond(m.sum() > 0, lambda: times(x, m), lambda: x), X, M),
    "iota": (lambda x: times(x, lax.iota(jnp.int32, 6) > 3), X),
    "eye": (lambda x: x * jnp.eye(2, 3), X.reshape(2, 3)),
    "one_hot": (lambda x, i: x * jax.nn.one_hot(i, 6), X, np.int32(4)),
    "einsum": (lambda x, m: jnp.einsum("i,i->i", x, m.astype(x.dtype)), X, M),
    "reshaped": (lambda x, m: times(x, m.reshape(6)), X, M.reshape(2, 3)),
    "reshaped_number": (lambda x, m: x * m.astype(x.dtype).reshape(6), X, M.reshape(2, 3)),
    "both_reshaped": (
        lambda x, m: x.reshape(2, 3) * m.astype(x.dtype).reshape(2, 3),
        X,
        M,
    ),
    "both_transposed": (lambda x, m: x.T * m.astype(x.dtype).T, X.reshape(2, 3), M.reshape(2, 3)),
    "both_sliced": (lambda x, m: x[:3] * m.astype(x.dtype)[:3], X, M),
    "transposed": (lambda x, m: times(x, m.T), X.reshape(2, 3), M.reshape(3, 2)),
    "broadcast": (lambda x, m: x * m.astype(x.dtype)[None], ROWS, M),
    "broadcast_boolean": (lambda x, m: times(x, jnp.broadcast_to(m, x.shape)), ROWS, M),
    "broadcast_column": (lambda x, m: x * m.astype(x.dtype)[:, None], ROWS.T.copy(), M),
    "broadcast_scalar": (lambda x, m: x * m, X, np.bool_(False)),
    "broadcast_axis_of_one": (
        lambda x, m: times(x, lax.broadcast_in_dim(m, (1, 6), (1,))),
        X[None],
        M,
    ),
    "both_broadcast": (
        lambda x, m: jnp.broadcast_to(x, (2, 6)) * jnp.broadcast_to(m.astype(x.dtype), (2, 6)),
        X,
        M,
    ),
    "both_broadcast_differently": (
        lambda x, m: (
            lax.broadcast_in_dim(x, (6, 6), (0,))
            * lax.broadcast_in_dim(m.astype(x.dtype), (6, 6), (1,))
        ),
        X,
        M,
    ),
    "constant_mask": (lambda x: times(x, jnp.asarray(M)), X),
    "constant_number": (lambda m: times(jnp.full(6, -np.inf, jnp.float32), m), M),
    "by_way_of_integers": (lambda x, m: x * m.astype(jnp.int32).astype(x.dtype), X, M),
    "negated": (lambda x, m: x * -m.astype(x.dtype), X, M),
    "one_minus": (lambda x, m: x * (1 - m.astype(x.dtype)), X, ~M),
    "twice_the_mask": (lambda x, m: x * (2 * m.astype(x.dtype)), X, M),
    "twice_the_product": (lambda x, m: 2 * times(x, m), X, M),
    "mask_of_mask": (lambda x, m: m.astype(x.dtype) * m.astype(x.dtype) * x, X, M),
    "minus_one": (lambda m: m.astype(jnp.float32) * -1.0, M),
    "used_twice": (lambda x, m: (lambda k: x * k + k)(m.astype(x.dtype)), X, M),
    "divided": (lambda x, m: x / m.astype(x.dtype), X, M),
    "behind_a_barrier": (lambda x, m: x * lax.optimization_barrier(m.astype(x.dtype)), X, M),
}


def assert_same(got, want):
    got, want = (np.asarray(each) for each in (got, want))
    assert got.dtype == want.dtype and got.shape == want.shape
    exact = np.complex128 if want.dtype.kind == "c" else np.float64
    one, other = got.astype(exact), want.astype(exact)
    for left, right in [(one.real, other.real), (one.imag, other.imag)]:
        same = (np.isnan(left) & np.isnan(right)) | (
            (left == right) & (np.signbit(left) == np.signbit(right))
        )
        problem = describe(got, want, ~same, "differ")
        assert not problem, problem


def compare(function, *arguments):
    for each in (jax.jit(function), function):
        want = evaluate(each, arguments, reference_device())
        assert_same(evaluate(each, arguments, device_under_test()), want)


@pytest.mark.parametrize("name", CASES)
def test_masks(name):
    compare(*CASES[name])


@pytest.mark.parametrize("mask_first", [False, True])
@pytest.mark.parametrize(
    "dtype", ["float16", "float32", "float64", "bfloat16", "complex64", "int32"]
)
def test_dtypes(dtype, mask_first):
    with precision_of(np.dtype(dtype)):
        finite = np.where(np.isfinite(X), X, 3) if dtype == "int32" else X
        x = finite.astype(np.dtype(dtype))
        compare((lambda x, m: m.astype(x.dtype) * x) if mask_first else times, x, M)


def test_a_compiled_mask_chooses():
    """The values themselves, so that the reference is not the only witness."""
    product = np.asarray(evaluate(jax.jit(times), [X, M], device_under_test()))
    assert list(product[:3]) == [0, 0, 0] and not np.signbit(product[:3]).any()


IDENTITIES = {
    "times_one": (lambda z: z * 1, np.array([complex(np.inf, 0), 1j], np.complex64)),
    "over_one": (lambda z: z / 1, np.array([complex(np.inf, 0), 1j], np.complex64)),
    "plus_zero": (lambda x: x + 0.0, np.array([-0.0, 1.0], np.float32)),
    "minus_zero": (lambda x: x - 0.0, np.array([-0.0, 1.0], np.float32)),
    "zero_minus": (lambda x: 0.0 - x, np.array([-0.0, 0.0, 1.0], np.float32)),
    "sum_over_one": (lambda x: jnp.sum(x[:, None], axis=1), np.array([-0.0, 1.0], np.float32)),
}


@pytest.mark.parametrize("name", IDENTITIES)
def test_identities(name):
    compare(*IDENTITIES[name])
