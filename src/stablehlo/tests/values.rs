//! Attributes of the program against their MLIR text.

use super::text::{entries, split};
use crate::program::{Attribute, Attributes, ElementType, Literal, TensorType};
use crate::stablehlo::literal::float_value;

/// Contents of an MLIR string literal.
fn unquote(text: &str) -> Option<Vec<u8>> {
    let inner = text.strip_prefix('"')?.strip_suffix('"')?.as_bytes();
    let mut bytes = Vec::new();
    let mut at = 0;
    while at < inner.len() {
        if inner[at] == b'\\' && inner.get(at + 1) == Some(&b'\\') {
            bytes.push(b'\\');
            at += 2;
        } else if inner[at] == b'\\' {
            bytes.push(u8::from_str_radix(std::str::from_utf8(&inner[at + 1..at + 3]).ok()?, 16).ok()?);
            at += 3;
        } else {
            bytes.push(inner[at]);
            at += 1;
        }
    }
    Some(bytes)
}

/// The type of `tensor<…>` text, its element type as text.
fn tensor_type(text: &str) -> (Vec<i64>, &str) {
    let mut inner = text.strip_prefix("tensor<").and_then(|rest| rest.strip_suffix('>')).expect("a tensor type");
    let mut shape = Vec::new();
    while let Some((size, rest)) = inner.split_once('x')
        && let Ok(size) = size.parse()
    {
        shape.push(size);
        inner = rest;
    }
    (shape, inner)
}

/// Whether one element, given as bytes, is what the text says.
fn same_element(element: ElementType, bytes: &[u8], text: &str) -> bool {
    if element.is_complex() {
        let (real, imaginary) = text.trim_matches(['(', ')']).split_once(',').expect("a pair");
        let part = if element == ElementType::C64 { ElementType::F32 } else { ElementType::F64 };
        let (low, high) = bytes.split_at(bytes.len() / 2);
        return same_element(part, low, real) && same_element(part, high, imaginary);
    }
    let mut wide = [0; 8];
    wide[..bytes.len()].copy_from_slice(bytes);
    let bits = u64::from_le_bytes(wide);
    if element == ElementType::Bool {
        return text == ["false", "true"][bits as usize];
    }
    if element.is_unsigned_integer() {
        return text == bits.to_string();
    }
    if element.is_integer() {
        let unused = 64 - 8 * bytes.len() as u32;
        return text == ((bits as i64) << unused >> unused).to_string();
    }
    if let Some(hexadecimal) = text.strip_prefix("0x") {
        return u64::from_str_radix(hexadecimal, 16) == Ok(bits);
    }
    let written: f64 = text.parse().expect("a number");
    match element {
        ElementType::F64 => written.to_bits() == bits,
        ElementType::F32 => u64::from((written as f32).to_bits()) == bits,
        ElementType::F16 => u64::from(half::f16::from_f64(written).to_bits()) == bits,
        ElementType::BF16 => u64::from(half::bf16::from_f64(written).to_bits()) == bits,
        _ => float_value(element, bits) == Some(written),
    }
}

/// Whether a literal is what `dense<…> : tensor<…>` says.
pub(super) fn same_literal(literal: &Literal, text: &str) -> bool {
    let (body, ty) = text.strip_prefix("dense<").and_then(|rest| rest.rsplit_once("> : ")).expect("dense elements");
    let (shape, element) = tensor_type(ty);
    // An index is a 64-bit integer in the program.
    let same_type =
        literal.ty.element.name() == element || element == "index" && literal.ty.element == ElementType::I64;
    if literal.ty.shape != shape || !same_type {
        return false;
    }
    let element = literal.ty.element;
    let width = element.bytes();
    if let Some(hexadecimal) = body.strip_prefix("\"0x").and_then(|rest| rest.strip_suffix('"')) {
        let bytes: Vec<u8> = (0..hexadecimal.len() / 2)
            .map(|index| u8::from_str_radix(&hexadecimal[2 * index..2 * index + 2], 16).expect("hexadecimal digits"))
            .collect();
        return bytes == literal.data;
    }
    let flat: String = body.chars().filter(|each| !"[] ".contains(*each)).collect();
    let written = split(&flat);
    if written.len() == 1 {
        // MLIR prints any constant of equal elements as a splat.
        return literal.data.chunks_exact(width).all(|bytes| same_element(element, bytes, written[0]));
    }
    !literal.splat
        && written.len() == literal.ty.elements()
        && written.iter().enumerate().all(|(index, text)| same_element(element, literal.element(index), text))
}

