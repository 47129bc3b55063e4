//! Which ops are supported: the rows of all op families.
#![forbid(unsafe_code)]

use std::collections::HashMap;

use super::context::Row;
use super::{
    batch_norm, collectives, control_flow, convolution, custom_call, dot_general, dynamic_slice, elementwise, fft,
    gather, host_transfer, linear_algebra, reduce, reduce_window, rng, scatter, select_and_scatter, shape, sort,
};

/// The op table: the one place that says what is supported. `docs/ops.md` is made from it.
pub static TABLE: &[&[Row]] = &[
    batch_norm::ROWS,
    collectives::ROWS,
    control_flow::ROWS,
    convolution::ROWS,
    custom_call::ROWS,
    dot_general::ROWS,
    dynamic_slice::ROWS,
    elementwise::ROWS,
    fft::ROWS,
    gather::ROWS,
    host_transfer::ROWS,
    linear_algebra::ROWS,
    reduce::ROWS,
    reduce_window::ROWS,
    rng::ROWS,
    scatter::ROWS,
    select_and_scatter::ROWS,
    shape::ROWS,
    sort::ROWS,
];

/// Ops that have no row, and why.
pub static REFUSED: &[(&str, &str)] = &[
    ("einsum", "deprecated: jax sends dot_general"),
    ("unary_einsum", "deprecated: jax sends reduce and transpose"),
    ("torch_index_select", "deprecated: jax sends gather"),
    ("tuple", "jax sends no tuples"),
    ("get_tuple_element", "jax sends no tuples"),
    ("infeed", "the host feeds arguments instead"),
    ("outfeed", "the host reads results instead"),
    ("uniform_quantize", "mlx has no quantized element types"),
    ("uniform_dequantize", "mlx has no quantized element types"),
    ("set_dimension_size", "shapes must be static"),
    ("dynamic_reshape", "shapes must be static"),
    ("dynamic_iota", "shapes must be static"),
    ("dynamic_broadcast_in_dim", "shapes must be static"),
    ("dynamic_pad", "shapes must be static"),
    ("dynamic_conv", "shapes must be static"),
    ("real_dynamic_slice", "shapes must be static"),
    ("sdy.manual_computation", "programs for several devices are not there yet"),
    ("sdy.sharding_constraint", "programs for several devices are not there yet"),
];

/// The row of the op of that name, as [`crate::program::OpKind::name`] gives it.
pub fn row(name: &str) -> Option<&'static Row> {
    static ROWS: std::sync::OnceLock<HashMap<&'static str, &'static Row>> = std::sync::OnceLock::new();
    ROWS.get_or_init(|| TABLE.iter().copied().flatten().map(|row| (row.name, row)).collect()).get(name).copied()
}
