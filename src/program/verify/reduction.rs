//! Rules of reductions, windows, sort, map and batch normalization.
#![forbid(unsafe_code)]

use super::types::{Checked, Rule, axes, axis, expect, per_dimension, require, windowed};
use crate::program::{ElementType, OpKind, ReduceWindow, SelectAndScatter, TensorType, Type};

pub(super) fn check(checked: Checked<'_>) -> Rule {
    match &checked.op.kind {
        OpKind::Reduce { dimensions } => {
            let (shape, count) = inputs(checked)?;
            let first = checked.operand(0)?;
            let dropped = axes(first, dimensions, "dimensions")?;
            let kept: Vec<i64> =
                (0..shape.len()).filter(|axis| !dropped.contains(axis)).map(|axis| shape[axis]).collect();
            for index in 0..count {
                let result = checked.result(index)?;
                expect(result, result.element, &kept, "the result")?;
            }
            checked.combiner(0, count, None)
        }
        OpKind::ReduceWindow(fields) => reduce_window(checked, fields),
        OpKind::SelectAndScatter(fields) => select_and_scatter(checked, fields),
        OpKind::Sort { dimension, .. } => {
            let first = checked.operand(0)?;
            let count = checked.op.operands.len();
            require!(checked.op.results.len() == count, "{} results for {count} inputs", checked.op.results.len());
            let rank = first.rank() as i64;
            require!(
                (-rank..rank).contains(dimension) || rank == 0 && (-1..=0).contains(dimension),
                "dimension {dimension} of {first}"
            );
            let mut block_types = Vec::with_capacity(2 * count);
            for index in 0..count {
                let operand = checked.operand(index)?;
                require!(operand.shape == first.shape, "inputs of {first} and {operand}");
                expect(checked.result(index)?, operand.element, &operand.shape, "the result")?;
                let scalar = Type::Tensor(TensorType::new(operand.element, []));
                block_types.extend([scalar.clone(), scalar]);
            }
            let block = checked.region(0, 2 * count)?;
            let arguments = checked.types(&block.arguments);
            require!(arguments.iter().copied().eq(&block_types), "the comparator takes other types than the inputs'");
            let boolean = Type::Tensor(TensorType::new(ElementType::Bool, []));
            require!(checked.types(&block.results) == [&boolean], "the comparator does not give one {boolean}");
            Ok(())
        }
        OpKind::Map { dimensions } => {
            let first = checked.operand(0)?;
            axes(first, dimensions, "dimensions")?;
            per_dimension(first, dimensions.len(), "dimensions")?;
            let block = checked.region(0, checked.op.operands.len())?;
            let [only] = checked.types(&block.results)[..] else {
                return Err("the body does not give one value".into());
            };
            let element = match only {
                Type::Tensor(tensor) if tensor.rank() == 0 => tensor.element,
                other => return Err(format!("the body gives {other}")),
            };
            for (index, argument) in checked.types(&block.arguments).into_iter().enumerate() {
                let operand = checked.operand(index)?;
                require!(operand.shape == first.shape, "inputs of {first} and {operand}");
                let scalar = Type::Tensor(TensorType::new(operand.element, []));
                require!(*argument == scalar, "the body takes {argument} for {operand}");
            }
            expect(checked.result(0)?, element, &first.shape, "the result")
        }
        OpKind::BatchNormTraining { feature_index, .. }
        | OpKind::BatchNormInference { feature_index, .. }
        | OpKind::BatchNormGrad { feature_index, .. } => batch_norm(checked, *feature_index),
        _ => Ok(()),
    }
}

/// Inputs of one shape and as many scalar initial values; gives the shape and the number of inputs.
fn inputs(checked: Checked<'_>) -> Result<(Vec<i64>, usize), String> {
    let count = checked.op.operands.len() / 2;
    require!(count > 0 && checked.op.operands.len() == 2 * count, "{} operands", checked.op.operands.len());
    require!(checked.op.results.len() == count, "{} results for {count} inputs", checked.op.results.len());
    let first = checked.operand(0)?;
    for index in 0..count {
        let (input, initial) = (checked.operand(index)?, checked.operand(count + index)?);
        require!(input.shape == first.shape, "inputs of {first} and {input}");
        require!(initial.rank() == 0, "an initial value of {initial}");
    }
    Ok((first.shape.clone(), count))
}

fn reduce_window(checked: Checked<'_>, fields: &ReduceWindow) -> Rule {
    let (shape, count) = inputs(checked)?;
    let first = checked.operand(0)?;
    for (length, name) in [
        (fields.window_dimensions.len(), "window_dimensions"),
        (fields.window_strides.len(), "window_strides"),
        (fields.base_dilations.len(), "base_dilations"),
        (fields.window_dilations.len(), "window_dilations"),
        (fields.padding.len(), "padding"),
    ] {
        per_dimension(first, length, name)?;
    }
    let mut windows = Vec::with_capacity(shape.len());
    for (index, &size) in shape.iter().enumerate() {
        require!(fields.window_dimensions[index] >= 1, "window_dimensions {:?}", fields.window_dimensions);
        windows.push(windowed(
            size,
            fields.padding[index],
            fields.base_dilations[index],
            fields.window_dimensions[index],
            fields.window_dilations[index],
            fields.window_strides[index],
        )?);
    }
    for index in 0..count {
        let result = checked.result(index)?;
        expect(result, result.element, &windows, "the result")?;
    }
    checked.combiner(0, count, None)
}

fn select_and_scatter(checked: Checked<'_>, fields: &SelectAndScatter) -> Rule {
    let (operand, source, initial) = (checked.operand(0)?, checked.operand(1)?, checked.operand(2)?);
    require!(initial.rank() == 0, "an initial value of {initial}");
    for (length, name) in [
        (fields.window_dimensions.len(), "window_dimensions"),
        (fields.window_strides.len(), "window_strides"),
        (fields.padding.len(), "padding"),
    ] {
        per_dimension(operand, length, name)?;
    }
    let mut windows = Vec::with_capacity(operand.rank());
    for (index, &size) in operand.shape.iter().enumerate() {
        require!(fields.window_dimensions[index] >= 1, "window_dimensions {:?}", fields.window_dimensions);
        windows.push(windowed(
            size,
            fields.padding[index],
            1,
            fields.window_dimensions[index],
            1,
            fields.window_strides[index],
        )?);
    }
    expect(source, source.element, &windows, "the source")?;
    let result = checked.result(0)?;
    expect(result, result.element, &operand.shape, "the result")?;
    checked.combiner(0, 1, Some(ElementType::Bool))?;
    checked.combiner(1, 1, None)
}

fn batch_norm(checked: Checked<'_>, feature_index: i64) -> Rule {
    let operand = checked.operand(0)?;
    let features = operand.shape[axis(operand, feature_index, "feature_index")?];
    // In all forms operands and results are of the operand's shape or one vector of features.
    let is_whole = |ty: &TensorType| ty.shape == operand.shape;
    for (index, ty) in checked.operand_types().into_iter().chain(checked.result_types()).enumerate() {
        let Type::Tensor(ty) = ty else { return Err(format!("a value of {ty}")) };
        require!(is_whole(ty) || ty.shape == [features], "value {index} of {ty} beside {operand}");
    }
    require!(is_whole(checked.result(0)?), "the result is {}", checked.result(0)?);
    Ok(())
}
