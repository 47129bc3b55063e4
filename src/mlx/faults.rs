//! For tests: MLX's own failures, which nothing else brings about at will.

use std::ffi::{CStr, c_int};

use super::Stream;
use super::array::Array;
use super::error::{self, Result};

/// Makes the next evaluations of this thread fail with that message, before they do anything.
pub fn fail_evaluations(count: usize, message: &'static CStr) {
    error::install_handler();
    // SAFETY: the message lives for ever.
    unsafe { mlx_sys::jax_mps_fail_evaluations(count as c_int, message.as_ptr()) };
}

/// An array like that one on a stream of the host's processor, whose task sleeps and then throws. Its elements are zeros.
///
/// # Errors
/// When MLX cannot build it.
pub fn throwing_copy(array: &Array, message: &CStr, milliseconds: u32, stream: Stream) -> Result<Array> {
    // SAFETY: valid handles; the message is copied during the call.
    stream.build(|result| unsafe {
        mlx_sys::jax_mps_throwing_copy(
            result,
            array.raw(),
            message.as_ptr(),
            c_int::try_from(milliseconds).unwrap_or(c_int::MAX),
            stream.raw(),
        )
    })
}
