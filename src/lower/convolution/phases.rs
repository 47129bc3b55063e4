//! Convolution of a dilated operand as several of the operand itself.
//!
//! Between the elements of an operand dilated by d lie zeros. Output positions that are equal modulo d meet elements at
//! the same places of the window only: with the kernel cut to these, they are a convolution without dilation. All d
//! phases together make none of the products with zeros, which are all but one in d in each dimension. The gradient of a
//! strided convolution is of this kind.
#![forbid(unsafe_code)]

use super::geometry::{Geometry, cut};
use super::windows::{Windows, reverse};
use crate::lower::dot_general::product::MatrixProduct;
use crate::mlx::{self, Array, Dtype, Stream};

/// Start, stop and strides of a slice.
type Slice = (Vec<i32>, Vec<i32>, Vec<i32>);

/// The ready parameters of all calls.
pub(super) struct Phases {
    reverse: Option<Slice>,
    phases: Vec<Phase>,
    shape: Vec<i32>,
    result: Dtype,
}

struct Phase {
    kernel: Slice,
    windows: Windows,
    output: Slice,
}

/// More phases than this are left to the plain form: each is a few steps of its own.
const MOST: i64 = 64;

impl Phases {
    /// Plans the calls; None where there is nothing to win.
    pub fn new(geometry: &Geometry, result: Dtype, chunk: i64) -> Option<Self> {
        let dilations: Vec<i64> = geometry
            .spatial
            .iter()
            .map(|spatial| if spatial.stride == 1 && spatial.rhs_dilation == 1 { spatial.lhs_dilation } else { 1 })
            .collect();
        let count = dilations.iter().try_fold(1i64, |product, &dilation| product.checked_mul(dilation))?;
        if count == 1 || count > MOST {
            return None;
        }
        let phases = (0..count)
            .filter_map(|mut index| {
                let phase: Vec<i64> = dilations
                    .iter()
                    .map(|dilation| {
                        let phase = index % dilation;
                        index /= dilation;
                        phase
                    })
                    .collect();
                Phase::new(geometry, &dilations, &phase, chunk)
            })
            .collect();
        Some(Self {
            reverse: reverse(geometry),
            phases,
            shape: geometry.output_shape.iter().map(|&size| size as i32).collect(),
            result,
        })
    }

    /// Convolves.
    ///
    /// # Errors
    /// What MLX refuses.
    pub fn call(&self, product: &MatrixProduct, lhs: &Array, kernel: &Array, stream: Stream) -> mlx::Result<Array> {
        let lhs = product.prepare_lhs(lhs, stream)?;
        let mut kernel = product.prepare_rhs(kernel, stream)?;
        if let Some((start, stop, strides)) = &self.reverse {
            kernel = mlx::slice(&kernel, start, stop, strides, stream)?;
        }
        let mut result = mlx::zeros(&self.shape, self.result, stream)?;
        for Phase { kernel: (start, stop, strides), windows, output } in &self.phases {
            let taps = mlx::slice(&kernel, start, stop, strides, stream)?;
            let part = windows.call_prepared(product, &lhs, &taps, stream)?;
            let (start, stop, strides) = output;
            result = mlx::slice_update(&result, &part, start, stop, strides, stream)?;
        }
        Ok(result)
    }
}

impl Phase {
    /// None where the phase meets no element: its results stay zero.
    fn new(geometry: &Geometry, dilations: &[i64], phase: &[i64], chunk: i64) -> Option<Self> {
        let mut sub = geometry.clone();
        let whole = |shape: &[i64]| -> Slice {
            (vec![0; shape.len()], shape.iter().map(|&size| size as i32).collect(), vec![1; shape.len()])
        };
        let (mut kernel, mut output) = (whole(&geometry.kernel_shape), whole(&geometry.output_shape));
        for (index, spatial) in geometry.spatial.iter().enumerate() {
            let (dilation, phase) = (dilations[index], phase[index]);
            let target = &mut sub.spatial[index];
            target.reversed = false;
            if dilation == 1 {
                continue;
            }
            // Position p + d q meets element i at place w of the window when p + d q + w = low + d i: for w = first + d t,
            // that is i = q + t - low'.
            let first = (spatial.low - phase).rem_euclid(dilation);
            let taps = (spatial.window - first + dilation - 1).div_euclid(dilation);
            let positions = (spatial.output - phase + dilation - 1).div_euclid(dilation);
            if taps <= 0 || positions <= 0 {
                return None;
            }
            let size = spatial.stop - spatial.start;
            let low = (spatial.low - phase - first) / dilation;
            let high = positions - 1 + taps - size - low;
            let part = cut(size, 1, (low, high));
            if part.start >= part.stop {
                return None;
            }
            target.start = spatial.start + part.start;
            target.stop = spatial.start + part.stop;
            (target.low, target.high) = (part.low, part.high);
            target.lhs_dilation = 1;
            (target.window, target.output) = (taps, positions);
            sub.kernel_shape[spatial.kernel_axis] = taps;
            sub.output_shape[spatial.output_axis] = positions;
            kernel.0[spatial.kernel_axis] = first as i32;
            kernel.2[spatial.kernel_axis] = dilation as i32;
            output.0[spatial.output_axis] = phase as i32;
            output.2[spatial.output_axis] = dilation as i32;
        }
        Some(Self { kernel, windows: Windows::new(&sub, chunk), output })
    }
}
