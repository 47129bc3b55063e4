//! gather and dynamic_gather.
#![forbid(unsafe_code)]

use super::indexing::{self, Attributes, Indexing};
use super::{Context, LowerError, Lowered, Row, shape_i32, storage};
use crate::mlx::{self, Array, Dtype, Stream};
use crate::program::{Gather, Op, OpKind};

/// Rows of the op table.
pub static ROWS: &[Row] = &[
    Row { name: "gather", note: "", lower: gather },
    Row { name: "dynamic_gather", note: "slice sizes must be constant", lower: gather },
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
    let offsets: Vec<i32> =
        (0..operand.rank()).filter(|&axis| !dropped.contains(&(axis as i64))).map(|axis| plan.window[axis]).collect();
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
    let too_many = along.is_none() && plan.axes.len() > context.capabilities.index_arrays;

    let lowered = Lowered::one(move |inputs, stream| {
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
    });
    Ok(if too_many { lowered.on_cpu() } else { lowered })
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

#[cfg(test)]
mod tests {
    use super::super::testing::{Builder, bytes, f32s, i32s, tensor};
    use crate::program::{ElementType, Gather, OpKind};

    #[test]
    fn the_example_of_the_specification() {
        let mut builder = Builder::default();
        let operand = builder.argument(tensor(ElementType::I32, &[2, 3, 4, 2]));
        let indices = builder.argument(tensor(ElementType::I64, &[2, 2, 3, 2]));
        let gather = Gather {
            offset_dims: vec![3, 4],
            collapsed_slice_dims: vec![1],
            operand_batching_dims: vec![0],
            start_indices_batching_dims: vec![1],
            start_index_map: vec![2, 1],
            index_vector_dim: 3,
            slice_sizes: vec![1, 1, 2, 2],
            indices_are_sorted: false,
        };
        let result = builder.op(
            OpKind::Gather(gather),
            &[operand, indices],
            vec![tensor(ElementType::I32, &[2, 2, 3, 2, 2])],
            vec![],
        );
        let operand: Vec<i32> = (1..=48).collect();
        let indices: Vec<i64> = vec![0, 0, 1, 0, 2, 1, 0, 1, 1, 1, 0, 9, 0, 0, 2, 1, 2, 2, 1, 2, 0, 1, 1, 0];
        let outputs = builder.run(&result, &[bytes(&operand), bytes(&indices)]).unwrap();
        let expected = [
            1, 2, 3, 4, 3, 4, 5, 6, 13, 14, 15, 16, 33, 34, 35, 36, 35, 36, 37, 38, 41, 42, 43, 44, 1, 2, 3, 4, 13, 14,
            15, 16, 21, 22, 23, 24, 43, 44, 45, 46, 33, 34, 35, 36, 27, 28, 29, 30,
        ];
        assert_eq!(i32s(&outputs[0]), expected);
    }

    /// Rows 0 and 299 of 300, then what extreme indices of each dtype are limited to.
    #[test]
    fn indices_are_limited_in_every_dtype() {
        let gather = |element: ElementType, indices: Vec<u8>| {
            let count = (indices.len() / element.bytes()) as i64;
            let mut builder = Builder::default();
            let operand = builder.argument(tensor(ElementType::F32, &[300]));
            let starts = builder.argument(tensor(element, &[count]));
            let gather = Gather {
                offset_dims: vec![],
                collapsed_slice_dims: vec![0],
                operand_batching_dims: vec![],
                start_indices_batching_dims: vec![],
                start_index_map: vec![0],
                index_vector_dim: 1,
                slice_sizes: vec![1],
                indices_are_sorted: false,
            };
            let result = builder.op(
                OpKind::Gather(gather),
                &[operand, starts],
                vec![tensor(ElementType::F32, &[count])],
                vec![],
            );
            let operand: Vec<f32> = (0..300).map(|value| value as f32).collect();
            f32s(&builder.run(&result, &[bytes(&operand), indices]).unwrap()[0])
        };
        assert_eq!(gather(ElementType::U8, bytes(&[0u8, 255])), [0., 255.]);
        assert_eq!(gather(ElementType::I8, bytes(&[-128i8, 127])), [0., 127.]);
        assert_eq!(gather(ElementType::U16, bytes(&[299u16, 65535])), [299., 299.]);
        assert_eq!(gather(ElementType::U32, bytes(&[1u32, u32::MAX])), [1., 299.]);
        assert_eq!(gather(ElementType::I64, bytes(&[i64::MIN, i64::MAX, 1 << 32])), [0., 299., 299.]);
        assert_eq!(gather(ElementType::U64, bytes(&[u64::MAX, 7])), [299., 7.]);
    }
}
