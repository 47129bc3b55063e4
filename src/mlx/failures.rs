//! Failures of functions of the host inside evaluations.
//!
//! MLX would mark the stream, and tell the first who waits for anything on it before it is done; who asks later, or second,
//! is told that all went well. So failures are kept here, by launch: that of the function fails, and those that came after
//! it until somebody was told, since they may have used its results.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::error::{Error, Result};

/// Number of a launch; those of later launches are greater.
pub(super) type LaunchNumber = u64;

struct Failure {
    launch: LaunchNumber,
    /// The last launch that may have used the results: that at the time when somebody was told.
    last: Option<LaunchNumber>,
    message: String,
}

/// Failures kept: of more than so many launches at a time nobody has handles.
const KEPT: usize = 4096;

static LAST: AtomicU64 = AtomicU64::new(0);
static FAILURES: Mutex<Vec<Failure>> = Mutex::new(Vec::new());
/// Whether there are any: the lock is not taken in a process where nothing fails.
static ANY: AtomicBool = AtomicBool::new(false);

fn failures() -> MutexGuard<'static, Vec<Failure>> {
    FAILURES.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The number of the launch that begins; the evaluation lock is held.
pub(super) fn next_launch() -> LaunchNumber {
    LAST.fetch_add(1, Ordering::Relaxed) + 1
}

/// The number of the launch that is being scheduled, as a function of the host sees it that is part of it.
pub(super) fn this_launch() -> LaunchNumber {
    LAST.load(Ordering::Relaxed)
}

/// Notes that a function of that launch failed. To be called before the launch is done.
pub(super) fn record(launch: LaunchNumber, message: String) {
    let mut failures = failures();
    if failures.len() == KEPT {
        failures.remove(0);
    }
    failures.push(Failure { launch, last: None, message });
    ANY.store(true, Ordering::Release);
}

/// Whether all that the launch may depend on went well, once it is done.
pub(super) fn check(launch: LaunchNumber) -> Result<()> {
    if !ANY.load(Ordering::Acquire) {
        return Ok(());
    }
    let mut failures = failures();
    let mut concerned = failures
        .iter_mut()
        .filter(|failure| failure.launch <= launch && failure.last.is_none_or(|last| launch <= last))
        .peekable();
    let Some(message) = concerned.peek().map(|failure| failure.message.clone()) else { return Ok(()) };
    for failure in concerned {
        failure.last.get_or_insert_with(|| LAST.load(Ordering::Relaxed));
    }
    Err(Error::new(message))
}
