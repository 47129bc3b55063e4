//! How updates of a scatter meet its operands.
#![forbid(unsafe_code)]

use super::super::indexing::Indexing;
use crate::mlx::{self, Array, Stream};

/// How updates meet operands.
pub(super) struct Geometry {
    pub(super) indexing: Indexing,
    /// Permutation of the updates that puts the scatter dimensions before the window dimensions.
    pub(super) order: Vec<i32>,
    /// Shape of the updates then: number of windows, then a window in all dimensions of the operand.
    pub(super) updates: Vec<i32>,
    /// Shape of operands and results.
    pub(super) result: Vec<i32>,
    /// True when every window is known to lie in the operand.
    pub(super) in_bounds: bool,
}

impl Geometry {
    /// The updates as windows along one axis.
    pub(super) fn windows(&self, updates: &Array, stream: Stream) -> mlx::Result<Array> {
        mlx::reshape(&mlx::transpose(updates, &self.order, stream)?, &self.updates, stream)
    }

    /// Whether each window lies in the operand; None when all do.
    pub(super) fn inside(&self, indices: &Array, stream: Stream) -> mlx::Result<Option<Array>> {
        if self.in_bounds { Ok(None) } else { self.indexing.in_bounds(indices, stream) }
    }
}
