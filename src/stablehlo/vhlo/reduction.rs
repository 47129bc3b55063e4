//! Reductions, windows, sort and map.
#![forbid(unsafe_code)]

use super::{Failure, Fields, Form, ONE, SOME, THREE, TWO, with_regions};
use crate::program::{OpKind, ReduceWindow, SelectAndScatter};

/// Operands of a reduction are inputs and as many initial values.
fn check_pairs(fields: &Fields<'_>) -> Result<(), Failure> {
    if fields.operands.is_multiple_of(2) {
        return Ok(());
    }
    Err(format!("{} operands are no inputs and initial values", fields.operands).into())
}

pub(super) const FORMS: &[Form] = &[
    with_regions("reduce_v1", SOME, SOME, ONE, &["dimensions"], |fields| {
        check_pairs(fields)?;
        Ok(OpKind::Reduce { dimensions: fields.integers("dimensions")? })
    }),
    with_regions(
        "reduce_window_v1",
        SOME,
        SOME,
        ONE,
        &["base_dilations", "padding", "window_dilations", "window_dimensions", "window_strides"],
        |fields| {
            check_pairs(fields)?;
            Ok(OpKind::ReduceWindow(ReduceWindow {
                window_dimensions: fields.integers("window_dimensions")?,
                window_strides: fields.integers("window_strides")?,
                base_dilations: fields.integers("base_dilations")?,
                window_dilations: fields.integers("window_dilations")?,
                padding: fields.pairs("padding")?,
            }))
        },
    ),
    with_regions(
        "select_and_scatter_v1",
        THREE,
        ONE,
        TWO,
        &["padding", "window_dimensions", "window_strides"],
        |fields| {
            Ok(OpKind::SelectAndScatter(SelectAndScatter {
                window_dimensions: fields.integers("window_dimensions")?,
                window_strides: fields.integers("window_strides")?,
                padding: fields.pairs("padding")?,
            }))
        },
    ),
    with_regions("sort_v1", SOME, SOME, ONE, &["dimension", "is_stable"], |fields| {
        Ok(OpKind::Sort { dimension: fields.integer("dimension")?, is_stable: fields.boolean("is_stable")? })
    }),
    with_regions("map_v1", SOME, ONE, ONE, &["dimensions"], |fields| {
        Ok(OpKind::Map { dimensions: fields.integers("dimensions")? })
    }),
];
