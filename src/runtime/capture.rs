//! Traces of the GPU's work for Xcode: of each program's first run (`JAX_MPS_CAPTURE=folder`), or from [`start`] to [`stop`].
#![forbid(unsafe_code)]

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError, TryLockError};

use super::error::{Code, Error};
use crate::mlx::{self, Backend};

const VARIABLE: &str = "JAX_MPS_CAPTURE";

/// There is one trace at a time: of a program's run, which holds the lock, or the one that was started, which lies in it.
static STARTED: Mutex<Option<mlx::Capture>> = Mutex::new(None);

const NOT_METAL: &str = "only Metal records traces, and this is";

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
    Err(Error::new(Code::FailedPrecondition, format!("{VARIABLE}: {NOT_METAL} {backend:?}")))
}

/// Records everything that the GPU does, until [`stop`], into a new file.
///
/// # Errors
/// INVALID_ARGUMENT for another name than `*.gputrace`, ALREADY_EXISTS for a file that is there, FAILED_PRECONDITION on
/// other backends than Metal, while a trace is recorded, and when Metal refuses.
pub(super) fn start(path: &Path, backend: Backend) -> Result<(), Error> {
    let refused = |code, reason: String| Err(Error::new(code, format!("no trace {}: {reason}", path.display())));
    if backend != Backend::Metal {
        return refused(Code::FailedPrecondition, format!("{NOT_METAL} {backend:?}"));
    }
    if path.extension().is_none_or(|extension| extension != "gputrace") {
        return refused(Code::InvalidArgument, "the name must end in .gputrace".to_owned());
    }
    if path.exists() {
        return refused(Code::AlreadyExists, "the file exists".to_owned());
    }
    let mut started = match STARTED.try_lock() {
        Ok(started) => started,
        Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
        Err(TryLockError::WouldBlock) => {
            return refused(Code::FailedPrecondition, format!("a program is being recorded ({VARIABLE})"));
        }
    };
    if started.is_some() {
        return refused(Code::FailedPrecondition, "another one is being recorded".to_owned());
    }
    match mlx::Capture::start(path) {
        Ok(capture) => {
            *started = Some(capture);
            Ok(())
        }
        Err(error) => refused(Code::FailedPrecondition, with_advice(&error.message)),
    }
}

/// Ends the trace that [`start`] began.
///
/// # Errors
/// FAILED_PRECONDITION when none was begun.
pub(super) fn stop() -> Result<(), Error> {
    let capture = STARTED.lock().unwrap_or_else(PoisonError::into_inner).take();
    capture.map(drop).ok_or_else(|| Error::new(Code::FailedPrecondition, "no trace is being recorded"))
}

fn with_advice(reason: &str) -> String {
    format!("{reason} (Metal records with MTL_CAPTURE_ENABLED=1 only)")
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
        let Some(path) = self.path.as_ref().filter(|_| !self.recorded.load(Ordering::Acquire)) else {
            return run(false);
        };
        let started = match STARTED.try_lock() {
            Ok(started) => started,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            // Another program's run, which this one may be a callback of.
            Err(TryLockError::WouldBlock) => return run(false),
        };
        if started.is_some() || self.recorded.swap(true, Ordering::AcqRel) {
            return run(false);
        }
        let refused = |reason: String| {
            Error::new(
                Code::FailedPrecondition,
                format!("{VARIABLE}: no trace {}: {}", path.display(), with_advice(&reason)),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn traces_that_cannot_be_are_refused_for_what_they_lack() {
        let code = |path: &Path, backend| start(path, backend).unwrap_err().code;
        let new = std::env::temp_dir().join(format!("{}-none.gputrace", std::process::id()));
        let error = start(&new, Backend::Cpu).unwrap_err();
        assert_eq!(error.code, Code::FailedPrecondition);
        assert!(error.message.contains("only Metal records traces, and this is Cpu"), "{}", error.message);
        assert_eq!(code(Path::new("trace.json"), Backend::Metal), Code::InvalidArgument);
        let there = new.with_file_name(format!("{}-there.gputrace", std::process::id()));
        std::fs::write(&there, "").unwrap();
        assert_eq!(code(&there, Backend::Metal), Code::AlreadyExists);
        std::fs::remove_file(&there).unwrap();
        assert_eq!(stop().unwrap_err().code, Code::FailedPrecondition);
    }
}
