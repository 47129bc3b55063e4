//! scatter.
#![forbid(unsafe_code)]

mod copies;
pub mod generic;
mod geometry;
mod native;
#[cfg(test)]
mod tests;

use self::geometry::Geometry;
use super::combiner;
use super::indexing::{self, Attributes, Indexing};
use super::{Context, LowerError, Lowered, Row, shape_i32};
use crate::program::{Op, OpKind};

/// Rows of the op table.
pub static ROWS: &[Row] = &[Row {
    name: "scatter",
    note: "any body; those but assignment, sum, product, maximum and minimum wait for the host unless indices are unique",
    lower: scatter,
}];

fn scatter(context: &mut Context<'_>, op: &Op) -> Result<Lowered, LowerError> {
    let OpKind::Scatter(attributes) = &op.kind else { return Err(context.invalid(op, "not a scatter")) };
    let count = op.results.len();
    if count == 0 || op.operands.len() != 2 * count + 1 || op.regions.len() != 1 {
        return Err(context.invalid(op, "inputs, updates and results differ in number"));
    }
    let (operand, indices, updates) =
        (context.operand(op, 0)?, context.operand(op, count)?, context.operand(op, count + 1)?);
    for index in 1..count {
        if context.operand(op, index)?.shape != operand.shape
            || context.operand(op, count + 1 + index)?.shape != updates.shape
        {
            return Err(context.invalid(op, "inputs or updates differ in shape"));
        }
    }
    let window_dims = indexing::dimensions(&attributes.update_window_dims, updates.rank())
        .ok_or_else(|| context.invalid(op, "update_window_dims out of range"))?;
    let mut window_sizes = window_dims.iter().map(|&dimension| updates.shape[dimension]);
    let window: Vec<i64> = (0..operand.rank() as i64)
        .map(|axis| {
            let inserted =
                attributes.inserted_window_dims.contains(&axis) || attributes.input_batching_dims.contains(&axis);
            if inserted { Some(1) } else { window_sizes.next() }
        })
        .collect::<Option<Vec<i64>>>()
        .ok_or_else(|| context.invalid(op, "update_window_dims are too few"))?;
    let scatter_dims: Vec<usize> = (0..updates.rank()).filter(|dimension| !window_dims.contains(dimension)).collect();
    if operand.elements() == 0 || updates.elements() == 0 {
        return Ok(Lowered::new(move |inputs, _| Ok(inputs[..count].iter().map(|&input| input.clone()).collect())));
    }
    let indexing = Indexing::new(
        context,
        op,
        operand,
        indices,
        &Attributes {
            slice_sizes: &window,
            start_index_map: &attributes.scatter_dims_to_operand_dims,
            operand_batching_dims: &attributes.input_batching_dims,
            start_indices_batching_dims: &attributes.scatter_indices_batching_dims,
            index_vector_dim: attributes.index_vector_dim,
        },
    )?;
    let batch: Vec<i64> = scatter_dims.iter().map(|&dimension| updates.shape[dimension]).collect();
    if shape_i32(&batch)? != indexing.batch || window_dims.len() + indexing.batch.len() != updates.rank() {
        return Err(context.invalid(op, "updates do not fit the indices"));
    }
    let in_bounds = context.constant(op.operands[count]).is_some_and(|literal| indexing.constant_in_bounds(literal));
    let geometry = Geometry {
        order: scatter_dims.iter().chain(&window_dims).map(|&dimension| dimension as i32).collect(),
        updates: [&[indexing.count()], &indexing.window[..]].concat(),
        result: shape_i32(&operand.shape)?,
        in_bounds,
        indexing,
    };

    if let Some(combiners) = combiner::combiners(context, &op.regions[0]) {
        let mut modes = Vec::new();
        for (index, &combiner) in combiners.iter().enumerate() {
            modes.push(native::Mode::new(combiner, context.operand(op, index)?.element)?);
        }
        if let Some(modes) = modes.into_iter().collect::<Option<Vec<native::Mode>>>() {
            return Ok(native::lower(geometry, modes));
        }
    }
    let unique = attributes.unique_indices || geometry.indexing.count() == 1;
    let region = context.scalar_region(op, &op.regions[0])?;
    Ok(generic::lower(geometry, region, count, unique))
}
