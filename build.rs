//! Generates the protobuf types of `proto/` and tells the linker where the
//! MLX library will lie when the plugin runs.

use std::{env, error::Error, path::PathBuf};

const PROTOS: [&str; 4] =
    ["proto/compile_options.proto", "proto/device_assignment.proto", "proto/op_sharding.proto", "proto/xplane.proto"];

/// From `site-packages/jax_plugins/mps/` to `site-packages/mlx/lib/`.
const MLX_LIB_FROM_PLUGIN: &str = "../../mlx/lib";
/// The same for MLIR's library, with the feature `mlir`.
const MLIR_LIB_FROM_PLUGIN: &str = "../../torch_mlir/_mlir_libs";

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=proto");
    // prost writes one file for each package, which src/proto.rs includes:
    // $OUT_DIR/xla.rs and $OUT_DIR/tensorflow.profiler.rs.
    prost_build::Config::new().btree_map(["."]).compile_protos(&PROTOS, &["proto"])?;
    // What the library is built against, to be compared with what it is loaded with.
    println!("cargo:rustc-env=JAX_MPS_MLX_VERSION={}", env::var("DEP_MLX_VERSION")?);
    link_paths()
}

/// MLX is linked in place, in the wheel that pip installed, and never copied:
/// its Metal library and its own dependencies are found relative to it.
fn link_paths() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-env-changed=JAX_MPS_WHEEL");
    let macos = env::var("CARGO_CFG_TARGET_OS")? == "macos";
    let origin = if macos { "@loader_path" } else { "$ORIGIN" };
    println!("cargo:rustc-link-arg-cdylib=-Wl,-rpath,{origin}/{MLX_LIB_FROM_PLUGIN}");
    let with_mlir = env::var_os("CARGO_FEATURE_MLIR").is_some();
    if with_mlir {
        println!("cargo:rustc-link-arg-cdylib=-Wl,-rpath,{origin}/{MLIR_LIB_FROM_PLUGIN}");
    }
    if macos {
        println!("cargo:rustc-link-arg-cdylib=-Wl,-install_name,@rpath/libjax_mps.dylib");
        if env::var_os("CARGO_FEATURE_PYTHON").is_some() {
            // Python's symbols are those of the process, whatever its Python is called. scripts/check_macos checks that
            // nothing else is left undefined.
            println!("cargo:rustc-link-arg-cdylib=-Wl,-undefined,dynamic_lookup");
        }
    }
    // A wheel must not name folders of the machine that built it; everything
    // else (tests, benches, a dylib used from target/) runs against the MLX it
    // was built with.
    if env::var_os("JAX_MPS_WHEEL").is_none() {
        let lib = env::var("DEP_MLX_LIB_DIR")?;
        println!("cargo:rustc-link-arg=-Wl,-rpath,{lib}");
        if with_mlir {
            println!("cargo:rerun-if-env-changed=JAX_MPS_MLIR_LIBRARY");
            let library = PathBuf::from(env::var("JAX_MPS_MLIR_LIBRARY")?);
            let folder = library.parent().ok_or("JAX_MPS_MLIR_LIBRARY names no file in a folder")?;
            println!("cargo:rustc-link-arg=-Wl,-rpath,{}", folder.display());
        }
    }
    Ok(())
}
