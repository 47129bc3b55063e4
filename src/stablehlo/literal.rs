//! Dense elements and floats: MLIR's raw bytes to the program's literals.
#![forbid(unsafe_code)]

use super::ReadError;
use super::bytecode::TypeId;
use super::context::Context;
use crate::program::{ElementType, Literal, TensorType};

impl Context<'_> {
    /// The literal of a dense attribute. `offset` is where it stands in the input.
    pub fn dense(&mut self, ty: TypeId, data: &[u8], offset: usize) -> Result<Literal, ReadError> {
        let ty = self.dense_type(ty)?;
        self.charge(4 + ty.shape.len() + data.len())?;
        literal(ty, data, offset)
    }

    /// The elements of a literal of integers (or of i1), written out.
    pub fn integers_of(&mut self, literal: &Literal, offset: usize) -> Result<Vec<i64>, ReadError> {
        self.charge(literal.ty.elements())?;
        let wide = literal.integers().ok_or_else(|| {
            ReadError::malformed(offset, format!("expected a tensor of integers, came {}", literal.ty))
        })?;
        wide.into_iter()
            .map(|value| {
                i64::try_from(value).map_err(|_| ReadError::malformed(offset, format!("{value} exceeds 64 bits")))
            })
            .collect()
    }
}

/// The literal of a type with these bytes, which stand at `offset` in the input.
pub(crate) fn literal(ty: TensorType, data: &[u8], offset: usize) -> Result<Literal, ReadError> {
    let count = ty.elements();
    if ty.element == ElementType::Bool {
        return bools(ty, data, count, offset);
    }
    let width = match ty.element {
        // 19 bits in MLIR, which no frontend stores.
        ElementType::TF32 => return Err(ReadError::unsupported("a constant of element type tf32")),
        element => element.bytes(),
    };
    let splat = if count.checked_mul(width) == Some(data.len()) {
        false
    } else if data.len() == width {
        true
    } else {
        return Err(wrong_size(&ty, data.len(), offset));
    };
    let mut data = data.to_vec();
    let bits = ty.element.bits();
    if bits < 8 {
        // MLIR leaves the high bits of a narrow integer zero, and nobody promises that they are.
        let unused = 8 - bits as u32;
        for byte in &mut data {
            *byte <<= unused;
            *byte = if ty.element.is_signed_integer() { ((*byte as i8) >> unused) as u8 } else { *byte >> unused };
        }
    }
    Ok(Literal { ty, data, splat })
}

/// i1 is packed eight to a byte, or one to a byte; a splat of true is 0xFF.
fn bools(ty: TensorType, data: &[u8], count: usize, offset: usize) -> Result<Literal, ReadError> {
    let packed = count.div_ceil(8);
    let (data, splat) = match data {
        [0xff] => (vec![1], true),
        _ if data.len() == packed && data.len() != count => {
            ((0..count).map(|index| (data[index / 8] >> (index % 8)) & 1).collect(), false)
        }
        _ if data.len() == count => (data.iter().map(|&byte| u8::from(byte != 0)).collect(), false),
        [byte] => (vec![u8::from(*byte != 0)], true),
        _ => return Err(wrong_size(&ty, data.len(), offset)),
    };
    // One element is no splat, as for all other types.
    let splat = splat && count != 1;
    Ok(Literal { ty, data, splat })
}

fn wrong_size(ty: &TensorType, length: usize, offset: usize) -> ReadError {
    ReadError::malformed(offset, format!("{length} bytes of elements for {ty}"))
}

/// How a narrow float is laid out.
struct FloatFormat {
    exponent_bits: u32,
    mantissa_bits: u32,
    bias: i32,
    specials: Specials,
}

/// What the special bit patterns of a narrow float mean.
#[derive(PartialEq)]
enum Specials {
    /// Infinities and NaNs as in IEEE 754.
    Ieee,
    /// All ones is NaN; no infinities.
    AllOnesNan,
    /// The pattern of -0 is NaN; no infinities.
    NegativeZeroNan,
    /// None at all.
    None,
}

/// The value of a float given as bits.
pub(super) fn float_value(element: ElementType, bits: u64) -> Option<f64> {
    use ElementType::*;
    use Specials::*;
    let format =
        |exponent_bits, mantissa_bits, bias, specials| FloatFormat { exponent_bits, mantissa_bits, bias, specials };
    let format = match element {
        F64 => return Some(f64::from_bits(bits)),
        F32 => return Some(f64::from(f32::from_bits(bits as u32))),
        F16 => format(5, 10, 15, Ieee),
        BF16 => format(8, 7, 127, Ieee),
        TF32 => format(8, 10, 127, Ieee),
        F8E5M2 => format(5, 2, 15, Ieee),
        F8E4M3 => format(4, 3, 7, Ieee),
        F8E3M4 => format(3, 4, 3, Ieee),
        F8E4M3FN => format(4, 3, 7, AllOnesNan),
        F8E5M2FNUZ => format(5, 2, 16, NegativeZeroNan),
        F8E4M3FNUZ => format(4, 3, 8, NegativeZeroNan),
        F8E4M3B11FNUZ => format(4, 3, 11, NegativeZeroNan),
        F4E2M1FN => format(2, 1, 1, None),
        F6E2M3FN => format(2, 3, 1, None),
        F6E3M2FN => format(3, 2, 3, None),
        F8E8M0FNU => {
            return Some(if bits & 0xff == 0xff { f64::NAN } else { 2f64.powi((bits & 0xff) as i32 - 127) });
        }
        _ => return Option::None,
    };
    Some(narrow_value(&format, bits))
}

