//! Extensions of the API: a chain of structures behind `PJRT_Api.extension_start`.

pub(super) mod layouts;
pub(super) mod memory_descriptions;
pub(super) mod profiler;
pub(super) mod shardings;

use pjrt_sys::PJRT_Extension_Base;

/// The first of the chain.
pub(super) const fn first() -> *mut PJRT_Extension_Base {
    profiler::EXTENSION.handle()
}

/// An extension that does not change.
#[repr(transparent)]
pub(super) struct Extension<T>(T);

// SAFETY: extensions consist of constants.
unsafe impl<T> Sync for Extension<T> {}

impl<T> Extension<T> {
    const fn handle(&'static self) -> *mut PJRT_Extension_Base {
        (&raw const self.0).cast_mut().cast()
    }
}
