//! Branches that are never taken go: `if` and `case` of a constant become the branch, `select` by a constant the operand.
#![forbid(unsafe_code)]

use std::collections::HashMap;

use super::visit::Renaming;
use crate::program::{Block, CompileError, Function, Literal, Op, OpKind, Program, ValueId};

pub(super) fn run(program: &mut Program) -> Result<(), CompileError> {
    for function in &mut program.functions {
        let mut body = std::mem::take(&mut function.body);
        block(function, &mut body, &mut Renaming::default(), &mut HashMap::new());
        function.body = body;
    }
    Ok(())
}

/// `choices`: the constants of one repeated integer or bool, in this block and around it.
fn block(function: &Function, block: &mut Block, renaming: &mut Renaming, choices: &mut HashMap<ValueId, i128>) {
    let mut ops = Vec::with_capacity(block.ops.len());
    for mut op in std::mem::take(&mut block.ops) {
        renaming.apply(&mut op.operands);
        if let (OpKind::Constant(literal), &[result]) = (&op.kind, &op.results[..])
            && let Some(number) = repeated(literal)
        {
            choices.insert(result, number);
        }
        let choice = op.operands.first().and_then(|operand| choices.get(operand)).copied();
        if let Some(mut taken) = choice.and_then(|choice| taken(&mut op, choice)) {
            self::block(function, &mut taken, renaming, choices);
            ops.append(&mut taken.ops);
            for (&result, &value) in op.results.iter().zip(&taken.results) {
                renaming.insert(result, value);
            }
            continue;
        }
        if let Some(operand) = choice.and_then(|choice| selected(function, &op, choice)) {
            renaming.insert(op.results[0], operand);
            continue;
        }
        for region in &mut op.regions {
            self::block(function, region, renaming, choices);
        }
        ops.push(op);
    }
    renaming.apply(&mut block.results);
    block.ops = ops;
}

fn repeated(literal: &Literal) -> Option<i128> {
    if !literal.splat && literal.ty.elements() != 1 {
        return None;
    }
    let one = Literal { ty: crate::program::TensorType::new(literal.ty.element, []), ..literal.clone() };
    one.integers()?.first().copied()
}

/// The branch that is taken.
fn taken(op: &mut Op, choice: i128) -> Option<Block> {
    let count = op.regions.len();
    let index = match op.kind {
        OpKind::If if count == 2 => usize::from(choice == 0),
        // An index out of range takes the last branch (spec, case).
        OpKind::Case if count > 0 => usize::try_from(choice).unwrap_or(count - 1).min(count - 1),
        _ => return None,
    };
    Some(op.regions.swap_remove(index))
}

/// The operand that is selected throughout.
fn selected(function: &Function, op: &Op, choice: i128) -> Option<ValueId> {
    let (OpKind::Select, &[_, yes, no], &[result]) = (&op.kind, &op.operands[..], &op.results[..]) else {
        return None;
    };
    let operand = if choice == 0 { no } else { yes };
    (function.ty(operand) == function.ty(result)).then_some(operand)
}
