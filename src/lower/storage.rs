//! How MLX stores what programs compute with.
#![forbid(unsafe_code)]

use super::LowerError;
use crate::mlx::{self, Array, Dtype, HostBytes};
use crate::program::{CompileError, ElementType};

/// The MLX dtype that elements of a type are stored in: integers of under 8 bits extended to 8, floats of 8 bits or fewer
/// as their bits in a u8. None where MLX has nothing (complex128, tf32).
pub fn storage(element: ElementType) -> Option<Dtype> {
    use ElementType::*;
    Some(match element {
        Bool => Dtype::Bool,
        I2 | I4 | I8 => Dtype::Int8,
        I16 => Dtype::Int16,
        I32 => Dtype::Int32,
        I64 => Dtype::Int64,
        U2 | U4 | U8 => Dtype::Uint8,
        U16 => Dtype::Uint16,
        U32 => Dtype::Uint32,
        U64 => Dtype::Uint64,
        F4E2M1FN | F6E2M3FN | F6E3M2FN | F8E3M4 | F8E4M3 | F8E4M3B11FNUZ | F8E4M3FN | F8E4M3FNUZ | F8E5M2
        | F8E5M2FNUZ | F8E8M0FNU => Dtype::Uint8,
        BF16 => Dtype::Bfloat16,
        F16 => Dtype::Float16,
        F32 => Dtype::Float32,
        F64 => Dtype::Float64,
        C64 => Dtype::Complex64,
        TF32 | C128 => return None,
    })
}

/// An array of elements as the host holds them: row-major, integers of under 8 bits in a byte each, whose high bits
/// ml_dtypes leaves 0, where arrays have them sign-extended.
///
/// # Errors
/// What MLX refuses; when memory is short.
pub fn array_from_host(
    element: ElementType,
    bytes: &(impl HostBytes + ?Sized),
    shape: &[i32],
    dtype: Dtype,
) -> mlx::Result<Array> {
    let spare = 8usize.saturating_sub(element.bits());
    let extends = element.is_small_integer() && element.is_signed_integer();
    Array::from_host(bytes, shape, dtype, |all| {
        if extends {
            for byte in all {
                *byte = ((*byte << spare).cast_signed() >> spare).cast_unsigned();
            }
        }
    })
}

/// What stands for a token: an empty array, which orders and carries nothing.
///
/// # Errors
/// When memory is short.
pub fn token_array() -> mlx::Result<Array> {
    Array::from_bytes(&[], &[0], Dtype::Bool)
}

/// A static shape as MLX takes it.
///
/// # Errors
/// When a size does not fit in 32 bits.
pub fn shape_i32(shape: &[i64]) -> Result<Vec<i32>, LowerError> {
    shape
        .iter()
        .map(|&size| {
            i32::try_from(size).map_err(|_| {
                let message = format!("a dimension of size {size} is not supported on mps: mlx counts in 32 bits");
                CompileError::Unimplemented(message).into()
            })
        })
        .collect()
}
