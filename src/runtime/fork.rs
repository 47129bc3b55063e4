//! What a forked child may do with the parent's device: nothing.
#![forbid(unsafe_code)]

use super::error::{Code, Error};
use crate::mlx;

/// To be asked before anything that waits for the device, gives it work, or looks at its memory.
///
/// # Errors
/// FAILED_PRECONDITION in a child that was forked after the first client was made.
pub(super) fn check() -> Result<(), Error> {
    if mlx::is_forked_child() {
        let message = "this process was forked from one that uses the mps device, which works in the parent only: \
                       start workers with multiprocessing's method spawn or forkserver, or fork before JAX is used";
        return Err(Error::new(Code::FailedPrecondition, message));
    }
    Ok(())
}
