//! What the attributes of a convolution mean, checked against its types.
#![forbid(unsafe_code)]

use crate::lower::{Context, LowerError};
use crate::program::{Convolution, Op, TensorType};

/// One spatial dimension.
#[derive(Clone, Copy, Debug)]
pub(super) struct Spatial {
    pub lhs_axis: usize,
    pub kernel_axis: usize,
    pub output_axis: usize,
    /// The part of the operand that padding leaves: negative padding cuts.
    pub start: i64,
    pub stop: i64,
    /// Zeros around the part that is left, once dilated; never negative.
    pub low: i64,
    pub high: i64,
    pub window: i64,
    pub output: i64,
    pub stride: i64,
    pub lhs_dilation: i64,
    pub rhs_dilation: i64,
    pub reversed: bool,
}

impl Spatial {
    /// Size of the dilated and padded operand.
    pub fn padded(&self) -> i64 {
        let size = self.stop - self.start;
        let dilated = if size == 0 { 0 } else { (size - 1) * self.lhs_dilation + 1 };
        self.low + dilated + self.high
    }
}

/// A convolution. Batch groups are told as feature groups: group g of the batch meets group g of the output features.
#[derive(Clone, Debug)]
pub(super) struct Geometry {
    pub lhs_shape: Vec<i64>,
    pub kernel_shape: Vec<i64>,
    pub output_shape: Vec<i64>,
    pub lhs_batch: usize,
    pub lhs_feature: usize,
    pub kernel_input: usize,
    pub kernel_output: usize,
    pub output_batch: usize,
    pub output_feature: usize,
    pub spatial: Vec<Spatial>,
    /// Groups of features, or of the batch.
    pub groups: i64,
    /// Whether the batch is grouped, not the features.
    pub batch_grouped: bool,
    /// Per group.
    pub batch: i64,
    /// Input features per group.
    pub inputs: i64,
    /// Output features per group.
    pub outputs: i64,
}

impl Geometry {
    /// Reads the attributes.
    ///
    /// # Errors
    /// INVALID_ARGUMENT where they do not fit the types.
    pub fn new(context: &Context<'_>, op: &Op, attributes: &Convolution) -> Result<Self, LowerError> {
        let (lhs, kernel, result) = (context.operand(op, 0)?, context.operand(op, 1)?, context.result(op, 0)?);
        let rank = attributes.input_spatial_dimensions.len();
        let lengths = [
            attributes.kernel_spatial_dimensions.len(),
            attributes.output_spatial_dimensions.len(),
            attributes.window_strides.len(),
            attributes.padding.len(),
            attributes.lhs_dilation.len(),
            attributes.rhs_dilation.len(),
            attributes.window_reversal.len(),
        ];
        if lengths.iter().any(|&length| length != rank) {
            return Err(context.invalid(op, &format!("window attributes of {lengths:?} entries for {rank} dimensions")));
        }
        let axes = |ty: &TensorType, first: i64, second: i64, spatial: &[i64]| -> Result<Vec<usize>, LowerError> {
            let named: Vec<i64> = [&[first, second], spatial].concat();
            let mut sorted = named.clone();
            sorted.sort_unstable();
            if !sorted.into_iter().eq(0..ty.rank() as i64) {
                return Err(context.invalid(op, &format!("dimension numbers {named:?} of {ty}")));
            }
            Ok(named.into_iter().map(|axis| axis as usize).collect())
        };
        let lhs_axes = axes(
            lhs,
            attributes.input_batch_dimension,
            attributes.input_feature_dimension,
            &attributes.input_spatial_dimensions,
        )?;
        let kernel_axes = axes(
            kernel,
            attributes.kernel_input_feature_dimension,
            attributes.kernel_output_feature_dimension,
            &attributes.kernel_spatial_dimensions,
        )?;
        let output_axes = axes(
            result,
            attributes.output_batch_dimension,
            attributes.output_feature_dimension,
            &attributes.output_spatial_dimensions,
        )?;
        let (feature_groups, batch_groups) = (attributes.feature_group_count, attributes.batch_group_count);
        let (batch, features) = (lhs.shape[lhs_axes[0]], lhs.shape[lhs_axes[1]]);
        let (inputs, outputs) = (kernel.shape[kernel_axes[0]], kernel.shape[kernel_axes[1]]);
        let groups = feature_groups.max(batch_groups);
        if feature_groups < 1
            || batch_groups < 1
            || (feature_groups > 1 && batch_groups > 1)
            || inputs.checked_mul(feature_groups) != Some(features)
            || batch % batch_groups != 0
            || outputs % groups != 0
        {
            return Err(context.invalid(op, "the groups do not fit the shapes"));
        }
        let mut spatial = Vec::with_capacity(rank);
        for index in 0..rank {
            let (lhs_axis, kernel_axis) = (lhs_axes[index + 2], kernel_axes[index + 2]);
            let (stride, lhs_dilation, rhs_dilation) =
                (attributes.window_strides[index], attributes.lhs_dilation[index], attributes.rhs_dilation[index]);
            if stride < 1 || lhs_dilation < 1 || rhs_dilation < 1 {
                return Err(context.invalid(op, "strides and dilations are at least 1"));
            }
            let each = Spatial {
                lhs_axis,
                kernel_axis,
                output_axis: output_axes[index + 2],
                window: kernel.shape[kernel_axis],
                output: result.shape[output_axes[index + 2]],
                stride,
                lhs_dilation,
                rhs_dilation,
                reversed: attributes.window_reversal[index],
                ..cut(lhs.shape[lhs_axis], lhs_dilation, attributes.padding[index])
            };
            // The extents as the spec counts them, before cutting.
            let size = lhs.shape[lhs_axis];
            let dilated = if size == 0 { 0 } else { (size - 1) * lhs_dilation + 1 };
            let padded = dilated + attributes.padding[index].0 + attributes.padding[index].1;
            let extent = if each.window == 0 { 0 } else { (each.window - 1) * rhs_dilation + 1 };
            let output = if padded <= 0 || extent > padded { 0 } else { (padded - extent) / stride + 1 };
            if output != each.output {
                return Err(context.invalid(op, &format!("spatial dimension {index} of the result is not {output}")));
            }
            spatial.push(each);
        }
        if result.shape[output_axes[0]] != batch / batch_groups || result.shape[output_axes[1]] != outputs {
            return Err(context.invalid(op, "batch or features of the result"));
        }
        Ok(Self {
            lhs_shape: lhs.shape.clone(),
            kernel_shape: kernel.shape.clone(),
            output_shape: result.shape.clone(),
            lhs_batch: lhs_axes[0],
            lhs_feature: lhs_axes[1],
            kernel_input: kernel_axes[0],
            kernel_output: kernel_axes[1],
            output_batch: output_axes[0],
            output_feature: output_axes[1],
            spatial,
            groups,
            batch_grouped: batch_groups > 1,
            batch: batch / batch_groups,
            inputs,
            outputs: outputs / groups,
        })
    }

