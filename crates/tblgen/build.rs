//! The first of all build scripts that the feature `mlir` brings: says what is missing where an environment is.

use std::{env, path::Path, process::ExitCode};

/// What build_backend/mlir_prefix.py sets for mlir-sys and melior-macro.
const PREFIX: &str = "MLIR_SYS_230_PREFIX";

fn main() -> ExitCode {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-env-changed={PREFIX}");
    let is_there = env::var_os(PREFIX).is_some_and(|prefix| Path::new(&prefix).join("bin/llvm-config").exists());
    if is_there {
        return ExitCode::SUCCESS;
    }
    eprintln!(
        "the feature `mlir` needs the packages torch-mlir and xtc-mlir-dev (build_backend/mlir_prefix.py has their \
         versions): install them in the Python of the build, then `eval \"$(python build_backend/jax_mps_build.py)\"`"
    );
    ExitCode::FAILURE
}
