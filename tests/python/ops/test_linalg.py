"""cholesky, triangular_solve and what JAX builds on them (src/lower/linalg)."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.scipy import linalg as scipy_linalg

from ops.harness import Case, fixed, normal, suite

REAL_AND_COMPLEX = ("float32", "complex64")


def positive_definite(*shape):
    """Well-conditioned Hermitian matrices: the result is as exact as the arithmetic."""

    def make(generator, dtype):
        factor = normal(*shape)(generator, dtype) / 2
        return (factor @ np.conj(np.swapaxes(factor, -1, -2)) + 2 * np.eye(shape[-1])).astype(dtype)

    return make


def triangular(*shape):
    """Full matrices whose triangles both are well conditioned."""
    return lambda generator, dtype: (
        normal(*shape)(generator, dtype) / 4 + 2 * np.eye(shape[-1])
    ).astype(dtype)


def solve(a, b, **options):
    return lax.linalg.triangular_solve(a, b, **options)


OPTIONS = [
    (left, lower, transpose, conjugate, unit)
    for left in (True, False)
    for lower in (True, False)
    for transpose, conjugate in ((False, False), (True, False), (True, True))
    for unit in (True, False)
]

CASES = [
    Case("cholesky", lax.linalg.cholesky, [positive_definite(5, 5)], REAL_AND_COMPLEX, gradient=True,
         accumulates=True),
    Case("cholesky_batch", lax.linalg.cholesky, [positive_definite(2, 3, 4, 4)], REAL_AND_COMPLEX,
         gradient=True, accumulates=True),
    Case("cholesky_upper_is_ignored",
         lambda a: lax.linalg.cholesky(jnp.tril(a), symmetrize_input=False), [positive_definite(4, 4)],
         REAL_AND_COMPLEX, accumulates=True),
    Case("cholesky_one", lax.linalg.cholesky, [fixed([[4.0]])], REAL_AND_COMPLEX),
    Case("cholesky_empty", lax.linalg.cholesky, [normal(0, 0)]),
    Case("cholesky_empty_batch", lax.linalg.cholesky, [normal(0, 3, 3)]),
    Case("cholesky_not_positive", lax.linalg.cholesky, [fixed([[1.0, 2.0], [2.0, 1.0]])],
         REAL_AND_COMPLEX),
    Case("cholesky_one_of_batch_not_positive", lax.linalg.cholesky,
         [fixed([[[4.0, 1.0], [1.0, 3.0]], [[1.0, 2.0], [2.0, 1.0]], [[0.0, 0.0], [0.0, 1.0]]])],
         accumulates=True),
    # Which of the other elements are NaN depends on the LAPACK behind XLA:CPU.
    Case("cholesky_nan", lambda a: lax.linalg.cholesky(a)[1:], [fixed([[1.0, np.nan], [np.nan, 1.0]])]),
    *(
        Case("triangular_solve_"
             f"{'left' if left else 'right'}_{'lower' if lower else 'upper'}"
             f"{'_conjugate' if conjugate else ''}{'_transpose' if transpose else ''}"
             f"{'_unit' if unit else ''}",
             functools.partial(solve, left_side=left, lower=lower, transpose_a=transpose,
                               conjugate_a=conjugate, unit_diagonal=unit),
             [triangular(4, 4), normal(4, 3) if left else normal(3, 4)],
             REAL_AND_COMPLEX if transpose or not unit else ("float32",),
             gradient=not unit and lower, accumulates=True)
        for left, lower, transpose, conjugate, unit in OPTIONS
    ),
    Case("triangular_solve_batch", functools.partial(solve, left_side=True, lower=True),
         [triangular(2, 3, 4, 4), normal(2, 3, 4, 2)], gradient=True, accumulates=True),
    Case("triangular_solve_empty", functools.partial(solve, left_side=True, lower=True),
         [triangular(4, 4), normal(4, 0)]),
    Case("triangular_solve_singular", functools.partial(solve, left_side=True, lower=True),
         [fixed([[1.0, 0.0], [3.0, 0.0]]), fixed([[1.0], [2.0]])]),
    Case("triangular_solve_other_triangle_is_not_read",
         functools.partial(solve, left_side=True, lower=True),
         [fixed([[2.0, np.nan], [1.0, 4.0]]), normal(2, 2)], accumulates=True),
    Case("solve_triangular_vector", lambda a, b: scipy_linalg.solve_triangular(a, b, lower=True),
         [triangular(4, 4), normal(4)], gradient=True, accumulates=True),
    Case("cho_solve", lambda a, b: scipy_linalg.cho_solve(scipy_linalg.cho_factor(a, lower=True), b),
         [positive_definite(4, 4), normal(4)], gradient=True, accumulates=True),
    Case("multivariate_normal",
         lambda a, x: jax.scipy.stats.multivariate_normal.logpdf(x, jnp.zeros(3, x.dtype), a),
         [positive_definite(3, 3), normal(3)], gradient=True, accumulates=True),
]  # fmt: skip

test_value, test_gradient = suite(CASES)
