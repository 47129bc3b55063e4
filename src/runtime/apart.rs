//! Threads for programs whose callers serve them meanwhile ([`super::interrupts`]): as many as there are such programs,
//! since a callback of one may wait for another.
#![forbid(unsafe_code)]

use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Condvar, Mutex, MutexGuard, Once, PoisonError};
use std::time::{Duration, Instant};

use super::error::{Code, Error};
use super::jobs::Job;
use crate::mlx::{autorelease_pool, is_forked_child, shutdown};

/// How long a thread without work stays.
const IDLE: Duration = Duration::from_secs(10);
/// How long the end of the process waits for programs that were left behind.
const FAREWELL: Duration = Duration::from_secs(20);

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
    static ONCE: Once = Once::new();
    ONCE.call_once(|| shutdown::at_exit(farewell));
    let mut state = lock();
    state.running += 1;
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
    spawned.map(drop).map_err(|error| {
        lock().running -= 1;
        Error::new(Code::ResourceExhausted, format!("no thread for a program: {error}"))
    })
}

fn work(number: u64, first: Job) {
    let (sender, jobs) = channel::<Job>();
    let mut next = Some(first);
    loop {
        if let Some(job) = next.take() {
            autorelease_pool(job);
            let mut state = lock();
            state.running -= 1;
            state.idle.push((number, sender.clone()));
            CHANGED.notify_all();
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
extern "C" fn farewell() {
    if is_forked_child() {
        return;
    }
    let deadline = Instant::now() + FAREWELL;
    let mut state = lock();
    while state.running > 0 {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return;
        }
        state = CHANGED.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
    }
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
