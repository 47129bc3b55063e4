//! Infinities and NaN in the kernel, where they meet zeros of padding and dilation.
//!
//! Times zero they are NaN. XLA:CPU multiplies so in the convolutions that it gives to Eigen, and leaves the zeros out
//! in all others ([`Convolution::leaves_zeros_out`]). Here the zeros of padding are multiplied, and those of dilation unless the
//! convolution is made in phases. That can be wrong only if the kernel is not finite. Then the host changes the results
//! that are: where zeros are to be left out, those that are NaN are computed again, one by one; where they are to be
//! multiplied, those that meet one become NaN.
#![forbid(unsafe_code)]

use std::sync::Arc;

use super::geometry::{Geometry, Spatial};
use crate::mlx::{self, Array, Dtype, HostAmendment, Stream};
use crate::program::{Convolution, TensorType};

/// How the elements of a dtype are read and written, and whether an array of them is finite.
#[derive(Clone, Copy)]
struct Format {
    read: fn(&[u8], usize) -> f64,
    write: fn(&mut [u8], usize, f64),
    finite: fn(&[u8]) -> bool,
}

fn at<const N: usize>(bytes: &[u8], index: usize) -> [u8; N] {
    bytes.as_chunks::<N>().0[index]
}

fn put<const N: usize>(bytes: &mut [u8], index: usize, element: [u8; N]) {
    bytes.as_chunks_mut::<N>().0[index] = element;
}

/// Whether no 16-bit element has all bits of an exponent, which `mask` has.
fn finite16<const MASK: u16>(bytes: &[u8]) -> bool {
    !bytes.as_chunks::<2>().0.iter().fold(false, |any, &element| any | (u16::from_ne_bytes(element) & MASK == MASK))
}

fn finite32(bytes: &[u8]) -> bool {
    const MASK: u32 = 0x7f80_0000;
    !bytes.as_chunks::<4>().0.iter().fold(false, |any, &element| any | (u32::from_ne_bytes(element) & MASK == MASK))
}

fn finite64(bytes: &[u8]) -> bool {
    !bytes.as_chunks::<8>().0.iter().fold(false, |any, &element| any | !f64::from_ne_bytes(element).is_finite())
}

impl Format {
    fn of(dtype: Dtype) -> Option<Self> {
        use half::{bf16, f16};
        Some(match dtype {
            Dtype::Float16 => Self {
                read: |bytes, index| f16::from_ne_bytes(at(bytes, index)).to_f64(),
                write: |bytes, index, value| put(bytes, index, f16::from_f64(value).to_ne_bytes()),
                finite: finite16::<0x7c00>,
            },
            Dtype::Bfloat16 => Self {
                read: |bytes, index| bf16::from_ne_bytes(at(bytes, index)).to_f64(),
                write: |bytes, index, value| put(bytes, index, bf16::from_f64(value).to_ne_bytes()),
                finite: finite16::<0x7f80>,
            },
            Dtype::Float32 => Self {
                read: |bytes, index| f64::from(f32::from_ne_bytes(at(bytes, index))),
                write: |bytes, index, value| put(bytes, index, (value as f32).to_ne_bytes()),
                finite: finite32,
            },
            Dtype::Float64 => Self {
                read: |bytes, index| f64::from_ne_bytes(at(bytes, index)),
                write: |bytes, index, value| put(bytes, index, value.to_ne_bytes()),
                finite: finite64,
            },
            _ => return None,
        })
    }
}

/// Makes results right where the kernel is not finite.
pub(super) struct Zeros {
    geometry: Geometry,
    multiplied: bool,
}

impl Zeros {
    /// None where all results are right already; `left_out`: whether zeros are left out.
    pub fn new(
        geometry: &Geometry,
        attributes: &Convolution,
        types: [&TensorType; 3],
        left_out: bool,
    ) -> Option<Arc<Self>> {
        if geometry.batch_grouped || !types.iter().all(|ty| ty.element.is_float()) {
            // XLA:CPU lets NaN of one group of a batch into others.
            return None;
        }
        let plain = |spatial: &Spatial| spatial.low == 0 && spatial.high == 0 && spatial.lhs_dilation == 1;
        if geometry.spatial.iter().all(plain) {
            return None;
        }
        let multiplied = !attributes.leaves_zeros_out(types);
        (left_out || !multiplied).then(|| Arc::new(Self { geometry: geometry.clone(), multiplied }))
    }

    /// The result with what is wrong made right, by a step of the host; on a GPU as it is.
    ///
    /// # Errors
    /// What MLX refuses.
    pub fn amend(this: Option<&Arc<Self>>, result: Array, inputs: &[&Array], stream: Stream) -> mlx::Result<Array> {
        let (Some(this), &[lhs, kernel]) = (this, inputs) else { return Ok(result) };
        let formats = [lhs.dtype(), kernel.dtype(), result.dtype()].map(Format::of);
        let (true, [Some(lhs_format), Some(kernel_format), Some(result_format)]) =
            (stream.capabilities().host_functions, formats)
        else {
            return Ok(result);
        };
        let this = this.clone();
        let amendment: Arc<HostAmendment> = Arc::new(move |inputs, results| {
            let finite = (kernel_format.finite)(inputs[1]);
            if !finite {
                let (lhs, kernel) = ((inputs[0], lhs_format), (inputs[1], kernel_format));
                Sums { zeros: &this, lhs, kernel, lhs_strides: strides(&this.geometry.lhs_shape) }
                    .replace(results, result_format);
            }
            Ok(())
        });
        mlx::host_amend(&amendment, result, &[lhs, kernel], stream)
    }
}

