//! Compiled programs and their execution.
#![forbid(unsafe_code)]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use prost::Message;

use super::buffer::{Buffer, BufferType, MemoryKind};
use super::capture::Trace;
use super::client::{Device, platform_version};
use super::compile_options;
use super::cost::{self, Cost};
use super::dump::Dump;
use super::error::{Code, Error};
use super::host::HostProgram;
use super::layout::Layout;
use super::memory_limit::{self, Reservation};
use super::settings::{self, host_is_allowed};
use super::timeline;
use crate::lower;
use crate::mlx::{self, Places};
use crate::plan::{Origin, Plan};
use crate::program::{Attribute, Attributes, ElementType, Function, Type, ValueId};
use crate::{passes, proto, reader};

/// Type of a parameter or result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signature {
    /// Element type or token.
    pub ty: BufferType,
    /// Sizes.
    pub dims: Vec<i64>,
    /// Order of the dimensions in memory; None is row-major.
    pub layout: Option<Layout>,
    /// Where it lies.
    pub memory: MemoryKind,
}

impl Signature {
    /// JAX passes arrays of no booleans for tokens.
    pub(super) fn accepts(&self, buffer: &Buffer) -> bool {
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
    /// Of intermediate results, an estimate: MLX allocates as it goes.
    pub temp_bytes: usize,
    /// There is no generated code.
    pub code_bytes: usize,
}

/// A compiled program on its device.
pub struct Executable {
    pub(super) name: String,
    pub(super) fingerprint: String,
    pub(super) program_bytes: Vec<u8>,
    pub(super) devices: Vec<Arc<Device>>,
    pub(super) parameters: Vec<Signature>,
    pub(super) results: Vec<Signature>,
    /// Parameters that a call may use up, in order.
    pub(super) donated: Vec<usize>,
    pub(super) plan: Plan,
    /// See [`CompiledMemoryStats::temp_bytes`].
    pub(super) temporary_bytes: usize,
    /// The largest array that a run makes, in bytes.
    pub(super) largest: Option<(usize, Arc<Origin>)>,
    pub(super) reservation: Option<Reservation>,
    /// Whether a run may have to wait for the device on its way.
    pub(super) blocks: bool,
    /// The same for the host, where the device shares memory with it and the program is small enough.
    pub(super) host: Option<HostProgram>,
    /// Where the plan's constants lie, which no result may share.
    pub(super) constants: Places,
    pub(super) cost: Cost,
    pub(super) trace: Trace,
    pub(super) deleted: AtomicBool,
}

impl Executable {
    pub(super) fn compile(device: Arc<Device>, bytes: &[u8], options: &[u8]) -> Result<Arc<Self>, Error> {
        let mut span = timeline::span("compile", || "compile".to_owned());
        let options_bytes = options;
        let options = proto::CompileOptionsProto::decode(options).map_err(|error| {
            Error::new(Code::InvalidArgument, format!("compile options are no CompileOptionsProto: {error}"))
        })?;
        compile_options::check(&options)?;
        let dump = Dump::new(compile_options::dump_to(&options))?;
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
        let received = if reader::is_text(bytes) { "00-received.mlir" } else { "00-received.mlirbc" };
        dump.write(received, || bytes.to_vec());
        // Reading includes verification.
        let mut program = reader::read(bytes).map_err(|error| {
            let code = if error.is_unimplemented() { Code::Unimplemented } else { Code::InvalidArgument };
            Error::new(code, error.to_string())
        })?;
        dump.write("01-read.txt", || program.to_string().into_bytes());
        span.rename(&program.name);
        let choice = settings::passes()?;
        passes::run(&mut program, &choice, |index, pass, program| {
            dump.write(&format!("{:02}-{pass}.txt", index + 2), || program.to_string().into_bytes());
        })?;
        let main =
            program.main().ok_or_else(|| Error::new(Code::InvalidArgument, "the program has no function @main"))?;
        let parameters = signatures(main, &main.body.arguments, &main.argument_attributes)?;
        let results = signatures(main, &main.body.results, &main.result_attributes)?;
        memory_limit::check(main, &device.memory_bounds()?)?;
        let plan = lower::compile(&program, main, device.stream().capabilities(), settings::place()?)?;
        let footprint = plan.footprint();
        dump.write("plan.txt", || plan.to_string().into_bytes());
        dump.finish()?;
        // The host computes on row-major bytes.
        let plain = parameters.iter().chain(&results).all(|signature| signature.layout.is_none());
        let host = if plain && device.shares_memory() && host_is_allowed()? { HostProgram::new(main) } else { None };
        let donated = main
            .argument_attributes
            .iter()
            .enumerate()
            .filter(|(_, attributes)| {
                attributes.get("tf.aliasing_output").is_some() || attributes.get("jax.buffer_donor").is_some()
            })
            .map(|(index, _)| index)
            .collect();
        let name = if program.name.is_empty() { "main".to_owned() } else { program.name.clone() };
        Ok(Arc::new(Self {
            trace: Trace::new(&name),
            name,
            fingerprint: fingerprint(&device, options_bytes, bytes)?,
            program_bytes: bytes.to_vec(),
            temporary_bytes: footprint.temporary_bytes,
            reservation: Reservation::new(&footprint, device.stream().capabilities()),
            largest: footprint.largest,
            devices: vec![device],
            parameters,
            results,
            donated,
            cost: cost::estimate(main),
            constants: plan
                .constants
                .iter()
                .filter(|(_, array)| array.size() > 0)
                .map(|(_, array)| array.place())
                .collect::<Result<_, mlx::Error>>()?,
            blocks: plan.blocks(),
            plan,
            host,
            deleted: AtomicBool::new(false),
        }))
    }

