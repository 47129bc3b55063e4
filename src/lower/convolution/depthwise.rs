//! Convolution with one input feature per group: one multiplication and one addition of whole arrays per place of the
//! window. As a product of matrices it would have one column per group, and windows laid out in single elements.
#![forbid(unsafe_code)]

use super::geometry::Geometry;
use super::windows::Embed;
use crate::lower::complex;
use crate::lower::dot_general::product::MatrixProduct;
use crate::mlx::{self, Array, Dtype, Stream};

/// The ready parameters of all calls.
pub(super) struct Depthwise {
    crop: Option<(Vec<i32>, Vec<i32>)>,
    embed: Option<Embed>,
    places: Vec<Place>,
    lhs_strides: Vec<i32>,
    kernel_strides: Vec<i32>,
    /// The kernel at one place, along the features of the operand; several results per feature follow in a last axis.
    kernel_shape: Vec<i32>,
    multiplied: bool,
    permutation: Vec<i32>,
    shape: Vec<i32>,
}

/// One place of the window: starts and stops of slices of the operand and of the kernel.
struct Place {
    lhs: [Vec<i32>; 2],
    kernel: [Vec<i32>; 2],
}

/// Greater windows are left to the product of matrices.
const MOST: i64 = 128;

impl Depthwise {
    /// Plans the calls; None for other convolutions.
    pub fn new(geometry: &Geometry) -> Option<Self> {
        let windows: i64 = geometry.spatial.iter().map(|spatial| spatial.window).product();
        if geometry.groups == 1 || geometry.batch_grouped || geometry.inputs != 1 || windows > MOST {
            return None;
        }
        let rank = geometry.lhs_shape.len();
        let ints = |sizes: &[i64]| sizes.iter().map(|&size| size as i32).collect::<Vec<i32>>();
        let (mut lhs_strides, kernel_strides) = (vec![1; rank], vec![1; rank]);
        for spatial in &geometry.spatial {
            lhs_strides[spatial.lhs_axis] = spatial.stride as i32;
        }
        let places = (0..windows)
            .map(|mut index| {
                let mut lhs = [vec![0; rank], ints(&geometry.lhs_shape)];
                let mut kernel = [vec![0; rank], ints(&geometry.kernel_shape)];
                for spatial in geometry.spatial.iter().rev() {
                    let place = index % spatial.window;
                    index /= spatial.window;
                    let start = place * spatial.rhs_dilation;
                    lhs[0][spatial.lhs_axis] = start as i32;
                    lhs[1][spatial.lhs_axis] = (start + (spatial.output - 1) * spatial.stride + 1) as i32;
                    let tap = if spatial.reversed { spatial.window - 1 - place } else { place };
                    kernel[0][spatial.kernel_axis] = tap as i32;
                    kernel[1][spatial.kernel_axis] = tap as i32 + 1;
                }
                Place { lhs, kernel }
            })
            .collect();
        let multiplied = geometry.outputs > 1;
        let mut kernel_shape = vec![1; rank];
        kernel_shape[geometry.lhs_feature] = geometry.groups as i32;
        if multiplied {
            kernel_shape.push(geometry.outputs as i32);
        }
        let mut permutation = Vec::new();
        for axis in 0..rank {
            if axis == geometry.output_feature {
                permutation.push(geometry.lhs_feature as i32);
                if multiplied {
                    permutation.push(rank as i32);
                }
            } else if axis == geometry.output_batch {
                permutation.push(geometry.lhs_batch as i32);
            } else {
                let spatial = geometry.spatial.iter().find(|spatial| spatial.output_axis == axis)?;
                permutation.push(spatial.lhs_axis as i32);
            }
        }
        Some(Self {
            crop: geometry.crop(),
            embed: Embed::new(geometry),
            places,
            lhs_strides,
            kernel_strides,
            kernel_shape,
            multiplied,
            permutation,
            shape: ints(&geometry.output_shape),
        })
    }

    /// Convolves.
    ///
    /// # Errors
    /// What MLX refuses.
    pub fn call(&self, product: &MatrixProduct, lhs: &Array, kernel: &Array, stream: Stream) -> mlx::Result<Array> {
        let mut lhs = product.prepare_lhs(lhs, stream)?;
        if let Some((start, stop)) = &self.crop {
            lhs = mlx::slice(&lhs, start, stop, &vec![1; start.len()], stream)?;
        }
        if let Some(embed) = &self.embed {
            lhs = embed.call(&lhs, stream)?;
        }
        let kernel = product.prepare_rhs(kernel, stream)?;
        let mut sum: Option<Array> = None;
        for place in &self.places {
            let mut elements = mlx::slice(&lhs, &place.lhs[0], &place.lhs[1], &self.lhs_strides, stream)?;
            if self.multiplied {
                elements = mlx::expand_dims(&elements, &[elements.rank() as i32], stream)?;
            }
            let taps = mlx::slice(&kernel, &place.kernel[0], &place.kernel[1], &self.kernel_strides, stream)?;
            let taps = mlx::reshape(&taps, &self.kernel_shape, stream)?;
            let products = if elements.dtype() == Dtype::Complex64 {
                complex::multiply(&elements, &taps, stream)?
            } else {
                mlx::multiply(&elements, &taps, stream)?
            };
            sum = Some(match sum {
                None => products,
                Some(sum) => mlx::add(&sum, &products, stream)?,
            });
        }
        let mut sum = sum.expect("the window has a place");
        if sum.dtype() == Dtype::Complex64 {
            // XLA's sums start from 0: none is -0.
            sum = mlx::add(&sum, &Array::scalar(0f32)?, stream)?;
        }
        let result = mlx::reshape(&mlx::transpose(&sum, &self.permutation, stream)?, &self.shape, stream)?;
        product.finish(result, stream)
    }
}
