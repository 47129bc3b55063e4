//! The types that expressions compute in.
#![forbid(unsafe_code)]

use std::fmt;

use crate::program::ElementType;

enumeration! {
    /// How elements lie in memory, and are computed with. Integers of under 8 bits are sign- or zero-extended to a byte,
    /// floats of 8 bits or fewer are their bits in a byte. Beside each, its size in bytes.
    #[expect(missing_docs, reason = "the variants are the usual names")]
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
    pub enum Scalar: usize {
        Bool: 1,
        I8: 1,
        I16: 2,
        I32: 4,
        I64: 8,
        U8: 1,
        U16: 2,
        U32: 4,
        U64: 8,
        F16: 2,
        BF16: 2,
        F32: 4,
        F64: 8,
        C64: 8,
        C128: 16,
    }
}

impl Scalar {
    /// What elements of a type are stored as; None for tf32, which only names a precision.
    pub fn of(element: ElementType) -> Option<Self> {
        use ElementType as E;
        Some(match element {
            E::Bool => Self::Bool,
            E::I2 | E::I4 | E::I8 => Self::I8,
            E::I16 => Self::I16,
            E::I32 => Self::I32,
            E::I64 => Self::I64,
            E::U2 | E::U4 | E::U8 => Self::U8,
            E::F4E2M1FN | E::F6E2M3FN | E::F6E3M2FN | E::F8E3M4 | E::F8E4M3 | E::F8E4M3B11FNUZ => Self::U8,
            E::F8E4M3FN | E::F8E4M3FNUZ | E::F8E5M2 | E::F8E5M2FNUZ | E::F8E8M0FNU => Self::U8,
            E::U16 => Self::U16,
            E::U32 => Self::U32,
            E::U64 => Self::U64,
            E::BF16 => Self::BF16,
            E::F16 => Self::F16,
            E::F32 => Self::F32,
            E::F64 => Self::F64,
            E::C64 => Self::C64,
            E::C128 => Self::C128,
            E::TF32 => return None,
        })
    }

    /// Size in bytes.
    pub fn bytes(self) -> usize {
        self.row()
    }

    /// Size in bits.
    pub fn bits(self) -> u32 {
        self.bytes() as u32 * 8
    }

    /// Real floats.
    pub fn is_float(self) -> bool {
        matches!(self, Self::F16 | Self::BF16 | Self::F32 | Self::F64)
    }

    /// f16 and bf16.
    pub fn is_half(self) -> bool {
        matches!(self, Self::F16 | Self::BF16)
    }

    /// Complex numbers.
    pub fn is_complex(self) -> bool {
        matches!(self, Self::C64 | Self::C128)
    }

    /// Signed integers.
    pub fn is_signed(self) -> bool {
        matches!(self, Self::I8 | Self::I16 | Self::I32 | Self::I64)
    }

    /// Signed or unsigned integers, booleans excluded.
    pub fn is_integer(self) -> bool {
        self.is_signed() || matches!(self, Self::U8 | Self::U16 | Self::U32 | Self::U64)
    }

    /// Whether numbers of it, or their parts, are f64: what GPUs do not have.
    pub fn is_double(self) -> bool {
        matches!(self, Self::F64 | Self::C128)
    }

    /// The type of the parts of complex numbers; other types are their own.
    pub fn real(self) -> Self {
        match self {
            Self::C64 => Self::F32,
            Self::C128 => Self::F64,
            other => other,
        }
    }

    /// The unsigned integers of the same size (of 8 bytes for complex numbers).
    pub fn unsigned(self) -> Self {
        match self.bytes() {
            1 => Self::U8,
            2 => Self::U16,
            4 => Self::U32,
            _ => Self::U64,
        }
    }

    /// The signed integers of the same size (of 8 bytes for complex numbers).
    pub fn signed(self) -> Self {
        match self.bytes() {
            1 => Self::I8,
            2 => Self::I16,
            4 => Self::I32,
            _ => Self::I64,
        }
    }

    /// Its name in texts.
    pub fn name(self) -> &'static str {
        match self {
            Self::Bool => "i1",
            Self::I8 => "i8",
            Self::I16 => "i16",
            Self::I32 => "i32",
            Self::I64 => "i64",
            Self::U8 => "ui8",
            Self::U16 => "ui16",
            Self::U32 => "ui32",
            Self::U64 => "ui64",
            Self::F16 => "f16",
            Self::BF16 => "bf16",
            Self::F32 => "f32",
            Self::F64 => "f64",
            Self::C64 => "complex<f32>",
            Self::C128 => "complex<f64>",
        }
    }
}

impl fmt::Display for Scalar {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}
