//! The attributes of StableHLO's ops under the names that the tables of op forms have for them, which are VHLO's
//! (openxla/stablehlo, stablehlo/transforms/StablehloLegalizeToVhlo.cpp): some attributes come in parts there, and
//! those that StableHLO leaves out have their default values.
#![forbid(unsafe_code)]

use stablehlo_c::melior::ir;
use stablehlo_c::{AttributeView, Number, view_attribute};

use super::attributes::attribute;
use super::source::{Value, Values};
use super::types::Types;
use crate::program::{Attribute, ElementType, Literal, TensorType};
use crate::stablehlo::shared::{AttributeId, EnumKind, Failure, Field, Foreign, Form, Source};

/// Inherent attributes by name.
pub(super) type Inherent = Vec<(&'static str, AttributeId)>;

/// The name as the form has it, None when the form has no attribute of that name.
pub(super) fn known(form: &[&'static str], name: &str) -> Option<&'static str> {
    form.iter().map(|each| each.trim_end_matches('?')).find(|each| *each == name)
}

/// The parts of a dot algorithm, types first.
const ALGORITHM: [&str; 7] = [
    "lhs_precision_type",
    "rhs_precision_type",
    "accumulation_type",
    "lhs_component_count",
    "rhs_component_count",
    "num_primitive_operations",
    "allow_imprecise_accumulation",
];

/// Attributes that come in parts, and the op's own that are written differently. None when this is not one of the
/// form's attributes.
pub(super) fn inherent(
    form: &Form,
    name: &str,
    value: ir::Attribute<'_>,
    values: &mut Values,
    types: &mut Types,
    foreign: &Foreign,
) -> Result<Option<Inherent>, Failure> {
    let has = |name: &str| known(form.attributes, name);
    let view = view_attribute(value);
    match view {
        AttributeView::Numbers(parts) if parts.iter().any(|(part, _)| has(part).is_some()) => {
            // Collectives have a channel without a type.
            let parts = parts.into_iter().filter_map(|(part, number)| Some((has(part)?, number)));
            let number = |number| match number {
                Number::One(value) => Field::Integer(value.into()),
                Number::Many(values) => Field::Tensor(integers(vec![values.len() as i64], &values)),
            };
            return Ok(Some(parts.map(|(part, each)| (part, values.add(Value::Field(number(each))))).collect()));
        }
        AttributeView::DotAlgorithm { types: precisions, counts, allow_imprecise_accumulation }
            if name == "algorithm" && has(ALGORITHM[0]).is_some() =>
        {
            let mut fields = Vec::with_capacity(ALGORITHM.len());
            for ty in precisions {
                fields.push(Field::Type(types.ty(ty)?));
            }
            fields.extend(counts.map(|count| Field::Integer(count.into())));
            fields.push(Field::Bool(allow_imprecise_accumulation));
            let parts = ALGORITHM.into_iter().zip(fields);
            return Ok(Some(parts.map(|(part, field)| (part, values.add(Value::Field(field)))).collect()));
        }
        _ => {}
    }
    let Some(name) = has(name) else { return Ok(None) };
    let converted = match view {
        AttributeView::Unit if name == "use_global_device_ids" => Value::Field(Field::Bool(true)),
        AttributeView::Integer(_, version) if name == "api_version" => match u64::try_from(version) {
            Ok(version) => Value::Field(Field::Case(EnumKind::CustomCallApiVersion, version)),
            Err(_) => return Err(format!("attribute {name}: {version}").into()),
        },
        AttributeView::Array(items) if name == "output_operand_aliases" => {
            let mut aliases = Vec::with_capacity(items.len());
            for item in items {
                let AttributeView::Alias(outputs, operand, indices) = view_attribute(item) else {
                    return Err("attribute output_operand_aliases: expected aliases".to_owned().into());
                };
                aliases.push(values.add(Value::Field(Field::Alias(outputs, operand, indices))));
            }
            Value::Field(Field::Array(aliases))
        }
        AttributeView::Integers(items) => Value::Field(Field::Tensor(integers(vec![items.len() as i64], &items))),
        AttributeView::Booleans(items) => Value::Field(Field::Tensor(booleans(&items))),
        AttributeView::ResultAccuracy(atol, rtol, ulps, mode) => {
            let mode = Value::Attribute(attribute(mode, types, foreign)?);
            let mode = values.add(mode);
            Value::Field(Field::ResultAccuracy(atol, rtol, ulps, mode))
        }
        AttributeView::Other(text) => return Err(Failure::Unsupported(format!("attribute {name}: {text}"))),
        _ => Value::Attribute(attribute(value, types, foreign)?),
    };
    Ok(Some(vec![(name, values.add(converted))]))
}

fn integers(shape: Vec<i64>, values: &[i64]) -> Literal {
    let data = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    Literal { ty: TensorType::new(ElementType::I64, shape), data, splat: false }
}

fn booleans(values: &[bool]) -> Literal {
    let data = values.iter().map(|&value| u8::from(value)).collect();
    Literal { ty: TensorType::new(ElementType::Bool, [values.len() as i64]), data, splat: false }
}

/// What an attribute is where StableHLO leaves it out.
enum Default {
    Bool(bool),
    Integer(i64),
    /// An empty string, list or dictionary.
    NoString,
    NoArray,
    NoDictionary,
    /// No integers.
    NoIntegers,
    /// One integer for each of the dimensions that another attribute lists.
    Each(i64),
    /// A pair of zeros for each.
    NoPadding,
    /// False for each.
    NoReversal,
    /// The type `none`.
    NoType,
    Case(&'static str),
    /// The default for both operands.
    Precisions,
    /// custom_call's version without a status.
    OriginalVersion,
    AnyAccuracy,
}

/// By attribute, for the forms named; for all forms that have it where none is named.
const DEFAULTS: &[(&str, &[&str], Default)] = &[
    ("accumulation_type", &[], Default::NoType),
    ("allow_imprecise_accumulation", &[], Default::NoType),
    ("api_version", &[], Default::OriginalVersion),
    ("backend_config", &[], Default::NoString),
    ("base_dilations", &[], Default::Each(1)),
    ("called_computations", &[], Default::NoArray),
    ("channel_id", &[], Default::Integer(0)),
    ("compare_type", &[], Default::Case("NOTYPE")),
    ("composite_attributes", &[], Default::NoDictionary),
    ("dimension", &["sort_v1"], Default::Integer(-1)),
    ("has_side_effect", &[], Default::Bool(false)),
    ("indices_are_sorted", &[], Default::Bool(false)),
    ("infeed_config", &[], Default::NoString),
    ("is_host_transfer", &[], Default::Bool(false)),
    ("is_stable", &[], Default::Bool(false)),
    ("known_expanding_dimensions", &[], Default::NoIntegers),
    ("known_nonexpanding_dimensions", &[], Default::NoIntegers),
    ("layout", &[], Default::NoArray),
    ("lhs_component_count", &[], Default::NoType),
    ("lhs_dilation", &[], Default::Each(1)),
    ("lhs_precision_type", &[], Default::NoType),
    ("lower", &["cholesky_v1"], Default::Bool(false)),
    ("num_primitive_operations", &[], Default::NoType),
    ("operand_layouts", &[], Default::NoArray),
    ("outfeed_config", &[], Default::NoString),
    ("output_operand_aliases", &[], Default::NoArray),
    ("padding", &[], Default::NoPadding),
    ("precision_config", &[], Default::Precisions),
    ("result_accuracy", &[], Default::AnyAccuracy),
    ("result_layouts", &[], Default::NoArray),
    ("rhs_component_count", &[], Default::NoType),
    ("rhs_dilation", &[], Default::Each(1)),
    ("rhs_precision_type", &[], Default::NoType),
    ("source_target_pairs", &["recv_v2", "send_v2"], Default::NoIntegers),
    ("unique_indices", &[], Default::Bool(false)),
    ("use_global_device_ids", &[], Default::Bool(false)),
    ("version", &["composite_v2"], Default::Integer(0)),
    ("window_dilations", &[], Default::Each(1)),
    ("window_reversal", &[], Default::NoReversal),
    ("window_strides", &[], Default::Each(1)),
];

/// Adds what StableHLO leaves out. What has no default is left to the form, which names it.
pub(super) fn add_defaults(form: &Form, inherent: &mut Inherent, values: &mut Values) -> Result<(), Failure> {
    // Convolutions and windows have their dimensions from these.
    let mut dimensions = 0;
    for name in ["input_spatial_dimensions", "window_dimensions"] {
        if let Some(&(_, id)) = inherent.iter().find(|(each, _)| *each == name)
            && let Field::Tensor(literal) = values.field(id)?
        {
            dimensions = literal.ty.elements();
        }
    }
    for name in form.attributes {
        if inherent.iter().any(|(each, _)| each == name) {
            continue;
        }
        let row =
            DEFAULTS.iter().find(|(each, forms, _)| each == name && (forms.is_empty() || forms.contains(&form.name)));
        let Some((_, _, default)) = row else { continue };
        let value = match default {
            Default::Bool(value) => Value::Field(Field::Bool(*value)),
            Default::Integer(value) => Value::Field(Field::Integer((*value).into())),
            Default::NoString => Value::Attribute(Attribute::String(String::new())),
            Default::NoArray => Value::Attribute(Attribute::Array(Vec::new())),
            Default::NoDictionary => Value::Attribute(Attribute::Dictionary(Vec::new())),
            Default::NoIntegers => Value::Field(Field::Tensor(integers(vec![0], &[]))),
            Default::Each(value) => {
                Value::Field(Field::Tensor(integers(vec![dimensions as i64], &vec![*value; dimensions])))
            }
            Default::NoPadding => {
                Value::Field(Field::Tensor(integers(vec![dimensions as i64, 2], &vec![0; 2 * dimensions])))
            }
            Default::NoReversal => Value::Field(Field::Tensor(booleans(&vec![false; dimensions]))),
            Default::NoType => Value::Field(Field::NoType),
            Default::Case(case) => Value::Field(Field::Spelled((*case).to_owned())),
            Default::Precisions => Value::Attribute(Attribute::Array(vec![Attribute::Enum("DEFAULT".into()); 2])),
            Default::OriginalVersion => Value::Field(Field::Case(EnumKind::CustomCallApiVersion, 1)),
            Default::AnyAccuracy => {
                let mode = values.add(Value::Field(Field::Spelled("DEFAULT".to_owned())));
                Value::Field(Field::ResultAccuracy(0.0, 0.0, 0, mode))
            }
        };
        inherent.push((*name, values.add(value)));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stablehlo::shared::find_unversioned;

    #[test]
    fn defaults_are_of_attributes_that_exist() {
        let forms = ["add", "custom_call", "convolution", "sort", "cholesky", "composite", "send", "recv"];
        for name in forms {
            assert!(find_unversioned(name).is_some(), "{name}");
        }
        for (name, forms, _) in DEFAULTS {
            for form in *forms {
                let base = form.rsplit_once("_v").expect("a version").0;
                let found = find_unversioned(base).expect("a form");
                assert!(found.name == *form && found.attributes.contains(name), "{name} of {form}");
            }
        }
        assert!(DEFAULTS.is_sorted_by_key(|(name, _, _)| name));
    }
}
