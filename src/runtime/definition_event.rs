//! Tells when the array of a buffer exists: its work is scheduled, done or not.
#![forbid(unsafe_code)]

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

type Waiter = Box<dyn FnOnce() + Send>;

/// Defined once, when the results of a run have been scheduled or have failed: what XLA calls a definition event.
#[derive(Default)]
pub(super) struct DefinitionEvent {
    defined: AtomicBool,
    waiters: Mutex<Vec<Waiter>>,
    changed: Condvar,
}

impl DefinitionEvent {
    /// One that is not defined yet.
    pub(super) fn new() -> Arc<Self> {
        Arc::default()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Waiter>> {
        self.waiters.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether it is defined.
    pub(super) fn is_defined(&self) -> bool {
        self.defined.load(Ordering::Acquire)
    }

    /// Defines it: whoever waits goes on.
    pub(super) fn define(&self) {
        let waiters = {
            let mut waiters = self.lock();
            self.defined.store(true, Ordering::Release);
            self.changed.notify_all();
            std::mem::take(&mut *waiters)
        };
        for waiter in waiters {
            waiter();
        }
    }

    /// Blocks until it is defined.
    pub(super) fn wait(&self) {
        if self.is_defined() {
            return;
        }
        let mut waiters = self.lock();
        while !self.is_defined() {
            waiters = self.changed.wait(waiters).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Calls back when it is defined: at once if it is.
    pub(super) fn on_defined(&self, waiter: Waiter) {
        let mut waiters = self.lock();
        if self.is_defined() {
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
        let event = DefinitionEvent::new();
        let (sender, receiver) = channel();
        let early = sender.clone();
        event.on_defined(Box::new(move || early.send("early").unwrap()));
        assert!(!event.is_defined() && receiver.try_recv().is_err());
        let waiting = event.clone();
        let waiter = std::thread::spawn(move || waiting.wait());
        event.define();
        waiter.join().unwrap();
        event.on_defined(Box::new(move || sender.send("late").unwrap()));
        assert_eq!(receiver.iter().collect::<Vec<_>>(), ["early", "late"]);
    }
}
