//! Where the tables take the attributes of an op from: the container of our own reader, or a module of MLIR.
#![forbid(unsafe_code)]

use super::{EnumKind, VhloAttribute};
use crate::program::{Attribute, Attributes, ElementType, Literal, Type};
use crate::stablehlo::ReadError;
use crate::stablehlo::bytecode::AttributeId;
use crate::stablehlo::context::{Context, Shallow};
use crate::stablehlo::types::ShallowType;

/// An attribute as the rows of the tables see it, one level deep.
#[derive(Clone, Debug)]
pub(crate) enum Field {
    Integer(i128),
    Bool(bool),
    /// Of type f32.
    Float(f32),
    /// Any bytes.
    String(Vec<u8>),
    Tensor(Literal),
    Array(Vec<AttributeId>),
    Dictionary,
    Type(Type),
    /// The type `none`: the encoding of a missing one.
    NoType,
    /// A case by its number.
    Case(EnumKind, u64),
    /// A case by its spelling, of an enum that the row knows.
    #[cfg_attr(not(feature = "mlir"), expect(dead_code, reason = "only MLIR's attributes are spelled"))]
    Spelled(String),
    /// output_tuple_indices, operand_index, operand_tuple_indices.
    Alias(Vec<i64>, i64, Vec<i64>),
    /// atol, rtol, ulps, mode.
    ResultAccuracy(f64, f64, i64, AttributeId),
    /// Anything else.
    Other,
}

/// Attributes by number.
pub(crate) trait Source {
    /// The attribute, one level deep.
    fn field(&mut self, id: AttributeId) -> Result<Field, ReadError>;

    /// The attribute with all that it is made of.
    fn attribute(&mut self, id: AttributeId) -> Result<Attribute, ReadError>;

    /// The elements of a literal of integers (or of i1), written out.
    fn integers_of(&mut self, literal: &Literal) -> Result<Vec<i64>, ReadError>;
}

impl Source for Context<'_> {
    fn field(&mut self, id: AttributeId) -> Result<Field, ReadError> {
        let Shallow::Vhlo(attribute) = self.shallow(id)? else { return Ok(Field::Other) };
        Ok(match attribute {
            VhloAttribute::Array(items) => Field::Array(items),
            VhloAttribute::Bool(value) => Field::Bool(value),
            VhloAttribute::Dictionary(_) => Field::Dictionary,
            VhloAttribute::Enum(kind, value) => Field::Case(kind, value),
            VhloAttribute::Float(ty, bits) if self.scalar_type(ty)? == ElementType::F32 => {
                Field::Float(f32::from_bits(bits as u32))
            }
            VhloAttribute::Float(..) | VhloAttribute::TypeExtensions(_) => Field::Other,
            VhloAttribute::Integer(_, value) => Field::Integer(value),
            VhloAttribute::OutputOperandAlias { output_tuple_indices, operand_index, operand_tuple_indices } => {
                Field::Alias(output_tuple_indices, operand_index, operand_tuple_indices)
            }
            VhloAttribute::String(bytes) => Field::String(bytes.to_vec()),
            VhloAttribute::Tensor(ty, data) => {
                let offset = self.attribute_offset(id);
                Field::Tensor(self.dense(ty, data, offset)?)
            }
            VhloAttribute::Type(ty) => match self.shallow_type(ty)? {
                ShallowType::None => Field::NoType,
                _ => Field::Type(self.ty(ty)?),
            },
            VhloAttribute::ResultAccuracy { atol, rtol, ulps, mode } => Field::ResultAccuracy(atol, rtol, ulps, mode),
        })
    }

    fn attribute(&mut self, id: AttributeId) -> Result<Attribute, ReadError> {
        Context::attribute(self, id)
    }

    fn integers_of(&mut self, literal: &Literal) -> Result<Vec<i64>, ReadError> {
        Context::integers_of(self, literal, 0)
    }
}

/// The entries of a dictionary attribute; None for other attributes.
pub(crate) fn dictionary(attribute: Attribute) -> Option<Attributes> {
    match attribute {
        Attribute::Dictionary(entries) => Some(Attributes(entries)),
        _ => None,
    }
}
