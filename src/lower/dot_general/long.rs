//! Products of matrices whose sums are long and few, for backends whose own sums lose digits with their length.
#![forbid(unsafe_code)]

use crate::lower::combiner::Combiner;
use crate::lower::reduce::native;
use crate::mlx::{self, Array, Stream};

/// Products that one sum adds up before the sums are added.
const PART: i32 = 1 << 8;
/// Above as many rows or columns the parts would be many.
const FEW: i32 = 64;
/// How many times as long sums may be where a side is a vector, since MLX divides these among the lanes of a group.
const LANES: usize = 4;

/// `[batch…, m, k] × [batch…, k, n]` of f32.
///
/// # Errors
/// What MLX refuses.
pub(super) fn matmul(a: &Array, b: &Array, stream: Stream) -> mlx::Result<Array> {
    let rank = a.rank();
    let (&[m, k], n) = (&[a.shape()[rank - 2], a.shape()[rank - 1]], b.shape()[rank - 1]);
    let longest = stream.capabilities().longest_dot.saturating_mul(if m.min(n) == 1 { LANES } else { 1 });
    if k as usize <= longest || m.min(n) > FEW {
        return mlx::matmul(a, b, stream);
    }
    let (axis, parts) = (rank as i32 - 2, k / PART);
    let whole = parts * PART;
    let cut = |x: &Array, axis: usize, from: i32, to: i32| -> mlx::Result<Array> {
        let (mut start, mut stop) = (vec![0; rank], x.shape().to_vec());
        (start[axis], stop[axis]) = (from, to);
        mlx::slice(x, &start, &stop, &vec![1; rank], stream)
    };
    let divide = |x: &Array, at: usize| -> mlx::Result<Array> {
        let mut shape = x.shape().to_vec();
        shape.splice(at..=at, [parts, PART]);
        mlx::reshape(x, &shape, stream)
    };
    // [batch…, parts, m, PART] × [batch…, parts, PART, n]
    let left = divide(&cut(a, rank - 1, 0, whole)?, rank - 1)?;
    let mut order: Vec<i32> = (0..=rank as i32).collect();
    order.swap(rank - 2, rank - 1);
    let left = mlx::transpose(&left, &order, stream)?;
    let right = divide(&cut(b, rank - 2, 0, whole)?, rank - 2)?;
    let sum = native::reduce(Combiner::Add, &mlx::matmul(&left, &right, stream)?, &[axis], stream)?;
    if whole == k {
        return Ok(sum);
    }
    let rest = mlx::matmul(&cut(a, rank - 1, whole, k)?, &cut(b, rank - 2, whole, k)?, stream)?;
    mlx::add(&sum, &rest, stream)
}
