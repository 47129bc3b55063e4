//! Estimates for `Compiled.cost_analysis()`.
#![forbid(unsafe_code)]

use crate::program::{Block, Class, Function};

/// What one run costs, loops counted once.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Cost {
    /// Floating point operations.
    pub flops: f64,
    /// Bytes read and written, op by op.
    pub bytes_accessed: f64,
    /// Exponentials, roots and the like, which are not among the floating point operations.
    pub transcendentals: f64,
}

/// The cost of a function after the passes.
pub fn estimate(function: &Function) -> Cost {
    let mut cost = Cost::default();
    block(function, &function.body, &mut cost);
    cost
}

fn block(function: &Function, block: &Block, cost: &mut Cost) {
    for op in &block.ops {
        let tensor = |value| function.tensor(value);
        let elements = |value| tensor(value).map_or(0., |ty| ty.elements() as f64);
        for &value in op.operands.iter().chain(&op.results) {
            cost.bytes_accessed += elements(value) * tensor(value).map_or(0., |ty| ty.element.bytes() as f64);
        }
        let work = op.work(function);
        cost.flops += work.flops;
        cost.transcendentals += work.transcendentals;
        if op.kind.class() == Class::Control {
            for region in &op.regions {
                self::block(function, region, cost);
            }
        }
    }
}
