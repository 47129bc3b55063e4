//! Floats as integers of the same order: their bits, those of negative numbers turned round.
#![forbid(unsafe_code)]

use crate::mlx::{self, Array, Dtype, Stream};

/// The integer dtype of a float's width; None for other dtypes.
pub fn key_dtype(dtype: Dtype) -> Option<Dtype> {
    match dtype {
        Dtype::Float16 | Dtype::Bfloat16 => Some(Dtype::Int16),
        Dtype::Float32 => Some(Dtype::Int32),
        Dtype::Float64 => Some(Dtype::Int64),
        _ => None,
    }
}

/// Greatest and least integer of a key's dtype.
///
/// # Errors
/// When memory is short, or the dtype is none of [`key_dtype`]'s.
pub fn limits(dtype: Dtype) -> mlx::Result<(Array, Array)> {
    Ok(match dtype {
        Dtype::Int16 => (Array::scalar(i16::MAX)?, Array::scalar(i16::MIN)?),
        Dtype::Int32 => (Array::scalar(i32::MAX)?, Array::scalar(i32::MIN)?),
        Dtype::Int64 => (Array::scalar(i64::MAX)?, Array::scalar(i64::MIN)?),
        other => return Err(mlx::Error::new(format!("internal error: no order keys of {other:?}"))),
    })
}

fn turn(bits: &Array, stream: Stream) -> mlx::Result<Array> {
    let (greatest, _) = limits(bits.dtype())?;
    let zero = mlx::zeros(&[], bits.dtype(), stream)?;
    let turned = mlx::bitwise_xor(bits, &greatest, stream)?;
    mlx::select(&mlx::less(bits, &zero, stream)?, &turned, bits, stream)
}

/// IEEE 754's totalOrder as integers: -NaN, -inf … -0, +0 … inf, NaN.
///
/// # Errors
/// What MLX refuses.
pub fn to_keys(a: &Array, stream: Stream) -> mlx::Result<Array> {
    let Some(dtype) = key_dtype(a.dtype()) else { return Ok(a.clone()) };
    turn(&mlx::view(a, dtype, stream)?, stream)
}

/// The floats of keys.
///
/// # Errors
/// What MLX refuses.
pub fn from_keys(keys: &Array, dtype: Dtype, stream: Stream) -> mlx::Result<Array> {
    mlx::view(&turn(keys, stream)?, dtype, stream)
}

/// Keys in which every NaN is the same and comes last, or first.
///
/// # Errors
/// What MLX refuses.
pub fn to_keys_with_nan(a: &Array, nan_last: bool, stream: Stream) -> mlx::Result<Array> {
    let keys = to_keys(a, stream)?;
    let (greatest, least) = limits(keys.dtype())?;
    mlx::select(&mlx::isnan(a, stream)?, if nan_last { &greatest } else { &least }, &keys, stream)
}

/// Greatest or least floats with -0 below 0: MLX's own, which take the two zeros for equal. `extrema` makes them, of
/// floats and of integers.
///
/// # Errors
/// What MLX refuses.
pub fn with_order_of_zeros(
    a: &Array,
    extrema: impl Fn(&Array) -> mlx::Result<Array>,
    stream: Stream,
) -> mlx::Result<Array> {
    let plain = extrema(a)?;
    let Some(dtype) = key_dtype(a.dtype()) else { return Ok(plain) };
    // Where a zero is the greatest, all others have their sign bit set: as integers they are negative, and only 0 is
    // not. Where it is the least, no other has it, and only -0 is negative.
    let bits = extrema(&mlx::view(a, dtype, stream)?)?;
    let sign = mlx::bitwise_and(&bits, &limits(dtype)?.1, stream)?;
    let zero = mlx::zeros(&[], a.dtype(), stream)?;
    mlx::select(&mlx::equal(&plain, &zero, stream)?, &mlx::view(&sign, a.dtype(), stream)?, &plain, stream)
}

/// The greater of two floats, or the lesser, with -0 below 0.
///
/// # Errors
/// What MLX refuses.
pub fn extremum(greater: bool, a: &Array, b: &Array, stream: Stream) -> mlx::Result<Array> {
    let plain = if greater { mlx::maximum(a, b, stream)? } else { mlx::minimum(a, b, stream)? };
    let Some(dtype) = key_dtype(a.dtype()) else { return Ok(plain) };
    let (a_bits, b_bits) = (mlx::view(a, dtype, stream)?, mlx::view(b, dtype, stream)?);
    let bits = if greater { mlx::bitwise_and } else { mlx::bitwise_or }(&a_bits, &b_bits, stream)?;
    mlx::select(&mlx::equal(a, b, stream)?, &mlx::view(&bits, a.dtype(), stream)?, &plain, stream)
}
