//! Layouts other than row-major: of buffers and of programs.

use std::ptr;

use pjrt_sys::*;

use super::super::abi::*;
use super::super::extensions::layouts::*;
use super::super::layout::to_c;
use super::super::memory_layout::MemoryLayout;
use super::{Buffer, Client, Failure, api, call, destroy_event, outcome, owned, zeroed};
use crate::runtime::{Code, Layout};

const F32: PJRT_Buffer_Type = 11;
const S32: PJRT_Buffer_Type = 4;
const S4: PJRT_Buffer_Type = 21;
/// (x: tensor<2x3xf32> of layout {0,1}, y: tensor<2x3xf32>, donated) -> x + y of {0,1}, transpose(x), x and y of {0,1}.
const LAYOUTS: &[u8] = include_bytes!("../../../tests/data/pjrt/layouts.mlirbc");
/// An argument of layout {1,0:T(8,128)}.
const TILES: &[u8] = include_bytes!("../../../tests/data/pjrt/tiles.mlirbc");

/// A buffer made of row-major data, in the layout of that order.
fn buffer<T>(
    client: &Client,
    type_: PJRT_Buffer_Type,
    dims: &[i64],
    data: &[T],
    order: &[i64],
) -> Result<Buffer, Failure> {
    let layout = Layout::new(order, dims.len()).unwrap();
    let mut layout = to_c(layout.as_ref(), dims.len()).unwrap();
    let args = call!(
        PJRT_Client_BufferFromHostBuffer,
        PJRT_Client_BufferFromHostBuffer_Args {
            client: client.0,
            data: data.as_ptr().cast(),
            type_: type_,
            dims: dims.as_ptr(),
            num_dims: dims.len(),
            device_layout: &raw mut layout,
            memory: client.memories()[0],
        }
    )?;
    destroy_event(args.done_with_host_buffer);
    Ok(Buffer(args.buffer))
}

fn row_major<T: Copy + Default>(buffer: &Buffer) -> Vec<T> {
    let mut layout = to_c(None, buffer.dims().len()).unwrap();
    buffer.read_in(&raw mut layout).unwrap()
}

fn order(buffer: &Buffer) -> Vec<i64> {
    let got = call!(PJRT_Buffer_GetMemoryLayout, PJRT_Buffer_GetMemoryLayout_Args { buffer: buffer.0 }).unwrap();
    // SAFETY: the plugin's layouts are tiled; the order belongs to the buffer.
    unsafe {
        let tiled = got.layout.__bindgen_anon_1.tiled;
        super::super::call::slice(tiled.minor_to_major, tiled.minor_to_major_size).to_vec()
    }
}

fn extension() -> &'static LayoutsExtension {
    // SAFETY: the second extension is the one of layouts.
    unsafe { &*(*api().minor_54.extension_start).next.cast::<LayoutsExtension>() }
}

fn text(layout: *mut MemoryLayout) -> String {
    let mut args =
        zeroed::<PJRT_Layouts_MemoryLayout_Serialize_Args>(PJRT_Layouts_MemoryLayout_Serialize_Args::STRUCT_SIZE);
    args.layout = layout;
    // SAFETY: the structure is whole.
    outcome(unsafe { extension().memory_layout_serialize.unwrap()(&raw mut args) }).unwrap();
    owned(args.serialized_bytes, args.serialized_bytes_size)
}

fn is_on_cpu(buffer: &Buffer) -> bool {
    call!(PJRT_Buffer_IsOnCpu, PJRT_Buffer_IsOnCpu_Args { buffer: buffer.0 }).unwrap().is_on_cpu
}

