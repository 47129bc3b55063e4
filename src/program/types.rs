//! Types of values: StableHLO spec, section "Types".
#![forbid(unsafe_code)]

use std::fmt;

enumeration! {
    /// Element type of a tensor. Names follow the StableHLO spec; the discriminants are our own.
    #[expect(missing_docs, reason = "the variants are the spec's own type names")]
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
    pub enum ElementType: (&'static str, usize) {
        Bool: ("i1", 8),
        I2: ("i2", 2),
        I4: ("i4", 4),
        I8: ("i8", 8),
        I16: ("i16", 16),
        I32: ("i32", 32),
        I64: ("i64", 64),
        U2: ("ui2", 2),
        U4: ("ui4", 4),
        U8: ("ui8", 8),
        U16: ("ui16", 16),
        U32: ("ui32", 32),
        U64: ("ui64", 64),
        F4E2M1FN: ("f4E2M1FN", 4),
        F6E2M3FN: ("f6E2M3FN", 6),
        F6E3M2FN: ("f6E3M2FN", 6),
        F8E3M4: ("f8E3M4", 8),
        F8E4M3: ("f8E4M3", 8),
        F8E4M3B11FNUZ: ("f8E4M3B11FNUZ", 8),
        F8E4M3FN: ("f8E4M3FN", 8),
        F8E4M3FNUZ: ("f8E4M3FNUZ", 8),
        F8E5M2: ("f8E5M2", 8),
        F8E5M2FNUZ: ("f8E5M2FNUZ", 8),
        F8E8M0FNU: ("f8E8M0FNU", 8),
        BF16: ("bf16", 16),
        F16: ("f16", 16),
        F32: ("f32", 32),
        TF32: ("tf32", 32),
        F64: ("f64", 64),
        /// complex<f32>, 64 bits in all.
        C64: ("complex<f32>", 64),
        /// complex<f64>, 128 bits in all.
        C128: ("complex<f64>", 128),
    }
}

impl ElementType {
    /// The spelling in StableHLO text.
    pub fn name(self) -> &'static str {
        self.row().0
    }

    /// Width of one element in bits (Bool counts as 8: it is one byte wherever bytes are exchanged).
    pub fn bits(self) -> usize {
        self.row().1
    }

    /// Bytes of one element when unpacked (sub-byte types take one byte each, as PJRT passes them).
    pub fn bytes(self) -> usize {
        self.bits().div_ceil(8)
    }

    /// Signed integers, Bool excluded.
    pub fn is_signed_integer(self) -> bool {
        use ElementType::*;
        matches!(self, I2 | I4 | I8 | I16 | I32 | I64)
    }

    /// Unsigned integers, Bool excluded.
    pub fn is_unsigned_integer(self) -> bool {
        use ElementType::*;
        matches!(self, U2 | U4 | U8 | U16 | U32 | U64)
    }

    /// Signed or unsigned integers, Bool excluded.
    pub fn is_integer(self) -> bool {
        self.is_signed_integer() || self.is_unsigned_integer()
    }

    /// The element type of a product of matrices. Where the result's cannot hold it (floats to integers or bool, complex to
    /// real numbers) XLA multiplies in the operands' type, and converts.
    pub fn of_product(lhs: Self, rhs: Self, result: Self) -> Self {
        let is_integral = |element: Self| element.is_integer() || element == Self::Bool;
        let complex = lhs.is_complex() || rhs.is_complex();
        if result.is_complex() || (is_integral(lhs) && is_integral(rhs)) || !(complex || is_integral(result)) {
            result
        } else if complex {
            Self::C64
        } else if lhs == rhs {
            lhs
        } else if [lhs, rhs].contains(&Self::F64) {
            Self::F64
        } else {
            Self::F32
        }
    }

    /// complex<f32> or complex<f64>.
    pub fn is_complex(self) -> bool {
        matches!(self, ElementType::C64 | ElementType::C128)
    }

    /// Real floating point of any width.
    pub fn is_float(self) -> bool {
        !self.is_integer() && !self.is_complex() && self != ElementType::Bool
    }

    /// Floating point types of 8 bits or fewer, which MLX has no dtype for (stored as their bits).
    pub fn is_small_float(self) -> bool {
        self.is_float() && self.bits() <= 8
    }

    /// Integers of fewer than 8 bits, which MLX has no dtype for (stored sign- or zero-extended in a byte).
    pub fn is_small_integer(self) -> bool {
        self.is_integer() && self.bits() < 8
    }
}

impl fmt::Display for ElementType {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

/// A dimension whose size is not known at compile time.
pub const DYNAMIC: i64 = i64::MIN;

/// A ranked tensor.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TensorType {
    /// Element type.
    pub element: ElementType,
    /// Sizes; [`DYNAMIC`] where unknown.
    pub shape: Vec<i64>,
    /// Upper bounds of dynamic dimensions (`#stablehlo.bounds`), empty when none; [`DYNAMIC`] where unbounded.
    pub bounds: Vec<i64>,
}

