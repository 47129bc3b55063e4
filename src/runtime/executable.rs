//! Compiled programs and their execution.
#![forbid(unsafe_code)]

use std::collections::{HashMap, HashSet};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use prost::Message;

use super::buffer::{Buffer, BufferType, MemoryKind};
use super::client::Device;
use super::compile_options;
use super::completion::Completion;
use super::cost::{self, Cost};
use super::dump::Dump;
use super::error::{Code, Error};
use super::host::HostProgram;
use super::memory_limit;
use crate::lower::{self, HostTransfers, Plan, with_host_transfers};
use crate::mlx::{self, Array, Arrays};
use crate::program::{Attribute, Attributes, ElementType, Function, Type, ValueId};
use crate::{passes, proto, stablehlo};

/// Type of a parameter or result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signature {
    /// Element type or token.
    pub ty: BufferType,
    /// Sizes.
    pub dims: Vec<i64>,
    /// Where it lies.
    pub memory: MemoryKind,
}

impl Signature {
    /// JAX passes arrays of no booleans for tokens.
    fn accepts(&self, buffer: &Buffer) -> bool {
        let stands_for_token = || {
            self.ty == BufferType::Token
                && buffer.ty() == BufferType::Tensor(ElementType::Bool)
                && *buffer.dims() == [0]
        };
        (buffer.ty() == self.ty && *buffer.dims() == *self.dims) || stands_for_token()
    }

    fn bytes(&self) -> usize {
        match self.ty {
            BufferType::Token => 0,
            BufferType::Tensor(element) => {
                self.dims.iter().map(|&size| usize::try_from(size).unwrap_or(0)).product::<usize>() * element.bytes()
            }
        }
    }
}

/// Bytes for `Compiled.memory_analysis()`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CompiledMemoryStats {
    /// Of all arguments.
    pub argument_bytes: usize,
    /// Of all results.
    pub output_bytes: usize,
    /// Of donated arguments.
    pub alias_bytes: usize,
    /// MLX allocates as it goes: unknown, reported as 0.
    pub temp_bytes: usize,
    /// There is no generated code.
    pub code_bytes: usize,
}

/// A compiled program on its device.
pub struct Executable {
    name: String,
    fingerprint: String,
    program_bytes: Vec<u8>,
    devices: Vec<Arc<Device>>,
    parameters: Vec<Signature>,
    results: Vec<Signature>,
    /// Parameters that a call may use up, in order.
    donated: Vec<usize>,
    plan: Plan,
    /// The same for the host, where the device shares memory with it and the program is small enough.
    host: Option<HostProgram>,
    /// Addresses of the plan's constants, which no result may share.
    constants: HashSet<usize>,
    cost: Cost,
    deleted: AtomicBool,
}

impl Executable {
    pub(super) fn compile(device: Arc<Device>, bytes: &[u8], options: &[u8]) -> Result<Arc<Self>, Error> {
        let options = proto::CompileOptionsProto::decode(options).map_err(|error| {
            Error::new(Code::InvalidArgument, format!("compile options are no CompileOptionsProto: {error}"))
        })?;
        compile_options::check(&options)?;
        let build = options.executable_build_options.unwrap_or_default();
        let (replicas, partitions) = (build.num_replicas.max(1), build.num_partitions.max(1));
        if replicas * partitions != 1 {
            return Err(Error::new(
                Code::Unimplemented,
                format!(
                    "programs for several devices are not supported on mps: {replicas} replicas, {partitions} partitions"
                ),
            ));
        }
        let dump = Dump::new();
        dump.write("0-received.mlirbc", || bytes.to_vec());
        // Reading includes verification.
        let mut program = stablehlo::read(bytes).map_err(|error| {
            let code = if error.is_unimplemented() { Code::Unimplemented } else { Code::InvalidArgument };
            Error::new(code, error.to_string())
        })?;
        dump.write("1-read.txt", || program.to_string().into_bytes());
        passes::run(&mut program, |index, pass, program| {
            dump.write(&format!("{}-{pass}.txt", index + 2), || program.to_string().into_bytes());
        })?;
        let main =
            program.main().ok_or_else(|| Error::new(Code::InvalidArgument, "the program has no function @main"))?;
        let parameters = signatures(main, &main.body.arguments, &main.argument_attributes)?;
        let results = signatures(main, &main.body.results, &main.result_attributes)?;
        memory_limit::check(main, mlx::memory::limit()?)?;
        let plan = lower::compile(&program, main)?;
        dump.write("9-plan.txt", || plan.to_string().into_bytes());
        let host = if device.shares_memory() && host_is_allowed() { HostProgram::new(main) } else { None };
        let donated = main
            .argument_attributes
            .iter()
            .enumerate()
            .filter(|(_, attributes)| {
                attributes.get("tf.aliasing_output").is_some() || attributes.get("jax.buffer_donor").is_some()
            })
            .map(|(index, _)| index)
            .collect();
        Ok(Arc::new(Self {
            name: if program.name.is_empty() { "main".to_owned() } else { program.name.clone() },
            fingerprint: format!("{:016x}", fingerprint(bytes)),
            program_bytes: bytes.to_vec(),
            devices: vec![device],
            parameters,
            results,
            donated,
            cost: cost::estimate(main),
            constants: plan
                .constants
                .iter()
                .filter(|(_, array)| array.size() > 0)
                .map(|(_, array)| Ok(array.data()?.addr()))
                .collect::<Result<_, mlx::Error>>()?,
            plan,
            host,
            deleted: AtomicBool::new(false),
        }))
    }