/// The sums of one call.
struct Sums<'a> {
    zeros: &'a Zeros,
    lhs: (&'a [u8], Format),
    kernel: (&'a [u8], Format),
    lhs_strides: Vec<i64>,
}

/// One product of each sum: an element of the kernel, and the coordinates that tell the operand's.
struct Tap {
    index: usize,
    input: i64,
    window: Vec<i64>,
}

impl Sums<'_> {
    fn replace(&self, results: &mut [u8], format: Format) {
        let geometry = &self.zeros.geometry;
        let strides = strides(&geometry.output_shape);
        let count: i64 = geometry.output_shape.iter().product();
        let of_feature: Vec<[Vec<Tap>; 2]> =
            (0..geometry.groups * geometry.outputs).map(|feature| self.taps(feature)).collect();
        for index in 0..count as usize {
            if (format.read)(results, index).is_nan() == self.zeros.multiplied {
                continue;
            }
            let coordinate = |axis: usize| index as i64 / strides[axis] % geometry.output_shape[axis];
            let feature = coordinate(geometry.output_feature) as usize;
            let taps = &of_feature[feature];
            let positions: Vec<i64> = geometry.spatial.iter().map(|spatial| coordinate(spatial.output_axis)).collect();
            if !self.zeros.multiplied {
                let sum = self.sum(taps, feature, coordinate(geometry.output_batch), &positions);
                (format.write)(results, index, sum);
            } else if taps[0].iter().any(|tap| self.element(tap, &positions).is_none()) {
                (format.write)(results, index, f64::NAN);
            }
        }
    }

    /// The products of an output feature: first those whose element of the kernel is not finite.
    fn taps(&self, feature: i64) -> [Vec<Tap>; 2] {
        let geometry = &self.zeros.geometry;
        let strides = strides(&geometry.kernel_shape);
        let windows: i64 = geometry.spatial.iter().map(|spatial| spatial.window).product();
        let mut taps = [Vec::new(), Vec::new()];
        for input in 0..geometry.inputs {
            for number in 0..windows {
                let mut index = feature * strides[geometry.kernel_output] + input * strides[geometry.kernel_input];
                let mut rest = number;
                let mut window = vec![0; geometry.spatial.len()];
                for (place, spatial) in window.iter_mut().zip(&geometry.spatial) {
                    *place = rest % spatial.window;
                    rest /= spatial.window;
                    let element = if spatial.reversed { spatial.window - 1 - *place } else { *place };
                    index += element * strides[spatial.kernel_axis];
                }
                let index = index as usize;
                let finite = (self.kernel.1.read)(self.kernel.0, index).is_finite();
                taps[usize::from(finite)].push(Tap { index, input, window });
            }
        }
        taps
    }

    fn sum(&self, taps: &[Vec<Tap>; 2], feature: usize, batch: i64, positions: &[i64]) -> f64 {
        let geometry = &self.zeros.geometry;
        let group = feature as i64 / geometry.outputs;
        let strides = &self.lhs_strides;
        let start = batch * strides[geometry.lhs_batch] + group * geometry.inputs * strides[geometry.lhs_feature];
        let mut sum = 0.0;
        for tap in taps.iter().flatten() {
            let Some(element) = self.element(tap, positions) else { continue };
            let index = start + tap.input * strides[geometry.lhs_feature] + element;
            sum += (self.lhs.1.read)(self.lhs.0, index as usize) * (self.kernel.1.read)(self.kernel.0, tap.index);
            if sum.is_nan() {
                break;
            }
        }
        sum
    }

    /// Where in an image of the operand the element is that a tap meets, if it meets one.
    fn element(&self, tap: &Tap, positions: &[i64]) -> Option<i64> {
        let geometry = &self.zeros.geometry;
        let mut offset = 0;
        for ((spatial, place), position) in geometry.spatial.iter().zip(&tap.window).zip(positions) {
            let place = position * spatial.stride + place * spatial.rhs_dilation - spatial.low;
            let element = spatial.start + place.div_euclid(spatial.lhs_dilation);
            if place.rem_euclid(spatial.lhs_dilation) != 0 || !(spatial.start..spatial.stop).contains(&element) {
                return None;
            }
            offset += element * self.lhs_strides[spatial.lhs_axis];
        }
        Some(offset)
    }
}

/// Row-major strides.
fn strides(shape: &[i64]) -> Vec<i64> {
    let mut strides = vec![1; shape.len()];
    for axis in (0..shape.len().saturating_sub(1)).rev() {
        strides[axis] = strides[axis + 1] * shape[axis + 1];
    }
    strides
}
