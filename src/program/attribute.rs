//! Attributes that ops, functions and modules carry beside their typed fields.
#![forbid(unsafe_code)]

use super::{ElementType, TensorType, Type, sharding};

/// A dense tensor constant: row-major elements, or one element for a splat.
#[derive(Clone, Debug, PartialEq)]
pub struct Literal {
    /// Type of the constant (static shape).
    pub ty: TensorType,
    /// Little-endian elements, row-major, `ElementType::bytes()` each (Bool is 0 or 1; sub-byte types one byte each,
    /// integers sign- or zero-extended, small floats their bits in the low end); a single element when `splat`.
    pub data: Vec<u8>,
    /// True when `data` holds one element that every position repeats.
    pub splat: bool,
}

impl Literal {
    /// The bytes of element `index` (row-major).
    pub fn element(&self, index: usize) -> &[u8] {
        let width = self.ty.element.bytes();
        let start = if self.splat { 0 } else { index * width };
        &self.data[start..start + width]
    }

    /// All elements as integers (Bool as 0 and 1), row-major; None for other element types.
    pub fn integers(&self) -> Option<Vec<i128>> {
        let element = self.ty.element;
        if !element.is_integer() && element != ElementType::Bool {
            return None;
        }
        let one = |bytes: &[u8]| {
            let mut wide =
                [if element.is_signed_integer() && bytes[bytes.len() - 1] & 0x80 != 0 { 0xff } else { 0 }; 16];
            wide[..bytes.len()].copy_from_slice(bytes);
            i128::from_le_bytes(wide)
        };
        Some((0..self.ty.elements()).map(|index| one(self.element(index))).collect())
    }

    /// Whether a result of that type may have this value: the types are one, but quantized results store integers.
    pub fn fits(&self, ty: &Type) -> bool {
        match ty {
            Type::Tensor(tensor) => *tensor == self.ty,
            Type::Quantized(shape, parameters) => *shape == self.ty.shape && parameters.storage == self.ty.element,
            _ => false,
        }
    }

    /// True when every byte of every element is equal to the bytes given.
    pub fn is_splat_of(&self, bytes: &[u8]) -> bool {
        let width = self.ty.element.bytes();
        bytes.len() == width && self.data.chunks_exact(width).all(|element| element == bytes)
    }
}

/// The value of a named attribute.
#[derive(Clone, Debug, PartialEq)]
pub enum Attribute {
    /// No value: being there is the meaning.
    Unit,
    /// `true` / `false`.
    Bool(bool),
    /// An integer with its type's text (`i64`, `index`, `ui32` …).
    Integer(i128, ElementType),
    /// A float with its type.
    Float(f64, ElementType),
    /// A string.
    String(String),
    /// `@symbol` with nested references.
    Symbol(Vec<String>),
    /// A type.
    Type(Type),
    /// A list.
    Array(Vec<Attribute>),
    /// Named attributes in their order.
    Dictionary(Vec<(String, Attribute)>),
    /// A tensor of values.
    Dense(Literal),
    /// `array<i64: …>` and its kin, widened (also array<i1>, array<i32>).
    Integers(Vec<i64>),
    /// `array<f32: …>`, `array<f64: …>`.
    Floats(Vec<f64>),
    /// An enum of StableHLO by its spelling.
    Enum(String),
    /// Shardy's attributes.
    Sharding(sharding::Attribute),
    /// Understood only as text, or skipped by its length (then the text says of which dialect).
    Opaque(String),
}

/// Named attributes in the order in which they came.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Attributes(pub Vec<(String, Attribute)>);

impl Attributes {
    /// The attribute of that name.
    pub fn get(&self, name: &str) -> Option<&Attribute> {
        self.0.iter().find(|(each, _)| each == name).map(|(_, value)| value)
    }

    /// The string attribute of that name.
    pub fn string(&self, name: &str) -> Option<&str> {
        match self.get(name) {
            Some(Attribute::String(text)) => Some(text),
            _ => None,
        }
    }

    /// The integer attribute of that name.
    pub fn integer(&self, name: &str) -> Option<i64> {
        match self.get(name) {
            Some(Attribute::Integer(value, _)) => i64::try_from(*value).ok(),
            _ => None,
        }
    }

    /// The bool attribute of that name.
    pub fn bool(&self, name: &str) -> Option<bool> {
        match self.get(name) {
            Some(Attribute::Bool(value)) => Some(*value),
            _ => None,
        }
    }

    /// No attribute at all.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