    /// Module name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Hash of the program's bytes, as text.
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    /// The bytes that were compiled.
    pub fn program_bytes(&self) -> &[u8] {
        &self.program_bytes
    }

    /// Devices that it runs on.
    pub fn devices(&self) -> &[Arc<Device>] {
        &self.devices
    }

    /// Types of the arguments.
    pub fn parameters(&self) -> &[Signature] {
        &self.parameters
    }

    /// Types of the results.
    pub fn results(&self) -> &[Signature] {
        &self.results
    }

    /// Estimated floating point operations of a run.
    pub fn flops(&self) -> f64 {
        self.cost.flops
    }

    /// Estimated bytes read and written in a run.
    pub fn bytes_accessed(&self) -> f64 {
        self.cost.bytes_accessed
    }

    /// Bytes of generated code: none.
    pub fn code_size(&self) -> i64 {
        0
    }

    /// Bytes by use.
    pub fn memory_stats(&self) -> CompiledMemoryStats {
        CompiledMemoryStats {
            argument_bytes: self.parameters.iter().map(Signature::bytes).sum(),
            output_bytes: self.results.iter().map(Signature::bytes).sum(),
            alias_bytes: self.donated.iter().map(|&index| self.parameters[index].bytes()).sum(),
            temp_bytes: 0,
            code_bytes: 0,
        }
    }

    /// Makes further calls fail.
    pub fn delete(&self) {
        self.deleted.store(true, Ordering::Release);
    }

    /// Whether [`Self::delete`] was called.
    pub fn is_deleted(&self) -> bool {
        self.deleted.load(Ordering::Acquire)
    }

    /// Runs once. Returns as soon as the work is scheduled (programs whose control flow depends on values, and programs
    /// that exchange data with the host, wait for these). The results come with the outcome of the program's effects; an
    /// error of the computation is told by that, and by the results' completion.
    ///
    /// # Errors
    /// INVALID_ARGUMENT for wrong or deleted arguments.
    pub fn execute(
        &self,
        arguments: &[&Arc<Buffer>],
        non_donatable: &[usize],
        transfers: Option<Rc<dyn HostTransfers>>,
    ) -> Result<(Vec<Arc<Buffer>>, Completion), Error> {
        if self.is_deleted() {
            return Err(Error::new(Code::FailedPrecondition, format!("executable {} has been deleted", self.name)));
        }
        if arguments.len() != self.parameters.len() {
            return Err(Error::new(
                Code::InvalidArgument,
                format!("{}: {} arguments expected, {} came", self.name, self.parameters.len(), arguments.len()),
            ));
        }
        for (index, (buffer, parameter)) in arguments.iter().zip(&self.parameters).enumerate() {
            if !parameter.accepts(buffer) {
                return Err(Error::new(
                    Code::InvalidArgument,
                    format!(
                        "{}: argument {index}: {:?}{:?} expected, {:?}{:?} came",
                        self.name,
                        parameter.ty,
                        parameter.dims,
                        buffer.ty(),
                        buffer.dims()
                    ),
                ));
            }
        }
        let donates = |index: usize| self.donated.binary_search(&index).is_ok() && !non_donatable.contains(&index);
        self.check_donations(arguments, &donates)?;
        if let Some(outputs) = self.execute_on_host(arguments, &donates)? {
            return Ok((outputs, Completion::ready()));
        }
        if let Some(index) = arguments.iter().position(|buffer| buffer.is_deleted()) {
            let message = format!("{}: argument {index} has been deleted or donated", self.name);
            return Err(Error::new(Code::InvalidArgument, message));
        }
        Ok(match with_host_transfers(transfers, || self.launch(arguments, &donates)) {
            Ok((outputs, completion)) => {
                (self.buffers(outputs.into_iter().map(Some), &completion), Completion::ready())
            }
            Err(error) => {
                tracing::debug!("{}: {error}", self.name);
                let failed = Completion::failed(error);
                (self.buffers(self.results.iter().map(|_| None), &failed), failed)
            }
        })
    }
}

impl Executable {
    /// Schedules the work.
    fn launch(
        &self,
        arguments: &[&Arc<Buffer>],
        donates: &impl Fn(usize) -> bool,
    ) -> Result<(Arrays, Completion), Error> {
        let arrays = arguments.iter().map(|buffer| buffer.array()).collect::<Result<Arrays, _>>()?;
        let mut taken: HashSet<*const u8> = HashSet::new();
        for (index, buffer) in arguments.iter().enumerate() {
            if donates(index) {
                buffer.delete();
            } else if arrays[index].size() > 0 {
                taken.insert(arrays[index].data()?);
            }
        }
        let stream = self.devices[0].stream();
        let outputs = self.plan.run_owned(arrays, stream)?;
        settle(outputs, taken, &self.constants, stream)
    }

