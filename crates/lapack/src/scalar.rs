//! The number types, and what each routine takes.

use std::fmt::Debug;

use num_complex::Complex;

use crate::{Error, SingularVectors, SvdMethod, Triangle, TriangularSystem};

/// A real number type.
pub trait Real: Scalar<Real = Self> + std::ops::Neg<Output = Self> {
    /// x of a tridiagonal system `A x = b` in place of each column of b (n rows), where pivots too small to divide by
    /// are made larger: a solution even if A is singular. `below[i]` and `above[i]` stand in row i; `below[0]` and the
    /// last of `above` are not read.
    ///
    /// # Errors
    /// [`Error`].
    fn tridiagonal_solve_perturbed(
        n: usize,
        below: &[Self],
        diagonal: &[Self],
        above: &[Self],
        b: &mut [Self],
    ) -> Result<i32, Error>;
}

/// A number type with its routines. `info` is returned: 0, or positive as LAPACK's documentation says.
pub trait Scalar: Copy + Default + Debug + PartialEq + Send + Sync + 'static {
    /// The type of its parts.
    type Real: Real;

    /// The number 1.
    const ONE: Self;

    /// The real part.
    fn real(self) -> f64;
    /// Neither infinite nor NaN.
    fn finite(self) -> bool;

    /// LU with partial pivoting in place of A (m by n); `pivots[i]` is the row, counted from 1, that row i was swapped
    /// with.
    ///
    /// # Errors
    /// [`Error`].
    fn getrf(m: usize, n: usize, a: &mut [Self], pivots: &mut [i32]) -> Result<i32, Error>;

    /// QR in LAPACK's packed form in place of A (m by n), min(m, n) taus.
    ///
    /// # Errors
    /// [`Error`].
    fn geqrf(m: usize, n: usize, a: &mut [Self], taus: &mut [Self]) -> Result<i32, Error>;

    /// QR of A with its columns in the order `columns` (counted from 1). On entry columns that are not 0 are moved to
    /// the front.
    ///
    /// # Errors
    /// [`Error`].
    fn geqp3(m: usize, n: usize, a: &mut [Self], columns: &mut [i32], taus: &mut [Self]) -> Result<i32, Error>;

    /// The first n columns of Q (m by n) from a packed QR with as many reflectors as taus (orgqr, ungqr).
    ///
    /// # Errors
    /// [`Error`].
    fn orgqr(m: usize, n: usize, a: &mut [Self], taus: &[Self]) -> Result<i32, Error>;

    /// `op(Q) C` (left) or `C op(Q)` in place of C (m by n), with Q of a packed QR; op is the adjoint or nothing.
    ///
    /// # Errors
    /// [`Error`].
    fn ormqr(
        left: bool,
        adjoint: bool,
        size: (usize, usize),
        a: &[Self],
        taus: &[Self],
        c: &mut [Self],
    ) -> Result<i32, Error>;

    /// The packed Hessenberg form of A (n by n) between rows `low` and `high` (from 1), n - 1 taus.
    ///
    /// # Errors
    /// [`Error`].
    fn gehrd(n: usize, low: usize, high: usize, a: &mut [Self], taus: &mut [Self]) -> Result<i32, Error>;

    /// The packed tridiagonal form of a symmetric or Hermitian matrix, its diagonal, the n - 1 elements beside it and
    /// taus (sytrd, hetrd).
    ///
    /// # Errors
    /// [`Error`].
    fn sytrd(
        triangle: Triangle,
        n: usize,
        a: &mut [Self],
        diagonal: &mut [Self::Real],
        beside: &mut [Self::Real],
        taus: &mut [Self],
    ) -> Result<i32, Error>;

    /// x of a tridiagonal system by Gaussian elimination with partial pivoting, in place of the columns of b; `below`
    /// and `above` have n - 1 elements.
    ///
    /// # Errors
    /// [`Error`].
    fn gtsv(
        n: usize,
        below: &mut [Self],
        diagonal: &mut [Self],
        above: &mut [Self],
        b: &mut [Self],
    ) -> Result<i32, Error>;

    /// The Cholesky factor in place of the triangle of A (n by n); the other one is neither read nor written. Positive if
    /// A is not positive definite.
    ///
    /// # Errors
    /// [`Error`].
    fn potrf(triangle: Triangle, n: usize, a: &mut [Self]) -> Result<i32, Error>;

    /// X of a triangular system in place of B (m by n). What the diagonal has of zeros is divided by, but where B is zero.
    ///
    /// # Errors
    /// [`Error`].
    fn trsm(system: TriangularSystem, size: (usize, usize), a: &[Self], b: &mut [Self]) -> Result<(), Error>;

    /// Singular values in descending order, with U and Vᴴ as asked for; A (m by n) is lost.
    ///
    /// # Errors
    /// [`Error`].
    fn svd(
        method: SvdMethod,
        vectors: SingularVectors,
        size: (usize, usize),
        a: &mut [Self],
        values: &mut [Self::Real],
        u: &mut [Self],
        vh: &mut [Self],
    ) -> Result<i32, Error>;

    /// Eigenvalues in ascending order, and the vectors in place of A, of a symmetric or Hermitian matrix (syevd,
    /// heevd).
    ///
    /// # Errors
    /// [`Error`].
    fn syevd(
        vectors: bool,
        triangle: Triangle,
        n: usize,
        a: &mut [Self],
        values: &mut [Self::Real],
    ) -> Result<i32, Error>;

    /// Eigenvalues, and left and right eigenvectors into the slices that have elements; A is lost.
    ///
    /// # Errors
    /// [`Error`].
    fn geev(
        n: usize,
        a: &mut [Self],
        values: &mut [Complex<Self::Real>],
        left: &mut [Complex<Self::Real>],
        right: &mut [Complex<Self::Real>],
    ) -> Result<i32, Error>;

    /// The Schur form in place of A, with its eigenvalues, and the Schur vectors if that slice has elements.
    ///
    /// # Errors
    /// [`Error`].
    fn gees(n: usize, a: &mut [Self], vectors: &mut [Self], values: &mut [Complex<Self::Real>]) -> Result<i32, Error>;
}
