//! convert, bitcast_convert, reduce_precision.
#![forbid(unsafe_code)]

use super::formula::Formula;
use super::small_types::{decode, encode, round_to_odd, table, wrap};
use super::{Context, LowerError, Lowered, Row, shape_i32, storage};
use crate::mlx::{self, Array, Dtype, Stream};
use crate::program::{ElementType, Op, OpKind};

/// Rows of the op table.
pub static ROWS: &[Row] = &[
    Row { name: "convert", note: "floats saturate to integers, NaN becomes 0", elementwise: true, lower: convert },
    Row { name: "bitcast_convert", note: "", elementwise: true, lower: bitcast_convert },
    Row { name: "reduce_precision", note: "", elementwise: true, lower: reduce_precision },
];

fn convert(context: &mut Context<'_>, op: &Op) -> Result<Lowered, LowerError> {
    let from = context.operand(op, 0)?.element;
    let to = context.result(op, 0)?.element;
    let (Some(_), Some(dtype)) = (storage(from), storage(to)) else {
        return Err(context.unsupported(op, "mlx has no such type"));
    };
    if from == to {
        return Ok(Lowered::one(|inputs, _| Ok(inputs[0].clone())));
    }
    if from.is_small_float() {
        let table = table(from)?;
        return Ok(Lowered::one(move |inputs, stream| {
            let value = decode(&Formula::of(inputs[0], stream), &table);
            element(&value, ElementType::F32, to, dtype).finish()
        }));
    }
    Ok(Lowered::one(move |inputs, stream| element(&Formula::of(inputs[0], stream), from, to, dtype).finish()))
}

/// Elements of type `from` (no small float) converted to `to`, which is stored as `dtype`.
pub(super) fn element(a: &Formula, from: ElementType, to: ElementType, dtype: Dtype) -> Formula {
    use ElementType::*;
    if from == to {
        return a.clone();
    }
    if to == Bool {
        return a.not_equal(0.0);
    }
    if from.is_complex() && !to.is_complex() {
        return element(&a.real(), F32, to, dtype);
    }
    if to.is_integer() {
        return if from.is_float() { float_to_integer(a, to, dtype) } else { wrap(a.cast(dtype), to) };
    }
    if to.is_small_float() || to == F16 {
        let single = if from == F64 { round_to_odd(a) } else { a.cast(Dtype::Float32) };
        return if to == F16 { single.cast(dtype) } else { encode(&single, to) };
    }
    if to == BF16 || (to == C64 && from == F64) {
        // By way of f32, as XLA goes.
        return a.cast(Dtype::Float32).cast(dtype);
    }
    a.cast(dtype)
}

fn float_to_integer(a: &Formula, to: ElementType, dtype: Dtype) -> Formula {
    // Wide enough that the bounds below are exact.
    let a = if a.dtype() == Dtype::Float64 { a.clone() } else { a.cast(Dtype::Float32) };
    let significant = if a.dtype() == Dtype::Float64 { 53 } else { 24 };
    let value_bits = to.bits() - usize::from(to.is_signed_integer());
    let low = if to.is_signed_integer() { -(2f64.powi(value_bits as i32)) } else { 0.0 };
    let greatest = (1i128 << value_bits) - 1;
    if value_bits <= significant {
        // Both bounds are floats.
        let inside = a.maximum(low).minimum(greatest as f64);
        return inside.or_where(&inside.is_nan(), 0.0).cast(dtype);
    }
    // The greatest integer is not a float: what reaches the next power of two becomes it by itself.
    let limit = 2f64.powi(value_bits as i32);
    let inside = a.less(limit).select(&a.maximum(low), 0.0).cast(dtype);
    a.greater_equal(limit).select(&inside.integer(greatest), &inside)
}

/// Bits of one element as bitcast_convert counts them: a boolean fills its byte.
fn width(element: ElementType) -> usize {
    if element == ElementType::Bool { 8 } else { element.bits() }
}