    /// The results as buffers: without an array where the completion tells of a failure.
    fn buffers(&self, arrays: impl Iterator<Item = Option<Array>>, completion: &Completion) -> Vec<Arc<Buffer>> {
        arrays
            .zip(&self.results)
            .map(|(array, result)| {
                let device = self.devices[0].clone();
                Buffer::new(result.ty, &result.dims, device, result.memory, array, completion.clone())
            })
            .collect()
    }

    /// A buffer that is given away may not be used by the same call in another place.
    fn check_donations(&self, arguments: &[&Arc<Buffer>], donates: &impl Fn(usize) -> bool) -> Result<(), Error> {
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

    /// None when the program or its arguments are not for the host: too large, not there yet, deleted, failed.
    fn execute_on_host(
        &self,
        arguments: &[&Arc<Buffer>],
        donates: &impl Fn(usize) -> bool,
    ) -> Result<Option<Vec<Arc<Buffer>>>, Error> {
        let Some(host) = &self.host else { return Ok(None) };
        if !arguments.iter().all(|buffer| buffer.completion().is_ready()) {
            return Ok(None);
        }
        let Some(outputs) = host.run(|index, look| arguments[index].read(|bytes| look(bytes)).ok()) else {
            return Ok(None);
        };
        let buffers = outputs
            .iter()
            .zip(&self.results)
            .map(|(bytes, result)| {
                Buffer::from_bytes(result.ty, &result.dims, bytes, self.devices[0].clone(), result.memory)
            })
            .collect::<Result<Vec<_>, _>>()?;
        for &index in self.donated.iter().filter(|&&index| donates(index)) {
            arguments[index].delete();
        }
        Ok(Some(buffers))
    }
}

/// Schedules the outputs and sees that each is row-major in memory of its own: PJRT buffers are dense, and JAX promises
/// that distinct arrays have distinct pointers.
fn settle(
    outputs: Arrays,
    mut taken: HashSet<*const u8>,
    constants: &HashSet<usize>,
    stream: mlx::Stream,
) -> Result<(Arrays, Completion), Error> {
    let launch = stream.evaluate_async(&outputs)?;
    let mut mended: Vec<(usize, Array)> = Vec::new();
    for (index, output) in outputs.iter().enumerate() {
        if output.size() == 0 {
            continue;
        }
        if !output.is_row_contiguous()? {
            mended.push((index, mlx::contiguous(output, stream)?));
        } else if constants.contains(&output.data()?.addr()) || !taken.insert(output.data()?) {
            mended.push((index, mlx::duplicate(output, stream)?));
        }
    }
    if mended.is_empty() {
        return Ok((outputs, Completion::of(launch)));
    }
    let mut outputs = outputs;
    for (index, array) in mended {
        outputs[index] = array;
    }
    let launch = stream.evaluate_async(&outputs)?;
    Ok((outputs, Completion::of(launch)))
}

/// `JAX_MPS_HOST=off` sends every program to the device: for tests of what the device computes.
fn host_is_allowed() -> bool {
    std::env::var_os("JAX_MPS_HOST").is_none_or(|value| value != "off")
}

fn signatures(function: &Function, values: &[ValueId], attributes: &[Attributes]) -> Result<Vec<Signature>, Error> {
    let none = Attributes::default();
    values
        .iter()
        .enumerate()
        .map(|(index, &value)| {
            let attributes = attributes.get(index).unwrap_or(&none);
            let (ty, dims) = match function.ty(value) {
                Type::Token => (BufferType::Token, Vec::new()),
                Type::Tensor(tensor) if tensor.is_static() => {
                    (BufferType::Tensor(tensor.element), tensor.shape.clone())
                }
                other => {
                    return Err(Error::new(
                        Code::Unimplemented,
                        format!("{other} as argument or result of @{} is not supported on mps", function.name),
                    ));
                }
            };
            layout_mode(attributes, dims.len())?;
            let memory = match attributes.string("mhlo.memory_kind") {
                None => MemoryKind::Device,
                Some(name) => MemoryKind::ALL
                    .into_iter()
                    .find(|kind| kind.name() == name)
                    .ok_or_else(|| Error::new(Code::InvalidArgument, format!("unknown memory kind {name:?}")))?,
            };
            Ok(Signature { ty, dims, memory })
        })
        .collect()
}

/// Buffers are row-major; any other layout asked for is refused.
fn layout_mode(attributes: &Attributes, rank: usize) -> Result<(), Error> {
    let Some(Attribute::String(mode)) = attributes.get("mhlo.layout_mode") else { return Ok(()) };
    let row_major = format!("{{{}}}", (0..rank).rev().map(|axis| axis.to_string()).collect::<Vec<_>>().join(","));
    if mode == "default" || mode == "auto" || *mode == row_major {
        return Ok(());
    }
    Err(Error::new(Code::Unimplemented, format!("layout {mode} is not supported on mps: only row-major {row_major}")))
}

/// FNV-1a, 64 bits: stable between processes and versions of Rust, unlike std's hasher.
fn fingerprint(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, &byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}
