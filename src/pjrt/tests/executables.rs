//! Programs from bytes to results.

use std::ptr;

use pjrt_sys::*;
use prost::Message;

use super::super::abi::*;
use super::super::extensions::layouts::*;
use super::{Buffer, Client, Failure, Loaded, api, call, destroy_event, is_ready, outcome, owned, zeroed};
use crate::proto::DeviceAssignmentProto;
use crate::runtime::Code;

const F32: PJRT_Buffer_Type = 11;
const S32: PJRT_Buffer_Type = 4;
/// (x: tensor<3x2xf32>, rows: tensor<2x1xi32>) -> tensor<3x2xf32>: x + x^0.5, after the products of the rows that `rows`
/// names were added to these; as StableHLO 0.9.0 and as 1.13.0.
const OLDEST: &[u8] = include_bytes!("../../../tests/data/pjrt/older-0.9.0.mlirbc");
const SAME_AS_OLDEST: &[u8] = include_bytes!("../../../tests/data/pjrt/older.mlirbc");
/// tensor<4xf32> -> tensor<4xf32>: x + 1.
const ONE_OP: &[u8] = include_bytes!("../../../tests/data/stablehlo-1.13/one_op.mlirbc");
/// (tensor<3xf32>, donated, tensor<3xf32>) -> tensor<3xf32>: x + y.
const DONATE: &[u8] = include_bytes!("../../../tests/data/stablehlo-1.13/donate.mlirbc");

/// The description of a program, destroyed in the end.
struct Description(*mut PJRT_Executable);

impl Description {
    fn of(loaded: &Loaded) -> Self {
        let args = call!(
            PJRT_LoadedExecutable_GetExecutable,
            PJRT_LoadedExecutable_GetExecutable_Args { loaded_executable: loaded.0 }
        );
        Self(args.unwrap().executable)
    }
}

impl Drop for Description {
    fn drop(&mut self) {
        call!(PJRT_Executable_Destroy, PJRT_Executable_Destroy_Args { executable: self.0 }).unwrap();
    }
}

/// Runs a program with one result.
pub(super) fn run(loaded: &Loaded, arguments: &[*mut PJRT_Buffer], kept: &[i64]) -> Result<Buffer, Failure> {
    let mut options = zeroed::<PJRT_ExecuteOptions>(PJRT_ExecuteOptions::STRUCT_SIZE);
    options.non_donatable_input_indices = kept.as_ptr();
    options.num_non_donatable_input_indices = kept.len();
    let arguments_of_device = arguments.as_ptr();
    let mut output: *mut PJRT_Buffer = ptr::null_mut();
    let outputs_of_device = &raw mut output;
    let mut event: *mut PJRT_Event = ptr::null_mut();
    call!(
        PJRT_LoadedExecutable_Execute,
        PJRT_LoadedExecutable_Execute_Args {
            executable: loaded.0,
            options: &raw mut options,
            argument_lists: &raw const arguments_of_device,
            num_devices: 1,
            num_args: arguments.len(),
            output_lists: &raw const outputs_of_device,
            device_complete_events: &raw mut event,
        }
    )?;
    assert!(is_ready(event));
    destroy_event(event);
    Ok(Buffer(output))
}

#[test]
fn programs_run() {
    let client = Client::new();
    let loaded = client.compile(ONE_OP, &[], "mlir").unwrap();
    let argument = client.buffer(F32, &[4], &[1_f32, 2., 3., 4.]);
    let result = run(&loaded, &[argument.0], &[]).unwrap();
    assert_eq!(result.dims(), [4]);
    assert_eq!(result.read::<f32>().unwrap(), [2., 3., 4., 5.]);
    let again = run(&loaded, &[result.0], &[0]).unwrap();
    assert_eq!(again.read::<f32>().unwrap(), [3., 4., 5., 6.]);
}

/// What StableHLO 0.9.0 has for ops whose form has changed since gives what today's forms give.
#[test]
fn programs_of_the_oldest_version_run() {
    let client = Client::new();
    for program in [OLDEST, SAME_AS_OLDEST] {
        let loaded = client.compile(program, &[], "mlir").unwrap();
        let x = client.buffer(F32, &[3, 2], &[1_f32, 4., 9., 16., 0., 25.]);
        let rows = client.buffer(S32, &[2, 1], &[2, 0]);
        let result = run(&loaded, &[x.0, rows.0], &[]).unwrap();
        assert_eq!(result.read::<f32>().unwrap(), [102., 23., 12., 20., 625., 130.]);
    }
}

