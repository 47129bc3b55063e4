//! Attributes of the container to attributes of the program, whatever their dialect.
#![forbid(unsafe_code)]

use super::ReadError;
use super::bytecode::{AttributeId, BuiltinAttribute, TextAttribute, TypeId};
use super::context::{Context, Shallow};
use super::literal::float_value;
use super::sdy;
use super::vhlo::VhloAttribute;
use crate::program::{Attribute, Attributes, ElementType};

impl Context<'_> {
    /// The attribute with all that it is made of.
    pub fn attribute(&mut self, id: AttributeId) -> Result<Attribute, ReadError> {
        self.nested(|context| match context.shallow(id)? {
            Shallow::Builtin(attribute) => context.builtin_attribute(attribute, id),
            Shallow::Vhlo(attribute) => context.vhlo_attribute(attribute, id),
            Shallow::Sdy => Ok(Attribute::Sharding(sdy::attribute(context, id)?)),
            Shallow::Text(text) => Ok(text_attribute(text)),
            Shallow::Unknown(dialect, length) => Ok(Attribute::Opaque(format!("#{dialect}<{length} bytes>"))),
        })
    }

    /// A dictionary attribute.
    pub fn dictionary(&mut self, id: AttributeId) -> Result<Attributes, ReadError> {
        let mut named = Vec::new();
        for (name, value) in self.entries(id)? {
            named.push((name, self.attribute(value)?));
        }
        Ok(Attributes(named))
    }

    /// The names and values of a dictionary attribute.
    pub fn entries(&mut self, id: AttributeId) -> Result<Vec<(String, AttributeId)>, ReadError> {
        let entries = match self.shallow(id)? {
            Shallow::Builtin(BuiltinAttribute::Dictionary(entries))
            | Shallow::Vhlo(VhloAttribute::Dictionary(entries)) => entries,
            other => {
                let message = format!("expected a dictionary, came {other:?}");
                return Err(ReadError::malformed(self.attribute_offset(id), message));
            }
        };
        let mut named = Vec::with_capacity(entries.len());
        for (name, value) in entries {
            named.push((self.string(name)?.to_owned(), value));
        }
        Ok(named)
    }

    /// The path of a symbol attribute.
    pub fn symbol(&mut self, id: AttributeId) -> Result<Vec<String>, ReadError> {
        let offset = self.attribute_offset(id);
        let error = |what: &str| ReadError::malformed(offset, format!("expected a symbol, came {what}"));
        match self.shallow(id)? {
            Shallow::Builtin(BuiltinAttribute::Symbol(root, nested)) => {
                let mut path = vec![self.string(root)?.to_owned()];
                for part in nested {
                    path.extend(self.nested(|context| context.symbol(part))?);
                }
                Ok(path)
            }
            Shallow::Text(text) => match TextAttribute::parse(text) {
                TextAttribute::Symbol(name) => Ok(vec![name.to_owned()]),
                _ => Err(error(text)),
            },
            other => Err(error(&format!("{other:?}"))),
        }
    }

    fn all_attributes(&mut self, ids: &[AttributeId]) -> Result<Vec<Attribute>, ReadError> {
        ids.iter().map(|&id| self.attribute(id)).collect()
    }

    fn integer(&mut self, ty: TypeId, value: i128) -> Result<Attribute, ReadError> {
        Ok(match self.scalar_type(ty)? {
            ElementType::Bool => Attribute::Bool(value != 0),
            element => Attribute::Integer(value, element),
        })
    }

    fn float(&mut self, ty: TypeId, bits: u64) -> Result<Attribute, ReadError> {
        let element = self.scalar_type(ty)?;
        match float_value(element, bits) {
            Some(value) => Ok(Attribute::Float(value, element)),
            None => Err(ReadError::malformed(self.type_offset(ty), format!("a float attribute of type {element}"))),
        }
    }

    fn builtin_attribute(&mut self, attribute: BuiltinAttribute<'_>, id: AttributeId) -> Result<Attribute, ReadError> {
        let offset = self.attribute_offset(id);
        Ok(match attribute {
            BuiltinAttribute::Array(items) => Attribute::Array(self.all_attributes(&items)?),
            BuiltinAttribute::Dictionary(_) => Attribute::Dictionary(self.dictionary(id)?.0),
            BuiltinAttribute::String(bytes) => string(bytes),
            BuiltinAttribute::Symbol(..) => Attribute::Symbol(self.symbol(id)?),
            BuiltinAttribute::Type(ty) => Attribute::Type(self.ty(ty)?),
            BuiltinAttribute::Unit => Attribute::Unit,
            BuiltinAttribute::Integer(ty, value) => self.integer(ty, value)?,
            BuiltinAttribute::Float(ty, bits) => self.float(ty, bits)?,
            BuiltinAttribute::CallSite(..)
            | BuiltinAttribute::File(..)
            | BuiltinAttribute::Fused(_)
            | BuiltinAttribute::Name(..)
            | BuiltinAttribute::UnknownLocation => Attribute::Opaque(format!("loc({})", self.location(id))),
            BuiltinAttribute::Resource(ty, resource) => match resource.blob {
                Some(blob) => Attribute::Dense(self.dense(ty, blob, offset)?),
                None => {
                    let key = String::from_utf8_lossy(resource.key);
                    return Err(ReadError::malformed(offset, format!("resource {key:?} has no data")));
                }
            },
            BuiltinAttribute::DenseArray(ty, count, data) => self.dense_array(ty, count, data, offset)?,
            BuiltinAttribute::DenseElements(ty, data) => Attribute::Dense(self.dense(ty, data, offset)?),
            BuiltinAttribute::Other(name) => Attribute::Opaque(name.to_owned()),
        })
    }

    fn dense_array(&mut self, ty: TypeId, count: usize, data: &[u8], offset: usize) -> Result<Attribute, ReadError> {
        let element = self.scalar_type(ty)?;
        let width = element.bytes();
        if count.checked_mul(width) != Some(data.len()) {
            let message = format!("{} bytes for an array of {count} {element}", data.len());
            return Err(ReadError::malformed(offset, message));
        }
        self.charge(count)?;
        let bits = data.chunks_exact(width).map(|chunk| {
            let mut wide = [0u8; 16];
            wide[..width].copy_from_slice(chunk);
            u128::from_le_bytes(wide)
        });
        if element.is_integer() || element == ElementType::Bool {
            let unused = 128 - 8 * width as u32;
            let value = |bits: u128| {
                if element.is_signed_integer() { ((bits as i128) << unused >> unused) as i64 } else { bits as i64 }
            };
            return Ok(Attribute::Integers(bits.map(value).collect()));
        }
        let floats: Option<Vec<f64>> = bits.map(|bits| float_value(element, bits as u64)).collect();
        floats.map(Attribute::Floats).ok_or_else(|| ReadError::malformed(offset, format!("an array of {element}")))
    }

    fn vhlo_attribute(&mut self, attribute: VhloAttribute<'_>, id: AttributeId) -> Result<Attribute, ReadError> {
        let offset = self.attribute_offset(id);
        Ok(match attribute {
            VhloAttribute::Array(items) => Attribute::Array(self.all_attributes(&items)?),
            VhloAttribute::Bool(value) => Attribute::Bool(value),
            VhloAttribute::Dictionary(_) => Attribute::Dictionary(self.dictionary(id)?.0),
            VhloAttribute::Enum(kind, value) => Attribute::Enum(kind.case(value).unwrap_or("?").to_owned()),
            VhloAttribute::Float(ty, bits) => self.float(ty, bits)?,
            VhloAttribute::Integer(ty, value) => self.integer(ty, value)?,
            VhloAttribute::OutputOperandAlias { .. } => Attribute::Opaque(format!("{attribute:?}")),
            VhloAttribute::String(bytes) => string(bytes),
            VhloAttribute::Tensor(ty, data) => Attribute::Dense(self.dense(ty, data, offset)?),
            VhloAttribute::Type(ty) => Attribute::Type(self.ty(ty)?),
            VhloAttribute::TypeExtensions(bounds) => Attribute::Integers(bounds),
            VhloAttribute::ResultAccuracy { atol, rtol, ulps, mode } => Attribute::Dictionary(vec![
                ("atol".into(), Attribute::Float(atol, ElementType::F64)),
                ("rtol".into(), Attribute::Float(rtol, ElementType::F64)),
                ("ulps".into(), Attribute::Integer(ulps.into(), ElementType::I64)),
                ("mode".into(), self.attribute(mode)?),
            ]),
        })
    }
}

