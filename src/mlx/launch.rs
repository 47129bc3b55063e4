//! Scheduled work.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::error::{self, Result};
use super::failures::{self, LaunchNumber, Reach};

struct Raw(*mut mlx_sys::jax_mps_launch);

// SAFETY: a launch owns its arrays alone and may be used by any one thread at a time; the mutex around it sees to that.
unsafe impl Send for Raw {}

impl Drop for Raw {
    fn drop(&mut self) {
        // SAFETY: made by jax_mps_launch_new, freed once.
        unsafe { mlx_sys::jax_mps_launch_free(self.0) };
    }
}

struct Shared {
    raw: Mutex<Raw>,
    /// Whether it was found done, and well: what fails later does not concern it.
    good: AtomicBool,
    number: LaunchNumber,
    reach: Reach,
}

/// Scheduled work: tells when it is done. Any thread may ask.
#[derive(Clone)]
pub struct Launch(Arc<Shared>);

impl Launch {
    /// Of evaluated arrays, and all that is on these streams of the host's processor. The evaluation lock is held.
    pub(super) fn new(
        arrays: &[mlx_sys::mlx_array],
        streams: &[mlx_sys::mlx_stream],
        number: LaunchNumber,
        reach: Reach,
    ) -> Result<Launch> {
        // SAFETY: the handles are valid during the call; `report` has the declared signature and never unwinds.
        let raw = unsafe {
            mlx_sys::jax_mps_launch_new(
                arrays.as_ptr(),
                arrays.len(),
                streams.as_ptr(),
                streams.len(),
                number,
                Some(failures::report),
            )
        };
        if raw.is_null() {
            return Err(error::last());
        }
        Ok(Launch(Arc::new(Shared { raw: Mutex::new(Raw(raw)), good: AtomicBool::new(false), number, reach })))
    }

    /// Whether everything is available.
    ///
    /// # Errors
    /// An error of the computation.
    pub fn is_ready(&self) -> Result<bool> {
        if self.is_good() {
            return Ok(true);
        }
        // A thread that waits holds the lock: then it is not ready.
        let Ok(raw) = self.0.raw.try_lock() else { return Ok(false) };
        let mut ready = false;
        // SAFETY: a live launch, used by this thread alone under the mutex.
        self.seen(error::check(unsafe { mlx_sys::jax_mps_launch_is_ready(raw.0, &mut ready) }))?;
        if ready {
            self.judge()?;
        }
        Ok(ready)
    }

    /// Blocks until everything is available.
    ///
    /// # Errors
    /// An error of the computation.
    pub fn wait(&self) -> Result<()> {
        if self.is_good() {
            return Ok(());
        }
        let raw = self.0.raw.lock().unwrap_or_else(PoisonError::into_inner);
        // SAFETY: a live launch, used by this thread alone under the mutex.
        self.seen(error::check(unsafe { mlx_sys::jax_mps_launch_wait(raw.0) }))?;
        self.judge()
    }

    /// Where programs that use its results reach back to; None when it is known to be good.
    pub fn reach(&self) -> Option<Reach> {
        (!self.is_good()).then_some(self.0.reach)
    }

    fn is_good(&self) -> bool {
        self.0.good.load(Ordering::Acquire)
    }

    /// An error of the device, which MLX or CUDA gives to whoever asks first.
    fn seen(&self, outcome: Result<()>) -> Result<()> {
        if let Err(error) = &outcome {
            failures::record_all(&error.message);
        }
        outcome
    }

    fn judge(&self) -> Result<()> {
        failures::check(self.0.number, self.0.reach)?;
        self.0.good.store(true, Ordering::Release);
        Ok(())
    }
}
