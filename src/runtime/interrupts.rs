//! Runs that the user may interrupt while the calling thread waits for them.
//!
//! A program that exchanges data with the host has its callbacks called on the thread that called the program. Where that
//! is the thread on which a language runs the handlers of signals, the program itself runs on another, and the caller
//! serves it: it calls back when it is asked to, and looks for signals in between. An interrupted caller leaves at once;
//! the program ends at its next exchange or turn of a loop.
#![forbid(unsafe_code)]

use std::cell::OnceCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender, channel, sync_channel};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use super::apart;
use super::error::{Code, Error};
use crate::mlx::interpreter;
use crate::plan::HostTransfers;

/// How long a signal may wait.
pub(super) const PATIENCE: Duration = Duration::from_millis(50);

/// What is done so soon is not worth a callback from another thread.
const SOON: Duration = Duration::from_micros(100);

/// A language that runs handlers of signals on the main thread alone, and only when it is asked to or runs itself.
#[derive(Clone, Copy)]
pub struct Host {
    /// Runs the handlers of signals that have come. True: one raised an exception, which is kept for the thread.
    pub interrupted: fn() -> bool,
    /// Sees that an exception kept for the thread is raised when the thread is back in the language. False: there is none.
    pub raise: fn() -> bool,
    /// Whether the language ends this thread where it stands when the process ends.
    pub is_daemon: fn() -> bool,
}

static HOST: OnceLock<Host> = OnceLock::new();

/// Makes the language known.
pub fn install(host: Host) {
    let _ = HOST.set(host);
}

/// The language, on the thread where it handles signals.
fn host_of_this_thread() -> Option<&'static Host> {
    thread_local! {
        static IS_MAIN: bool = interpreter::on_main_thread();
    }
    HOST.get().filter(|_| IS_MAIN.with(|&is_main| is_main))
}

/// Whether this thread should rather wait here than in jaxlib, which looks for signals five times a second, from any
/// thread: Python ends a daemon thread that does so while the process ends, and jaxlib's frames do not bear that.
pub(super) fn waits_here() -> bool {
    thread_local! {
        static IS_DAEMON: OnceCell<bool> = const { OnceCell::new() };
    }
    let Some(host) = HOST.get() else { return false };
    IS_DAEMON.with(|known| *known.get_or_init(|| !interpreter::on_main_thread() && (host.is_daemon)()))
}

/// Whether the user wants to have the thread back, which waits for something and holds no lock. The language raises an
/// exception when the call returns.
pub(super) fn interrupted_now() -> bool {
    host_of_this_thread().is_some_and(|host| (host.interrupted)() && (host.raise)())
}

/// What comes of a run.
pub(super) enum Outcome<R> {
    /// It ended.
    Ended(R),
    /// The user wants to have the thread back: the language raises an exception when the call returns.
    Interrupted,
}

/// Runs a part of a program that exchanges data with the host.
pub(super) fn run<R: Send + 'static>(
    transfers: Rc<dyn HostTransfers>,
    body: impl FnOnce(Option<Rc<dyn HostTransfers>>) -> Result<R, Error> + Send + 'static,
) -> Outcome<Result<R, Error>> {
    let Some(host) = host_of_this_thread() else {
        let outside = Outside { transfers, running: apart::begin() };
        return Outcome::Ended(body(Some(Rc::new(outside))));
    };
    let (sender, messages) = channel();
    let stopped = Arc::new(AtomicBool::new(false));
    let (requests, stop) = (sender.clone(), stopped.clone());
    let job = Box::new(move || {
        let outcome = catch_unwind(AssertUnwindSafe(|| body(Some(Rc::new(Remote { requests, stopped })))));
        let outcome = outcome.unwrap_or_else(|_| Err(Error::new(Code::Internal, "internal error of jax-mps: a panic")));
        // The caller may have left.
        let _ = sender.send(Message::Ended(outcome));
    });
    if let Err(error) = apart::run(job) {
        return Outcome::Ended(Err(error));
    }
    let outcome = serve(&messages, &*transfers, host);
    // Who still waits for an answer gets none: the channel closes.
    drop(messages);
    stop.store(true, Ordering::Relaxed);
    // A callback that was interrupted has made the program fail.
    let raised = (host.raise)();
    match outcome {
        Some(Err(_)) | None if raised => Outcome::Interrupted,
        Some(ended) => Outcome::Ended(ended),
        None => Outcome::Ended(Err(Error::new(Code::Cancelled, "interrupted"))),
    }
}

