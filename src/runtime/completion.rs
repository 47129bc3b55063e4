//! When something is done, and whether it went well: what stands behind PJRT's events.
#![forbid(unsafe_code)]

use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};

use super::error::{Code, Error};
use super::fork;
use crate::mlx::{Launch, Reach, anything_failed, autorelease_pool, interpreter};

/// Called once with the outcome.
pub type Callback = Box<dyn FnOnce(Result<(), Error>) + Send>;

/// A future without a value.
#[derive(Clone)]
pub struct Completion(Inner);

#[derive(Clone)]
enum Inner {
    Ready,
    Pending(Arc<Pending>),
}

struct Pending {
    outcome: OnceLock<Result<(), Error>>,
    /// What is waited for; empty for completions that somebody completes by hand, or whose work is yet to be launched.
    launch: OnceLock<Launch>,
    /// Callbacks that wait for the outcome; the flag says that a waiter has been asked to watch.
    waiting: Mutex<(Vec<Callback>, bool)>,
    done: Condvar,
}

impl Pending {
    fn lock(&self) -> MutexGuard<'_, (Vec<Callback>, bool)> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn finish(&self, outcome: Result<(), Error>) {
        let callbacks = {
            let mut waiting = self.lock();
            if self.outcome.set(outcome).is_err() {
                return;
            }
            self.done.notify_all();
            std::mem::take(&mut waiting.0)
        };
        for callback in callbacks {
            // It would wake threads of Python's that may not wake any more.
            if interpreter::is_shut_out() {
                std::mem::forget(callback);
                continue;
            }
            callback(self.outcome.get().cloned().unwrap_or(Ok(())));
        }
    }

    fn poll(&self) -> bool {
        if self.outcome.get().is_some() {
            return true;
        }
        if let Err(error) = fork::check() {
            self.finish(Err(error));
            return true;
        }
        match self.launch.get().map(Launch::is_ready) {
            None | Some(Ok(false)) => false,
            Some(Ok(true)) => {
                self.finish(Ok(()));
                true
            }
            Some(Err(error)) => {
                self.finish(Err(error.into()));
                true
            }
        }
    }

    fn wait(&self) -> Result<(), Error> {
        loop {
            if let Some(outcome) = self.outcome.get() {
                return outcome.clone();
            }
            if let Err(error) = fork::check() {
                self.finish(Err(error));
                continue;
            }
            if let Some(launch) = self.launch.get() {
                let outcome = launch.wait().map_err(Error::from);
                self.finish(outcome);
                continue;
            }
            let mut waiting = self.lock();
            while self.outcome.get().is_none() && self.launch.get().is_none() {
                waiting = self.done.wait(waiting).unwrap_or_else(PoisonError::into_inner);
            }
        }
    }

    /// From now on it is done when the launch is.
    fn follow(self: &Arc<Self>, launch: Launch) {
        let watched = {
            let mut waiting = self.lock();
            let _ = self.launch.set(launch);
            self.done.notify_all();
            waiting.1 = !waiting.0.is_empty();
            waiting.1
        };
        if watched {
            watch(self.clone());
        }
    }
}

/// Completes a [`Completion::manual`]; dropped without a word, it fails the completion.
pub struct Completer(Option<Arc<Pending>>);

impl Completer {
    /// Ends the wait.
    pub fn complete(mut self, outcome: Result<(), Error>) {
        if let Some(pending) = self.0.take() {
            pending.finish(outcome);
        }
    }
}

impl Completer {
    /// Hands the wait over to work that has been scheduled.
    pub(super) fn follow(mut self, launch: Launch) {
        if let Some(pending) = self.0.take() {
            pending.follow(launch);
        }
    }
}

impl Drop for Completer {
    fn drop(&mut self) {
        if let Some(pending) = self.0.take() {
            pending.finish(Err(Error::new(Code::Aborted, "the work was dropped before it was done")));
        }
    }
}

impl Completion {
    /// Done, and well.
    pub fn ready() -> Self {
        Completion(Inner::Ready)
    }

    /// Done, with an error.
    pub fn failed(error: Error) -> Self {
        let pending = Pending::new(None);
        pending.finish(Err(error));
        Completion(Inner::Pending(pending))
    }

    /// Done when somebody says so.
    pub fn manual() -> (Self, Completer) {
        let pending = Pending::new(None);
        (Completion(Inner::Pending(pending.clone())), Completer(Some(pending)))
    }

    /// Done when the work is.
    pub fn of(launch: Launch) -> Self {
        Completion(Inner::Pending(Pending::new(Some(launch))))
    }

    /// Whether it is done.
    pub fn is_ready(&self) -> bool {
        match &self.0 {
            Inner::Ready => true,
            Inner::Pending(pending) => pending.poll(),
        }
    }

    /// Blocks until done.
    ///
    /// # Errors
    /// The failure of what was waited for.
    pub fn wait(&self) -> Result<(), Error> {
        match &self.0 {
            Inner::Ready => Ok(()),
            Inner::Pending(pending) => pending.wait(),
        }
    }

