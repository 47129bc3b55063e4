//! The profiler's interface, as jaxlib calls it.

use std::ffi::c_void;
use std::ptr;

use pjrt_sys::PJRT_Buffer_Type;
use prost::Message;

use super::super::abi::EXTENSION_TYPE_PROFILER;
use super::super::extensions::profiler::*;
use super::executables::run;
use super::{Client, Failure, api, owned, zeroed};
use crate::proto::profile::{XEvent, XPlane, XSpace, x_event, x_stat};
use crate::runtime::{Code, one_profile_at_a_time};

const F32: PJRT_Buffer_Type = 11;
/// (tensor<3x4x5xf32>, tensor<3x5x6xf32>) -> tensor<3x4x6xf32>: too large for the host to compute. Its name is
/// `jit__lambda`.
const PRODUCT: &[u8] = include_bytes!("../../../tests/data/stablehlo-1.13/einsum_batch_dot.mlirbc");

fn interface() -> &'static ProfilerApi {
    let mut extension = api().minor_54.extension_start;
    // SAFETY: the chain ends with null, and its parts live as long as the process.
    while let Some(base) = unsafe { extension.as_ref() } {
        if base.type_ == EXTENSION_TYPE_PROFILER {
            // SAFETY: as above; that is what extensions of this type are.
            return unsafe { &*(*extension.cast::<ProfilerExtension>()).profiler_api };
        }
        extension = base.next;
    }
    unreachable!("the table has the extension");
}

/// Reads and destroys the error of a call.
fn outcome(error: *mut c_void) -> Result<(), Failure> {
    if error.is_null() {
        return Ok(());
    }
    // jaxlib leaves the sizes of these structures unset.
    let mut message = zeroed::<ErrorMessageArgs>(0);
    message.error = error;
    let mut code = zeroed::<ErrorGetCodeArgs>(0);
    code.error = error;
    let mut destroy = zeroed::<ErrorDestroyArgs>(0);
    destroy.error = error;
    // SAFETY: the error is ours until it is destroyed, once.
    unsafe {
        interface().error_message.unwrap()(&mut message);
        assert!(interface().error_get_code.unwrap()(&mut code).is_null());
        let failure =
            Failure { code: code.code.cast_unsigned(), message: owned(message.message, message.message_size) };
        interface().error_destroy.unwrap()(&mut destroy);
        Err(failure)
    }
}

/// A profiler, destroyed in the end.
struct Profiler(*mut c_void);

impl Profiler {
    fn new() -> Self {
        let mut args = zeroed::<CreateArgs>(0);
        // SAFETY: no options are a message too.
        outcome(unsafe { interface().create.unwrap()(&mut args) }).unwrap();
        Self(args.profiler)
    }

    fn start(&self) -> Result<(), Failure> {
        let mut args = zeroed::<ProfilerArgs>(0);
        args.profiler = self.0;
        // SAFETY: the profiler is alive, or null.
        outcome(unsafe { interface().start.unwrap()(&mut args) })
    }

    fn stop(&self) -> Result<(), Failure> {
        let mut args = zeroed::<ProfilerArgs>(0);
        args.profiler = self.0;
        // SAFETY: the profiler is alive, or null.
        outcome(unsafe { interface().stop.unwrap()(&mut args) })
    }

    fn collect(&self, buffer: *mut u8, size: usize) -> Result<CollectDataArgs, Failure> {
        let mut args = zeroed::<CollectDataArgs>(0);
        (args.profiler, args.buffer, args.buffer_size_in_bytes) = (self.0, buffer, size);
        // SAFETY: the profiler is alive, or null; the buffer has that size.
        outcome(unsafe { interface().collect_data.unwrap()(&mut args) }).map(|()| args)
    }

    /// The bytes as jaxlib reads them, which are those that the header promises.
    fn bytes(&self) -> Vec<u8> {
        let shown = self.collect(ptr::null_mut(), 0).unwrap();
        // SAFETY: the profiler keeps them until it is started again.
        let there = unsafe { super::super::call::slice(shown.buffer.cast_const(), shown.buffer_size_in_bytes) };
        let mut copy = vec![0; there.len()];
        if !copy.is_empty() {
            let copied = self.collect(copy.as_mut_ptr(), copy.len()).unwrap();
            assert_eq!(copied.buffer_size_in_bytes, copy.len());
        }
        assert_eq!(copy, there);
        copy
    }
}

impl Drop for Profiler {
    fn drop(&mut self) {
        let mut args = zeroed::<ProfilerArgs>(0);
        args.profiler = self.0;
        // SAFETY: ours, once.
        outcome(unsafe { interface().destroy.unwrap()(&mut args) }).unwrap();
    }
}

fn space(bytes: &[u8]) -> XSpace {
    XSpace::decode(bytes).unwrap()
}

fn plane<'a>(space: &'a XSpace, prefix: &str) -> &'a XPlane {
    space.planes.iter().find(|plane| plane.name.starts_with(prefix)).unwrap()
}

fn events(plane: &XPlane) -> impl Iterator<Item = (&str, &XEvent)> {
    let events = plane.lines.iter().flat_map(|line| &line.events);
    events.map(|event| (plane.event_metadata[&event.metadata_id].name.as_str(), event))
}

fn names(plane: &XPlane) -> Vec<&str> {
    events(plane).map(|(name, _)| name).collect()
}

