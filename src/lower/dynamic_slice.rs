//! dynamic_slice and dynamic_update_slice: start indices are clamped so that the slice lies inside.
#![forbid(unsafe_code)]

use super::{Context, LowerError, Lowered, Row, shape_i32, storage};
use crate::mlx::{self, Array, Dtype, Stream};
use crate::program::{Op, OpKind};

/// Rows of the op table.
pub static ROWS: &[Row] = &[
    Row { name: "dynamic_slice", note: "", lower: dynamic_slice },
    Row { name: "dynamic_update_slice", note: "", lower: dynamic_update_slice },
];

/// Where a slice starts.
enum Start {
    /// Known at compile time, clamped.
    Static(Vec<i32>),
    /// Known per call: inputs that hold the indices of `axes`, and the greatest start of each. Axes that the slice fills
    /// are left out, those of constant index are among them only when another is dynamic.
    Dynamic { axes: Vec<i32>, inputs: Vec<usize>, limits: Array },
}

impl Start {
    fn new(context: &Context<'_>, op: &Op, first: usize, shape: &[i64], sizes: &[i64]) -> Result<Self, LowerError> {
        if op.operands.len() != first + shape.len() || sizes.len() != shape.len() {
            return Err(context.invalid(op, "one start index per dimension expected"));
        }
        let mut fixed = Vec::with_capacity(shape.len());
        let (mut axes, mut inputs, mut limits) = (Vec::new(), Vec::new(), Vec::new());
        for axis in 0..shape.len() {
            let limit = shape[axis] - sizes[axis];
            if limit < 0 || sizes[axis] < 0 {
                return Err(context.invalid(op, "the slice is larger than the operand"));
            }
            let known = context.constant(op.operands[first + axis]).and_then(|literal| literal.integers());
            fixed.push(match known.as_deref() {
                _ if limit == 0 => Some(0),
                Some(&[index]) => Some(i64::try_from(index.clamp(0, i128::from(limit))).unwrap_or(limit)),
                _ => None,
            });
            if limit > 0 {
                axes.push(axis as i32);
                inputs.push(first + axis);
                limits.push(shape_i32(&[limit])?[0]);
            }
        }
        if let Some(fixed) = fixed.iter().copied().collect::<Option<Vec<i64>>>() {
            return Ok(Start::Static(shape_i32(&fixed)?));
        }
        let bytes: Vec<u8> = limits.iter().flat_map(|limit| limit.to_le_bytes()).collect();
        let limits = Array::from_bytes(&bytes, &[limits.len() as i32], Dtype::Int32)?;
        Ok(Start::Dynamic { axes, inputs, limits })
    }
}

/// The clamped indices as one i32 vector.
fn start_vector(inputs: &[&Array], which: &[usize], limits: &Array, stream: Stream) -> mlx::Result<Array> {
    let pieces = which
        .iter()
        .map(|&index| mlx::reshape(&to_i32(inputs[index], stream)?, &[1], stream))
        .collect::<mlx::Result<smallvec::SmallVec<[Array; 4]>>>()?;
    let vector = match &pieces[..] {
        [only] => only.clone(),
        several => mlx::concatenate(&several.iter().collect::<Vec<_>>(), 0, stream)?,
    };
    let zero = Array::scalar(0i32)?;
    mlx::maximum(&mlx::minimum(&vector, limits, stream)?, &zero, stream)
}

/// An index as i32; what lies beyond becomes the nearest i32, which the clamp to a dimension does not change.
pub(super) fn to_i32(index: &Array, stream: Stream) -> mlx::Result<Array> {
    match index.dtype() {
        Dtype::Int32 => Ok(index.clone()),
        Dtype::Uint32 | Dtype::Uint64 => {
            let most = mlx::astype(&Array::scalar(i32::MAX)?, index.dtype(), stream)?;
            mlx::astype(&mlx::minimum(index, &most, stream)?, Dtype::Int32, stream)
        }
        Dtype::Int64 => {
            let most = Array::scalar(i64::from(i32::MAX))?;
            let least = Array::scalar(i64::from(i32::MIN))?;
            let index = mlx::maximum(&mlx::minimum(index, &most, stream)?, &least, stream)?;
            mlx::astype(&index, Dtype::Int32, stream)
        }
        _ => mlx::astype(index, Dtype::Int32, stream),
    }
}

