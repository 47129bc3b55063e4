//! Runs of compiled programs.
#![forbid(unsafe_code)]

use std::borrow::Borrow;
use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use smallvec::SmallVec;

use super::buffer::Buffer;
use super::completion::{Completer, Completion};
use super::definition_event::DefinitionEvent;
use super::error::{Code, Error};
use super::executable::{Executable, Signature};
use super::fork;
use super::interrupts::{self, Outcome, interrupted};
use super::jobs::{self, Job};
use super::layout::{Layout, layout_text};
use super::timeline;
use crate::mlx::{self, Array, Arrays, BufferSlices, Launch, Reach, run_program};
use crate::plan::{HostTransfers, Origin, with_host_transfers, with_step_observer};

/// Which arguments a call gives away.
type Donations = SmallVec<[bool; 16]>;

impl Executable {
    /// Runs once. Returns as soon as the work is scheduled; programs that have to wait for the device on their way (loops
    /// and branches that depend on values), and programs with such results among their arguments, are only set going.
    /// Programs that exchange data with the host do so on the calling thread, which waits for them.
    ///
    /// The results come with the outcome of the program's effects; an error of the computation is told by the results'
    /// completion.
    ///
    /// # Errors
    /// What goes wrong in a program that exchanges data with the host; INVALID_ARGUMENT for wrong or deleted arguments;
    /// FAILED_PRECONDITION in a forked child.
    pub fn execute(
        self: &Arc<Self>,
        arguments: &[&Arc<Buffer>],
        non_donatable: &[usize],
        transfers: Option<Rc<dyn HostTransfers>>,
    ) -> Result<(Vec<Arc<Buffer>>, Completion), Error> {
        fork::check()?;
        let _span = timeline::span("call", || self.name.clone());
        if self.is_deleted() {
            return Err(Error::new(Code::FailedPrecondition, format!("executable {} has been deleted", self.name)));
        }
        self.check_arguments(arguments)?;
        let donated: Donations = (0..arguments.len())
            .map(|index| self.donated.binary_search(&index).is_ok() && !non_donatable.contains(&index))
            .collect();
        self.check_donations(arguments, |index| donated[index])?;
        if let Some(outputs) = self.execute_here(arguments, |index| donated[index]) {
            return Ok((outputs, Completion::ready()));
        }
        if let Some(index) = arguments.iter().position(|buffer| buffer.is_deleted()) {
            let message = format!("{}: argument {index} has been deleted or donated", self.name);
            return Err(Error::new(Code::InvalidArgument, message));
        }
        let waits = self.blocks || arguments.iter().any(|buffer| buffer.pending_definition().is_some());
        if waits && transfers.is_none() {
            let outputs = self.defer(arguments, donated);
            if self.blocks
                && interrupts::waits_here()
                && let Some(output) = outputs.first()
            {
                // Its failure is the results'.
                drop(output.completion().wait());
            }
            return Ok((outputs, Completion::ready()));
        }
        let Some(transfers) = transfers.map(timeline::watched) else {
            return Ok((self.started(self.run_now(arguments, &donated, true)), Completion::ready()));
        };
        // What goes wrong is told here: jaxlib would keep the error of the effects, and tell it again at every barrier.
        match self.run_with_transfers(arguments, donated, transfers) {
            Outcome::Ended(ended) => Ok((self.started(Ok(ended?)), Completion::ready())),
            Outcome::Interrupted => Ok((self.started(Err(interrupted(&self.name))), Completion::ready())),
        }
    }

    /// Runs with callbacks, which are called on this thread.
    fn run_with_transfers(
        self: &Arc<Self>,
        arguments: &[&Arc<Buffer>],
        donated: Donations,
        transfers: Rc<dyn HostTransfers>,
    ) -> Outcome<Result<(Arrays, Launch), Error>> {
        let executable = self.clone();
        let arguments: Vec<Arc<Buffer>> = arguments.iter().map(|&buffer| buffer.clone()).collect();
        interrupts::run(transfers, move |transfers| {
            let arguments: SmallVec<[&Arc<Buffer>; 16]> = arguments.iter().collect();
            // What has been sent is not sent again.
            with_host_transfers(transfers, || executable.run_now(&arguments, &donated, false))
        })
    }

