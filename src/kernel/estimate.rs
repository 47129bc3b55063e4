//! What a program costs, as far as that shows without its kernel.
#![forbid(unsafe_code)]

use super::cost::Cost;
use crate::program::{Class, Function, ValueId};

/// What native code takes at least, and MLX. None for programs with loops and branches, which show nothing so soon.
pub fn at_least(function: &Function) -> Option<Cost> {
    let mut cost = Cost::default();
    for op in &function.body.ops {
        let elements =
            || op.results.iter().filter_map(|&result| function.tensor(result)).map(|ty| ty.elements() as f64);
        match op.kind.class() {
            Class::Control => return None,
            Class::View | Class::Source | Class::Annotation => continue,
            Class::Contraction | Class::Reduction => cost.steps += op.work(function).flops,
            _ => {}
        }
        cost.nodes += 1.0;
        cost.elements += elements().sum::<f64>();
    }
    for result in &function.body.results {
        cost.steps += function.tensor(*result)?.elements() as f64;
    }
    Some(cost)
}

/// Adds what goes in and out.
pub fn transfers<'a>(function: &Function, values: impl IntoIterator<Item = &'a ValueId>, cost: &mut Cost) {
    for tensor in values.into_iter().filter_map(|&value| function.tensor(value)) {
        cost.transfers += 1.0;
        cost.bytes += (tensor.elements() * tensor.element.bytes()) as f64;
    }
}
