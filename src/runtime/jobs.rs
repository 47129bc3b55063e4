//! Threads that run programs which must wait for the device on their way: loops and branches that depend on values.
//!
//! A job is submitted when all of its arguments exist, so that it waits for nothing but the device; it never calls into
//! Python. Threads that have been idle for a while end.
//!
//! A few threads run the jobs, in the order in which they come. A job that has waited for some time, since the jobs before it
//! take long or never end, gets a thread of its own.
#![forbid(unsafe_code)]

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, Once, PoisonError};
use std::time::{Duration, Instant};

use super::interrupts;
use crate::mlx::{autorelease_pool, is_forked_child, own_thread, shutdown};

/// Work of a program.
pub(super) type Job = Box<dyn FnOnce() + Send>;

/// Programs that run at a time; more only contend for the device, as long as these get on.
const MOST_THREADS: usize = 4;
/// How long a job waits for these.
const PATIENCE: Duration = Duration::from_millis(100);
/// Programs that may be on their way before the caller has to wait: enough to keep the device busy, few enough to bound
/// the memory of results that nobody has asked for.
const MOST_UNDERWAY: usize = 64;
const IDLE: Duration = Duration::from_secs(10);

struct Pool {
    state: Mutex<State>,
    work: Condvar,
    room: Condvar,
}

struct State {
    /// With the time at which each came.
    queue: VecDeque<(Instant, Job)>,
    threads: usize,
    idle: usize,
    /// Whether a thread beyond the usual ones watches the queue for jobs that have waited too long.
    watched: bool,
    running: usize,
    /// Begun with [`begin`] and not ended.
    underway: usize,
}

static POOL: Pool = Pool {
    state: Mutex::new(State { queue: VecDeque::new(), threads: 0, idle: 0, watched: false, running: 0, underway: 0 }),
    work: Condvar::new(),
    room: Condvar::new(),
};

impl Pool {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run(&self) {
        own_thread();
        let mut state = self.lock();
        loop {
            if let Some((_, job)) = state.queue.pop_front() {
                state = self.run_job(state, job);
                continue;
            }
            state.idle += 1;
            let (woken, timeout) = self.work.wait_timeout(state, IDLE).unwrap_or_else(PoisonError::into_inner);
            state = woken;
            state.idle -= 1;
            if timeout.timed_out() && state.queue.is_empty() {
                state.threads -= 1;
                return;
            }
        }
    }

    fn run_job<'a>(&'a self, mut state: MutexGuard<'a, State>, job: Job) -> MutexGuard<'a, State> {
        state.running += 1;
        drop(state);
        autorelease_pool(job);
        let mut state = self.lock();
        state.running -= 1;
        self.room.notify_all();
        state
    }

    /// Watches until the queue is empty; the thread that takes a job leaves the watch to another.
    fn run_late(&'static self) {
        own_thread();
        let mut state = self.lock();
        while let Some((since, _)) = state.queue.front() {
            let left = PATIENCE.saturating_sub(since.elapsed());
            if !left.is_zero() {
                drop(state);
                std::thread::sleep(left);
                state = self.lock();
                continue;
            }
            state.watched = false;
            if let Some((_, job)) = state.queue.pop_front() {
                self.watch(&mut state);
                drop(self.run_job(state, job));
            }
            return;
        }
        state.watched = false;
    }

    /// Sees to it that the jobs of the queue do not wait for ever.
    fn watch(&'static self, state: &mut State) {
        if state.watched || state.queue.is_empty() || state.threads < MOST_THREADS {
            return;
        }
        let spawned = std::thread::Builder::new().name("jax-mps-programs".into()).spawn(|| self.run_late());
        match spawned {
            Ok(_) => state.watched = true,
            Err(error) => tracing::error!("no thread for programs: {error}"),
        }
    }
}

/// Counts a program as underway until it is dropped.
pub(super) struct Underway(());

impl Drop for Underway {
    fn drop(&mut self) {
        POOL.lock().underway -= 1;
        POOL.room.notify_all();
    }
}

/// Begins a program; waits while too many are on their way, until the user interrupts that.
pub(super) fn begin() -> Underway {
    let mut state = POOL.lock();
    while state.underway >= MOST_UNDERWAY {
        let (woken, timeout) =
            POOL.room.wait_timeout(state, interrupts::PATIENCE).unwrap_or_else(PoisonError::into_inner);
        state = woken;
        if timeout.timed_out() {
            drop(state);
            let interrupted = interrupts::interrupted_now();
            state = POOL.lock();
            if interrupted {
                break;
            }
        }
    }
    state.underway += 1;
    Underway(())
}

/// Runs a job on one of the threads, soon.
pub(super) fn submit(job: Job) {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| shutdown::at_exit(shutdown::Stage::Programs, wait_at_exit));
    let mut state = POOL.lock();
    state.queue.push_back((Instant::now(), job));
    if state.idle >= state.queue.len() || state.threads >= MOST_THREADS {
        POOL.work.notify_one();
        if state.idle < state.queue.len() {
            POOL.watch(&mut state);
        }
        return;
    }
    state.threads += 1;
    let spawned = std::thread::Builder::new().name("jax-mps-programs".into()).spawn(|| POOL.run());
    if let Err(error) = spawned {
        tracing::error!("no thread for programs: {error}");
        state.threads -= 1;
        // Without any thread the caller does the work.
        if state.threads == 0
            && let Some((_, job)) = state.queue.pop_back()
        {
            drop(state);
            job();
        }
    }
}

/// At the end of the process MLX's own objects go, under the feet of programs that still run: these end first. Loops
/// look at [`shutdown::requested`].
fn wait_at_exit(deadline: Instant) -> bool {
    if is_forked_child() {
        // The programs run in the parent.
        return true;
    }
    let mut state = POOL.lock();
    let abandoned = std::mem::take(&mut state.queue);
    // Dropped without the lock: a job that is dropped ends its program.
    drop(state);
    std::mem::forget(abandoned);
    state = POOL.lock();
    while state.running > 0 {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return false;
        }
        state = POOL.room.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
    }
    true
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;

    #[test]
    fn jobs_that_do_not_end_keep_no_others_waiting() {
        // More than run at a time, so that late ones are late by each other too.
        let mut stops = Vec::new();
        for _ in 0..2 * MOST_THREADS {
            let (stop, stopped) = channel::<()>();
            stops.push(stop);
            submit(Box::new(move || assert!(stopped.recv().is_err(), "the sender is dropped")));
        }
        let (sender, receiver) = channel();
        for number in 0..3 {
            let sender = sender.clone();
            submit(Box::new(move || sender.send(number).expect("received")));
        }
        let mut ran: Vec<_> = (0..3).map(|_| receiver.recv_timeout(Duration::from_secs(20)).expect("runs")).collect();
        ran.sort_unstable();
        assert_eq!(ran, [0, 1, 2]);
        drop(stops);
        let deadline = Instant::now() + Duration::from_secs(20);
        while POOL.lock().running > 0 && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(5));
        }
        let state = POOL.lock();
        assert_eq!((state.running, state.queue.len()), (0, 0));
        assert!(state.threads <= MOST_THREADS);
    }
}
