//! Conversions between element types.

use super::Stream;
use super::array::{Array, Dtype};
use super::error::Result;
use super::ops_shape::contiguous;

/// `mlx::core::astype`; no saturation: see the lowering of convert. A NaN of f32 keeps its sign as bf16 on the CPU.
///
/// # Errors
/// What MLX refuses.
pub(crate) fn astype(a: &Array, dtype: Dtype, stream: Stream) -> Result<Array> {
    if dtype == Dtype::Bfloat16 && !stream.capabilities().bfloat16_nan_signs && a.dtype() == Dtype::Float32 {
        return to_bfloat16(a, stream);
    }
    // SAFETY: valid handles.
    stream.build(|result| unsafe { mlx_sys::mlx_astype(result, a.raw(), dtype.raw(), stream.raw()) })
}

/// f32 as bf16 on a CPU stream; a NaN keeps its sign.
fn to_bfloat16(a: &Array, stream: Stream) -> Result<Array> {
    let a = contiguous(a, stream)?;
    // SAFETY: valid handles; the result is written to a fresh one.
    stream.build(|result| unsafe { mlx_sys::jax_mps_to_bfloat16(result, a.raw(), stream.raw()) })
}
