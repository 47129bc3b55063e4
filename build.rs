//! Generates the protobuf types of `proto/` and tells the linker where the
//! MLX library will lie when the plugin runs.

use std::{env, error::Error};

const PROTOS: [&str; 4] =
    ["proto/compile_options.proto", "proto/device_assignment.proto", "proto/op_sharding.proto", "proto/xplane.proto"];

/// From `site-packages/jax_plugins/mps/` to `site-packages/mlx/lib/`.
const MLX_LIB_FROM_PLUGIN: &str = "../../mlx/lib";

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=proto");
    // prost writes one file for each package, which src/proto.rs includes:
    // $OUT_DIR/xla.rs and $OUT_DIR/tensorflow.profiler.rs.
    prost_build::Config::new().btree_map(["."]).compile_protos(&PROTOS, &["proto"])?;
    link_paths()
}

/// MLX is linked in place, in the wheel that pip installed, and never copied:
/// its Metal library and its own dependencies are found relative to it.
fn link_paths() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-env-changed=JAX_MPS_WHEEL");
    let macos = env::var("CARGO_CFG_TARGET_OS")? == "macos";
    let origin = if macos { "@loader_path" } else { "$ORIGIN" };
    println!("cargo:rustc-link-arg-cdylib=-Wl,-rpath,{origin}/{MLX_LIB_FROM_PLUGIN}");
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
    }
    Ok(())
}
