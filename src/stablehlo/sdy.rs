//! Shardy's attributes and ops (openxla/shardy, shardy/dialect/sdy/ir/bytecode.td, attrs.td, ops.td).
#![forbid(unsafe_code)]

use super::ReadError;
use super::bytecode::{AttributeId, BuiltinAttribute, Cursor};
use super::context::{Context, DialectKind, Shallow};
use super::vhlo::{Count, Failure, Fields, Form, with_regions};
use crate::program::sharding::{
    Attribute, AxisRef, DimensionSharding, Mesh, MeshAxis, MeshOrRef, ReductionOp, TensorSharding,
};
use crate::program::{self, OpKind};

const NONE: Count = Count::Exactly(0);
const ONE: Count = Count::Exactly(1);
const ANY: Count = Count::AtLeast(0);

/// Codes of the attributes' encodings.
mod code {
    pub const MANUAL_AXES: u64 = 0;
    pub const MESH_AXIS: u64 = 1;
    pub const MESH: u64 = 2;
    pub const SUB_AXIS_INFO: u64 = 3;
    pub const AXIS_REF: u64 = 4;
    pub const DIMENSION_SHARDING: u64 = 5;
    pub const TENSOR_SHARDING_V1: u64 = 6;
    pub const TENSOR_SHARDING_PER_VALUE_V1: u64 = 7;
    pub const DIM_MAPPING: u64 = 8;
    pub const TENSOR_MAPPING: u64 = 9;
    pub const OP_SHARDING_RULE: u64 = 10;
    pub const AXIS_REF_LIST: u64 = 11;
    pub const LIST_OF_AXIS_REF_LISTS: u64 = 12;
    pub const ALL_TO_ALL_PARAM: u64 = 13;
    pub const ALL_TO_ALL_PARAM_LIST: u64 = 14;
    pub const TENSOR_SHARDING_V2: u64 = 15;
    pub const TENSOR_SHARDING_PER_VALUE_V2: u64 = 16;
    pub const TENSOR_SHARDING_V3: u64 = 17;
}

/// The attributes of `sdy.mesh`.
pub(super) const MESH_ATTRIBUTES: &[&str] = &["mesh", "sym_name"];

/// Opens an attribute of Shardy: its code, and what follows it.
fn open<'a>(context: &mut Context<'a>, id: AttributeId) -> Result<(u64, Cursor<'a>), ReadError> {
    let entry = context.module.attribute(id);
    if !entry.is_custom || context.dialect(entry.dialect) != DialectKind::Sdy {
        return Err(ReadError::malformed(entry.contents.offset(), "expected an attribute of Shardy"));
    }
    context.charge(1 + entry.contents.remaining())?;
    let mut cursor = entry.contents.clone();
    let code = cursor.varint()?;
    Ok((code, cursor))
}

fn wrong(cursor: &Cursor<'_>, expected: &str, code: u64) -> ReadError {
    cursor.error(format!("expected Shardy's {expected}, came its attribute of kind {code}"))
}

/// A list of attributes, each made by `make`.
fn list<'a, T>(
    context: &mut Context<'a>,
    cursor: &mut Cursor<'a>,
    mut make: impl FnMut(&mut Context<'a>, AttributeId) -> Result<T, ReadError>,
) -> Result<Vec<T>, ReadError> {
    let module = context.module;
    let ids = cursor.list(|cursor| module.attribute_id(cursor))?;
    ids.into_iter().map(|id| context.nested(|context| make(context, id))).collect()
}

fn text<'a>(context: &Context<'a>, cursor: &mut Cursor<'a>) -> Result<String, ReadError> {
    let bytes = context.module.string(cursor)?;
    Ok(super::bytecode::utf8(bytes, cursor.offset(), "name of an axis")?.to_owned())
}

fn mesh_axis(context: &mut Context<'_>, id: AttributeId) -> Result<MeshAxis, ReadError> {
    let (code, mut cursor) = open(context, id)?;
    if code != code::MESH_AXIS {
        return Err(wrong(&cursor, "mesh_axis", code));
    }
    let axis = MeshAxis { name: text(context, &mut cursor)?, size: cursor.signed_varint()? };
    cursor.finish("a mesh axis")?;
    if axis.size <= 0 {
        return Err(cursor.error(format!("axis {:?} of size {}", axis.name, axis.size)));
    }
    Ok(axis)
}

