//! The thread that MLX takes for the main one.
//!
//! There, and only there, MLX throws the stored error of one task at whoever schedules the next, which may belong to another
//! program; and the task's own end does not see it any more. There, too, `mx.clear_streams()` of `mlx.core` destroys the
//! streams of all threads. MLX asks which thread was the first to schedule anything. So that is one of ours, which does
//! nothing else, unless `mlx.core` was used before us. Not on CUDA, where caches belong to that thread.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;

use super::Stream;
use super::error::Error;

static OURS: AtomicBool = AtomicBool::new(false);

/// Makes a thread of ours the main one, if there is none. The stream is one of the host's processor, just made.
pub(super) fn occupy(stream: Stream) {
    let (sender, receiver) = channel();
    let spawned = std::thread::Builder::new().name("jax-mps-mlx".into()).stack_size(128 << 10).spawn(move || {
        // SAFETY: a stream of the host's processor that nobody else knows of yet.
        let ours = unsafe { mlx_sys::jax_mps_become_main_thread(stream.raw()) };
        let _ = sender.send(ours);
        if ours {
            // Its number may not be another's.
            loop {
                std::thread::park();
            }
        }
    });
    if let Err(error) = &spawned {
        tracing::warn!("no thread for mlx to take for the main one: {error}");
    }
    let ours = spawned.is_ok() && receiver.recv().unwrap_or(false);
    OURS.store(ours, Ordering::Relaxed);
    tracing::debug!("mlx's main thread is {}", if ours { "ours" } else { "another" });
}

/// Whether the error of an evaluation may be that of a task of another program. Refused memory is not: MLX allocates when
/// it schedules.
pub(super) fn may_throw_errors_of_others(error: &Error) -> bool {
    let refused = error.is_out_of_memory() && error.message != "std::bad_alloc";
    !refused && !OURS.load(Ordering::Relaxed)
}
