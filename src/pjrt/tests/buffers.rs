//! Buffers to the device and back.

use std::ptr;

use pjrt_sys::*;

use super::super::abi::*;
use super::super::layout;
use super::executables::run;
use super::{Buffer, Client, Failure, call, destroy_event, is_ready};
use crate::runtime::Code;

const F32: PJRT_Buffer_Type = 11;
const S32: PJRT_Buffer_Type = 4;

#[test]
fn every_type_comes_back() {
    let client = Client::new();
    // Number and bytes of an element; types of less than 8 bits take a byte.
    let types: &[(PJRT_Buffer_Type, usize)] = &[
        (1, 1),
        (2, 1),
        (3, 2),
        (4, 4),
        (5, 8),
        (6, 1),
        (7, 2),
        (8, 4),
        (9, 8),
        (10, 2),
        (11, 4),
        (12, 8),
        (13, 2),
        (14, 8),
        (15, 16),
        (16, 1),
        (17, 1),
        (18, 1),
        (19, 1),
        (20, 1),
        (21, 1),
        (22, 1),
        (24, 1),
        (25, 1),
        (26, 1),
        (27, 1),
        (28, 1),
        (29, 1),
        (32, 1),
        (33, 1),
    ];
    for (number, bytes) in types {
        let data: Vec<u8> = (0..6 * bytes).map(|index| u8::try_from(index % 2).unwrap()).collect();
        let buffer = match client.strided(*number, &[2, 3], data.as_ptr(), &[]) {
            Ok(buffer) => buffer,
            // MLX has no type to keep these in: refused, never changed.
            Err(failure) => {
                assert!(failure.is(Code::Unimplemented), "type {number}: {failure:?}");
                assert!(*number == 15, "type {number}: {failure:?}");
                continue;
            }
        };
        let args = call!(PJRT_Buffer_ElementType, PJRT_Buffer_ElementType_Args { buffer: buffer.0 }).unwrap();
        assert_eq!(args.type_, *number);
        assert_eq!(buffer.dims(), [2, 3]);
        assert_eq!(buffer.read::<u8>().unwrap(), data, "type {number}");
    }
}

/// (tensor<8192xf32>, donated, tensor<8192xf32>) -> tensor<8192xf32>: (x + y) * x.
const PAGES: &[u8] = include_bytes!("../../../tests/data/pjrt/pages.mlirbc");

/// Whole pages of a test.
struct Pages(*mut u8);

impl Pages {
    const BYTES: usize = 32 << 10;
    const LAYOUT: std::alloc::Layout = match std::alloc::Layout::from_size_align(Self::BYTES, 16 << 10) {
        Ok(layout) => layout,
        Err(_) => panic!("a power of two"),
    };

    fn filled(number: f32) -> Self {
        // SAFETY: the layout is not empty.
        let mut pages = Self(unsafe { std::alloc::alloc_zeroed(Self::LAYOUT) });
        pages.numbers().fill(number);
        pages
    }

    fn numbers(&mut self) -> &mut [f32] {
        // SAFETY: aligned memory of so many bytes, all of them set, and owned by this value.
        unsafe { std::slice::from_raw_parts_mut(self.0.cast::<f32>(), Self::BYTES / 4) }
    }

    /// A buffer of these pages, lent for its life, and the event of their return.
    fn lend(&self, client: &Client) -> (Buffer, *mut PJRT_Event) {
        let dims = [i64::try_from(Self::BYTES / 4).unwrap()];
        let args = call!(
            PJRT_Client_BufferFromHostBuffer,
            PJRT_Client_BufferFromHostBuffer_Args {
                client: client.0,
                data: self.0.cast_const().cast(),
                type_: F32,
                dims: dims.as_ptr(),
                num_dims: 1,
                host_buffer_semantics: PJRT_HostBufferSemantics_PJRT_HostBufferSemantics_kImmutableZeroCopy,
                memory: client.memories()[0],
            }
        )
        .unwrap();
        (Buffer(args.buffer), args.done_with_host_buffer)
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        // SAFETY: allocated with this layout; the tests drop it after all buffers.
        unsafe { std::alloc::dealloc(self.0, Self::LAYOUT) };
    }
}

