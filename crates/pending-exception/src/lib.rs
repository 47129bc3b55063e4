//! Raises an exception in Python's main thread from code that Python called, and that does not itself report the exception.
//!
//! jaxlib turns every failure of a PJRT function into an exception of its own. A `KeyboardInterrupt` that the plugin has
//! caught while it waited reaches the user through Python's pending calls: Python makes them in its main thread as soon as
//! the function that it called there has returned.

use std::ffi::{c_int, c_void};

use pyo3::prelude::*;
use pyo3::{PyErr, ffi};

/// Runs `body` with Python's lock held; None where Python has not begun or has ended.
///
/// pyo3's own `attach` takes a thread for attached for as long as a function of pyo3's is on its stack. Where one of these
/// has called Python, and Python something that let go of the lock, it no longer is.
pub fn with_lock<R>(body: impl FnOnce(Python<'_>) -> R) -> Option<R> {
    struct Lock(ffi::PyGILState_STATE);
    impl Drop for Lock {
        fn drop(&mut self) {
            // SAFETY: the state that taking the lock on this thread has given, given back once.
            unsafe { ffi::PyGILState_Release(self.0) };
        }
    }
    // SAFETY: may be asked at any time.
    if unsafe { ffi::Py_IsInitialized() } == 0 {
        return None;
    }
    // SAFETY: Python runs; a thread that holds the lock already may take it again.
    let _lock = Lock(unsafe { ffi::PyGILState_Ensure() });
    Some(Python::attach(body))
}

/// Raises the exception in the main thread, where that next runs Python code.
///
/// # Errors
/// The exception itself when too many calls are pending already (32 before Python 3.13, 300 since).
pub fn raise_soon(py: Python<'_>, error: PyErr) -> Result<(), PyErr> {
    let value = error.into_value(py).into_ptr();
    // SAFETY: the function takes the reference over, once: Python drops no pending call but at its own end.
    if unsafe { ffi::Py_AddPendingCall(Some(raise), value.cast()) } == 0 {
        return Ok(());
    }
    // SAFETY: the call was not taken, and the reference is still ours.
    Err(PyErr::from_value(unsafe { Bound::from_owned_ptr(py, value) }))
}

extern "C" fn raise(value: *mut c_void) -> c_int {
    // SAFETY: Python makes pending calls with its lock held.
    let py = unsafe { Python::assume_attached() };
    // SAFETY: the reference that `raise_soon` gave away.
    let value = unsafe { Bound::from_owned_ptr(py, value.cast()) };
    PyErr::from_value(value).restore(py);
    -1
}