fn bitcast_convert(context: &mut Context<'_>, op: &Op) -> Result<Lowered, LowerError> {
    let (from, to) = (context.operand(op, 0)?, context.result(op, 0)?);
    let (from_bits, to_bits) = (width(from.element), width(to.element));
    let (Some(_), Some(dtype)) = (storage(from.element), storage(to.element)) else {
        return Err(context.unsupported(op, "mlx has no such type"));
    };
    let (from, to) = (from.element, to.element);
    if from == to {
        return Ok(Lowered::one(|inputs, _| Ok(inputs[0].clone())));
    }
    let shape = shape_i32(&context.result(op, 0)?.shape)?;
    if from_bits == to_bits {
        return Ok(Lowered::one(move |inputs, stream| {
            let bits = unextended(&Formula::of(inputs[0], stream), from);
            extended(bits, to, dtype).finish()
        }));
    }
    if context.scalar {
        return Err(context.unsupported(op, "it changes the shape in a region that must be elementwise"));
    }
    let (wide, narrow) = (from_bits.max(to_bits), from_bits.min(to_bits));
    if wide % narrow != 0 || (narrow < 8 && 8 % narrow != 0) || [from, to].contains(&ElementType::Bool) {
        return Err(context.unsupported(op, "neither width is a multiple of the other"));
    }
    if context.result(op, 0)?.elements() == 0 {
        return Ok(Lowered::one(move |_, stream| mlx::zeros(&shape, dtype, stream)));
    }
    Ok(Lowered::one(move |inputs, stream| {
        let bits = unextended(&Formula::of(inputs[0], stream), from);
        let parts = if from_bits > to_bits {
            split(&bits, from_bits, to_bits, &shape)
        } else {
            joined(&bits, from_bits, to_bits, dtype)
        };
        extended(parts, to, dtype).apply(|parts, stream| mlx::reshape(parts, &shape, stream)).finish()
    }))
}

/// The significant bits alone, in an unsigned type (a complex number stays).
fn unextended(a: &Formula, from: ElementType) -> Formula {
    if from.is_complex() {
        return a.clone();
    }
    if from.bits() < 8 && from != ElementType::Bool { a.bits() & ((1i128 << from.bits()) - 1) } else { a.bits() }
}

/// Bits as elements of a type.
fn extended(bits: Formula, to: ElementType, dtype: Dtype) -> Formula {
    match to {
        ElementType::Bool => bits.not_equal(0.0),
        _ => wrap(bits.view(dtype), to),
    }
}

/// Elements of `whole` bits cut into parts of `bits`, the lowest first, along a new last axis.
fn split(a: &Formula, whole: usize, bits: usize, shape: &[i32]) -> Formula {
    let target = match bits {
        16 => Dtype::Uint16,
        32 => Dtype::Uint32,
        _ => Dtype::Uint8,
    };
    let parts = a.apply(|a, stream| {
        let columns = mlx::expand_dims(&mlx::contiguous(a, stream)?, &[-1], stream)?;
        mlx::view(&columns, target, stream)
    });
    if bits >= 8 {
        return parts;
    }
    let mask = (1i128 << bits) - 1;
    let pieces: Vec<Formula> =
        (0..whole.min(8) / bits).map(|index| (&parts >> (index * bits) as i128) & mask).collect();
    parts.apply(|_, stream| {
        let arrays = pieces.into_iter().map(Formula::finish).collect::<mlx::Result<Vec<Array>>>()?;
        let stacked = mlx::stack(&arrays.iter().collect::<Vec<_>>(), -1, stream)?;
        mlx::contiguous(&mlx::reshape(&stacked, shape, stream)?, stream)
    })
}

/// The inverse of [`split`]: the last axis holds the parts of one element.
fn joined(a: &Formula, bits: usize, whole: usize, dtype: Dtype) -> Formula {
    let bytes = if bits >= 8 {
        a.clone()
    } else {
        let per_byte = whole.min(8) / bits;
        a.apply(|a, stream| join_bits(a, bits, per_byte as i32, stream))
    };
    bytes.apply(|bytes, stream| mlx::view(&mlx::contiguous(bytes, stream)?, dtype, stream))
}

fn join_bits(a: &Array, bits: usize, per_byte: i32, stream: Stream) -> mlx::Result<Array> {
    let mut shape = a.shape().to_vec();
    let last = shape.pop().ok_or_else(|| mlx::Error::new("bitcast_convert: a last dimension expected"))?;
    shape.extend([last / per_byte, per_byte]);
    let weights: Vec<u8> = (0..per_byte as usize).map(|index| 1 << (index * bits)).collect();
    let weights = Array::from_bytes(&weights, &[per_byte], Dtype::Uint8)?;
    let weighted = mlx::multiply(&mlx::reshape(a, &shape, stream)?, &weights, stream)?;
    let summed = mlx::sum_axes(&mlx::contiguous(&weighted, stream)?, &[-1], false, stream)?;
    mlx::astype(&summed, Dtype::Uint8, stream)
}

