//! Rules of elementwise ops.
#![forbid(unsafe_code)]

use super::types::{Checked, Rule, expect, require};
use crate::program::{Binary, ElementType, OpKind, TensorType, Unary};

/// The element type of a complex type's parts.
fn part(element: ElementType) -> ElementType {
    match element {
        ElementType::C64 => ElementType::F32,
        ElementType::C128 => ElementType::F64,
        other => other,
    }
}

pub(super) fn check(checked: Checked<'_>) -> Rule {
    let result = checked.result(0)?;
    match &checked.op.kind {
        OpKind::Unary(unary) => {
            let operand = checked.operand(0)?;
            let element = match unary {
                Unary::Abs | Unary::Real | Unary::Imag => part(operand.element),
                Unary::IsFinite => ElementType::Bool,
                _ => operand.element,
            };
            expect(result, element, &operand.shape, "the result")
        }
        OpKind::Binary(binary) => {
            let (lhs, rhs) = (checked.operand(0)?, checked.operand(1)?);
            require!(lhs == rhs, "operands of {lhs} and {rhs}");
            let element = match (binary, lhs.element) {
                (Binary::Complex, ElementType::F32) => ElementType::C64,
                (Binary::Complex, ElementType::F64) => ElementType::C128,
                (Binary::Complex, other) => return Err(format!("complex numbers of {other}")),
                (_, element) => element,
            };
            expect(result, element, &lhs.shape, "the result")
        }
        OpKind::Compare { .. } => {
            let (lhs, rhs) = (checked.operand(0)?, checked.operand(1)?);
            require!(lhs == rhs, "operands of {lhs} and {rhs}");
            expect(result, ElementType::Bool, &lhs.shape, "the result")
        }
        OpKind::Select => {
            let (predicate, on_true, on_false) = (checked.operand(0)?, checked.operand(1)?, checked.operand(2)?);
            require!(on_true == on_false, "operands of {on_true} and {on_false}");
            require!(
                predicate.element == ElementType::Bool && fits(predicate, on_true),
                "a predicate of {predicate} for {on_true}"
            );
            expect(result, on_true.element, &on_true.shape, "the result")
        }
        OpKind::Clamp => {
            let (min, operand, max) = (checked.operand(0)?, checked.operand(1)?, checked.operand(2)?);
            for bound in [min, max] {
                require!(bound.element == operand.element && fits(bound, operand), "a bound of {bound} for {operand}");
            }
            expect(result, operand.element, &operand.shape, "the result")
        }
        OpKind::Convert => expect(result, result.element, &checked.operand(0)?.shape, "the result"),
        OpKind::BitcastConvert => bitcast(checked.operand(0)?, result),
        OpKind::ReducePrecision { .. } => {
            let operand = checked.operand(0)?;
            expect(result, operand.element, &operand.shape, "the result")
        }
        OpKind::RngBitGenerator { .. } => {
            let state = checked.operand(0)?;
            expect(result, state.element, &state.shape, "the new state")
        }
        _ => Ok(()),
    }
}

/// A scalar, or of the same shape.
fn fits(small: &TensorType, large: &TensorType) -> bool {
    small.rank() == 0 || small.shape == large.shape
}

/// Bits are kept: a narrower element type adds a dimension, a wider one removes it.
fn bitcast(operand: &TensorType, result: &TensorType) -> Rule {
    let bits = |ty: &TensorType| if ty.element == ElementType::Bool { 1 } else { ty.element.bits() };
    let (from, to) = (bits(operand), bits(result));
    let (narrow, wide) = if from >= to { (result, operand) } else { (operand, result) };
    if from == to {
        return expect(result, result.element, &operand.shape, "the result");
    }
    let ratio = i64::try_from(from.max(to) / from.min(to)).map_err(|error| error.to_string())?;
    let mut shape = wide.shape.clone();
    shape.push(ratio);
    require!(
        from.max(to).is_multiple_of(from.min(to)) && narrow.shape == shape,
        "{operand} and {result} are not of the same bits"
    );
    Ok(())
}
