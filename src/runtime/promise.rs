//! Tells when the array of a buffer exists: its work is scheduled, done or not.
#![forbid(unsafe_code)]

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

type Waiter = Box<dyn FnOnce() + Send>;

/// Kept once, when the results of a run have been scheduled or have failed.
#[derive(Default)]
pub(super) struct Promise {
    kept: AtomicBool,
    waiters: Mutex<Vec<Waiter>>,
    changed: Condvar,
}

impl Promise {
    /// A promise that nobody has kept.
    pub(super) fn new() -> Arc<Self> {
        Arc::default()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Waiter>> {
        self.waiters.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether it has been kept.
    pub(super) fn is_kept(&self) -> bool {
        self.kept.load(Ordering::Acquire)
    }

    /// Keeps it: whoever waits goes on.
    pub(super) fn keep(&self) {
        let waiters = {
            let mut waiters = self.lock();
            self.kept.store(true, Ordering::Release);
            self.changed.notify_all();
            std::mem::take(&mut *waiters)
        };
        for waiter in waiters {
            waiter();
        }
    }

    /// Blocks until it is kept.
    pub(super) fn wait(&self) {
        if self.is_kept() {
            return;
        }
        let mut waiters = self.lock();
        while !self.is_kept() {
            waiters = self.changed.wait(waiters).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Calls back when it is kept: at once if it is.
    pub(super) fn when_kept(&self, waiter: Waiter) {
        let mut waiters = self.lock();
        if self.is_kept() {
            drop(waiters);
            return waiter();
        }
        waiters.push(waiter);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;

    #[test]
    fn waiters_go_on_when_it_is_kept() {
        let promise = Promise::new();
        let (sender, receiver) = channel();
        let early = sender.clone();
        promise.when_kept(Box::new(move || early.send("early").unwrap()));
        assert!(!promise.is_kept() && receiver.try_recv().is_err());
        let waiting = promise.clone();
        let waiter = std::thread::spawn(move || waiting.wait());
        promise.keep();
        waiter.join().unwrap();
        promise.when_kept(Box::new(move || sender.send("late").unwrap()));
        assert_eq!(receiver.iter().collect::<Vec<_>>(), ["early", "late"]);
    }
}
