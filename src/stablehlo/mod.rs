//! What jaxlib sends.
#![forbid(unsafe_code)]

/// Why bytes are no program.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct ReadError(String);

/// Reads a program.
///
/// # Errors
/// Always, until the reader is in place.
pub fn read(_bytes: &[u8]) -> Result<crate::program::Program, ReadError> {
    Err(ReadError("no reader".to_owned()))
}
