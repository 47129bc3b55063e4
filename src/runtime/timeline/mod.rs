//! What happens when: compilations, calls, copies and callbacks on the threads of the host, programs on the device.
//!
//! Two may ask for it, each at its own time: the environment for a file (`file.rs`), and `jax.profiler` for the time
//! between start and stop (`recording.rs`, `xspace.rs`). Steps of programs are only for the latter. While nobody asks, a
//! span costs one load of an atomic number.
#![forbid(unsafe_code)]

mod asked;
mod file;
mod profiler;
mod recording;
mod xspace;

use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use super::completion::Completion;
use super::error::Error;
use crate::mlx::{self, Array, Stream};
use crate::plan::{HostTransfers, Placement, Step, StepObserver};
use asked::{ASKED, FILE, PROFILE, asked};
pub use profiler::Profiler;
use recording::{Line, What};

/// Opens the file that the environment names; once a process.
///
/// # Errors
/// INVALID_ARGUMENT when it cannot be written, and for what profiles could not be made with: jaxlib does not tell why a
/// profiler does not start.
pub(super) fn open() -> Result<(), Error> {
    profiler::is_step_by_step()?;
    if file::open()? {
        ASKED.fetch_or(FILE, Ordering::Relaxed);
    }
    Ok(())
}

/// Something that takes time on this thread, until it is dropped.
pub struct Span(Option<(&'static str, String, Instant)>);

/// Whether somebody asks.
pub(super) fn is_asked_for() -> bool {
    asked() != 0
}

/// Begins a span; `name` is only made when somebody asks.
pub fn span(category: &'static str, name: impl FnOnce() -> String) -> Span {
    if asked() == 0 {
        return Span(None);
    }
    Span(Some((category, name(), Instant::now())))
}

impl Span {
    /// Names it when the name is known.
    pub(super) fn rename(&mut self, name: &str) {
        if let Some((_, old, _)) = &mut self.0 {
            *old = name.to_owned();
        }
    }
}

impl Drop for Span {
    fn drop(&mut self) {
        if let Some((category, name, start)) = self.0.take() {
            let (asked, end) = (asked(), Instant::now());
            if asked & FILE != 0 {
                file::write(category, &name, start, end);
            }
            if asked & PROFILE != 0 {
                recording::add(Line::thread(), What::Span { category, name }, start, end);
            }
        }
    }
}

/// A run of a program, on its way to the device.
pub(super) struct Run {
    program: Arc<str>,
    start: Instant,
    step_by_step: bool,
}

/// Begins a run, when somebody asks.
pub(super) fn run(program: &str) -> Option<Run> {
    let asked = asked();
    (asked != 0).then(|| {
        let step_by_step = asked & PROFILE != 0 && recording::is_step_by_step();
        Run { program: program.into(), start: Instant::now(), step_by_step }
    })
}

impl Run {
    /// Who is to watch its steps.
    pub(super) fn observer(&self) -> Option<Rc<dyn StepObserver>> {
        (asked() & PROFILE != 0).then(|| {
            let steps = Steps { program: self.program.clone(), step_by_step: self.step_by_step };
            Rc::new(steps) as Rc<dyn StepObserver>
        })
    }

    /// The graph is there, and the device has had nothing to do so far.
    pub(super) fn built(&mut self) {
        if !self.step_by_step {
            self.start = Instant::now();
        }
    }

    /// It has been scheduled, and is done when the completion says so.
    pub(super) fn scheduled(self, completion: &Completion) {
        let Self { program, start, .. } = self;
        let ticket = if asked() & PROFILE != 0 { recording::schedule(&program, start) } else { None };
        completion.on_ready(Box::new(move |_| {
            let end = Instant::now();
            if asked() & FILE != 0 {
                file::write_on_device(&program, start, end);
            }
            if let Some(ticket) = ticket {
                recording::complete(ticket, end);
            }
        }));
    }
}

/// Records the steps of a run.
struct Steps {
    program: Arc<str>,
    /// Each is to be evaluated on its own.
    step_by_step: bool,
}

impl StepObserver for Steps {
    fn built(&self, step: &Step, began: Instant, results: &[&Array], stream: Stream) -> mlx::Result<()> {
        let built = Instant::now();
        let what = || What::Step {
            origin: step.origin.clone(),
            program: self.program.clone(),
            on_cpu: step.placement == Placement::Cpu,
        };
        recording::add(Line::thread(), what(), began, built);
        if self.step_by_step && !results.is_empty() {
            stream.evaluate(results)?;
            // The device has worked on the steps inside already.
            let start = if step.blocking || !step.nested.is_empty() { began } else { built };
            recording::add(Line::Steps, what(), start, Instant::now());
        }
        Ok(())
    }
}

/// The transfers of a run, each of which is a span when somebody asks.
pub(super) fn watched(transfers: Rc<dyn HostTransfers>) -> Rc<dyn HostTransfers> {
    if asked() == 0 { transfers } else { Rc::new(Watched(transfers)) }
}

struct Watched(Rc<dyn HostTransfers>);

impl HostTransfers for Watched {
    fn send(&self, channel: i64, elements: Vec<u8>) -> Result<(), String> {
        let _span = span("callback", || format!("takes {} bytes of channel {channel}", elements.len()));
        self.0.send(channel, elements)
    }

    fn receive(&self, channel: i64, bytes: usize) -> Result<Vec<u8>, String> {
        let _span = span("callback", || format!("gives {bytes} bytes to channel {channel}"));
        self.0.receive(channel, bytes)
    }

    fn stop_flag(&self) -> Option<Arc<AtomicBool>> {
        self.0.stop_flag()
    }
}

/// Tests that profile, and those that want nobody to do so, run one after the other.
#[cfg(test)]
pub(crate) fn one_at_a_time() -> std::sync::MutexGuard<'static, ()> {
    static ONE: std::sync::Mutex<()> = std::sync::Mutex::new(());
    ONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_named_when_nobody_asks() {
        let _guard = one_at_a_time();
        drop(span("call", || unreachable!("no file is open in these tests")));
        assert!(run("f").is_none());
    }
}
