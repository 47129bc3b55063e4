//! `JAX_MPS_DUMP=dir`: each program as received, after each pass, and its plan. `JAX_MPS_DUMP_STAGE=0-received` writes
//! the stages alone whose names begin so.
#![forbid(unsafe_code)]

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};

/// Where one program's files go; nowhere when the variable is not set.
pub struct Dump(Option<PathBuf>, String);

impl Dump {
    /// The next program's dump.
    pub fn new() -> Self {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let Some(folder) = std::env::var_os("JAX_MPS_DUMP").filter(|folder| !folder.is_empty()) else {
            return Self(None, String::new());
        };
        let folder = PathBuf::from(folder);
        if let Err(error) = std::fs::create_dir_all(&folder) {
            tracing::warn!("JAX_MPS_DUMP: cannot make {}: {error}", folder.display());
            return Self(None, String::new());
        }
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let stage = std::env::var("JAX_MPS_DUMP_STAGE").unwrap_or_default();
        Self(Some(folder.join(format!("{}-{number:05}", std::process::id()))), stage)
    }

    /// Writes one file; what it holds is only made when it is wanted.
    pub fn write(&self, stage: &str, content: impl FnOnce() -> Vec<u8>) {
        let Some(prefix) = &self.0 else { return };
        if !stage.starts_with(&self.1) {
            return;
        }
        let path = format!("{}.{stage}", prefix.display());
        if let Err(error) = std::fs::write(&path, content()) {
            tracing::warn!("JAX_MPS_DUMP: cannot write {path}: {error}");
        }
    }
}
