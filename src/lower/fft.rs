//! fft.
#![forbid(unsafe_code)]

use super::{Context, LowerError, Lowered, Row, shape_i32, storage};
use crate::mlx::{self, Array, Dtype, FftKind, Stream};
use crate::program::{ElementType, FftType, Op, OpKind};

/// Rows of the op table.
pub static ROWS: &[Row] = &[Row { name: "fft", note: "f32 and complex<f32>", lower: fft }];

/// Dimensions to transform, those of size 1 left out: there a transform changes nothing, and MLX's go wrong.
#[derive(Default)]
struct Axes {
    axes: Vec<i32>,
    lengths: Vec<i32>,
}

impl Axes {
    fn new(first: usize, lengths: &[i32]) -> Self {
        let mut axes = Self::default();
        for (index, &length) in lengths.iter().enumerate() {
            if length > 1 {
                axes.axes.push((first + index) as i32);
                axes.lengths.push(length);
            }
        }
        axes
    }

    /// `a` itself when there is nothing to do.
    fn transform(&self, kind: FftKind, a: Array, stream: Stream) -> mlx::Result<Array> {
        if self.axes.is_empty() {
            return Ok(a);
        }
        // MLX's transforms of strided operands are not to be trusted on every backend.
        mlx::fft(kind, &mlx::contiguous(&a, stream)?, &self.lengths, &self.axes, stream)
    }
}

fn fft(context: &mut Context<'_>, op: &Op) -> Result<Lowered, LowerError> {
    let OpKind::Fft { fft_type, fft_length } = &op.kind else {
        return Err(context.invalid(op, "attributes of fft are missing"));
    };
    let fft_type = *fft_type;
    let (operand, result) = (context.operand(op, 0)?, context.result(op, 0)?);
    let (from, to) = match fft_type {
        FftType::Fft | FftType::Ifft => (ElementType::C64, ElementType::C64),
        FftType::Rfft => (ElementType::F32, ElementType::C64),
        FftType::Irfft => (ElementType::C64, ElementType::F32),
    };
    if operand.element != from || result.element != to {
        return Err(context.unsupported(op, &format!("only {from} to {to}: mlx transforms in single precision")));
    }
    let rank = operand.rank();
    if fft_length.is_empty() || fft_length.len() > rank || result.rank() != rank {
        return Err(context.invalid(op, &format!("fft_length {fft_length:?}")));
    }
    let first = rank - fft_length.len();
    let (mut before, mut after) = (operand.shape.clone(), operand.shape.clone());
    before.splice(first.., fft_length.iter().copied());
    after.splice(first.., fft_length.iter().copied());
    let halved = |size: &mut i64| *size = if *size == 0 { 0 } else { *size / 2 + 1 };
    match fft_type {
        FftType::Rfft => halved(&mut after[rank - 1]),
        FftType::Irfft => halved(&mut before[rank - 1]),
        _ => {}
    }
    // JAX asks for the transform of one bin to a length of 0.
    let one_bin = fft_type == FftType::Irfft && fft_length.last() == Some(&0) && operand.shape[rank - 1] == 1;
    if one_bin {
        before[rank - 1] = 1;
    }
    if before != operand.shape || after != result.shape {
        return Err(context.invalid(op, &format!("fft_length {fft_length:?} does not fit the shapes")));
    }
    let shape = shape_i32(&result.shape)?;
    let dtype = storage(to).expect("f32 or complex<f32>");
    if result.elements() == 0 || operand.elements() == 0 {
        return Ok(Lowered::one(move |_, stream| mlx::zeros(&shape, dtype, stream)));
    }
    let lengths = shape_i32(fft_length)?;
    let (last, leading) = lengths.split_last().expect("checked to be non-empty");
    let last = *last;
    let too_long = lengths.iter().any(|&length| length > context.capabilities.fft_length);
    let all = Axes::new(first, &lengths);
    let leading = Axes::new(first, leading);
    let innermost = Axes::new(rank - 1, &[last]);
    let lowered = match fft_type {
        FftType::Fft => Lowered::one(move |inputs, stream| all.transform(FftKind::Fftn, inputs[0].clone(), stream)),
        FftType::Ifft => Lowered::one(move |inputs, stream| all.transform(FftKind::Ifftn, inputs[0].clone(), stream)),
        FftType::Rfft => Lowered::one(move |inputs, stream| {
            let halved = if last == 1 {
                mlx::astype(inputs[0], Dtype::Complex64, stream)?
            } else {
                innermost.transform(FftKind::Rfftn, inputs[0].clone(), stream)?
            };
            leading.transform(FftKind::Fftn, halved, stream)
        }),
        FftType::Irfft => {
            let real_bins = real_bins(last)?;
            Lowered::one(move |inputs, stream| {
                let halved = leading.transform(FftKind::Ifftn, inputs[0].clone(), stream)?;
                if last == 1 {
                    return mlx::real(&halved, stream);
                }
                // The first bin, and the last one of an even length, stand for real numbers. The CPU's transform takes
                // them so; a GPU's would let their imaginary parts in.
                let halved = if !stream.capabilities().irfft_ignores_imaginary {
                    let real = mlx::astype(&mlx::real(&halved, stream)?, Dtype::Complex64, stream)?;
                    mlx::select(&real_bins, &real, &halved, stream)?
                } else {
                    halved
                };
                innermost.transform(FftKind::Irfftn, halved, stream)
            })
        }
    };
    Ok(if too_long { lowered.on_cpu() } else { lowered })
}

