//! Errors as PJRT knows them.
#![forbid(unsafe_code)]

use crate::lower::LowerError;
use crate::mlx;
use crate::program::CompileError;

/// PJRT_Error_Code, whose numbers are absl's.
#[expect(missing_docs, reason = "the variants are absl's status codes")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    Cancelled = 1,
    Unknown = 2,
    InvalidArgument = 3,
    DeadlineExceeded = 4,
    NotFound = 5,
    AlreadyExists = 6,
    PermissionDenied = 7,
    ResourceExhausted = 8,
    FailedPrecondition = 9,
    Aborted = 10,
    OutOfRange = 11,
    Unimplemented = 12,
    Internal = 13,
    Unavailable = 14,
    DataLoss = 15,
    Unauthenticated = 16,
}

/// A failure with its status code.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    /// Status code.
    pub code: Code,
    /// What was expected, what came, and where.
    pub message: String,
}

impl Error {
    /// An error.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }
}

impl From<mlx::Error> for Error {
    fn from(error: mlx::Error) -> Self {
        if error.is_out_of_memory() {
            return out_of_memory(&error.message);
        }
        Error::new(Code::Internal, error.message)
    }
}

/// With the sizes that MLX knows; its own words have that of the request at best.
fn out_of_memory(message: &str) -> Error {
    let sizes = || -> mlx::Result<String> {
        let (active, cached, limit) = (mlx::memory::active()?, mlx::memory::cached()?, mlx::memory::limit()?);
        Ok(format!("; arrays take {active} bytes, mlx keeps {cached} for reuse and may allocate {limit}"))
    };
    Error::new(Code::ResourceExhausted, format!("out of memory: {message}{}", sizes().unwrap_or_default()))
}

impl From<CompileError> for Error {
    fn from(error: CompileError) -> Self {
        let code = match &error {
            CompileError::Unimplemented(_) => Code::Unimplemented,
            CompileError::Invalid(_) => Code::InvalidArgument,
        };
        Error::new(code, error.to_string())
    }
}

impl From<LowerError> for Error {
    fn from(error: LowerError) -> Self {
        match error {
            LowerError::Program(error) => error.into(),
            LowerError::Mlx(ref inner) if inner.is_out_of_memory() => out_of_memory(&error.to_string()),
            LowerError::Mlx(_) => Error::new(Code::Internal, error.to_string()),
        }
    }
}