    /// The results of a run: buffers that wait for it, or that carry its error.
    fn started(&self, outcome: Result<(Arrays, Launch), Error>) -> Vec<Arc<Buffer>> {
        match outcome {
            Ok((outputs, launch)) => self.buffers(outputs.into_iter().map(Some), &Completion::of(launch)),
            Err(error) => {
                tracing::debug!("{}: {error}", self.name);
                self.buffers(self.results.iter().map(|_| None), &Completion::failed(error))
            }
        }
    }

    fn check_arguments(&self, arguments: &[&Arc<Buffer>]) -> Result<(), Error> {
        let name = &self.name;
        if arguments.len() != self.parameters.len() {
            let message = format!("{name}: {} arguments expected, {} came", self.parameters.len(), arguments.len());
            return Err(Error::new(Code::InvalidArgument, message));
        }
        for (index, (buffer, parameter)) in arguments.iter().zip(&self.parameters).enumerate() {
            if !parameter.accepts(buffer) {
                let (ty, dims) = (parameter.ty, &parameter.dims);
                let message = format!(
                    "{name}: argument {index}: {ty:?}{dims:?} expected, {:?}{:?} came",
                    buffer.ty(),
                    buffer.dims()
                );
                return Err(Error::new(Code::InvalidArgument, message));
            }
            if buffer.layout() != parameter.layout.as_ref() {
                let rank = parameter.dims.len();
                let expected = layout_text(parameter.layout.as_ref(), rank);
                let came = layout_text(buffer.layout(), rank);
                let message = format!("{name}: argument {index}: layout {expected} expected, {came} came");
                return Err(Error::new(Code::InvalidArgument, message));
            }
        }
        Ok(())
    }

    /// Runs on this thread; `repeatable`: and may do so twice.
    fn run_now(
        &self,
        arguments: &[&Arc<Buffer>],
        donated: &Donations,
        repeatable: bool,
    ) -> Result<(Arrays, Launch), Error> {
        let (arrays, reach) = collect(arguments)?;
        for (buffer, _) in arguments.iter().zip(donated).filter(|&(_, &donated)| donated) {
            buffer.delete();
        }
        run_program(reach, || self.launch(arrays, donated)).or_else(|error| {
            let again = (repeatable && !donated.contains(&true)).then_some(arguments);
            self.launch_again(error, again, donated)
        })
    }

    /// Once more, where memory was short and the arguments are still there: MLX keeps freed memory for itself, in blocks
    /// that may be too small. The buffers hold their arrays, so that the first attempt has not written to them.
    fn launch_again<B: Borrow<Arc<Buffer>>>(
        &self,
        error: Error,
        arguments: Option<&[B]>,
        donated: &Donations,
    ) -> Result<(Arrays, Launch), Error> {
        if error.code != Code::ResourceExhausted {
            return Err(error);
        }
        if let Some(arguments) = arguments {
            tracing::debug!("{}: {error}: trying again without mlx's cache", self.name);
            mlx::memory::clear_cache()?;
            // They may have been deleted meanwhile, or have failed.
            if let Ok((arrays, reach)) = collect(arguments) {
                return run_program(reach, || self.launch(arrays, donated)).map_err(|error| self.with_size(error));
            }
        }
        Err(self.with_size(error))
    }

    /// Tells how large the program's largest array is.
    fn with_size(&self, mut error: Error) -> Error {
        if let Some((bytes, origin)) = &self.largest
            && error.code == Code::ResourceExhausted
            && !error.message.contains(&format!("needs {bytes} bytes"))
        {
            let Origin { name, location } = &**origin;
            error.message +=
                &format!("; {bytes} bytes for {name} at {location} are the largest array of {}", self.name);
        }
        error
    }

    /// Sets the program going on another thread, once its arguments exist.
    fn defer(self: &Arc<Self>, arguments: &[&Arc<Buffer>], donated: Donations) -> Vec<Arc<Buffer>> {
        let underway = jobs::begin();
        let (completion, completer) = Completion::manual();
        let definition = DefinitionEvent::new();
        let outputs: Vec<Arc<Buffer>> = self
            .results
            .iter()
            .map(|result| {
                let (device, definition) = (self.devices[0].clone(), definition.clone());
                let layout = result.layout.clone();
                Buffer::promised(result.ty, &result.dims, layout, device, result.memory, definition, completion.clone())
            })
            .collect();
        let arguments: Vec<Arc<Buffer>> = arguments.iter().map(|&buffer| buffer.clone()).collect();
        for (buffer, &donated) in arguments.iter().zip(&donated) {
            buffer.claim();
            if donated {
                buffer.delete();
            }
        }
        let awaited: Vec<Arc<DefinitionEvent>> =
            arguments.iter().filter_map(|buffer| buffer.pending_definition().cloned()).collect();
        let deferred = Deferred { executable: self.clone(), arguments, donated, outputs: outputs.clone(), definition };
        let job: Job = Box::new(move || {
            deferred.run(completer);
            drop(underway);
        });
        submit_after(&awaited, job);
        outputs
    }

