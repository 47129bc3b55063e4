//! Memory counters and limits of MLX's allocator, in bytes.

use super::error::{self, Result};

fn read(call: unsafe extern "C" fn(*mut usize) -> std::ffi::c_int) -> Result<usize> {
    error::install_handler();
    let mut bytes = 0;
    // SAFETY: mlx-c's counters write one usize.
    error::check(unsafe { call(&mut bytes) })?;
    Ok(bytes)
}

/// Bytes of live arrays.
///
/// # Errors
/// Never in practice; MLX's signature allows it.
pub(crate) fn active() -> Result<usize> {
    read(mlx_sys::mlx_get_active_memory)
}

/// Bytes that the allocator keeps for reuse.
///
/// # Errors
/// As [`active`].
pub fn cached() -> Result<usize> {
    read(mlx_sys::mlx_get_cache_memory)
}

/// Greatest [`active`] so far.
///
/// # Errors
/// As [`active`].
pub fn peak() -> Result<usize> {
    read(mlx_sys::mlx_get_peak_memory)
}

/// Bytes beyond which MLX waits for work to finish before it allocates.
///
/// # Errors
/// As [`active`].
pub(crate) fn limit() -> Result<usize> {
    read(mlx_sys::mlx_get_memory_limit)
}

fn set(call: unsafe extern "C" fn(*mut usize, usize) -> std::ffi::c_int, bytes: usize) -> Result<usize> {
    error::install_handler();
    let mut before = 0;
    // SAFETY: mlx-c's setters write one usize.
    error::check(unsafe { call(&mut before, bytes) })?;
    Ok(before)
}

/// Sets how many bytes the allocator keeps for reuse; gives what it was.
///
/// # Errors
/// As [`active`].
pub(crate) fn set_cache_limit(bytes: usize) -> Result<usize> {
    let _guard = quiet()?;
    set(mlx_sys::mlx_set_cache_limit, bytes)
}

/// Gives all of [`cached`] back and keeps nothing from now on; the evaluation lock is held.
pub(super) fn keep_nothing() {
    // Each error of a task that MLX tells of on the way is one less.
    for _ in 0..16 {
        if set(mlx_sys::mlx_set_cache_limit, 0).is_ok() {
            return;
        }
    }
}

/// Sets [`limit`]; gives what it was.
///
/// # Errors
/// As [`active`].
pub(crate) fn set_limit(bytes: usize) -> Result<usize> {
    set(mlx_sys::mlx_set_memory_limit, bytes)
}

/// Makes [`peak`] begin anew.
///
/// # Errors
/// As [`active`].
pub(crate) fn reset_peak() -> Result<()> {
    error::install_handler();
    // SAFETY: no arguments.
    error::check(unsafe { mlx_sys::mlx_reset_peak_memory() })
}

/// MLX waits for the host's processor before it gives memory back, and takes the errors of its tasks on the way: so that is
/// done while nobody schedules any, and after those scheduled have ended.
fn quiet() -> Result<std::sync::MutexGuard<'static, ()>> {
    super::stream::wait_for_host()?;
    Ok(super::evaluation_lock())
}

/// Gives cached memory back to the system.
///
/// # Errors
/// As [`active`].
pub(crate) fn clear_cache() -> Result<()> {
    error::install_handler();
    let _guard = quiet()?;
    // SAFETY: no arguments.
    error::check(unsafe { mlx_sys::mlx_clear_cache() })
}