fn narrow_value(format: &FloatFormat, bits: u64) -> f64 {
    let field = |shift: u32, width: u32| (bits >> shift) & ((1 << width) - 1);
    let mantissa = field(0, format.mantissa_bits);
    let exponent = field(format.mantissa_bits, format.exponent_bits);
    let is_negative = field(format.mantissa_bits + format.exponent_bits, 1) == 1;
    let all_ones = (1u64 << format.exponent_bits) - 1;
    let full_mantissa = (1u64 << format.mantissa_bits) - 1;
    let magnitude = match format.specials {
        Specials::Ieee if exponent == all_ones => {
            if mantissa == 0 {
                f64::INFINITY
            } else {
                f64::NAN
            }
        }
        Specials::AllOnesNan if exponent == all_ones && mantissa == full_mantissa => f64::NAN,
        Specials::NegativeZeroNan if is_negative && exponent == 0 && mantissa == 0 => f64::NAN,
        _ => {
            let (whole, exponent) = if exponent == 0 {
                (mantissa, 1 - format.bias)
            } else {
                (mantissa | 1 << format.mantissa_bits, exponent as i32 - format.bias)
            };
            whole as f64 * 2f64.powi(exponent - format.mantissa_bits as i32)
        }
    };
    if is_negative { -magnitude } else { magnitude }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_floats_agree_with_the_half_crate() {
        for bits in 0..=u16::MAX {
            let same = |left: f64, right: f64| left.to_bits() == right.to_bits() || left.is_nan() && right.is_nan();
            let f16 = float_value(ElementType::F16, bits.into()).expect("a float");
            assert!(same(f16, half::f16::from_bits(bits).to_f64()), "f16 {bits:#x}");
            let bf16 = float_value(ElementType::BF16, bits.into()).expect("a float");
            assert!(same(bf16, half::bf16::from_bits(bits).to_f64()), "bf16 {bits:#x}");
        }
    }

    #[test]
    fn narrow_floats() {
        use ElementType::*;
        for (element, bits, value) in [
            (F8E4M3FN, 0x7e, 448.0),
            (F8E4M3FN, 0x01, 0.001953125),
            (F8E4M3FNUZ, 0x7f, 240.0),
            (F8E4M3B11FNUZ, 0x7f, 30.0),
            (F8E5M2, 0x7b, 57344.0),
            (F8E5M2, 0xfc, f64::NEG_INFINITY),
            (F8E5M2FNUZ, 0x7f, 57344.0),
            (F8E4M3, 0x77, 240.0),
            (F8E3M4, 0x6f, 15.5),
            (F8E8M0FNU, 0x7f, 1.0),
            (F8E8M0FNU, 0xfe, 2f64.powi(127)),
            (F4E2M1FN, 0x7, 6.0),
            (F4E2M1FN, 0x9, -0.5),
            (F6E2M3FN, 0x1f, 7.5),
            (F6E3M2FN, 0x1f, 28.0),
        ] {
            assert_eq!(float_value(element, bits), Some(value), "{element} {bits:#x}");
        }
        for (element, bits) in [(F8E4M3FN, 0xff), (F8E4M3FNUZ, 0x80), (F8E5M2, 0x7d), (F8E8M0FNU, 0xff)] {
            assert!(float_value(element, bits).expect("a float").is_nan(), "{element} {bits:#x}");
        }
        assert_eq!(float_value(I32, 0), None);
    }

    #[test]
    fn packed_and_unpacked_bools() {
        let ty = |size: i64| TensorType::new(ElementType::Bool, [size]);
        let read = |size: i64, data: &[u8]| literal(ty(size), data, 0).expect("well-formed");
        assert_eq!(read(10, &[0b0000_0101, 0b10]).data, [1, 0, 1, 0, 0, 0, 0, 0, 0, 1]);
        assert_eq!(read(2, &[1, 0]).data, [1, 0]);
        assert_eq!(read(3, &[0b110]).data, [0, 1, 1]);
        let splat = read(1000, &[0xff]);
        assert_eq!((splat.data.as_slice(), splat.splat), ([1].as_slice(), true));
        let splat = read(1000, &[0]);
        assert_eq!((splat.data.as_slice(), splat.splat), ([0].as_slice(), true));
        let one = read(1, &[0xff]);
        assert_eq!((one.data.as_slice(), one.splat), ([1].as_slice(), false));
        assert_eq!(read(0, &[]).data, []);
        assert!(literal(ty(9), &[0, 0, 0], 0).is_err());
    }

    #[test]
    fn sizes_are_checked_and_narrow_integers_extended() {
        let ty = TensorType::new(ElementType::F32, [2, 3]);
        assert!(!literal(ty.clone(), &[0; 24], 0).expect("full").splat);
        assert!(literal(ty.clone(), &[0; 4], 0).expect("one element").splat);
        assert!(literal(ty, &[0; 8], 0).is_err());
        let huge = TensorType::new(ElementType::F32, [i64::MAX, i64::MAX]);
        assert!(literal(huge, &[0; 12], 0).is_err());
        let read = |element| literal(TensorType::new(element, [3]), &[0x0f, 0xff, 0x07], 0).expect("full").data;
        assert_eq!(read(ElementType::I4), [0xff, 0xff, 7]);
        assert_eq!(read(ElementType::U4), [15, 15, 7]);
    }
}
