//! Bytes to a module.
#![forbid(unsafe_code)]

use stablehlo_c::melior::Context;
use stablehlo_c::melior::ir::attribute::IntegerAttribute;
use stablehlo_c::melior::ir::operation::{OperationLike, OperationMutLike, OperationRefMut};
use stablehlo_c::melior::ir::r#type::IntegerType;
use stablehlo_c::melior::ir::{BlockLike, Module, RegionLike};
use stablehlo_c::{deserialize, identifier_bytes, parse};

use super::diagnostics::checked;
use crate::stablehlo::ReadError;
use crate::stablehlo::shared::{Foreign, MAGIC};

/// The attribute that holds the number of an op of Shardy's in [`Foreign::ops`].
pub(super) const FOREIGN: &str = "jax_mps.foreign";

/// A module, and what MLIR cannot hold of it.
pub(super) struct Loaded<'c> {
    pub module: Module<'c>,
    pub foreign: Foreign,
}

/// Reads bytecode or text and runs MLIR's verifier.
pub(super) fn load<'c>(context: &'c Context, bytes: &[u8]) -> Result<Loaded<'c>, ReadError> {
    let loaded = if bytes.starts_with(&MAGIC) {
        let (copy, foreign) = Foreign::split(bytes)?;
        let mut module = checked(context, "reading the bytecode", || deserialize(context, &copy))?;
        number_foreign(context, &mut module, &foreign)?;
        Loaded { module, foreign }
    } else {
        let text = std::str::from_utf8(bytes)
            .map_err(|error| ReadError::malformed(error.valid_up_to(), "neither MLIR bytecode nor text in UTF-8"))?;
        if text.trim().is_empty() {
            // MLIR reads an empty module.
            return Err(ReadError::malformed(0, "expected MLIR bytecode or text, came nothing"));
        }
        Loaded { module: checked(context, "parsing the text", || parse(context, text))?, foreign: Foreign::default() }
    };
    checked(context, "verifying", || loaded.module.as_operation().verify().then_some(()))?;
    Ok(loaded)
}

/// Gives each op of Shardy's its number, by its position among them.
fn number_foreign<'c>(context: &'c Context, module: &mut Module<'c>, foreign: &Foreign) -> Result<(), ReadError> {
    let mut next = 0;
    let matches = visit(context, module.as_operation_mut(), foreign, &mut next);
    if matches && next == foreign.ops.len() {
        return Ok(());
    }
    Err(ReadError::malformed(0, "MLIR reads other ops of Shardy's than the bytes hold"))
}

/// Ops in the order of the file, outer ones first; false when one is not the expected one.
fn visit<'c>(context: &'c Context, mut op: OperationRefMut<'c, '_>, foreign: &Foreign, next: &mut usize) -> bool {
    let name = identifier_bytes(op.name());
    if let Some(name) = name.strip_prefix(b"sdy.") {
        if foreign.ops.get(*next).is_none_or(|expected| expected.name.as_bytes() != name) {
            return false;
        }
        let ty = IntegerType::new(context, 64).into();
        op.set_discardable_attribute(FOREIGN, IntegerAttribute::new(ty, *next as i64).into());
        *next += 1;
    }
    for index in 0..op.region_count() {
        let Ok(region) = op.region(index) else { return false };
        let mut block = region.first_block();
        while let Some(each) = block {
            let mut inner = each.first_operation_mut();
            while let Some(op) = inner {
                inner = op.next_in_block_mut();
                if !visit(context, op, foreign, next) {
                    return false;
                }
            }
            block = each.next_in_region();
        }
    }
    true
}
