//! Programs → kernels.
//!
//! Values are *made* (each element stored in a buffer) or stay *virtual*: their elements are computed where they are used.
//! What is used once per element, or costs nothing, stays virtual; so elementwise chains, what moves elements, and what
//! goes into reductions become one loop nest. Nests over the same dimensions that follow each other are one as well.
#![forbid(unsafe_code)]

mod alone;
mod bits;
mod callee;
mod calls;
mod classes;
mod control;
mod convolution;
mod elements;
mod lowering;
mod random;
mod reductions;
mod regions;
mod scan;
mod scatter;
mod sort;
mod trips;
mod uses;

pub use callee::{Callee, Callees};
pub use lowering::{Built, Stop};

use lowering::Lowering;

use crate::program::{Block, Function, Op, ValueId};

/// The kernel of a whole function: its arguments are the inputs, its results the outputs. `callees` has functions of the host
/// for ops that kernels do not hold.
///
/// # Errors
/// What it holds that kernels do not.
pub fn program(function: &Function, callees: &Callees<'_>) -> std::result::Result<Built, String> {
    let mut lowering = Lowering::new(function, &function.body, callees);
    let outcome = lowering.whole(&function.body.arguments, &function.body);
    lowering.finish(outcome)
}

/// The kernel of one op with regions: its operands and then the captured values are the inputs, its results the outputs;
/// `constants` are ops of outside that it uses.
///
/// # Errors
/// As [`program`].
pub fn operation(
    function: &Function,
    op: &Op,
    constants: &[Op],
    captured: &[ValueId],
    callees: &Callees<'_>,
) -> std::result::Result<Built, String> {
    let ops = constants.iter().chain([op]).cloned().collect();
    let block = Block { arguments: Vec::new(), ops, results: op.results.clone() };
    let inputs: Vec<ValueId> = op.operands.iter().chain(captured).copied().collect();
    let mut lowering = Lowering::new(function, &block, callees);
    let outcome = lowering.whole(&inputs, &block);
    lowering.finish(outcome)
}
