//! The end of the process.

use std::ffi::c_int;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

static REQUESTED: AtomicBool = AtomicBool::new(false);
static LAST: Mutex<Vec<extern "C" fn()>> = Mutex::new(Vec::new());

unsafe extern "C" {
    fn atexit(function: extern "C" fn()) -> c_int;
}

/// Whether the process is ending: long work should stop.
pub fn requested() -> bool {
    REQUESTED.load(Ordering::Relaxed)
}

/// What [`requested`] looks at.
pub fn flag() -> &'static AtomicBool {
    &REQUESTED
}

/// Calls the function when the process ends, after [`requested`] has become true and before the static objects of
/// libraries loaded before this call are destroyed.
pub fn at_exit(function: extern "C" fn()) {
    let mut last = LAST.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    if last.is_empty() {
        // SAFETY: the function is of the plugin, which is never unloaded; a failure only loses the notice.
        if unsafe { atexit(run) } != 0 {
            tracing::warn!("the end of the process will not be noticed");
        }
    }
    last.push(function);
}

extern "C" fn run() {
    REQUESTED.store(true, Ordering::Relaxed);
    let functions = std::mem::take(&mut *LAST.lock().unwrap_or_else(std::sync::PoisonError::into_inner));
    for function in functions.into_iter().rev() {
        function();
    }
}
