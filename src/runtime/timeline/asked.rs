//! Who asks for the timeline.
#![forbid(unsafe_code)]

use std::sync::atomic::{AtomicU8, Ordering};

/// Who asks: [`FILE`] and [`PROFILE`] as bits.
pub(super) static ASKED: AtomicU8 = AtomicU8::new(0);
pub(super) const FILE: u8 = 1;
pub(super) const PROFILE: u8 = 2;

/// Relaxed: who sees a bit too early finds nothing to record into, who sees it too late records nothing.
pub(super) fn asked() -> u8 {
    ASKED.load(Ordering::Relaxed)
}