impl TensorType {
    /// A static or dynamic tensor type without bounds.
    pub fn new(element: ElementType, shape: impl Into<Vec<i64>>) -> Self {
        Self { element, shape: shape.into(), bounds: Vec::new() }
    }

    /// Number of dimensions.
    pub fn rank(&self) -> usize {
        self.shape.len()
    }

    /// True when every dimension is known.
    pub fn is_static(&self) -> bool {
        self.shape.iter().all(|&size| size >= 0)
    }

    /// Number of elements; meaningful for static shapes (saturates instead of overflowing).
    pub fn elements(&self) -> usize {
        self.shape.iter().fold(1usize, |product, &size| product.saturating_mul(usize::try_from(size).unwrap_or(0)))
    }
}

impl fmt::Display for TensorType {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("tensor<")?;
        for &size in &self.shape {
            if size == DYNAMIC {
                formatter.write_str("?x")?;
            } else {
                write!(formatter, "{size}x")?;
            }
        }
        write!(formatter, "{}", self.element)?;
        if !self.bounds.is_empty() {
            formatter.write_str(", #stablehlo.bounds<")?;
            for (index, &bound) in self.bounds.iter().enumerate() {
                if index > 0 {
                    formatter.write_str(", ")?;
                }
                if bound == DYNAMIC { formatter.write_str("?")? } else { write!(formatter, "{bound}")? }
            }
            formatter.write_str(">")?;
        }
        formatter.write_str(">")
    }
}

/// Parameters of a quantized element type (StableHLO spec, "Quantized types").
#[derive(Clone, Debug, PartialEq)]
pub struct Quantization {
    /// Integer type that is stored.
    pub storage: ElementType,
    /// Float type that is expressed.
    pub expressed: ElementType,
    /// Least and greatest stored value.
    pub range: (i64, i64),
    /// One per tensor, or one per slice along `dimension`.
    pub scales: Vec<f64>,
    /// As many as scales.
    pub zero_points: Vec<i64>,
    /// Quantized dimension of per-axis types.
    pub dimension: Option<i64>,
}

/// The type of a value.
#[derive(Clone, Debug, PartialEq)]
pub enum Type {
    /// A ranked tensor.
    Tensor(TensorType),
    /// A ranked tensor of quantized elements (shape, parameters).
    Quantized(Vec<i64>, Quantization),
    /// A memory buffer (`memref` in StableHLO text): the operand of a custom_call that works in place.
    Buffer(TensorType),
    /// `!stablehlo.token`.
    Token,
    /// A tuple.
    Tuple(Vec<Type>),
    /// The result of async_start.
    Future(Vec<Type>),
    /// The type of a function, as attribute.
    Function(Vec<Type>, Vec<Type>),
    /// A type without meaning to the compiler, with its text or name.
    Opaque(String),
}

impl Type {
    /// The tensor type, if it is one.
    pub fn tensor(&self) -> Option<&TensorType> {
        match self {
            Type::Tensor(tensor) => Some(tensor),
            _ => None,
        }
    }
}

fn list(formatter: &mut fmt::Formatter<'_>, types: &[Type]) -> fmt::Result {
    for (index, each) in types.iter().enumerate() {
        if index > 0 {
            formatter.write_str(", ")?;
        }
        write!(formatter, "{each}")?;
    }
    Ok(())
}

impl fmt::Display for Type {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Type::Tensor(tensor) => write!(formatter, "{tensor}"),
            Type::Quantized(shape, parameters) => {
                formatter.write_str("tensor<")?;
                for &size in shape {
                    if size == DYNAMIC { formatter.write_str("?x")? } else { write!(formatter, "{size}x")? }
                }
                write!(
                    formatter,
                    "!quant.uniform<{}:{}, {:?}:{:?}>>",
                    parameters.storage, parameters.expressed, parameters.scales, parameters.zero_points
                )
            }
            Type::Buffer(tensor) => write!(formatter, "memref<{}", &tensor.to_string()["tensor<".len()..]),
            Type::Token => formatter.write_str("!stablehlo.token"),
            Type::Tuple(elements) => {
                formatter.write_str("tuple<")?;
                list(formatter, elements)?;
                formatter.write_str(">")
            }
            Type::Future(elements) => {
                formatter.write_str("!stablehlo.future<")?;
                list(formatter, elements)?;
                formatter.write_str(">")
            }
            Type::Function(arguments, results) => {
                formatter.write_str("(")?;
                list(formatter, arguments)?;
                formatter.write_str(") -> (")?;
                list(formatter, results)?;
                formatter.write_str(")")
            }
            Type::Opaque(text) => formatter.write_str(text),
        }
    }
}
