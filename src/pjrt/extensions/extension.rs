//! One structure of the chain.

use pjrt_sys::PJRT_Extension_Base;

/// An extension that does not change.
#[repr(transparent)]
pub(super) struct Extension<T>(pub(super) T);

// SAFETY: extensions consist of constants.
unsafe impl<T> Sync for Extension<T> {}

impl<T> Extension<T> {
    pub(super) const fn handle(&'static self) -> *mut PJRT_Extension_Base {
        (&raw const self.0).cast_mut().cast()
    }
}
