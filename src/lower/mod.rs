//! Program → plan: each op becomes, once per compile, a kernel that makes its MLX calls.
//!
//! One file per op family, each with its rows of the op table ([`Row`]). Shape and dtype questions are answered here, at
//! compile time; what a kernel does per call is a handful of MLX calls with ready parameters.
#![forbid(unsafe_code)]

mod axes;
mod batch_norm;
mod bitcast;
mod callees;
mod chooser;
mod collectives;
mod combiner;
mod compile;
mod complex;
mod context;
mod control_flow;
mod convolution;
mod custom_call;
mod dot_general;
mod dynamic_slice;
mod elementwise;
mod error;
mod expression;
mod fft;
mod float_order;
mod gather;
mod host_transfer;
mod indexing;
mod linear_algebra;
mod matchers;
mod native;
#[cfg(test)]
mod placement;
#[cfg(test)]
mod rare_ops;
mod reduce;
mod reduce_window;
mod rng;
mod scatter;
mod select_and_scatter;
mod shape;
mod sort;
mod storage;
mod table;
#[cfg(test)]
pub mod testing;
mod top_k;

pub use compile::{Compiled, compile};
pub use context::{Context, Lowered, Region, Row};
pub use error::LowerError;
pub use native::Native;
pub use shape::literal_array;
pub use storage::{array_from_host, shape_i32, storage, token_array};
pub use table::{REFUSED, TABLE};
