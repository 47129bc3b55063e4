//! What a loop carries without need: values that nobody uses, values that never change, and values carried twice.
#![forbid(unsafe_code)]

use std::collections::HashSet;

use super::visit::Renaming;
use crate::program::{Block, CompileError, Op, OpKind, Program, ValueId};

pub(super) fn run(program: &mut Program) -> Result<(), CompileError> {
    for function in &mut program.functions {
        let mut body = std::mem::take(&mut function.body);
        block(&mut body, &mut Renaming::default());
        function.body = body;
    }
    Ok(())
}

fn block(block: &mut Block, renaming: &mut Renaming) {
    let mut ops = std::mem::take(&mut block.ops);
    for index in 0..ops.len() {
        let (before, after) = ops.split_at_mut(index + 1);
        let op = &mut before[index];
        renaming.apply(&mut op.operands);
        let is_loop = op.kind == OpKind::While && is_whole(op);
        if is_loop {
            invariant(op, renaming);
            twice(op, renaming);
        }
        for region in &mut op.regions {
            self::block(region, renaming);
        }
        if is_loop {
            unused(op, &used_after(after, &block.results, renaming));
        }
    }
    renaming.apply(&mut block.results);
    block.ops = ops;
}

/// A condition and a body of as many arguments as the loop has operands.
fn is_whole(op: &Op) -> bool {
    let count = op.operands.len();
    let [condition, body] = &op.regions[..] else { return false };
    [condition.arguments.len(), body.arguments.len(), body.results.len(), op.results.len()] == [count; 4]
}

fn uses(block: &Block, used: &mut HashSet<ValueId>) {
    for op in &block.ops {
        used.extend(&op.operands);
        for region in &op.regions {
            uses(region, used);
        }
    }
    used.extend(&block.results);
}

/// What is used after the loop, under the names that it has after renaming and before.
fn used_after(after: &[Op], results: &[ValueId], renaming: &Renaming) -> HashSet<ValueId> {
    let mut used = HashSet::new();
    for op in after {
        used.extend(&op.operands);
        for region in &op.regions {
            uses(region, &mut used);
        }
    }
    used.extend(results);
    let renamed: Vec<ValueId> = used.iter().map(|&value| renaming.get(value)).collect();
    used.extend(renamed);
    used
}

/// A loop without the carried values at which `keep` is false.
fn retain(op: &mut Op, keep: impl Fn(usize) -> bool) {
    fn each(values: &mut Vec<ValueId>, keep: &impl Fn(usize) -> bool) {
        let mut index = 0;
        values.retain(|_| {
            index += 1;
            keep(index - 1)
        });
    }
    each(&mut op.operands, &keep);
    each(&mut op.results, &keep);
    for region in &mut op.regions {
        each(&mut region.arguments, &keep);
    }
    each(&mut op.regions[1].results, &keep);
}

/// A value that the body hands on is the one that went in. Those that the condition looks at stay: they say how often a
/// loop turns.
fn invariant(op: &mut Op, renaming: &mut Renaming) {
    let mut in_condition = HashSet::new();
    uses(&op.regions[0], &mut in_condition);
    let constant: Vec<bool> = (0..op.operands.len())
        .map(|index| {
            let argument = op.regions[1].arguments[index];
            let unchanged = op.regions[1].results[index] == argument;
            if unchanged {
                renaming.insert(op.results[index], op.operands[index]);
            }
            unchanged && !in_condition.contains(&op.regions[0].arguments[index])
        })
        .collect();
    for (index, _) in constant.iter().enumerate().filter(|(_, constant)| **constant) {
        renaming.insert(op.regions[1].arguments[index], op.operands[index]);
    }
    retain(op, |index| !constant[index]);
}

/// Values that begin and go on alike.
fn twice(op: &mut Op, renaming: &mut Renaming) {
    let count = op.operands.len();
    let body = &op.regions[1];
    let first: Vec<usize> = (0..count)
        .map(|index| {
            let same = |&earlier: &usize| {
                op.operands[earlier] == op.operands[index] && body.results[earlier] == body.results[index]
            };
            (0..index).find(same).unwrap_or(index)
        })
        .collect();
    for index in (0..count).filter(|&index| first[index] != index) {
        let kept = first[index];
        renaming.insert(op.results[index], op.results[kept]);
        for region in &op.regions {
            renaming.insert(region.arguments[index], region.arguments[kept]);
        }
    }
    retain(op, |index| first[index] == index);
}

/// Values that neither the condition, nor what comes after, nor a carried value that is used depends on.
fn unused(op: &mut Op, after: &HashSet<ValueId>) {
    if op.has_side_effect() {
        return;
    }
    let count = op.operands.len();
    let mut live: Vec<bool> = op.results.iter().map(|result| after.contains(result)).collect();
    let mut needed = HashSet::new();
    uses(&op.regions[0], &mut needed);
    let (condition, body) = (&op.regions[0], &op.regions[1]);
    loop {
        let mut from_body: HashSet<ValueId> =
            (0..count).filter(|&index| live[index]).map(|index| body.results[index]).collect();
        backwards(&body.ops, &mut from_body);
        let before = live.clone();
        for (index, live) in live.iter_mut().enumerate() {
            *live |= needed.contains(&condition.arguments[index]) || from_body.contains(&body.arguments[index]);
        }
        if live == before {
            break;
        }
    }
    if live.iter().all(|&live| live) {
        return;
    }
    // What the body computes for the others alone goes as well: it may use arguments that are no more.
    let mut wanted: HashSet<ValueId> =
        (0..count).filter(|&index| live[index]).map(|index| body.results[index]).collect();
    let mut kept = Vec::new();
    for body_op in std::mem::take(&mut op.regions[1].ops).into_iter().rev() {
        if body_op.results.iter().any(|result| wanted.contains(result)) {
            want(&body_op, &mut wanted);
            kept.push(body_op);
        }
    }
    kept.reverse();
    op.regions[1].ops = kept;
    retain(op, |index| live[index]);
}

/// Adds what the wanted values are made of.
fn backwards(ops: &[Op], wanted: &mut HashSet<ValueId>) {
    for op in ops.iter().rev() {
        if op.results.iter().any(|result| wanted.contains(result)) {
            want(op, wanted);
        }
    }
}

fn want(op: &Op, wanted: &mut HashSet<ValueId>) {
    wanted.extend(&op.operands);
    for region in &op.regions {
        uses(region, wanted);
    }
}
