//! The second reader: MLIR itself, through melior. Bytecode or text in, the same [`Program`] out as from
//! [`crate::stablehlo`], which shares with this the tables of op forms and nothing of how files are read.
//!
//! `load` makes a module of bytes, `passes` simplifies it, `walk` turns it into a program; `forms` says how the
//! attributes of StableHLO's ops map to those of the tables.
#![forbid(unsafe_code)]

mod attributes;
mod diagnostics;
mod forms;
mod load;
mod location;
mod passes;
mod source;
#[cfg(test)]
mod tests;
mod types;
mod walk;

use crate::program::{Program, verify};
use crate::stablehlo::ReadError;

/// What runs between reading and the walk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Passes {
    /// Nothing: the program as it was written, for comparison with the other reader.
    None,
    /// MLIR's and StableHLO's simplifications ([`PIPELINE`]).
    Simplify,
}

pub use passes::{PIPELINE, PIPELINE_WITHOUT_SYMBOLS};

/// Reads a program from StableHLO bytecode (of any version up to the library's) or text, and verifies it.
///
/// # Errors
/// What MLIR's parser or verifier refuses, with its message and the place; ops, attributes and types that the program
/// cannot hold, by name.
pub fn read(bytes: &[u8], passes: Passes) -> Result<Program, ReadError> {
    let context = stablehlo_c::context();
    let loaded = load::load(&context, bytes)?;
    let loaded = match passes {
        Passes::None => loaded,
        Passes::Simplify => passes::run(&context, loaded)?,
    };
    let program = walk::walk(&loaded)?;
    verify::verify(&program)?;
    Ok(program)
}
