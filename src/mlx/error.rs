//! Errors of MLX as values.

use std::cell::RefCell;
use std::ffi::{CStr, c_char, c_int, c_void};
use std::sync::Once;

/// An exception of MLX, with its text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    /// MLX's own words.
    pub message: String,
}

impl Error {
    /// An error in our own words, for failures that MLX does not notice itself.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into() }
    }

    /// True when MLX could not allocate.
    pub fn is_out_of_memory(&self) -> bool {
        let text = &self.message;
        // "[malloc] Unable to allocate", "[metal::malloc] Resource limit"; Metal's own word for it ends a command buffer.
        ["malloc] ", "Unable to allocate", "kIOGPUCommandBufferCallbackErrorOutOfMemory"]
            .iter()
            .any(|part| text.contains(part))
    }
}

/// Result of an MLX call.
pub type Result<T> = std::result::Result<T, Error>;

thread_local! {
    static LAST: RefCell<Option<String>> = const { RefCell::new(None) };
}

unsafe extern "C" fn record(message: *const c_char, _data: *mut c_void) {
    // SAFETY: mlx-c passes a NUL-terminated text that lives during the call.
    let text = unsafe { CStr::from_ptr(message) }.to_string_lossy();
    // mlx-c appends " at FILE:LINE" of its own source, which says nothing to a user.
    let text = text.rsplit_once(" at ").filter(|(_, tail)| tail.contains(".cpp:")).map_or(&*text, |(head, _)| head);
    LAST.with(|last| *last.borrow_mut() = Some(text.to_owned()));
}

/// Makes mlx-c report errors to the calling thread. Its default handler ends the process.
pub(super) fn install_handler() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // mlx-rs installs its own handler at its first fallible call; let it, so that ours stays the last.
        drop(mlx_rs::Array::from_bool(false).clone());
        // SAFETY: `record` has the declared signature, needs no data and never unwinds.
        unsafe { mlx_sys::mlx_set_error_handler(Some(record), std::ptr::null_mut(), None) };
    });
}

pub(super) fn check(status: c_int) -> Result<()> {
    if status == 0 {
        return Ok(());
    }
    Err(last())
}

pub(super) fn last() -> Error {
    Error::new(LAST.with(|last| last.borrow_mut().take()).unwrap_or_else(|| "mlx failed without a message".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_that_is_short_is_recognised_in_the_words_of_every_backend() {
        for message in [
            "[malloc] Unable to allocate 5 bytes.",
            "[metal::malloc] Attempting to allocate 5 bytes which is greater than the maximum allowed buffer size of 4 bytes.",
            "[metal::malloc] Resource limit (499000) exceeded.",
            "[METAL] Command buffer execution failed: Insufficient Memory (00000008:kIOGPUCommandBufferCallbackErrorOutOfMemory).",
        ] {
            assert!(Error::new(message).is_out_of_memory(), "{message}");
        }
        assert!(!Error::new("[matmul] shapes do not fit").is_out_of_memory());
    }
}
