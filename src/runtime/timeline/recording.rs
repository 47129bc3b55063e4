//! What a profile has seen so far. There is one at a time in a process.
#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use super::super::error::{Code, Error};
use super::asked::{ASKED, PROFILE};
use crate::mlx::thread_number;
use crate::plan::Origin;

/// Events that are kept, at some 60 bytes each; what follows is counted. Viewers show as many.
const MOST_EVENTS: usize = 1_000_000;

/// Where an event happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Line {
    /// On the thread of that number.
    Thread(u64),
    /// On the device, as a whole program.
    Programs,
    /// On the device, as a single step.
    Steps,
}

impl Line {
    /// The calling thread.
    pub(super) fn thread() -> Self {
        /// Numbers of threads that have none from the system: beyond those.
        static NAMELESS: AtomicU64 = AtomicU64::new(1 << 32);
        thread_local! {
            static NUMBER: u64 = thread_number().unwrap_or_else(|| NAMELESS.fetch_add(1, Ordering::Relaxed));
        }
        // Destructors of other thread-locals may record: they count as a thread of their own.
        Line::Thread(NUMBER.try_with(|number| *number).unwrap_or(0))
    }
}

/// What happened.
pub(super) enum What {
    /// A span of the host.
    Span {
        /// What kind of work.
        category: &'static str,
        /// On what.
        name: String,
    },
    /// A run of a program.
    Program {
        /// Its name.
        name: Arc<str>,
        /// False when it was still running at the end of the profile.
        finished: bool,
    },
    /// A step of a program.
    Step {
        /// Its op.
        origin: Arc<Origin>,
        /// The program's name.
        program: Arc<str>,
        /// It is computed by the host's processor, because the device cannot.
        on_cpu: bool,
    },
}

/// Something that took time.
pub(super) struct Event {
    /// Where.
    pub(super) line: Line,
    /// What.
    pub(super) what: What,
    /// Nanoseconds since the recording began.
    pub(super) start: u64,
    /// Nanoseconds since the recording began.
    pub(super) end: u64,
}

/// What was seen between start and stop.
pub(super) struct Recording {
    began: Instant,
    /// When it began, in nanoseconds since 1970: the clock of the other sources of a profile.
    pub(super) epoch: u64,
    pub(super) step_by_step: bool,
    /// In the order in which they ended.
    pub(super) events: Vec<Event>,
    /// Names of the threads.
    pub(super) threads: BTreeMap<u64, String>,
    /// Runs that are not done yet, by ticket.
    underway: BTreeMap<u64, (Arc<str>, Instant)>,
    /// Events beyond [`MOST_EVENTS`].
    pub(super) dropped: u64,
}

static CURRENT: Mutex<Option<Recording>> = Mutex::new(None);

fn current() -> MutexGuard<'static, Option<Recording>> {
    CURRENT.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Begins to record. `step_by_step`: programs are to evaluate each step on its own.
///
/// # Errors
/// FAILED_PRECONDITION while another recording is under way.
pub(super) fn begin(step_by_step: bool) -> Result<(), Error> {
    let mut current = current();
    if current.is_some() {
        return Err(Error::new(Code::FailedPrecondition, "another profile is being recorded"));
    }
    *current = Some(Recording::new(step_by_step));
    ASKED.fetch_or(PROFILE, Ordering::Relaxed);
    Ok(())
}

/// Ends the recording that is under way.
pub(super) fn end() -> Option<Recording> {
    let ended = {
        let mut current = current();
        ASKED.fetch_and(!PROFILE, Ordering::Relaxed);
        current.take()
    };
    ended.map(|mut recording| {
        recording.finish(Instant::now());
        recording
    })
}

/// Adds an event to the recording that is under way, if there is one.
pub(super) fn add(line: Line, what: What, start: Instant, end: Instant) {
    if let Some(recording) = &mut *current() {
        recording.add(line, what, start, end);
    }
}

/// Whether programs are to evaluate each step on its own.
pub(super) fn is_step_by_step() -> bool {
    current().as_ref().is_some_and(|recording| recording.step_by_step)
}

/// Begins a run on the device, for [`complete`].
pub(super) fn schedule(program: &Arc<str>, start: Instant) -> Option<u64> {
    /// Numbers are not used again: a run that outlives its recording must not end one of the next.
    static TICKETS: AtomicU64 = AtomicU64::new(0);
    let mut current = current();
    let recording = current.as_mut()?;
    if recording.is_full() {
        recording.dropped += 1;
        return None;
    }
    let ticket = TICKETS.fetch_add(1, Ordering::Relaxed);
    recording.underway.insert(ticket, (program.clone(), start));
    Some(ticket)
}

/// Ends a run on the device.
pub(super) fn complete(ticket: u64, end: Instant) {
    if let Some(recording) = &mut *current()
        && let Some((name, start)) = recording.underway.remove(&ticket)
    {
        recording.add(Line::Programs, What::Program { name, finished: true }, start, end);
    }
}

impl Recording {
    pub(super) fn new(step_by_step: bool) -> Self {
        let epoch = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| nanoseconds(since.as_nanos()));
        Self {
            began: Instant::now(),
            epoch,
            step_by_step,
            events: Vec::new(),
            threads: BTreeMap::new(),
            underway: BTreeMap::new(),
            dropped: 0,
        }
    }

    fn is_full(&self) -> bool {
        self.events.len() + self.underway.len() >= MOST_EVENTS
    }

    pub(super) fn add(&mut self, line: Line, what: What, start: Instant, end: Instant) {
        if self.is_full() {
            self.dropped += 1;
            return;
        }
        if let Line::Thread(number) = line {
            self.threads.entry(number).or_insert_with(|| std::thread::current().name().unwrap_or("python").to_owned());
        }
        // What began before the recording is shown from its beginning.
        let since = |time: Instant| nanoseconds(time.saturating_duration_since(self.began).as_nanos());
        self.events.push(Event { line, what, start: since(start), end: since(end) });
    }

    /// Runs that are not done are shown up to now.
    fn finish(&mut self, now: Instant) {
        for (name, start) in std::mem::take(&mut self.underway).into_values() {
            self.add(Line::Programs, What::Program { name, finished: false }, start, now);
        }
    }
}

fn nanoseconds(number: u128) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_is_counted() {
        let mut recording = Recording::new(false);
        let now = Instant::now();
        for _ in 0..MOST_EVENTS + 3 {
            recording.add(Line::Steps, What::Program { name: "f".into(), finished: true }, now, now);
        }
        assert_eq!((recording.events.len(), recording.dropped), (MOST_EVENTS, 3));
    }
}
