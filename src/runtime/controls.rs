//! What a user asks of MLX's allocator and of Metal's recorder, beside all programs. Sizes are bytes.
#![forbid(unsafe_code)]

use std::path::Path;

use super::device::{self, MemoryStats};
use super::error::Error;
use super::{capture, fork, settings};
use crate::mlx::{self, Backend, Stream};

pub use crate::mlx::Fact;

/// MLX's device, as MLX describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceInfo {
    /// What computes, also where it plays the part of another.
    pub backend: Backend,
    /// Names, architecture, limits.
    pub facts: Vec<(String, Fact)>,
}

/// To be called before MLX is used, which may happen here before any client is made.
fn enter() -> Result<(), Error> {
    fork::check()?;
    mlx::watch_for_forks();
    settings::check_mlx()
}

/// Of the device that a client of this process has, whatever part that plays.
fn stream() -> Result<Stream, Error> {
    Ok(Stream::get(device::device_kind(None)?)?)
}

/// The device that a client of this process has.
///
/// # Errors
/// FAILED_PRECONDITION in a forked child, as in all of these; NOT_FOUND when the device asked for is not there.
pub fn device() -> Result<DeviceInfo, Error> {
    enter()?;
    let stream = stream()?;
    Ok(DeviceInfo { backend: stream.capabilities().backend, facts: mlx::device_facts(stream.kind())? })
}

/// MLX's version.
pub fn mlx_version() -> String {
    mlx::version()
}

/// Counters of the allocator.
///
/// # Errors
/// FAILED_PRECONDITION in a forked child.
pub fn memory() -> Result<MemoryStats, Error> {
    enter()?;
    MemoryStats::now()
}

/// Gives memory that is kept for reuse back to the system.
///
/// # Errors
/// FAILED_PRECONDITION in a forked child.
pub fn clear_cache() -> Result<(), Error> {
    enter()?;
    Ok(mlx::memory::clear_cache()?)
}

/// Makes the greatest use of memory begin anew.
///
/// # Errors
/// FAILED_PRECONDITION in a forked child.
pub fn reset_peak_memory() -> Result<(), Error> {
    enter()?;
    Ok(mlx::memory::reset_peak()?)
}

/// Sets what is kept for reuse at most; gives what it was.
///
/// # Errors
/// FAILED_PRECONDITION in a forked child.
pub fn set_cache_limit(bytes: usize) -> Result<usize, Error> {
    enter()?;
    Ok(mlx::memory::set_cache_limit(bytes)?)
}

/// Sets beyond what MLX waits for memory, and what the arrays of a program may need at most; gives what it was.
///
/// # Errors
/// FAILED_PRECONDITION in a forked child.
pub fn set_memory_limit(bytes: usize) -> Result<usize, Error> {
    enter()?;
    Ok(mlx::memory::set_limit(bytes)?)
}

/// Records what the GPU does into a new file `*.gputrace`.
///
/// # Errors
/// FAILED_PRECONDITION on other backends than Metal and where Metal refuses, INVALID_ARGUMENT and ALREADY_EXISTS for a
/// path that will not do.
pub fn start_capture(path: &Path) -> Result<(), Error> {
    enter()?;
    capture::start(path, stream()?.capabilities().backend)
}

/// Ends the recording.
///
/// # Errors
/// FAILED_PRECONDITION when there is none.
pub fn stop_capture() -> Result<(), Error> {
    fork::check()?;
    capture::stop()
}
