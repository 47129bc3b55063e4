//! Threads: their numbers, as the system knows them, and which are ours.

use std::cell::Cell;

thread_local! {
    static OWN: Cell<bool> = const { Cell::new(false) };
}

/// Says that the calling thread is ours: nobody else uses MLX on it.
pub(crate) fn own_thread() {
    OWN.set(true);
}

/// Whether [`own_thread`] was called on this thread.
pub(super) fn is_own() -> bool {
    OWN.get()
}

/// The system's number of the calling thread, by which xla's profiler knows it too (on macOS; on Linux it has numbers of
/// its own). None where the system does not tell.
pub(crate) fn thread_number() -> Option<u64> {
    #[cfg(target_os = "macos")]
    {
        unsafe extern "C" {
            fn pthread_threadid_np(thread: *mut std::ffi::c_void, number: *mut u64) -> std::ffi::c_int;
        }
        let mut number = 0;
        // SAFETY: null is the calling thread; the number is written to a place of ours.
        let status = unsafe { pthread_threadid_np(std::ptr::null_mut(), &raw mut number) };
        (status == 0).then_some(number)
    }
    #[cfg(not(target_os = "macos"))]
    {
        // A link to `process/task/thread`.
        std::fs::read_link("/proc/thread-self").ok()?.file_name()?.to_str()?.parse().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_have_numbers_of_their_own() {
        let here = thread_number();
        let there = std::thread::spawn(thread_number).join().expect("no panic");
        assert!(here.is_some() && there.is_some() && here != there, "{here:?} {there:?}");
    }
}
