//! Drops ops whose results nobody uses and that have no side effect.
#![forbid(unsafe_code)]

use std::collections::HashSet;

use crate::program::{Block, CompileError, Op, Program, ValueId};

pub(super) fn run(program: &mut Program) -> Result<(), CompileError> {
    for function in &mut program.functions {
        block(&mut function.body, &mut HashSet::new());
    }
    Ok(())
}

fn block(block: &mut Block, used: &mut HashSet<ValueId>) {
    used.extend(block.results.iter().copied());
    let mut kept = Vec::with_capacity(block.ops.len());
    for mut op in std::mem::take(&mut block.ops).into_iter().rev() {
        if op.results.iter().any(|result| used.contains(result)) || op.has_side_effect() {
            for region in &mut op.regions {
                self::block(region, used);
            }
            used.extend(op.operands.iter().copied());
            kept.push(op);
        }
    }
    kept.reverse();
    block.ops = kept;
}

/// True when the op may be dropped or merged as far as effects go.
pub(super) fn is_pure(op: &Op) -> bool {
    !op.has_side_effect()
}