/// Which bins of the transform of so many real numbers are real.
fn real_bins(length: i32) -> Result<Array, LowerError> {
    let bins = length / 2 + 1;
    let flags: Vec<u8> = (0..bins).map(|bin| u8::from(bin == 0 || 2 * bin == length)).collect();
    Ok(Array::from_bytes(&flags, &[bins], Dtype::Bool)?)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Builder, bytes, f32s, tensor};
    use crate::program::{ElementType, FftType, OpKind};

    fn run(
        fft_type: FftType,
        fft_length: &[i64],
        from: (ElementType, &[i64]),
        to: (ElementType, &[i64]),
        values: &[f32],
    ) -> Result<Vec<f32>, String> {
        let mut builder = Builder::default();
        let operand = builder.argument(tensor(from.0, from.1));
        let kind = OpKind::Fft { fft_type, fft_length: fft_length.to_vec() };
        let result = builder.op(kind, &[operand], vec![tensor(to.0, to.1)], vec![]);
        Ok(f32s(&builder.run(&result, &[bytes(values)])?[0]))
    }

    /// The sum itself, over rows and columns of a matrix of (re, im), in f64.
    fn transform(values: &[(f64, f64)], [rows, columns]: [usize; 2], sign: f64) -> Vec<(f64, f64)> {
        let mut result = Vec::new();
        for row in 0..rows {
            for column in 0..columns {
                let mut sum = (0., 0.);
                for i in 0..rows {
                    for j in 0..columns {
                        let turn = (row * i) as f64 / rows as f64 + (column * j) as f64 / columns as f64;
                        let (sine, cosine) = (sign * std::f64::consts::TAU * turn).sin_cos();
                        let (re, im) = values[i * columns + j];
                        sum.0 += re * cosine - im * sine;
                        sum.1 += re * sine + im * cosine;
                    }
                }
                result.push(sum);
            }
        }
        result
    }

    fn close(values: &[f32], expected: &[f64]) {
        assert_eq!(values.len(), expected.len());
        for (value, expected) in values.iter().zip(expected) {
            assert!((f64::from(*value) - expected).abs() < 2e-5, "{values:?} {expected:?}");
        }
    }

    fn flat(values: &[(f64, f64)]) -> Vec<f64> {
        values.iter().flat_map(|&(re, im)| [re, im]).collect()
    }

    const SIZES: [[usize; 2]; 7] = [[1, 1], [1, 4], [3, 1], [4, 6], [5, 7], [2, 2], [7, 2]];

    #[test]
    fn complex_both_ways() {
        for [rows, columns] in SIZES {
            let input: Vec<f32> = (0..2 * rows * columns).map(|index| ((index * 7 % 11) as f32 - 5.) / 4.).collect();
            let pairs: Vec<(f64, f64)> = input.chunks(2).map(|c| (f64::from(c[0]), f64::from(c[1]))).collect();
            let ty: (ElementType, &[i64]) = (ElementType::C64, &[rows as i64, columns as i64]);
            let outcome = run(FftType::Fft, ty.1, ty, ty, &input).unwrap();
            let expected = transform(&pairs, [rows, columns], -1.);
            close(&outcome, &flat(&expected));
            close(&run(FftType::Ifft, ty.1, ty, ty, &outcome).unwrap(), &flat(&pairs));
        }
    }

    #[test]
    fn real_both_ways() {
        for [rows, columns] in SIZES {
            let input: Vec<f32> = (0..rows * columns).map(|index| ((index * 7 % 11) as f32 - 5.) / 4.).collect();
            let pairs: Vec<(f64, f64)> = input.iter().map(|&value| (f64::from(value), 0.)).collect();
            let length = [rows as i64, columns as i64];
            let half = columns / 2 + 1;
            let real: (ElementType, &[i64]) = (ElementType::F32, &length);
            let complex: (ElementType, &[i64]) = (ElementType::C64, &[rows as i64, half as i64]);
            let mut outcome = run(FftType::Rfft, &length, real, complex, &input).unwrap();
            let whole = transform(&pairs, [rows, columns], -1.);
            let expected: Vec<(f64, f64)> = whole.chunks(columns).flat_map(|row| row[..half].to_vec()).collect();
            close(&outcome, &flat(&expected));
            if rows == 1 {
                // Imaginary parts that no real numbers have count for nothing.
                outcome[1] = 7.;
                if columns % 2 == 0 {
                    outcome[2 * half - 1] = 3.;
                }
            }
            let back = run(FftType::Irfft, &length, complex, real, &outcome).unwrap();
            close(&back, &pairs.iter().map(|pair| pair.0).collect::<Vec<f64>>());
        }
    }

    #[test]
    fn only_the_last_dimensions() {
        let ty: (ElementType, &[i64]) = (ElementType::C64, &[2, 2]);
        let outcome = run(FftType::Fft, &[2], ty, ty, &[1., 0., 2., 0., 0., 3., 0., 4.]).unwrap();
        assert_eq!(outcome, [3., 0., -1., 0., 0., 7., 0., -1.]);
    }

    #[test]
    fn empty_and_double() {
        let empty: (ElementType, &[i64]) = (ElementType::C64, &[0, 4]);
        assert_eq!(run(FftType::Fft, &[4], empty, empty, &[]).unwrap(), Vec::<f32>::new());
        for bins in [0, 1] {
            let half: (ElementType, &[i64]) = (ElementType::C64, &[3, bins]);
            let values = vec![1.; 6 * bins as usize];
            let outcome = run(FftType::Irfft, &[0], half, (ElementType::F32, &[3, 0]), &values);
            assert_eq!(outcome.unwrap(), Vec::<f32>::new());
        }
        let outcome = run(FftType::Rfft, &[2], (ElementType::F64, &[2]), (ElementType::C128, &[2]), &[0.; 4]);
        assert!(outcome.unwrap_err().contains("not supported"));
    }
}
