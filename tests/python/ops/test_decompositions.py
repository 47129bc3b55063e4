"""Decompositions and what JAX builds on them (src/lower/linear_algebra, crates/lapack).

Factors that are unique by LAPACK's conventions (QR, LU, Hessenberg) are compared as they are;
vectors, which are determined up to a phase, by what they rebuild and by their magnitudes.
"""

import functools
import inspect

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from jax._src.lax.linalg import geqp3
from jax.scipy import linalg as scipy_linalg

from ops.harness import Case, device_under_test, evaluate, fixed, normal, reference_device, suite

REAL_AND_COMPLEX = ("float32", "complex64", "float64")
REAL = ("float32", "float64")
# Products and inverses of factors magnify rounding by the condition of a random matrix.
CONDITION = 100.0


def adjoint(a):
    return jnp.conj(jnp.swapaxes(a, -1, -2))


def product(*factors):
    return functools.reduce(functools.partial(jnp.matmul, precision="highest"), factors)


def hermitian(*shape):
    def make(generator, dtype):
        a = normal(*shape)(generator, dtype)
        return (a + np.conj(np.swapaxes(a, -1, -2)) + np.diag(3.0 * np.arange(shape[-1]))).astype(dtype)

    return make


def spread(*shape):
    """Matrices whose eigenvalues and singular values lie apart."""

    def make(generator, dtype):
        a = normal(*shape)(generator, dtype) / 4
        return (a + np.eye(*shape[-2:]) * (1.0 + np.arange(shape[-1]))).astype(dtype)

    return make


def qr(a, **options):
    q, r = jnp.linalg.qr(a, **options)
    return q, r, product(q, r), product(adjoint(q), q)


def pivoted_qr(a, mode="full"):
    q, r, columns = scipy_linalg.qr(a, pivoting=True, mode=mode)
    return q, r, columns, product(q, r)


def lu(a):
    factors, pivots, permutation = lax.linalg.lu(a)
    return factors, pivots, permutation


def eigh(a, **options):
    v, w = lax.linalg.eigh(a, **options)
    return w, product(v * w[..., None, :].astype(v.dtype), adjoint(v)), product(adjoint(v), v), jnp.abs(v)


def svd(a, **options):
    u, s, vh = jnp.linalg.svd(a, **options)
    k = s.shape[-1]
    rebuilt = product(u[..., :, :k] * s[..., None, :].astype(u.dtype), vh[..., :k, :])
    return s, rebuilt, product(adjoint(u), u), product(vh, adjoint(vh))


def svd_gradient(a):
    u, s, vh = jnp.linalg.svd(a, full_matrices=False)
    return product(u * jnp.sin(s)[..., None, :].astype(u.dtype), vh)


def svd_by_qr(a):
    u, s, vh = lax.linalg.svd(a, full_matrices=False, algorithm=lax.linalg.SvdAlgorithm.QR)
    return s, product(u * s[..., None, :].astype(u.dtype), vh)


def in_order(w):
    return jnp.sort(jnp.real(w)), jnp.sort(jnp.imag(w))


def eig(a):
    w, v = jnp.linalg.eig(a)
    vector_lengths = jnp.sum(jnp.abs(v) ** 2, -2)
    residual = product(a.astype(v.dtype), v) - v * w[..., None, :]
    return in_order(w), vector_lengths, residual


def eig_left(a):
    w, left, right = lax.linalg.eig(a, compute_left_eigenvectors=True, compute_right_eigenvectors=True)
    residual = product(adjoint(left), a.astype(left.dtype)) - w[..., :, None] * adjoint(left)
    return in_order(w), residual, product(a.astype(right.dtype), right) - right * w[..., None, :]


def schur(a, output="real"):
    t, z = scipy_linalg.schur(a, output=output)
    return product(z, t, adjoint(z)), product(adjoint(z), z), jnp.sort(jnp.real(jnp.diagonal(t)))


def hessenberg(a):
    h, q = scipy_linalg.hessenberg(a, calc_q=True)
    return h, q, product(q, h, adjoint(q))


def tridiagonal(a, lower):
    return lax.linalg.tridiagonal(a, lower=lower)


def tridiagonal_solve(below, diagonal, above, b):
    return lax.linalg.tridiagonal_solve(below, diagonal + 4, above, b)


def multiply_by_q(a, c, **options):
    packed, taus = jnp.linalg.qr(a, mode="raw")
    return lax.linalg.ormqr(jnp.swapaxes(packed, -1, -2), taus, c, **options)


SHAPES = [(4, 4), (6, 3), (3, 6), (2, 5, 3), (1, 1), (40, 33)]

