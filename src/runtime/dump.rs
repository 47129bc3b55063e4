//! `JAX_MPS_DUMP=dir`, or the compile option `xla_dump_to` for one program: the program as received, after each pass, and
//! its plan. `JAX_MPS_DUMP_STAGE=00-received` writes the stages alone whose names begin so.
#![forbid(unsafe_code)]

use std::cell::OnceCell;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use super::compile_options::DUMP_TO;
use super::error::{Code, Error};
use super::settings::variable;

const VARIABLE: &str = "JAX_MPS_DUMP";

/// Where one program's files go; nowhere when nobody asked for any.
pub struct Dump {
    prefix: Option<PathBuf>,
    /// Who asked.
    reason: &'static str,
    /// How the names of the wanted stages begin.
    stage: String,
    failure: OnceCell<Error>,
}

fn folder() -> Option<PathBuf> {
    std::env::var_os(VARIABLE).filter(|folder| !folder.is_empty()).map(PathBuf::from)
}

fn unusable(reason: &str, path: &Path, error: &io::Error) -> Error {
    Error::new(Code::InvalidArgument, format!("{reason}={}: cannot be written to: {error}", path.display()))
}

/// Checks that the folder of the variable can be written to.
///
/// # Errors
/// INVALID_ARGUMENT when it cannot.
pub(super) fn check() -> Result<(), Error> {
    let Some(folder) = folder() else { return Ok(()) };
    let probe = folder.join(format!(".{}", std::process::id()));
    let written = std::fs::create_dir_all(&folder).and_then(|()| std::fs::write(&probe, "")).and_then(|()| {
        // Another client of this process may have been faster.
        std::fs::remove_file(&probe).or_else(|error| match error.kind() {
            io::ErrorKind::NotFound => Ok(()),
            _ => Err(error),
        })
    });
    written.map_err(|error| unusable(VARIABLE, &folder, &error))
}

impl Dump {
    /// The next program's dump: into the folder that its option names, else into the variable's.
    ///
    /// # Errors
    /// INVALID_ARGUMENT when the folder cannot be made.
    pub fn new(option: Option<&str>) -> Result<Self, Error> {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let option = option.filter(|folder| !folder.is_empty()).map(PathBuf::from);
        let reason = if option.is_some() { DUMP_TO } else { VARIABLE };
        let stage = variable("JAX_MPS_DUMP_STAGE").unwrap_or_default();
        let failure = OnceCell::new();
        let Some(folder) = option.or_else(folder) else { return Ok(Self { prefix: None, reason, stage, failure }) };
        std::fs::create_dir_all(&folder).map_err(|error| unusable(reason, &folder, &error))?;
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let prefix = folder.join(format!("{}-{number:05}", std::process::id()));
        Ok(Self { prefix: Some(prefix), reason, stage, failure })
    }

    /// Writes one file; what it holds is only made when it is wanted. [`Self::finish`] tells whether that went well.
    pub fn write(&self, stage: &str, content: impl FnOnce() -> Vec<u8>) {
        let Some(prefix) = &self.prefix else { return };
        if !stage.starts_with(&self.stage) {
            return;
        }
        let path = PathBuf::from(format!("{}.{stage}", prefix.display()));
        if let Err(error) = std::fs::write(&path, content()) {
            // The first failure is the one that is told.
            let _ = self.failure.set(unusable(self.reason, &path, &error));
        }
    }

    /// Ends the dump.
    ///
    /// # Errors
    /// INVALID_ARGUMENT when a file could not be written.
    pub fn finish(self) -> Result<(), Error> {
        self.failure.into_inner().map_or(Ok(()), Err)
    }
}
