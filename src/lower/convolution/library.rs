//! Convolution by MLX's own function: for GPUs, where it has kernels for 1 to 3 dimensions of real floats.
#![forbid(unsafe_code)]

use super::geometry::Geometry;
use super::windows::reverse;
use crate::mlx::{self, Array, ConvParameters, Stream};

/// The ready parameters of all calls: operands become `[batch, spatial…, feature]`.
pub(super) struct Library {
    crop: Option<(Vec<i32>, Vec<i32>)>,
    reverse: Option<(Vec<i32>, Vec<i32>, Vec<i32>)>,
    lhs_split: Vec<i32>,
    lhs_permutation: Vec<i32>,
    lhs_shape: Vec<i32>,
    kernel_permutation: Vec<i32>,
    parameters: ConvParameters,
    result_permutation: Vec<i32>,
}

impl Library {
    /// Plans the calls; None where MLX has no such convolution.
    pub fn new(geometry: &Geometry) -> Option<Self> {
        let rank = geometry.spatial.len();
        if !(1..=3).contains(&rank) || (geometry.groups > 1 && rank == 3) {
            return None;
        }
        let crop = geometry.crop();
        let mut lhs = geometry.lhs_shape.clone();
        for spatial in &geometry.spatial {
            lhs[spatial.lhs_axis] = spatial.stop - spatial.start;
        }
        // Groups of the batch stand before the features: [group, batch] is taken apart in place.
        let after_batch =
            |axis: usize| (axis + usize::from(geometry.batch_grouped && axis > geometry.lhs_batch)) as i32;
        let mut lhs_split: Vec<i64> = lhs.clone();
        let mut lhs_permutation = vec![geometry.lhs_batch as i32 + i32::from(geometry.batch_grouped)];
        lhs_permutation.extend(geometry.spatial.iter().map(|spatial| after_batch(spatial.lhs_axis)));
        if geometry.batch_grouped {
            lhs_split.splice(geometry.lhs_batch..=geometry.lhs_batch, [geometry.groups, geometry.batch]);
            lhs_permutation.push(geometry.lhs_batch as i32);
        }
        lhs_permutation.push(after_batch(geometry.lhs_feature));
        let mut lhs_shape = vec![geometry.batch];
        lhs_shape.extend(geometry.spatial.iter().map(|spatial| spatial.stop - spatial.start));
        lhs_shape.push(geometry.groups * geometry.inputs);
        let mut kernel_permutation = vec![geometry.kernel_output as i32];
        kernel_permutation.extend(geometry.spatial.iter().map(|spatial| spatial.kernel_axis as i32));
        kernel_permutation.push(geometry.kernel_input as i32);
        let mut result_permutation = vec![0; rank + 2];
        result_permutation[geometry.output_batch] = 0;
        result_permutation[geometry.output_feature] = rank as i32 + 1;
        for (index, spatial) in geometry.spatial.iter().enumerate() {
            result_permutation[spatial.output_axis] = index as i32 + 1;
        }
        let each = |field: fn(&super::geometry::Spatial) -> i64| {
            geometry.spatial.iter().map(|spatial| field(spatial) as i32).collect::<Vec<i32>>()
        };
        let ints = |sizes: &[i64]| sizes.iter().map(|&size| size as i32).collect::<Vec<i32>>();
        Some(Self {
            crop,
            reverse: reverse(geometry),
            lhs_split: ints(&lhs_split),
            lhs_permutation,
            lhs_shape: ints(&lhs_shape),
            kernel_permutation,
            parameters: ConvParameters {
                stride: each(|spatial| spatial.stride),
                padding_low: each(|spatial| spatial.low),
                padding_high: each(|spatial| spatial.high),
                kernel_dilation: each(|spatial| spatial.rhs_dilation),
                input_dilation: each(|spatial| spatial.lhs_dilation),
                groups: geometry.groups as i32,
                flip: false,
            },
            result_permutation,
        })
    }

    /// Convolves operands of one dtype, into that dtype.
    ///
    /// # Errors
    /// What MLX refuses.
    pub fn call(&self, lhs: &Array, kernel: &Array, stream: Stream) -> mlx::Result<Array> {
        let mut lhs = lhs.clone();
        if let Some((start, stop)) = &self.crop {
            lhs = mlx::slice(&lhs, start, stop, &vec![1; start.len()], stream)?;
        }
        if lhs.shape() != self.lhs_split {
            lhs = mlx::reshape(&lhs, &self.lhs_split, stream)?;
        }
        lhs = mlx::transpose(&lhs, &self.lhs_permutation, stream)?;
        if lhs.shape() != self.lhs_shape {
            lhs = mlx::reshape(&lhs, &self.lhs_shape, stream)?;
        }
        let mut kernel = kernel.clone();
        if let Some((start, stop, strides)) = &self.reverse {
            kernel = mlx::slice(&kernel, start, stop, strides, stream)?;
        }
        kernel = mlx::transpose(&kernel, &self.kernel_permutation, stream)?;
        let lhs = mlx::contiguous(&lhs, stream)?;
        let kernel = mlx::contiguous(&kernel, stream)?;
        let result = mlx::conv_general(&lhs, &kernel, &self.parameters, stream)?;
        mlx::transpose(&result, &self.result_permutation, stream)
    }
}