CASES = [
    *[
        Case(f"qr_{mode}_{'x'.join(map(str, shape))}", functools.partial(qr, mode=mode), [normal(*shape)],
             REAL_AND_COMPLEX, accumulates=True, conditioning=CONDITION)
        for mode in ("reduced", "complete")
        for shape in SHAPES
    ],
    Case("qr_r", lambda a: jnp.linalg.qr(a, mode="r"), [normal(7, 3)], REAL_AND_COMPLEX, accumulates=True,
         conditioning=CONDITION),
    Case("qr_raw", lambda a: jnp.linalg.qr(a, mode="raw"), [normal(5, 4)], REAL_AND_COMPLEX, accumulates=True,
         conditioning=CONDITION),
    Case("qr_empty", jnp.linalg.qr, [normal(0, 3)]),
    Case("qr_no_columns", functools.partial(jnp.linalg.qr, mode="complete"), [normal(2, 3, 0)]),
    Case("qr_empty_batch", jnp.linalg.qr, [normal(0, 3, 3)]),
    Case("qr_gradient", jnp.linalg.qr, [spread(5, 3)], REAL_AND_COMPLEX, gradient=True, accumulates=True,
         conditioning=CONDITION),
    *[
        Case(f"pivoted_qr_{'x'.join(map(str, shape))}", functools.partial(pivoted_qr, mode=mode), [normal(*shape)],
             REAL_AND_COMPLEX, accumulates=True, conditioning=CONDITION)
        for mode, shape in (("full", (4, 4)), ("economic", (6, 3)), ("economic", (3, 6)))
    ],
    Case("geqp3_fixed_columns", lambda a: geqp3(a, jnp.array([0, 0, 1, 0], "int32")), [normal(5, 4)],
         REAL_AND_COMPLEX, accumulates=True, conditioning=CONDITION),
    *[
        Case(f"lu_{'x'.join(map(str, shape))}", lu, [normal(*shape)], REAL_AND_COMPLEX, accumulates=True,
             conditioning=CONDITION)
        for shape in SHAPES
    ],
    Case("lu_gradient", lambda a: lax.linalg.lu(a)[0], [spread(2, 4, 4)], REAL_AND_COMPLEX, gradient=True,
         accumulates=True, conditioning=CONDITION),
    Case("lu_singular", lu, [fixed([[1.0, 2.0], [2.0, 4.0]])], REAL_AND_COMPLEX),
    Case("lu_zero", lu, [fixed(np.zeros((3, 3)))], REAL_AND_COMPLEX),
    Case("lu_empty", lu, [normal(0, 3)]),
    Case("lu_no_columns", lu, [normal(2, 3, 0)]),
    Case("lu_pivots_to_permutation", lambda p: lax.linalg.lu_pivots_to_permutation(p, 6),
         [fixed([[3, 3, 4, 3], [0, 1, 2, 3], [5, 5, 5, 5]], "int32")]),
    Case("inv_solve", lambda a, b: (jnp.linalg.inv(a), jnp.linalg.solve(a, b), jnp.linalg.slogdet(a)),
         [spread(4, 4), normal(4, 2)], REAL_AND_COMPLEX, gradient=True, accumulates=True, conditioning=CONDITION),
    Case("det", jnp.linalg.det, [spread(4, 4)], REAL_AND_COMPLEX, gradient=True, accumulates=True,
         conditioning=CONDITION),
    *[
        Case(f"eigh_{'lower' if lower else 'upper'}", functools.partial(eigh, lower=lower, symmetrize_input=False),
             [normal(2, 5, 5)], REAL_AND_COMPLEX, accumulates=True, conditioning=CONDITION)
        for lower in (True, False)
    ],
    Case("eigh_large", eigh, [hermitian(70, 70)], REAL, accumulates=True, conditioning=CONDITION),
    Case("eigh_one", eigh, [fixed([[-2.0]])], REAL_AND_COMPLEX),
    Case("eigh_empty", eigh, [normal(0, 0)], REAL_AND_COMPLEX),
    Case("eigh_empty_batch", eigh, [normal(0, 3, 3)]),
    Case("eigvalsh_gradient", jnp.linalg.eigvalsh, [hermitian(5, 5)], REAL_AND_COMPLEX, gradient=True,
         accumulates=True, conditioning=CONDITION),
    Case("eigh_gradient", lambda a: (lambda w, v: product(v * jnp.sin(w).astype(v.dtype), adjoint(v)))(
         *jnp.linalg.eigh(a)), [hermitian(4, 4)], REAL_AND_COMPLEX, gradient=True, accumulates=True,
         conditioning=CONDITION),
    *[
        Case(f"svd_{'full' if full else 'thin'}_{'x'.join(map(str, shape))}",
             functools.partial(svd, full_matrices=full), [normal(*shape)], REAL_AND_COMPLEX, accumulates=True,
             conditioning=CONDITION)
        for full in (True, False)
        for shape in SHAPES
    ],
    Case("singular_values", lambda a: jnp.linalg.svd(a, compute_uv=False), [normal(2, 6, 4)], REAL_AND_COMPLEX,
         gradient=True, accumulates=True, conditioning=CONDITION),
    Case("svd_by_qr", svd_by_qr, [normal(6, 4)], REAL_AND_COMPLEX, accumulates=True, conditioning=CONDITION),
    Case("svd_gradient", svd_gradient, [spread(5, 3)], REAL_AND_COMPLEX, gradient=True, accumulates=True,
         conditioning=CONDITION),
    Case("svd_rank_one", svd, [fixed(np.outer([1.0, 2.0, 3.0], [1.0, 0.0, -1.0]))], REAL_AND_COMPLEX,
         accumulates=True, conditioning=CONDITION),
    Case("svd_empty", functools.partial(jnp.linalg.svd, full_matrices=True), [normal(3, 0)]),
    Case("svd_empty_batch", functools.partial(jnp.linalg.svd, full_matrices=False), [normal(0, 3, 2)]),
    Case("pinv_rank_norm", lambda a: (jnp.linalg.pinv(a), jnp.linalg.matrix_rank(a), jnp.linalg.norm(a, 2)),
         [normal(5, 3)], REAL_AND_COMPLEX, accumulates=True, conditioning=CONDITION),
    # complex128, which float64 would need, is no type of this platform.
    Case("eig", eig, [spread(2, 5, 5)], ("float32", "complex64"), accumulates=True, conditioning=CONDITION),
    Case("eig_rotation", eig, [fixed([[0.0, -1.0], [1.0, 0.0]])], ("float32", "complex64"), accumulates=True,
         conditioning=CONDITION),
    Case("eig_left", eig_left, [normal(5, 5)], ("float32", "complex64"), accumulates=True, conditioning=CONDITION),
    Case("eigvals_gradient", lambda a: jnp.sort(jnp.real(jnp.linalg.eigvals(a))), [spread(4, 4)],
         ("float32", "complex64"), gradient=True, accumulates=True, conditioning=CONDITION),
    Case("eig_empty", jnp.linalg.eig, [normal(0, 0)], ("float32", "complex64")),
    Case("schur", schur, [normal(6, 6)], REAL_AND_COMPLEX, accumulates=True, conditioning=CONDITION),
    Case("schur_complex", functools.partial(schur, output="complex"), [normal(4, 4)], ("float32", "complex64"),
         accumulates=True, conditioning=CONDITION),
    Case("hessenberg", hessenberg, [normal(6, 6)], REAL_AND_COMPLEX, accumulates=True, conditioning=CONDITION),
    Case("hessenberg_one", lax.linalg.hessenberg, [normal(1, 1)], REAL_AND_COMPLEX),
    Case("tridiagonal_lower", functools.partial(tridiagonal, lower=True), [hermitian(2, 5, 5)], REAL_AND_COMPLEX,
         accumulates=True, conditioning=CONDITION),
    Case("tridiagonal_upper", functools.partial(tridiagonal, lower=False), [hermitian(5, 5)], REAL_AND_COMPLEX,
         accumulates=True, conditioning=CONDITION),
    Case("tridiagonal_solve", tridiagonal_solve, [normal(2, 6), normal(2, 6), normal(2, 6), normal(2, 6, 3)],
         REAL_AND_COMPLEX, gradient=True, accumulates=True, conditioning=CONDITION),
    Case("tridiagonal_solve_needs_pivots", lax.linalg.tridiagonal_solve,
         [fixed([0.0, 1.0, 1.0]), fixed([0.0, 0.0, 1.0]), fixed([1.0, 2.0, 0.0]), normal(3, 2)], REAL_AND_COMPLEX,
         accumulates=True, conditioning=CONDITION),
    Case("tridiagonal_solve_singular", lax.linalg.tridiagonal_solve,
         [fixed([0.0, 0.0]), fixed([0.0, 0.0]), fixed([0.0, 0.0]), fixed([[1.0], [1.0]])], REAL_AND_COMPLEX),
    Case("eigh_tridiagonal", lambda d, e: scipy_linalg.eigh_tridiagonal(d, e, eigvals_only=True),
         [normal(7), normal(6)], REAL, accumulates=True, conditioning=CONDITION),
    Case("not_finite_eigh", lambda a: jnp.linalg.eigh(a), [fixed([[1.0, np.nan], [np.nan, 1.0]])], ("float32",)),
    Case("not_finite_svd", jnp.linalg.svd, [fixed([[1.0, np.nan], [0.0, 1.0]])], ("float32",)),
    Case("not_finite_eig", jnp.linalg.eig, [fixed([[1.0, np.inf], [0.0, 1.0]])], ("float32",)),
]  # fmt: skip

