//! Windows over padded arrays: their geometry, and how they are reduced.
#![forbid(unsafe_code)]

use super::super::reduce::Combine;
use super::super::{LowerError, shape_i32};
use crate::mlx::{self, Array, Arrays, Stream};

/// Windows along one dimension.
#[derive(Clone, Debug)]
pub struct Dimension {
    /// Elements of the operand.
    pub size: i64,
    /// Elements of a window.
    pub window: i64,
    /// Distance of windows.
    pub stride: i64,
    /// Distance of the operand's elements after dilation.
    pub base: i64,
    /// Distance of a window's elements.
    pub dilation: i64,
    /// Positions added in front; negative takes away.
    pub low: i64,
    /// Positions added behind; negative takes away.
    pub high: i64,
}

impl Dimension {
    /// Whether the numbers are those of some window.
    pub fn is_valid(&self) -> bool {
        // Bounds far above any array, below where sums overflow.
        let limit = 1 << 40;
        let positive = [self.window, self.stride, self.base, self.dilation];
        positive.iter().all(|value| (1..limit).contains(value))
            && self.low.abs() < limit
            && self.high.abs() < limit
            && self.size.checked_mul(self.base).is_some_and(|product| product < limit)
            && self.window.checked_mul(self.dilation).is_some_and(|product| product < limit)
    }

    /// Positions after dilation and padding.
    pub fn padded(&self) -> i64 {
        let dilated = if self.size == 0 { 0 } else { (self.size - 1) * self.base + 1 };
        (dilated + self.low + self.high).max(0)
    }

    /// Number of windows.
    pub fn count(&self) -> i64 {
        let span = (self.window - 1) * self.dilation + 1;
        if self.padded() < span { 0 } else { (self.padded() - span) / self.stride + 1 }
    }

    /// True when every window is one position and every position is a window.
    pub fn is_element(&self) -> bool {
        self.window == 1 && self.stride == 1 && self.base == 1
    }

    /// True when every window is one element and every element is a window.
    pub fn is_trivial(&self) -> bool {
        self.is_element() && self.low == 0 && self.high == 0
    }
}

/// Windows in all dimensions of a padded array.
pub struct Windows {
    counts: Vec<i32>,
    window: Vec<i32>,
    stride: Vec<i32>,
    dilation: Vec<i32>,
}

/// Windows of up to this many elements are reduced element by element; wider ones by doubling.
const NARROW: i32 = 4;

impl Windows {
    /// # Errors
    /// When a size does not fit in 32 bits.
    pub fn new(dimensions: &[Dimension]) -> Result<Self, LowerError> {
        let list = |of: fn(&Dimension) -> i64| shape_i32(&dimensions.iter().map(of).collect::<Vec<i64>>());
        Ok(Self {
            counts: list(Dimension::count)?,
            window: list(|each| each.window)?,
            stride: list(|each| each.stride)?,
            dilation: list(|each| each.dilation)?,
        })
    }