/// `#sdy.mesh`.
pub(super) fn mesh(context: &mut Context<'_>, id: AttributeId) -> Result<Mesh, ReadError> {
    let (code, mut cursor) = open(context, id)?;
    if code != code::MESH {
        return Err(wrong(&cursor, "mesh", code));
    }
    let mesh = Mesh { axes: list(context, &mut cursor, mesh_axis)?, device_ids: cursor.signed_varints()? };
    cursor.finish("a mesh")?;
    Ok(mesh)
}

fn sub_axis(context: &mut Context<'_>, id: AttributeId) -> Result<(i64, i64), ReadError> {
    let (code, mut cursor) = open(context, id)?;
    if code != code::SUB_AXIS_INFO {
        return Err(wrong(&cursor, "sub_axis_info", code));
    }
    let part = (cursor.signed_varint()?, cursor.signed_varint()?);
    cursor.finish("a sub-axis")?;
    Ok(part)
}

fn axis_ref(context: &mut Context<'_>, id: AttributeId) -> Result<AxisRef, ReadError> {
    let (code, mut cursor) = open(context, id)?;
    if code != code::AXIS_REF {
        return Err(wrong(&cursor, "axis_ref", code));
    }
    let name = text(context, &mut cursor)?;
    let sub_axis = match context.module.optional_attribute_id(&mut cursor)? {
        Some(part) => Some(context.nested(|context| sub_axis(context, part))?),
        None => None,
    };
    cursor.finish("an axis reference")?;
    Ok(AxisRef { name, sub_axis })
}

fn dimension_sharding(context: &mut Context<'_>, id: AttributeId) -> Result<DimensionSharding, ReadError> {
    let (code, mut cursor) = open(context, id)?;
    if code != code::DIMENSION_SHARDING {
        return Err(wrong(&cursor, "dimension_sharding", code));
    }
    let axes = list(context, &mut cursor, axis_ref)?;
    let is_closed = cursor.byte()? != 0;
    let (priority, has_priority) = cursor.varint_with_flag()?;
    let priority = i64::try_from(priority).map_err(|_| cursor.error("a priority is too large"))?;
    cursor.finish("a dimension sharding")?;
    Ok(DimensionSharding { axes, is_closed, priority: has_priority.then_some(priority) })
}

fn mesh_or_ref(context: &mut Context<'_>, id: AttributeId) -> Result<MeshOrRef, ReadError> {
    if let Shallow::Sdy = context.shallow(id)? {
        return Ok(MeshOrRef::Inline(mesh(context, id)?));
    }
    let mut path = context.symbol(id)?;
    match (path.pop(), path.is_empty()) {
        (Some(name), true) => Ok(MeshOrRef::Symbol(name)),
        _ => Err(ReadError::malformed(context.attribute_offset(id), "a mesh is named by a nested symbol")),
    }
}

/// `#sdy.sharding`.
pub(super) fn tensor_sharding(context: &mut Context<'_>, id: AttributeId) -> Result<TensorSharding, ReadError> {
    let (code, mut cursor) = open(context, id)?;
    if ![code::TENSOR_SHARDING_V1, code::TENSOR_SHARDING_V2, code::TENSOR_SHARDING_V3].contains(&code) {
        return Err(wrong(&cursor, "sharding", code));
    }
    let mesh = context.module.attribute_id(&mut cursor)?;
    let mut sharding = TensorSharding {
        mesh: context.nested(|context| mesh_or_ref(context, mesh))?,
        dimensions: list(context, &mut cursor, dimension_sharding)?,
        replicated_axes: list(context, &mut cursor, axis_ref)?,
        unreduced_axes: Vec::new(),
        reduction_op: ReductionOp::Sum,
    };
    if code != code::TENSOR_SHARDING_V1 {
        sharding.unreduced_axes = list(context, &mut cursor, axis_ref)?;
    }
    if code == code::TENSOR_SHARDING_V3 {
        sharding.reduction_op = match cursor.signed_varint()? {
            0 => ReductionOp::Sum,
            1 => ReductionOp::Max,
            2 => ReductionOp::Min,
            other => return Err(cursor.error(format!("unknown reduction op {other}"))),
        };
    }
    cursor.finish("a sharding")?;
    Ok(sharding)
}

/// `#sdy.sharding_per_value`.
fn sharding_per_value(context: &mut Context<'_>, id: AttributeId) -> Result<Vec<TensorSharding>, ReadError> {
    let (code, mut cursor) = open(context, id)?;
    if ![code::TENSOR_SHARDING_PER_VALUE_V1, code::TENSOR_SHARDING_PER_VALUE_V2].contains(&code) {
        return Err(wrong(&cursor, "sharding_per_value", code));
    }
    let shardings = list(context, &mut cursor, tensor_sharding)?;
    cursor.finish("shardings per value")?;
    Ok(shardings)
}