#[test]
fn buffers_lie_as_asked_for() {
    let client = Client::new();
    let data = [1_i32, 2, 3, 4, 5, 6];
    let transposed = buffer(&client, S32, &[2, 3], &data, &[0, 1]).unwrap();
    assert_eq!(transposed.dims(), [2, 3]);
    assert_eq!(order(&transposed), [0, 1]);
    let physical = [1, 4, 2, 5, 3, 6];
    assert_eq!(transposed.read::<i32>().unwrap(), physical, "without a layout the host gets the buffer's own");
    assert_eq!(row_major::<i32>(&transposed), data);
    let mut raw = [0_i32; 6];
    let args = call!(
        PJRT_Buffer_CopyRawToHost,
        PJRT_Buffer_CopyRawToHost_Args { buffer: transposed.0, dst: raw.as_mut_ptr().cast(), transfer_size: 24 }
    );
    destroy_event(args.unwrap().event);
    assert_eq!(raw, physical);
    let pointer = call!(PJRT_Buffer_UnsafePointer, PJRT_Buffer_UnsafePointer_Args { buffer: transposed.0 }).unwrap();
    // SAFETY: the buffer lives, in the host's memory.
    let memory = unsafe { ptr::with_exposed_provenance::<[i32; 6]>(pointer.buffer_pointer).read() };
    assert_eq!(memory, physical);
    assert!(!is_on_cpu(&transposed), "jaxlib would read it as row-major");
    let plain = buffer(&client, S32, &[2, 3], &data, &[1, 0]).unwrap();
    assert!(is_on_cpu(&plain));
    assert_eq!(order(&plain), [1, 0]);
    assert_eq!(plain.read::<i32>().unwrap(), data);
    let size = call!(PJRT_Buffer_OnDeviceSizeInBytes, PJRT_Buffer_OnDeviceSizeInBytes_Args { buffer: transposed.0 });
    assert_eq!(size.unwrap().on_device_size_in_bytes, 24);
}

#[test]
fn every_order_and_shape_comes_back() {
    let client = Client::new();
    let data: Vec<i32> = (0..24).collect();
    for order_of_three in [[2, 1, 0], [1, 2, 0], [2, 0, 1], [0, 2, 1], [1, 0, 2], [0, 1, 2]] {
        for dims in [[2, 3, 4], [1, 4, 6], [24, 1, 1]] {
            let buffer = buffer(&client, S32, &dims, &data, &order_of_three).unwrap();
            assert_eq!(order(&buffer), order_of_three);
            assert_eq!(row_major::<i32>(&buffer), data, "{order_of_three:?} {dims:?}");
        }
        let empty = buffer::<i32>(&client, S32, &[2, 0, 3], &[], &order_of_three).unwrap();
        assert_eq!((order(&empty), row_major::<i32>(&empty)), (order_of_three.to_vec(), Vec::new()));
    }
    let small = buffer(&client, S4, &[2, 2], &[1_i8, 2, 3, -4], &[0, 1]).unwrap();
    assert_eq!(row_major::<i8>(&small).iter().map(|byte| byte & 15).collect::<Vec<_>>(), [1, 2, 3, 12]);
    assert_eq!(order(&buffer(&client, F32, &[], &[1_f32], &[]).unwrap()), []);
    assert!(buffer(&client, F32, &[2], &[1_f32, 2.], &[0]).is_ok());
}

#[test]
fn copies_keep_the_layout() {
    let client = Client::new();
    let transposed = buffer(&client, S32, &[2, 3], &[1_i32, 2, 3, 4, 5, 6], &[0, 1]).unwrap();
    let args = call!(
        PJRT_Buffer_CopyToMemory,
        PJRT_Buffer_CopyToMemory_Args { buffer: transposed.0, dst_memory: client.memories()[1] }
    );
    let copy = Buffer(args.unwrap().dst_buffer);
    drop(transposed);
    assert_eq!(order(&copy), [0, 1]);
    assert_eq!(row_major::<i32>(&copy), [1, 2, 3, 4, 5, 6]);
}

/// Runs [`LAYOUTS`].
fn run(loaded: &super::Loaded, arguments: [*mut PJRT_Buffer; 2]) -> Result<[Buffer; 4], Failure> {
    let arguments_of_device = arguments.as_ptr();
    let mut outputs: [*mut PJRT_Buffer; 4] = [ptr::null_mut(); 4];
    let outputs_of_device = outputs.as_mut_ptr();
    call!(
        PJRT_LoadedExecutable_Execute,
        PJRT_LoadedExecutable_Execute_Args {
            executable: loaded.0,
            argument_lists: &raw const arguments_of_device,
            num_devices: 1,
            num_args: 2,
            output_lists: &raw const outputs_of_device,
        }
    )?;
    Ok(outputs.map(Buffer))
}

