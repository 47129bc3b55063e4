//! Ops that only move elements: reshape, broadcast_in_dim, transpose, reverse, slice, pad, concatenate, iota.
#![forbid(unsafe_code)]

use super::{Context, LowerError, Lowered, Row, shape_i32, storage};
use crate::mlx::{self, Array, DeviceKind, Stream};
use crate::program::{CompileError, ElementType, Literal, Op, OpKind};

/// Rows of the op table.
pub static ROWS: &[Row] = &[
    Row { name: "reshape", note: "", lower: reshape },
    Row { name: "broadcast_in_dim", note: "", lower: broadcast_in_dim },
    Row { name: "broadcast", note: "", lower: broadcast },
    Row { name: "transpose", note: "", lower: transpose },
    Row { name: "reverse", note: "", lower: reverse },
    Row { name: "slice", note: "", lower: slice },
    Row { name: "pad", note: "negative and interior padding included", lower: pad },
    Row { name: "concatenate", note: "", lower: concatenate },
    Row { name: "iota", note: "floats of 8 bits or fewer excepted", lower: iota },
    Row { name: "get_dimension_size", note: "static shapes", lower: get_dimension_size },
    Row { name: "optimization_barrier", note: "", lower: optimization_barrier },
];

/// An array of a literal's elements, in their storage dtype.
///
/// # Errors
/// When MLX has no dtype for them, or memory is short.
pub fn literal_array(literal: &Literal) -> Result<Array, LowerError> {
    let element = literal.ty.element;
    let dtype = storage(element)
        .ok_or_else(|| CompileError::Unimplemented(format!("a constant of {element} is not supported on mps")))?;
    let shape = shape_i32(&literal.ty.shape)?;
    if !literal.splat || literal.ty.elements() == 0 {
        let data = if literal.splat { &[][..] } else { &literal.data };
        return Ok(Array::from_bytes(data, &shape, dtype)?);
    }
    let scalar = Array::from_bytes(&literal.data, &[], dtype)?;
    if shape.is_empty() {
        return Ok(scalar);
    }
    // One element with strides of zero: no memory, and MLX's elementwise kernels treat it as the scalar that it is.
    let stream = Stream::get(DeviceKind::Cpu)?;
    let array = mlx::broadcast_to(&scalar, &shape, stream)?;
    stream.evaluate(&[&array])?;
    Ok(array)
}

/// An array without elements.
pub(super) fn empty(element: ElementType, shape: &[i64]) -> Result<Array, LowerError> {
    let dtype = storage(element)
        .ok_or_else(|| CompileError::Unimplemented(format!("an array of {element} is not supported on mps")))?;
    Ok(Array::from_bytes(&[], &shape_i32(shape)?, dtype)?)
}

fn identity() -> Lowered {
    Lowered::one(|inputs, _| Ok(inputs[0].clone()))
}

/// In a scalar region only scalars may stay what they are.
fn in_scalar_region(context: &Context<'_>, op: &Op) -> Result<Lowered, LowerError> {
    if context.operand(op, 0)?.rank() == 0 && context.result(op, 0)?.rank() == 0 {
        return Ok(identity());
    }
    Err(context.unsupported(op, "it stands in a region that must be elementwise"))
}

fn reshape(context: &mut Context<'_>, op: &Op) -> Result<Lowered, LowerError> {
    if context.scalar {
        return in_scalar_region(context, op);
    }
    let (operand, result) = (context.operand(op, 0)?, context.result(op, 0)?);
    if operand.elements() != result.elements() {
        return Err(context.invalid(op, "operand and result differ in number of elements"));
    }
    if operand.shape == result.shape {
        return Ok(identity());
    }
    let shape = shape_i32(&result.shape)?;
    Ok(Lowered::one(move |inputs, stream| mlx::reshape(inputs[0], &shape, stream)))
}

