//! sort.
#![forbid(unsafe_code)]

mod keys;
mod network;
#[cfg(test)]
mod tests;

use super::{Context, LowerError, Lowered, Row, matchers, storage};
use crate::mlx::{self, Array, Dtype, Stream};
use crate::program::{Op, OpKind};

/// Rows of the op table.
pub static ROWS: &[Row] = &[Row {
    name: "sort",
    note: "any comparator; lexicographic ones by MLX's sort, others by a sorting network",
    lower: sort,
}];

fn sort(context: &mut Context<'_>, op: &Op) -> Result<Lowered, LowerError> {
    let OpKind::Sort { dimension, .. } = &op.kind else { return Err(context.invalid(op, "not a sort")) };
    let count = op.results.len();
    if count == 0 || op.operands.len() != count || op.regions.len() != 1 {
        return Err(context.invalid(op, "operands and results differ in number"));
    }
    let first = context.operand(op, 0)?;
    for index in 1..count {
        if context.operand(op, index)?.shape != first.shape {
            return Err(context.invalid(op, "operands differ in shape"));
        }
    }
    let rank = first.rank() as i64;
    let counted = if *dimension < 0 { *dimension + rank } else { *dimension };
    if !(0..rank.max(1)).contains(&counted) {
        return Err(context.invalid(op, "dimension out of range"));
    }
    if first.elements() == 0 || rank == 0 || first.shape[counted as usize] < 2 {
        return Ok(Lowered::new(move |inputs, _| Ok(inputs[..count].iter().map(|&input| input.clone()).collect())));
    }
    let axis = counted as i32;
    let Some(order) = keys::order(context, op)? else {
        return network::lower(context, op, axis);
    };
    if count == 1
        && let Some(lowered) = order.values_alone(axis)
    {
        return Ok(lowered);
    }

    // Operands that count along the axis become the permutation itself.
    let mut counts = Vec::new();
    for index in 0..count {
        let element = context.operand(op, index)?.element;
        let counting = element.is_integer()
            && element.bits() >= 32
            && matchers::counts_along(context, op.operands[index], counted);
        counts.push(if counting { storage(element) } else { None });
    }
    let nested = order.region().cloned();
    let lowered = Lowered::new(move |inputs, stream| {
        let permutation = permutation(&order.keys(inputs, stream)?, axis, stream)?;
        inputs
            .iter()
            .zip(&counts)
            .map(|(operand, counting)| match counting {
                Some(dtype) => mlx::astype(&permutation, *dtype, stream),
                None => mlx::take_along_axis(operand, &permutation, axis, stream),
            })
            .collect()
    });
    Ok(match nested {
        Some(region) => lowered.with_region(&region),
        None => lowered,
    })
}

/// The stable permutation (u32) that sorts by the keys, the first one foremost.
fn permutation(keys: &[Array], axis: i32, stream: Stream) -> mlx::Result<Array> {
    let mut keys = keys.iter().rev();
    let last = keys.next().ok_or_else(|| mlx::Error::new("internal error: a sort without keys"))?;
    let mut permutation = stable_argsort(last, axis, stream)?;
    for key in keys {
        let key = mlx::take_along_axis(key, &permutation, axis, stream)?;
        let next = stable_argsort(&key, axis, stream)?;
        permutation = mlx::take_along_axis(&permutation, &next, axis, stream)?;
    }
    Ok(permutation)
}

/// argsort that keeps the order of equal keys. MLX promises it nowhere, but its CPU sort compares indices last; its GPU
/// sorts get keys that are never equal where these fit, and the CPU sorts the others.
fn stable_argsort(key: &Array, axis: i32, stream: Stream) -> mlx::Result<Array> {
    // MLX sorts some views wrongly.
    let key = mlx::contiguous(key, stream)?;
    if stream.capabilities().stable_sort {
        return mlx::argsort(&key, axis, stream);
    }
    if key.dtype().size() > 4 {
        return mlx::argsort(&key, axis, Stream::cpu()?);
    }
    let wide = match key.dtype() {
        Dtype::Float16 | Dtype::Bfloat16 | Dtype::Float32 => {
            let zero_once = mlx::add(&key, &mlx::zeros(&[], key.dtype(), stream)?, stream)?;
            super::float_order::to_keys_with_nan(&zero_once, true, stream)?
        }
        _ => key,
    };
    let size = wide.shape()[axis as usize];
    let mut shape = vec![1; wide.rank()];
    shape[axis as usize] = size;
    let positions = mlx::reshape(&mlx::arange(size, Dtype::Int64, stream)?, &shape, stream)?;
    let wide = mlx::astype(&wide, Dtype::Int64, stream)?;
    let shifted = mlx::multiply(&wide, &Array::scalar(1i64 << 31)?, stream)?;
    mlx::argsort(&mlx::add(&shifted, &positions, stream)?, axis, stream)
}
