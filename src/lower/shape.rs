#![forbid(unsafe_code)]

use super::Row;

/// Rows of the op table.
pub static ROWS: &[Row] = &[];

use super::{LowerError, shape_i32, storage};
use crate::mlx::Array;
use crate::program::Literal;

/// See [`super::literal_array`].
pub fn literal_array(literal: &Literal) -> Result<Array, LowerError> {
    let element = literal.ty.element;
    let dtype = storage(element)
        .ok_or_else(|| LowerError::Unimplemented(format!("a constant of {element} is not supported on mps")))?;
    let shape = shape_i32(&literal.ty.shape)?;
    if !literal.splat {
        return Ok(Array::from_bytes(&literal.data, &shape, dtype)?);
    }
    let bytes = literal.data.repeat(literal.ty.elements());
    Ok(Array::from_bytes(&bytes, &shape, dtype)?)
}
