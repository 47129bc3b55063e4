//! Sums of many updates of few elements, for backends whose scatter adds one after the other.
#![forbid(unsafe_code)]

use super::super::combiner::Combiner;
use super::super::reduce::native;
use super::geometry::Geometry;
use crate::mlx::{self, Array, Dtype, ScatterMode, Stream};

/// Elements of all copies together, of each update.
const SHARE: i64 = 8;

/// How many copies of the operand take the updates in turn, a power of two; 1 where the operand itself takes all.
pub(super) fn count(geometry: &Geometry, dtype: Dtype, stream: Stream) -> i32 {
    let can = stream.capabilities();
    let size = |shape: &[i32]| shape.iter().map(|&size| i64::from(size)).product::<i64>().max(1);
    let (elements, updates) = (size(&geometry.indexing.operand), size(&geometry.updates));
    let longest = i64::try_from(can.longest_scatter).unwrap_or(i64::MAX);
    let fits = geometry.indexing.operand.len() < can.rank && geometry.indexing.axes.len() < can.index_arrays;
    if dtype != Dtype::Float32 || !fits || updates / elements <= longest {
        return 1;
    }
    // Each takes about the square root of what one would, but all are not much to add.
    let each = (updates / elements).isqrt();
    let copies = (updates / elements / each).min(updates / SHARE / elements).clamp(1, i64::from(geometry.updates[0]));
    1 << copies.ilog2()
}

/// Adds updates (windows along one axis, none out of bounds) to `count` copies, and these to the operand.
///
/// # Errors
/// What MLX refuses.
pub(super) fn add(
    geometry: &Geometry,
    count: i32,
    operand: &Array,
    updates: &Array,
    starts: &[Array],
    stream: Stream,
) -> mlx::Result<Array> {
    let copies = [&[count], operand.shape()].concat();
    let zeros = mlx::zeros(&copies, operand.dtype(), stream)?;
    let turns = mlx::arange(geometry.updates[0], Dtype::Int32, stream)?;
    let turns = mlx::bitwise_and(&turns, &Array::scalar(count - 1)?, stream)?;
    let starts: smallvec::SmallVec<[&Array; 4]> = std::iter::once(&turns).chain(starts).collect();
    let axes: Vec<i32> = std::iter::once(0).chain(geometry.indexing.axes.iter().map(|axis| axis + 1)).collect();
    let updates = mlx::expand_dims(updates, &[1], stream)?;
    let sums = mlx::scatter(ScatterMode::Add, &zeros, &starts, &updates, &axes, stream)?;
    mlx::add(operand, &native::reduce(Combiner::Add, &sums, &[0], stream)?, stream)
}
