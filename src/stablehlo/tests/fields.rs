//! The typed fields of each op against jaxlib's attributes of it.

use std::collections::HashMap;

use super::text::TextOp;
use super::values::{same_attribute, same_integers, same_literal};
use crate::program::{
    Attribute, Channel, Collective, CompareType, Convolution, CustomCallApiVersion, DotGeneral, Gather, Op, OpKind,
    Precision, Type,
};

/// jaxlib's attributes of one op; each is taken once, and none may stay.
struct Written<'a> {
    op: &'a TextOp,
    left: HashMap<&'a str, &'a str>,
}

impl<'a> Written<'a> {
    /// The attribute must be this text; when it is left out, the text must be the default.
    fn is(&mut self, name: &str, expected: impl Into<String>, default: Option<&str>) {
        let expected = expected.into();
        let written = self.left.remove(name).or(default);
        assert_eq!(written, Some(expected.as_str()), "{name} of {}", self.op.name);
    }

    fn integer(&mut self, name: &str, value: i64) {
        self.is(name, format!("{value} : i64"), None);
    }

    fn integer32(&mut self, name: &str, value: i64) {
        self.is(name, format!("{value} : i32"), None);
    }

    fn integers(&mut self, name: &str, values: &[i64]) {
        self.is(name, array(values), None);
    }

    fn integers_or(&mut self, name: &str, values: &[i64], default: i64) {
        self.is(name, array(values), Some(&array(&vec![default; values.len()])));
    }

    fn boolean(&mut self, name: &str, value: bool) {
        self.is(name, value.to_string(), Some("false"));
    }

    fn unit(&mut self, name: &str, value: bool) {
        assert_eq!(self.left.remove(name), value.then_some(""), "{name} of {}", self.op.name);
    }

    fn string(&mut self, name: &str, value: &str, default: Option<&str>) {
        self.is(name, format!("{value:?}"), default.map(|text| format!("{text:?}")).as_deref());
    }

    fn matrix(&mut self, name: &str, rows: &[Vec<i64>], is_optional: bool) {
        let Some(text) = self.left.remove(name) else {
            assert!(is_optional && rows.is_empty(), "{name} of {}", self.op.name);
            return;
        };
        let columns = rows.first().map_or(0, Vec::len);
        let flat: Vec<i64> = rows.concat();
        let same = same_integers(&[rows.len() as i64, columns as i64], &flat, text);
        assert!(same, "{name} of {}: {rows:?}, jaxlib {text}", self.op.name);
    }

    fn padding(&mut self, pairs: &[(i64, i64)]) {
        let Some(text) = self.left.remove("padding") else {
            assert!(pairs.iter().all(|&pair| pair == (0, 0)), "padding of {}", self.op.name);
            return;
        };
        let flat: Vec<i64> = pairs.iter().flat_map(|&(low, high)| [low, high]).collect();
        assert!(same_integers(&[pairs.len() as i64, 2], &flat, text), "padding: {pairs:?}, jaxlib {text}");
    }

    fn precision(&mut self, precision: &[Precision]) {
        let names = precision.iter().map(|precision| match precision {
            Precision::Default => "#stablehlo<precision DEFAULT>",
            Precision::High => "#stablehlo<precision HIGH>",
            Precision::Highest => "#stablehlo<precision HIGHEST>",
        });
        let text = format!("[{}]", names.collect::<Vec<_>>().join(", "));
        let default = "[#stablehlo<precision DEFAULT>, #stablehlo<precision DEFAULT>]";
        self.is("precision_config", text, Some(default));
    }

    /// `#stablehlo.NAME<a = [1], b = 2>` where empty lists and zeros are left out.
    fn numbers(&mut self, name: &str, mnemonic: &str, lists: &[(&str, &[i64])], index_vector_dim: Option<i64>) {
        let mut parts: Vec<String> = lists
            .iter()
            .filter(|(_, list)| !list.is_empty())
            .map(|(name, list)| format!("{name} = {list:?}"))
            .collect();
        parts.extend(index_vector_dim.filter(|&dim| dim != 0).map(|dim| format!("index_vector_dim = {dim}")));
        self.is(name, format!("#stablehlo.{mnemonic}<{}>", parts.join(", ")), None);
    }