/// Whether integers of that shape are what `dense<…>` says.
pub(super) fn same_integers(shape: &[i64], integers: &[i64], text: &str) -> bool {
    let literal = Literal {
        ty: TensorType::new(ElementType::I64, shape),
        data: integers.iter().flat_map(|value| value.to_le_bytes()).collect(),
        splat: false,
    };
    same_literal(&literal, text)
}

fn array<'a>(text: &'a str, open: &str) -> Option<Vec<&'a str>> {
    Some(split(text.strip_prefix(open)?.strip_suffix(['>', ']'])?))
}

/// Whether an attribute is what the text says.
pub(super) fn same_attribute(attribute: &Attribute, text: &str) -> bool {
    match attribute {
        Attribute::Unit => text.is_empty() || text == "unit",
        Attribute::Bool(value) => text == value.to_string(),
        Attribute::Integer(value, ty) => {
            // An index is a 64-bit integer in the program; MLIR leaves the type i64 out inside of arrays.
            text == format!("{value} : {ty}")
                || *ty == ElementType::I64 && (text == format!("{value} : index") || text == value.to_string())
        }
        Attribute::Float(value, ty) => {
            let (number, written) = text.rsplit_once(" : ").expect("a float with its type");
            let number: f64 = number.parse().expect("a number");
            written == ty.name() && (*value - number).abs() <= 1e-6 * number.abs()
        }
        Attribute::String(string) => unquote(text).as_deref() == Some(string.as_bytes()),
        // VHLO keeps symbols as strings, so that only attributes of other ops have any.
        Attribute::Symbol(path) => text == format!("@{}", path.join("::@")),
        Attribute::Type(ty) => text == ty.to_string(),
        Attribute::Array(items) => array(text, "[").is_some_and(|written| {
            written.len() == items.len() && items.iter().zip(written).all(|(item, text)| same_attribute(item, text))
        }),
        Attribute::Dictionary(items) => {
            let Some(inner) = text.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) else { return false };
            same_named(items, &entries(inner))
        }
        Attribute::Dense(literal) => text.starts_with("dense<") && same_literal(literal, text),
        Attribute::Integers(integers) => {
            let text = text.replace("false", "0").replace("true", "1");
            let inner = text.strip_prefix("array<").and_then(|rest| rest.strip_suffix('>')).expect("an array");
            let written: Vec<i64> = inner
                .split_once(": ")
                .map_or(vec![], |(_, list)| split(list).iter().map(|each| each.parse().expect("an integer")).collect());
            written == *integers
        }
        Attribute::Floats(floats) => {
            let inner = text.strip_prefix("array<").and_then(|rest| rest.strip_suffix('>')).expect("an array");
            let written: Vec<f64> = inner
                .split_once(": ")
                .map_or(vec![], |(_, list)| split(list).iter().map(|each| each.parse().expect("a number")).collect());
            written == *floats
        }
        Attribute::Sharding(sharding) => text == sharding.to_string(),
        Attribute::Enum(_) | Attribute::Opaque(_) => false,
    }
}

/// Whether named attributes are what the text says, in any order.
pub(super) fn same_named(attributes: &[(String, Attribute)], written: &[(String, String)]) -> bool {
    attributes.len() == written.len()
        && attributes
            .iter()
            .all(|(name, attribute)| written.iter().any(|(each, text)| each == name && same_attribute(attribute, text)))
}

/// As [`same_named`], with a message.
pub(super) fn expect_named(attributes: &Attributes, written: &[(String, String)], whose: &str) {
    assert!(same_named(&attributes.0, written), "{whose}: {:?}\n  jaxlib: {written:?}", attributes.0);
}
