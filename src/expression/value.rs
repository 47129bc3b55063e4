//! Numbers of a [`Scalar`] type, on the host.
#![forbid(unsafe_code)]

use super::Scalar;

/// The bits of one number: of a real one in `bits`, the rest being 0; of a complex one its real part there and its imaginary
/// part in `imaginary`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Value {
    /// Bits of the number, or of its real part.
    pub bits: u64,
    /// Bits of the imaginary part.
    pub imaginary: u64,
}

impl Value {
    /// Of a number that is not complex.
    pub fn from_bits(bits: u64) -> Self {
        Self { bits, imaginary: 0 }
    }

    /// A number rounded to the type; towards zero for integers.
    pub fn from_f64(scalar: Scalar, value: f64) -> Self {
        let bits = match scalar.real() {
            Scalar::F16 => u64::from(half::f16::from_f64(value).to_bits()),
            Scalar::BF16 => u64::from(half::bf16::from_f64(value).to_bits()),
            Scalar::F32 => u64::from((value as f32).to_bits()),
            Scalar::F64 => value.to_bits(),
            _ => return Self::from_i128(scalar, value as i128),
        };
        Self::from_bits(bits)
    }

    /// The low bits of an integer; rounded for floats.
    pub fn from_i128(scalar: Scalar, value: i128) -> Self {
        match scalar {
            Scalar::Bool => Self::from_bits(u64::from(value != 0)),
            _ if scalar.is_integer() => Self::from_bits(value as u64 & mask(scalar)),
            _ => Self::from_f64(scalar, value as f64),
        }
    }

    /// The number as f64: exact but for 64-bit integers. Of complex numbers, the real part.
    pub fn to_f64(self, scalar: Scalar) -> f64 {
        real_to_f64(scalar, self.bits)
    }

    /// The imaginary part as f64.
    pub fn imaginary_to_f64(self, scalar: Scalar) -> f64 {
        if scalar.is_complex() { real_to_f64(scalar, self.imaginary) } else { 0.0 }
    }

    /// The integer; 0 for floats and complex numbers.
    pub fn to_i128(self, scalar: Scalar) -> i128 {
        if !(scalar.is_integer() || scalar == Scalar::Bool) {
            return 0;
        }
        let bits = i128::from(self.bits & mask(scalar));
        let negative = scalar.is_signed() && bits >> (scalar.bits() - 1) != 0;
        if negative { bits - (1i128 << scalar.bits()) } else { bits }
    }

    /// From little-endian bytes of the type's size.
    pub fn from_bytes(scalar: Scalar, bytes: &[u8]) -> Self {
        let word = |bytes: &[u8]| {
            let mut word = [0; 8];
            word[..bytes.len()].copy_from_slice(bytes);
            u64::from_le_bytes(word)
        };
        match scalar {
            Scalar::Bool => Self::from_bits(u64::from(bytes[0] != 0)),
            _ if scalar.is_complex() => {
                let (real, imaginary) = bytes.split_at(scalar.bytes() / 2);
                Self { bits: word(real), imaginary: word(imaginary) }
            }
            _ => Self::from_bits(word(bytes)),
        }
    }

    /// As little-endian bytes of the type's size.
    pub fn write(self, scalar: Scalar, bytes: &mut impl Extend<u8>) {
        if scalar.is_complex() {
            let half = scalar.bytes() / 2;
            bytes.extend(self.bits.to_le_bytes().into_iter().take(half));
            bytes.extend(self.imaginary.to_le_bytes().into_iter().take(half));
        } else {
            bytes.extend(self.bits.to_le_bytes().into_iter().take(scalar.bytes()));
        }
    }
}

/// The bits that a real type has.
pub(super) fn mask(scalar: Scalar) -> u64 {
    if scalar.bits() >= 64 { u64::MAX } else { (1 << scalar.bits()) - 1 }
}

fn real_to_f64(scalar: Scalar, bits: u64) -> f64 {
    match scalar.real() {
        Scalar::F16 => half::f16::from_bits(bits as u16).to_f64(),
        Scalar::BF16 => half::bf16::from_bits(bits as u16).to_f64(),
        Scalar::F32 => f64::from(f32::from_bits(bits as u32)),
        Scalar::F64 => f64::from_bits(bits),
        _ => Value::from_bits(bits).to_i128(scalar) as f64,
    }
}
