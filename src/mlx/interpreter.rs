//! The Python interpreter that hosts the process, where one does.
//!
//! When Python ends it ends every other thread at the moment in which that asks for Python's lock: by `pthread_exit`, which
//! unwinds the stack (until Python 3.14, which lets such threads wait for ever). jaxlib's frames do not bear that: they end
//! the whole process with `terminate`. So a thread that comes out of a wait while Python ends must not go back to jaxlib.

use std::ffi::c_int;
use std::sync::OnceLock;
use std::time::Duration;

type IsInitialized = unsafe extern "C" fn() -> c_int;

static IS_INITIALIZED: OnceLock<IsInitialized> = OnceLock::new();

/// Finds Python in the process, if it is there and has begun. To be called before [`is_ending`] is of use.
pub(crate) fn notice() {
    // SAFETY: a plain search among the symbols of the process.
    let found = unsafe { libc::dlsym(libc::RTLD_DEFAULT, c"Py_IsInitialized".as_ptr()) };
    if found.is_null() {
        return;
    }
    // SAFETY: the function of that name has had this signature since Python 1, and is part of its stable ABI. It may be
    // called at any time, with or without Python's lock, from any thread.
    let is_initialized = unsafe { std::mem::transmute::<*mut std::ffi::c_void, IsInitialized>(found) };
    // SAFETY: as above.
    if unsafe { is_initialized() } != 0 {
        let _ = IS_INITIALIZED.set(is_initialized);
    }
}

/// Whether Python hosts the process, and has begun to end or has ended.
pub(crate) fn is_ending() -> bool {
    // SAFETY: as in `notice`.
    IS_INITIALIZED.get().is_some_and(|is_initialized| unsafe { is_initialized() } == 0)
}

/// Whether this is the process's first thread: where Python runs the handlers of signals, and which ends it.
pub(crate) fn on_main_thread() -> bool {
    #[cfg(target_os = "macos")]
    // SAFETY: a plain question.
    return unsafe { libc::pthread_main_np() } != 0;
    #[cfg(not(target_os = "macos"))]
    // SAFETY: plain questions.
    return unsafe { libc::syscall(libc::SYS_gettid) == libc::c_long::from(libc::getpid()) };
}

/// Whether this thread may not go on to code that takes Python's lock. One that holds the lock already never gets this
/// answer: Python's end begins with the lock in other hands.
pub(crate) fn is_shut_out() -> bool {
    is_ending() && !on_main_thread()
}

/// Keeps a thread that [`is_shut_out`] until the process has ended.
pub(crate) fn rest_if_shut_out() {
    while is_shut_out() {
        std::thread::sleep(Duration::from_secs(3600));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_python_nobody_is_shut_out() {
        notice();
        assert!(!is_ending() && !is_shut_out());
        rest_if_shut_out();
    }

    #[test]
    fn threads_of_tests_are_not_the_first() {
        assert!(!std::thread::spawn(on_main_thread).join().expect("ran"));
    }
}