/// Whole pages that the caller lends are copied, unless the user allows to read them in place
/// (`test_metal.py::test_lent_memory…`); the caller learns when they are done with, and what programs compute never lands
/// in them: neither where the buffer lives on, nor where it is donated, nor where it is deleted while the program has the
/// last reference.
#[test]
fn lent_memory_is_read_only_and_given_back() {
    let client = Client::new();
    let loaded = client.compile(PAGES, &[], "mlir").unwrap();
    let (mut threes, mut fives) = (Pages::filled(3.), Pages::filled(5.));
    let (x, x_returned) = threes.lend(&client);
    let (y, y_returned) = fives.lend(&client);
    let is = |buffer: &Buffer, expected: f32| buffer.read::<f32>().unwrap().iter().all(|&number| number == expected);
    assert!(is(&x, 3.) && is(&y, 5.));
    // Kept, then donated.
    let kept = run(&loaded, &[x.0, y.0], &[0]).unwrap();
    assert!(is(&kept, 24.) && is(&x, 3.) && is(&y, 5.));
    let donated = run(&loaded, &[x.0, y.0], &[]).unwrap();
    assert!(x.is_deleted());
    let chained = run(&loaded, &[donated.0, y.0], &[]).unwrap();
    y.delete();
    assert!(is(&chained, 29. * 24.));
    drop((x, y, kept, donated, chained));
    for returned in [x_returned, y_returned] {
        assert!(is_ready(returned), "nobody reads the memory any more");
        destroy_event(returned);
    }
    assert!(threes.numbers().iter().all(|&number| number == 3.));
    assert!(fives.numbers().iter().all(|&number| number == 5.));
    // Theirs again: what was made of them does not change with them.
    let (x, x_returned) = threes.lend(&client);
    let y = client.buffer(F32, &[8192], &vec![1_f32; 8192]);
    let result = run(&loaded, &[x.0, y.0], &[]).unwrap();
    assert!(is(&result, 12.));
    drop(x);
    assert!(is_ready(x_returned));
    destroy_event(x_returned);
    threes.numbers().fill(7.);
    assert!(is(&result, 12.));
}

#[test]
fn strides_are_followed() {
    let client = Client::new();
    let data: Vec<f32> = (0_u8..24).map(f32::from).collect();
    let read = |dims: &[i64], start: usize, strides: &[i64]| -> Vec<f32> {
        client.strided(F32, dims, &raw const data[start], strides).unwrap().read().unwrap()
    };
    assert_eq!(read(&[2, 3], 0, &[12, 4]), [0., 1., 2., 3., 4., 5.]);
    assert_eq!(read(&[3, 2], 0, &[4, 12]), [0., 3., 1., 4., 2., 5.]);
    assert_eq!(read(&[4], 6, &[-8]), [6., 4., 2., 0.]);
    assert_eq!(read(&[2, 3], 5, &[0, -4]), [5., 4., 3., 5., 4., 3.]);
    assert_eq!(read(&[2, 2, 2], 0, &[4, 8, 48]), [0., 12., 2., 14., 1., 13., 3., 15.]);
    assert_eq!(read(&[], 3, &[]), [3.]);
    assert_eq!(read(&[1, 1], 3, &[400, -400]), [3.]);
    let wrong = client.strided(F32, &[2, 3], data.as_ptr(), &[4]);
    assert!(wrong.unwrap_err().is(Code::InvalidArgument));
}

#[test]
fn empty_buffers_have_no_bytes() {
    let client = Client::new();
    let buffer = client.strided::<f32>(F32, &[3, 0], ptr::null(), &[0, 4]).unwrap();
    assert_eq!(buffer.dims(), [3, 0]);
    assert_eq!(buffer.read::<f32>().unwrap(), Vec::<f32>::new());
    let size = call!(PJRT_Buffer_OnDeviceSizeInBytes, PJRT_Buffer_OnDeviceSizeInBytes_Args { buffer: buffer.0 });
    assert_eq!(size.unwrap().on_device_size_in_bytes, 0);
}

#[test]
fn tokens_are_buffers() {
    let client = Client::new();
    let token = client.strided::<u8>(23, &[], ptr::null(), &[]).unwrap();
    let args = call!(PJRT_Buffer_ElementType, PJRT_Buffer_ElementType_Args { buffer: token.0 }).unwrap();
    assert_eq!(args.type_, 23);
    assert_eq!(token.read::<u8>().unwrap(), Vec::<u8>::new());
}

