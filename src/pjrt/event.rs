//! `PJRT_Event`: tells when something is done.

use std::cell::Cell;
use std::ffi::c_void;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, LazyLock, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use pjrt_sys::{
    PJRT_Error, PJRT_Event, PJRT_Event_Await_Args, PJRT_Event_Destroy_Args, PJRT_Event_Error_Args,
    PJRT_Event_IsReady_Args, PJRT_Event_OnReady_Args, PJRT_Event_OnReadyCallback,
};

use super::abi::{PJRT_Event_Create_Args, PJRT_Event_Set_Args};
use super::call::{Handle, Rest};
use super::error;
use crate::runtime::{Code, Completer, Completion, Error, interpreter};

/// What a `PJRT_Event*` points to.
pub(super) struct Event {
    completion: Completion,
    /// Of events that the caller made and will set.
    completer: Mutex<Option<Completer>>,
    /// Callbacks that the caller gave before the event was ready; made by the first.
    callbacks: OnceLock<Arc<Callbacks>>,
}

impl Event {
    const fn new(completion: Completion, completer: Option<Completer>) -> Self {
        Self { completion, completer: Mutex::new(completer), callbacks: OnceLock::new() }
    }
}

/// How often a wait for callbacks looks whether they can still return.
const PATIENCE: Duration = Duration::from_millis(100);

/// Counts the callbacks of an event that have not returned yet.
#[derive(Default)]
struct Callbacks {
    waiting: AtomicUsize,
    /// Taken by who waits from its look at the number to its sleep, and by who wakes it.
    lock: Mutex<()>,
    returned: Condvar,
}

thread_local! {
    /// Whether this thread is in a callback of some event.
    static IN_CALLBACK: Cell<bool> = const { Cell::new(false) };
}

impl Callbacks {
    fn lock(&self) -> MutexGuard<'_, ()> {
        self.lock.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for all of them. A callback that asks does not wait for itself.
    fn wait(&self) {
        if IN_CALLBACK.get() {
            return;
        }
        let mut guard = self.lock();
        // A callback that takes Python's lock never returns once Python has begun to end.
        while self.waiting.load(Ordering::Acquire) > 0 && !interpreter::is_ending() {
            (guard, _) = self.returned.wait_timeout(guard, PATIENCE).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

/// A callback that is counted until it is dropped, called or not.
struct Counted(Arc<Callbacks>);

impl Counted {
    fn new(callbacks: Arc<Callbacks>) -> Self {
        callbacks.waiting.fetch_add(1, Ordering::Relaxed);
        Self(callbacks)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        if self.0.waiting.fetch_sub(1, Ordering::Release) == 1 {
            drop(self.0.lock());
            self.0.returned.notify_all();
        }
    }
}

// SAFETY: events are given out as `Event` only.
unsafe impl Handle for Event {
    type Opaque = PJRT_Event;
    const NAME: &'static str = "PJRT_Event";
}

/// The event of everything that is done already. It is given out many times and never freed.
static READY: LazyLock<Event> = LazyLock::new(|| Event::new(Completion::ready(), None));

/// The shared event that is ready without error.
pub(super) fn ready() -> *mut PJRT_Event {
    (&raw const *READY).cast_mut().cast()
}

/// An event for the caller, who destroys it.
pub(super) fn give(completion: Completion) -> *mut PJRT_Event {
    if completion.is_ready() && completion.error().is_none() {
        return ready();
    }
    Event::new(completion, None).give()
}

entry! {
    /// Frees an event.
    PJRT_Event_Destroy(args: PJRT_Event_Destroy_Args) {
        if args.event != ready() {
            // SAFETY: the caller owns the event; the shared one was sorted out.
            unsafe { Event::destroy(args.event) };
        }
        Ok(())
    }
}

entry! {
    /// Whether the work is done, well or not.
    PJRT_Event_IsReady(args: PJRT_Event_IsReady_Args, event: Event) {
        args.is_ready = event.completion.is_ready();
        Ok(())
    }
}

entry! {
    /// The error of the work, null when there is none. Asked too early, which callers must not do, it waits: an error of
    /// its own could not be told from the work's.
    PJRT_Event_Error(args: PJRT_Event_Error_Args, event: Event) {
        let _rest = Rest;
        event.completion.wait()
    }
}

entry! {
    /// Waits for the work and for the callbacks that were given before, and returns the error of the work.
    PJRT_Event_Await(args: PJRT_Event_Await_Args, event: Event) {
        let _rest = Rest;
        let outcome = event.completion.wait();
        if let Some(callbacks) = event.callbacks.get() {
            callbacks.wait();
        }
        outcome
    }
}

/// A callback of the caller with its argument.
struct Callback {
    function: unsafe extern "C" fn(*mut PJRT_Error, *mut c_void),
    argument: *mut c_void,
}

// SAFETY: the API allows the callback to be called on any thread.
unsafe impl Send for Callback {}

impl Callback {
    fn call(self, outcome: Result<(), Error>) {
        let outer = IN_CALLBACK.replace(true);
        // SAFETY: the caller gave function and argument for exactly this; the error is the callback's to destroy.
        unsafe { (self.function)(error::give_outcome(outcome), self.argument) };
        IN_CALLBACK.set(outer);
    }
}

fn callback(function: PJRT_Event_OnReadyCallback, argument: *mut c_void) -> Result<Callback, Error> {
    let function = function.ok_or_else(|| Error::new(Code::InvalidArgument, "PJRT_Event_OnReady: callback is null"))?;
    Ok(Callback { function, argument })
}

entry! {
    /// Calls back when the work is done: at once if it is.
    PJRT_Event_OnReady(args: PJRT_Event_OnReady_Args, event: Event) {
        let callback = callback(args.callback, args.user_arg)?;
        if event.completion.is_ready() {
            callback.call(event.completion.error().map_or(Ok(()), Err));
        } else {
            let counted = Counted::new(event.callbacks.get_or_init(Arc::default).clone());
            event.completion.on_ready(Box::new(move |outcome| {
                callback.call(outcome);
                drop(counted);
            }));
        }
        Ok(())
    }
}

entry! {
    /// A new event that the caller sets.
    PJRT_Event_Create(args: PJRT_Event_Create_Args) {
        let (completion, completer) = Completion::manual();
        args.event = Event::new(completion, Some(completer)).give();
        Ok(())
    }
}

entry! {
    /// Sets an event made by `PJRT_Event_Create`; code 0 is success.
    PJRT_Event_Set(args: PJRT_Event_Set_Args, event: Event) {
        let completer = event.completer.lock().unwrap_or_else(PoisonError::into_inner).take();
        let completer = completer.ok_or_else(|| {
            Error::new(Code::FailedPrecondition, "PJRT_Event_Set: not an event of PJRT_Event_Create, or set already")
        })?;
        let outcome = match args.error_code {
            0 => Ok(()),
            // SAFETY: the caller passes a message of that size.
            code => Err(unsafe { error::from_caller(code, args.error_message, args.error_message_size) }),
        };
        completer.complete(outcome);
        Ok(())
    }
}
