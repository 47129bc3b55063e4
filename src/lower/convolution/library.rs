//! Convolution by MLX's own function: for GPUs, where it has kernels for 1 to 3 dimensions of real floats.
#![forbid(unsafe_code)]

use std::sync::OnceLock;

use super::geometry::Geometry;
use super::windows::reverse;
use crate::mlx::{self, Array, ConvParameters, ConvolvedDimension, Dtype, NativeConvolution, Stream};

/// The ready parameters of all calls: operands become `[batch, spatial…, feature]`.
pub(super) struct Library {
    dtype: Dtype,
    crop: Option<(Vec<i32>, Vec<i32>)>,
    reverse: Option<(Vec<i32>, Vec<i32>, Vec<i32>)>,
    lhs_split: Vec<i32>,
    lhs_permutation: Vec<i32>,
    lhs_shape: Vec<i32>,
    kernel_permutation: Vec<i32>,
    kernel_shape: Vec<i32>,
    parameters: ConvParameters,
    result_permutation: Vec<i32>,
    /// On what operands MLX can run it, where only running it tells.
    runs: Option<OnceLock<Runs>>,
}

/// On what operands a convolution runs.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Runs {
    /// On all.
    OnAll,
    /// On operands that lie at the start of an allocation.
    OnAligned,
    /// On none.
    Never,
}

impl Library {
    /// Plans the calls for operands of that dtype; None where MLX has no such convolution, or should not be given it.
    pub fn new(geometry: &Geometry, dtype: Dtype, native: NativeConvolution) -> Option<Self> {
        let rank = geometry.spatial.len();
        let dimensions = geometry.spatial.iter().map(|spatial| ConvolvedDimension {
            input_dilation: spatial.lhs_dilation,
            kernel_dilation: spatial.rhs_dilation,
            window: spatial.window,
            result: spatial.output,
        });
        if !native.takes(dimensions) {
            return None;
        }
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
        let mut kernel_shape = vec![geometry.groups * geometry.outputs];
        kernel_shape.extend(geometry.spatial.iter().map(|spatial| spatial.window));
        kernel_shape.push(geometry.inputs);
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
            dtype,
            crop,
            reverse: reverse(geometry),
            lhs_split: ints(&lhs_split),
            lhs_permutation,
            lhs_shape: ints(&lhs_shape),
            kernel_permutation,
            kernel_shape: ints(&kernel_shape),
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
            runs: None,
        })
    }

    /// The same, for a backend where only an evaluation tells whether MLX can run it.
    pub fn where_it_runs(self) -> Self {
        Self { runs: Some(OnceLock::new()), ..self }
    }

    /// On what operands MLX can run it. Where only an evaluation tells, the first call convolves zeros and waits for them,
    /// apart from the program's own arrays: an evaluation that fails takes with it whatever is evaluated in it. Operands may
    /// start anywhere in memory that others share, and cuDNN's plans depend on their alignment: tried are both those at the
    /// start of an allocation and those one element behind it.
    ///
    /// # Errors
    /// Memory that is short.
    pub fn runs(&self, stream: Stream) -> mlx::Result<Runs> {
        let Some(known) = &self.runs else { return Ok(Runs::OnAll) };
        if let Some(&runs) = known.get() {
            return Ok(runs);
        }
        let runs = if !self.convolves_zeros(0, stream)? {
            Runs::Never
        } else if self.convolves_zeros(1, stream)? {
            Runs::OnAll
        } else {
            Runs::OnAligned
        };
        Ok(*known.get_or_init(|| runs))
    }

    /// Whether MLX convolves operands that lie so many elements behind the start of an allocation.
    fn convolves_zeros(&self, offset: i32, stream: Stream) -> mlx::Result<bool> {
        let zeros = |shape: &[i32]| {
            let size = shape.iter().try_fold(1i32, |size, &each| size.checked_mul(each));
            let Some(size) = size.filter(|&size| size < i32::MAX) else {
                return mlx::zeros(shape, self.dtype, stream);
            };
            let zeros = mlx::contiguous(&mlx::zeros(&[size + offset], self.dtype, stream)?, stream)?;
            stream.evaluate(&[&zeros])?;
            mlx::reshape(&mlx::slice(&zeros, &[offset], &[size + offset], &[1], stream)?, shape, stream)
        };
        let (lhs, kernel) = (zeros(&self.lhs_shape)?, zeros(&self.kernel_shape)?);
        let result = mlx::conv_general(&lhs, &kernel, &self.parameters, stream);
        match result.and_then(|result| stream.attempt(&[&result])) {
            Ok(()) => Ok(true),
            Err(error) if error.is_out_of_memory() => Err(error),
            Err(error) => {
                let (lhs, kernel, dtype) = (&self.lhs_shape, &self.kernel_shape, self.dtype);
                tracing::info!(?lhs, ?kernel, ?dtype, offset, %error, "mlx has no such convolution");
                Ok(false)
            }
        }
    }

    /// Convolves operands of one dtype, into that dtype.
    ///
    /// # Errors
    /// What MLX refuses.
    pub fn call(&self, runs: Runs, lhs: &Array, kernel: &Array, stream: Stream) -> mlx::Result<Array> {
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
        let mut lhs = mlx::contiguous(&lhs, stream)?;
        let mut kernel = mlx::contiguous(&kernel, stream)?;
        if runs == Runs::OnAligned {
            lhs = aligned(&lhs, stream)?;
            kernel = aligned(&kernel, stream)?;
        }
        let result = mlx::conv_general(&lhs, &kernel, &self.parameters, stream)?;
        mlx::transpose(&result, &self.result_permutation, stream)
    }
}

/// A copy at the start of an allocation: of something longer, of which it is the beginning.
fn aligned(a: &Array, stream: Stream) -> mlx::Result<Array> {
    let mut row = a.shape().to_vec();
    row[0] = 1;
    let longer = mlx::concatenate(&[a, &mlx::zeros(&row, a.dtype(), stream)?], 0, stream)?;
    mlx::slice(&longer, &vec![0; row.len()], a.shape(), &vec![1; row.len()], stream)
}
