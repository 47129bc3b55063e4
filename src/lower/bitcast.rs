//! bitcast_convert between types of different sizes, which changes the shape.
#![forbid(unsafe_code)]

use super::expression::{Elementwise, expression, lowered};
use super::{Context, LowerError, Lowered, shape_i32, storage};
use crate::expression::convert::{extended, unextended, width};
use crate::expression::{Expression, Known, Scalar, elementwise};
use crate::mlx::{self, Array, Dtype, Stream};
use crate::program::{ElementType, Op};

pub(super) fn bitcast_convert(context: &mut Context<'_>, op: &Op) -> Result<Lowered, LowerError> {
    let (from, to) = (context.operand(op, 0)?, context.result(op, 0)?);
    let (from_bits, to_bits) = (width(from.element), width(to.element));
    let (Some(_), Some(dtype)) = (storage(from.element), storage(to.element)) else {
        return Err(context.unsupported(op, "mlx has no such type"));
    };
    let (from, to) = (from.element, to.element);
    if from == to {
        return Ok(Lowered::one(|inputs, _| Ok(inputs[0].clone())));
    }
    let shape = shape_i32(&context.result(op, 0)?.shape)?;
    if from_bits == to_bits {
        let expression = elementwise(&op.kind, &[Known::of(from)], to, &context.target(op))
            .map_err(|refusal| context.refused(op, &refusal))?;
        return lowered(&expression);
    }
    if context.scalar {
        return Err(context.unsupported(op, "it changes the shape in a region that must be elementwise"));
    }
    let (wide, narrow) = (from_bits.max(to_bits), from_bits.min(to_bits));
    if wide % narrow != 0 || (narrow < 8 && 8 % narrow != 0) || [from, to].contains(&ElementType::Bool) {
        return Err(context.unsupported(op, "neither width is a multiple of the other"));
    }
    if context.result(op, 0)?.elements() == 0 {
        return Ok(Lowered::one(move |_, stream| mlx::zeros(&shape, dtype, stream)));
    }
    let target = context.target(op);
    let no_type = || context.unsupported(op, "mlx has no such type");
    let bits = expression(&target, &[from], |terms| [unextended(&terms[0], from)]).ok_or_else(no_type)?;
    let splits = from_bits > to_bits;
    let part = Scalar::of(to).map(|scalar| if splits { scalar.unsigned() } else { scalar }).ok_or_else(no_type)?;
    let elements = Expression::define(&target, &[part], |terms| [extended(&terms[0], to)]);
    let (bits, elements) = (Elementwise::new(&bits)?, Elementwise::new(&elements)?);
    Ok(Lowered::one(move |inputs, stream| {
        let bits = bits.one(inputs, stream)?;
        let parts = if splits {
            split(&bits, from_bits, to_bits, &shape, stream)?
        } else {
            joined(&bits, from_bits, to_bits, dtype, stream)?
        };
        mlx::reshape(&elements.one(&[&parts], stream)?, &shape, stream)
    }))
}

/// Elements of `whole` bits cut into parts of `bits`, the lowest first, along a new last axis.
fn split(a: &Array, whole: usize, bits: usize, shape: &[i32], stream: Stream) -> mlx::Result<Array> {
    let target = match bits {
        16 => Dtype::Uint16,
        32 => Dtype::Uint32,
        _ => Dtype::Uint8,
    };
    let parts = mlx::view(&mlx::expand_dims(&mlx::contiguous(a, stream)?, &[-1], stream)?, target, stream)?;
    if bits >= 8 {
        return Ok(parts);
    }
    let mask = Array::scalar((1u8 << bits) - 1)?;
    let pieces = (0..whole.min(8) / bits)
        .map(|index| {
            let shifted = mlx::right_shift(&parts, &Array::scalar((index * bits) as u8)?, stream)?;
            mlx::bitwise_and(&shifted, &mask, stream)
        })
        .collect::<mlx::Result<Vec<Array>>>()?;
    let stacked = mlx::stack(&pieces.iter().collect::<Vec<_>>(), -1, stream)?;
    mlx::contiguous(&mlx::reshape(&stacked, shape, stream)?, stream)
}

/// The inverse of [`split`]: the last axis holds the parts of one element.
fn joined(a: &Array, bits: usize, whole: usize, dtype: Dtype, stream: Stream) -> mlx::Result<Array> {
    let bytes = if bits >= 8 {
        a.clone()
    } else {
        let per_byte = whole.min(8) / bits;
        join_bits(a, bits, per_byte as i32, stream)?
    };
    mlx::view(&mlx::contiguous(&bytes, stream)?, dtype, stream)
}

fn join_bits(a: &Array, bits: usize, per_byte: i32, stream: Stream) -> mlx::Result<Array> {
    let mut shape = a.shape().to_vec();
    let last = shape.pop().ok_or_else(|| mlx::Error::new("bitcast_convert: a last dimension expected"))?;
    shape.extend([last / per_byte, per_byte]);
    let weights: Vec<u8> = (0..per_byte as usize).map(|index| 1 << (index * bits)).collect();
    let weights = Array::from_bytes(&weights, &[per_byte], Dtype::Uint8)?;
    let weighted = mlx::multiply(&mlx::reshape(a, &shape, stream)?, &weights, stream)?;
    let summed = mlx::sum_axes(&mlx::contiguous(&weighted, stream)?, &[-1], false, stream)?;
    mlx::astype(&summed, Dtype::Uint8, stream)
}