#[test]
fn donated_arguments_are_gone_unless_kept() {
    let client = Client::new();
    let loaded = client.compile(DONATE, &[], "mlir").unwrap();
    let x = client.buffer(F32, &[3], &[1_f32, 2., 3.]);
    let y = client.buffer(F32, &[3], &[10_f32, 20., 30.]);
    let kept = run(&loaded, &[x.0, y.0], &[0]).unwrap();
    assert!(!x.is_deleted());
    let result = run(&loaded, &[x.0, y.0], &[]).unwrap();
    assert!(x.is_deleted() && !y.is_deleted());
    for result in [kept, result] {
        assert_eq!(result.read::<f32>().unwrap(), [11., 22., 33.]);
    }
    let failure = run(&loaded, &[x.0, y.0], &[]).unwrap_err();
    assert!(failure.is(Code::InvalidArgument), "{failure:?}");
}

#[test]
fn wrong_calls_are_errors() {
    let client = Client::new();
    let loaded = client.compile(ONE_OP, &[], "mlir").unwrap();
    let good = client.buffer(F32, &[4], &[1_f32; 4]);
    let shape = client.buffer(F32, &[2, 2], &[1_f32; 4]);
    let element = client.buffer(4, &[4], &[1_i32; 4]);
    let deleted = client.buffer(F32, &[4], &[1_f32; 4]);
    deleted.delete();
    let other_client = Client::new();
    let elsewhere = other_client.buffer(F32, &[4], &[1_f32; 4]);
    for arguments in
        [&[][..], &[good.0, good.0], &[shape.0], &[element.0], &[deleted.0], &[elsewhere.0], &[ptr::null_mut()]]
    {
        let failure = run(&loaded, arguments, &[]).map(drop).unwrap_err();
        assert!(failure.is(Code::InvalidArgument), "{failure:?}");
    }
    assert!(run(&loaded, &[good.0], &[-1]).map(drop).unwrap_err().is(Code::InvalidArgument));
    for index in [1, 7] {
        let failure = run(&loaded, &[good.0], &[index]).map(drop).unwrap_err();
        assert!(failure.is(Code::InvalidArgument) && failure.message.contains("non-donatable"), "{failure:?}");
    }
}

#[test]
fn deleted_programs_do_not_run() {
    let client = Client::new();
    let loaded = client.compile(ONE_OP, &[], "mlir").unwrap();
    let deleted = || {
        let args =
            call!(PJRT_LoadedExecutable_IsDeleted, PJRT_LoadedExecutable_IsDeleted_Args { executable: loaded.0 });
        args.unwrap().is_deleted
    };
    assert!(!deleted());
    call!(PJRT_LoadedExecutable_Delete, PJRT_LoadedExecutable_Delete_Args { executable: loaded.0 }).unwrap();
    assert!(deleted());
    let argument = client.buffer(F32, &[4], &[1_f32; 4]);
    assert!(run(&loaded, &[argument.0], &[]).map(drop).unwrap_err().is(Code::InvalidArgument));
}

/// What clients other than JAX send.
#[test]
fn text_programs_run_where_mlir_is_there() {
    let client = Client::new();
    let text = "func.func @main(%x: tensor<4xf32>) -> tensor<4xf32> {\n  %y = stablehlo.add %x, %x : tensor<4xf32>\n  \
                return %y : tensor<4xf32>\n}";
    let compiled = client.compile(text.as_bytes(), &[], "mlir");
    if !cfg!(feature = "mlir") {
        assert!(compiled.map(drop).unwrap_err().is(Code::Unimplemented));
        return;
    }
    let argument = client.buffer(F32, &[4], &[1_f32, 2., 3., 4.]);
    let result = run(&compiled.unwrap(), &[argument.0], &[]).unwrap();
    assert_eq!(result.read::<f32>().unwrap(), [2., 4., 6., 8.]);
    let broken = text.replace("%x, %x", "%x, %z");
    assert!(client.compile(broken.as_bytes(), &[], "mlir").map(drop).unwrap_err().is(Code::InvalidArgument));
}