fn reduce_precision(context: &mut Context<'_>, op: &Op) -> Result<Lowered, LowerError> {
    let OpKind::ReducePrecision { exponent_bits, mantissa_bits } = op.kind else {
        return Err(context.invalid(op, "reduce_precision expected"));
    };
    let element = context.operand(op, 0)?.element;
    let (exponent, mantissa) = match element {
        ElementType::F16 => (5, 10),
        ElementType::BF16 => (8, 7),
        ElementType::F32 => (8, 23),
        ElementType::F64 => (11, 52),
        _ => return Err(context.unsupported(op, "a float of 16, 32 or 64 bits expected")),
    };
    if exponent_bits < 1 || mantissa_bits < 0 {
        return Err(context.invalid(op, "at least one exponent bit and no negative number of mantissa bits expected"));
    }
    let exponent_bits = (exponent_bits < exponent).then_some(exponent_bits);
    let mantissa_bits = (mantissa_bits < mantissa).then_some(mantissa_bits);
    if exponent_bits.is_none() && mantissa_bits.is_none() {
        return Ok(Lowered::one(|inputs, _| Ok(inputs[0].clone())));
    }
    Ok(Lowered::one(move |inputs, stream| {
        let x = Formula::of(inputs[0], stream);
        let mut bits = x.bits();
        if let Some(kept) = mantissa_bits {
            // Half of what is dropped, less one unless the last bit kept is set: to nearest, ties to even. A carry out
            // of the mantissa raises the exponent, up to infinity.
            let dropped = i128::from(mantissa - kept);
            let last = (&bits >> dropped) & 1i128;
            bits = (&bits + ((1i128 << (dropped - 1)) - 1) + last) & !((1i128 << dropped) - 1);
        }
        if let Some(kept) = exponent_bits {
            let sign = &bits & (1i128 << (exponent + mantissa));
            let all_ones = ((1i128 << exponent) - 1) << mantissa;
            let biased = &bits & all_ones;
            let (bias, kept_bias) = ((1i128 << (exponent - 1)) - 1, (1i128 << (kept - 1)) - 1);
            let overflows = biased.greater((bias + kept_bias) << mantissa);
            // Denormals of the reduced format, and its zeros, are flushed.
            let underflows = biased.less_equal((bias - kept_bias) << mantissa);
            bits = overflows.select(&(&sign | all_ones), bits);
            bits = underflows.select(&sign, bits);
        }
        x.is_nan().select(&x, bits.view(x.dtype())).finish()
    }))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Builder, bytes, elementwise, f32s, tensor, values};
    use crate::program::ElementType::{self, *};
    use crate::program::OpKind;

    fn convert(from: ElementType, to: ElementType, data: Vec<u8>) -> Vec<u8> {
        elementwise(OpKind::Convert, &[(from, data)], to).unwrap()
    }

    const INF: f32 = f32::INFINITY;

    #[test]
    fn floats_saturate_to_integers() {
        let x = [f32::NAN, INF, -INF, 3e9, -3e9, 300.7, -300.7, -0.9, 255.9, 127.9, -128.9, 2147483648., 2147483520.];
        let wide = x.map(f64::from);
        // Rust's casts saturate, and take NaN for 0, as XLA does.
        macro_rules! check {
            ($($element:ident $host:ty),*) => {$(
                assert_eq!(values::<$host>(&convert(F32, $element, bytes(&x))), x.map(|x| x as $host), "f32 {}", $element);
                assert_eq!(values::<$host>(&convert(F64, $element, bytes(&wide))), wide.map(|x| x as $host), "f64 {}", $element);
                let short = x.map(half::bf16::from_f32);
                assert_eq!(values::<$host>(&convert(BF16, $element, bytes(&short))), short.map(|x| x.to_f32() as $host), "bf16 {}", $element);
                let short = x.map(half::f16::from_f32);
                assert_eq!(values::<$host>(&convert(F16, $element, bytes(&short))), short.map(|x| x.to_f32() as $host), "f16 {}", $element);
            )*};
        }
        check!(I8 i8, U8 u8, I16 i16, U16 u16, I32 i32, U32 u32, I64 i64, U64 u64);
        assert_eq!(values::<i8>(&convert(F32, I4, bytes(&x)))[..6], [0, 7, -8, 7, -8, 7]);
        assert_eq!(convert(F32, U4, bytes(&x))[..7], [0, 15, 0, 15, 0, 15, 0]);
        assert_eq!(values::<i8>(&convert(F32, I2, bytes(&x)))[..6], [0, 1, -2, 1, -2, 1]);
        assert_eq!(
            values::<u64>(&convert(F64, U64, bytes(&[1.8446744073709552e19f64, 1e19, 9007199254740993.]))),
            [u64::MAX, 10_000_000_000_000_000_000, 9007199254740992]
        );
    }

    #[test]
    fn booleans_are_what_is_not_zero() {
        assert_eq!(convert(F32, Bool, bytes(&[0f32, -0., f32::NAN, 0.1])), [0, 0, 1, 1]);
        assert_eq!(convert(I32, Bool, bytes(&[0, 256, -1])), [0, 1, 1]);
        assert_eq!(convert(C64, Bool, bytes(&[0f32, 0., 0., 2.])), [0, 1]);
        assert_eq!(f32s(&convert(Bool, F32, vec![0, 1])), [0., 1.]);
        assert_eq!(values::<i8>(&convert(Bool, I4, vec![0, 1])), [0, 1]);
        assert_eq!(convert(F8E4M3FN, Bool, vec![0, 0x80, 1, 0x7f]), [0, 0, 1, 1]);
    }

    #[test]
    fn integers_wrap() {
        assert_eq!(values::<i8>(&convert(I32, I8, bytes(&[300, -129]))), [44, 127]);
        assert_eq!(values::<i8>(&convert(I32, I4, bytes(&[8, -9, 7]))), [-8, 7, 7]);
        assert_eq!(convert(I8, U4, bytes(&[-1i8, 17])), [15, 1]);
        assert_eq!(values::<i32>(&convert(I4, I32, bytes(&[-8i8, 7]))), [-8, 7]);
        assert_eq!(values::<u64>(&convert(I32, U64, bytes(&[-1]))), [u64::MAX]);
    }

    #[test]
    fn floats_round_once() {
        let came: Vec<half::f16> =
            values(&convert(F64, F16, bytes(&[1.0 + 2f64.powi(-11) + 2f64.powi(-40), 65519.999999, 1e300])));
        assert_eq!(came.iter().map(|x| x.to_bits()).collect::<Vec<_>>(), [0x3c01, 0x7bff, 0x7c00]);
        // bf16 goes by way of f32, as XLA has it.
        let came: Vec<half::bf16> = values(&convert(F64, BF16, bytes(&[1.0 + 2f64.powi(-8) + 2f64.powi(-40)])));
        assert_eq!(came[0].to_bits(), 0x3f80);
        let came: Vec<half::f16> = values(&convert(I32, F16, bytes(&[2049, 65519, 65520])));
        assert_eq!(came, [half::f16::from_f32(2048.), half::f16::from_f32(65504.), half::f16::INFINITY]);
        assert_eq!(f32s(&convert(C64, F32, bytes(&[3f32, 4.]))), [3.]);
        assert_eq!(f32s(&convert(F32, C64, bytes(&[3f32]))), [3., 0.]);
        assert_eq!(values::<i8>(&convert(F8E5M2, I8, vec![0x7c, 0x3c, 0xbc])), [127, 1, -1]);
    }

    fn bitcast(from: ElementType, shape: &[i64], to: ElementType, result: &[i64], data: Vec<u8>) -> Vec<u8> {
        let mut builder = Builder::default();
        let a = builder.argument(tensor(from, shape));
        let results = builder.op(OpKind::BitcastConvert, &[a], vec![tensor(to, result)], vec![]);
        builder.run(&results, &[data]).unwrap().remove(0)
    }

    #[test]
    fn bits_of_any_width() {
        assert_eq!(bitcast(F32, &[], U32, &[], bytes(&[1f32])), bytes(&[0x3f80_0000u32]));
        assert_eq!(bitcast(U32, &[], U16, &[2], bytes(&[0x0001_0002u32])), bytes(&[2u16, 1]));
        assert_eq!(bitcast(U8, &[2, 4], F32, &[2], bytes(&[1f32, 2.])), bytes(&[1f32, 2.]));
        assert_eq!(bitcast(U64, &[1], U8, &[1, 8], bytes(&[0x0102_0304_0506_0708u64])), [8, 7, 6, 5, 4, 3, 2, 1]);
        assert_eq!(bitcast(U8, &[2], I4, &[2, 2], vec![0x8f, 0x12]), bytes(&[-1i8, -8, 2, 1]));
        assert_eq!(bitcast(I4, &[2, 2], U8, &[2], bytes(&[-1i8, -8, 2, 1])), [0x8f, 0x12]);
        assert_eq!(bitcast(U16, &[1], U4, &[1, 4], bytes(&[0x4321u16])), [1, 2, 3, 4]);
        assert_eq!(bitcast(U4, &[1, 4], U16, &[1], vec![1, 2, 3, 4]), bytes(&[0x4321u16]));
        assert_eq!(bitcast(U8, &[1], U2, &[1, 4], vec![0b11_10_01_00]), [0, 1, 2, 3]);
        assert_eq!(bitcast(U4, &[2], I4, &[2], vec![15, 7]), bytes(&[-1i8, 7]));
        assert_eq!(bitcast(I8, &[1], F8E4M3FN, &[1], bytes(&[-1i8])), [255]);
        // 4 bits as two times 2, in bytes that hold copies of the sign.
        assert_eq!(bitcast(I4, &[2], I2, &[2, 2], bytes(&[-7i8, 6])), bytes(&[1i8, -2, -2, 1]));
        assert_eq!(bitcast(U4, &[2], U2, &[2, 2], vec![9, 6]), [1, 2, 2, 1]);
        assert_eq!(bitcast(I2, &[2, 2], I4, &[2], bytes(&[1i8, -2, -2, 1])), bytes(&[-7i8, 6]));
        assert_eq!(bitcast(U2, &[2, 2], I4, &[2], vec![1, 2, 2, 1]), bytes(&[-7i8, 6]));
        assert_eq!(bitcast(U8, &[1], I2, &[1, 4], vec![0b10_01_11_00]), bytes(&[0i8, -1, 1, -2]));
        assert_eq!(bitcast(U32, &[0], U8, &[0, 4], vec![]), Vec::<u8>::new());
        assert_eq!(bitcast(U8, &[0, 4], U32, &[0], vec![]), Vec::<u8>::new());
    }

    /// From XLA:CPU.
    #[test]
    fn precision_is_reduced_bit_by_bit() {
        let x = [f32::NAN, INF, -INF, 1., 65504., 65520., 1e-40, 6e-8, 1e-5, -f32::NAN, 1.5, 2.5, 3.4e38];
        let expected: [(i64, i64, [u32; 13]); 5] = [
            (
                5,
                10,
                [
                    2143289344, 2139095040, 4286578688, 1065353216, 1199562752, 2139095040, 0, 0, 0, 4290772992,
                    1069547520, 1075838976, 2139095040,
                ],
            ),
            (
                8,
                0,
                [
                    2143289344, 2139095040, 4286578688, 1065353216, 1199570944, 1199570944, 0, 864026624, 922746880,
                    4290772992, 1073741824, 1073741824, 2139095040,
                ],
            ),
            (
                5,
                0,
                [
                    2143289344, 2139095040, 4286578688, 1065353216, 2139095040, 2139095040, 0, 0, 0, 4290772992,
                    1073741824, 1073741824, 2139095040,
                ],
            ),
            (
                2,
                3,
                [
                    2143289344, 2139095040, 4286578688, 1065353216, 2139095040, 2139095040, 0, 0, 0, 4290772992,
                    1069547520, 1075838976, 2139095040,
                ],
            ),
            (
                1,
                2,
                [
                    2143289344, 2139095040, 4286578688, 0, 2139095040, 2139095040, 0, 0, 0, 4290772992, 0, 2139095040,
                    2139095040,
                ],
            ),
        ];
        for (exponent_bits, mantissa_bits, bits) in expected {
            let kind = OpKind::ReducePrecision { exponent_bits, mantissa_bits };
            let mut came: Vec<u32> = values(&elementwise(kind, &[(F32, bytes(&x))], F32).unwrap());
            if mantissa_bits == 0 && exponent_bits == 8 {
                // XLA's processor flushes the denormal 1e-40 beforehand; what the op itself makes of it is 2^-133.
                came[6] = 0;
            }
            assert_eq!(came, bits, "{exponent_bits} {mantissa_bits}");
        }
        let short: Vec<u16> = values(
            &elementwise(
                OpKind::ReducePrecision { exponent_bits: 8, mantissa_bits: 3 },
                &[(BF16, bytes(&[half::bf16::from_f32(1.07)]))],
                BF16,
            )
            .unwrap(),
        );
        assert_eq!(short, [half::bf16::from_f32(1.125).to_bits()]);
    }
}
