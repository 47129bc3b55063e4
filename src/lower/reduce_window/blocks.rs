//! Scans of long rows block by block, for backends whose own scans lose digits with the length of a row.
#![forbid(unsafe_code)]

use super::windows::along;
use crate::mlx::{self, Array, Stream};

/// A scan of a kind, and what it is made of.
pub struct Blocks<'a> {
    /// Scans each row along an axis.
    pub scan: &'a dyn Fn(&Array, i32) -> mlx::Result<Array>,
    /// Combines what came before with rows.
    pub combine: &'a dyn Fn(&Array, &Array) -> mlx::Result<Array>,
    /// Changes nothing; of the operand's dtype.
    pub identity: &'a Array,
    /// From the end to the start.
    pub reverse: bool,
    /// Rows of more elements are divided.
    pub longest: usize,
}

impl Blocks<'_> {
    /// Scans along the axis: blocks by themselves, then their last results, then both together.
    ///
    /// # Errors
    /// What MLX refuses.
    pub fn run(&self, a: &Array, axis: usize, stream: Stream) -> mlx::Result<Array> {
        let size = a.shape()[axis] as usize;
        if size <= self.longest {
            return (self.scan)(a, axis as i32);
        }
        // Equal steps on both levels, where one more level is not needed all the same.
        let block = size.isqrt().next_power_of_two().clamp(32, self.longest);
        let count = size.div_ceil(block);
        let missing = (count * block - size) as i32;
        let (low, high) = if self.reverse { (missing, 0) } else { (0, missing) };
        let padded = match missing {
            0 => a.clone(),
            _ => mlx::pad(a, &[axis as i32], &[low], &[high], self.identity, stream)?,
        };
        let mut divided = padded.shape().to_vec();
        divided.splice(axis..=axis, [count as i32, block as i32]);
        let inner = (self.scan)(&mlx::reshape(&padded, &divided, stream)?, axis as i32 + 1)?;

        let last = if self.reverse { 0 } else { block as i32 - 1 };
        let totals = mlx::squeeze(&along(&inner, axis + 1, last, last + 1, 1, stream)?, &[axis as i32 + 1], stream)?;
        let totals = self.run(&totals, axis, stream)?;
        let mut one = totals.shape().to_vec();
        one[axis] = 1;
        let nothing = mlx::broadcast_to(self.identity, &one, stream)?;
        let count = count as i32;
        let before = if self.reverse {
            mlx::concatenate(&[&along(&totals, axis, 1, count, 1, stream)?, &nothing], axis as i32, stream)?
        } else {
            mlx::concatenate(&[&nothing, &along(&totals, axis, 0, count - 1, 1, stream)?], axis as i32, stream)?
        };
        let result = (self.combine)(&mlx::expand_dims(&before, &[axis as i32 + 1], stream)?, &inner)?;
        let result = mlx::reshape(&result, padded.shape(), stream)?;
        match missing {
            0 => Ok(result),
            _ => along(&result, axis, low, low + size as i32, 1, stream),
        }
    }
}