#[test]
fn bad_programs_are_errors() {
    let client = Client::new();
    let compile =
        |program: &[u8], options: &[u8], format| client.compile(program, options, format).map(drop).unwrap_err();
    for known_to_xla in ["hlo", "hlo_with_config"] {
        assert!(compile(ONE_OP, &[], known_to_xla).is(Code::Unimplemented));
    }
    for unknown in ["onnx", "MLIR", ""] {
        assert!(compile(ONE_OP, &[], unknown).is(Code::InvalidArgument), "{unknown:?}");
    }
    assert!(compile(&[], &[], "mlir").is(Code::InvalidArgument));
    assert!(compile(&ONE_OP[..ONE_OP.len() / 2], &[], "mlir").is(Code::InvalidArgument));
    assert!(compile(b"not a program", &[], "mlir").is(Code::InvalidArgument));
    assert!(compile(ONE_OP, &[0xff, 0xff], "mlir").is(Code::InvalidArgument));
}

#[test]
fn programs_describe_themselves() {
    let client = Client::new();
    let loaded = client.compile(ONE_OP, &[], "mlir").unwrap();
    let executable = Description::of(&loaded);
    let executable = executable.0;
    let name = call!(PJRT_Executable_Name, PJRT_Executable_Name_Args { executable: executable }).unwrap();
    assert_eq!(owned(name.executable_name, name.executable_name_size), "jit__lambda");
    let outputs = call!(PJRT_Executable_NumOutputs, PJRT_Executable_NumOutputs_Args { executable: executable });
    assert_eq!(outputs.unwrap().num_outputs, 1);
    let types =
        call!(PJRT_Executable_OutputElementTypes, PJRT_Executable_OutputElementTypes_Args { executable: executable });
    let types = types.unwrap();
    // SAFETY: there is one output.
    assert_eq!((types.num_output_types, unsafe { *types.output_types }), (1, F32));
    let dims =
        call!(PJRT_Executable_OutputDimensions, PJRT_Executable_OutputDimensions_Args { executable: executable });
    let dims = dims.unwrap();
    // SAFETY: there is one output, of one dimension.
    assert_eq!(unsafe { (*dims.dim_sizes, *dims.dims) }, (1, 4));
    let kinds = call!(
        PJRT_Executable_ParameterMemoryKinds,
        PJRT_Executable_ParameterMemoryKinds_Args { executable: executable }
    );
    let kinds = kinds.unwrap();
    assert_eq!(kinds.num_parameters, 1);
    // SAFETY: there is one parameter.
    assert_eq!(unsafe { owned(*kinds.memory_kinds, *kinds.memory_kind_sizes) }, "device");
    let cost = call!(PJRT_Executable_GetCostAnalysis, PJRT_Executable_GetCostAnalysis_Args { executable: executable });
    let cost = cost.unwrap();
    // SAFETY: the plugin tells how many there are.
    let names: Vec<String> = unsafe { std::slice::from_raw_parts(cost.properties, cost.num_properties) }
        .iter()
        .map(|property| owned(property.name, property.name_size))
        .collect();
    assert_eq!(names, ["flops", "bytes accessed", "transcendentals"]);
    let print = |executable| {
        let args = call!(PJRT_Executable_Fingerprint, PJRT_Executable_Fingerprint_Args { executable: executable });
        let args = args.unwrap();
        owned(args.executable_fingerprint, args.executable_fingerprint_size)
    };
    let other = Description::of(&client.compile(DONATE, &[], "mlir").unwrap());
    assert_ne!(print(executable), print(other.0));
}

