//! What `jax.profiler` starts, stops and collects from.
#![forbid(unsafe_code)]

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::super::error::{Code, Error};
use super::recording::{self, Recording};
use super::xspace;

/// Whether `JAX_MPS_PROFILE` asks for steps that are evaluated on their own.
///
/// # Errors
/// INVALID_ARGUMENT for values that it cannot have.
pub(super) fn is_step_by_step() -> Result<bool, Error> {
    match std::env::var_os("JAX_MPS_PROFILE").filter(|value| !value.is_empty()) {
        None => Ok(false),
        Some(value) if value == "ops" => Ok(true),
        Some(value) => Err(Error::new(Code::InvalidArgument, format!("JAX_MPS_PROFILE: expected ops, not {value:?}"))),
    }
}

/// A profiler: records between start and stop, any number of times.
pub struct Profiler(Mutex<State>);

enum State {
    /// Nothing was recorded.
    New,
    /// The recording that is under way is this profiler's.
    Started,
    /// The last recording.
    Stopped(Box<Recording>),
    /// The same as an XSpace.
    Collected(Arc<[u8]>),
}

impl Profiler {
    /// One that has recorded nothing.
    #[expect(clippy::new_without_default, reason = "a profiler is made for a caller of the C API")]
    pub fn new() -> Self {
        Self(Mutex::new(State::New))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts to record; what was recorded before is lost. A profiler that has started goes on. With
    /// `JAX_MPS_PROFILE=ops` programs evaluate each step on its own and wait for it, until the profiler stops.
    ///
    /// # Errors
    /// FAILED_PRECONDITION while another profiler records; INVALID_ARGUMENT for other values of `JAX_MPS_PROFILE`.
    pub fn start(&self) -> Result<(), Error> {
        self.start_with(is_step_by_step()?)
    }

    /// As [`Self::start`], whatever the environment says.
    ///
    /// # Errors
    /// FAILED_PRECONDITION while another profiler records.
    pub(crate) fn start_with(&self, step_by_step: bool) -> Result<(), Error> {
        let mut state = self.state();
        if !matches!(*state, State::Started) {
            recording::begin(step_by_step)?;
            *state = State::Started;
        }
        Ok(())
    }

    /// Stops. One that has not started stays as it is.
    pub fn stop(&self) {
        let mut state = self.state();
        if matches!(*state, State::Started) {
            *state = recording::end().map_or(State::New, |recording| State::Stopped(Box::new(recording)));
        }
    }

    /// What was recorded: a serialized `tensorflow.profiler.XSpace`; empty when nothing ever was. The profiler keeps the
    /// bytes where they are until it is started again or dropped.
    ///
    /// # Errors
    /// FAILED_PRECONDITION before it has stopped.
    pub fn collect(&self) -> Result<Arc<[u8]>, Error> {
        let mut state = self.state();
        let bytes: Arc<[u8]> = match std::mem::replace(&mut *state, State::New) {
            State::New => return Ok(Arc::default()),
            State::Started => {
                *state = State::Started;
                return Err(Error::new(Code::FailedPrecondition, "the profiler has not been stopped"));
            }
            State::Stopped(recording) => xspace::serialize(&recording).into(),
            State::Collected(bytes) => bytes,
        };
        *state = State::Collected(bytes.clone());
        Ok(bytes)
    }
}

impl Drop for Profiler {
    fn drop(&mut self) {
        self.stop();
    }
}

#[cfg(test)]
mod tests {
    use prost::Message;

    use super::super::super::{Buffer, BufferType, Client, ClientOptions, Executable, MemoryKind};
    use super::*;
    use crate::kernel::cost::Place;
    use crate::program::ElementType;
    use crate::proto::profile::XSpace;

    /// (tensor<4x4xf32>, tensor<7x4xf32>) -> tensor<4x4xf32>, with loops.
    const LOOPS: &[u8] = include_bytes!("../../../tests/data/stablehlo-1.13/scan_grad.mlirbc");
    /// (tensor<3xf32>, donated, tensor<3xf32>) -> tensor<3xf32>: x + y.
    const DONATE: &[u8] = include_bytes!("../../../tests/data/stablehlo-1.13/donate.mlirbc");

    fn client() -> Arc<Client> {
        Client::new(ClientOptions { device: Some("cpu".to_owned()) }).expect("opened")
    }

    /// The program, which MLX shall compute.
    fn compile(client: &Client, program: &[u8]) -> Arc<Executable> {
        crate::runtime::compile::compile(client.devices()[0].clone(), program, &[], Place::Device).expect("compiled")
    }

    fn buffer(client: &Client, dims: &[i64]) -> Arc<Buffer> {
        let count = dims.iter().product::<i64>();
        let bytes: Vec<u8> = (0..count).flat_map(|number| (number as f32 * 0.1).to_le_bytes()).collect();
        let ty = BufferType::Tensor(ElementType::F32);
        let device = client.devices()[0].clone();
        client.buffer_from_host(ty, dims, None, &bytes[..], &device, MemoryKind::Device).expect("copied")
    }

    fn run(executable: &Arc<Executable>, arguments: &[&Arc<Buffer>]) -> Vec<u8> {
        let (results, completion) = executable.execute(arguments, &[], None).expect("runs");
        completion.wait().expect("no failure");
        results[0].read(<[u8]>::to_vec).expect("computed")
    }

    /// Names of the events of the device.
    fn on_device(profiler: &Profiler) -> Vec<String> {
        profiler.stop();
        let space = XSpace::decode(&*profiler.collect().expect("stopped")).expect("an XSpace");
        let device = space.planes.iter().find(|plane| plane.name.starts_with("/device:")).expect("there");
        let events = device.lines.iter().flat_map(|line| &line.events);
        events.map(|event| device.event_metadata[&event.metadata_id].name.clone()).collect()
    }

    #[test]
    fn steps_that_are_waited_for_compute_the_same() {
        let _guard = super::super::one_at_a_time();
        let client = client();
        let executable = client.compile(LOOPS, &[]).expect("compiled");
        let arguments = [&buffer(&client, &[4, 4]), &buffer(&client, &[7, 4])];
        let expected = run(&executable, &arguments);
        let profiler = Profiler::new();
        profiler.start_with(true).expect("the only one");
        let found = run(&executable, &arguments);
        let names = on_device(&profiler);
        assert_eq!(found, expected);
        // The loop is native code, and as such one step.
        for name in [executable.name(), "native.main"] {
            assert!(names.iter().any(|event| event == name), "{name}: {names:?}");
        }
        assert_eq!(run(&executable, &arguments), expected);
    }

    #[test]
    fn steps_that_are_waited_for_use_donated_arguments_up() {
        let _guard = super::super::one_at_a_time();
        let client = client();
        let executable = compile(&client, DONATE);
        let &[donated] = &executable.donated[..] else { unreachable!("one argument is donated") };
        let mut found = Vec::new();
        for step_by_step in [false, true] {
            let profiler = Profiler::new();
            profiler.start_with(step_by_step).expect("the only one");
            let arguments = [&buffer(&client, &[3]), &buffer(&client, &[3])];
            found.push(run(&executable, &arguments));
            assert!(arguments[donated].is_deleted() && !arguments[1 - donated].is_deleted());
            let names = on_device(&profiler);
            assert_eq!(names.iter().any(|name| name == "stablehlo.add"), step_by_step, "{names:?}");
        }
        assert_eq!(found[0], found[1]);
    }
}