    fn collective(&mut self, collective: &Collective, groups: &str) {
        self.matrix(groups, &collective.groups, false);
        self.channel(collective.channel);
        self.unit("use_global_device_ids", collective.use_global_device_ids);
    }

    fn channel(&mut self, channel: Channel) {
        let text = format!("#stablehlo.channel_handle<handle = {}, type = {}>", channel.id, channel.kind);
        self.is("channel_handle", text, Some("#stablehlo.channel_handle<handle = 0, type = 0>"));
    }
}

fn array(values: &[i64]) -> String {
    if values.is_empty() {
        return "array<i64>".to_owned();
    }
    let values: Vec<String> = values.iter().map(i64::to_string).collect();
    format!("array<i64: {}>", values.join(", "))
}

/// `[b, 0, f]` of batch, feature and spatial dimensions.
fn dimension_names(letters: [(char, i64); 2], spatial: &[i64]) -> String {
    let mut names = vec![String::new(); spatial.len() + 2];
    for (letter, at) in letters {
        names[at as usize] = letter.to_string();
    }
    for (index, &at) in spatial.iter().enumerate() {
        names[at as usize] = index.to_string();
    }
    format!("[{}]", names.join(", "))
}

fn convolution(written: &mut Written<'_>, fields: &Convolution, is_dynamic: bool) {
    written.integers_or("window_strides", &fields.window_strides, 1);
    written.integers_or("lhs_dilation", &fields.lhs_dilation, 1);
    written.integers_or("rhs_dilation", &fields.rhs_dilation, 1);
    if !is_dynamic {
        written.padding(&fields.padding);
    }
    let reversal: Vec<String> = fields.window_reversal.iter().map(bool::to_string).collect();
    let default = vec!["false"; reversal.len()].join(", ");
    let wrap = |list: &str| format!("array<i1: {list}>");
    written.is("window_reversal", wrap(&reversal.join(", ")), Some(&wrap(&default)));
    let input = dimension_names(
        [('b', fields.input_batch_dimension), ('f', fields.input_feature_dimension)],
        &fields.input_spatial_dimensions,
    );
    let kernel = dimension_names(
        [('i', fields.kernel_input_feature_dimension), ('o', fields.kernel_output_feature_dimension)],
        &fields.kernel_spatial_dimensions,
    );
    let output = dimension_names(
        [('b', fields.output_batch_dimension), ('f', fields.output_feature_dimension)],
        &fields.output_spatial_dimensions,
    );
    written.is("dimension_numbers", format!("#stablehlo.conv<{input}x{kernel}->{output}>"), None);
    written.integer("feature_group_count", fields.feature_group_count);
    written.integer("batch_group_count", fields.batch_group_count);
    written.precision(&fields.precision_config);
}

fn gather(written: &mut Written<'_>, fields: &Gather, is_dynamic: bool) {
    written.numbers(
        "dimension_numbers",
        "gather",
        &[
            ("offset_dims", &fields.offset_dims),
            ("collapsed_slice_dims", &fields.collapsed_slice_dims),
            ("operand_batching_dims", &fields.operand_batching_dims),
            ("start_indices_batching_dims", &fields.start_indices_batching_dims),
            ("start_index_map", &fields.start_index_map),
        ],
        Some(fields.index_vector_dim),
    );
    if !is_dynamic {
        written.integers("slice_sizes", &fields.slice_sizes);
    }
    written.boolean("indices_are_sorted", fields.indices_are_sorted);
}

/// The text of a type that stands alone, which the program keeps as a tensor of rank 0.
fn scalar(ty: &Type) -> String {
    ty.tensor().expect("a scalar").element.to_string()
}