if hasattr(lax.linalg, "ormqr"):  # since 0.10
    CASES += [
        Case(f"ormqr_{'left' if left else 'right'}_{'adjoint' if transpose else 'plain'}",
             functools.partial(multiply_by_q, left=left, transpose=transpose),
             [normal(2, 5, 3), normal(2, 5, 5)], REAL_AND_COMPLEX, accumulates=True, conditioning=CONDITION)
        for left in (True, False)
        for transpose in (True, False)
    ]  # fmt: skip

test_value, test_gradient = suite(CASES)


@pytest.mark.parametrize("scale", [1e-25, 1.0, 1e25])
def test_scale_does_not_matter(scale):
    a = (np.outer([1, 2, 3, 4], [1, 0, -1]) * np.float32(scale)).astype(np.float32)
    q, r = evaluate(jnp.linalg.qr, [a], device_under_test())
    np.testing.assert_allclose(np.asarray(q) @ (np.asarray(r) / scale), a / scale, atol=1e-5)
    u, s, vh = evaluate(functools.partial(jnp.linalg.svd, full_matrices=False), [a], device_under_test())
    np.testing.assert_allclose(np.asarray(u) * (np.asarray(s) / scale) @ np.asarray(vh), a / scale, atol=1e-5)


def test_exported_programs_know_the_calls_as_stable():
    """Symbolic shapes too: the calls are those whose stability JAX promises."""
    platforms = [device_under_test().platform, "cpu"]
    (n,) = jax.export.symbolic_shape("n")
    for function in (jnp.linalg.svd, jnp.linalg.eigh, jnp.linalg.qr, jnp.linalg.slogdet):
        shape = jax.ShapeDtypeStruct((n, n), np.float32)
        leaves = jax.jit(lambda a, function=function: jax.tree.leaves(function(a)))
        exported = jax.export.export(leaves, platforms=sorted(set(platforms)))(shape)
        again = jax.export.deserialize(exported.serialize())
        a = np.diag(np.arange(1.0, 5.0)).astype(np.float32) + 0.1
        a = (a + a.T) / 2
        got, want = (evaluate(again.call, [a], where) for where in (device_under_test(), reference_device()))
        for one, other in zip(jax.tree.leaves(got), jax.tree.leaves(want), strict=True):
            np.testing.assert_allclose(np.abs(one), np.abs(other), atol=1e-4)


