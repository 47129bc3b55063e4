//! Why a program could not be read.
#![forbid(unsafe_code)]

use crate::program::verify::VerifyError;

/// A program that could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The bytes are not MLIR bytecode, or break its rules.
    #[error("malformed MLIR bytecode at byte {offset}: {message}")]
    Malformed {
        /// Position in the input.
        offset: usize,
        /// What was expected, what came.
        message: String,
    },
    /// Well-formed bytes of a kind that this reader does not know.
    #[error("unsupported MLIR bytecode: {message}")]
    Unsupported {
        /// What came, and what is supported.
        message: String,
    },
    /// The reader that the program needs, or that was asked for, is not part of this build.
    #[error("{message}")]
    Unavailable {
        /// Which, and what helps.
        message: String,
    },
    /// MLIR's parser, verifier or a pass of MLIR refuses the program.
    #[error("invalid program: {message}")]
    Mlir {
        /// What MLIR says, each line with its place.
        message: String,
    },
    /// An op, a function or the module breaks the rules of its dialect.
    #[error("invalid {op} at {location}: {message}")]
    Op {
        /// Name of the op as in the bytecode.
        op: String,
        /// The user's source line where known.
        location: String,
        /// What was expected, what came.
        message: String,
    },
    /// An op (or a form of one) that is not part of the versions of VHLO that are read or of the Shardy
    /// dialect.
    #[error("unsupported op {op} at {location}: {message}")]
    UnsupportedOp {
        /// Name of the op as in the bytecode.
        op: String,
        /// The user's source line where known.
        location: String,
        /// What is supported.
        message: String,
    },
    /// The program breaks a structural rule.
    #[error(transparent)]
    Verify(#[from] VerifyError),
}

impl ReadError {
    /// True for inputs that may be right but are not supported (PJRT status UNIMPLEMENTED); false for wrong ones
    /// (INVALID_ARGUMENT).
    pub fn is_unimplemented(&self) -> bool {
        matches!(self, ReadError::Unsupported { .. } | ReadError::UnsupportedOp { .. } | ReadError::Unavailable { .. })
    }

    /// Shorthand for the commonest error of the container.
    pub(crate) fn malformed(offset: usize, message: impl Into<String>) -> Self {
        ReadError::Malformed { offset, message: message.into() }
    }

    /// Shorthand for what is known to exist but is not read.
    pub(crate) fn unsupported(message: impl Into<String>) -> Self {
        ReadError::Unsupported { message: message.into() }
    }
}
