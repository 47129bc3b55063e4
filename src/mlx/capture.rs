//! Traces of the GPU's work for Xcode. Only Metal records any.

use std::ffi::CString;
use std::path::Path;

use super::error::{self, Error, Result};

/// A trace that is being recorded. There can be one at a time in a process.
pub struct Capture(());

impl Capture {
    /// Starts to record into a new file, whose name must end in `.gputrace`.
    ///
    /// # Errors
    /// What Metal refuses: a file that exists, a second trace, a process without `MTL_CAPTURE_ENABLED=1`.
    pub fn start(path: &Path) -> Result<Self> {
        error::install_handler();
        let text = path.to_str().and_then(|text| CString::new(text).ok());
        let text = text.ok_or_else(|| Error::new(format!("{} is no name for a trace", path.display())))?;
        // SAFETY: the text is NUL-terminated and lives during the call.
        error::check(unsafe { mlx_sys::mlx_metal_start_capture(text.as_ptr()) })?;
        Ok(Self(()))
    }
}

impl Drop for Capture {
    fn drop(&mut self) {
        // SAFETY: takes nothing; a trace was started.
        if let Err(error) = error::check(unsafe { mlx_sys::mlx_metal_stop_capture() }) {
            tracing::warn!("the trace did not end well: {error}");
        }
    }
}