@pytest.mark.skipif(
    "perturb_singular" not in inspect.signature(lax.linalg.tridiagonal_solve).parameters, reason="since jax 0.10"
)
@pytest.mark.parametrize("dtype", [np.float32, np.complex64])
def test_singular_tridiagonal_systems_are_perturbed(dtype):
    """Inverse iteration with an exact eigenvalue finds its vector."""
    rng = np.random.default_rng(3)
    n = 6
    diagonal = rng.standard_normal(n).astype(dtype)
    beside = (rng.standard_normal(n - 1) + 1j * rng.standard_normal(n - 1)).astype(np.complex64)
    beside = (beside if dtype == np.complex64 else beside.real).astype(dtype)
    matrix = np.diag(diagonal) + np.diag(beside, 1) + np.diag(np.conj(beside), -1)
    below, above = np.append(dtype(0), np.conj(beside)), np.append(beside, dtype(0))
    for eigenvalue in np.linalg.eigvalsh(matrix.astype(np.complex128)):
        x = np.ones((n, 1), dtype)
        for _ in range(2):
            solve = functools.partial(lax.linalg.tridiagonal_solve, perturb_singular=True)
            shifted = (diagonal - eigenvalue).astype(dtype)
            x = np.asarray(evaluate(solve, [below, shifted, above, x], device_under_test()))
            x = x / np.linalg.norm(x)
        np.testing.assert_allclose(matrix @ x, x * eigenvalue, atol=1e-5)


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("function", [jnp.linalg.eigh, jnp.linalg.svd, jnp.linalg.eig, scipy_linalg.schur])
def test_what_is_not_finite_spoils_its_own_matrix(function, value):
    """All of its results are NaN (of infinities XLA:CPU leaves vectors that mean nothing)."""
    a = np.stack([np.eye(3), np.ones((3, 3)), np.diag([1.0, 2.0, 3.0])]).astype(np.float32)
    a[1, 2, 0] = a[1, 0, 2] = value
    for got in jax.tree.leaves(evaluate(function, [a], device_under_test())):
        finite = np.isfinite(got).reshape(3, -1)
        assert finite[[0, 2]].all() and not finite[1].any()


def test_many_small_matrices():
    a = np.random.default_rng(1).standard_normal((3000, 3, 3)).astype(np.float32)
    s = evaluate(jax.jit(functools.partial(jnp.linalg.svd, compute_uv=False)), [a], device_under_test())
    np.testing.assert_allclose(s, np.linalg.svd(a, compute_uv=False), atol=1e-5)