/// `#sdy<manual_axes>`.
fn manual_axes(context: &mut Context<'_>, id: AttributeId) -> Result<Vec<String>, ReadError> {
    let (code, mut cursor) = open(context, id)?;
    if code != code::MANUAL_AXES {
        return Err(wrong(&cursor, "manual_axes", code));
    }
    let names = list(context, &mut cursor, |context, id| Ok(context.string(id)?.to_owned()))?;
    cursor.finish("manual axes")?;
    Ok(names)
}

fn dim_mapping(context: &mut Context<'_>, id: AttributeId) -> Result<Vec<i64>, ReadError> {
    let (code, mut cursor) = open(context, id)?;
    if code != code::DIM_MAPPING {
        return Err(wrong(&cursor, "dim_mapping", code));
    }
    let factors = cursor.signed_varints()?;
    cursor.finish("a dimension mapping")?;
    Ok(factors)
}

fn tensor_mapping(context: &mut Context<'_>, id: AttributeId) -> Result<Vec<Vec<i64>>, ReadError> {
    let (code, mut cursor) = open(context, id)?;
    if code != code::TENSOR_MAPPING {
        return Err(wrong(&cursor, "tensor_mapping", code));
    }
    let dimensions = list(context, &mut cursor, dim_mapping)?;
    cursor.finish("a tensor mapping")?;
    Ok(dimensions)
}

/// An op sharding rule as Shardy's own text: rules only guide propagation.
fn op_sharding_rule<'a>(context: &mut Context<'a>, mut cursor: Cursor<'a>) -> Result<String, ReadError> {
    let sizes = cursor.signed_varints()?;
    let mappings = [list(context, &mut cursor, tensor_mapping)?, list(context, &mut cursor, tensor_mapping)?];
    let reduction = cursor.signed_varints()?;
    let need_replication = cursor.signed_varints()?;
    let permutation = cursor.signed_varints()?;
    let blocked_propagation = cursor.signed_varints()?;
    let is_custom = cursor.byte()? != 0;
    cursor.finish("an op sharding rule")?;
    let side = |mappings: &[Vec<Vec<i64>>]| {
        let tensors: Vec<String> = mappings
            .iter()
            .map(|dimensions| {
                let dimensions: Vec<String> =
                    dimensions.iter().map(|factors| factors.iter().map(|&factor| symbol(factor)).collect()).collect();
                format!("[{}]", dimensions.join(", "))
            })
            .collect();
        tensors.join(", ")
    };
    let mut text = format!("({})->({})", side(&mappings[0]), side(&mappings[1]));
    if !sizes.is_empty() {
        let sizes: Vec<String> =
            sizes.iter().zip(0..).map(|(size, factor)| format!("{}={size}", symbol(factor))).collect();
        text.push_str(&format!(" {{{}}}", sizes.join(", ")));
    }
    for (name, factors) in [
        ("reduction", reduction),
        ("need_replication", need_replication),
        ("permutation", permutation),
        ("blocked_propagation", blocked_propagation),
    ] {
        if !factors.is_empty() {
            let factors: Vec<String> = factors.iter().map(|&factor| symbol(factor)).collect();
            text.push_str(&format!(" {name}={{{}}}", factors.join(", ")));
        }
    }
    if is_custom {
        text.push_str(", custom");
    }
    Ok(text)
}

/// Shardy's name of a factor: i to z, then z_1 and so on.
fn symbol(factor: i64) -> String {
    const AT_Z: i64 = 17;
    match u8::try_from(factor) {
        Ok(small) if factor <= AT_Z => char::from(b'i' + small).to_string(),
        _ => format!("z_{}", factor.saturating_sub(AT_Z)),
    }
}

fn axis_ref_list(context: &mut Context<'_>, id: AttributeId) -> Result<Vec<AxisRef>, ReadError> {
    let (code, mut cursor) = open(context, id)?;
    if code != code::AXIS_REF_LIST {
        return Err(wrong(&cursor, "axis_ref_list", code));
    }
    let axes = list(context, &mut cursor, axis_ref)?;
    cursor.finish("a list of axes")?;
    Ok(axes)
}