    /// Number of windows, their length, distance and dilation, in each dimension.
    pub fn axes(&self) -> impl Iterator<Item = (i32, i32, i32, i32)> + '_ {
        (0..self.window.len())
            .map(|axis| (self.counts[axis], self.window[axis], self.stride[axis], self.dilation[axis]))
    }

    /// Offsets of a window's elements, in row-major order.
    pub fn offsets(&self) -> Vec<Vec<i32>> {
        let mut offsets = vec![Vec::new()];
        for (&window, &dilation) in self.window.iter().zip(&self.dilation) {
            offsets = offsets
                .into_iter()
                .flat_map(|offset: Vec<i32>| {
                    (0..window).map(move |element| [&offset[..], &[element * dilation]].concat())
                })
                .collect();
        }
        offsets
    }

    /// For every window, its element at an offset.
    ///
    /// # Errors
    /// What MLX refuses.
    pub fn element(&self, padded: &Array, offset: &[i32], stream: Stream) -> mlx::Result<Array> {
        let stop: Vec<i32> =
            (0..offset.len()).map(|axis| offset[axis] + (self.counts[axis] - 1) * self.stride[axis] + 1).collect();
        mlx::slice(padded, offset, &stop, &self.stride, stream)
    }

    /// Combines accumulators with the elements of each window one after the other.
    ///
    /// # Errors
    /// What MLX refuses.
    pub fn fold(
        &self,
        mut accumulators: Arrays,
        rows: &[Array],
        combine: &Combine<'_>,
        stream: Stream,
    ) -> mlx::Result<Arrays> {
        for offset in self.offsets() {
            let elements =
                rows.iter().map(|row| self.element(row, &offset, stream)).collect::<mlx::Result<Arrays>>()?;
            accumulators = combine(&accumulators, &elements)?;
        }
        Ok(accumulators)
    }

    /// Reduces windows dimension by dimension, in an order that an associative body cannot tell from the elements' own.
    ///
    /// # Errors
    /// What MLX refuses.
    pub fn reduce(&self, mut rows: Arrays, combine: &Combine<'_>, stream: Stream) -> mlx::Result<Arrays> {
        for axis in (0..self.window.len()).rev() {
            if self.window[axis] > 1 || self.stride[axis] > 1 {
                rows = self.reduce_axis(rows, axis, combine, stream)?;
            }
        }
        Ok(rows)
    }

    fn reduce_axis(&self, rows: Arrays, axis: usize, combine: &Combine<'_>, stream: Stream) -> mlx::Result<Arrays> {
        let (window, stride, dilation) = (self.window[axis], self.stride[axis], self.dilation[axis]);
        let count = self.counts[axis];
        let piece = |rows: &[Array], element: i32| {
            let start = element * dilation;
            along_all(rows, axis, start, start + (count - 1) * stride + 1, stride, stream)
        };
        if window <= NARROW {
            let mut sum = piece(&rows, 0)?;
            for element in 1..window {
                sum = combine(&sum, &piece(&rows, element)?)?;
            }
            return Ok(sum);
        }
        // `runs` holds at each position the combination of `length` elements from there on; a window is put together
        // from runs of the powers of two in its length.
        let mut runs = rows;
        let mut length = 1;
        let mut done = 0;
        let mut sum: Option<Arrays> = None;
        loop {
            if window & length != 0 {
                let next = piece(&runs, done)?;
                sum = Some(match sum {
                    None => next,
                    Some(sum) => combine(&sum, &next)?,
                });
                done += length;
            }
            if done == window {
                return sum.ok_or_else(|| mlx::Error::new("internal error: a window without elements"));
            }
            let positions = runs[0].shape()[axis];
            let shift = length * dilation;
            let left = along_all(&runs, axis, 0, positions - shift, 1, stream)?;
            let right = along_all(&runs, axis, shift, positions, 1, stream)?;
            runs = combine(&left, &right)?;
            length *= 2;
        }
    }
}

/// The array cut along one axis.
///
/// # Errors
/// What MLX refuses.
pub fn along(a: &Array, axis: usize, start: i32, stop: i32, stride: i32, stream: Stream) -> mlx::Result<Array> {
    let (mut starts, mut stops, mut strides) = (vec![0; a.rank()], a.shape().to_vec(), vec![1; a.rank()]);
    (starts[axis], stops[axis], strides[axis]) = (start, stop, stride);
    mlx::slice(a, &starts, &stops, &strides, stream)
}

/// All arrays cut along one axis.
///
/// # Errors
/// What MLX refuses.
pub fn along_all(
    arrays: &[Array],
    axis: usize,
    start: i32,
    stop: i32,
    stride: i32,
    stream: Stream,
) -> mlx::Result<Arrays> {
    arrays.iter().map(|array| along(array, axis, start, stop, stride, stream)).collect()
}