    /// Module name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Hash of the program, its options and what compiles it, as text.
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

    /// Estimated exponentials, roots and the like of a run.
    pub fn transcendentals(&self) -> f64 {
        self.cost.transcendentals
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
            temp_bytes: self.temporary_bytes,
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
            let layout = layout_mode(attributes, ty, dims.len())?;
            let memory = match attributes.string("mhlo.memory_kind") {
                None => MemoryKind::Device,
                Some(name) => MemoryKind::ALL
                    .into_iter()
                    .find(|kind| kind.name() == name)
                    .ok_or_else(|| Error::new(Code::InvalidArgument, format!("unknown memory kind {name:?}")))?,
            };
            Ok(Signature { ty, dims, layout, memory })
        })
        .collect()
}

/// The layout that JAX asks for. Where it leaves the choice, that is row-major order.
fn layout_mode(attributes: &Attributes, ty: BufferType, rank: usize) -> Result<Option<Layout>, Error> {
    let bits = match ty {
        BufferType::Token => 8,
        BufferType::Tensor(element) => element.bits(),
    };
    match attributes.get("mhlo.layout_mode") {
        Some(Attribute::String(mode)) if mode != "default" && mode != "auto" => Layout::parse(mode, rank, bits),
        _ => Ok(None),
    }
}

/// Hash of a program, its options and all that else decides what it is compiled to: the plugin and MLX by their versions,
/// the device and what it can do, and the environment's switches.
fn fingerprint(device: &Device, options: &[u8], program: &[u8]) -> Result<String, Error> {
    let compiler = format!(
        "{}; {}; {:?}; host: {}; reader: {}; passes: {:?}; place: {:?}",
        platform_version(),
        device.kind(),
        device.stream().capabilities(),
        host_is_allowed()?,
        reader::name(),
        settings::passes()?,
        settings::place()?,
    );
    Ok(format!("{:016x}", fnv1a(&[compiler.as_bytes(), options, program])))
}

/// FNV-1a, 64 bits, of several texts, of which none is the next one's beginning: stable between processes and versions of
/// Rust, unlike std's hasher.
fn fnv1a(parts: &[&[u8]]) -> u64 {
    let lengths = parts.iter().map(|part| (part.len() as u64).to_le_bytes());
    let bytes = lengths.zip(parts).flat_map(|(length, part)| length.into_iter().chain(part.iter().copied()));
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::{Client, ClientOptions};

    #[test]
    fn the_fingerprint_is_of_all_that_decides() {
        let client = Client::new(ClientOptions { device: Some("cpu".into()) }).expect("opened");
        let device = &client.devices()[0];
        let print = |options: &[u8], program: &[u8]| fingerprint(device, options, program).expect("settings are right");
        assert_eq!(print(b"a", b"bc"), print(b"a", b"bc"));
        assert_ne!(print(b"a", b"bc"), print(b"ab", b"c"));
        assert_ne!(print(b"a", b"bc"), print(b"", b"bc"));
        assert_ne!(print(b"a", b"bc"), print(b"a", b"bd"));
        assert_ne!(fnv1a(&[b"jax-mps 1", b"p"]), fnv1a(&[b"jax-mps 2", b"p"]));
    }
}