#[test]
fn bad_data_is_refused() {
    let client = Client::new();
    let code = |type_, dims: &[i64]| client.strided::<u8>(type_, dims, ptr::null(), &[]).unwrap_err();
    assert!(code(F32, &[2]).is(Code::InvalidArgument));
    assert!(code(F32, &[-1]).is(Code::InvalidArgument));
    assert!(code(F32, &[i64::MAX, 2]).is(Code::InvalidArgument));
    assert!(code(0, &[2]).is(Code::InvalidArgument));
    assert!(code(30, &[2]).is(Code::Unimplemented));
}

#[test]
fn host_layouts_are_honoured() {
    let client = Client::new();
    let buffer = client.buffer(S32, &[2, 3], &[1_i32, 2, 3, 4, 5, 6]);
    let order = [0_i64, 1];
    let mut column_major = layout::to_c(None, 2).unwrap();
    // As jaxlib leaves it.
    column_major.struct_size = 2;
    column_major.__bindgen_anon_1.tiled.minor_to_major = order.as_ptr();
    assert_eq!(buffer.read_in::<i32>(&raw mut column_major).unwrap(), [1, 4, 2, 5, 3, 6]);
    let mut row_major = layout::to_c(None, 2).unwrap();
    assert_eq!(buffer.read_in::<i32>(&raw mut row_major).unwrap(), [1, 2, 3, 4, 5, 6]);
    row_major.__bindgen_anon_1.tiled.num_tiles = 1;
    assert!(buffer.read_in::<i32>(&raw mut row_major).unwrap_err().is(Code::Unimplemented));
    let own = call!(PJRT_Buffer_GetMemoryLayout, PJRT_Buffer_GetMemoryLayout_Args { buffer: buffer.0 }).unwrap();
    // SAFETY: the plugin's layouts are tiled, of the rank of the buffer.
    let order = unsafe { std::slice::from_raw_parts(own.layout.__bindgen_anon_1.tiled.minor_to_major, 2) };
    assert_eq!(order, [1, 0]);
}

#[test]
fn small_destinations_are_refused() {
    let client = Client::new();
    let buffer = client.buffer(S32, &[2], &[1_i32, 2]);
    let mut element = 0_i32;
    let failure = call!(
        PJRT_Buffer_ToHostBuffer,
        PJRT_Buffer_ToHostBuffer_Args { src: buffer.0, dst: (&raw mut element).cast(), dst_size: 4 }
    );
    assert!(failure.map(drop).unwrap_err().is(Code::InvalidArgument));
    assert_eq!(element, 0);
}

#[test]
fn deleted_buffers_answer_what_they_must() {
    let client = Client::new();
    let buffer = client.buffer(S32, &[2], &[1_i32, 2]);
    let before = call!(PJRT_Buffer_ReadyEvent, PJRT_Buffer_ReadyEvent_Args { buffer: buffer.0 }).unwrap().event;
    assert!(!buffer.is_deleted());
    buffer.delete();
    buffer.delete();
    assert!(buffer.is_deleted());
    assert_eq!(buffer.dims(), [2]);
    for entry in [
        call!(PJRT_Buffer_ElementType, PJRT_Buffer_ElementType_Args { buffer: buffer.0 }).map(drop),
        call!(PJRT_Buffer_Device, PJRT_Buffer_Device_Args { buffer: buffer.0 }).map(drop),
        call!(PJRT_Buffer_Memory, PJRT_Buffer_Memory_Args { buffer: buffer.0 }).map(drop),
        call!(PJRT_Buffer_IsOnCpu, PJRT_Buffer_IsOnCpu_Args { buffer: buffer.0 }).map(drop),
        call!(PJRT_Event_Await, PJRT_Event_Await_Args { event: before }).map(drop),
    ] {
        entry.unwrap();
    }
    destroy_event(before);
    let after = call!(PJRT_Buffer_ReadyEvent, PJRT_Buffer_ReadyEvent_Args { buffer: buffer.0 }).unwrap().event;
    assert!(is_ready(after));
    assert!(call!(PJRT_Event_Error, PJRT_Event_Error_Args { event: after }).is_err());
    destroy_event(after);
    assert!(buffer.read::<i32>().unwrap_err().is(Code::InvalidArgument));
    let pointer = call!(PJRT_Buffer_UnsafePointer, PJRT_Buffer_UnsafePointer_Args { buffer: buffer.0 });
    assert!(pointer.map(drop).unwrap_err().is(Code::InvalidArgument));
    assert!(copy(&client, &buffer, 1).unwrap_err().is(Code::InvalidArgument));
}