fn dot_general(written: &mut Written<'_>, fields: &DotGeneral) {
    written.numbers(
        "dot_dimension_numbers",
        "dot",
        &[
            ("lhs_batching_dimensions", &fields.lhs_batching_dimensions),
            ("rhs_batching_dimensions", &fields.rhs_batching_dimensions),
            ("lhs_contracting_dimensions", &fields.lhs_contracting_dimensions),
            ("rhs_contracting_dimensions", &fields.rhs_contracting_dimensions),
        ],
        None,
    );
    written.precision(&fields.precision_config);
    if let Some(algorithm) = &fields.algorithm {
        let text = format!(
            "#stablehlo.dot_algorithm<lhs_precision_type = {}, rhs_precision_type = {}, accumulation_type = {}, \
             lhs_component_count = {}, rhs_component_count = {}, num_primitive_operations = {}, \
             allow_imprecise_accumulation = {}>",
            scalar(&algorithm.lhs_precision_type),
            scalar(&algorithm.rhs_precision_type),
            scalar(&algorithm.accumulation_type),
            algorithm.lhs_component_count,
            algorithm.rhs_component_count,
            algorithm.num_primitive_operations,
            algorithm.allow_imprecise_accumulation
        );
        written.is("algorithm", text, None);
    }
}

/// Compares the fields of an op; gives the discardable attributes that are left to compare.
pub(super) fn compare(op: &Op, text: &TextOp) -> Vec<(String, Attribute)> {
    let left = text.properties.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let mut written = Written { op: text, left };
    let mut extra = op.attributes.0.clone();
    let symbols = |names: &[String]| {
        let names: Vec<String> = names.iter().map(|name| format!("@{name}")).collect();
        format!("[{}]", names.join(", "))
    };
    let enumerated = |kind: &str, case: String| format!("#stablehlo<{kind} {case}>");
    let upper = |case: &dyn std::fmt::Debug| format!("{case:?}").to_uppercase();
    match &op.kind {
        OpKind::Unary(_) => {
            let name = "result_accuracy";
            let accuracy = extra.iter().position(|(each, _)| each == name).map(|at| extra.remove(at).1);
            assert_eq!(written.left.remove(name), accuracy.as_ref().map(accuracy_text).as_deref());
        }
        OpKind::Compare { direction, compare_type } => {
            written.is("comparison_direction", enumerated("comparison_direction", upper(direction)), None);
            if *compare_type == CompareType::None {
                assert_eq!(written.left.get("compare_type"), None);
            } else {
                written.is("compare_type", enumerated("comparison_type", upper(compare_type)), None);
            }
        }
        OpKind::ReducePrecision { exponent_bits, mantissa_bits } => {
            written.integer32("exponent_bits", *exponent_bits);
            written.integer32("mantissa_bits", *mantissa_bits);
        }
        OpKind::Constant(literal) => {
            let value = written.left.remove("value").expect("a constant has a value");
            assert!(same_literal(literal, value), "{literal}\n  jaxlib: {value:.200}");
        }
        OpKind::Iota { iota_dimension } | OpKind::DynamicIota { iota_dimension } => {
            written.integer("iota_dimension", *iota_dimension);
        }
        OpKind::BroadcastInDim { broadcast_dimensions } => {
            written.integers("broadcast_dimensions", broadcast_dimensions);
        }
        OpKind::DynamicBroadcastInDim {
            broadcast_dimensions,
            known_expanding_dimensions,
            known_nonexpanding_dimensions,
        } => {
            written.integers("broadcast_dimensions", broadcast_dimensions);
            for (name, dimensions) in [
                ("known_expanding_dimensions", known_expanding_dimensions),
                ("known_nonexpanding_dimensions", known_nonexpanding_dimensions),
            ] {
                written.is(name, array(dimensions), Some("array<i64>"));
            }
        }
        OpKind::Broadcast { broadcast_sizes } => written.integers("broadcast_sizes", broadcast_sizes),
        OpKind::Transpose { permutation } => written.integers("permutation", permutation),
        OpKind::Reverse { dimensions } | OpKind::Reduce { dimensions } | OpKind::Map { dimensions } => {
            written.integers("dimensions", dimensions);
        }
        OpKind::Slice { start_indices, limit_indices, strides } => {
            written.integers("start_indices", start_indices);
            written.integers("limit_indices", limit_indices);
            written.integers("strides", strides);
        }
        OpKind::Pad { edge_padding_low, edge_padding_high, interior_padding } => {
            written.integers("edge_padding_low", edge_padding_low);
            written.integers("edge_padding_high", edge_padding_high);
            written.integers("interior_padding", interior_padding);
        }
        OpKind::Concatenate { dimension }
        | OpKind::GetDimensionSize { dimension }
        | OpKind::SetDimensionSize { dimension } => written.integer("dimension", *dimension),
        OpKind::DynamicSlice { slice_sizes } => written.integers("slice_sizes", slice_sizes),
        OpKind::Gather(fields) => gather(&mut written, fields, false),
        OpKind::DynamicGather(fields) => gather(&mut written, fields, true),
        OpKind::Scatter(fields) => {
            written.numbers(
                "scatter_dimension_numbers",
                "scatter",
                &[
                    ("update_window_dims", &fields.update_window_dims),
                    ("inserted_window_dims", &fields.inserted_window_dims),
                    ("input_batching_dims", &fields.input_batching_dims),
                    ("scatter_indices_batching_dims", &fields.scatter_indices_batching_dims),
                    ("scatter_dims_to_operand_dims", &fields.scatter_dims_to_operand_dims),
                ],
                Some(fields.index_vector_dim),
            );
            written.boolean("indices_are_sorted", fields.indices_are_sorted);
            written.boolean("unique_indices", fields.unique_indices);
        }
        OpKind::DotGeneral(fields) => dot_general(&mut written, fields),
        OpKind::Dot { precision_config } => written.precision(precision_config),
        OpKind::Einsum { einsum_config } | OpKind::UnaryEinsum { einsum_config } => {
            written.string("einsum_config", einsum_config, None);
        }
        OpKind::TorchIndexSelect { dim, batch_dims } => {
            written.integer("dim", *dim);
            written.integer("batch_dims", *batch_dims);
        }
        OpKind::Convolution(fields) => convolution(&mut written, fields, false),
        OpKind::DynamicConv(fields) => convolution(&mut written, fields, true),
        OpKind::ReduceWindow(fields) => {
            written.integers("window_dimensions", &fields.window_dimensions);
            written.integers_or("window_strides", &fields.window_strides, 1);
            written.integers_or("base_dilations", &fields.base_dilations, 1);
            written.integers_or("window_dilations", &fields.window_dilations, 1);
            written.padding(&fields.padding);
        }
        OpKind::SelectAndScatter(fields) => {
            written.integers("window_dimensions", &fields.window_dimensions);
            written.integers_or("window_strides", &fields.window_strides, 1);
            written.padding(&fields.padding);
        }
        OpKind::Sort { dimension, is_stable } => {
            written.is("dimension", format!("{dimension} : i64"), Some("-1 : i64"));
            written.boolean("is_stable", *is_stable);
        }
        OpKind::Call { callee } => written.is("callee", format!("@{callee}"), None),
        OpKind::Composite { name, composite_attributes, decomposition, version } => {
            written.string("name", name, None);
            written.is("decomposition", format!("@{decomposition}"), None);
            written.is("version", format!("{version} : i32"), Some("0 : i32"));
            let attributes = written.left.remove("composite_attributes").unwrap_or("{}");
            let dictionary = Attribute::Dictionary(composite_attributes.0.clone());
            assert!(same_attribute(&dictionary, attributes), "{dictionary}, jaxlib {attributes}");
        }
        OpKind::CustomCall(call) => {
            written.string("call_target_name", &call.call_target_name, None);
            written.boolean("has_side_effect", call.has_side_effect);
            let config = written.left.remove("backend_config");
            if config.is_some_and(|text| text.starts_with('{')) {
                let dictionary = Attribute::Dictionary(call.backend_attributes.0.clone());
                assert!(same_attribute(&dictionary, config.unwrap_or("")), "{dictionary}, jaxlib {config:?}");
            } else {
                let string = Attribute::String(call.backend_config.clone());
                assert!(same_attribute(&string, config.unwrap_or("\"\"")), "{string}, jaxlib {config:?}");
                assert!(call.backend_attributes.is_empty());
            }
            let version = match call.api_version {
                CustomCallApiVersion::Unspecified => 0,
                CustomCallApiVersion::Original => 1,
                CustomCallApiVersion::StatusReturning => 2,
                CustomCallApiVersion::StatusReturningUnified => 3,
                CustomCallApiVersion::TypedFfi => 4,
            };
            written.is("api_version", format!("{version} : i32"), Some("1 : i32"));
            written.is("called_computations", symbols(&call.called_computations), Some("[]"));
            for (name, layouts) in
                [("operand_layouts", &call.operand_layouts), ("result_layouts", &call.result_layouts)]
            {
                let dense = |layout: &Vec<i64>| {
                    let list = if layout.is_empty() { String::new() } else { format!("{layout:?}") };
                    // A list of one element is printed as a splat.
                    let list = if layout.len() == 1 { layout[0].to_string() } else { list };
                    format!("dense<{list}> : tensor<{}xindex>", layout.len())
                };
                let text = layouts.iter().map(dense).collect::<Vec<_>>().join(", ");
                written.is(name, format!("[{text}]"), Some("[]"));
            }
            let aliases = call.output_operand_aliases.iter().map(|(output, operand, operand_tuple)| {
                format!(
                    "#stablehlo.output_operand_alias<output_tuple_indices = {output:?}, operand_index = {operand}, \
                     operand_tuple_indices = {operand_tuple:?}>"
                )
            });
            let aliases = aliases.collect::<Vec<_>>().join(", ");
            written.is("output_operand_aliases", format!("[{aliases}]"), Some("[]"));
        }
        OpKind::RngBitGenerator { rng_algorithm } => {
            let case = match upper(rng_algorithm).as_str() {
                "THREEFRY" => "THREE_FRY".to_owned(),
                other => other.to_owned(),
            };
            written.is("rng_algorithm", enumerated("rng_algorithm", case), None);
        }
        OpKind::Rng { rng_distribution } => {
            written.is("rng_distribution", enumerated("rng_distribution", upper(rng_distribution)), None);
        }
        OpKind::Fft { fft_type, fft_length } => {
            written.is("fft_type", enumerated("fft_type", upper(fft_type)), None);
            written.integers("fft_length", fft_length);
        }
        OpKind::Cholesky { lower } => written.boolean("lower", *lower),
        OpKind::TriangularSolve { left_side, lower, unit_diagonal, transpose_a } => {
            written.boolean("left_side", *left_side);
            written.boolean("lower", *lower);
            written.boolean("unit_diagonal", *unit_diagonal);
            let case = match upper(transpose_a).as_str() {
                "INVALID" => "TRANSPOSE_INVALID".to_owned(),
                "NOTRANSPOSE" => "NO_TRANSPOSE".to_owned(),
                other => other.to_owned(),
            };
            written.is("transpose_a", enumerated("transpose", case), None);
        }
        OpKind::BatchNormTraining { epsilon, feature_index }
        | OpKind::BatchNormInference { epsilon, feature_index }
        | OpKind::BatchNormGrad { epsilon, feature_index } => {
            let text = written.left.remove("epsilon").expect("batch norm has an epsilon");
            let text = text.strip_suffix(" : f32").expect("epsilon is an f32");
            assert_eq!(text.parse(), Ok(*epsilon));
            written.integer("feature_index", *feature_index);
        }
        OpKind::GetTupleElement { index } => written.integer32("index", *index),
        OpKind::AllGather { all_gather_dim, collective } => {
            written.integer("all_gather_dim", *all_gather_dim);
            written.collective(collective, "replica_groups");
        }
        OpKind::AllReduce { collective }
        | OpKind::CollectiveBroadcast { collective }
        | OpKind::CrossReplicaSum { collective } => written.collective(collective, "replica_groups"),
        OpKind::CollectivePermute { collective } => written.collective(collective, "source_target_pairs"),
        OpKind::AllToAll { split_dimension, concat_dimension, split_count, collective } => {
            written.integer("split_dimension", *split_dimension);
            written.integer("concat_dimension", *concat_dimension);
            written.integer("split_count", *split_count);
            written.collective(collective, "replica_groups");
        }
        OpKind::ReduceScatter { scatter_dimension, collective } => {
            written.integer("scatter_dimension", *scatter_dimension);
            written.collective(collective, "replica_groups");
        }
        OpKind::Send(fields) | OpKind::Recv(fields) => {
            written.channel(fields.channel);
            written.boolean("is_host_transfer", fields.is_host_transfer);
            written.matrix("source_target_pairs", &fields.source_target_pairs, true);
        }
        OpKind::Infeed { infeed_config } => {
            written.string("infeed_config", infeed_config, Some(""));
            let layout = extra.iter().position(|(each, _)| each == "layout").map(|at| extra.remove(at).1);
            let text = written.left.remove("layout").unwrap_or("[]");
            // Integers of the layout are i64, which MLIR does not spell inside an array of them.
            let text = text.replace(" : i64", "");
            assert_eq!(layout.map_or("[]".into(), |layout| layout.to_string().replace(" : i64", "")), text);
        }
        OpKind::Outfeed { outfeed_config } => written.string("outfeed_config", outfeed_config, Some("")),
        OpKind::ManualComputation { in_shardings, out_shardings, manual_axes } => {
            use crate::program::sharding::Attribute::{ManualAxes, ShardingPerValue};
            written.is("in_shardings", ShardingPerValue(in_shardings.clone()).to_string(), None);
            written.is("out_shardings", ShardingPerValue(out_shardings.clone()).to_string(), None);
            written.is("manual_axes", ManualAxes(manual_axes.clone()).to_string(), None);
        }
        OpKind::ShardingConstraint { sharding } => {
            written.is("sharding", format!("#sdy.sharding{sharding}"), None);
        }
        OpKind::Sharding { .. } => {
            // Fields that have no type of their own lie among the discardable attributes.
            let names: Vec<&str> = written.left.keys().copied().collect();
            for name in names {
                let at = extra.iter().position(|(each, _)| each == name).expect("the field was kept");
                assert!(same_attribute(&extra.remove(at).1, written.left.remove(name).unwrap_or("")), "{name}");
            }
        }
        OpKind::Binary(_)
        | OpKind::AsyncStart
        | OpKind::AsyncDone
        | OpKind::Select
        | OpKind::Clamp
        | OpKind::Convert
        | OpKind::BitcastConvert
        | OpKind::Reshape
        | OpKind::DynamicUpdateSlice
        | OpKind::While
        | OpKind::If
        | OpKind::Case
        | OpKind::Tuple
        | OpKind::AfterAll
        | OpKind::CreateToken
        | OpKind::OptimizationBarrier
        | OpKind::UniformQuantize
        | OpKind::UniformDequantize
        | OpKind::PartitionId
        | OpKind::ReplicaId
        | OpKind::DynamicReshape
        | OpKind::DynamicPad
        | OpKind::RealDynamicSlice => {}
    }
    assert!(written.left.is_empty(), "{} has attributes that were not read: {:?}", text.name, written.left);
    extra
}

/// `#stablehlo.result_accuracy<…>`, where zeros are left out.
fn accuracy_text(accuracy: &Attribute) -> String {
    let Attribute::Dictionary(fields) = accuracy else { panic!("an accuracy is a dictionary: {accuracy}") };
    let mut parts = Vec::new();
    for (name, value) in fields {
        match value {
            Attribute::Float(value, _) if *value != 0.0 => parts.push(format!("{name} = {}", scientific(*value))),
            Attribute::Integer(value, _) if *value != 0 => parts.push(format!("{name} = {value}")),
            Attribute::Enum(case) => parts.push(format!("{name} = #stablehlo.result_accuracy_mode<{case}>")),
            _ => {}
        }
    }
    format!("#stablehlo.result_accuracy<{}>", parts.join(", "))
}

/// A number as C prints it with `%e`.
fn scientific(value: f64) -> String {
    let text = format!("{value:.6e}");
    let (mantissa, exponent) = text.split_once('e').expect("an exponent");
    let exponent: i32 = exponent.parse().expect("an exponent");
    format!("{mantissa}e{}{:02}", if exponent < 0 { '-' } else { '+' }, exponent.abs())
}
