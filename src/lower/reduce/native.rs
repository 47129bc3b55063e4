//! Reductions that MLX has a primitive for, in the dtype and with the results that XLA gives them.
#![forbid(unsafe_code)]

use super::super::combiner::Combiner;
use super::super::{complex, float_order};
use super::host;
use crate::mlx::{self, Array, Dtype, Stream};
use crate::program::ElementType;

/// Whether [`reduce`] is right for elements of that type.
pub fn supports(combiner: Combiner, element: ElementType) -> bool {
    use Combiner::*;
    match combiner {
        First | Second => false,
        // MLX orders complex numbers its own way, and has no arithmetic on small types.
        Maximum | Minimum => !element.is_complex() && !element.is_small_float(),
        Add | Multiply => !element.is_small_float() && !element.is_small_integer(),
        And | Or | Xor => element.is_integer() || element == ElementType::Bool,
    }
}

/// Reduces over the axes (at least one, none of size 0), dropping them; the dtype stays.
///
/// # Errors
/// What MLX refuses.
pub fn reduce(combiner: Combiner, a: &Array, axes: &[i32], stream: Stream) -> mlx::Result<Array> {
    let dtype = a.dtype();
    // MLX reduces some strided views wrongly; row-major operands come back as they are.
    let a = &mlx::contiguous(a, stream)?;
    match (combiner, dtype) {
        (Combiner::Add | Combiner::Or | Combiner::Maximum, Dtype::Bool) => mlx::any_axes(a, axes, false, stream),
        (Combiner::Multiply | Combiner::And | Combiner::Minimum, Dtype::Bool) => mlx::all_axes(a, axes, false, stream),
        (Combiner::Xor, Dtype::Bool) => {
            let count = mlx::sum_axes(&mlx::astype(a, Dtype::Int32, stream)?, axes, false, stream)?;
            let odd = mlx::bitwise_and(&count, &Array::scalar(1i32)?, stream)?;
            mlx::astype(&odd, Dtype::Bool, stream)
        }
        (Combiner::Multiply, Dtype::Complex64) => complex::product(a, axes, stream),
        (Combiner::Add | Combiner::Multiply, _) => {
            // XLA keeps the sums of the short floats in f32.
            let short = matches!(dtype, Dtype::Float16 | Dtype::Bfloat16);
            let wide = if short { mlx::astype(a, Dtype::Float32, stream)? } else { a.clone() };
            let result = match long(combiner, &wide, axes, stream)? {
                Some(result) => result,
                None if combiner == Combiner::Add => by_blocks(mlx::sum_axes, wide, axes, stream)?,
                None => by_blocks(mlx::prod_axes, wide, axes, stream)?,
            };
            // Small integers come back wider; the low bits are the sum that wraps around.
            if result.dtype() == dtype { Ok(result) } else { mlx::astype(&result, dtype, stream) }
        }
        (Combiner::Maximum | Combiner::Minimum, _) => {
            if stream.capabilities().host_functions
                && let Some(result) = host::reduce(combiner, a, axes, stream)?
            {
                return Ok(result);
            }
            float_order::with_order_of_zeros(
                a,
                |a| match combiner {
                    Combiner::Maximum => mlx::max_axes(a, axes, false, stream),
                    _ => mlx::min_axes(a, axes, false, stream),
                },
                stream,
            )
        }
        (Combiner::And | Combiner::Or | Combiner::Xor, _) => {
            let (rows, kept) = super::super::axes::rows(a, axes, stream)?;
            let call = match combiner {
                Combiner::And => mlx::bitwise_and,
                Combiner::Or => mlx::bitwise_or,
                _ => mlx::bitwise_xor,
            };
            let combine = |left: &[Array], right: &[Array]| Ok(smallvec::smallvec![call(&left[0], &right[0], stream)?]);
            let result = super::tree(smallvec::smallvec![rows], &combine, stream)?;
            mlx::reshape(&result[0], &kept, stream)
        }
        (Combiner::First | Combiner::Second, _) => {
            Err(mlx::Error::new("internal error: a projection has no native reduction"))
        }
    }
}

/// Neighbouring axes at a time, the last first, on GPUs: over axes that others lie between, MLX's CUDA kernels (0.32.4) add
/// one element after the other, and a sum of a million equal numbers is off by 10⁻³.
fn by_blocks(
    reduce: fn(&Array, &[i32], bool, Stream) -> mlx::Result<Array>,
    a: Array,
    axes: &[i32],
    stream: Stream,
) -> mlx::Result<Array> {
    if stream.capabilities().host_functions {
        return reduce(&a, axes, false, stream);
    }
    let mut reduced = a;
    for block in axes.chunk_by(|&axis, &next| axis + 1 == next).rev() {
        reduced = reduce(&reduced, block, false, stream)?;
    }
    Ok(reduced)
}

/// Sums and products that the backend would make less precise with their length; None for all others.
fn long(combiner: Combiner, a: &Array, axes: &[i32], stream: Stream) -> mlx::Result<Option<Array>> {
    let can = stream.capabilities();
    let extent: usize = axes.iter().map(|&axis| a.shape()[axis as usize] as usize).product();
    let longest = if combiner == Combiner::Multiply { can.longest_product } else { can.longest_sum };
    if extent <= longest {
        return Ok(None);
    }
    let stream = if can.host_functions { stream } else { Stream::cpu()? };
    host::reduce(combiner, a, axes, stream)
}