fn copy(client: &Client, buffer: &Buffer, memory: usize) -> Result<Buffer, Failure> {
    let args = call!(
        PJRT_Buffer_CopyToMemory,
        PJRT_Buffer_CopyToMemory_Args { buffer: buffer.0, dst_memory: client.memories()[memory] }
    )?;
    Ok(Buffer(args.dst_buffer))
}

fn pointer(buffer: &Buffer) -> usize {
    let args = call!(PJRT_Buffer_UnsafePointer, PJRT_Buffer_UnsafePointer_Args { buffer: buffer.0 }).unwrap();
    args.buffer_pointer
}

#[test]
fn copies_have_memory_of_their_own() {
    let client = Client::new();
    let buffer = client.buffer(S32, &[2], &[1_i32, 2]);
    for memory in [0, 1, 2] {
        let copy = copy(&client, &buffer, memory).unwrap();
        let args = call!(PJRT_Buffer_Memory, PJRT_Buffer_Memory_Args { buffer: copy.0 }).unwrap();
        assert_eq!(args.memory, client.memories()[memory]);
        assert_ne!(pointer(&copy), pointer(&buffer));
        assert_eq!(copy.read::<i32>().unwrap(), [1, 2]);
    }
    let args = call!(
        PJRT_Buffer_CopyToDevice,
        PJRT_Buffer_CopyToDevice_Args { buffer: buffer.0, dst_device: client.device() }
    );
    let copy = Buffer(args.unwrap().dst_buffer);
    buffer.delete();
    assert_eq!(copy.read::<i32>().unwrap(), [1, 2]);
}

#[test]
fn views_outside_outlive_deletion() {
    let client = Client::new();
    let buffer = client.buffer(S32, &[2], &[1_i32, 2]);
    let on_cpu = call!(PJRT_Buffer_IsOnCpu, PJRT_Buffer_IsOnCpu_Args { buffer: buffer.0 }).unwrap().is_on_cpu;
    assert!(on_cpu, "the tests run on the CPU");
    let acquire = || {
        call!(
            PJRT_Buffer_IncreaseExternalReferenceCount,
            PJRT_Buffer_IncreaseExternalReferenceCount_Args { buffer: buffer.0 }
        )
        .map(drop)
    };
    let release = || {
        call!(
            PJRT_Buffer_DecreaseExternalReferenceCount,
            PJRT_Buffer_DecreaseExternalReferenceCount_Args { buffer: buffer.0 }
        )
        .map(drop)
    };
    assert!(release().is_err());
    acquire().unwrap();
    let view = call!(
        PJRT_Buffer_OpaqueDeviceMemoryDataPointer,
        PJRT_Buffer_OpaqueDeviceMemoryDataPointer_Args { buffer: buffer.0 }
    );
    let view = view.unwrap().device_memory_ptr.cast::<[i32; 2]>();
    buffer.delete();
    assert!(buffer.is_deleted());
    // SAFETY: the reference keeps the memory.
    assert_eq!(unsafe { *view }, [1, 2]);
    release().unwrap();
    assert!(release().is_err());
    assert!(acquire().is_err());
}

#[test]
fn raw_copies_stay_inside() {
    let client = Client::new();
    let buffer = client.buffer(S32, &[4], &[1_i32, 2, 3, 4]);
    let mut part = [0_i32; 2];
    let mut copy = |offset, size| {
        let args = call!(
            PJRT_Buffer_CopyRawToHost,
            PJRT_Buffer_CopyRawToHost_Args {
                buffer: buffer.0,
                dst: part.as_mut_ptr().cast(),
                offset: offset,
                transfer_size: size,
            }
        );
        args.map(|args| {
            call!(PJRT_Event_Await, PJRT_Event_Await_Args { event: args.event }).unwrap();
            destroy_event(args.event);
        })
    };
    copy(4, 8).unwrap();
    assert!(copy(12, 8).unwrap_err().is(Code::InvalidArgument));
    assert!(copy(-4, 8).unwrap_err().is(Code::InvalidArgument));
    assert_eq!(part, [2, 3]);
}

