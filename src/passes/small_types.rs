//! Placeholder order in the pipeline for the legalisation of small types.
#![forbid(unsafe_code)]

use crate::lower::LowerError;
use crate::program::Program;

pub(super) fn run(_program: &mut Program) -> Result<(), LowerError> {
    Ok(())
}
