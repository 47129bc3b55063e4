//! Rows reduced as a tree.
#![forbid(unsafe_code)]

use crate::mlx::{self, Array, Arrays, Stream};

/// Combines accumulators and new values, one of each per operand.
pub type Combine<'a> = dyn Fn(&[Array], &[Array]) -> mlx::Result<Arrays> + 'a;

/// Reduces rows (at least one) to one, as a tree that keeps their order.
///
/// # Errors
/// What MLX refuses.
pub fn tree(mut rows: Arrays, combine: &Combine<'_>, stream: Stream) -> mlx::Result<Arrays> {
    loop {
        let (length, width) = (rows[0].shape()[0], rows[0].shape()[1]);
        if length <= 1 {
            return Ok(rows);
        }
        let paired = length / 2 * 2;
        let every_other = |first: i32| {
            rows.iter()
                .map(|row| mlx::slice(row, &[first, 0], &[paired, width], &[2, 1], stream))
                .collect::<mlx::Result<Arrays>>()
        };
        let mut combined = combine(&every_other(0)?, &every_other(1)?)?;
        if paired < length {
            for (result, row) in combined.iter_mut().zip(&rows) {
                let last = mlx::slice(row, &[paired, 0], &[length, width], &[1, 1], stream)?;
                *result = mlx::concatenate(&[result, &last], 0, stream)?;
            }
        }
        rows = combined;
    }
}
