//! Element types of fewer than 8 bits, and floats of 8 bits or fewer: MLX has neither.
//!
//! Small integers lie sign- or zero-extended in a byte, and wrap after arithmetic. Small floats lie as their bits in a
//! byte; they are encoded by integer arithmetic on the bits of an f32.
#![forbid(unsafe_code)]

use super::{Scalar, Term};
use crate::program::ElementType;

/// Brings the byte of a small integer back into its range; other types pass.
pub fn wrap(value: Term, element: ElementType) -> Term {
    if !element.is_small_integer() {
        return value;
    }
    let bits = element.bits() as i128;
    if element.is_signed_integer() { (value << (8 - bits)) >> (8 - bits) } else { value & ((1i128 << bits) - 1) }
}

/// What a format makes of numbers beyond its greatest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Overflow {
    /// Infinity, which is the code after the greatest finite one.
    Infinity,
    /// NaN.
    Nan,
    /// The greatest finite number.
    Saturate,
}

/// A small binary float: sign, exponent, mantissa, from high to low.
#[derive(Clone, Copy, Debug)]
pub struct Format {
    bits: u32,
    mantissa: u32,
    bias: i32,
    /// Code of the greatest finite number.
    greatest: u32,
    overflow: Overflow,
    /// Code that NaN is written as; in formats without one, -0.
    nan: u32,
    /// Whether codes with the sign bit that would be -0 mean NaN instead (the FNUZ formats).
    unsigned_zero: bool,
}

impl Format {
    /// The format of a small float, except f8E8M0FNU, which has neither sign nor mantissa.
    fn of(element: ElementType) -> Option<Self> {
        use Overflow::*;
        let format = |bits, mantissa, bias, greatest, overflow, nan, unsigned_zero| {
            Some(Self { bits, mantissa, bias, greatest, overflow, nan, unsigned_zero })
        };
        match element {
            ElementType::F4E2M1FN => format(4, 1, 1, 0x7, Saturate, 0x8, false),
            ElementType::F6E2M3FN => format(6, 3, 1, 0x1f, Saturate, 0x20, false),
            ElementType::F6E3M2FN => format(6, 2, 3, 0x1f, Saturate, 0x20, false),
            ElementType::F8E3M4 => format(8, 4, 3, 0x6f, Infinity, 0x78, false),
            ElementType::F8E4M3 => format(8, 3, 7, 0x77, Infinity, 0x7c, false),
            ElementType::F8E4M3FN => format(8, 3, 7, 0x7e, Nan, 0x7f, false),
            ElementType::F8E4M3FNUZ => format(8, 3, 8, 0x7f, Nan, 0x80, true),
            ElementType::F8E4M3B11FNUZ => format(8, 3, 11, 0x7f, Nan, 0x80, true),
            ElementType::F8E5M2 => format(8, 2, 15, 0x7b, Infinity, 0x7e, false),
            ElementType::F8E5M2FNUZ => format(8, 2, 16, 0x7f, Nan, 0x80, true),
            _ => None,
        }
    }

    fn sign(self) -> u32 {
        1 << (self.bits - 1)
    }

    fn value(self, code: u32) -> f32 {
        let code = code & ((1 << self.bits) - 1);
        let magnitude = code & (self.sign() - 1);
        if self.unsigned_zero && code == self.sign() {
            return f32::NAN;
        }
        let sign = if code & self.sign() == 0 { 1.0 } else { -1.0 };
        if magnitude > self.greatest {
            let infinite = self.overflow == Overflow::Infinity && magnitude == self.greatest + 1;
            return if infinite { sign * f32::INFINITY } else { f32::NAN.copysign(sign) };
        }
        let (exponent, fraction) = (magnitude >> self.mantissa, magnitude & ((1 << self.mantissa) - 1));
        let implicit = if exponent == 0 { 0 } else { 1 << self.mantissa };
        let power = exponent.max(1) as i32 - self.bias - self.mantissa as i32;
        sign * (implicit + fraction) as f32 * 2f32.powi(power)
    }
}

/// The number that a code of a small float stands for.
pub fn value(element: ElementType, code: u8) -> f32 {
    match Format::of(element) {
        Some(format) => format.value(u32::from(code)),
        // f8E8M0FNU: 2^(code - 127), the least of which is a denormal f32.
        None if code == 255 => f32::NAN,
        None if code == 0 => f32::from_bits(0x0040_0000),
        None => f32::from_bits(u32::from(code) << 23),
    }
}

/// f64 rounded to f32 so that rounding once more to a type of far fewer digits gives what rounding at once would: what
/// is cut off leaves its trace in the last bit.
pub fn round_to_odd(x: &Term) -> Term {
    let near = x.cast(Scalar::F32);
    let back = near.cast(Scalar::F64);
    let bits = near.bits();
    let inexact = back.not_equal(x) & x.is_finite();
    let over = back.abs().greater(x.abs());
    // Towards zero (from infinity: to the greatest finite number), then the last bit set.
    let cut = over.select(&(&bits - 1i128), &bits);
    inexact.select(&(cut | 1i128), &bits).view(Scalar::F32)
}

/// f32 rounded to the nearest number of a small float type, ties to even; the bytes are its codes.
pub fn encode(x: &Term, element: ElementType) -> Term {
    let bits = x.bits();
    let magnitude = &bits & 0x7fff_ffffi128;
    let nan = magnitude.greater(0x7f80_0000i128);
    let Some(format) = Format::of(element) else {
        // f8E8M0FNU: the nearest power of two, the greater of two as near, except below 2^-126. No sign, no zero.
        let rounded = (&magnitude + 0x0040_0000i128) >> 23i128;
        let code = magnitude.less_equal(0x0040_0000i128).select(&rounded.integer(0), &rounded).minimum(255i128);
        let none = nan | bits.greater(0x7fff_ffffi128);
        let none = none | magnitude.equal(0i128);
        return none.select(&code.integer(255), &code).cast(Scalar::U8);
    };
    let dropped = 23 - format.mantissa;
    // Normal numbers: round the mantissa (a carry raises the exponent, as it should), then change the bias.
    let lowest = (&magnitude >> i128::from(dropped)) & 1i128;
    let rounded = (&magnitude + ((1i128 << (dropped - 1)) - 1) + lowest) >> i128::from(dropped);
    let rebias = i128::from(127 - format.bias) << format.mantissa;
    // Numbers below the least normal one are multiples of a fixed quantum: their code is the multiple.
    let least_normal = i128::from(127 + 1 - format.bias) << 23;
    let scale = 2f64.powi(format.mantissa as i32 + format.bias - 1);
    let small = magnitude.less(least_normal);
    // What is not small goes as 0, for the float would not fit the integer.
    let multiple = small.select(&magnitude, 0i128).view(Scalar::F32) * scale;
    let code = small.select(&multiple.round().cast(Scalar::U32), &(rounded - rebias));
    let greatest = i128::from(format.greatest);
    let over = code.greater(greatest);
    let beyond = match format.overflow {
        Overflow::Infinity => greatest + 1,
        Overflow::Nan => i128::from(format.nan),
        Overflow::Saturate => greatest,
    };
    let code = over.select(&code.integer(beyond), &code);
    let code = nan.select(&code.integer(i128::from(format.nan)), &code);
    let sign = (bits >> i128::from(32 - format.bits)) & i128::from(format.sign());
    let code = if format.unsigned_zero {
        // There is no -0, and NaN has the sign bit already.
        code.equal(0i128).select(&code, &code | &sign)
    } else {
        code | sign
    };
    code.cast(Scalar::U8)
}
