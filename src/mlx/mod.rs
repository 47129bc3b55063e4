//! The thin safe layer over MLX: handles from mlx-rs, functions from mlx-c with an explicit stream on every call.
//!
//! Names are MLX's own. Nothing here evaluates but [`Stream::evaluate`] and [`Stream::evaluate_async`].

mod array;
mod autorelease;
mod capabilities;
mod capture;
mod convert;
mod device;
mod elementwise;
mod error;
mod exit;
mod failures;
#[doc(hidden)]
pub mod faults;
mod fork;
mod from_host;
mod host_call;
mod host_view;
mod info;
pub mod interpreter;
mod launch;
mod main_thread;
pub mod memory;
mod ops;
mod ops_shape;
pub mod shutdown;
mod stream;
mod thread;
mod vector;

pub use array::{Array, BufferSlice, BufferSlices, Dtype, Scalar};
pub use autorelease::autorelease_pool;
#[cfg(test)]
pub(crate) use autorelease::open_pools;
pub use capabilities::{Backend, Capabilities, ConvolvedDimension, NativeConvolution, ScatterMode};
pub use capture::Capture;
pub(crate) use convert::astype;
pub use device::DeviceKind;
pub(crate) use elementwise::{
    bfloat16_add, bfloat16_divide, bfloat16_multiply, bfloat16_subtract, complex_abs, complex_divide, complex_multiply,
    complex_products,
};
pub use error::{Error, Result};
pub use failures::Reach;
pub(crate) use failures::anything_failed;
pub(crate) use fork::{is_forked_child, watch_for_forks};
pub use from_host::{BorrowedMemory, HostBytes};
pub(crate) use host_call::host_amend;
pub use host_call::{HostAmendment, HostFunction, host_call};
pub(crate) use host_view::for_host;
pub use info::Fact;
pub(crate) use info::{device_facts, gpu_name, version};
pub use launch::Launch;
pub(crate) use ops::*;
pub use ops::{ConvParameters, FftKind, add};
pub(crate) use ops_shape::*;
pub(crate) use stream::evaluation_lock;
pub use stream::{Stream, run_program};
pub(crate) use thread::{own_thread, thread_number};

/// Results of a function or of a step: nearly always one.
pub type Arrays = smallvec::SmallVec<[Array; 2]>;
