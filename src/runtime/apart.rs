//! Threads for programs whose callers serve them meanwhile ([`super::interrupts`]): as many as there are such programs,
//! since a callback of one may wait for another.
#![forbid(unsafe_code)]

use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Condvar, Mutex, MutexGuard, Once, PoisonError};
use std::time::{Duration, Instant};

use super::error::{Code, Error};
use crate::mlx::{autorelease_pool, interpreter, is_forked_child, shutdown};

/// Work of a program.
type Job = Box<dyn FnOnce() + Send>;

/// How long a thread without work stays.
const IDLE: Duration = Duration::from_secs(10);

struct State {
    /// Threads without work, by number.
    idle: Vec<(u64, Sender<Job>)>,
    threads: u64,
    running: usize,
}

static STATE: Mutex<State> = Mutex::new(State { idle: Vec::new(), threads: 0, running: 0 });
static CHANGED: Condvar = Condvar::new();

fn lock() -> MutexGuard<'static, State> {
    STATE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Runs a job on a thread that has nothing else to do, now.
///
/// # Errors
/// RESOURCE_EXHAUSTED when the system gives no thread.
pub(super) fn run(job: Job) -> Result<(), Error> {
    let running = begin();
    let job: Job = Box::new(move || {
        job();
        drop(running);
    });
    let mut state = lock();
    let mut job = job;
    while let Some((_, thread)) = state.idle.pop() {
        match thread.send(job) {
            Ok(()) => return Ok(()),
            Err(unsent) => job = unsent.0,
        }
    }
    state.threads += 1;
    let number = state.threads;
    drop(state);
    let spawned = std::thread::Builder::new().name("jax-mps-callers".into()).spawn(move || work(number, job));
    let no_thread = |error| Error::new(Code::ResourceExhausted, format!("no thread for a program: {error}"));
    spawned.map(drop).map_err(no_thread)
}

/// Work that the end of the process waits for, until this is dropped.
pub(super) struct Running(());

/// Begins such work on the calling thread.
pub(super) fn begin() -> Running {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| shutdown::at_exit(shutdown::Stage::Programs, wait_at_exit));
    lock().running += 1;
    Running(())
}

impl Drop for Running {
    fn drop(&mut self) {
        lock().running -= 1;
        CHANGED.notify_all();
    }
}

impl Running {
    /// A part of the work that may take for ever, and that the end of the process does not wait for. It does not come back
    /// from that when the process has begun to end meanwhile.
    pub(super) fn outside<R>(&self, body: impl FnOnce() -> R) -> R {
        lock().running -= 1;
        CHANGED.notify_all();
        let result = body();
        let mut state = lock();
        while shutdown::requested() && !interpreter::on_main_thread() {
            drop(state);
            std::thread::sleep(IDLE);
            state = lock();
        }
        state.running += 1;
        result
    }
}

fn work(number: u64, first: Job) {
    let (sender, jobs) = channel::<Job>();
    let mut next = Some(first);
    loop {
        if let Some(job) = next.take() {
            autorelease_pool(job);
            lock().idle.push((number, sender.clone()));
        }
        match jobs.recv_timeout(IDLE) {
            Ok(job) => next = Some(job),
            Err(RecvTimeoutError::Disconnected) => return,
            Err(RecvTimeoutError::Timeout) => {
                let mut state = lock();
                let had = state.idle.len();
                state.idle.retain(|(idle, _)| *idle != number);
                // One that is not among them has just been given work.
                if state.idle.len() < had {
                    return;
                }
            }
        }
    }
}

/// MLX's own objects go at the end of the process, under the feet of programs that still run: these end first.
fn wait_at_exit(deadline: Instant) -> bool {
    if is_forked_child() {
        return true;
    }
    let mut state = lock();
    while state.running > 0 {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return false;
        }
        state = CHANGED.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
    }
    true
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::sync_channel;

    use super::*;

    #[test]
    fn a_job_may_wait_for_another_that_starts_later() {
        let (sender, receiver) = sync_channel(1);
        let (done, finished) = sync_channel(1);
        run(Box::new(move || {
            run(Box::new(move || sender.send(7).expect("somebody waits"))).expect("started");
            done.send(receiver.recv().expect("sent")).expect("the test listens");
        }))
        .expect("started");
        assert_eq!(finished.recv().expect("sent"), 7);
    }
}
