//! Indices of the greatest or least elements, in XLA's order.
#![forbid(unsafe_code)]

use super::arithmetic::total_order;
use super::formula::{Formula, is_float};
use crate::mlx::{self, Array, DeviceKind, Dtype, Stream};

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
    if stream.kind() == DeviceKind::Gpu && key.dtype().size() < 8 {
        // Nothing promises that sorting on a GPU is stable: the index decides between equals.
        let index = mlx::arange(length, Dtype::Int64, stream)?;
        let rank = key.clone().finish()?.rank();
        let mut shape = vec![1; rank];
        shape[axis] = length;
        let index = Formula::new(mlx::reshape(&index, &shape, stream), stream);
        key = (key.cast(Dtype::Int64) << 32i128) | index;
    }
    let order = mlx::argsort(&mlx::contiguous(&key.finish()?, stream)?, axis as i32, stream)?;
    let start = vec![0; order.rank()];
    let mut stop = order.shape().to_vec();
    stop[axis] = count;
    let first = mlx::slice(&order, &start, &stop, &vec![1; start.len()], stream)?;
    mlx::contiguous(&first, stream)
}