/// The text of a value.
fn text<'a>(plane: &'a XPlane, event: &XEvent, name: &str) -> &'a str {
    let stat = event.stats.iter().find(|stat| plane.stat_metadata[&stat.metadata_id].name == name).unwrap();
    let Some(x_stat::Value::RefValue(text)) = stat.value else { unreachable!("texts are references") };
    &plane.stat_metadata[&text.cast_signed()].name
}

/// Compiles the program and runs it. Events of tests that run beside this one lie among its own.
fn multiply(client: &Client) {
    let loaded = client.compile(PRODUCT, &[], "mlir").unwrap();
    let (x, y) = (client.buffer(F32, &[3, 4, 5], &[1_f32; 60]), client.buffer(F32, &[3, 5, 6], &[2_f32; 90]));
    assert_eq!(run(&loaded, &[x.0, y.0], &[]).unwrap().read::<f32>().unwrap(), [10.; 72]);
}

#[test]
fn profiles_hold_what_happened_between_start_and_stop() {
    let _guard = one_profile_at_a_time();
    let client = Client::new();
    let profiler = Profiler::new();
    assert_eq!(profiler.bytes(), []);
    let began = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_nanos();
    profiler.start().unwrap();
    profiler.start().unwrap();
    let early = profiler.collect(ptr::null_mut(), 0).err().unwrap();
    assert!(early.is(Code::FailedPrecondition) && early.message.contains("stopped"), "{early:?}");
    multiply(&client);
    profiler.stop().unwrap();
    profiler.stop().unwrap();
    let ended = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_nanos();
    let bytes = profiler.bytes();
    multiply(&client);
    assert_eq!(profiler.bytes(), bytes);
    let small = profiler.collect([0].as_mut_ptr(), 1).err().unwrap();
    assert!(small.is(Code::InvalidArgument) && small.message.contains("one of 1 came"), "{small:?}");

    let space = space(&bytes);
    let (host, device) = (plane(&space, "/host:"), plane(&space, "/device:CUSTOM:"));
    for plane in [host, device] {
        for line in &plane.lines {
            let ends = line.events.iter().map(|event| {
                let Some(x_event::Data::OffsetPs(offset)) = event.data else { unreachable!("events have a place") };
                assert!(offset >= 0 && event.duration_ps >= 0);
                line.timestamp_ns + (offset + event.duration_ps) / 1000
            });
            let (first, last) = (line.timestamp_ns, ends.max().unwrap());
            // The system's clock may be set in between, by a little.
            let slack = 1_000_000_000;
            assert!(i128::from(first) > began as i128 - slack && i128::from(last) < ended as i128 + slack);
        }
    }
    for name in
        ["compile jit__lambda", "call jit__lambda", "copy 240 bytes from the host", "copy 288 bytes to the host"]
    {
        assert!(names(host).contains(&name), "{name}: {:?}", names(host));
    }
    let (_, run) = events(device).find(|(name, _)| *name == "jit__lambda").unwrap();
    assert_eq!(text(device, run, "hlo_module"), "jit__lambda");
    let (_, step) = events(host).find(|(name, _)| *name == "native.main").unwrap();
    assert_eq!(text(host, step, "hlo_op"), "native.main");
    assert_eq!(text(host, step, "hlo_module"), "jit__lambda");
    assert!(text(host, step, "tf_op").ends_with("/dot_general"));
    let (file, line) = text(host, step, "source").rsplit_once(':').unwrap();
    assert!(!file.is_empty() && line.parse::<u32>().unwrap() > 0);
}

#[test]
fn profiles_follow_each_other() {
    let _guard = one_profile_at_a_time();
    let client = Client::new();
    let profiler = Profiler::new();
    let mut began = 0;
    for _ in 0..2 {
        profiler.start().unwrap();
        multiply(&client);
        profiler.stop().unwrap();
        let space = space(&profiler.bytes());
        let (host, device) = (plane(&space, "/host:"), plane(&space, "/device:CUSTOM:"));
        assert!(names(host).contains(&"call jit__lambda") && names(device).contains(&"jit__lambda"));
        let next = host.lines.iter().map(|line| line.timestamp_ns).min().unwrap();
        assert!(next > began);
        began = next;
    }
}

#[test]
fn one_profiler_records_at_a_time() {
    let _guard = one_profile_at_a_time();
    let (first, second) = (Profiler::new(), Profiler::new());
    first.start().unwrap();
    let refused = second.start().err().unwrap();
    assert!(refused.is(Code::FailedPrecondition) && refused.message.contains("another"), "{refused:?}");
    drop(first);
    second.start().unwrap();
    second.stop().unwrap();
    assert!(!second.bytes().is_empty());
}

#[test]
fn nulls_are_refused() {
    let none = Profiler(ptr::null_mut());
    for failure in [none.start(), none.stop(), none.collect(ptr::null_mut(), 0).map(drop)] {
        let failure = failure.err().unwrap();
        assert!(failure.is(Code::InvalidArgument) && failure.message.contains("null"), "{failure:?}");
    }
    // SAFETY: the functions withstand nulls.
    unsafe {
        for function in [interface().start, interface().stop, interface().destroy] {
            assert!(outcome(function.unwrap()(ptr::null_mut())).err().unwrap().is(Code::InvalidArgument));
        }
        assert!(outcome(interface().create.unwrap()(ptr::null_mut())).is_err());
        assert!(outcome(interface().collect_data.unwrap()(ptr::null_mut())).is_err());
        interface().error_destroy.unwrap()(ptr::null_mut());
        interface().error_message.unwrap()(ptr::null_mut());
    }
    // Ends nothing.
    drop(none);
}
