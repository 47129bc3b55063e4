//! The compile driver: bytes → reader → passes → lowering → executable.
#![forbid(unsafe_code)]

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use prost::Message;

use super::buffer::{BufferType, MemoryKind};
use super::capture::Trace;
use super::device::{Device, platform_version};
use super::dump::Dump;
use super::error::{Code, Error};
use super::executable::{Executable, Patience, Signature};
use super::layout::Layout;
use super::memory_limit::{self, Reservation};
use super::settings;
use super::{compile_options, cost, timeline};
use crate::kernel::cost::Place;
use crate::program::{Attribute, Attributes, Function, Type, ValueId};
use crate::{lower, mlx, passes, proto, reader};

/// Compiles a program for a device, or for where it says that programs run: what a reader takes, and a serialized
/// CompileOptionsProto.
///
/// # Errors
/// INVALID_ARGUMENT for bytes that are no program, UNIMPLEMENTED for what is not supported.
pub(super) fn compile(
    device: Arc<Device>,
    bytes: &[u8],
    options: &[u8],
    place: Place,
) -> Result<Arc<Executable>, Error> {
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
    passes::run(&mut program, &settings::passes()?, |index, pass, program| {
        dump.write(&format!("{:02}-{pass}.txt", index + 2), || program.to_string().into_bytes());
    })?;
    let main = program.main().ok_or_else(|| Error::new(Code::InvalidArgument, "the program has no function @main"))?;
    let parameters = signatures(main, &main.body.arguments, &main.argument_attributes)?;
    let results = signatures(main, &main.body.results, &main.result_attributes)?;
    memory_limit::check(main, &device.memory_bounds()?)?;
    let lower::Compiled { plan, native } = lower::compile(&program, main, device.stream().capabilities(), place)?;
    let footprint = plan.footprint();
    dump.write("plan.txt", || plan.to_string().into_bytes());
    dump.finish()?;
    // The host computes on row-major bytes.
    let plain = parameters.iter().chain(&results).all(|signature| signature.layout.is_none());
    let at_hand = plain && device.shares_memory();
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
    Ok(Arc::new(Executable {
        trace: Trace::new(&name),
        name,
        fingerprint: fingerprint(&device, options_bytes, bytes, place)?,
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
            .map(|(_, array)| array.buffer_slice())
            .collect::<Result<_, mlx::Error>>()?,
        blocks: plan.blocks(),
        plan,
        native: native.filter(|native| at_hand && native.is_short()),
        patience: Patience::default(),
        deleted: AtomicBool::new(false),
    }))
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
fn fingerprint(device: &Device, options: &[u8], program: &[u8], place: Place) -> Result<String, Error> {
    let compiler = format!(
        "{}; {}; {:?}; reader: {}; passes: {:?}; place: {:?}",
        platform_version(),
        device.kind(),
        device.stream().capabilities(),
        reader::name(),
        settings::passes()?,
        place,
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
        let print = |options: &[u8], program: &[u8]| {
            fingerprint(device, options, program, Place::Auto).expect("settings are right")
        };
        assert_eq!(print(b"a", b"bc"), print(b"a", b"bc"));
        assert_ne!(print(b"a", b"bc"), print(b"ab", b"c"));
        assert_ne!(print(b"a", b"bc"), print(b"", b"bc"));
        assert_ne!(print(b"a", b"bc"), print(b"a", b"bd"));
        assert_ne!(fnv1a(&[b"jax-mps 1", b"p"]), fnv1a(&[b"jax-mps 2", b"p"]));
    }
}
