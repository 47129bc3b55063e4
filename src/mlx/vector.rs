//! Vectors of arrays, as mlx-c takes and returns them.

use std::ffi::c_int;

use super::Arrays;
use super::array::Array;
use super::error::{self, Result};

/// Runs an mlx-c function that writes a vector of arrays.
pub(super) fn vector(call: impl FnOnce(*mut mlx_sys::mlx_vector_array) -> c_int) -> Result<Arrays> {
    // SAFETY: a fresh vector, filled by the call, read by index within its size, freed once.
    unsafe {
        let mut raw = mlx_sys::mlx_vector_array_new();
        let status = call(&mut raw);
        let mut arrays = Ok(Arrays::new());
        if status == 0 {
            arrays = (0..mlx_sys::mlx_vector_array_size(raw))
                .map(|index| Array::build(|result| mlx_sys::mlx_vector_array_get(result, raw, index)))
                .collect();
        }
        mlx_sys::mlx_vector_array_free(raw);
        error::check(status)?;
        arrays
    }
}

/// Borrows arrays as the vector that mlx-c wants.
pub(super) fn with_vector<R>(arrays: &[&Array], use_it: impl FnOnce(mlx_sys::mlx_vector_array) -> R) -> R {
    let handles: smallvec::SmallVec<[mlx_sys::mlx_array; 8]> = arrays.iter().map(|array| array.raw()).collect();
    // SAFETY: the handles are valid; the vector copies them and is freed after its use.
    unsafe {
        let vector = mlx_sys::mlx_vector_array_new_data(handles.as_ptr(), handles.len());
        let result = use_it(vector);
        mlx_sys::mlx_vector_array_free(vector);
        result
    }
}
