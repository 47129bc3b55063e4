//! The PJRT C API: the table of functions that jaxlib loads, one file per PJRT object.
//!
//! Every entry point is made by the macro `entry!`, which checks the size of the caller's structure, turns null handles
//! into errors, catches panics and converts the typed error into a `PJRT_Error`. Rules of the ABI that shape the code:
//!
//! - A structure of arguments is as long as the *caller's* version of the header says; nothing behind its `struct_size`
//!   is read or written.
//! - jaxlib dereferences `PJRT_Error` and `PJRT_Memory` as structures that begin with a pointer to a function table.
//! - jaxlib aborts the process when one of the simple getters fails: they have nothing that can fail.
#![expect(non_snake_case, reason = "entry points carry the names of the C header")]

#[macro_use]
mod call;

mod abi;
mod alias;
mod api;
mod async_transfers;
mod buffer;
mod client;
mod client_options;
mod compile;
mod copy;
mod device;
mod device_description;
mod error;
mod event;
mod executable;
mod execute;
mod execute_context;
mod extensions;
mod float_environment;
mod from_host;
mod handle;
mod layout;
mod loaded_executable;
mod memory;
mod memory_layout;
mod named_value;
mod plugin;
mod serialized;
mod to_host;
mod topology;
mod transfers;
mod types;
mod unimplemented;

#[cfg(test)]
mod tests;

pub use abi::PJRT_Api;
pub use api::table;
