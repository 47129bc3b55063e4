//! Indices of the greatest or least elements, in XLA's order.
#![forbid(unsafe_code)]

use super::arithmetic::total_order;
use super::formula::{Formula, is_float};
use crate::mlx::{self, Array, Dtype, Stream};

/// Indices (u32) along the axis of the `count` greatest (or least) elements, equal ones by index. Floats are in total
/// order: NaN is the greatest, -NaN the least.
///
/// # Errors
/// What MLX refuses.
pub fn top_k(a: &Array, axis: usize, count: i32, largest: bool, stream: Stream) -> mlx::Result<Array> {
    // MLX sorts arrays that are not contiguous wrongly.
    let a = Formula::new(mlx::contiguous(a, stream), stream);
    let mut key = match a.dtype() {
        Dtype::Bool => a.cast(Dtype::Uint8),
        dtype if is_float(dtype) => total_order(&a),
        _ => a,
    };
    if largest {
        // Reverses the order of signed and of unsigned integers without overflow.
        key = !key;
    }
    let length = key.clone().finish()?.shape()[axis];
    let stable = stream.capabilities().stable_sort;
    let narrow = key.dtype().size() < 8;
    if !stable && narrow {
        // The index decides between equals.
        let index = mlx::arange(length, Dtype::Int64, stream)?;
        let rank = key.clone().finish()?.rank();
        let mut shape = vec![1; rank];
        shape[axis] = length;
        let index = Formula::new(mlx::reshape(&index, &shape, stream), stream);
        key = (key.cast(Dtype::Int64) << 32i128) | index;
    }
    let key = mlx::contiguous(&key.finish()?, stream)?;
    let order = mlx::argsort(&key, axis as i32, if stable || narrow { stream } else { Stream::cpu()? })?;
    let start = vec![0; order.rank()];
    let mut stop = order.shape().to_vec();
    stop[axis] = count;
    let first = mlx::slice(&order, &start, &stop, &vec![1; start.len()], stream)?;
    mlx::contiguous(&first, stream)
}
