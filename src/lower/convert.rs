//! convert, bitcast_convert, reduce_precision.
#![forbid(unsafe_code)]

use super::formula::Formula;
use super::small_types::wrap;
use super::{Context, LowerError, Lowered, Row, storage};
use crate::mlx::Dtype;
use crate::program::{ElementType, Op};

/// Rows of the op table.
pub static ROWS: &[Row] =
    &[Row { name: "convert", note: "floats saturate to integers, NaN becomes 0", elementwise: true, lower: convert }];

fn convert(context: &mut Context<'_>, op: &Op) -> Result<Lowered, LowerError> {
    let from = context.operand(op, 0)?.element;
    let to = context.result(op, 0)?.element;
    let (Some(_), Some(dtype)) = (storage(from), storage(to)) else {
        return Err(context.unsupported(op, "mlx has no such type"));
    };
    if from.is_small_float() || to.is_small_float() {
        return Err(context.unsupported(op, "small floats are not there yet"));
    }
    Ok(if from == to {
        Lowered::one(|inputs, _| Ok(inputs[0].clone()))
    } else {
        Lowered::one(move |inputs, stream| element(&Formula::of(inputs[0], stream), from, to, dtype).finish())
    })
}

/// Elements of type `from` converted to `to`, which is stored as `dtype`.
fn element(a: &Formula, from: ElementType, to: ElementType, dtype: Dtype) -> Formula {
    if to == ElementType::Bool {
        return a.not_equal(0.0);
    }
    if from.is_complex() && !to.is_complex() {
        return element(&a.real(), ElementType::F32, to, dtype);
    }
    if to.is_integer() && from.is_float() {
        return float_to_integer(a, to, dtype);
    }
    if to.is_integer() {
        return wrap(a.cast(dtype), to);
    }
    if from.is_integer() && matches!(to, ElementType::F16 | ElementType::BF16) {
        return a.cast(Dtype::Float32).cast(dtype);
    }
    if from == ElementType::F64 && to == ElementType::BF16 {
        return a.cast(Dtype::Float32).cast(dtype);
    }
    a.cast(dtype)
}

fn float_to_integer(a: &Formula, to: ElementType, dtype: Dtype) -> Formula {
    // Wide enough that the bounds below are exact.
    let a = if a.dtype() == Dtype::Float64 { a.clone() } else { a.cast(Dtype::Float32) };
    let significant = if a.dtype() == Dtype::Float64 { 53 } else { 24 };
    let value_bits = to.bits() - usize::from(to.is_signed_integer());
    let low = if to.is_signed_integer() { -(2f64.powi(value_bits as i32)) } else { 0.0 };
    let greatest = (1i128 << value_bits) - 1;
    if value_bits <= significant {
        // Both bounds are floats.
        let inside = a.maximum(low).minimum(greatest as f64);
        return inside.or_where(&inside.is_nan(), 0.0).cast(dtype);
    }
    // The greatest integer is not a float: what reaches the next power of two becomes it by itself.
    let limit = 2f64.powi(value_bits as i32);
    let inside = a.less(limit).select(&a.maximum(low), 0.0).cast(dtype);
    let over = a.greater_equal(limit);
    over.select(&inside.integer(greatest), &inside)
}