#[test]
fn optimized_program_is_the_program() {
    let client = Client::new();
    let executable = Description::of(&client.compile(ONE_OP, &[], "mlir").unwrap());
    let mut program = zeroed::<PJRT_Program>(PJRT_Program::STRUCT_SIZE);
    let place = &raw mut program;
    let ask = |place: *mut PJRT_Program| {
        call!(
            PJRT_Executable_OptimizedProgram,
            PJRT_Executable_OptimizedProgram_Args { executable: executable.0, program: place }
        )
        .map(drop)
    };
    ask(place).unwrap();
    // SAFETY: `place` is the program above.
    let mut bytes = unsafe { vec![0_u8; (*place).code_size] };
    // SAFETY: as above.
    unsafe {
        assert_eq!(owned((*place).format, (*place).format_size), "mlir");
        (*place).code = bytes.as_mut_ptr().cast();
    }
    ask(place).unwrap();
    assert_eq!(bytes, ONE_OP);
    // SAFETY: as above.
    unsafe { (*place).code_size -= 1 };
    assert!(ask(place).unwrap_err().is(Code::InvalidArgument));
}

#[test]
fn devices_are_assigned() {
    let client = Client::new();
    let loaded = client.compile(ONE_OP, &[], "mlir").unwrap();
    let args = call!(
        PJRT_LoadedExecutable_GetDeviceAssignment,
        PJRT_LoadedExecutable_GetDeviceAssignment_Args { executable: loaded.0 }
    );
    let args = args.unwrap();
    // SAFETY: the plugin tells the length.
    let bytes = unsafe { std::slice::from_raw_parts(args.serialized_bytes.cast::<u8>(), args.serialized_bytes_size) };
    let assignment = DeviceAssignmentProto::decode(bytes).unwrap();
    assert_eq!((assignment.replica_count, assignment.computation_count), (1, 1));
    assert_eq!(assignment.computation_devices[0].replica_device_ids, [0]);
    // SAFETY: the deleter takes what came with it.
    unsafe { args.serialized_device_assignment_deleter.unwrap()(args.serialized_device_assignment) };
    let ids = call!(
        PJRT_LoadedExecutable_AddressableDeviceLogicalIds,
        PJRT_LoadedExecutable_AddressableDeviceLogicalIds_Args { executable: loaded.0 }
    );
    let ids = ids.unwrap();
    assert_eq!(ids.num_addressable_device_logical_ids, 1);
    // SAFETY: there is one.
    let first = unsafe { *ids.addressable_device_logical_ids };
    assert_eq!(first, PJRT_LogicalDeviceIds { replica: 0, partition: 0 });
}

/// Callers with an old header have shorter structures: nothing behind them may be touched.
#[test]
fn memory_stats_end_where_the_caller_says() {
    let client = Client::new();
    let executable = Description::of(&client.compile(ONE_OP, &[], "mlir").unwrap());
    for (size, written) in [(104, 0), (112, 1), (144, 5)] {
        let mut args = zeroed::<CompiledMemoryStatsArgs>(size);
        args.minor_54.executable = executable.0;
        let canary = -7;
        let longer = &raw mut args;
        // SAFETY: the fields behind the first 104 bytes are five integers.
        let tail = unsafe { std::slice::from_raw_parts_mut(&raw mut (*longer).peak_memory_in_bytes, 5) };
        tail.fill(canary);
        // SAFETY: the structure is at least as long as it says.
        outcome(unsafe { api().PJRT_Executable_GetCompiledMemoryStats.unwrap()(longer.cast()) }).unwrap();
        assert_eq!(tail.iter().filter(|value| **value != canary).count(), written, "size {size}");
        assert_eq!(args.minor_54.argument_size_in_bytes, 16);
        assert_eq!(args.minor_54.output_size_in_bytes, 16);
    }
}

#[test]
fn layouts_come_from_the_extension() {
    let client = Client::new();
    let executable = Description::of(&client.compile(ONE_OP, &[], "mlir").unwrap());
    // SAFETY: the second extension is the one of layouts.
    let extension = unsafe { &*(*api().minor_54.extension_start).next.cast::<LayoutsExtension>() };
    let mut args = zeroed::<PJRT_Layouts_PJRT_Executable_GetOutputLayouts_Args>(
        PJRT_Layouts_PJRT_Executable_GetOutputLayouts_Args::STRUCT_SIZE,
    );
    args.executable = executable.0;
    // SAFETY: the structures are whole.
    outcome(unsafe { extension.executable_get_output_layouts.unwrap()(&raw mut args) }).unwrap();
    assert_eq!(args.num_outputs, 1);
    let mut text =
        zeroed::<PJRT_Layouts_MemoryLayout_Serialize_Args>(PJRT_Layouts_MemoryLayout_Serialize_Args::STRUCT_SIZE);
    // SAFETY: there is one output.
    text.layout = unsafe { *args.layouts };
    // SAFETY: the structures are whole.
    outcome(unsafe { extension.memory_layout_serialize.unwrap()(&raw mut text) }).unwrap();
    assert_eq!(owned(text.serialized_bytes, text.serialized_bytes_size), "{0}");
    // SAFETY: the deleter takes what came with it.
    unsafe { text.serialized_layout_deleter.unwrap()(text.serialized_layout) };
}