    /// Schedules the work on arguments of which those not donated must stay as they are.
    fn launch(&self, mut arrays: Arrays, donated: &Donations) -> Result<(Arrays, Launch), Error> {
        if let Some(reservation) = &self.reservation {
            reservation.check()?;
        }
        let mut taken = BufferSlices::with_capacity_and_hasher(arrays.len() + self.results.len(), Default::default());
        for (array, _) in arrays.iter().zip(donated).filter(|&(array, &donated)| !donated && array.size() > 0) {
            taken.insert(array.buffer_slice()?);
        }
        let stream = self.devices[0].stream();
        self.trace.record(|recorded| {
            transpose(&mut arrays, &self.parameters, Layout::to_logical, stream)?;
            let mut run = timeline::run(&self.name);
            let observer = run.as_ref().and_then(timeline::Run::observer);
            let mut outputs = with_step_observer(observer, || self.plan.run_owned(arrays, stream))?;
            transpose(&mut outputs, &self.results, Layout::to_physical, stream)?;
            if let Some(run) = run.as_mut().filter(|_| !self.blocks) {
                run.built();
            }
            let (outputs, launch) = densify(outputs, taken, &self.constants, stream)?;
            if let Some(run) = run {
                run.scheduled(&Completion::of(launch.clone()));
            }
            if recorded {
                // Its failure is the results'.
                drop(launch.wait());
            }
            Ok((outputs, launch))
        })
    }

    /// The results as buffers: without an array where the completion tells of a failure.
    fn buffers(&self, arrays: impl Iterator<Item = Option<Array>>, completion: &Completion) -> Vec<Arc<Buffer>> {
        arrays
            .zip(&self.results)
            .map(|(array, result)| {
                let device = self.devices[0].clone();
                let layout = result.layout.clone();
                Buffer::new(result.ty, &result.dims, layout, device, result.memory, array, completion.clone())
            })
            .collect()
    }

    /// A buffer that is given away may not be used by the same call in another place.
    fn check_donations(&self, arguments: &[&Arc<Buffer>], donates: impl Fn(usize) -> bool) -> Result<(), Error> {
        if self.donated.is_empty() {
            return Ok(());
        }
        let mut seen = HashMap::with_capacity(arguments.len());
        for (index, &buffer) in arguments.iter().enumerate() {
            let Some(other) = seen.insert(Arc::as_ptr(buffer), index) else { continue };
            let what = match (donates(index), donates(other)) {
                (false, false) => continue,
                (true, true) => "donate the same buffer twice",
                _ => "donate a buffer that is also used",
            };
            let name = &self.name;
            return Err(Error::new(
                Code::InvalidArgument,
                format!("{name}: attempt to {what} in one call: arguments {other} and {index}"),
            ));
        }
        Ok(())
    }

    /// Runs native code on the calling thread. None when the program or its arguments are not for that: it takes long, they
    /// are not there yet, deleted, failed. What goes wrong here the plan tells in time.
    fn execute_here(&self, arguments: &[&Arc<Buffer>], donates: impl Fn(usize) -> bool) -> Option<Vec<Arc<Buffer>>> {
        let native = self.native.as_ref()?;
        // Profiles and files of the timeline have programs by the steps of their plans.
        if timeline::is_asked_for() || !self.patience.tries() {
            return None;
        }
        let arrays = arguments.iter().map(|buffer| buffer.at_hand()).collect::<Option<SmallVec<[Array; 16]>>>()?;
        let inputs = arrays.iter().map(|array| array.as_bytes().ok()).collect::<Option<SmallVec<[&[u8]; 16]>>>()?;
        let Some(outputs) = native.run_shortly(&inputs).ok()? else {
            self.patience.exhausted();
            return None;
        };
        for &index in self.donated.iter().filter(|&&index| donates(index)) {
            arguments[index].delete();
        }
        Some(self.buffers(outputs.into_iter().map(Some), &Completion::ready()))
    }
}

