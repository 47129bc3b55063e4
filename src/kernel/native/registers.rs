//! Buffers of a few numbers that are kept in registers: what loops of small programs carry.
#![forbid(unsafe_code)]

use cranelift_frontend::{FunctionBuilder, Variable};

use super::at_once::at_once;
use super::steps::register;
use crate::kernel::ir::{BufferId, Kernel, Nest, Node, NodeId, Place, Sorted, Statement};
use crate::kernel::schedule::Schedule;

/// Of so many numbers at most: more are computed several at once.
pub(super) const MOST: usize = 3;

/// A variable for each element of each buffer that is kept.
pub(super) fn kept(kernel: &Kernel, builder: &mut FunctionBuilder<'_>) -> Vec<Option<Vec<Variable>>> {
    let mut fit: Vec<bool> = kernel
        .buffers
        .iter()
        .map(|buffer| {
            let small = (1..=MOST).contains(&buffer.elements) && !buffer.scalar.is_complex();
            small && matches!(buffer.place, Place::Arena(_))
        })
        .collect();
    shared(kernel, &mut fit);
    if fit.contains(&true) {
        statements(kernel, &kernel.body, &mut fit);
    }
    let variables = |(buffer, fits): (&crate::kernel::ir::Buffer, bool)| {
        fits.then(|| (0..buffer.elements).map(|_| builder.declare_var(register(buffer.scalar))).collect())
    };
    kernel.buffers.iter().zip(fit).map(variables).collect()
}

/// Memory that is two buffers' is neither's.
fn shared(kernel: &Kernel, fit: &mut [bool]) {
    let mut ranges: Vec<(usize, usize, usize)> = Vec::new();
    for (id, buffer) in kernel.buffers.iter().enumerate() {
        if let Place::Arena(start) = buffer.place {
            ranges.push((start, start + buffer.elements * buffer.scalar.bytes(), id));
        }
    }
    ranges.sort_unstable();
    // The one that reaches furthest of those before.
    let mut before: Option<(usize, usize)> = None;
    for &(start, end, id) in &ranges {
        if let Some((furthest, other)) = before
            && start < furthest
        {
            (fit[id], fit[other]) = (false, false);
        }
        if before.is_none_or(|(furthest, _)| end > furthest) {
            before = Some((end, id));
        }
    }
}

fn statements(kernel: &Kernel, all: &[Statement], fit: &mut [bool]) {
    for statement in all {
        match statement {
            Statement::Nest(nest) => accesses(kernel, nest, fit),
            Statement::Sort(sort) => {
                let from = sort.from.iter().filter_map(|from| match from {
                    Sorted::Buffer(buffer) => Some(*buffer),
                    Sorted::Position => None,
                });
                let loaded = sort.comparator.steps.iter().filter_map(|step| match step.node {
                    Node::Load(buffer, _) => Some(buffer),
                    _ => None,
                });
                let all = from.chain(loaded).chain(sort.to.iter().copied());
                let all: Vec<BufferId> = all.chain(sort.scratch.iter().flatten().copied()).collect();
                all.into_iter().for_each(|buffer| fit[buffer as usize] = false);
            }
            Statement::Call(call) => {
                call.inputs.iter().chain(&call.outputs).for_each(|&buffer| fit[buffer as usize] = false);
            }
            Statement::Copy { .. } => {}
            Statement::While { condition, body, .. } => {
                statements(kernel, condition, fit);
                statements(kernel, body, fit);
            }
            Statement::Case { arms, .. } => arms.iter().for_each(|arm| statements(kernel, arm, fit)),
        }
    }
}

/// Which element is meant must be known, where there are several.
fn accesses(kernel: &Kernel, nest: &Nest, fit: &mut [bool]) {
    let loads = nest.steps.iter().filter_map(|step| match step.node {
        Node::Load(buffer, at) => Some((buffer, at)),
        _ => None,
    });
    let all = loads.chain(nest.stores.iter().map(|store| (store.buffer, store.at)));
    let several = |buffer: BufferId, fit: &[bool]| fit[buffer as usize] && kernel.buffers[buffer as usize].elements > 1;
    let all: Vec<(BufferId, NodeId)> = all.filter(|&(buffer, _)| several(buffer, fit)).collect();
    if all.is_empty() {
        return;
    }
    let schedule = Schedule::new(kernel, nest, at_once);
    for (buffer, at) in all {
        if !schedule.unrolls() || !schedule.sums[at as usize].as_ref().is_some_and(|sum| sum.is_affine()) {
            fit[buffer as usize] = false;
        }
    }
}
