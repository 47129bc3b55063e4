//! A recording as an XSpace (`proto/xplane.proto`), the form of TensorBoard, XProf and `jax.profiler.ProfileData`.
//!
//! Names of planes, lines and values are those by which these readers know what they see (TSL's
//! `profiler/utils/xplane_schema.cc`).
#![forbid(unsafe_code)]

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use prost::Message;

use super::recording::{Event, Line, Recording, What};
use crate::plan::Origin;
use crate::proto::profile::{XEvent, XEventMetadata, XLine, XPlane, XSpace, XStat, XStatMetadata, x_event, x_stat};

/// Where an accelerator's runtime tells of threads of the host. xla adds its lines to those of `/host:CPU`, to the same one
/// where it knows the thread by the same number; viewers would not show planes of the host by names of our own.
const HOST: &str = "/host:TPU-runtime";
/// Planes of devices that are neither GPUs nor TPUs to xla begin like this.
const DEVICE: &str = "/device:CUSTOM:mps:0";
/// Line of the device's programs.
const PROGRAMS: &str = "XLA Modules";
/// Line of the device's steps.
const STEPS: &str = "XLA Ops";

/// The op's name in the source, such as `jit(f)/dot_general`.
const OP_NAME: &str = "tf_op";
/// File and line.
const SOURCE: &str = "source";
/// The op.
const OP: &str = "hlo_op";
/// The program.
const PROGRAM: &str = "hlo_module";
/// Events that are missing.
const DROPPED: &str = "dropped_traces";
/// Nanoseconds that a program waited for those before it.
const QUEUED: &str = "queued_ns";
/// 1 for a program that was still running at the end.
const UNFINISHED: &str = "unfinished";
/// 1 for steps that the host's processor computes because the device cannot.
const ON_CPU: &str = "on_cpu";

/// Serializes a recording.
pub(super) fn serialize(recording: &Recording) -> Vec<u8> {
    let mut lines: BTreeMap<Line, Vec<&Event>> = BTreeMap::new();
    for event in &recording.events {
        lines.entry(event.line).or_default().push(event);
    }
    let mut host = Plane::new(HOST);
    let mut device = Plane::new(DEVICE);
    for (line, events) in lines {
        match line {
            Line::Thread(number) => {
                let name = recording.threads.get(&number).map_or("", String::as_str);
                host.line(number, name, recording.epoch, nested(events));
            }
            Line::Programs => {
                let placed = if recording.step_by_step { waited_for(events) } else { one_after_the_other(events) };
                device.line(1, PROGRAMS, recording.epoch, placed);
            }
            Line::Steps => {
                for (index, lane) in (0..).zip(lanes(events)) {
                    let name = if index == 0 { STEPS.to_owned() } else { format!("{STEPS} {}", index + 1) };
                    device.line(2 + index, &name, recording.epoch, lane);
                }
            }
        }
    }
    let mut space = XSpace::default();
    if recording.dropped > 0 {
        host.drop_events(recording.dropped);
        space.warnings.push(format!("mps: {} events dropped, the first ones kept", recording.dropped));
    }
    space.planes = vec![host.plane, device.plane];
    space.encode_to_vec()
}

/// An event at its place in a line: nanoseconds since the recording began.
struct Placed<'a> {
    event: &'a Event,
    start: u64,
    end: u64,
}

impl<'a> Placed<'a> {
    fn new(event: &'a Event) -> Self {
        Self { event, start: event.start, end: event.end }
    }
}

/// In the order of lines: what contains others before these.
fn nested(events: Vec<&Event>) -> Vec<Placed<'_>> {
    let mut placed: Vec<Placed<'_>> = events.into_iter().map(Placed::new).collect();
    placed.sort_by_key(|placed| (placed.start, std::cmp::Reverse(placed.end)));
    placed
}

/// Programs are scheduled while others run, and run in that order: each begins when that before it has ended.
fn one_after_the_other(events: Vec<&Event>) -> Vec<Placed<'_>> {
    let mut placed: Vec<Placed<'_>> = events.into_iter().map(Placed::new).collect();
    placed.sort_by_key(|placed| (placed.end, placed.start));
    let mut free = 0;
    for placed in &mut placed {
        placed.start = placed.start.max(free);
        free = placed.end;
    }
    placed
}

/// Programs whose steps were waited for: each has ended when the next begins, whenever its end was noticed.
fn waited_for(events: Vec<&Event>) -> Vec<Placed<'_>> {
    let mut placed = nested(events);
    let mut next = u64::MAX;
    for placed in placed.iter_mut().rev() {
        placed.end = placed.end.min(next);
        next = placed.start;
    }
    placed
}

/// Steps of programs on several threads at a time, in as many lines as it takes that events only contain each other.
fn lanes(events: Vec<&Event>) -> Vec<Vec<Placed<'_>>> {
    struct Lane<'a> {
        events: Vec<Placed<'a>>,
        /// Ends of the events that the last one is in, its own last.
        open: Vec<u64>,
    }
    let mut lanes: Vec<Lane<'_>> = Vec::new();
    for placed in nested(events) {
        let fits = |lane: &mut Lane<'_>| {
            while lane.open.last().is_some_and(|&end| end <= placed.start) {
                lane.open.pop();
            }
            lane.open.last().is_none_or(|&end| placed.end <= end)
        };
        let index = lanes.iter_mut().position(fits).unwrap_or(lanes.len());
        if index == lanes.len() {
            lanes.push(Lane { events: Vec::new(), open: Vec::new() });
        }
        lanes[index].open.push(placed.end);
        lanes[index].events.push(placed);
    }
    lanes.into_iter().map(|lane| lane.events).collect()
}