/// A string; bytes that are no text stay opaque.
fn string(bytes: &[u8]) -> Attribute {
    match std::str::from_utf8(bytes) {
        Ok(text) => Attribute::String(text.to_owned()),
        Err(_) => Attribute::Opaque(format!("string of {} bytes that are not UTF-8", bytes.len())),
    }
}

fn text_attribute(text: &str) -> Attribute {
    let element = |name: &str| match name {
        "i8" | "si8" => Some(ElementType::I8),
        "i16" | "si16" => Some(ElementType::I16),
        "i32" | "si32" => Some(ElementType::I32),
        "i64" | "si64" | "index" => Some(ElementType::I64),
        "ui8" => Some(ElementType::U8),
        "ui16" => Some(ElementType::U16),
        "ui32" => Some(ElementType::U32),
        "ui64" => Some(ElementType::U64),
        "f32" => Some(ElementType::F32),
        "f64" => Some(ElementType::F64),
        _ => None,
    };
    let parsed = match TextAttribute::parse(text) {
        TextAttribute::Unit => Some(Attribute::Unit),
        TextAttribute::Bool(value) => Some(Attribute::Bool(value)),
        TextAttribute::Integer(value, ty) => element(ty).map(|element| Attribute::Integer(value, element)),
        TextAttribute::Float(value, ty) => element(ty).map(|element| Attribute::Float(value, element)),
        TextAttribute::String(text) => Some(Attribute::String(text)),
        TextAttribute::Symbol(name) => Some(Attribute::Symbol(vec![name.to_owned()])),
        TextAttribute::Other(_) => None,
    };
    parsed.unwrap_or_else(|| Attribute::Opaque(text.to_owned()))
}