#[test]
fn raw_copies_wait_for_their_destination() {
    let client = Client::new();
    let buffer = client.buffer(S32, &[2], &[1_i32, 2]);
    let begin = || {
        let args = call!(
            PJRT_Buffer_CopyRawToHostFuture,
            PJRT_Buffer_CopyRawToHostFuture_Args { buffer: buffer.0, transfer_size: 8 }
        );
        args.unwrap()
    };
    let mut destination = [0_i32; 2];
    let future = begin();
    assert!(!is_ready(future.event));
    let mut ready = PJRT_Buffer_CopyRawToHostFuture_Callback_Args {
        struct_size: 48,
        callback_data: future.callback_data,
        error_code: 0,
        error_message: ptr::null(),
        error_message_size: 0,
        dst: destination.as_mut_ptr().cast(),
    };
    // SAFETY: the callback is called once, with its data.
    unsafe { future.future_ready_callback.unwrap()(&raw mut ready) };
    call!(PJRT_Event_Await, PJRT_Event_Await_Args { event: future.event }).unwrap();
    destroy_event(future.event);
    assert_eq!(destination, [1, 2]);

    let future = begin();
    ready.callback_data = future.callback_data;
    ready.error_code = 1;
    ready.error_message = c"stop".as_ptr();
    ready.error_message_size = 4;
    // SAFETY: as above.
    unsafe { future.future_ready_callback.unwrap()(&raw mut ready) };
    let failure = call!(PJRT_Event_Await, PJRT_Event_Await_Args { event: future.event }).map(drop).unwrap_err();
    assert_eq!(failure, Failure { code: 1, message: "stop".into() });
    destroy_event(future.event);
}

#[test]
fn buffers_of_nothing_and_of_errors() {
    let client = Client::new();
    let dims = [2_i64, 2];
    let args = call!(
        PJRT_Client_CreateUninitializedBuffer,
        PJRT_Client_CreateUninitializedBuffer_Args {
            client: client.0,
            shape_dims: dims.as_ptr(),
            shape_num_dims: 2,
            shape_element_type: F32,
            memory: client.memories()[0],
        }
    );
    let buffer = Buffer(args.unwrap().buffer);
    assert_eq!(buffer.read::<f32>().unwrap().len(), 4);

    let message = "it broke";
    let args = call!(
        PJRT_Client_CreateErrorBuffer,
        PJRT_Client_CreateErrorBuffer_Args {
            client: client.0,
            error_code: 13,
            error_message: message.as_ptr().cast(),
            error_message_size: message.len(),
            shape_dims: dims.as_ptr(),
            shape_num_dims: 2,
            shape_element_type: F32,
            memory: client.memories()[0],
        }
    );
    let broken = Buffer(args.unwrap().buffer);
    let event = call!(PJRT_Buffer_ReadyEvent, PJRT_Buffer_ReadyEvent_Args { buffer: broken.0 }).unwrap().event;
    let failure = call!(PJRT_Event_Await, PJRT_Event_Await_Args { event: event }).map(drop).unwrap_err();
    assert_eq!(failure, Failure { code: 13, message: message.into() });
    destroy_event(event);
    assert_eq!(broken.read::<f32>().unwrap_err().message, message);
}

#[test]
fn buffers_outlive_their_client() {
    let client = Client::new();
    let buffer = client.buffer(S32, &[1], &[7_i32]);
    drop(client);
    let device = call!(PJRT_Buffer_Device, PJRT_Buffer_Device_Args { buffer: buffer.0 }).unwrap().device;
    let args = call!(PJRT_Device_LocalHardwareId, PJRT_Device_LocalHardwareId_Args { device: device });
    assert_eq!(args.unwrap().local_hardware_id, 0);
    assert_eq!(buffer.read::<i32>().unwrap(), [7]);
}
