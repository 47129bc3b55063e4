//! `JAX_MPS_TRACE=file`: the timeline of a process, in the JSON that Perfetto (ui.perfetto.dev) and chrome://tracing
//! open.
//!
//! The format is Chrome's "JSON array" (Trace Event Format, section "JSON Array Format"): its closing bracket comes when the
//! process ends, and may be missing, so that the file of a process that crashed opens too.
#![forbid(unsafe_code)]

use std::fs::File;
use std::io::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Instant;

use super::super::error::{Code, Error};
use crate::mlx::{is_forked_child, shutdown};

struct Trace {
    /// None once it has ended.
    file: Mutex<Option<File>>,
    began: Instant,
}

/// None until [`open`] was called, Some(None) when there is nothing to write.
static TRACE: OnceLock<Option<Trace>> = OnceLock::new();

/// Track of the device; threads of the host have those that follow.
const DEVICE: u64 = 0;

/// Opens the file that the environment names; once a process. Tells whether there is one.
///
/// # Errors
/// INVALID_ARGUMENT when it cannot be written.
pub(super) fn open() -> Result<bool, Error> {
    if let Some(known) = TRACE.get() {
        return Ok(known.is_some());
    }
    let trace = match std::env::var_os("JAX_MPS_TRACE").filter(|path| !path.is_empty()) {
        None => None,
        Some(path) => {
            let cannot = |error| {
                let path = path.to_string_lossy();
                Error::new(Code::InvalidArgument, format!("JAX_MPS_TRACE={path}: cannot be written: {error}"))
            };
            let mut file = File::create(&path).map_err(cannot)?;
            writeln!(file, "[{}", track(DEVICE, "device")).map_err(cannot)?;
            Some(Trace { file: Mutex::new(Some(file)), began: Instant::now() })
        }
    };
    // Another thread may have been first: its trace stays.
    let mut is_first = false;
    let is_there = TRACE
        .get_or_init(|| {
            is_first = true;
            trace
        })
        .is_some();
    if is_first && is_there {
        shutdown::at_exit(shutdown::Stage::Records, |_| close());
    }
    Ok(is_there)
}

/// Ends the array. What happens from now on is not written.
fn close() -> bool {
    // A forked child shares the file with its parent, which is not done with it.
    let file = if is_forked_child() { None } else { trace().and_then(|trace| trace.lock().take()) };
    if let Some(mut file) = file
        && let Err(error) = file.write_all(b"]\n")
    {
        tracing::warn!("JAX_MPS_TRACE: {error}");
    }
    true
}

fn trace() -> Option<&'static Trace> {
    TRACE.get()?.as_ref()
}

/// Writes what this thread has done.
pub(super) fn write(category: &str, name: &str, start: Instant, end: Instant) {
    if let Some(trace) = trace() {
        trace.write(category, name, start, end, thread(trace));
    }
}

/// Writes what the device has done.
pub(super) fn write_on_device(name: &str, start: Instant, end: Instant) {
    if let Some(trace) = trace() {
        trace.write("device", name, start, end, DEVICE);
    }
}

/// Number of this thread's track; its name is written at first use.
fn thread(trace: &Trace) -> u64 {
    static THREADS: AtomicU64 = AtomicU64::new(DEVICE + 1);
    thread_local! {
        static NUMBER: OnceLock<u64> = const { OnceLock::new() };
    }
    NUMBER.with(|number| {
        *number.get_or_init(|| {
            let number = THREADS.fetch_add(1, Ordering::Relaxed);
            let current = std::thread::current();
            trace.append(&track(number, current.name().unwrap_or("python")));
            number
        })
    })
}

fn track(number: u64, name: &str) -> String {
    let process = std::process::id();
    let name = quoted(name);
    format!(r#"{{"name":"thread_name","ph":"M","pid":{process},"tid":{number},"args":{{"name":{name}}}}}"#)
}

impl Trace {
    fn write(&self, category: &str, name: &str, start: Instant, end: Instant, tid: u64) {
        let microseconds = |from: Instant, to: Instant| to.saturating_duration_since(from).as_nanos() as f64 / 1e3;
        let (ts, dur) = (microseconds(self.began, start), microseconds(start, end));
        let (pid, name) = (std::process::id(), quoted(name));
        self.append(&format!(
            r#"{{"name":{name},"cat":"{category}","ph":"X","ts":{ts:.3},"dur":{dur:.3},"pid":{pid},"tid":{tid}}}"#
        ));
    }

    fn lock(&self) -> MutexGuard<'_, Option<File>> {
        self.file.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn append(&self, event: &str) {
        let mut file = self.lock();
        let Some(file) = &mut *file else { return };
        // One write a line: what was written stays, however the process ends.
        if let Err(error) = file.write_all(format!(",{event}\n").as_bytes()) {
            tracing::warn!("JAX_MPS_TRACE: {error}");
        }
    }
}

/// A JSON string.
fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for character in text.chars() {
        match character {
            '"' | '\\' => quoted.extend(['\\', character]),
            control if control < ' ' => quoted.push_str(&format!("\\u{:04x}", u32::from(control))),
            other => quoted.push(other),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_are_those_of_json() {
        assert_eq!(quoted("a \"b\" \\ \n ü"), r#""a \"b\" \\ \u000a ü""#);
    }
}
