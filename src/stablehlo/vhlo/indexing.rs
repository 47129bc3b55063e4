//! Ops that read or write at indices computed by the program.
#![forbid(unsafe_code)]

use super::{Count, Failure, Fields, Form, ONE, SOME, THREE, TWO, form, with_regions};
use crate::program::{Gather, OpKind, Scatter};

fn gather(fields: &mut Fields<'_>, has_slice_sizes: bool) -> Result<Gather, Failure> {
    Ok(Gather {
        offset_dims: fields.integers("offset_dims")?,
        collapsed_slice_dims: fields.integers("collapsed_slice_dims")?,
        operand_batching_dims: fields.integers("operand_batching_dims")?,
        start_indices_batching_dims: fields.integers("start_indices_batching_dims")?,
        start_index_map: fields.integers("start_index_map")?,
        index_vector_dim: fields.natural("index_vector_dim")?,
        slice_sizes: if has_slice_sizes { fields.integers("slice_sizes")? } else { Vec::new() },
        indices_are_sorted: fields.boolean("indices_are_sorted")?,
    })
}

pub(super) const FORMS: &[Form] = &[
    form("dynamic_slice_v1", SOME, ONE, &["slice_sizes"], |fields| {
        Ok(OpKind::DynamicSlice { slice_sizes: fields.integers("slice_sizes")? })
    }),
    form("dynamic_update_slice_v1", Count::AtLeast(2), ONE, &[], |_| Ok(OpKind::DynamicUpdateSlice)),
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
        |fields| Ok(OpKind::Gather(gather(fields, true)?)),
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
        |fields| Ok(OpKind::DynamicGather(gather(fields, false)?)),
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
        |fields| {
            if fields.operands.is_multiple_of(2) {
                return Err(format!("{} operands are no inputs, indices and updates", fields.operands).into());
            }
            Ok(OpKind::Scatter(Scatter {
                update_window_dims: fields.integers("update_window_dims")?,
                inserted_window_dims: fields.integers("inserted_window_dims")?,
                input_batching_dims: fields.integers("input_batching_dims")?,
                scatter_indices_batching_dims: fields.integers("scatter_indices_batching_dims")?,
                scatter_dims_to_operand_dims: fields.integers("scatter_dims_to_operand_dims")?,
                index_vector_dim: fields.natural("index_vector_dim")?,
                indices_are_sorted: fields.boolean("indices_are_sorted")?,
                unique_indices: fields.boolean("unique_indices")?,
            }))
        },
    ),
    form("torch_index_select_v1", TWO, ONE, &["batch_dims", "dim"], |fields| {
        Ok(OpKind::TorchIndexSelect { dim: fields.integer("dim")?, batch_dims: fields.integer("batch_dims")? })
    }),
];
