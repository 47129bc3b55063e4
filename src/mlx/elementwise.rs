//! Arithmetic on the host's processor where MLX's own differs from what XLA computes. Its complex numbers are those of
//! `std::complex`, whose product makes infinities of two NaN; its quotient loses signs of zeros, and |inf + NaN i| is
//! infinite. Its bfloat16 loses the sign of NaN whenever it is rounded to.

use super::Stream;
use super::array::Array;
use super::error::Result;
use super::ops::{add, divide, multiply, subtract};
use super::ops_shape::contiguous;

fn binary(a: &Array, b: &Array, function: mlx_sys::jax_mps_binary, stream: Stream) -> Result<Array> {
    // SAFETY: valid handles; the result is written to a fresh one.
    stream.build(|result| unsafe { mlx_sys::jax_mps_binary_on_cpu(result, a.raw(), b.raw(), function, stream.raw()) })
}

/// a · b, broadcast: (ac - bd) + (ad + bc) i, whatever the parts hold. For CPU streams.
///
/// # Errors
/// What MLX refuses.
pub(crate) fn complex_multiply(a: &Array, b: &Array, stream: Stream) -> Result<Array> {
    binary(a, b, mlx_sys::jax_mps_binary__JAX_MPS_COMPLEX_MULTIPLY, stream)
}

/// a / b, broadcast, by Smith's method; where that gives NaN in both parts, zero divisors and infinities follow annex G
/// of C23. For CPU streams.
///
/// # Errors
/// What MLX refuses.
pub(crate) fn complex_divide(a: &Array, b: &Array, stream: Stream) -> Result<Array> {
    binary(a, b, mlx_sys::jax_mps_binary__JAX_MPS_COMPLEX_DIVIDE, stream)
}

/// |z| as f32, without overflow on the way; NaN where either part is. For CPU streams.
///
/// # Errors
/// What MLX refuses.
pub(crate) fn complex_abs(a: &Array, stream: Stream) -> Result<Array> {
    let a = contiguous(a, stream)?;
    // SAFETY: valid handles; the result is written to a fresh one.
    stream.build(|result| unsafe { mlx_sys::jax_mps_complex_abs(result, a.raw(), stream.raw()) })
}

/// Products along the last axis, from 1 on and in the order of the elements: of each row, dropping the axis, or, when
/// `cumulative`, up to each element. For CPU streams.
///
/// # Errors
/// What MLX refuses.
pub(crate) fn complex_products(a: &Array, cumulative: bool, stream: Stream) -> Result<Array> {
    let a = contiguous(a, stream)?;
    // SAFETY: valid handles; the result is written to a fresh one.
    stream.build(|result| unsafe { mlx_sys::jax_mps_complex_products(result, a.raw(), cumulative, stream.raw()) })
}

macro_rules! bfloat16 {
    ($($name:ident => $own:ident or $mlx:ident),* $(,)?) => {
        $(
            #[doc = concat!("`mlx::core::", stringify!($mlx), "` of bf16; on the CPU a NaN keeps its sign.\n\n# Errors\nWhat MLX refuses.")]
            pub(crate) fn $name(a: &Array, b: &Array, stream: Stream) -> Result<Array> {
                if stream.capabilities().bfloat16_nan_signs {
                    return $mlx(a, b, stream);
                }
                binary(a, b, mlx_sys::$own, stream)
            }
        )*
    };
}

bfloat16!(
    bfloat16_add => jax_mps_binary__JAX_MPS_BFLOAT16_ADD or add,
    bfloat16_subtract => jax_mps_binary__JAX_MPS_BFLOAT16_SUBTRACT or subtract,
    bfloat16_multiply => jax_mps_binary__JAX_MPS_BFLOAT16_MULTIPLY or multiply,
    bfloat16_divide => jax_mps_binary__JAX_MPS_BFLOAT16_DIVIDE or divide,
);
