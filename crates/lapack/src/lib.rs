//! Matrix decompositions by the LAPACK that MLX itself computes with: the reference LAPACK of its Linux wheels, the
//! Accelerate framework on macOS.
//!
//! Matrices are column-major and dense: element (row, column) of m rows lies at `row + column * m`. Results are written
//! in place of arguments as LAPACK does, and `info` is handed on: positive when an iteration did not converge or a
//! pivot is zero. Arguments that LAPACK would refuse (its reference ends the process then) are refused here before.

mod call;
mod library;
mod routines;
mod scalar;

pub use num_complex::Complex;
pub use scalar::{Real, Scalar};

/// Why a routine was not run.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The LAPACK at hand lacks the routine.
    #[error("the LAPACK of the MLX library that is loaded has no routine {routine}")]
    Missing {
        /// Its name, in lower case.
        routine: &'static str,
    },
    /// A size or a workspace above what LAPACK's 32-bit integers count.
    #[error("a matrix with {size} rows, columns or elements of workspace is too large for LAPACK")]
    TooLarge {
        /// What does not fit.
        size: usize,
    },
    /// A slice whose length is not that of the matrix or vector it stands for.
    #[error("{expected} elements expected, came {came}")]
    Length {
        /// Elements that the sizes given ask for.
        expected: usize,
        /// Elements of the slice.
        came: usize,
    },
    /// Sizes that do not go together.
    #[error("{0}")]
    Sizes(&'static str),
}

/// Which triangle of a symmetric or Hermitian matrix is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Triangle {
    /// The diagonal and what stands below.
    Lower,
    /// The diagonal and what stands above.
    Upper,
}

/// What is done to a matrix before it is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Nothing.
    None,
    /// Rows become columns.
    Transpose,
    /// Rows become columns, of conjugates.
    Adjoint,
}

/// A triangular system of equations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TriangularSystem {
    /// `op(A) X = B`, not `X op(A) = B`.
    pub left: bool,
    /// Which triangle of A is read.
    pub triangle: Triangle,
    /// op.
    pub operation: Operation,
    /// The diagonal of A is not read: it is all ones.
    pub unit_diagonal: bool,
}

/// Which singular vectors are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SingularVectors {
    /// None: U and Vᴴ have no elements.
    None,
    /// As many as there are singular values: U is m by k, Vᴴ is k by n, with k = min(m, n).
    Thin,
    /// All: U is m by m, Vᴴ is n by n.
    Full,
}

/// How the singular values are found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SvdMethod {
    /// Divide and conquer (gesdd).
    DivideAndConquer,
    /// QR iteration (gesvd).
    Qr,
}
