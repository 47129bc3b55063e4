//! Why a program cannot be compiled.
#![forbid(unsafe_code)]

/// An error of the lowering. Its texts name op, types and source line.
#[derive(Clone, Debug, thiserror::Error)]
pub enum LowerError {
    /// A valid program that this backend cannot run (UNIMPLEMENTED).
    #[error("{0}")]
    Unimplemented(String),
    /// A program that breaks a rule of StableHLO (INVALID_ARGUMENT).
    #[error("{0}")]
    Invalid(String),
    /// MLX failed while constants were made (INTERNAL, or RESOURCE_EXHAUSTED when out of memory).
    #[error("while compiling: {0}")]
    Mlx(#[from] crate::mlx::Error),
}
