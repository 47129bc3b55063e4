//! Ops that read or write at indices computed by the program.
#![forbid(unsafe_code)]

use super::{Count, Failure, Fields, Form, ONE, SOME, THREE, TWO, form, with_regions};
use crate::program::{Gather, OpKind, Scatter};

/// Batching dimensions, which versions up to 1.0 have not.
fn batching(fields: &mut Fields<'_>, name: &str, has_batching: bool) -> Result<Vec<i64>, Failure> {
    if has_batching { fields.integers(name) } else { Ok(Vec::new()) }
}

fn gather(fields: &mut Fields<'_>, has_slice_sizes: bool, has_batching: bool) -> Result<Gather, Failure> {
    Ok(Gather {
        offset_dims: fields.integers("offset_dims")?,
        collapsed_slice_dims: fields.integers("collapsed_slice_dims")?,
        operand_batching_dims: batching(fields, "operand_batching_dims", has_batching)?,
        start_indices_batching_dims: batching(fields, "start_indices_batching_dims", has_batching)?,
        start_index_map: fields.integers("start_index_map")?,
        index_vector_dim: fields.natural("index_vector_dim")?,
        slice_sizes: if has_slice_sizes { fields.integers("slice_sizes")? } else { Vec::new() },
        indices_are_sorted: fields.boolean("indices_are_sorted")?,
    })
}

fn scatter(fields: &mut Fields<'_>, has_batching: bool) -> Result<Scatter, Failure> {
    if fields.operands.is_multiple_of(2) {
        return Err(format!("{} operands are no inputs, indices and updates", fields.operands).into());
    }
    Ok(Scatter {
        update_window_dims: fields.integers("update_window_dims")?,
        inserted_window_dims: fields.integers("inserted_window_dims")?,
        input_batching_dims: batching(fields, "input_batching_dims", has_batching)?,
        scatter_indices_batching_dims: batching(fields, "scatter_indices_batching_dims", has_batching)?,
        scatter_dims_to_operand_dims: fields.integers("scatter_dims_to_operand_dims")?,
        index_vector_dim: fields.natural("index_vector_dim")?,
        indices_are_sorted: fields.boolean("indices_are_sorted")?,
        unique_indices: fields.boolean("unique_indices")?,
    })
}

pub(super) const FORMS: &[Form] = &[
    form("dynamic_slice_v1", SOME, ONE, &["slice_sizes"], |fields| {
        Ok(OpKind::DynamicSlice { slice_sizes: fields.integers("slice_sizes")? })
    }),
    form("dynamic_update_slice_v1", Count::AtLeast(2), ONE, &[], |_| Ok(OpKind::DynamicUpdateSlice)),
    form(
        "gather_v1",
        TWO,
        ONE,
        &[
            "collapsed_slice_dims",
            "index_vector_dim",
            "indices_are_sorted",
            "offset_dims",
            "slice_sizes",
            "start_index_map",
        ],
        |fields| Ok(OpKind::Gather(gather(fields, true, false)?)),
    ),
    form(
        "gather_v2",
        TWO,
        ONE,
        &[
            "collapsed_slice_dims",
            "index_vector_dim",
            "indices_are_sorted",
            "offset_dims",
            "operand_batching_dims",
            "slice_sizes",
            "start_index_map",
            "start_indices_batching_dims",
        ],
        |fields| Ok(OpKind::Gather(gather(fields, true, true)?)),
    ),
    form(
        "dynamic_gather_v1",
        THREE,
        ONE,
        &["collapsed_slice_dims", "index_vector_dim", "indices_are_sorted", "offset_dims", "start_index_map"],
        |fields| Ok(OpKind::DynamicGather(gather(fields, false, false)?)),
    ),
    form(
        "dynamic_gather_v2",
        THREE,
        ONE,
        &[
            "collapsed_slice_dims",
            "index_vector_dim",
            "indices_are_sorted",
            "offset_dims",
            "operand_batching_dims",
            "start_index_map",
            "start_indices_batching_dims",
        ],
        |fields| Ok(OpKind::DynamicGather(gather(fields, false, true)?)),
    ),
    with_regions(
        "scatter_v1",
        Count::AtLeast(3),
        SOME,
        ONE,
        &[
            "index_vector_dim",
            "indices_are_sorted",
            "inserted_window_dims",
            "scatter_dims_to_operand_dims",
            "unique_indices",
            "update_window_dims",
        ],
        |fields| Ok(OpKind::Scatter(scatter(fields, false)?)),
    ),
    with_regions(
        "scatter_v2",
        Count::AtLeast(3),
        SOME,
        ONE,
        &[
            "index_vector_dim",
            "indices_are_sorted",
            "input_batching_dims",
            "inserted_window_dims",
            "scatter_dims_to_operand_dims",
            "scatter_indices_batching_dims",
            "unique_indices",
            "update_window_dims",
        ],
        |fields| Ok(OpKind::Scatter(scatter(fields, true)?)),
    ),
    form("torch_index_select_v1", TWO, ONE, &["batch_dims", "dim"], |fields| {
        Ok(OpKind::TorchIndexSelect { dim: fields.integer("dim")?, batch_dims: fields.integer("batch_dims")? })
    }),
];