fn broadcast_in_dim(context: &mut Context<'_>, op: &Op) -> Result<Lowered, LowerError> {
    if context.scalar {
        return in_scalar_region(context, op);
    }
    let OpKind::BroadcastInDim { broadcast_dimensions } = &op.kind else {
        return Err(context.invalid(op, "wrong fields"));
    };
    let (operand, result) = (context.operand(op, 0)?, context.result(op, 0)?);
    if broadcast_dimensions.len() != operand.rank() {
        return Err(context.invalid(op, "one broadcast dimension per dimension of the operand expected"));
    }
    if operand.shape == result.shape && broadcast_dimensions.iter().enumerate().all(|(i, &d)| d == i as i64) {
        return Ok(identity());
    }
    let mut order: Vec<usize> = (0..operand.rank()).collect();
    order.sort_by_key(|&axis| broadcast_dimensions[axis]);
    let mut aligned = vec![1i64; result.rank()];
    for &axis in &order {
        let target = usize::try_from(broadcast_dimensions[axis])
            .ok()
            .filter(|&target| target < result.rank())
            .ok_or_else(|| context.invalid(op, "broadcast dimension out of range"))?;
        if operand.shape[axis] != 1 && operand.shape[axis] != result.shape[target] {
            return Err(context.invalid(op, "operand and result sizes differ in a broadcast dimension"));
        }
        aligned[target] = operand.shape[axis];
    }
    let permutation: Option<Vec<i32>> = (!order.is_sorted()).then(|| order.iter().map(|&axis| axis as i32).collect());
    let reshaped = (aligned != operand.shape).then(|| shape_i32(&aligned)).transpose()?;
    let shape = shape_i32(&result.shape)?;
    Ok(Lowered::one(move |inputs, stream| {
        let mut array = inputs[0].clone();
        if let Some(permutation) = &permutation {
            array = mlx::transpose(&array, permutation, stream)?;
        }
        // A scalar needs no reshape: MLX aligns trailing dimensions.
        if let Some(aligned) = &reshaped
            && array.rank() > 0
        {
            array = mlx::reshape(&array, aligned, stream)?;
        }
        mlx::broadcast_to(&array, &shape, stream)
    }))
}

fn broadcast(context: &mut Context<'_>, op: &Op) -> Result<Lowered, LowerError> {
    let shape = shape_i32(&context.result(op, 0)?.shape)?;
    Ok(Lowered::one(move |inputs, stream| mlx::broadcast_to(inputs[0], &shape, stream)))
}

fn transpose(context: &mut Context<'_>, op: &Op) -> Result<Lowered, LowerError> {
    let OpKind::Transpose { permutation } = &op.kind else { return Err(context.invalid(op, "wrong fields")) };
    let rank = context.operand(op, 0)?.rank();
    let mut sorted = permutation.clone();
    sorted.sort_unstable();
    if !sorted.iter().copied().eq(0..rank as i64) {
        return Err(context.invalid(op, "not a permutation"));
    }
    if permutation.is_sorted() {
        return Ok(identity());
    }
    let axes = shape_i32(permutation)?;
    Ok(Lowered::one(move |inputs, stream| mlx::transpose(inputs[0], &axes, stream)))
}

fn reverse(context: &mut Context<'_>, op: &Op) -> Result<Lowered, LowerError> {
    let OpKind::Reverse { dimensions } = &op.kind else { return Err(context.invalid(op, "wrong fields")) };
    let shape = shape_i32(&context.operand(op, 0)?.shape)?;
    let mut start = vec![0; shape.len()];
    let mut stop = shape.clone();
    let mut strides = vec![1; shape.len()];
    for &dimension in dimensions {
        let axis = usize::try_from(dimension)
            .ok()
            .filter(|&axis| axis < shape.len())
            .ok_or_else(|| context.invalid(op, "dimension out of range"))?;
        // A stop of -size - 1 means "before the first element".
        (start[axis], stop[axis], strides[axis]) = (shape[axis] - 1, -shape[axis] - 1, -1);
    }
    Ok(Lowered::one(move |inputs, stream| mlx::slice(inputs[0], &start, &stop, &strides, stream)))
}