#[test]
fn serialized_programs_run() {
    let client = Client::new();
    let executable = Description::of(&client.compile(ONE_OP, &[], "mlir").unwrap());
    let written = call!(PJRT_Executable_Serialize, PJRT_Executable_Serialize_Args { executable: executable.0 });
    let written = written.unwrap();
    let other = Client::new();
    let load = |bytes: *const std::ffi::c_char, size| {
        call!(
            PJRT_Executable_DeserializeAndLoad,
            PJRT_Executable_DeserializeAndLoad_Args {
                client: other.0,
                serialized_executable: bytes,
                serialized_executable_size: size,
            }
        )
        .map(|args| Loaded(args.loaded_executable))
    };
    let loaded = load(written.serialized_bytes, written.serialized_bytes_size).unwrap();
    assert!(load(written.serialized_bytes, 40).unwrap_err().is(Code::InvalidArgument));
    // SAFETY: the deleter takes what came with it, once.
    unsafe { written.serialized_executable_deleter.unwrap()(written.serialized_executable) };
    let argument = other.buffer(F32, &[4], &[1_f32, 2., 3., 4.]);
    assert_eq!(run(&loaded, &[argument.0], &[]).unwrap().read::<f32>().unwrap(), [2., 3., 4., 5.]);
}

#[test]
fn programs_are_loaded_again() {
    let client = Client::new();
    let executable = Description::of(&client.compile(ONE_OP, &[], "mlir").unwrap());
    let args = call!(PJRT_Client_Load, PJRT_Client_Load_Args { client: client.0, executable: executable.0 }).unwrap();
    let loaded = Loaded(args.loaded_executable);
    let argument = client.buffer(F32, &[4], &[1_f32; 4]);
    assert_eq!(run(&loaded, &[argument.0], &[]).unwrap().read::<f32>().unwrap(), [2.; 4]);
    let other = Client::new();
    let args = call!(PJRT_Client_Load, PJRT_Client_Load_Args { client: other.0, executable: executable.0 }).unwrap();
    let elsewhere = Loaded(args.loaded_executable);
    assert!(run(&elsewhere, &[argument.0], &[]).map(drop).unwrap_err().is(Code::InvalidArgument));
    let argument = other.buffer(F32, &[4], &[2_f32; 4]);
    assert_eq!(run(&elsewhere, &[argument.0], &[]).unwrap().read::<f32>().unwrap(), [3.; 4]);
}

#[test]
fn longer_options_of_later_headers_are_fine() {
    let client = Client::new();
    let loaded = client.compile(ONE_OP, &[], "mlir").unwrap();
    let argument = client.buffer(F32, &[4], &[0_f32; 4]);
    // What jaxlib 0.12 passes: 160 bytes.
    let mut options = [0_usize; 20];
    options[0] = size_of_val(&options);
    let arguments = [argument.0];
    let arguments_of_device = arguments.as_ptr();
    let mut output: *mut PJRT_Buffer = ptr::null_mut();
    let outputs_of_device = &raw mut output;
    call!(
        PJRT_LoadedExecutable_Execute,
        PJRT_LoadedExecutable_Execute_Args {
            executable: loaded.0,
            options: options.as_mut_ptr().cast(),
            argument_lists: &raw const arguments_of_device,
            num_devices: 1,
            num_args: 1,
            output_lists: &raw const outputs_of_device,
        }
    )
    .unwrap();
    assert_eq!(Buffer(output).read::<f32>().unwrap(), [1.; 4]);
}
