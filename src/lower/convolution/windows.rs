//! Convolution as one product of matrices: all windows of the operand, laid out as rows, times the kernel.
//!
//! Works for every rank and element type. MLX's CPU backend does the same inside, but only for f32 without groups and
//! dilation, and falls back to naive loops that are slower by orders of magnitude.
#![forbid(unsafe_code)]

use super::geometry::{Geometry, Spatial};
use crate::lower::dot_general::product::{MatrixProduct, swap_last};
use crate::mlx::{self, Array, Stream};

/// The ready parameters of all calls.
pub(super) struct Windows {
    crop: Option<(Vec<i32>, Vec<i32>)>,
    embed: Option<Embed>,
    reverse: Option<(Vec<i32>, Vec<i32>, Vec<i32>)>,
    chunks: Vec<Chunk>,
    view_strides: Vec<i64>,
    /// The windows lie as `[group, sum, row]`, not `[group, row, sum]`.
    sum_first: bool,
    kernel_split: Vec<i32>,
    kernel_permutation: Vec<i32>,
    kernel_matrix: Vec<i32>,
    /// The kernel lies as `[group, output, sum]`, not `[group, sum, output]`.
    kernel_output_first: bool,
    /// The product is made as `[group, output, row]`, not `[group, row, output]`.
    output_first: bool,
    result_permutation: Vec<i32>,
    /// The dimension of the result that the chunks divide.
    cut_axis: i32,
}

/// The operand among zeros: dilation and padding.
pub(super) struct Embed {
    shape: Vec<i32>,
    start: Vec<i32>,
    stop: Vec<i32>,
    strides: Vec<i32>,
}

/// A part of the rows.
struct Chunk {
    offset: usize,
    view: Vec<i32>,
    matrix: Vec<i32>,
    /// The product with its rows taken apart.
    rows: Vec<i32>,
    result: Vec<i32>,
}

/// Axes of the windows' view.
#[derive(Clone, Copy, PartialEq)]
enum Axis {
    Group,
    Batch,
    Position(usize),
    Window(usize),
    Feature,
}

