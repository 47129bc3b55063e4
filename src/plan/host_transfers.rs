//! What a run exchanges with its host: what `jax.pure_callback`, `io_callback` and `debug.print` become.
#![forbid(unsafe_code)]

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::mlx;

/// The host's side of a run: who takes what is sent, and gives what is received.
pub trait HostTransfers {
    /// Takes the elements of an array, row-major.
    ///
    /// # Errors
    /// What the host says, such as the exception of a callback.
    fn send(&self, channel: i64, elements: Vec<u8>) -> Result<(), String>;

    /// Waits for `bytes` bytes: an array, row-major.
    ///
    /// # Errors
    /// As [`Self::send`].
    fn receive(&self, channel: i64, bytes: usize) -> Result<Vec<u8>, String>;

    /// Becomes true when the host no longer wants the run to go on. None: it never does.
    fn stop_flag(&self) -> Option<Arc<AtomicBool>> {
        None
    }
}

thread_local! {
    static CURRENT: RefCell<Option<Rc<dyn HostTransfers>>> = const { RefCell::new(None) };
}

/// Runs `body` with the transfers of one run of a program. A callback may run another program on this thread: its
/// transfers stand in front until it is done.
pub fn with_host_transfers<R>(transfers: Option<Rc<dyn HostTransfers>>, body: impl FnOnce() -> R) -> R {
    struct Restore(Option<Rc<dyn HostTransfers>>);
    impl Drop for Restore {
        fn drop(&mut self) {
            CURRENT.set(self.0.take());
        }
    }
    let _restore = Restore(CURRENT.replace(transfers));
    body()
}

/// Those of this thread's run.
///
/// # Errors
/// When the run has none.
pub fn host_transfers() -> mlx::Result<Rc<dyn HostTransfers>> {
    CURRENT
        .with_borrow(Clone::clone)
        .ok_or_else(|| mlx::Error::new("the caller of the program passed no send and recv callbacks"))
}

/// Whether the host of this thread's run no longer wants it to go on.
pub fn is_stopped() -> bool {
    stop_flag().is_some_and(|flag| flag.load(Ordering::Relaxed))
}

/// The flag of this thread's run.
pub fn stop_flag() -> Option<Arc<AtomicBool>> {
    CURRENT.with_borrow(|current| current.as_ref().and_then(|transfers| transfers.stop_flag()))
}
