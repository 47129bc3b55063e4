//! Why the lowering failed.
#![forbid(unsafe_code)]

use crate::program::CompileError;

/// An error of the lowering.
#[derive(Clone, Debug, thiserror::Error)]
pub enum LowerError {
    /// The program cannot be compiled.
    #[error(transparent)]
    Program(#[from] CompileError),
    /// MLX failed while constants were made (INTERNAL, or RESOURCE_EXHAUSTED when out of memory).
    #[error("while compiling: {0}")]
    Mlx(#[from] crate::mlx::Error),
}
