//! Dot products and convolutions.
#![forbid(unsafe_code)]

use super::{Failure, Fields, Form, ONE, THREE, TWO, form};
use crate::program::{Convolution, DotAlgorithm, DotGeneral, OpKind};

/// `algorithm` of dot_general: seven attributes, all `none` when there is none.
fn algorithm(fields: &mut Fields<'_>) -> Result<Option<DotAlgorithm>, Failure> {
    let names = [
        "lhs_precision_type",
        "rhs_precision_type",
        "accumulation_type",
        "lhs_component_count",
        "rhs_component_count",
        "num_primitive_operations",
        "allow_imprecise_accumulation",
    ];
    let mut missing = 0;
    for name in names {
        missing += usize::from(fields.take_none(name)?);
    }
    if missing == names.len() {
        return Ok(None);
    }
    if missing > 0 {
        return Err("a dot algorithm is given in part".to_owned().into());
    }
    let mut ty =
        |name: &str| fields.optional_type(name)?.ok_or_else(|| Failure::Rule(format!("attribute {name} is none")));
    Ok(Some(DotAlgorithm {
        lhs_precision_type: ty("lhs_precision_type")?,
        rhs_precision_type: ty("rhs_precision_type")?,
        accumulation_type: ty("accumulation_type")?,
        lhs_component_count: fields.integer("lhs_component_count")?,
        rhs_component_count: fields.integer("rhs_component_count")?,
        num_primitive_operations: fields.integer("num_primitive_operations")?,
        allow_imprecise_accumulation: fields.boolean("allow_imprecise_accumulation")?,
    }))
}

fn convolution(fields: &mut Fields<'_>, has_padding: bool) -> Result<Convolution, Failure> {
    Ok(Convolution {
        window_strides: fields.integers("window_strides")?,
        padding: if has_padding { fields.pairs("padding")? } else { Vec::new() },
        lhs_dilation: fields.integers("lhs_dilation")?,
        rhs_dilation: fields.integers("rhs_dilation")?,
        window_reversal: fields.booleans("window_reversal")?,
        input_batch_dimension: fields.natural("input_batch_dimension")?,
        input_feature_dimension: fields.natural("input_feature_dimension")?,
        input_spatial_dimensions: fields.integers("input_spatial_dimensions")?,
        kernel_input_feature_dimension: fields.natural("kernel_input_feature_dimension")?,
        kernel_output_feature_dimension: fields.natural("kernel_output_feature_dimension")?,
        kernel_spatial_dimensions: fields.integers("kernel_spatial_dimensions")?,
        output_batch_dimension: fields.natural("output_batch_dimension")?,
        output_feature_dimension: fields.natural("output_feature_dimension")?,
        output_spatial_dimensions: fields.integers("output_spatial_dimensions")?,
        feature_group_count: fields.natural("feature_group_count")?,
        batch_group_count: fields.natural("batch_group_count")?,
        precision_config: fields.precision_config()?,
    })
}

fn dot_general(fields: &mut Fields<'_>, has_algorithm: bool) -> Result<DotGeneral, Failure> {
    Ok(DotGeneral {
        lhs_batching_dimensions: fields.integers("lhs_batching_dimensions")?,
        rhs_batching_dimensions: fields.integers("rhs_batching_dimensions")?,
        lhs_contracting_dimensions: fields.integers("lhs_contracting_dimensions")?,
        rhs_contracting_dimensions: fields.integers("rhs_contracting_dimensions")?,
        precision_config: fields.precision_config()?,
        algorithm: if has_algorithm { algorithm(fields)? } else { None },
    })
}

pub(super) const FORMS: &[Form] = &[
    // Without an algorithm up to 1.5.
    form(
        "dot_general_v1",
        TWO,
        ONE,
        &[
            "lhs_batching_dimensions",
            "lhs_contracting_dimensions",
            "precision_config",
            "rhs_batching_dimensions",
            "rhs_contracting_dimensions",
        ],
        |fields| Ok(OpKind::DotGeneral(dot_general(fields, false)?)),
    ),
    form(
        "dot_general_v2",
        TWO,
        ONE,
        &[
            "accumulation_type",
            "allow_imprecise_accumulation",
            "lhs_batching_dimensions",
            "lhs_component_count",
            "lhs_contracting_dimensions",
            "lhs_precision_type",
            "num_primitive_operations",
            "precision_config",
            "rhs_batching_dimensions",
            "rhs_component_count",
            "rhs_contracting_dimensions",
            "rhs_precision_type",
        ],
        |fields| Ok(OpKind::DotGeneral(dot_general(fields, true)?)),
    ),
    form("dot_v1", TWO, ONE, &["precision_config"], |fields| {
        Ok(OpKind::Dot { precision_config: fields.precision_config()? })
    }),
    form("einsum_v1", TWO, ONE, &["einsum_config"], |fields| {
        Ok(OpKind::Einsum { einsum_config: fields.string("einsum_config")? })
    }),
    form("unary_einsum_v1", ONE, ONE, &["einsum_config"], |fields| {
        Ok(OpKind::UnaryEinsum { einsum_config: fields.string("einsum_config")? })
    }),
    form(
        "convolution_v1",
        TWO,
        ONE,
        &[
            "batch_group_count",
            "feature_group_count",
            "input_batch_dimension",
            "input_feature_dimension",
            "input_spatial_dimensions",
            "kernel_input_feature_dimension",
            "kernel_output_feature_dimension",
            "kernel_spatial_dimensions",
            "lhs_dilation",
            "output_batch_dimension",
            "output_feature_dimension",
            "output_spatial_dimensions",
            "padding",
            "precision_config",
            "rhs_dilation",
            "window_reversal",
            "window_strides",
        ],
        |fields| Ok(OpKind::Convolution(convolution(fields, true)?)),
    ),
    // Up to 0.19 the padding stands in an attribute too. The operand is what counts: VHLO's upgrade leaves the attribute
    // out, and its downgrade writes zeros.
    form(
        "dynamic_conv_v1",
        THREE,
        ONE,
        &[
            "batch_group_count",
            "feature_group_count",
            "input_batch_dimension",
            "input_feature_dimension",
            "input_spatial_dimensions",
            "kernel_input_feature_dimension",
            "kernel_output_feature_dimension",
            "kernel_spatial_dimensions",
            "lhs_dilation",
            "output_batch_dimension",
            "output_feature_dimension",
            "output_spatial_dimensions",
            "padding",
            "precision_config",
            "rhs_dilation",
            "window_reversal",
            "window_strides",
        ],
        |fields| {
            fields.take("padding")?;
            Ok(OpKind::DynamicConv(convolution(fields, false)?))
        },
    ),
    form(
        "dynamic_conv_v2",
        THREE,
        ONE,
        &[
            "batch_group_count",
            "feature_group_count",
            "input_batch_dimension",
            "input_feature_dimension",
            "input_spatial_dimensions",
            "kernel_input_feature_dimension",
            "kernel_output_feature_dimension",
            "kernel_spatial_dimensions",
            "lhs_dilation",
            "output_batch_dimension",
            "output_feature_dimension",
            "output_spatial_dimensions",
            "precision_config",
            "rhs_dilation",
            "window_reversal",
            "window_strides",
        ],
        |fields| Ok(OpKind::DynamicConv(convolution(fields, false)?)),
    ),
];
