//! Arrays of the device for the host to look at.

use super::{Array, Result, Stream, contiguous, duplicate};

/// Waits for an array of that stream, and gives its elements as an array that the host may look at: row-major, and where
/// the host does not share the device's memory a copy of its own.
///
/// MLX's CUDA backend moves an array's elements to other memory when the host asks for their address. Kernels that have
/// been scheduled, to write them or to read them, keep the old one. A copy that nobody else knows of has no such kernels.
///
/// # Errors
/// Errors of the computation.
pub(crate) fn for_host(array: &Array, stream: Stream) -> Result<Array> {
    let stream = stream.that_holds(array.dtype())?;
    if !stream.capabilities().host_visible_memory && array.size() > 0 {
        let copy = contiguous(&duplicate(array, stream)?, stream)?;
        stream.evaluate(&[&copy])?;
        return Ok(copy);
    }
    stream.evaluate(&[array])?;
    if array.size() == 0 || array.is_row_contiguous()? {
        return Ok(array.clone());
    }
    let dense = contiguous(array, stream)?;
    stream.evaluate(&[&dense])?;
    Ok(dense)
}
