//! Control flow, calls, tuples and tokens.
#![forbid(unsafe_code)]

use super::{ANY, Count, EnumKind, Failure, Field, Fields, Form, ONE, SOME, TWO, form, with_regions};
use crate::program::{Attribute, Attributes, CustomCall, CustomCallApiVersion, ElementType, OpKind};

const NONE: Count = Count::Exactly(0);

/// Layouts: a list of minor-to-major lists, each a tensor of index.
fn layouts(fields: &mut Fields<'_>, name: &str) -> Result<Vec<Vec<i64>>, Failure> {
    let mut layouts = Vec::new();
    for id in fields.array(name)? {
        let Field::Tensor(literal) = fields.source.field(id)? else {
            return Err(format!("attribute {name}: expected tensors of index").into());
        };
        if literal.ty.element != ElementType::I64 || literal.ty.rank() != 1 {
            return Err(format!("attribute {name}: expected tensors of index, came {}", literal.ty).into());
        }
        layouts.push(fields.source.integers_of(&literal)?);
    }
    Ok(layouts)
}

fn custom_call(fields: &mut Fields<'_>) -> Result<CustomCall, Failure> {
    use CustomCallApiVersion::*;
    let (config, field) = fields.open("backend_config")?;
    let (backend_config, backend_attributes) = match field {
        Field::Dictionary => match fields.source.attribute(config)? {
            Attribute::Dictionary(entries) => (String::new(), Attributes(entries)),
            other => return Err(format!("attribute backend_config: expected a dictionary, came {other}").into()),
        },
        Field::String(bytes) => match String::from_utf8(bytes) {
            Ok(text) => (text, Attributes::default()),
            Err(_) => return Err(Failure::Unsupported("attribute backend_config is no text".into())),
        },
        _ => return Err("attribute backend_config: expected a string or a dictionary".to_owned().into()),
    };
    let called_computations = fields.strings("called_computations")?;
    let mut output_operand_aliases = Vec::new();
    for id in fields.array("output_operand_aliases")? {
        match fields.source.field(id)? {
            Field::Alias(output_tuple_indices, operand_index, operand_tuple_indices) => {
                output_operand_aliases.push((output_tuple_indices, operand_index, operand_tuple_indices));
            }
            _ => return Err("attribute output_operand_aliases: expected aliases".to_owned().into()),
        }
    }
    Ok(CustomCall {
        call_target_name: fields.string("call_target_name")?,
        has_side_effect: fields.boolean("has_side_effect")?,
        backend_config,
        backend_attributes,
        api_version: fields.case(
            "api_version",
            EnumKind::CustomCallApiVersion,
            &[Unspecified, Original, StatusReturning, StatusReturningUnified, TypedFfi],
        )?,
        called_computations,
        operand_layouts: layouts(fields, "operand_layouts")?,
        result_layouts: layouts(fields, "result_layouts")?,
        output_operand_aliases,
    })
}

const COMPOSITE: &[&str] = &["composite_attributes", "decomposition", "name", "version"];

fn composite(fields: &mut Fields<'_>) -> Result<OpKind, Failure> {
    Ok(OpKind::Composite {
        name: fields.string("name")?,
        composite_attributes: fields.dictionary("composite_attributes")?,
        decomposition: fields.string("decomposition")?,
        version: fields.integer("version")?,
    })
}

pub(super) const FORMS: &[Form] = &[
    with_regions("while_v1", ANY, ANY, TWO, &[], |_| Ok(OpKind::While)),
    with_regions("if_v1", ONE, ANY, TWO, &[], |_| Ok(OpKind::If)),
    with_regions("case_v1", ONE, ANY, SOME, &[], |_| Ok(OpKind::Case)),
    form("call_v1", ANY, ANY, &["callee"], |fields| Ok(OpKind::Call { callee: fields.string("callee")? })),
    form("composite_v1", ANY, ANY, COMPOSITE, composite),
    with_regions("composite_v2", ANY, ANY, ANY, COMPOSITE, composite),
    form(
        "custom_call_v1",
        ANY,
        ANY,
        &[
            "api_version",
            "backend_config",
            "call_target_name",
            "called_computations",
            "has_side_effect",
            "operand_layouts",
            "output_operand_aliases",
            "result_layouts",
        ],
        |fields| Ok(OpKind::CustomCall(custom_call(fields)?)),
    ),
    form("tuple_v1", ANY, ONE, &[], |_| Ok(OpKind::Tuple)),
    form("get_tuple_element_v1", ONE, ONE, &["index"], |fields| {
        Ok(OpKind::GetTupleElement { index: fields.natural("index")? })
    }),
    form("after_all_v1", ANY, ONE, &[], |_| Ok(OpKind::AfterAll)),
    form("create_token_v1", NONE, ONE, &[], |_| Ok(OpKind::CreateToken)),
    form("optimization_barrier_v1", ANY, ANY, &[], |_| Ok(OpKind::OptimizationBarrier)),
];