fn slice(context: &mut Context<'_>, op: &Op) -> Result<Lowered, LowerError> {
    let OpKind::Slice { start_indices, limit_indices, strides } = &op.kind else {
        return Err(context.invalid(op, "wrong fields"));
    };
    let operand = context.operand(op, 0)?;
    let fits = start_indices.len() == operand.rank()
        && limit_indices.len() == operand.rank()
        && strides.len() == operand.rank()
        && (0..operand.rank()).all(|axis| {
            0 <= start_indices[axis]
                && start_indices[axis] <= limit_indices[axis]
                && limit_indices[axis] <= operand.shape[axis]
                && strides[axis] > 0
        });
    if !fits {
        return Err(context.invalid(op, "bounds out of range"));
    }
    let (start, stop, strides) = (shape_i32(start_indices)?, shape_i32(limit_indices)?, shape_i32(strides)?);
    Ok(Lowered::one(move |inputs, stream| mlx::slice(inputs[0], &start, &stop, &strides, stream)))
}

/// Parameters of a pad, done in the order of the spec: interior first, then edges, of which negative ones cut.
struct Padding {
    /// Shape and strides of the interior-padded array, when there is interior padding.
    interior: Option<(Vec<i32>, Vec<i32>)>,
    axes: Vec<i32>,
    low: Vec<i32>,
    high: Vec<i32>,
    cut: Option<(Vec<i32>, Vec<i32>)>,
}

/// Pads an array of `shape` by edges and interior; shared by pad, convolution and windows.
///
/// # Errors
/// When sizes do not fit in 32 bits.
pub(super) fn padding(
    shape: &[i64],
    low: &[i64],
    high: &[i64],
    interior: &[i64],
) -> Result<impl Fn(&Array, &Array, Stream) -> mlx::Result<Array> + Send + Sync + use<>, LowerError> {
    let rank = shape.len();
    let dilated: Vec<i64> = (0..rank).map(|axis| shape[axis] + (shape[axis] - 1).max(0) * interior[axis]).collect();
    let padded: Vec<i64> = (0..rank).map(|axis| dilated[axis] + low[axis].max(0) + high[axis].max(0)).collect();
    let result: Vec<i64> = (0..rank).map(|axis| (dilated[axis] + low[axis] + high[axis]).max(0)).collect();
    let empty_input = shape.contains(&0);
    let result_shape = shape_i32(&result)?;
    let steps: Vec<i64> = interior.iter().map(|&interior| interior + 1).collect();
    let plan = Padding {
        interior: interior
            .iter()
            .any(|&interior| interior != 0)
            .then(|| Ok::<_, LowerError>((shape_i32(&dilated)?, shape_i32(&steps)?)))
            .transpose()?,
        axes: (0..rank as i32).collect(),
        low: shape_i32(&low.iter().map(|&low| low.max(0)).collect::<Vec<_>>())?,
        high: shape_i32(&high.iter().map(|&high| high.max(0)).collect::<Vec<_>>())?,
        cut: (0..rank)
            .any(|axis| low[axis] < 0 || high[axis] < 0)
            .then(|| {
                let start: Vec<i64> = (0..rank).map(|axis| (-low[axis]).max(0).min(padded[axis])).collect();
                let stop: Vec<i64> = (0..rank).map(|axis| start[axis] + result[axis]).collect();
                Ok::<_, LowerError>((shape_i32(&start)?, shape_i32(&stop)?))
            })
            .transpose()?,
    };
    let ones = vec![1; rank];
    let zeros = vec![0; rank];
    let edges = plan.low.iter().chain(&plan.high).any(|&edge| edge != 0);
    Ok(move |array: &Array, value: &Array, stream: Stream| {
        if empty_input || result_shape.contains(&0) {
            return mlx::full(&result_shape, value, array.dtype(), stream);
        }
        let mut array = array.clone();
        if let Some((shape, strides)) = &plan.interior {
            let background = mlx::full(shape, value, array.dtype(), stream)?;
            array = mlx::slice_update(&background, &array, &zeros, shape, strides, stream)?;
        }
        if edges {
            array = mlx::pad(&array, &plan.axes, &plan.low, &plan.high, value, stream)?;
        }
        if let Some((start, stop)) = &plan.cut {
            array = mlx::slice(&array, start, stop, &ones, stream)?;
        }
        Ok(array)
    })
}

