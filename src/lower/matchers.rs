//! Where a value comes from: what an op's operand is known to be at compile time.
#![forbid(unsafe_code)]

use super::Context;
use crate::program::{Block, Literal, Op, OpKind, ValueId};

/// The op that defines a value; None for block arguments.
pub fn definition<'a>(context: &Context<'a>, value: ValueId) -> Option<&'a Op> {
    fn find(block: &Block, value: ValueId) -> Option<&Op> {
        block.ops.iter().find_map(|op| {
            if op.results.contains(&value) {
                Some(op)
            } else {
                op.regions.iter().find_map(|region| find(region, value))
            }
        })
    }
    find(&context.function.body, value)
}

/// The bytes of the one element that a constant, or a broadcast or reshape of one, has everywhere.
pub fn splat<'a>(context: &Context<'a>, value: ValueId) -> Option<&'a [u8]> {
    let uniform = |literal: &'a Literal| {
        let count = if literal.splat { 1 } else { literal.ty.elements() };
        let first = (count > 0).then(|| literal.element(0))?;
        (1..count).all(|index| literal.element(index) == first).then_some(first)
    };
    if let Some(literal) = context.constant(value) {
        return uniform(literal);
    }
    let op = definition(context, value)?;
    match &op.kind {
        OpKind::Constant(literal) => uniform(literal),
        OpKind::BroadcastInDim { .. } | OpKind::Reshape => splat(context, *op.operands.first()?),
        _ => None,
    }
}

/// True when the value counts 0, 1, 2 … along the axis, whatever its other dimensions are.
pub fn counts_along(context: &Context<'_>, value: ValueId, axis: i64) -> bool {
    let Some(op) = definition(context, value) else { return false };
    match &op.kind {
        OpKind::Iota { iota_dimension } => *iota_dimension == axis,
        OpKind::BroadcastInDim { broadcast_dimensions } => {
            let Some(source) = broadcast_dimensions.iter().position(|&dimension| dimension == axis) else {
                return false;
            };
            let (Some(&operand), Some(&result)) = (op.operands.first(), op.results.first()) else { return false };
            let size = |value: ValueId, dimension: usize| {
                context.function.tensor(value).and_then(|tensor| tensor.shape.get(dimension).copied())
            };
            let Ok(axis) = usize::try_from(axis) else { return false };
            // A dimension of size 1 that is broadcast counts nothing.
            size(operand, source).is_some()
                && size(operand, source) == size(result, axis)
                && i64::try_from(source).is_ok_and(|source| counts_along(context, operand, source))
        }
        _ => false,
    }
}
