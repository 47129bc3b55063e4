//! Indices of the greatest or least elements, in XLA's order.
#![forbid(unsafe_code)]

use super::expression::{Elementwise, expression};
use super::{Context, LowerError};
use crate::expression::Scalar;
use crate::expression::arithmetic::total_order;
use crate::mlx::{self, Array, Dtype, Stream};
use crate::program::Op;

/// Finds, along an axis, the `count` greatest (or least) elements, equal ones by index. Floats are in total order: NaN is
/// the greatest, -NaN the least.
pub struct TopK {
    /// Integers that ascend in the order that is asked for.
    key: Elementwise,
    axis: usize,
    count: i32,
}

impl TopK {
    /// For the op's first operand.
    ///
    /// # Errors
    /// When its type has no order here.
    pub fn new(context: &Context<'_>, op: &Op, axis: usize, count: i32, largest: bool) -> Result<Self, LowerError> {
        let element = context.operand(op, 0)?.element;
        let key = expression(&context.target(op), &[element], |terms| {
            let key = match terms[0].scalar() {
                Scalar::Bool => terms[0].cast(Scalar::U8),
                scalar if scalar.is_float() => total_order(&terms[0]),
                _ => terms[0].clone(),
            };
            // The complement reverses the order of signed and of unsigned integers without overflow.
            [if largest { !key } else { key }]
        });
        let key = key.ok_or_else(|| context.unsupported(op, &format!("{element} has no order here")))?;
        Ok(Self { key: Elementwise::new(&key)?, axis, count })
    }

    /// The indices, as u32.
    ///
    /// # Errors
    /// What MLX refuses.
    pub fn indices(&self, a: &Array, stream: Stream) -> mlx::Result<Array> {
        // MLX sorts arrays that are not contiguous wrongly.
        let mut key = self.key.one(&[&mlx::contiguous(a, stream)?], stream)?;
        let stable = stream.capabilities().stable_sort;
        let narrow = key.dtype().size() < 8;
        if !stable && narrow {
            // The index decides between equals.
            let length = key.shape()[self.axis];
            let mut shape = vec![1; key.rank()];
            shape[self.axis] = length;
            let index = mlx::reshape(&mlx::arange(length, Dtype::Int64, stream)?, &shape, stream)?;
            let high = mlx::left_shift(&mlx::astype(&key, Dtype::Int64, stream)?, &Array::scalar(32i64)?, stream)?;
            key = mlx::bitwise_or(&high, &index, stream)?;
        }
        let key = mlx::contiguous(&key, stream)?;
        let order = mlx::argsort(&key, self.axis as i32, if stable || narrow { stream } else { Stream::cpu()? })?;
        let start = vec![0; order.rank()];
        let mut stop = order.shape().to_vec();
        stop[self.axis] = self.count;
        let first = mlx::slice(&order, &start, &stop, &vec![1; start.len()], stream)?;
        mlx::contiguous(&first, stream)
    }
}
