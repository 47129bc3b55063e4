//! Rules of ops that read or write at indices computed by the program.
#![forbid(unsafe_code)]

use super::types::{Checked, Rule, axes, expect, per_dimension, require};
use crate::program::{Gather, OpKind, Scatter, TensorType};

pub(super) fn check(checked: Checked<'_>) -> Rule {
    match &checked.op.kind {
        OpKind::DynamicSlice { slice_sizes } => {
            let (operand, result) = (checked.operand(0)?, checked.result(0)?);
            per_dimension(operand, slice_sizes.len(), "slice_sizes")?;
            indices(checked, operand, 1)?;
            for (&slice, &size) in slice_sizes.iter().zip(&operand.shape) {
                require!((0..=size).contains(&slice), "slices of {slice_sizes:?} of {operand}");
            }
            expect(result, operand.element, slice_sizes, "the result")
        }
        OpKind::DynamicUpdateSlice => {
            let (operand, update) = (checked.operand(0)?, checked.operand(1)?);
            indices(checked, operand, 2)?;
            let fits = update.rank() == operand.rank()
                && update.element == operand.element
                && update.shape.iter().zip(&operand.shape).all(|(update, size)| update <= size);
            require!(fits, "an update of {update} for {operand}");
            expect(checked.result(0)?, operand.element, &operand.shape, "the result")
        }
        OpKind::Gather(fields) => gather(checked, fields),
        OpKind::Scatter(fields) => scatter(checked, fields),
        _ => Ok(()),
    }
}

/// One scalar integer per dimension, from operand `first` on, all of one type.
fn indices(checked: Checked<'_>, operand: &TensorType, first: usize) -> Rule {
    let count = checked.op.operands.len().saturating_sub(first);
    require!(count == operand.rank(), "{count} indices for {operand}");
    for index in first..checked.op.operands.len() {
        let ty = checked.operand(index)?;
        require!(ty.rank() == 0 && ty.element.is_integer(), "an index of {ty}");
    }
    Ok(())
}

/// The shape of the batch of index vectors, and the length of one vector.
fn index_vectors(indices: &TensorType, index_vector_dim: i64) -> Result<(Vec<i64>, usize), String> {
    require!(indices.element.is_integer(), "indices of {indices}");
    let axis = usize::try_from(index_vector_dim).map_err(|_| format!("index_vector_dim {index_vector_dim}"))?;
    require!(axis <= indices.rank(), "index_vector_dim {index_vector_dim} of {indices}");
    let mut batch = indices.shape.clone();
    let length = if axis < batch.len() { usize::try_from(batch.remove(axis)).unwrap_or(0) } else { 1 };
    Ok((batch, length))
}

/// Dimensions in rising order, none twice, all inside of `rank`.
fn rising(dimensions: &[i64], rank: usize, what: &str) -> Rule {
    let in_order = dimensions.windows(2).all(|pair| pair[0] < pair[1]);
    let inside = dimensions.iter().all(|&dimension| usize::try_from(dimension).is_ok_and(|axis| axis < rank));
    require!(in_order && inside, "{what}: {dimensions:?} for rank {rank}");
    Ok(())
}

/// Batching dimensions of both sides agree in number and size.
fn batching(
    operand: &TensorType,
    operand_dims: &[i64],
    indices: &TensorType,
    indices_dims: &[i64],
    index_vector_dim: i64,
) -> Rule {
    let left = axes(operand, operand_dims, "batching dimensions")?;
    let right = axes(indices, indices_dims, "batching dimensions of the indices")?;
    require!(left.len() == right.len(), "batching dimensions {operand_dims:?} and {indices_dims:?}");
    require!(!indices_dims.contains(&index_vector_dim), "index_vector_dim is a batching dimension");
    for (left, right) in left.into_iter().zip(right) {
        require!(operand.shape[left] == indices.shape[right], "batching dimensions of {operand} and {indices}");
    }
    Ok(())
}

/// No dimension stands in two of the lists.
fn disjoint(lists: &[&[i64]], what: &str) -> Rule {
    let mut all = lists.concat();
    all.sort_unstable();
    require!(all.windows(2).all(|pair| pair[0] != pair[1]), "{what}: a dimension stands twice in {lists:?}");
    Ok(())
}

