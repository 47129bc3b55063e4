//! Rules of constants and of ops that move elements.
#![forbid(unsafe_code)]

use super::types::{Checked, Rule, axes, axis, expect, per_dimension, require};
use crate::program::{ElementType, Literal, OpKind, TensorType};

pub(super) fn check(checked: Checked<'_>) -> Rule {
    let result = checked.result(0)?;
    match &checked.op.kind {
        OpKind::Constant(literal) => constant(literal, result),
        OpKind::Iota { iota_dimension } => axis(result, *iota_dimension, "iota_dimension").map(drop),
        OpKind::GetDimensionSize { dimension } => {
            axis(checked.operand(0)?, *dimension, "dimension")?;
            expect(result, ElementType::I32, &[], "the result")
        }
        OpKind::BroadcastInDim { broadcast_dimensions } => {
            let operand = checked.operand(0)?;
            per_dimension(operand, broadcast_dimensions.len(), "broadcast_dimensions")?;
            let axes = axes(result, broadcast_dimensions, "broadcast_dimensions")?;
            for (index, axis) in axes.into_iter().enumerate() {
                let (from, to) = (operand.shape[index], result.shape[axis]);
                require!(from == 1 || from == to, "{operand} does not broadcast to {result}");
            }
            expect(result, operand.element, &result.shape, "the result")
        }
        OpKind::Broadcast { broadcast_sizes } => {
            let operand = checked.operand(0)?;
            let shape = [broadcast_sizes.as_slice(), &operand.shape].concat();
            expect(result, operand.element, &shape, "the result")
        }
        OpKind::Reshape => {
            let operand = checked.operand(0)?;
            require!(operand.elements() == result.elements(), "{operand} has other elements than {result}");
            expect(result, operand.element, &result.shape, "the result")
        }
        OpKind::Transpose { permutation } => {
            let operand = checked.operand(0)?;
            per_dimension(operand, permutation.len(), "permutation")?;
            let axes = axes(operand, permutation, "permutation")?;
            let shape: Vec<i64> = axes.into_iter().map(|axis| operand.shape[axis]).collect();
            expect(result, operand.element, &shape, "the result")
        }
        OpKind::Reverse { dimensions } => {
            let operand = checked.operand(0)?;
            axes(operand, dimensions, "dimensions")?;
            expect(result, operand.element, &operand.shape, "the result")
        }
        OpKind::Slice { start_indices, limit_indices, strides } => {
            slice(checked.operand(0)?, result, [start_indices, limit_indices, strides])
        }
        OpKind::Pad { edge_padding_low, edge_padding_high, interior_padding } => {
            let (operand, value) = (checked.operand(0)?, checked.operand(1)?);
            expect(value, operand.element, &[], "the padding value")?;
            pad(operand, result, [edge_padding_low, edge_padding_high, interior_padding])
        }
        OpKind::Concatenate { dimension } => {
            let first = checked.operand(0)?;
            let axis = axis(first, *dimension, "dimension")?;
            let mut shape = first.shape.clone();
            for index in 1..checked.op.operands.len() {
                let operand = checked.operand(index)?;
                let others_fit = operand.rank() == first.rank()
                    && operand.element == first.element
                    && (0..first.rank()).all(|each| each == axis || operand.shape[each] == first.shape[each]);
                require!(others_fit, "{operand} beside {first} along dimension {dimension}");
                shape[axis] = shape[axis].checked_add(operand.shape[axis]).ok_or("the sizes overflow")?;
            }
            expect(result, first.element, &shape, "the result")
        }
        _ => Ok(()),
    }
}

fn constant(literal: &Literal, result: &TensorType) -> Rule {
    require!(literal.ty == *result, "a value of {} for a result of {result}", literal.ty);
    let expected = if literal.splat { 1 } else { literal.ty.elements() };
    let width = literal.ty.element.bytes();
    let fits = expected.checked_mul(width) == Some(literal.data.len());
    require!(fits, "{} bytes for {}", literal.data.len(), literal.ty);
    Ok(())
}

/// Starts, limits and strides by dimension.
fn slice(operand: &TensorType, result: &TensorType, [starts, limits, strides]: [&[i64]; 3]) -> Rule {
    for (list, name) in [(starts, "start_indices"), (limits, "limit_indices"), (strides, "strides")] {
        per_dimension(operand, list.len(), name)?;
    }
    let mut shape = Vec::with_capacity(operand.rank());
    for (index, &size) in operand.shape.iter().enumerate() {
        let (start, limit, stride) = (starts[index], limits[index], strides[index]);
        require!(
            0 <= start && start <= limit && limit <= size && stride >= 1,
            "slice {start}:{limit}:{stride} of dimension {index} of {operand}"
        );
        shape.push((limit - start).div_euclid(stride) + i64::from((limit - start) % stride != 0));
    }
    expect(result, operand.element, &shape, "the result")
}

/// Padding at both edges and between elements, by dimension.
fn pad(operand: &TensorType, result: &TensorType, [low, high, interior]: [&[i64]; 3]) -> Rule {
    for (list, name) in [(low, "edge_padding_low"), (high, "edge_padding_high"), (interior, "interior_padding")] {
        per_dimension(operand, list.len(), name)?;
    }
    let mut shape = Vec::with_capacity(operand.rank());
    for (index, &size) in operand.shape.iter().enumerate() {
        let between = interior[index];
        require!(between >= 0, "interior_padding {between}");
        let padded = (size - 1)
            .max(0)
            .checked_mul(between)
            .and_then(|inner| inner.checked_add(size))
            .and_then(|sum| sum.checked_add(low[index]))
            .and_then(|sum| sum.checked_add(high[index]));
        shape.push(padded.ok_or("the padding overflows")?);
    }
    expect(result, operand.element, &shape, "the result")
}
