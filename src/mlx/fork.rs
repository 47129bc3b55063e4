//! Forked children: MLX's threads and Metal's connections stay with the parent, so that a child that used them would hang or
//! crash.

use std::ffi::c_int;
use std::sync::Once;
use std::sync::atomic::{AtomicBool, Ordering};

unsafe extern "C" {
    fn pthread_atfork(
        prepare: Option<unsafe extern "C" fn()>,
        parent: Option<unsafe extern "C" fn()>,
        child: Option<unsafe extern "C" fn()>,
    ) -> c_int;
}

static IN_CHILD: AtomicBool = AtomicBool::new(false);

unsafe extern "C" fn in_child() {
    IN_CHILD.store(true, Ordering::Relaxed);
}

/// From now on [`is_forked_child`] answers true in children that are forked. To be called before MLX is used; a child
/// forked earlier may use it.
pub(crate) fn watch_for_forks() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // SAFETY: the handler only stores a flag, which is allowed between fork and exec. It is never unregistered: the
        // library stays loaded, jaxlib unloads no plugin.
        let status = unsafe { pthread_atfork(None, None, Some(in_child)) };
        if status != 0 {
            tracing::warn!("forked children will not be noticed: pthread_atfork failed with {status}");
        }
    });
}

/// Whether this process was forked from one that had called [`watch_for_forks`].
pub(crate) fn is_forked_child() -> bool {
    IN_CHILD.load(Ordering::Relaxed)
}
