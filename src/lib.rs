//! A PJRT plugin that runs JAX programs on MLX: jaxlib's StableHLO in, MLX calls out.
//!
//! Data flows one way, and each layer knows only the next one's types:
//! `pjrt` → `stablehlo` (or `mlir`) → `program` → `passes` → `lower` → `plan` → `mlx`, driven by `runtime`.

#[macro_use]
mod enumeration;

pub mod expression;
pub mod kernel;
pub mod lower;
// Linked for its exported symbols: the BLAS under MLX's CPU backend.
#[cfg(target_os = "linux")]
extern crate mlx_cblas as _;

#[cfg(feature = "mlir")]
pub mod mlir;
pub mod mlx;
pub mod passes;
pub mod pjrt;
pub mod plan;
pub mod program;
pub mod proto;
#[cfg(feature = "python")]
mod python;
pub mod reader;
pub mod runtime;
pub mod stablehlo;

/// The entry of the plugin: the table of PJRT functions, which lives as long as the process.
// SAFETY: the name is PJRT's own; no other library that a process loads for itself exports it globally.
#[unsafe(no_mangle)]
pub extern "C" fn GetPjrtApi() -> *const pjrt::PJRT_Api {
    pjrt::table()
}
