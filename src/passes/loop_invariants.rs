//! What a loop computes anew at each turn from values of outside moves in front of it.
//!
//! Ops that only move elements or make them from nothing stay, unless something that moves needs them: they cost next to
//! nothing where they are, and memory in front of the loop. So does what is larger than all that it is made of.
#![forbid(unsafe_code)]

use std::collections::{HashMap, HashSet};

use crate::program::{Block, Class, CompileError, Function, Op, OpKind, Program, ValueId};

pub(super) fn run(program: &mut Program) -> Result<(), CompileError> {
    for function in &mut program.functions {
        let mut body = std::mem::take(&mut function.body);
        block(function, &mut body);
        function.body = body;
    }
    Ok(())
}

fn block(function: &Function, block: &mut Block) {
    let mut ops = Vec::with_capacity(block.ops.len());
    for mut op in std::mem::take(&mut block.ops) {
        // The innermost loops first: what leaves them may go on.
        for region in &mut op.regions {
            self::block(function, region);
        }
        if op.kind == OpKind::While {
            for region in &mut op.regions {
                ops.append(&mut moved(function, region));
            }
        }
        ops.push(op);
    }
    block.ops = ops;
}

fn define(block: &Block, inside: &mut HashSet<ValueId>) {
    inside.extend(&block.arguments);
    for op in &block.ops {
        inside.extend(&op.results);
    }
}

/// Whether it is worth its place in front of a loop, if its operands are there.
fn is_work(function: &Function, op: &Op) -> bool {
    let bytes = |values: &[ValueId]| -> usize {
        let sizes = values.iter().filter_map(|&value| function.tensor(value));
        sizes.map(|ty| ty.elements().saturating_mul(ty.element.bytes())).fold(0, usize::saturating_add)
    };
    let computes = match op.kind.class() {
        Class::Elementwise
        | Class::Contraction
        | Class::Reduction
        | Class::Scatter
        | Class::Sort
        | Class::Random
        | Class::Transform => true,
        Class::View
        | Class::Move
        | Class::Source
        | Class::Control
        | Class::Collective
        | Class::Host
        | Class::Annotation => false,
    };
    computes && bytes(&op.results) <= bytes(&op.operands).max(1024)
}

/// Takes out of a region of a loop what does not depend on it.
fn moved(function: &Function, region: &mut Block) -> Vec<Op> {
    let mut inside = HashSet::new();
    define(region, &mut inside);
    // Which ops could move, in order: all that they use is outside, or could move.
    let mut movable: HashMap<ValueId, usize> = HashMap::new();
    let mut could = vec![false; region.ops.len()];
    for (index, op) in region.ops.iter().enumerate() {
        let pure = op.regions.is_empty() && !op.has_side_effect() && op.kind.is_deterministic();
        let known = |value: &ValueId| !inside.contains(value) || movable.contains_key(value);
        if pure && !matches!(op.kind.class(), Class::Control | Class::Collective) && op.operands.iter().all(known) {
            could[index] = true;
            movable.extend(op.results.iter().map(|&result| (result, index)));
        }
    }
    // Which do: those that compute, and what they are made of.
    let mut moves = vec![false; region.ops.len()];
    for index in (0..region.ops.len()).rev() {
        let op = &region.ops[index];
        // A computation of constants alone that was not folded was too large to store.
        let from_outside =
            op.operands.iter().any(|operand| !matches!(made_by(region, &movable, operand), Some(Class::Source)));
        if could[index] && (moves[index] || (is_work(function, op) && from_outside)) {
            moves[index] = true;
            for operand in &op.operands {
                if let Some(&index) = movable.get(operand) {
                    moves[index] = true;
                }
            }
        }
    }
    let mut moved = Vec::new();
    let mut moves = moves.into_iter();
    region.ops = std::mem::take(&mut region.ops)
        .into_iter()
        .filter_map(|op| {
            if moves.next() == Some(true) {
                moved.push(op);
                None
            } else {
                Some(op)
            }
        })
        .collect();
    moved
}

fn made_by(region: &Block, movable: &HashMap<ValueId, usize>, value: &ValueId) -> Option<Class> {
    movable.get(value).map(|&index| region.ops[index].kind.class())
}