impl Windows {
    /// Plans the calls. The result must have elements, and the operands too. About `chunk` elements of the matrix of windows
    /// are laid out at a time.
    pub fn new(geometry: &Geometry, chunk: i64) -> Self {
        let rank = geometry.lhs_shape.len();
        let grouped = geometry.groups > 1;
        let mut padded = geometry.lhs_shape.clone();
        for spatial in &geometry.spatial {
            padded[spatial.lhs_axis] = spatial.padded();
        }
        let mut lhs_strides = vec![1i64; rank];
        for axis in (0..rank.saturating_sub(1)).rev() {
            lhs_strides[axis] = lhs_strides[axis + 1] * padded[axis + 1];
        }

        // Rows in the order of the result, sums in that of the operand.
        let mut rows: Vec<(usize, Axis)> = vec![(geometry.output_batch, Axis::Batch)];
        rows.extend(
            geometry.spatial.iter().enumerate().map(|(index, spatial)| (spatial.output_axis, Axis::Position(index))),
        );
        rows.sort_unstable_by_key(|&(axis, _)| axis);
        let rows: Vec<Axis> = rows.into_iter().map(|(_, axis)| axis).collect();
        let innermost = geometry.spatial.iter().position(|spatial| spatial.lhs_axis == rank - 1);
        let feature_innermost = geometry.lhs_feature == rank - 1;
        let mut sums: Vec<Axis> = (0..geometry.spatial.len()).map(Axis::Window).collect();
        sums.insert(if feature_innermost { sums.len() } else { 0 }, Axis::Feature);
        // What lies together in the operand should be copied together.
        let sum_first = match innermost {
            Some(index) => geometry.spatial[index].output >= geometry.spatial[index].window,
            None => !feature_innermost,
        };

        let size = |axis: Axis| match axis {
            Axis::Group => geometry.groups,
            Axis::Batch => geometry.batch,
            Axis::Position(index) => geometry.spatial[index].output,
            Axis::Window(index) => geometry.spatial[index].window,
            Axis::Feature => geometry.inputs,
        };
        let (batch_stride, feature_stride) = (lhs_strides[geometry.lhs_batch], lhs_strides[geometry.lhs_feature]);
        let stride = |axis: Axis| match axis {
            Axis::Group if geometry.batch_grouped => batch_stride * geometry.batch,
            Axis::Group => feature_stride * geometry.inputs,
            Axis::Batch => batch_stride,
            Axis::Position(index) => lhs_strides[geometry.spatial[index].lhs_axis] * geometry.spatial[index].stride,
            Axis::Window(index) => lhs_strides[geometry.spatial[index].lhs_axis] * geometry.spatial[index].rhs_dilation,
            Axis::Feature => feature_stride,
        };
        let mut view: Vec<Axis> = if grouped { vec![Axis::Group] } else { Vec::new() };
        let (first, second) = if sum_first { (&sums, &rows) } else { (&rows, &sums) };
        view.extend(first.iter().chain(second));

        // The kernel: output features taken apart by group, sums in the same order.
        let kernel_axis = |axis: usize| if grouped && axis > geometry.kernel_output { axis + 1 } else { axis };
        let mut kernel_split: Vec<i64> = geometry.kernel_shape.clone();
        let kernel_features = if grouped {
            kernel_split.splice(geometry.kernel_output..=geometry.kernel_output, [geometry.groups, geometry.outputs]);
            geometry.kernel_output + 1
        } else {
            geometry.kernel_output
        };
        let kernel_sums: Vec<usize> = sums
            .iter()
            .map(|&axis| match axis {
                Axis::Window(index) => kernel_axis(geometry.spatial[index].kernel_axis),
                _ => kernel_axis(geometry.kernel_input),
            })
            .collect();
        let kernel_output_first = geometry.kernel_output + 1 != geometry.kernel_shape.len();
        let mut kernel_permutation: Vec<usize> = if grouped { vec![geometry.kernel_output] } else { Vec::new() };
        if kernel_output_first {
            kernel_permutation.push(kernel_features);
        }
        kernel_permutation.extend(kernel_sums);
        if !kernel_output_first {
            kernel_permutation.push(kernel_features);
        }
        let (sum, outputs) = (geometry.sum(), geometry.outputs);
        let with_group = |group: i64, rest: [i64; 2]| -> Vec<i32> {
            let mut shape = if grouped { vec![group as i32] } else { Vec::new() };
            shape.extend(rest.map(|size| size as i32));
            shape
        };

        // The product has axes [group, row…, output] or [group, output, row…].
        let output_first = geometry.output_feature + 1 != rank;
        let leading = usize::from(grouped);
        let feature_at = if output_first { leading } else { leading + rows.len() };
        let row_at = |row: usize| leading + row + usize::from(output_first);
        let mut result_permutation = Vec::new();
        for axis in 0..rank {
            if axis == geometry.output_feature {
                if grouped {
                    result_permutation.push(0);
                }
                result_permutation.push(feature_at as i32);
            } else {
                let before = usize::from(axis > geometry.output_feature);
                result_permutation.push(row_at(axis - before) as i32);
            }
        }

        // Rows are divided by images; where these lie innermost, by positions, which keeps together what is copied
        // together.
        let positions = rows.iter().copied().filter(|&axis| axis != Axis::Batch).max_by_key(|&axis| size(axis));
        let cut = match positions {
            Some(position) if geometry.lhs_batch == rank - 1 => position,
            _ => Axis::Batch,
        };
        let cut_axis = match cut {
            Axis::Position(index) => geometry.spatial[index].output_axis,
            _ => geometry.output_batch,
        };
        let per_slice: i64 = view.iter().filter(|&&axis| axis != cut).map(|&axis| size(axis)).product();
        let step = (chunk / per_slice.max(1)).clamp(1, size(cut).max(1));
        let mut chunks = Vec::new();
        let mut done = 0;
        while done < size(cut) {
            let count = step.min(size(cut) - done);
            let sized = |axis: Axis| if axis == cut { count } else { size(axis) };
            let row_sizes: Vec<i32> = rows.iter().map(|&axis| sized(axis) as i32).collect();
            let row_count: i64 = row_sizes.iter().map(|&size| i64::from(size)).product();
            let mut apart = if grouped { vec![geometry.groups as i32] } else { Vec::new() };
            apart.extend(&row_sizes);
            apart.insert(feature_at, outputs as i32);
            let mut result: Vec<i32> = geometry.output_shape.iter().map(|&size| size as i32).collect();
            result[cut_axis] = count as i32;
            chunks.push(Chunk {
                offset: (done * stride(cut)) as usize,
                view: view.iter().map(|&axis| sized(axis) as i32).collect(),
                matrix: with_group(geometry.groups, if sum_first { [sum, row_count] } else { [row_count, sum] }),
                rows: apart,
                result,
            });
            done += count;
        }

        Self {
            crop: geometry.crop(),
            embed: Embed::new(geometry),
            reverse: reverse(geometry),
            chunks,
            view_strides: view.iter().map(|&axis| stride(axis)).collect(),
            sum_first,
            kernel_split: kernel_split.iter().map(|&size| size as i32).collect(),
            kernel_permutation: kernel_permutation.iter().map(|&axis| axis as i32).collect(),
            kernel_matrix: with_group(
                geometry.groups,
                if kernel_output_first { [outputs, sum] } else { [sum, outputs] },
            ),
            kernel_output_first,
            output_first,
            result_permutation,
            cut_axis: cut_axis as i32,
        }
    }

