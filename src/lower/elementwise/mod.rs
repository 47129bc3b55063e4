//! The elementwise ops: each is an expression, which [`crate::expression`] defines, as nodes of MLX's graph.
#![forbid(unsafe_code)]

mod zeros;

#[cfg(test)]
mod tests;

use super::bitcast::bitcast_convert;
use super::expression::{lowered, target};
use super::{Context, LowerError, Lowered, Row};
use crate::expression::{Known, Refusal, Target};
use crate::mlx::{Backend, Capabilities};
use crate::program::{Binary, ElementType, Op, OpKind, Type};

const fn row(name: &'static str, note: &'static str) -> Row {
    Row { name, note, lower: elementwise }
}

/// Rows of the op table.
pub static ROWS: &[Row] = &[
    row("add", ""),
    row("subtract", ""),
    row("multiply", ""),
    row("divide", "x / 0 is -1 (all ones when unsigned) for integers"),
    row("remainder", "x % 0 is x for integers"),
    row("power", ""),
    row("negate", ""),
    row("abs", ""),
    row("sign", ""),
    row("maximum", ""),
    row("minimum", ""),
    row("atan2", ""),
    row("and", ""),
    row("or", ""),
    row("xor", ""),
    row("not", ""),
    row("shift_left", ""),
    row("shift_right_arithmetic", ""),
    row("shift_right_logical", ""),
    row("popcnt", ""),
    row("count_leading_zeros", ""),
    row("compare", ""),
    row("select", ""),
    row("clamp", ""),
    row("complex", ""),
    row("real", ""),
    row("imag", ""),
    row("is_finite", ""),
    row("convert", "floats saturate to integers, NaN becomes 0"),
    Row { name: "bitcast_convert", note: "", lower: bitcast_convert },
    row("reduce_precision", ""),
    row("exponential", ""),
    row("exponential_minus_one", ""),
    row("log", ""),
    row("log_plus_one", ""),
    row("logistic", ""),
    row("sqrt", ""),
    row("rsqrt", ""),
    row("cbrt", ""),
    row("sine", ""),
    row("cosine", ""),
    row("tan", ""),
    row("tanh", ""),
    row("ceil", ""),
    row("floor", ""),
    row("round_nearest_even", ""),
    row("round_nearest_afz", ""),
];

impl Context<'_> {
    /// What computes an op by itself: the device, or the host's processor for f64 where the device has none.
    pub(super) fn target(&self, op: &Op) -> Target {
        target(self.capabilities_for(op))
    }

    fn capabilities_for(&self, op: &Op) -> &'static Capabilities {
        if self.is_for_the_host(op) { Backend::Cpu.capabilities(false) } else { self.capabilities }
    }

    /// Whether arrays are touched that the device does not hold: of f64, or of too many dimensions.
    pub(super) fn is_for_the_host(&self, op: &Op) -> bool {
        op.operands.iter().chain(&op.results).any(|&value| match self.function.ty(value) {
            Type::Tensor(tensor) => {
                let is_double = matches!(tensor.element, ElementType::F64 | ElementType::C128);
                (is_double && !self.capabilities.float64) || tensor.rank() > self.capabilities.rank
            }
            _ => false,
        })
    }

    /// The error of an op that has no expression.
    pub(super) fn refused(&self, op: &Op, refusal: &Refusal) -> LowerError {
        match refusal {
            Refusal::Unsupported(why) => self.unsupported(op, why),
            Refusal::Invalid(why) => self.invalid(op, why),
        }
    }
}

fn elementwise(context: &mut Context<'_>, op: &Op) -> Result<Lowered, LowerError> {
    let mut known = (0..op.operands.len())
        .map(|index| Ok(Known::of(context.operand(op, index)?.element)))
        .collect::<Result<Vec<Known>, LowerError>>()?;
    let result = context.result(op, 0)?.element;
    match op.kind {
        OpKind::Binary(Binary::Maximum | Binary::Minimum) | OpKind::Clamp
            if known.iter().all(|known| known.element.is_float()) =>
        {
            for (known, &value) in known.iter_mut().zip(&op.operands) {
                known.zeros = zeros::of(context, value);
            }
        }
        // Where the predicate is one for all elements MLX's own is fast enough.
        OpKind::Select if known.len() == 3 && context.operand(op, 0)?.shape == context.operand(op, 1)?.shape => {
            let literal = context.constant(op.operands[2]);
            known[2].is_zero = literal.is_some_and(|literal| literal.data.iter().all(|&byte| byte == 0));
        }
        _ => {}
    }
    let expression = crate::expression::elementwise(&op.kind, &known, result, &context.target(op))
        .map_err(|refusal| context.refused(op, &refusal))?;
    lowered(&expression)
}
