//! Topologies without a client, and compilation for them.

use std::ffi::c_char;
use std::ptr;

use pjrt_sys::*;

use super::super::abi::*;
use super::{Client, Failure, Loaded, call, owned, zeroed};
use crate::runtime::Code;

const F32: PJRT_Buffer_Type = 11;
/// tensor<4xf32> -> tensor<4xf32>: x + 1.
const ONE_OP: &[u8] = include_bytes!("../../../tests/data/stablehlo-1.13/one_op.mlirbc");

/// A topology that the caller owns.
struct Topology(*mut PJRT_TopologyDescription);

impl Topology {
    fn create(name: &str, option: &PJRT_NamedValue) -> Result<Self, Failure> {
        let args = call!(
            PJRT_TopologyDescription_Create,
            PJRT_TopologyDescription_Create_Args {
                topology_name: name.as_ptr().cast(),
                topology_name_size: name.len(),
                create_options: ptr::from_ref(option),
                num_options: 1,
            }
        )?;
        Ok(Self(args.topology))
    }

    fn cpu() -> Self {
        Self::create("", &super::super::named_value::string(c"device", c"cpu")).unwrap()
    }

    fn deserialize(bytes: &[u8]) -> Result<Self, Failure> {
        let args = call!(
            PJRT_TopologyDescription_Deserialize,
            PJRT_TopologyDescription_Deserialize_Args {
                serialized_topology: bytes.as_ptr().cast(),
                serialized_topology_size: bytes.len(),
            }
        )?;
        Ok(Self(args.topology))
    }

    fn serialized(&self) -> String {
        let args =
            call!(PJRT_TopologyDescription_Serialize, PJRT_TopologyDescription_Serialize_Args { topology: self.0 });
        let args = args.unwrap();
        let text = owned(args.serialized_bytes, args.serialized_bytes_size);
        // SAFETY: the deleter takes what came with it, once.
        unsafe { args.serialized_topology_deleter.unwrap()(args.serialized_topology) };
        text
    }

    fn kind(&self) -> String {
        let args = call!(
            PJRT_TopologyDescription_GetDeviceDescriptions,
            PJRT_TopologyDescription_GetDeviceDescriptions_Args { topology: self.0 }
        );
        let args = args.unwrap();
        assert_eq!(args.num_descriptions, 1);
        // SAFETY: there is one.
        let device_description = unsafe { *args.descriptions };
        let kind = call!(
            PJRT_DeviceDescription_Kind,
            PJRT_DeviceDescription_Kind_Args { device_description: device_description }
        );
        let kind = kind.unwrap();
        owned(kind.device_kind, kind.device_kind_size)
    }

    fn fingerprint(&self) -> u64 {
        let args =
            call!(PJRT_TopologyDescription_Fingerprint, PJRT_TopologyDescription_Fingerprint_Args { topology: self.0 });
        args.unwrap().fingerprint
    }

    fn compile(&self, program: &[u8], format: &str) -> Result<Executable, Failure> {
        let mut code = zeroed::<PJRT_Program>(PJRT_Program::STRUCT_SIZE);
        code.code = program.as_ptr().cast_mut().cast();
        code.code_size = program.len();
        code.format = format.as_ptr().cast();
        code.format_size = format.len();
        let args = call!(PJRT_Compile, PJRT_Compile_Args { topology: self.0, program: &raw const code })?;
        Ok(Executable(args.executable))
    }
}

impl Drop for Topology {
    fn drop(&mut self) {
        call!(PJRT_TopologyDescription_Destroy, PJRT_TopologyDescription_Destroy_Args { topology: self.0 }).unwrap();
    }
}

/// A program that is not loaded, destroyed in the end.
struct Executable(*mut PJRT_Executable);

impl Drop for Executable {
    fn drop(&mut self) {
        call!(PJRT_Executable_Destroy, PJRT_Executable_Destroy_Args { executable: self.0 }).unwrap();
    }
}

#[test]
fn topologies_have_the_name_of_the_device_kind() {
    let kind = Topology::cpu().kind();
    assert!(kind.starts_with("MLX CPU"), "{kind}");
    let device = super::super::named_value::string(c"device", c"cpu");
    assert_eq!(Topology::create(&kind, &device).unwrap().kind(), kind);
    let failure = Topology::create("TPU v9", &device).map(drop).unwrap_err();
    assert!(failure.is(Code::InvalidArgument) && failure.message.contains("TPU v9"), "{failure:?}");
    let unknown = super::super::named_value::string(c"chips", c"4");
    assert!(Topology::create("", &unknown).map(drop).unwrap_err().is(Code::InvalidArgument));
}