#[test]
fn programs_take_and_give_their_layouts() {
    let client = Client::new();
    let loaded = client.compile(LAYOUTS, &[], "mlir").unwrap();
    let x = buffer(&client, F32, &[2, 3], &[1_f32, 2., 3., 4., 5., 6.], &[0, 1]).unwrap();
    let y = client.buffer(F32, &[2, 3], &[10_f32, 20., 30., 40., 50., 60.]);
    let results = run(&loaded, [x.0, y.0]).unwrap();
    assert!(y.is_deleted() && !x.is_deleted());
    assert_eq!(results.each_ref().map(order), [[0, 1], [1, 0], [0, 1], [0, 1]]);
    let [sum, transposed, same_x, same_y] = results.each_ref().map(row_major::<f32>);
    assert_eq!(sum, [11., 22., 33., 44., 55., 66.]);
    assert_eq!(transposed, [1., 4., 2., 5., 3., 6.]);
    assert_eq!(same_x, [1., 2., 3., 4., 5., 6.]);
    assert_eq!(same_y, [10., 20., 30., 40., 50., 60.]);
    assert_eq!(results[0].read::<f32>().unwrap(), [11., 44., 22., 55., 33., 66.]);
    let pointer = |buffer: &Buffer| {
        call!(PJRT_Buffer_UnsafePointer, PJRT_Buffer_UnsafePointer_Args { buffer: buffer.0 }).unwrap().buffer_pointer
    };
    let mut pointers: Vec<usize> = results.iter().chain([&x]).map(pointer).collect();
    pointers.sort_unstable();
    pointers.dedup();
    assert_eq!(pointers.len(), 5, "every buffer has memory of its own");
}

#[test]
fn programs_tell_their_layouts() {
    let client = Client::new();
    let loaded = client.compile(LAYOUTS, &[], "mlir").unwrap();
    let args = call!(
        PJRT_LoadedExecutable_GetExecutable,
        PJRT_LoadedExecutable_GetExecutable_Args { loaded_executable: loaded.0 }
    );
    let executable = args.unwrap().executable;
    let mut outputs = zeroed::<PJRT_Layouts_PJRT_Executable_GetOutputLayouts_Args>(
        PJRT_Layouts_PJRT_Executable_GetOutputLayouts_Args::STRUCT_SIZE,
    );
    outputs.executable = executable;
    let mut parameters = zeroed::<PJRT_Layouts_PJRT_Executable_GetParameterLayouts_Args>(
        PJRT_Layouts_PJRT_Executable_GetParameterLayouts_Args::STRUCT_SIZE,
    );
    parameters.executable = executable;
    // SAFETY: the structures are whole; the plugin tells how many layouts there are.
    let [outputs, parameters] = unsafe {
        outcome(extension().executable_get_output_layouts.unwrap()(&raw mut outputs)).unwrap();
        outcome(extension().executable_get_parameter_layouts.unwrap()(&raw mut parameters)).unwrap();
        [(outputs.layouts, outputs.num_outputs), (parameters.layouts, parameters.num_parameters)]
            .map(|(layouts, count)| super::super::call::slice(layouts, count))
            .map(|layouts| layouts.iter().map(|layout| text(*layout)).collect::<Vec<_>>())
    };
    assert_eq!(outputs, ["{0,1}", "{1,0}", "{0,1}", "{0,1}"]);
    assert_eq!(parameters, ["{0,1}", "{1,0}"]);
    call!(PJRT_Executable_Destroy, PJRT_Executable_Destroy_Args { executable: executable }).unwrap();
}

#[test]
fn arguments_of_another_layout_are_refused() {
    let client = Client::new();
    let loaded = client.compile(LAYOUTS, &[], "mlir").unwrap();
    let plain = client.buffer(F32, &[2, 3], &[0_f32; 6]);
    let transposed = buffer(&client, F32, &[2, 3], &[0_f32; 6], &[0, 1]).unwrap();
    for (arguments, index, expected, came) in [
        ([plain.0, plain.0], 0, "{0,1} expected", "{1,0} came"),
        ([transposed.0, transposed.0], 1, "{1,0} expected", "{0,1} came"),
    ] {
        let failure = run(&loaded, arguments).map(drop).unwrap_err();
        assert!(failure.is(Code::InvalidArgument), "{failure:?}");
        for words in [&format!("argument {index}"), expected, came] {
            assert!(failure.message.contains(words), "{failure:?}");
        }
    }
    assert!(!plain.is_deleted() && !transposed.is_deleted());
}

#[test]
fn tiles_are_not_implemented() {
    let client = Client::new();
    let failure = client.compile(TILES, &[], "mlir").map(drop).unwrap_err();
    assert!(failure.is(Code::Unimplemented) && failure.message.contains("{1,0:T(8,128)}"), "{failure:?}");
}