fn pad(context: &mut Context<'_>, op: &Op) -> Result<Lowered, LowerError> {
    let OpKind::Pad { edge_padding_low, edge_padding_high, interior_padding } = &op.kind else {
        return Err(context.invalid(op, "wrong fields"));
    };
    let operand = context.operand(op, 0)?;
    let ranks = [edge_padding_low.len(), edge_padding_high.len(), interior_padding.len()];
    if ranks != [operand.rank(); 3] || interior_padding.iter().any(|&interior| interior < 0) {
        return Err(context.invalid(op, "padding does not fit the operand"));
    }
    let pad = padding(&operand.shape, edge_padding_low, edge_padding_high, interior_padding)?;
    Ok(Lowered::one(move |inputs, stream| pad(inputs[0], inputs[1], stream)))
}

fn concatenate(context: &mut Context<'_>, op: &Op) -> Result<Lowered, LowerError> {
    let OpKind::Concatenate { dimension } = op.kind else { return Err(context.invalid(op, "wrong fields")) };
    let mut filled = Vec::new();
    for index in 0..op.operands.len() {
        if context.operand(op, index)?.elements() > 0 {
            filled.push(index);
        }
    }
    let axis = i32::try_from(dimension).map_err(|_| context.invalid(op, "dimension out of range"))?;
    if let &[only] = &filled[..] {
        return Ok(Lowered::one(move |inputs, _| Ok(inputs[only].clone())));
    }
    Ok(Lowered::one(move |inputs, stream| {
        let arrays: smallvec::SmallVec<[&Array; 8]> = filled.iter().map(|&index| inputs[index]).collect();
        mlx::concatenate(&arrays, axis, stream)
    }))
}

fn iota(context: &mut Context<'_>, op: &Op) -> Result<Lowered, LowerError> {
    let OpKind::Iota { iota_dimension } = op.kind else { return Err(context.invalid(op, "wrong fields")) };
    let result = context.result(op, 0)?;
    let axis = usize::try_from(iota_dimension)
        .ok()
        .filter(|&axis| axis < result.rank())
        .ok_or_else(|| context.invalid(op, "dimension out of range"))?;
    let bytes = counting(result.element, result.shape[axis])?
        .ok_or_else(|| context.unsupported(op, "counting in this element type"))?;
    let dtype = storage(result.element).ok_or_else(|| context.unsupported(op, "mlx has no such dtype"))?;
    let mut aligned = vec![1; result.rank()];
    aligned[axis] = shape_i32(&result.shape[axis..=axis])?[0];
    let counted = Array::from_bytes(&bytes, &aligned, dtype)?;
    let shape = shape_i32(&result.shape)?;
    Ok(Lowered::one(move |_, stream| {
        if *counted.shape() == *shape { Ok(counted.clone()) } else { mlx::broadcast_to(&counted, &shape, stream) }
    }))
}

/// `0..count` in the element type, wrapping as the type does; None for types that do not count.
fn counting(element: ElementType, count: i64) -> mlx::Result<Option<Vec<u8>>> {
    use ElementType::*;
    let mut bytes = Vec::new();
    let length = usize::try_from(count).unwrap_or(usize::MAX).saturating_mul(element.bytes());
    bytes
        .try_reserve_exact(length)
        .map_err(|_| mlx::Error::new(format!("[malloc] Unable to allocate {length} bytes.")))?;
    for value in 0..count {
        match element {
            // The low bits, extended as storage wants.
            I2 => bytes.push((((value as i8) << 6) >> 6) as u8),
            I4 => bytes.push((((value as i8) << 4) >> 4) as u8),
            U2 => bytes.push(value as u8 & 3),
            U4 => bytes.push(value as u8 & 15),
            Bool => bytes.push(u8::from(value != 0)),
            F16 => bytes.extend(half::f16::from_f64(value as f64).to_le_bytes()),
            BF16 => bytes.extend(half::bf16::from_f64(value as f64).to_le_bytes()),
            F32 => bytes.extend((value as f32).to_le_bytes()),
            F64 => bytes.extend((value as f64).to_le_bytes()),
            C64 => {
                bytes.extend((value as f32).to_le_bytes());
                bytes.extend(0f32.to_le_bytes());
            }
            _ if element.is_integer() => bytes.extend(&value.to_le_bytes()[..element.bytes()]),
            _ => return Ok(None),
        }
    }
    Ok(Some(bytes))
}

