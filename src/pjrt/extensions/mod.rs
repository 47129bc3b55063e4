//! Extensions of the API: a chain of structures behind `PJRT_Api.extension_start`.

mod extension;
pub(super) mod layouts;
pub(super) mod memory_descriptions;
pub(super) mod profiler;
pub(super) mod shardings;

use pjrt_sys::PJRT_Extension_Base;

/// The first of the chain.
pub(super) const fn first() -> *mut PJRT_Extension_Base {
    profiler::EXTENSION.handle()
}