fn dynamic_slice(context: &mut Context<'_>, op: &Op) -> Result<Lowered, LowerError> {
    let OpKind::DynamicSlice { slice_sizes } = &op.kind else { return Err(context.invalid(op, "wrong fields")) };
    let operand = context.operand(op, 0)?;
    let start = Start::new(context, op, 1, &operand.shape, slice_sizes)?;
    let sizes = shape_i32(slice_sizes)?;
    if operand.shape == *slice_sizes {
        return Ok(Lowered::one(|inputs, _| Ok(inputs[0].clone())));
    }
    Ok(match start {
        Start::Static(start) => {
            let stop: Vec<i32> = start.iter().zip(&sizes).map(|(start, size)| start + size).collect();
            let ones = vec![1; sizes.len()];
            Lowered::one(move |inputs, stream| mlx::slice(inputs[0], &start, &stop, &ones, stream))
        }
        Start::Dynamic { axes, inputs: which, limits } => Lowered::one(move |inputs, stream| {
            let start = start_vector(inputs, &which, &limits, stream)?;
            mlx::slice_dynamic(inputs[0], &start, &axes, &sizes, stream)
        }),
    })
}

fn dynamic_update_slice(context: &mut Context<'_>, op: &Op) -> Result<Lowered, LowerError> {
    let (operand, update) = (context.operand(op, 0)?, context.operand(op, 1)?);
    let start = Start::new(context, op, 2, &operand.shape, &update.shape)?;
    if storage(operand.element) != storage(update.element) {
        return Err(context.invalid(op, "operand and update differ in type"));
    }
    if update.elements() == 0 {
        return Ok(Lowered::one(|inputs, _| Ok(inputs[0].clone())));
    }
    if operand.shape == update.shape {
        return Ok(Lowered::one(|inputs, _| Ok(inputs[1].clone())));
    }
    Ok(match start {
        Start::Static(start) => {
            let sizes = shape_i32(&update.shape)?;
            let stop: Vec<i32> = start.iter().zip(&sizes).map(|(start, size)| start + size).collect();
            let ones = vec![1; sizes.len()];
            Lowered::one(move |inputs, stream| mlx::slice_update(inputs[0], inputs[1], &start, &stop, &ones, stream))
        }
        Start::Dynamic { axes, inputs: which, limits } => Lowered::one(move |inputs, stream| {
            let start = start_vector(inputs, &which, &limits, stream)?;
            mlx::slice_update_dynamic(inputs[0], inputs[1], &start, &axes, stream)
        }),
    })
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Builder, bytes, i32s, tensor};
    use super::*;
    use crate::program::ElementType;

    fn cut(element: ElementType, index: Vec<u8>) -> Vec<i32> {
        let mut builder = Builder::default();
        let a = builder.argument(tensor(ElementType::I32, &[5]));
        let at = builder.argument(tensor(element, &[]));
        let kind = OpKind::DynamicSlice { slice_sizes: vec![2] };
        let result = builder.op(kind, &[a, at], vec![tensor(ElementType::I32, &[2])], vec![]);
        i32s(&builder.run(&result, &[bytes(&[0, 1, 2, 3, 4]), index]).unwrap()[0])
    }

    #[test]
    fn clamps_indices_of_every_type() {
        assert_eq!(cut(ElementType::I32, bytes(&[2i32])), [2, 3]);
        assert_eq!(cut(ElementType::I32, bytes(&[-7i32])), [0, 1]);
        assert_eq!(cut(ElementType::U32, bytes(&[u32::MAX])), [3, 4]);
        assert_eq!(cut(ElementType::I64, bytes(&[i64::MIN])), [0, 1]);
        assert_eq!(cut(ElementType::U8, bytes(&[255u8])), [3, 4]);
    }

    #[test]
    fn updates_in_bounds() {
        let mut builder = Builder::default();
        let a = builder.argument(tensor(ElementType::I32, &[2, 3]));
        let update = builder.argument(tensor(ElementType::I32, &[1, 2]));
        let row = builder.argument(tensor(ElementType::I32, &[]));
        let column = builder.argument(tensor(ElementType::I32, &[]));
        let ty = tensor(ElementType::I32, &[2, 3]);
        let result = builder.op(OpKind::DynamicUpdateSlice, &[a, update, row, column], vec![ty], vec![]);
        let inputs = [bytes(&[0; 6]), bytes(&[7, 8]), bytes(&[9]), bytes(&[1])];
        assert_eq!(i32s(&builder.run(&result, &inputs).unwrap()[0]), [0, 0, 0, 0, 7, 8]);
    }
}
