//! What JAX and other clients send: StableHLO as MLIR bytecode of the VHLO dialect, of the versions from [`OLDEST`] to
//! [`NEWEST`], with Shardy's attributes and ops.
//!
//! `bytecode` decodes the container into a generic tree; `convert` makes the typed program of it, with the tables of
//! `vhlo` and `sdy`; the rest converts types, attributes, constants and locations.
#![forbid(unsafe_code)]

mod attributes;
mod bytecode;
mod context;
mod convert;
mod error;
#[cfg(feature = "mlir")]
mod foreign;
mod literal;
mod locations;
mod sdy;
#[cfg(test)]
mod tests;
mod types;
mod vhlo;

pub use error::ReadError;
pub use vhlo::{NEWEST, OLDEST, Version};

/// What the second reader shares with this one: the tables of op forms, and the parts of a file that MLIR cannot read.
#[cfg(feature = "mlir")]
pub(crate) mod shared {
    pub(crate) use super::bytecode::{AttributeId, MAGIC};
    pub(crate) use super::foreign::Foreign;
    pub(crate) use super::literal::literal;
    pub(crate) use super::sdy::{find as find_sharding_form, take_mesh};
    pub(crate) use super::types::element_of_name;
    pub(crate) use super::vhlo::{Count, EnumKind, Failure, Field, Fields, Form, Source, build, find_unversioned};
}

use crate::program::{Program, verify};

/// Reads a program from MLIR bytecode and verifies it.
///
/// # Errors
/// Bytes that are no MLIR bytecode of container version 0 to 6; ops, attributes or types that are of no version
/// from [`OLDEST`] to [`NEWEST`] and not of Shardy; violations of their rules. The errors name position or op and the user's source line where they are known.
pub fn read(bytes: &[u8]) -> Result<Program, ReadError> {
    let module = bytecode::Module::parse(bytes)?;
    let program = convert::convert(&module, bytes.len())?;
    verify::verify(&program)?;
    Ok(program)
}
