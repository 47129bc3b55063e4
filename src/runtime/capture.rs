//! `JAX_MPS_CAPTURE=folder`: a trace of the GPU's work in each program's first run, for Xcode.
#![forbid(unsafe_code)]

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, TryLockError};

use super::error::{Code, Error};
use crate::mlx::{self, Backend};

const VARIABLE: &str = "JAX_MPS_CAPTURE";

fn folder() -> Option<PathBuf> {
    std::env::var_os(VARIABLE).filter(|folder| !folder.is_empty()).map(PathBuf::from)
}

/// Whether traces can be made as asked.
///
/// # Errors
/// FAILED_PRECONDITION when they are asked for and the backend makes none.
pub fn check(backend: Backend) -> Result<(), Error> {
    if folder().is_none() || backend == Backend::Metal {
        return Ok(());
    }
    Err(Error::new(Code::FailedPrecondition, format!("{VARIABLE}: only Metal records traces, and this is {backend:?}")))
}

/// The trace of one program, when traces are asked for.
pub struct Trace {
    path: Option<PathBuf>,
    recorded: AtomicBool,
}

impl Trace {
    /// The trace of a program of that name: `folder/process-number-name.gputrace`.
    pub fn new(program: &str) -> Self {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let path = folder().map(|folder| {
            let number = COUNT.fetch_add(1, Ordering::Relaxed);
            let name: String =
                program.chars().map(|letter| if letter.is_ascii_alphanumeric() { letter } else { '_' }).collect();
            folder.join(format!("{}-{number:05}-{name}.gputrace", std::process::id()))
        });
        Self { path, recorded: AtomicBool::new(false) }
    }

    /// Records what `run` does, the first time that no other program is recorded. It must wait until the device has done it.
    ///
    /// # Errors
    /// That of `run`; FAILED_PRECONDITION when Metal refuses to record.
    pub fn record<R>(&self, run: impl FnOnce(bool) -> Result<R, Error>) -> Result<R, Error> {
        static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
        let Some(path) = self.path.as_ref().filter(|_| !self.recorded.load(Ordering::Acquire)) else {
            return run(false);
        };
        let _guard = match ONE_AT_A_TIME.try_lock() {
            Ok(guard) => guard,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            // Another program's run, which this one may be a callback of.
            Err(TryLockError::WouldBlock) => return run(false),
        };
        if self.recorded.swap(true, Ordering::AcqRel) {
            return run(false);
        }
        let refused = |reason: String| {
            Error::new(
                Code::FailedPrecondition,
                format!(
                    "{VARIABLE}: no trace {}: {reason} (Metal records with MTL_CAPTURE_ENABLED=1 only)",
                    path.display()
                ),
            )
        };
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(|error| refused(error.to_string()))?;
        }
        let _capture = mlx::Capture::start(path).map_err(|error| refused(error.message))?;
        tracing::info!("records {}", path.display());
        run(true)
    }
}