/// A plane in the making.
struct Plane {
    plane: XPlane,
    /// Numbers of kinds of events.
    events: HashMap<String, i64>,
    /// Numbers of kinds of values, and of texts.
    names: HashMap<String, i64>,
    /// Values of the steps of an op, by the address of their origin, which the recording keeps.
    origins: HashMap<*const Origin, Vec<XStat>>,
}

impl Plane {
    fn new(name: &str) -> Self {
        Self {
            plane: XPlane { name: name.to_owned(), ..XPlane::default() },
            events: HashMap::new(),
            names: HashMap::new(),
            origins: HashMap::new(),
        }
    }

    fn line(&mut self, id: u64, name: &str, epoch: u64, events: Vec<Placed<'_>>) {
        let events = events.into_iter().map(|placed| self.event(&placed)).collect();
        self.plane.lines.push(XLine {
            id: signed(id),
            name: name.to_owned(),
            timestamp_ns: signed(epoch),
            events,
            ..XLine::default()
        });
    }

    fn event(&mut self, placed: &Placed<'_>) -> XEvent {
        let (kind, stats) = match &placed.event.what {
            What::Span { category, name } => (self.kind(&format!("{category} {name}")), Vec::new()),
            What::Program { name, finished } => {
                let mut stats = vec![self.text(PROGRAM, name)];
                let queued = placed.start - placed.event.start;
                if queued > 0 {
                    stats.push(self.number(QUEUED, queued));
                }
                if !finished {
                    stats.push(self.number(UNFINISHED, 1));
                }
                (self.kind(name), stats)
            }
            What::Step { origin, program, on_cpu } => {
                let mut stats = self.origin(origin);
                stats.push(self.text(PROGRAM, program));
                if *on_cpu {
                    stats.push(self.number(ON_CPU, 1));
                }
                (self.kind(&origin.name), stats)
            }
        };
        let picoseconds = |nanoseconds: u64| signed(nanoseconds.saturating_mul(1000));
        XEvent {
            metadata_id: kind,
            data: Some(x_event::Data::OffsetPs(picoseconds(placed.start))),
            duration_ps: picoseconds(placed.end.saturating_sub(placed.start)),
            stats,
        }
    }

    fn origin(&mut self, origin: &Arc<Origin>) -> Vec<XStat> {
        if let Some(stats) = self.origins.get(&Arc::as_ptr(origin)) {
            return stats.clone();
        }
        let mut stats = vec![self.text(OP, &origin.name)];
        if let Some(name) = origin.location.name() {
            stats.push(self.text(OP_NAME, name));
        }
        if let Some((file, line)) = origin.location.position() {
            stats.push(self.text(SOURCE, &format!("{file}:{line}")));
        }
        self.origins.insert(Arc::as_ptr(origin), stats.clone());
        stats
    }

    fn drop_events(&mut self, count: u64) {
        let stat = self.number(DROPPED, count);
        self.plane.stats.push(stat);
    }

    fn text(&mut self, name: &str, text: &str) -> XStat {
        let value = x_stat::Value::RefValue(self.name(text).unsigned_abs());
        XStat { metadata_id: self.name(name), value: Some(value) }
    }

    fn number(&mut self, name: &str, number: u64) -> XStat {
        XStat { metadata_id: self.name(name), value: Some(x_stat::Value::Uint64Value(number)) }
    }

    /// The number of a kind of events.
    fn kind(&mut self, name: &str) -> i64 {
        if let Some(&known) = self.events.get(name) {
            return known;
        }
        let id = next(&self.events);
        self.events.insert(name.to_owned(), id);
        let metadata = XEventMetadata { id, name: name.to_owned(), ..XEventMetadata::default() };
        self.plane.event_metadata.insert(id, metadata);
        id
    }

    /// The number of a kind of values, or of a text.
    fn name(&mut self, name: &str) -> i64 {
        if let Some(&known) = self.names.get(name) {
            return known;
        }
        let id = next(&self.names);
        self.names.insert(name.to_owned(), id);
        let metadata = XStatMetadata { id, name: name.to_owned(), ..XStatMetadata::default() };
        self.plane.stat_metadata.insert(id, metadata);
        id
    }
}

/// The first number is 1: 0 means none.
fn next(numbers: &HashMap<String, i64>) -> i64 {
    signed(numbers.len() as u64 + 1)
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(start: u64, end: u64) -> Event {
        Event { line: Line::Programs, what: What::Program { name: "f".into(), finished: true }, start, end }
    }

    fn places(placed: &[Placed<'_>]) -> Vec<(u64, u64)> {
        placed.iter().map(|placed| (placed.start, placed.end)).collect()
    }

    #[test]
    fn programs_wait_for_those_before_them() {
        let events = [event(0, 10), event(2, 15), event(3, 15), event(20, 30)];
        let placed = one_after_the_other(events.iter().collect());
        assert_eq!(places(&placed), [(0, 10), (10, 15), (15, 15), (20, 30)]);
    }

    #[test]
    fn steps_that_cross_lie_in_different_lines() {
        let events = [event(1, 4), event(0, 10), event(5, 12), event(4, 6), event(12, 13)];
        let lanes = lanes(events.iter().collect());
        let lanes: Vec<_> = lanes.iter().map(|lane| places(lane)).collect();
        assert_eq!(lanes, [vec![(0, 10), (1, 4), (4, 6), (12, 13)], vec![(5, 12)]]);
    }
}
