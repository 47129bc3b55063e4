//! Failures inside of evaluations, by launch.
//!
//! MLX would mark the stream, and tell the first who waits for anything on it; who asks later, or second, is told that all
//! went well. So failures are kept here for as long as the process lives: those of functions of the host, which note them
//! themselves, and those of MLX's own tasks and command buffers, which are taken from MLX at the end of each launch.
//!
//! A failure concerns the launches that may have used what it left behind: its own, and those that [reach](Reach) back to
//! it. A launch reaches back to the oldest among the work that its program scheduled before, and what its arguments were
//! waiting for; arguments that were known to be good are no reason to fail.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::ffi::{CStr, c_char};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::error::{Error, Result};

/// Number of a launch; those of later launches are greater. 0 is that of none.
pub(super) type LaunchNumber = u64;

/// The oldest launch whose failure concerns something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Reach(LaunchNumber);

impl Reach {
    /// That of work which depends on nothing scheduled before.
    pub fn now() -> Self {
        Self(LAST.load(Ordering::Relaxed) + 1)
    }
}

struct Failures {
    /// Messages by the launch that failed.
    by_launch: BTreeMap<LaunchNumber, String>,
    /// Every launch that reaches back to this one or before, and was not known to be good, has failed.
    all_until: LaunchNumber,
    message: String,
}

/// Failures kept one by one. What reaches back to one before these has failed as well.
const KEPT: usize = 4096;

static LAST: AtomicU64 = AtomicU64::new(0);
static FAILURES: Mutex<Failures> =
    Mutex::new(Failures { by_launch: BTreeMap::new(), all_until: 0, message: String::new() });
/// Whether there are any: nothing is done in a process where nothing fails.
static ANY: AtomicBool = AtomicBool::new(false);

thread_local! {
    /// Where this thread's launches reach back to.
    static REACH: Cell<LaunchNumber> = const { Cell::new(LaunchNumber::MAX) };
}

fn failures() -> MutexGuard<'static, Failures> {
    FAILURES.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Runs a program whose launches reach back as far as that.
pub(crate) fn reaching_back<R>(reach: Reach, program: impl FnOnce() -> R) -> R {
    struct Restore(LaunchNumber);
    impl Drop for Restore {
        fn drop(&mut self) {
            REACH.set(self.0);
        }
    }
    let _restore = Restore(REACH.replace(reach.0.min(REACH.get())));
    program()
}

/// The number of the launch that begins, and where it reaches back to; the evaluation lock is held.
pub(super) fn next_launch() -> (LaunchNumber, Reach) {
    let number = LAST.fetch_add(1, Ordering::Relaxed) + 1;
    (number, Reach(number.min(REACH.get())))
}

/// The number of the launch that is being scheduled, as a function of the host sees it that is part of it.
pub(super) fn this_launch() -> LaunchNumber {
    LAST.load(Ordering::Relaxed)
}

/// Whether anything has failed in this process.
pub(crate) fn anything_failed() -> bool {
    ANY.load(Ordering::Acquire)
}

/// Notes that a launch failed. To be called before it is done.
pub(super) fn record(launch: LaunchNumber, message: String) {
    let mut failures = failures();
    failures.by_launch.entry(launch).or_insert(message);
    if failures.by_launch.len() > KEPT
        && let Some((forgotten, message)) = failures.by_launch.pop_first()
    {
        failures.all_until = failures.all_until.max(forgotten);
        failures.message = message;
    }
    ANY.store(true, Ordering::Release);
}

/// Notes that some launch failed, one scheduled before that one or itself: MLX does not say which.
pub(super) fn record_until(launch: LaunchNumber, message: &str) {
    let mut failures = failures();
    failures.all_until = failures.all_until.max(launch);
    message.clone_into(&mut failures.message);
    ANY.store(true, Ordering::Release);
}

/// As [`record_until`], of all launches so far.
pub(super) fn record_all(message: &str) {
    record_until(LAST.load(Ordering::Relaxed), message);
}

/// What mlx-sys calls for errors that it takes from MLX.
pub(super) unsafe extern "C" fn report(launch: LaunchNumber, message: *const c_char) {
    // SAFETY: a NUL-terminated text that lives during the call.
    let message = unsafe { CStr::from_ptr(message) }.to_string_lossy().into_owned();
    tracing::debug!("launch {launch} failed: {message}");
    match launch {
        0 => record_all(&message),
        launch => record(launch, message),
    }
}

/// Whether all that the launch may depend on went well, once it is done.
pub(super) fn check(launch: LaunchNumber, Reach(first): Reach) -> Result<()> {
    if !anything_failed() {
        return Ok(());
    }
    let failures = failures();
    if let Some((_, message)) = failures.by_launch.range(first..=launch).next() {
        return Err(Error::new(message.clone()));
    }
    if first <= failures.all_until {
        return Err(Error::new(failures.message.clone()));
    }
    Ok(())
}
