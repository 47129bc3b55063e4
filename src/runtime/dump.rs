//! `JAX_MPS_DUMP=dir`, or the compile option `xla_dump_to` for one program: the program as received, after each pass, and
//! its plan. `JAX_MPS_DUMP_STAGE=0-received` writes the stages alone whose names begin so.
#![forbid(unsafe_code)]

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};

const VARIABLE: &str = "JAX_MPS_DUMP";

/// Where one program's files go; nowhere when nobody asked for any.
pub struct Dump {
    prefix: Option<PathBuf>,
    /// Who asked.
    reason: &'static str,
    /// How the names of the wanted stages begin.
    stage: String,
}

impl Dump {
    /// The next program's dump: into the folder that its option names, else into the variable's.
    pub fn new(option: Option<&str>) -> Self {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let option = option.filter(|folder| !folder.is_empty()).map(PathBuf::from);
        let reason = if option.is_some() { super::compile_options::DUMP_TO } else { VARIABLE };
        let stage = std::env::var("JAX_MPS_DUMP_STAGE").unwrap_or_default();
        let variable = || std::env::var_os(VARIABLE).filter(|folder| !folder.is_empty()).map(PathBuf::from);
        let Some(folder) = option.or_else(variable) else { return Self { prefix: None, reason, stage } };
        if let Err(error) = std::fs::create_dir_all(&folder) {
            tracing::warn!("{reason}: cannot make {}: {error}", folder.display());
            return Self { prefix: None, reason, stage };
        }
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        Self { prefix: Some(folder.join(format!("{}-{number:05}", std::process::id()))), reason, stage }
    }

    /// Writes one file; what it holds is only made when it is wanted.
    pub fn write(&self, stage: &str, content: impl FnOnce() -> Vec<u8>) {
        let Some(prefix) = &self.prefix else { return };
        if !stage.starts_with(&self.stage) {
            return;
        }
        let path = format!("{}.{stage}", prefix.display());
        if let Err(error) = std::fs::write(&path, content()) {
            tracing::warn!("{}: cannot write {path}: {error}", self.reason);
        }
    }
}