/// Axes in braces.
fn braces(axes: &[AxisRef]) -> String {
    let axes: Vec<String> = axes.iter().map(AxisRef::to_string).collect();
    format!("{{{}}}", axes.join(", "))
}

/// The fields of one all-to-all parameter as text.
fn all_to_all_param(context: &mut Context<'_>, id: AttributeId) -> Result<String, ReadError> {
    let (code, mut cursor) = open(context, id)?;
    if code != code::ALL_TO_ALL_PARAM {
        return Err(wrong(&cursor, "all_to_all_param", code));
    }
    let axes = list(context, &mut cursor, axis_ref)?;
    let (from, to) = (cursor.signed_varint()?, cursor.signed_varint()?);
    cursor.finish("an all-to-all parameter")?;
    Ok(format!("{}: {from}->{to}", braces(&axes)))
}

/// Any attribute of Shardy.
pub(super) fn attribute(context: &mut Context<'_>, id: AttributeId) -> Result<Attribute, ReadError> {
    let (code, mut cursor) = open(context, id)?;
    let other = |name: &str, fields: String| Attribute::Other(name.to_owned(), fields);
    Ok(match code {
        code::MANUAL_AXES => Attribute::ManualAxes(manual_axes(context, id)?),
        code::MESH_AXIS => other("mesh_axis", mesh_axis(context, id)?.to_string()),
        code::MESH => Attribute::Mesh(mesh(context, id)?),
        code::SUB_AXIS_INFO => other("sub_axis_info", format!("{:?}", sub_axis(context, id)?)),
        code::AXIS_REF => Attribute::AxisRef(axis_ref(context, id)?),
        code::DIMENSION_SHARDING => Attribute::DimensionSharding(dimension_sharding(context, id)?),
        code::TENSOR_SHARDING_V1 | code::TENSOR_SHARDING_V2 | code::TENSOR_SHARDING_V3 => {
            Attribute::Sharding(tensor_sharding(context, id)?)
        }
        code::TENSOR_SHARDING_PER_VALUE_V1 | code::TENSOR_SHARDING_PER_VALUE_V2 => {
            Attribute::ShardingPerValue(sharding_per_value(context, id)?)
        }
        code::DIM_MAPPING => other("dim_mapping", format!("{:?}", dim_mapping(context, id)?)),
        code::TENSOR_MAPPING => other("tensor_mapping", format!("{:?}", tensor_mapping(context, id)?)),
        code::OP_SHARDING_RULE => other("op_sharding_rule", op_sharding_rule(context, cursor)?),
        code::AXIS_REF_LIST => other("axis_ref_list", braces(&axis_ref_list(context, id)?)),
        code::LIST_OF_AXIS_REF_LISTS => {
            let lists = list(context, &mut cursor, axis_ref_list)?;
            cursor.finish("lists of axes")?;
            let lists: Vec<String> = lists.iter().map(|axes| braces(axes)).collect();
            other("list_of_axis_ref_lists", format!("[{}]", lists.join(", ")))
        }
        code::ALL_TO_ALL_PARAM => other("all_to_all_param", all_to_all_param(context, id)?),
        code::ALL_TO_ALL_PARAM_LIST => {
            let parameters = list(context, &mut cursor, all_to_all_param)?;
            cursor.finish("all-to-all parameters")?;
            other("all_to_all_param_list", format!("[{}]", parameters.join(", ")))
        }
        _ => return Err(ReadError::unsupported(format!("Shardy attribute of kind {code}"))),
    })
}

/// An attribute of Shardy that an op takes.
fn take(fields: &mut Fields<'_>, name: &str) -> Result<Attribute, Failure> {
    let id = fields.take(name)?;
    match fields.source.attribute(id)? {
        program::Attribute::Sharding(attribute) => Ok(attribute),
        other => Err(format!("attribute {name}: expected an attribute of Shardy, came {other}").into()),
    }
}

/// The error for an attribute of the wrong kind.
fn other_kind<T>(name: &str, expected: &str, came: &Attribute) -> Result<T, Failure> {
    Err(format!("attribute {name}: expected Shardy's {expected}, came {came}").into())
}

fn take_sharding(fields: &mut Fields<'_>, name: &str) -> Result<TensorSharding, Failure> {
    match take(fields, name)? {
        Attribute::Sharding(sharding) => Ok(sharding),
        other => other_kind(name, "sharding", &other),
    }
}

fn take_shardings(fields: &mut Fields<'_>, name: &str) -> Result<Vec<TensorSharding>, Failure> {
    match take(fields, name)? {
        Attribute::ShardingPerValue(shardings) => Ok(shardings),
        other => other_kind(name, "sharding_per_value", &other),
    }
}