/// Waits for what calls back when it is done. Threads that no signal interrupts wait with `plainly`.
///
/// # Errors
/// CANCELLED when the user wants to have the thread back.
pub(super) fn wait(
    is_done: impl Fn() -> bool,
    when_done: impl FnOnce(Box<dyn FnOnce() + Send>),
    plainly: impl FnOnce(),
) -> Result<(), Error> {
    let Some(host) = host_of_this_thread() else {
        plainly();
        return Ok(());
    };
    let began = Instant::now();
    while began.elapsed() < SOON {
        if is_done() {
            return Ok(());
        }
        std::thread::yield_now();
    }
    let (sender, done) = channel::<()>();
    when_done(Box::new(move || drop(sender)));
    while done.recv_timeout(PATIENCE) == Err(RecvTimeoutError::Timeout) {
        if (host.interrupted)() {
            (host.raise)();
            return Err(Error::new(Code::Cancelled, "interrupted while waiting for an array"));
        }
    }
    Ok(())
}

/// Answers until the program has ended; None when the user interrupts.
fn serve<R>(messages: &Receiver<Message<R>>, transfers: &dyn HostTransfers, host: &Host) -> Option<Result<R, Error>> {
    loop {
        match messages.recv_timeout(PATIENCE) {
            Ok(Message::Ended(outcome)) => return Some(outcome),
            Ok(Message::Send { channel, elements, answer }) => {
                // The program gives up when there is nobody to listen.
                let _ = answer.send(transfers.send(channel, elements));
            }
            Ok(Message::Receive { channel, bytes, answer }) => {
                let _ = answer.send(transfers.receive(channel, bytes));
            }
            Err(RecvTimeoutError::Timeout) if (host.interrupted)() => return None,
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => {
                return Some(Err(Error::new(
                    Code::Internal,
                    "internal error of jax-mps: the thread of a program ended",
                )));
            }
        }
    }
}

/// The caller's transfers, for a program on the caller's own thread.
struct Outside {
    transfers: Rc<dyn HostTransfers>,
    running: apart::Running,
}

impl HostTransfers for Outside {
    fn send(&self, channel: i64, elements: Vec<u8>) -> Result<(), String> {
        self.running.outside(|| self.transfers.send(channel, elements))
    }

    fn receive(&self, channel: i64, bytes: usize) -> Result<Vec<u8>, String> {
        self.running.outside(|| self.transfers.receive(channel, bytes))
    }
}

/// From the program to its caller.
enum Message<R> {
    Send { channel: i64, elements: Vec<u8>, answer: SyncSender<Result<(), String>> },
    Receive { channel: i64, bytes: usize, answer: SyncSender<Result<Vec<u8>, String>> },
    Ended(Result<R, Error>),
}

/// The caller's transfers, for the thread of the program.
struct Remote<R> {
    requests: Sender<Message<R>>,
    /// The caller has left.
    stopped: Arc<AtomicBool>,
}

impl<R> Remote<R> {
    fn ask<A>(&self, request: impl FnOnce(SyncSender<Result<A, String>>) -> Message<R>) -> Result<A, String> {
        let (sender, answer) = sync_channel(1);
        let gone = || "the program was interrupted".to_owned();
        self.requests.send(request(sender)).map_err(|_| gone())?;
        answer.recv().map_err(|_| gone())?
    }
}

impl<R> HostTransfers for Remote<R> {
    fn send(&self, channel: i64, elements: Vec<u8>) -> Result<(), String> {
        self.ask(|answer| Message::Send { channel, elements, answer })
    }

    fn receive(&self, channel: i64, bytes: usize) -> Result<Vec<u8>, String> {
        self.ask(|answer| Message::Receive { channel, bytes, answer })
    }

    fn stop_flag(&self) -> Option<Arc<AtomicBool>> {
        Some(self.stopped.clone())
    }
}

/// The error of what an interrupted program should have brought.
pub(super) fn interrupted(name: &str) -> Error {
    Error::new(Code::Cancelled, format!("{name}: interrupted"))
}
