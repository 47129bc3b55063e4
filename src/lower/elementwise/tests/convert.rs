//! Conversions.

use crate::lower::testing::{Builder, bytes, elementwise, f32s, tensor, values};
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