fn get_dimension_size(context: &mut Context<'_>, op: &Op) -> Result<Lowered, LowerError> {
    let OpKind::GetDimensionSize { dimension } = op.kind else { return Err(context.invalid(op, "wrong fields")) };
    let operand = context.operand(op, 0)?;
    let size = usize::try_from(dimension).ok().and_then(|axis| operand.shape.get(axis).copied());
    let size = size.ok_or_else(|| context.invalid(op, "dimension out of range"))?;
    let size = i32::try_from(size).map_err(|_| context.invalid(op, "the size does not fit in 32 bits"))?;
    let array = Array::scalar(size)?;
    Ok(Lowered::one(move |_, _| Ok(array.clone())))
}

fn optimization_barrier(_: &mut Context<'_>, _: &Op) -> Result<Lowered, LowerError> {
    Ok(Lowered::new(|inputs, _| Ok(inputs.iter().map(|&input| input.clone()).collect())))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Builder, bytes, i32s, tensor};
    use super::*;

    fn unary(kind: OpKind, from: &[i64], to: &[i64], input: &[i32]) -> Vec<i32> {
        let mut builder = Builder::default();
        let a = builder.argument(tensor(ElementType::I32, from));
        let result = builder.op(kind, &[a], vec![tensor(ElementType::I32, to)], vec![]);
        i32s(&builder.run(&result, &[bytes(input)]).unwrap()[0])
    }

    #[test]
    fn broadcasts_along_unordered_dimensions() {
        let kind = OpKind::BroadcastInDim { broadcast_dimensions: vec![1, 0] };
        assert_eq!(unary(kind, &[3, 2], &[2, 3], &[1, 2, 3, 4, 5, 6]), [1, 3, 5, 2, 4, 6]);
    }

    #[test]
    fn reverses_and_slices_with_strides() {
        assert_eq!(unary(OpKind::Reverse { dimensions: vec![0] }, &[4], &[4], &[1, 2, 3, 4]), [4, 3, 2, 1]);
        let kind = OpKind::Slice { start_indices: vec![1], limit_indices: vec![4], strides: vec![2] };
        assert_eq!(unary(kind, &[4], &[2], &[1, 2, 3, 4]), [2, 4]);
    }

    #[test]
    fn pads_negatively_and_inside() {
        let mut builder = Builder::default();
        let a = builder.argument(tensor(ElementType::I32, &[3]));
        let value = builder.argument(tensor(ElementType::I32, &[]));
        let kind = OpKind::Pad { edge_padding_low: vec![-1], edge_padding_high: vec![2], interior_padding: vec![1] };
        let result = builder.op(kind, &[a, value], vec![tensor(ElementType::I32, &[6])], vec![]);
        let output = builder.run(&result, &[bytes(&[1, 2, 3]), bytes(&[9])]).unwrap();
        assert_eq!(i32s(&output[0]), [9, 2, 9, 3, 9, 9]);
    }

    #[test]
    fn counts_in_small_integers_with_wrap() {
        assert_eq!(counting(ElementType::I4, 10).unwrap().unwrap()[7..], [7, 0xf8, 0xf9]);
        assert_eq!(counting(ElementType::U2, 5).unwrap().unwrap(), [0, 1, 2, 3, 0]);
    }
}