/// The arguments' arrays, and what the program that uses them reaches back to.
fn collect<B: Borrow<Arc<Buffer>>>(arguments: &[B]) -> Result<(Arrays, Reach), Error> {
    let mut reach = Reach::now();
    // To collect results is to forget how many there will be.
    let mut arrays = Arrays::with_capacity(arguments.len());
    for buffer in arguments.iter().map(Borrow::borrow) {
        // A buffer whose array is still to come tells no more than that before.
        let array = buffer.array()?;
        reach = buffer.reach(reach);
        arrays.push(array);
    }
    Ok((arrays, reach))
}

/// A program that another thread runs.
struct Deferred {
    executable: Arc<Executable>,
    arguments: Vec<Arc<Buffer>>,
    donated: Donations,
    outputs: Vec<Arc<Buffer>>,
    definition: Arc<DefinitionEvent>,
}

impl Deferred {
    fn run(self, completer: Completer) {
        let Self { executable, arguments, donated, outputs, definition } = self;
        let span = timeline::span("program", || executable.name.clone());
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            let reach = arguments.iter().fold(Reach::now(), |reach, buffer| buffer.reach(reach));
            // Every claim is taken, whatever becomes of the others.
            let arrays: SmallVec<[Result<Array, Error>; 4]> = arguments.iter().map(|buffer| buffer.take()).collect();
            let again = (!donated.contains(&true)).then_some(arguments);
            let arrays = arrays.into_iter().collect::<Result<Arrays, _>>()?;
            run_program(reach, || executable.launch(arrays, &donated))
                .or_else(|error| executable.launch_again(error, again.as_deref(), &donated))
        }));
        let outcome = outcome.unwrap_or_else(|_| {
            Err(Error::new(Code::Internal, format!("{}: internal error of jax-mps: a panic", executable.name)))
        });
        // Who waits for the results may end the profile then.
        drop(span);
        match outcome {
            Ok((arrays, launch)) => {
                for (buffer, array) in outputs.iter().zip(arrays) {
                    buffer.define(array);
                }
                match launch.is_ready() {
                    Ok(true) => completer.complete(Ok(())),
                    _ => completer.follow(launch),
                }
            }
            Err(error) => {
                tracing::debug!("{}: {error}", executable.name);
                completer.complete(Err(error));
            }
        }
        definition.define();
    }
}

/// Submits the job when all of these arrays are defined.
fn submit_after(definitions: &[Arc<DefinitionEvent>], job: Job) {
    if definitions.is_empty() {
        return jobs::submit(job);
    }
    let left = Arc::new((AtomicUsize::new(definitions.len()), std::sync::Mutex::new(Some(job))));
    for definition in definitions {
        let left = left.clone();
        definition.on_defined(Box::new(move || {
            if left.0.fetch_sub(1, Ordering::AcqRel) == 1 {
                let job = left.1.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
                if let Some(job) = job {
                    jobs::submit(job);
                }
            }
        }));
    }
}

/// Views arrays of other than row-major layouts as logical or as physical ones. This moves no elements.
fn transpose(
    arrays: &mut Arrays,
    signatures: &[Signature],
    axes: impl Fn(&Layout) -> Vec<i32>,
    stream: mlx::Stream,
) -> Result<(), Error> {
    for (array, signature) in arrays.iter_mut().zip(signatures) {
        if let Some(layout) = &signature.layout {
            *array = mlx::transpose(array, &axes(layout), stream)?;
        }
    }
    Ok(())
}

/// Schedules the outputs and sees that each is row-major in memory of its own: PJRT buffers are dense, and JAX promises
/// that distinct arrays have distinct pointers.
fn densify(
    outputs: Arrays,
    mut taken: BufferSlices,
    constants: &BufferSlices,
    stream: mlx::Stream,
) -> Result<(Arrays, Launch), Error> {
    let launch = stream.evaluate_async(&outputs)?;
    let mut copies: Vec<(usize, Array)> = Vec::new();
    for (index, output) in outputs.iter().enumerate() {
        if output.size() == 0 {
            continue;
        }
        let copy = if output.is_row_contiguous()? {
            let slice = output.buffer_slice()?;
            if !constants.contains(&slice) && taken.insert(slice) {
                continue;
            }
            mlx::duplicate
        } else {
            mlx::contiguous
        };
        copies.push((index, copy(output, stream.that_holds(output.dtype())?)?));
    }
    if copies.is_empty() {
        return Ok((outputs, launch));
    }
    let mut outputs = outputs;
    for (index, array) in copies {
        outputs[index] = array;
    }
    let launch = stream.evaluate_async(&outputs)?;
    Ok((outputs, launch))
}