fn gather(checked: Checked<'_>, fields: &Gather) -> Rule {
    let (operand, indices, result) = (checked.operand(0)?, checked.operand(1)?, checked.result(0)?);
    let (batch, vector) = index_vectors(indices, fields.index_vector_dim)?;
    axes(operand, &fields.start_index_map, "start_index_map")?;
    require!(fields.start_index_map.len() == vector, "start_index_map for vectors of {vector}");
    per_dimension(operand, fields.slice_sizes.len(), "slice_sizes")?;
    for (&slice, &size) in fields.slice_sizes.iter().zip(&operand.shape) {
        require!((0..=size).contains(&slice), "slices of {:?} of {operand}", fields.slice_sizes);
    }
    axes(operand, &fields.collapsed_slice_dims, "collapsed_slice_dims")?;
    batching(
        operand,
        &fields.operand_batching_dims,
        indices,
        &fields.start_indices_batching_dims,
        fields.index_vector_dim,
    )?;
    disjoint(&[&fields.collapsed_slice_dims, &fields.operand_batching_dims], "collapsed and batching dimensions")?;
    disjoint(&[&fields.start_index_map, &fields.operand_batching_dims], "indexed and batching dimensions")?;
    let is_dropped = |dimension: usize| {
        let dimension = dimension as i64;
        fields.collapsed_slice_dims.contains(&dimension) || fields.operand_batching_dims.contains(&dimension)
    };
    let mut offsets = Vec::new();
    for (dimension, &slice) in fields.slice_sizes.iter().enumerate() {
        if is_dropped(dimension) {
            require!(slice <= 1, "a slice of {slice} along a dropped dimension");
        } else {
            offsets.push(slice);
        }
    }
    let rank = batch.len() + fields.offset_dims.len();
    rising(&fields.offset_dims, rank, "offset_dims")?;
    require!(offsets.len() == fields.offset_dims.len(), "offset_dims for slices of {:?}", fields.slice_sizes);
    let (mut batch, mut offsets) = (batch.into_iter(), offsets.into_iter());
    let shape: Option<Vec<i64>> = (0..rank as i64)
        .map(|dimension| if fields.offset_dims.contains(&dimension) { offsets.next() } else { batch.next() })
        .collect();
    expect(result, operand.element, &shape.ok_or("offset_dims")?, "the result")
}

fn scatter(checked: Checked<'_>, fields: &Scatter) -> Rule {
    let count = checked.op.operands.len() / 2;
    require!(checked.op.results.len() == count, "{} results for {count} inputs", checked.op.results.len());
    let (input, indices) = (checked.operand(0)?, checked.operand(count)?);
    let (batch, vector) = index_vectors(indices, fields.index_vector_dim)?;
    axes(input, &fields.scatter_dims_to_operand_dims, "scatter_dims_to_operand_dims")?;
    require!(
        fields.scatter_dims_to_operand_dims.len() == vector,
        "scatter_dims_to_operand_dims for vectors of {vector}"
    );
    axes(input, &fields.inserted_window_dims, "inserted_window_dims")?;
    batching(
        input,
        &fields.input_batching_dims,
        indices,
        &fields.scatter_indices_batching_dims,
        fields.index_vector_dim,
    )?;
    disjoint(&[&fields.inserted_window_dims, &fields.input_batching_dims], "inserted and batching dimensions")?;
    disjoint(&[&fields.scatter_dims_to_operand_dims, &fields.input_batching_dims], "indexed and batching dimensions")?;
    let windows = input.rank() - fields.inserted_window_dims.len() - fields.input_batching_dims.len();
    require!(
        fields.update_window_dims.len() == windows,
        "{} update_window_dims for {windows} dimensions of a window",
        fields.update_window_dims.len()
    );
    let rank = batch.len() + windows;
    rising(&fields.update_window_dims, rank, "update_window_dims")?;
    let kept: Vec<i64> = (0..input.rank() as i64)
        .filter(|dimension| {
            !fields.inserted_window_dims.contains(dimension) && !fields.input_batching_dims.contains(dimension)
        })
        .map(|dimension| input.shape[dimension as usize])
        .collect();
    for index in 0..count {
        let (each, update) = (checked.operand(index)?, checked.operand(count + 1 + index)?);
        require!(each.shape == input.shape, "inputs of {input} and {each}");
        require!(update.rank() == rank, "updates of {update}, expected rank {rank}");
        let (mut batch, mut kept) = (batch.iter(), kept.iter());
        for (dimension, &size) in update.shape.iter().enumerate() {
            let fits = if fields.update_window_dims.contains(&(dimension as i64)) {
                kept.next().is_some_and(|&most| size <= most)
            } else {
                batch.next() == Some(&size)
            };
            require!(fits, "updates of {update} for {input} at {indices}");
        }
        expect(checked.result(index)?, checked.result(index)?.element, &input.shape, "the result")?;
    }
    checked.combiner(0, count, None)
}
