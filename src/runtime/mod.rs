//! Devices, buffers, executables: what `pjrt` offers to jaxlib, without C in it.
#![forbid(unsafe_code)]

mod apart;
mod bitcast;
mod buffer;
mod buffer_promise;
mod capture;
mod client;
mod compile;
mod compile_options;
mod completion;
pub mod controls;
mod cost;
mod definition_event;
mod device;
mod dump;
mod error;
mod executable;
mod execute;
#[cfg(test)]
mod failing;
mod fork;
pub mod interrupts;
mod jobs;
mod layout;
mod memory_limit;
mod settings;
mod timeline;

pub use buffer::{Buffer, BufferType, MemoryKind};
pub use buffer_promise::BufferPromise;
pub use client::{Client, ClientOptions};
pub use completion::{Callback, Completer, Completion};
pub use device::{Device, MemoryStats};
pub use error::{Code, Error};
pub use executable::{CompiledMemoryStats, Executable, Signature};
pub use layout::{Layout, layout_text};
#[cfg(test)]
pub(crate) use timeline::one_at_a_time as one_profile_at_a_time;
pub use timeline::{Profiler, Span, span};

pub use crate::mlx::{BorrowedMemory, HostBytes, autorelease_pool, interpreter};
pub use crate::plan::HostTransfers;
pub use crate::stablehlo::{NEWEST as NEWEST_STABLEHLO, OLDEST as OLDEST_STABLEHLO};
