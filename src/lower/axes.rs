//! Axes of arrays moved and turned.
#![forbid(unsafe_code)]

use crate::mlx::{self, Array, Stream};

/// The operand with the reduced axes in front, as rows of everything else; and the shape of what remains.
///
/// # Errors
/// What MLX refuses.
pub fn rows(a: &Array, axes: &[i32], stream: Stream) -> mlx::Result<(Array, Vec<i32>)> {
    let shape = a.shape();
    let kept: Vec<i32> = (0..shape.len() as i32).filter(|axis| !axes.contains(axis)).collect();
    let order: Vec<i32> = axes.iter().chain(&kept).copied().collect();
    let kept: Vec<i32> = kept.iter().map(|&axis| shape[axis as usize]).collect();
    let extent = axes.iter().map(|&axis| shape[axis as usize]).product();
    let transposed = mlx::transpose(a, &order, stream)?;
    Ok((mlx::reshape(&transposed, &[extent, kept.iter().product()], stream)?, kept))
}

/// The array back to front along an axis.
///
/// # Errors
/// What MLX refuses.
pub fn reversed(a: &Array, axis: i32, stream: Stream) -> mlx::Result<Array> {
    let shape = a.shape();
    let (mut start, mut stop, mut strides) = (vec![0; shape.len()], shape.to_vec(), vec![1; shape.len()]);
    let at = axis as usize;
    (start[at], stop[at], strides[at]) = (shape[at] - 1, -shape[at] - 1, -1);
    mlx::slice(a, &start, &stop, &strides, stream)
}
