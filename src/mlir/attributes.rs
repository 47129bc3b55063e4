//! Attributes.
#![forbid(unsafe_code)]

use stablehlo_c::melior::ir;
use stablehlo_c::{AttributeView, Elements, attribute_text, view_attribute};

use super::types::{Types, dense_type, element_type};
use crate::program::{Attribute, ElementType, Literal};
use crate::stablehlo::ReadError;
use crate::stablehlo::shared::{Foreign, literal};

/// Attributes nested deeper than this are refused.
const DEEPEST: usize = 64;

/// The attribute with all that it is made of. Nothing is dropped: what has no form of its own stays text.
pub(super) fn attribute(
    attribute: ir::Attribute<'_>,
    types: &mut Types,
    foreign: &Foreign,
) -> Result<Attribute, ReadError> {
    nested(attribute, types, foreign, 0)
}

fn nested(
    attribute: ir::Attribute<'_>,
    types: &mut Types,
    foreign: &Foreign,
    depth: usize,
) -> Result<Attribute, ReadError> {
    if depth == DEEPEST {
        return Err(ReadError::malformed(0, format!("attributes are nested more than {DEEPEST} deep")));
    }
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Ok(match view_attribute(attribute) {
        AttributeView::Unit => Attribute::Unit,
        AttributeView::Bool(value) => Attribute::Bool(value),
        AttributeView::Integer(ty, value) => Attribute::Integer(value, element_type(ty)?),
        AttributeView::Float(ty, value) => Attribute::Float(value, element_type(ty)?),
        AttributeView::String(bytes) => match (foreign.attribute(bytes), std::str::from_utf8(bytes)) {
            (Some(attribute), _) => attribute.clone(),
            (None, Ok(text)) => Attribute::String(text.to_owned()),
            (None, Err(_)) => Attribute::Opaque(format!("string of {} bytes that are not UTF-8", bytes.len())),
        },
        AttributeView::Symbol(path) => Attribute::Symbol(path.into_iter().map(text).collect()),
        AttributeView::Type(ty) => Attribute::Type(types.ty(ty)?),
        AttributeView::Array(items) => {
            let mut converted = Vec::with_capacity(items.len());
            for item in items {
                converted.push(nested(item, types, foreign, depth + 1)?);
            }
            Attribute::Array(converted)
        }
        AttributeView::Dictionary(entries) => {
            let mut converted = Vec::with_capacity(entries.len());
            for (name, value) in entries {
                converted.push((text(name), nested(value, types, foreign, depth + 1)?));
            }
            Attribute::Dictionary(converted)
        }
        AttributeView::Dense(ty, elements) => Attribute::Dense(dense(ty, elements)?),
        AttributeView::Booleans(values) => Attribute::Integers(values.into_iter().map(i64::from).collect()),
        AttributeView::Integers(values) => Attribute::Integers(values),
        AttributeView::Floats(values) => Attribute::Floats(values),
        AttributeView::Enum(case) => Attribute::Enum(text(case)),
        AttributeView::Bounds(bounds) => Attribute::Integers(bounds),
        AttributeView::ResultAccuracy(atol, rtol, ulps, mode) => {
            accuracy(atol, rtol, ulps, nested(mode, types, foreign, depth + 1)?)
        }
        AttributeView::Numbers(_) | AttributeView::Alias(..) | AttributeView::DotAlgorithm { .. } => {
            Attribute::Opaque(attribute_text(attribute))
        }
        AttributeView::Other(text) => Attribute::Opaque(text),
    })
}

/// A result accuracy as the program holds it.
pub(super) fn accuracy(atol: f64, rtol: f64, ulps: i64, mode: Attribute) -> Attribute {
    Attribute::Dictionary(vec![
        ("atol".into(), Attribute::Float(atol, ElementType::F64)),
        ("rtol".into(), Attribute::Float(rtol, ElementType::F64)),
        ("ulps".into(), Attribute::Integer(ulps.into(), ElementType::I64)),
        ("mode".into(), mode),
    ])
}

/// The literal of dense elements.
fn dense(ty: ir::Type<'_>, elements: Elements) -> Result<Literal, ReadError> {
    let ty = dense_type(ty)?;
    match elements {
        Elements::Each(data) if ty.element == ElementType::Bool => Ok(Literal { ty, data, splat: false }),
        Elements::Splat(data) if ty.element == ElementType::Bool => Ok(Literal { ty, data, splat: true }),
        Elements::Each(data) | Elements::Splat(data) => literal(ty, &data, 0),
    }
}