    /// Number of products in each sum.
    pub fn sum(&self) -> i64 {
        self.spatial.iter().map(|spatial| spatial.window).product::<i64>() * self.inputs
    }

    /// True when every sum is over nothing but padding.
    pub fn only_padding(&self) -> bool {
        self.sum() == 0 || self.spatial.iter().any(|spatial| spatial.start >= spatial.stop)
    }

    /// Where negative padding leaves the operand: start and stop of a slice, if it cuts.
    pub fn crop(&self) -> Option<(Vec<i32>, Vec<i32>)> {
        let mut start = vec![0; self.lhs_shape.len()];
        let mut stop: Vec<i32> = self.lhs_shape.iter().map(|&size| size as i32).collect();
        let whole = stop.clone();
        for spatial in &self.spatial {
            start[spatial.lhs_axis] = spatial.start as i32;
            stop[spatial.lhs_axis] = spatial.stop as i32;
        }
        (stop != whole || start.iter().any(|&index| index != 0)).then_some((start, stop))
    }
}

/// Turns padding that may be negative into a cut and padding that is not. Padding counts in positions of the dilated
/// operand, of which only every `dilation`th is an element.
pub(super) fn cut(size: i64, dilation: i64, (low, high): (i64, i64)) -> Spatial {
    let (mut start, mut stop) = (0, size);
    let (mut low_left, mut high_left) = (low, high);
    if low < 0 {
        start = (-low + dilation - 1) / dilation;
        low_left = start * dilation + low;
    }
    if high < 0 {
        let dropped = (-high + dilation - 1) / dilation;
        stop = size - dropped;
        high_left = dropped * dilation + high;
    }
    if start >= stop {
        (start, stop) = (0, 0);
    }
    Spatial {
        lhs_axis: 0,
        kernel_axis: 0,
        output_axis: 0,
        start,
        stop,
        low: low_left,
        high: high_left,
        window: 0,
        output: 0,
        stride: 1,
        lhs_dilation: dilation,
        rhs_dilation: 1,
        reversed: false,
    }
}