fn take_manual_axes(fields: &mut Fields<'_>, name: &str) -> Result<Vec<String>, Failure> {
    match take(fields, name)? {
        Attribute::ManualAxes(axes) => Ok(axes),
        other => other_kind(name, "manual_axes", &other),
    }
}

/// The symbol and the axes of a mesh.
pub(crate) fn take_mesh(fields: &mut Fields<'_>) -> Result<(String, Mesh), Failure> {
    let id = fields.take("sym_name")?;
    let name = match fields.source.attribute(id)? {
        program::Attribute::String(name) => name,
        other => return Err(format!("attribute sym_name: expected the name of a symbol, came {other}").into()),
    };
    match take(fields, "mesh")? {
        Attribute::Mesh(mesh) => Ok((name, mesh)),
        other => other_kind("mesh", "mesh", &other),
    }
}

/// An op that is kept by name, its fields beside its discardable attributes.
macro_rules! kept {
    ($name:literal, $operands:expr, $results:expr, $regions:expr, $attributes:expr) => {
        with_regions($name, $operands, $results, $regions, $attributes, |fields| {
            let names: &'static [&'static str] = $attributes;
            for name in names {
                let name = name.trim_end_matches('?');
                if let Some(id) = fields.take_optional(name) {
                    let value = fields.source.attribute(id)?;
                    fields.extra.0.push((name.to_owned(), value));
                }
            }
            Ok(OpKind::Sharding { name: concat!("sdy.", $name).to_owned() })
        })
    };
}

/// The ops of Shardy but mesh and return, which the module conversion handles.
const FORMS: &[Form] = &[
    with_regions("manual_computation", ANY, ANY, ONE, &["in_shardings", "manual_axes", "out_shardings"], |fields| {
        Ok(OpKind::ManualComputation {
            in_shardings: take_shardings(fields, "in_shardings")?,
            out_shardings: take_shardings(fields, "out_shardings")?,
            manual_axes: take_manual_axes(fields, "manual_axes")?,
        })
    }),
    with_regions("sharding_constraint", ONE, ONE, NONE, &["sharding"], |fields| {
        Ok(OpKind::ShardingConstraint { sharding: take_sharding(fields, "sharding")? })
    }),
    kept!("reshard", ONE, ONE, NONE, &["sharding"]),
    kept!("sharding_group", ONE, NONE, NONE, &["group_id"]),
    kept!("constant", NONE, ONE, NONE, &["value"]),
    kept!("data_flow_edge", ONE, ONE, NONE, &["sharding?"]),
    kept!("func_data_flow_edge", ONE, ONE, NONE, &[]),
    kept!("propagation_barrier", ONE, ONE, NONE, &["allowed_direction"]),
    kept!("named_computation", ANY, ANY, ONE, &["in_shardings?", "name", "out_shardings?"]),
    kept!("all_gather", ONE, ONE, NONE, &["gathering_axes", "out_sharding"]),
    kept!("all_slice", ONE, ONE, NONE, &["out_sharding", "slicing_axes"]),
    kept!("all_to_all", ONE, ONE, NONE, &["out_sharding", "params"]),
    kept!("collective_permute", ONE, ONE, NONE, &["out_sharding"]),
    kept!("all_reduce", ONE, ONE, NONE, &["out_sharding", "reduction_axes", "reduction_op?"]),
    kept!("reduce_scatter", ONE, ONE, NONE, &["out_sharding", "reduce_scatter_axes", "reduction_op?"]),
    kept!("sharded_to_unreduced", ONE, ONE, NONE, &["axes", "out_sharding"]),
    kept!("replicated_to_unreduced", ONE, ONE, NONE, &["axes", "out_sharding"]),
];

/// The form of that name (without dialect).
pub(crate) fn find(name: &str) -> Option<&'static Form> {
    FORMS.iter().find(|form| form.name == name)
}

/// A symbol name, which builtin ops and Shardy keep as a builtin string.
pub(super) fn symbol_name(context: &mut Context<'_>, id: AttributeId) -> Result<String, ReadError> {
    match context.shallow(id)? {
        Shallow::Builtin(BuiltinAttribute::String(_)) => Ok(context.string(id)?.to_owned()),
        other => Err(ReadError::malformed(
            context.attribute_offset(id),
            format!("expected the name of a symbol, came {other:?}"),
        )),
    }
}
