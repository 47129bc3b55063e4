//! The attributes of one op for the tables of op forms.
#![forbid(unsafe_code)]

use super::attributes::accuracy;
use crate::program::{Attribute, ElementType, Literal};
use crate::stablehlo::ReadError;
use crate::stablehlo::shared::{AttributeId, Field, Source};

/// An attribute of an op, or a part of one that the tables know by a name of its own.
#[derive(Clone, Debug)]
pub(super) enum Value {
    Attribute(Attribute),
    Field(Field),
}

/// Attributes by number.
#[derive(Default)]
pub(super) struct Values(Vec<Value>);

impl Values {
    /// Adds an attribute.
    pub fn add(&mut self, value: Value) -> AttributeId {
        self.0.push(value);
        AttributeId((self.0.len() - 1) as u32)
    }
}

impl Source for Values {
    fn field(&mut self, id: AttributeId) -> Result<Field, ReadError> {
        let attribute = match &self.0[id.0 as usize] {
            Value::Field(field) => return Ok(field.clone()),
            Value::Attribute(attribute) => attribute,
        };
        Ok(match attribute {
            Attribute::Bool(value) => Field::Bool(*value),
            Attribute::Integer(value, _) => Field::Integer(*value),
            Attribute::Float(value, ElementType::F32) => Field::Float(*value as f32),
            Attribute::String(text) => Field::String(text.clone().into_bytes()),
            // Symbols of functions are strings in the tables.
            Attribute::Symbol(path) if path.len() == 1 => Field::String(path[0].clone().into_bytes()),
            Attribute::Type(ty) => Field::Type(ty.clone()),
            Attribute::Dictionary(_) => Field::Dictionary,
            Attribute::Dense(literal) => Field::Tensor(literal.clone()),
            Attribute::Enum(case) => Field::Spelled(case.clone()),
            Attribute::Array(items) => {
                let items = items.clone();
                Field::Array(items.into_iter().map(|item| self.add(Value::Attribute(item))).collect())
            }
            Attribute::Unit
            | Attribute::Float(..)
            | Attribute::Symbol(_)
            | Attribute::Integers(_)
            | Attribute::Floats(_)
            | Attribute::Sharding(_)
            | Attribute::Opaque(_) => Field::Other,
        })
    }

    fn attribute(&mut self, id: AttributeId) -> Result<Attribute, ReadError> {
        let field = match &self.0[id.0 as usize] {
            Value::Attribute(attribute) => return Ok(attribute.clone()),
            Value::Field(field) => field.clone(),
        };
        Ok(match field {
            Field::Integer(value) => Attribute::Integer(value, ElementType::I64),
            Field::Bool(value) => Attribute::Bool(value),
            Field::Tensor(literal) => Attribute::Dense(literal),
            Field::Type(ty) => Attribute::Type(ty),
            Field::Array(items) => {
                let items: Result<Vec<Attribute>, ReadError> =
                    items.into_iter().map(|item| self.attribute(item)).collect();
                Attribute::Array(items?)
            }
            Field::ResultAccuracy(atol, rtol, ulps, mode) => accuracy(atol, rtol, ulps, self.attribute(mode)?),
            other => Attribute::Opaque(format!("{other:?}")),
        })
    }

    fn integers_of(&mut self, literal: &Literal) -> Result<Vec<i64>, ReadError> {
        let integers = literal
            .integers()
            .ok_or_else(|| ReadError::malformed(0, format!("expected a tensor of integers, came {}", literal.ty)))?;
        let narrow =
            |value: i128| i64::try_from(value).map_err(|_| ReadError::malformed(0, format!("{value} exceeds 64 bits")));
        integers.into_iter().map(narrow).collect()
    }
}
