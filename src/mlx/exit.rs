//! What MLX still computes when the process ends.
//!
//! MLX destroys neither its scheduler nor the threads of the host's processor, which go on while static objects go. Among
//! these, in 0.32.4, is the allocator of the backend without a GPU: its destructor frees the buffers kept for reuse without
//! the lock under which tasks that end put theirs there, and the heap is destroyed. On CUDA and Metal it is the encoders of
//! streams, which whoever evaluates uses, and on CUDA what the driver knows: MLX throws when that refuses something, in
//! destructors too. So at the end nobody evaluates any more, and all that was scheduled has run.

use std::sync::mpsc::channel;
use std::sync::{Mutex, Once, PoisonError};
use std::time::Instant;

use super::capabilities::Backend;
use super::{Stream, autorelease_pool, evaluation_lock, is_forked_child, memory, shutdown};

static STREAMS: Mutex<Vec<Stream>> = Mutex::new(Vec::new());

/// A stream was made.
pub(super) fn expect_work_of(stream: Stream) {
    // MLX makes its allocator when it is first asked for something.
    let _ = memory::active();
    STREAMS.lock().unwrap_or_else(PoisonError::into_inner).push(stream);
    static ONCE: Once = Once::new();
    ONCE.call_once(|| shutdown::at_exit(shutdown::Stage::Devices, wait_at_exit));
    shutdown::come_first();
}

fn wait_at_exit(deadline: Instant) -> bool {
    if is_forked_child() {
        // The threads are the parent's.
        return true;
    }
    let (sender, ended) = channel();
    // MLX waits without a limit, hence on another thread.
    let spawned = std::thread::Builder::new().name("jax-mps-end".into()).spawn(move || {
        let lock = evaluation_lock();
        if Instant::now() > deadline {
            return;
        }
        std::mem::forget(lock);
        autorelease_pool(finish);
        let _ = sender.send(());
        // What MLX keeps for a thread goes with that.
        loop {
            std::thread::park();
        }
    });
    spawned.is_ok() && ended.recv_timeout(deadline.saturating_duration_since(Instant::now())).is_ok()
}

/// Waits for all that was scheduled; the evaluation lock is held.
fn finish() {
    for stream in &*STREAMS.lock().unwrap_or_else(PoisonError::into_inner) {
        // Failures were told to whom they concern.
        let _ = stream.synchronize();
    }
    if Backend::of_allocator() == Backend::Cpu {
        // Late arrays, of threads that look at nobody's end, then go to the system, past what is destroyed.
        memory::keep_nothing();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::super::{Dtype, HostFunction, host_call};
    use super::*;

    #[test]
    fn the_end_waits_for_what_was_scheduled() {
        let stream = Stream::cpu().expect("made");
        let slow: Arc<HostFunction> = Arc::new(|_, _| {
            std::thread::sleep(Duration::from_millis(300));
            Ok(())
        });
        let results = host_call(&slow, &[], &[(&[1 << 20], Dtype::Uint8)], stream).expect("built");
        let before = memory::set_cache_limit(32 << 20).expect("set");
        let launch = stream.evaluate_async(&results).expect("scheduled");
        drop(results);
        assert!(!launch.is_ready().expect("well"));
        let lock = evaluation_lock();
        finish();
        assert!(launch.is_ready().expect("well"));
        if Backend::of_allocator() == Backend::Cpu {
            assert_eq!(memory::cached().expect("known"), 0);
        }
        drop(lock);
        memory::set_cache_limit(before).expect("set");
    }

    #[test]
    fn the_end_does_not_wait_for_ever() {
        let _lock = evaluation_lock();
        assert!(!wait_at_exit(Instant::now() + Duration::from_millis(50)));
    }
}
