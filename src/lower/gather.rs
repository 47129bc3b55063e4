//! gather and dynamic_gather.
#![forbid(unsafe_code)]

use super::indexing::{self, Attributes, Indexing};
use super::{Context, LowerError, Lowered, Row, shape_i32, storage};
use crate::mlx::{self, Array, Dtype, Stream};
use crate::program::{Gather, Op, OpKind};

/// Rows of the op table.
pub static ROWS: &[Row] = &[
    Row { name: "gather", note: "", elementwise: false, lower: gather },
    Row { name: "dynamic_gather", note: "slice sizes must be constant", elementwise: false, lower: gather },
];

fn gather(context: &mut Context<'_>, op: &Op) -> Result<Lowered, LowerError> {
    let attributes = match &op.kind {
        OpKind::Gather(gather) => gather.clone(),
        OpKind::DynamicGather(gather) => {
            let sizes = op.operands.get(2).and_then(|&sizes| context.constant(sizes));
            let Some(sizes) = sizes.and_then(|literal| literal.integers()) else {
                return Err(context.unsupported(op, "its slice sizes are not constant"));
            };
            let slice_sizes = sizes.iter().map(|&size| i64::try_from(size).unwrap_or(i64::MAX)).collect();
            Gather { slice_sizes, ..gather.clone() }
        }
        _ => return Err(context.invalid(op, "not a gather")),
    };
    let (operand, indices, result) = (context.operand(op, 0)?, context.operand(op, 1)?, context.result(op, 0)?);
    let plan = Indexing::new(
        context,
        op,
        operand,
        indices,
        &Attributes {
            slice_sizes: &attributes.slice_sizes,
            start_index_map: &attributes.start_index_map,
            operand_batching_dims: &attributes.operand_batching_dims,
            start_indices_batching_dims: &attributes.start_indices_batching_dims,
            index_vector_dim: attributes.index_vector_dim,
        },
    )?;
    let shape = shape_i32(&result.shape)?;
    let offset_dims = indexing::dimensions(&attributes.offset_dims, shape.len())
        .ok_or_else(|| context.invalid(op, "offset_dims out of range"))?;
    let dropped = [&attributes.collapsed_slice_dims[..], &attributes.operand_batching_dims].concat();
    let offsets: Vec<i32> = (0..operand.rank())
        .filter(|&axis| !dropped.contains(&(axis as i64)))
        .map(|axis| plan.window[axis])
        .collect();
    if offsets.len() != offset_dims.len() || offsets.len() + plan.batch.len() != shape.len() {
        return Err(context.invalid(op, "offset_dims do not fit the slices"));
    }
    if result.elements() == 0 || operand.elements() == 0 {
        let dtype = storage(result.element).ok_or_else(|| context.unsupported(op, "its type has no storage"))?;
        return Ok(Lowered::one(move |_, stream| mlx::zeros(&shape, dtype, stream)));
    }

    // Result dimension `d` is dimension `order[d]` of batch dimensions followed by offset dimensions.
    let batch_rank = plan.batch.len();
    let (mut next_batch, mut next_offset) = (0, batch_rank);
    let order: Vec<i32> = (0..shape.len())
        .map(|dimension| {
            let next = if offset_dims.contains(&dimension) { &mut next_offset } else { &mut next_batch };
            *next += 1;
            *next as i32 - 1
        })
        .collect();
    let unordered = [&plan.batch[..], &offsets].concat();
    let in_order = order.iter().enumerate().all(|(position, &dimension)| position as i32 == dimension);
    let along = along_one_axis(&plan);

    Ok(Lowered::one(move |inputs, stream| {
        let (operand, indices) = (inputs[0], inputs[1]);
        let starts = plan.starts(indices, stream)?;
        let slices = match &along {
            Some(along) => along.take(&plan, operand, &starts[0], stream)?,
            None => {
                let operand = if operand.rank() == 0 { &mlx::reshape(operand, &[1], stream)? } else { operand };
                let starts: Vec<&Array> = starts.iter().collect();
                mlx::gather(operand, &starts, &plan.axes, &plan.window, stream)?
            }
        };
        let slices = mlx::reshape(&slices, &unordered, stream)?;
        if in_order { Ok(slices) } else { mlx::transpose(&slices, &order, stream) }
    }))
}

/// Parameters of a gather that is a take_along_axis.
struct Along {
    axis: i32,
    /// Batch dimensions in the order of the operand's, those that belong to none standing at the indexed axis.
    order: Vec<i32>,
    /// Shape of the indices as take_along_axis wants them.
    shape: Vec<i32>,
    /// Shape after taking with the batch dimensions apart again, and the way back to their order.
    apart: Vec<i32>,
    back: Vec<i32>,
}

fn along_one_axis(plan: &Indexing) -> Option<Along> {
    let axis = plan.along_one_axis()?;
    let by_axis = plan.batching_by_axis();
    let free: Vec<usize> = (0..plan.batch.len()).filter(|dimension| !by_axis.contains(&Some(*dimension))).collect();
    let mut order = Vec::new();
    let mut shape = Vec::new();
    for (each, batching) in by_axis.iter().enumerate() {
        if each == axis {
            order.extend(free.iter().map(|&dimension| dimension as i32));
            shape.push(free.iter().map(|&dimension| plan.batch[dimension]).product());
        } else {
            let dimension = (*batching)?;
            order.push(dimension as i32);
            shape.push(plan.batch[dimension]);
        }
    }
    let apart = order.iter().map(|&dimension| plan.batch[dimension as usize]).collect();
    let mut back = vec![0; order.len()];
    for (position, &dimension) in order.iter().enumerate() {
        back[dimension as usize] = position as i32;
    }
    Some(Along { axis: axis as i32, order, shape, apart, back })
}

impl Along {
    fn take(&self, plan: &Indexing, operand: &Array, starts: &Array, stream: Stream) -> mlx::Result<Array> {
        let indices = mlx::transpose(&mlx::reshape(starts, &plan.batch, stream)?, &self.order, stream)?;
        let indices = mlx::reshape(&indices, &self.shape, stream)?;
        debug_assert_eq!(indices.dtype(), Dtype::Int32);
        let taken = mlx::take_along_axis(operand, &indices, self.axis, stream)?;
        mlx::transpose(&mlx::reshape(&taken, &self.apart, stream)?, &self.back, stream)
    }
}