#[test]
fn topologies_come_back_from_bytes() {
    let topology = Topology::cpu();
    let text = topology.serialized();
    let again = Topology::deserialize(text.as_bytes()).unwrap();
    assert_eq!((again.kind(), again.serialized()), (topology.kind(), text.clone()));
    assert_eq!(again.fingerprint(), topology.fingerprint());
    let client = Client::new();
    let args = call!(PJRT_Client_TopologyDescription, PJRT_Client_TopologyDescription_Args { client: client.0 });
    // Destroying the topology of a client is allowed, and does nothing.
    assert_eq!(Topology(args.unwrap().topology).serialized(), text);
    assert_eq!(client.buffer(F32, &[1], &[1_f32]).read::<f32>().unwrap(), [1.]);
    for (bytes, code) in [
        ("", Code::InvalidArgument),
        ("cuda; 1; NVIDIA", Code::InvalidArgument),
        (&format!("{text}; more"), Code::InvalidArgument),
        (&text.replace("MLX CPU", "Apple M0"), Code::NotFound),
        (&text.replace("jax-mps", "jax-mps 0.0"), Code::FailedPrecondition),
    ] {
        let failure = Topology::deserialize(bytes.as_bytes()).map(drop).unwrap_err();
        assert!(failure.is(code), "{bytes}: {failure:?}");
    }
}

#[test]
fn a_target_config_is_a_topology() {
    let topology = Topology::cpu();
    let args =
        call!(PJRT_TopologyDescription_Attributes, PJRT_TopologyDescription_Attributes_Args { topology: topology.0 });
    let args = args.unwrap();
    assert_eq!(args.num_attributes, 1);
    // SAFETY: there is one, a text.
    let (name, text) = unsafe {
        let attribute = &*args.attributes;
        (
            owned(attribute.name, attribute.name_size),
            owned(attribute.__bindgen_anon_1.string_value, attribute.value_size),
        )
    };
    assert_eq!((name.as_str(), &text), ("target_config", &topology.serialized()));
    let option = super::super::named_value::text_of(c"target_config", &text);
    assert_eq!(Topology::create("", &option).unwrap().serialized(), text);
    let one = super::super::named_value::string(c"topology", c"1x1x1");
    assert!(Topology::create("", &one).is_ok());
    for option in [
        super::super::named_value::string(c"topology", c"1x2x1"),
        super::super::named_value::string(c"target_config", c"sm_90"),
        super::super::named_value::float(c"target_config", 1.),
    ] {
        assert!(Topology::create("", &option).map(drop).unwrap_err().is(Code::InvalidArgument));
    }
}

#[test]
fn programs_for_a_topology_run_on_a_client() {
    let executable = Topology::cpu().compile(ONE_OP, "mlir").unwrap();
    let client = Client::new();
    let loaded = call!(PJRT_Client_Load, PJRT_Client_Load_Args { client: client.0, executable: executable.0 });
    let loaded = Loaded(loaded.unwrap().loaded_executable);
    let written = call!(PJRT_Executable_Serialize, PJRT_Executable_Serialize_Args { executable: executable.0 });
    let written = written.unwrap();
    let bytes: *const c_char = written.serialized_bytes;
    let read = call!(
        PJRT_Executable_DeserializeAndLoad,
        PJRT_Executable_DeserializeAndLoad_Args {
            client: client.0,
            serialized_executable: bytes,
            serialized_executable_size: written.serialized_bytes_size,
        }
    );
    // SAFETY: the deleter takes what came with it, once.
    unsafe { written.serialized_executable_deleter.unwrap()(written.serialized_executable) };
    let read = Loaded(read.unwrap().loaded_executable);
    let argument = client.buffer(F32, &[4], &[1_f32, 2., 3., 4.]);
    for program in [loaded, read] {
        let result = super::executables::run(&program, &[argument.0], &[]).unwrap();
        assert_eq!(result.read::<f32>().unwrap(), [2., 3., 4., 5.]);
    }
}

#[test]
fn bad_programs_for_a_topology_are_errors() {
    let topology = Topology::cpu();
    assert!(topology.compile(ONE_OP, "hlo").map(drop).unwrap_err().is(Code::Unimplemented));
    assert!(topology.compile(b"no program", "mlir").map(drop).unwrap_err().is(Code::InvalidArgument));
}
