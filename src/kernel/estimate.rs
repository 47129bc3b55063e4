//! What programs cost, by what they consist of.
#![forbid(unsafe_code)]

use super::cost::Cost;
use super::ir::{Kernel, Nest, Sort, Statement};
use super::native::at_once;
use super::node_cost::cost;
use super::schedule::{LANES, Schedule};
use crate::program::{Class, Function, Op, ValueId};

/// What a kernel, or a part of one, has to do.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Work {
    /// Scalar operations.
    pub steps: f64,
    /// Those that are in no loop of the program's.
    pub outside_of_loops: f64,
    /// Whether there are loops of unknown length, which count as one turn.
    pub open_ended: bool,
}

impl Work {
    fn add(&mut self, steps: f64) {
        self.steps += steps;
        self.outside_of_loops += steps;
    }
}

/// What statements of a kernel have to do; all arms of branches.
pub fn work(kernel: &Kernel, statements: &[Statement]) -> Work {
    let mut all = Work::default();
    for statement in statements {
        match statement {
            Statement::Nest(each) => all.add(nest(kernel, each)),
            Statement::Copy { from, .. } => {
                let buffer = &kernel.buffers[*from as usize];
                all.add(COPY + (buffer.elements * buffer.scalar.bytes()) as f64 * COPIED_BYTE);
            }
            Statement::Sort(each) => all.add(sort(each)),
            Statement::Call(call) => all.add(call.steps),
            Statement::While { condition, body, trips, .. } => {
                for part in [condition, body] {
                    let turn = work(kernel, part);
                    all.steps += trips.unwrap_or(1) as f64 * turn.steps;
                    all.open_ended |= turn.open_ended;
                }
                all.open_ended |= trips.is_none();
            }
            Statement::Case { arms, .. } => {
                for arm in arms {
                    let arm = work(kernel, arm);
                    all.steps += arm.steps;
                    all.outside_of_loops += arm.outside_of_loops;
                    all.open_ended |= arm.open_ended;
                }
            }
        }
    }
    all
}

/// Scalar operations that a copy takes, and a byte of it.
const COPY: f64 = 4.0;
const COPIED_BYTE: f64 = 0.2;
/// What the next turn of a fold waits for the last one's.
const CARRIED: f64 = 4.0;
/// What a loop does at each turn.
const TURN: f64 = 1.0;

/// A merge sort: each of the elements is compared and moved once for each doubling of the length.
fn sort(sort: &Sort) -> f64 {
    let elements: f64 = sort.sizes.iter().map(|&size| size as f64).product();
    let compared: f64 = sort.comparator.steps.iter().map(|step| cost(&step.node)).sum();
    elements * (sort.sizes[1].max(2) as f64).log2() * (compared + 8.0 + 4.0 * sort.to.len() as f64)
}

fn nest(kernel: &Kernel, nest: &Nest) -> f64 {
    if nest.dimensions[..nest.outer as usize].contains(&0) {
        return TURN;
    }
    Schedule::new(kernel, nest, at_once).cost(nest, at_once, cost, TURN, CARRIED)
}

/// What native code takes at least, and MLX. None for programs with loops and branches, which show nothing so soon.
pub fn at_least(function: &Function) -> Option<Cost> {
    let mut cost = Cost::default();
    for op in &function.body.ops {
        match op.kind.class() {
            Class::Control => return None,
            Class::View | Class::Source | Class::Annotation => continue,
            Class::Contraction | Class::Reduction => cost.steps += op.work(function).flops / LANES as f64,
            _ => {}
        }
        library(function, op, &mut cost);
    }
    for result in &function.body.results {
        cost.steps += function.tensor(*result)?.elements() as f64 / LANES as f64;
    }
    Some(cost)
}

/// Adds what MLX has to do for an op, without its regions.
pub fn library(function: &Function, op: &Op, cost: &mut Cost) {
    let elements = |values: &[ValueId]| -> f64 {
        values.iter().filter_map(|&value| function.tensor(value)).map(|ty| ty.elements() as f64).sum()
    };
    let work = op.work(function);
    cost.nodes += 1.0;
    cost.functions += work.transcendentals;
    cost.elements += match op.kind.class() {
        Class::Reduction => elements(&op.operands).max(elements(&op.results)),
        _ => elements(&op.results),
    };
    if op.kind.class() == Class::Contraction {
        cost.flops += work.flops;
    }
}

/// Adds what goes in and out.
pub fn transfers<'a>(function: &Function, values: impl IntoIterator<Item = &'a ValueId>, cost: &mut Cost) {
    for tensor in values.into_iter().filter_map(|&value| function.tensor(value)) {
        cost.transfers += 1.0;
        cost.bytes += (tensor.elements() * tensor.element.bytes()) as f64;
    }
}