    /// Convolves.
    ///
    /// # Errors
    /// What MLX refuses.
    pub fn call(&self, product: &MatrixProduct, lhs: &Array, kernel: &Array, stream: Stream) -> mlx::Result<Array> {
        self.call_prepared(product, &product.prepare_lhs(lhs, stream)?, &product.prepare_rhs(kernel, stream)?, stream)
    }

    /// As [`Self::call`], of operands that the product has prepared.
    pub fn call_prepared(
        &self,
        product: &MatrixProduct,
        lhs: &Array,
        kernel: &Array,
        stream: Stream,
    ) -> mlx::Result<Array> {
        let (mut lhs, mut kernel) = (lhs.clone(), kernel.clone());
        if let Some((start, stop)) = &self.crop {
            lhs = mlx::slice(&lhs, start, stop, &vec![1; start.len()], stream)?;
        }
        if let Some(embed) = &self.embed {
            lhs = embed.call(&lhs, stream)?;
        }
        if let Some((start, stop, strides)) = &self.reverse {
            kernel = mlx::slice(&kernel, start, stop, strides, stream)?;
        }
        if kernel.shape() != self.kernel_split {
            kernel = mlx::reshape(&kernel, &self.kernel_split, stream)?;
        }
        kernel = mlx::transpose(&kernel, &self.kernel_permutation, stream)?;
        kernel = mlx::reshape(&kernel, &self.kernel_matrix, stream)?;
        // The product of the transposed is the transposed product with its sides exchanged.
        if self.kernel_output_first != self.output_first {
            kernel = swap_last(&kernel, stream)?;
        }
        let mut parts = Vec::with_capacity(self.chunks.len());
        for chunk in &self.chunks {
            let view = mlx::as_strided(&lhs, &chunk.view, &self.view_strides, chunk.offset, stream)?;
            let mut windows = mlx::reshape(&view, &chunk.matrix, stream)?;
            if self.sum_first != self.output_first {
                windows = swap_last(&windows, stream)?;
            }
            let part = if self.output_first {
                product.multiply(&kernel, &windows, stream)?
            } else {
                product.multiply(&windows, &kernel, stream)?
            };
            let part = mlx::reshape(&part, &chunk.rows, stream)?;
            let part = mlx::transpose(&part, &self.result_permutation, stream)?;
            parts.push(mlx::reshape(&part, &chunk.result, stream)?);
        }
        if parts.len() == 1 {
            return Ok(parts.remove(0));
        }
        mlx::concatenate(&parts.iter().collect::<Vec<_>>(), self.cut_axis, stream)
    }
}

impl Embed {
    /// None where there is neither dilation nor padding.
    pub fn new(geometry: &Geometry) -> Option<Self> {
        let plain = |spatial: &Spatial| spatial.low == 0 && spatial.high == 0 && spatial.lhs_dilation == 1;
        if geometry.spatial.iter().all(plain) {
            return None;
        }
        let mut shape: Vec<i32> = geometry.lhs_shape.iter().map(|&size| size as i32).collect();
        let (mut start, mut stop, mut strides) = (vec![0; shape.len()], shape.clone(), vec![1; shape.len()]);
        for spatial in &geometry.spatial {
            shape[spatial.lhs_axis] = spatial.padded() as i32;
            start[spatial.lhs_axis] = spatial.low as i32;
            let last = spatial.low + (spatial.stop - spatial.start - 1) * spatial.lhs_dilation;
            stop[spatial.lhs_axis] = (last + 1) as i32;
            strides[spatial.lhs_axis] = spatial.lhs_dilation as i32;
        }
        Some(Self { shape, start, stop, strides })
    }

    pub fn call(&self, lhs: &Array, stream: Stream) -> mlx::Result<Array> {
        let zeros = mlx::zeros(&self.shape, lhs.dtype(), stream)?;
        mlx::slice_update(&zeros, lhs, &self.start, &self.stop, &self.strides, stream)
    }
}

/// Start, stop and strides of a slice of the kernel that reverses it.
pub(super) fn reverse(geometry: &Geometry) -> Option<(Vec<i32>, Vec<i32>, Vec<i32>)> {
    let reversed = |spatial: &&Spatial| spatial.reversed && spatial.window > 1;
    geometry.spatial.iter().find(reversed)?;
    let mut stop: Vec<i32> = geometry.kernel_shape.iter().map(|&size| size as i32).collect();
    let (mut start, mut strides) = (vec![0; stop.len()], vec![1; stop.len()]);
    for spatial in geometry.spatial.iter().filter(reversed) {
        let window = spatial.window as i32;
        start[spatial.kernel_axis] = window - 1;
        stop[spatial.kernel_axis] = -window - 1;
        strides[spatial.kernel_axis] = -1;
    }
    Some((start, stop, strides))
}