    /// The failure, when it is done and failed.
    pub fn error(&self) -> Option<Error> {
        match &self.0 {
            Inner::Ready => None,
            Inner::Pending(pending) => {
                pending.poll();
                pending.outcome.get().and_then(|outcome| outcome.clone().err())
            }
        }
    }

    /// The failure, when somebody has found it already. Asks nobody as long as nothing fails in this process.
    pub fn known_error(&self) -> Option<Error> {
        match &self.0 {
            Inner::Ready => None,
            Inner::Pending(pending) => {
                if anything_failed() {
                    pending.poll();
                }
                pending.outcome.get().and_then(|outcome| outcome.clone().err())
            }
        }
    }

    /// Where programs that use what is waited for reach back to; None when it is known to be there.
    pub fn reach(&self) -> Option<Reach> {
        match &self.0 {
            Inner::Ready => None,
            Inner::Pending(pending) if pending.outcome.get() == Some(&Ok(())) => None,
            Inner::Pending(pending) => pending.launch.get().and_then(Launch::reach),
        }
    }

    /// Calls back with the outcome: at once when done, else on a thread of the runtime.
    pub fn on_ready(&self, callback: Callback) {
        let Inner::Pending(pending) = &self.0 else { return callback(Ok(())) };
        pending.poll();
        let mut waiting = pending.lock();
        if let Some(outcome) = pending.outcome.get() {
            drop(waiting);
            return callback(outcome.clone());
        }
        waiting.0.push(callback);
        // Work that is not launched yet is watched from then on.
        let watch_now = pending.launch.get().is_some() && !std::mem::replace(&mut waiting.1, true);
        drop(waiting);
        if watch_now {
            watch(pending.clone());
        }
    }
}

impl Pending {
    fn new(launch: Option<Launch>) -> Arc<Self> {
        Arc::new(Self {
            outcome: OnceLock::new(),
            launch: launch.map_or_else(OnceLock::new, OnceLock::from),
            waiting: Mutex::new((Vec::new(), false)),
            done: Condvar::new(),
        })
    }
}

/// One thread for the process waits for launches that have callbacks, in the order in which they were asked for: work of
/// one device ends in that order too.
fn watch(pending: Arc<Pending>) {
    static WATCHER: OnceLock<Mutex<Sender<Arc<Pending>>>> = OnceLock::new();
    let sender = WATCHER.get_or_init(|| {
        let (sender, receiver) = channel::<Arc<Pending>>();
        let spawned = std::thread::Builder::new().name("jax-mps-events".into()).spawn(move || {
            for pending in receiver {
                // The outcome reaches the callbacks inside.
                autorelease_pool(|| drop(pending.wait()));
            }
        });
        if let Err(error) = spawned {
            tracing::error!("no thread for events: {error}");
        }
        Mutex::new(sender)
    });
    let sent = sender.lock().unwrap_or_else(PoisonError::into_inner).send(pending);
    if let Err(unsent) = sent {
        // No watcher thread could be made: wait here rather than never call back.
        drop(unsent.0.wait());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn manual_completion_calls_back_once_with_the_outcome() {
        let (completion, completer) = Completion::manual();
        assert!(!completion.is_ready());
        let (sender, receiver) = channel();
        completion.on_ready(Box::new(move |outcome| sender.send(outcome).expect("receiver lives")));
        completer.complete(Err(Error::new(Code::Internal, "no")));
        assert_eq!(receiver.recv().expect("called"), Err(Error::new(Code::Internal, "no")));
        assert_eq!(completion.wait(), Err(Error::new(Code::Internal, "no")));
        assert!(completion.error().is_some());
    }

    #[test]
    fn late_callbacks_come_from_a_thread_with_an_autorelease_pool() {
        use crate::mlx::{Dtype, HostFunction, Stream, host_call, open_pools};
        let stream = Stream::cpu().expect("made");
        let (go, wait) = channel::<()>();
        let wait = Mutex::new(wait);
        let waiting: Arc<HostFunction> =
            Arc::new(move |_, _| wait.lock().expect("not poisoned").recv().map_err(|error| error.to_string()));
        let results = host_call(&waiting, &[], &[(&[1], Dtype::Uint8)], stream).expect("built");
        let completion = Completion::of(stream.evaluate_async(&results).expect("scheduled"));
        let (sender, receiver) = channel();
        completion.on_ready(Box::new(move |outcome| {
            sender
                .send((outcome, open_pools(), std::thread::current().name().map(str::to_owned)))
                .expect("receiver lives");
        }));
        go.send(()).expect("the host function waits");
        let seen = receiver.recv().expect("called");
        assert_eq!(seen, (Ok(()), 1, Some("jax-mps-events".to_owned())));
    }

    #[test]
    fn dropped_completer_fails() {
        let (completion, completer) = Completion::manual();
        drop(completer);
        assert_eq!(completion.error().map(|error| error.code), Some(Code::Aborted));
    }
}
