//! The end of the process.

use std::ffi::c_int;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

static REQUESTED: AtomicBool = AtomicBool::new(false);
static LAST: Mutex<Vec<(Stage, Farewell)>> = Mutex::new(Vec::new());

/// How long the end of the process waits, for all that it waits for.
const PATIENCE: Duration = Duration::from_secs(20);

/// Waits for something until the time given. False: it was not seen to end, and would use what goes at the end of the
/// process.
pub type Farewell = fn(Instant) -> bool;

/// What ends before what.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// What makes work for devices.
    Programs,
    /// Devices.
    Devices,
    /// Records of what they did.
    Records,
}

/// Whether the process is ending: long work should stop.
pub(crate) fn requested() -> bool {
    REQUESTED.load(Ordering::Relaxed)
}

/// What [`requested`] looks at.
pub fn flag() -> &'static AtomicBool {
    &REQUESTED
}

/// Calls the function when the process ends, after [`requested`] has become true and before the static objects of
/// libraries that exist by now are destroyed.
pub(crate) fn at_exit(stage: Stage, function: Farewell) {
    LAST.lock().unwrap_or_else(PoisonError::into_inner).push((stage, function));
    come_first();
}

/// Lets what was asked for with [`at_exit`] go before the static objects that exist by now, too.
pub(crate) fn come_first() {
    // The last that was registered is called first; all but the first call find nothing left to do.
    if !system::at_exit() {
        tracing::warn!("the end of the process will not be noticed");
    }
}

/// False: something is still under way.
fn run() -> bool {
    REQUESTED.store(true, Ordering::Relaxed);
    let deadline = Instant::now() + PATIENCE;
    let mut functions = std::mem::take(&mut *LAST.lock().unwrap_or_else(PoisonError::into_inner));
    functions.sort_by_key(|(stage, _)| *stage);
    functions.into_iter().fold(true, |ended, (_, function)| function(deadline) && ended)
}

#[cfg(all(target_os = "linux", target_env = "gnu"))]
mod system {
    use std::ffi::c_void;

    use super::{c_int, run};

    unsafe extern "C" {
        fn on_exit(function: extern "C" fn(c_int, *mut c_void), argument: *mut c_void) -> c_int;
    }

    pub(super) fn at_exit() -> bool {
        // SAFETY: the function is of the plugin, which is never unloaded.
        unsafe { on_exit(end, std::ptr::null_mut()) == 0 }
    }

    /// What still runs would destroy the heap, and the process's status with it, if static objects went under its feet.
    extern "C" fn end(status: c_int, _: *mut c_void) {
        if run() {
            return;
        }
        tracing::warn!("the device still computes: the process ends without further ado");
        // SAFETY: what the rest of `exit` would do that anybody outside could see: write what C's files hold, and end.
        unsafe {
            libc::fflush(std::ptr::null_mut());
            libc::_exit(status);
        }
    }
}

#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
mod system {
    use super::{c_int, run};

    unsafe extern "C" {
        fn atexit(function: extern "C" fn()) -> c_int;
    }

    pub(super) fn at_exit() -> bool {
        // SAFETY: the function is of the plugin, which is never unloaded.
        unsafe { atexit(end) == 0 }
    }

    extern "C" fn end() {
        // The status is not known here, with which the process could be ended at once.
        let _ = run();
    }
}
