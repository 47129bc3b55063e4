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
    pub(crate) fn is_out_of_memory(&self) -> bool {
        let text = &self.message;
        // "[malloc] Unable to allocate", "[metal::malloc] Resource limit"; Metal's own word for it ends a command buffer;
        // CUDA's follows the call that failed: "cudaMallocAsync(&data, size, stream) failed: out of memory"; C++'s.
        let words = [
            "malloc] ",
            "Unable to allocate",
            "kIOGPUCommandBufferCallbackErrorOutOfMemory",
            "failed: out of memory",
            "ALLOC_FAILED",
            "std::bad_alloc",
        ];
        words.iter().any(|part| text.contains(part))
    }

    /// True when it tells of a command buffer of Metal's: MLX throws such an error in whatever it encodes next.
    pub(super) fn is_of_an_earlier_launch(&self) -> bool {
        self.message.starts_with("[METAL] Command buffer execution failed")
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
        // Before anything that can fail. mlx-rs would install its own at its first fallible call, of which there is none:
        // it only holds handles here.
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
            "cudaMallocAsync(&data, size, stream) failed: out of memory",
            "cudaGraphInstantiate(&handle_, graph, nullptr, nullptr, 0) failed: out of memory",
            "std::bad_alloc",
        ] {
            assert!(Error::new(message).is_out_of_memory(), "{message}");
        }
        assert!(!Error::new("[matmul] shapes do not fit").is_out_of_memory());
        assert!(
            !Error::new("cudaGraphLaunch(graph_exec, stream_) failed: an illegal memory access").is_out_of_memory()
        );
    }
}
