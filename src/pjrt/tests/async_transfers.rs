//! Buffers whose elements come in parts, and buffers that stand for others.

use std::ffi::c_char;
use std::ptr;

use pjrt_sys::*;

use super::super::abi::*;
use super::super::layout;
use super::executables::run;
use super::{Buffer, Client, Failure, call, destroy_event, is_ready};
use crate::runtime::{Code, Layout};

const F32: PJRT_Buffer_Type = 11;
const S32: PJRT_Buffer_Type = 4;
/// tensor<4xf32> -> tensor<4xf32>: x + 1.
const ONE_OP: &[u8] = include_bytes!("../../../tests/data/stablehlo-1.13/one_op.mlirbc");

/// A manager, destroyed in the end.
struct Manager(*mut PJRT_AsyncHostToDeviceTransferManager);

impl Drop for Manager {
    fn drop(&mut self) {
        call!(
            PJRT_AsyncHostToDeviceTransferManager_Destroy,
            PJRT_AsyncHostToDeviceTransferManager_Destroy_Args { transfer_manager: self.0 }
        )
        .unwrap();
    }
}

impl Manager {
    fn new(client: &Client, shapes: &[(PJRT_Buffer_Type, &[i64])], layouts: &[*mut PJRT_Buffer_MemoryLayout]) -> Self {
        let specs: Vec<PJRT_ShapeSpec> = shapes
            .iter()
            .map(|(element_type, dims)| PJRT_ShapeSpec {
                struct_size: PJRT_ShapeSpec::STRUCT_SIZE,
                extension_start: ptr::null_mut(),
                dims: dims.as_ptr(),
                num_dims: dims.len(),
                element_type: *element_type,
            })
            .collect();
        let args = call!(
            PJRT_Client_CreateBuffersForAsyncHostToDevice,
            PJRT_Client_CreateBuffersForAsyncHostToDevice_Args {
                client: client.0,
                shape_specs: specs.as_ptr(),
                num_shape_specs: specs.len(),
                device_layouts: layouts.as_ptr(),
                num_device_layouts: layouts.len(),
                memory: client.memories()[0],
            }
        );
        Self(args.unwrap().transfer_manager)
    }

    fn retrieve(&self, index: i32) -> Result<Buffer, Failure> {
        let args = call!(
            PJRT_AsyncHostToDeviceTransferManager_RetrieveBuffer,
            PJRT_AsyncHostToDeviceTransferManager_RetrieveBuffer_Args { transfer_manager: self.0, buffer_index: index }
        );
        Ok(Buffer(args?.buffer_out))
    }

    fn transfer<T>(&self, index: i32, data: &[T], offset: i64, is_last: bool) -> Result<(), Failure> {
        let args = call!(
            PJRT_AsyncHostToDeviceTransferManager_TransferData,
            PJRT_AsyncHostToDeviceTransferManager_TransferData_Args {
                transfer_manager: self.0,
                buffer_index: index,
                data: data.as_ptr().cast(),
                offset: offset,
                transfer_size: i64::try_from(size_of_val(data)).unwrap(),
                is_last_transfer: is_last,
            }
        )?;
        assert!(is_ready(args.done_with_h2d_transfer));
        destroy_event(args.done_with_h2d_transfer);
        Ok(())
    }

    fn literal<T>(
        &self,
        index: i32,
        (element_type, dims): (PJRT_Buffer_Type, &[i64]),
        layout: *mut PJRT_Buffer_MemoryLayout,
        data: &[T],
    ) -> Result<(), Failure> {
        let args = call!(
            PJRT_AsyncHostToDeviceTransferManager_TransferLiteral,
            PJRT_AsyncHostToDeviceTransferManager_TransferLiteral_Args {
                transfer_manager: self.0,
                buffer_index: index,
                data: data.as_ptr().cast(),
                shape_dims: dims.as_ptr(),
                shape_num_dims: dims.len(),
                shape_element_type: element_type,
                shape_layout: layout,
            }
        )?;
        destroy_event(args.done_with_h2d_transfer);
        Ok(())
    }
}

fn is_there(buffer: &Buffer) -> bool {
    let args = call!(PJRT_Buffer_ReadyEvent, PJRT_Buffer_ReadyEvent_Args { buffer: buffer.0 }).unwrap();
    let ready = is_ready(args.event);
    destroy_event(args.event);
    ready
}

#[test]
fn elements_come_in_parts() {
    let client = Client::new();
    let manager = Manager::new(&client, &[(F32, &[4]), (S32, &[2, 2]), (F32, &[0])], &[]);
    let count = call!(
        PJRT_AsyncHostToDeviceTransferManager_BufferCount,
        PJRT_AsyncHostToDeviceTransferManager_BufferCount_Args { transfer_manager: manager.0 }
    );
    assert_eq!(count.unwrap().buffer_count, 3);
    let size = call!(
        PJRT_AsyncHostToDeviceTransferManager_BufferSize,
        PJRT_AsyncHostToDeviceTransferManager_BufferSize_Args { transfer_manager: manager.0, buffer_index: 1 }
    );
    assert_eq!(size.unwrap().buffer_size, 16);
    let device = call!(
        PJRT_AsyncHostToDeviceTransferManager_Device,
        PJRT_AsyncHostToDeviceTransferManager_Device_Args { transfer_manager: manager.0 }
    );
    assert_eq!(device.unwrap().device_out, client.device());
    call!(
        PJRT_AsyncHostToDeviceTransferManager_AddMetadata,
        PJRT_AsyncHostToDeviceTransferManager_AddMetadata_Args { transfer_manager: manager.0 }
    )
    .unwrap();
    let buffers: Vec<Buffer> = (0..3).map(|index| manager.retrieve(index).unwrap()).collect();
    assert_eq!(buffers[1].dims(), [2, 2]);
    // The second half first.
    manager.transfer(0, &[3_f32, 4.], 8, false).unwrap();
    assert!(!is_there(&buffers[0]));
    manager.transfer(0, &[1_f32, 2.], 0, true).unwrap();
    assert!(is_there(&buffers[0]));
    assert_eq!(buffers[0].read::<f32>().unwrap(), [1., 2., 3., 4.]);
    manager.transfer(1, &[5, 6, 7, 8], 0, true).unwrap();
    assert_eq!(buffers[1].read::<i32>().unwrap(), [5, 6, 7, 8]);
    manager.transfer::<f32>(2, &[], 0, true).unwrap();
    assert_eq!(buffers[2].read::<f32>().unwrap(), []);
    for (failure, code) in [
        (manager.transfer(0, &[1_f32], 0, true), Code::FailedPrecondition),
        (manager.transfer(3, &[1_f32], 0, true), Code::InvalidArgument),
        (manager.transfer(-1, &[1_f32], 0, true), Code::InvalidArgument),
        (manager.retrieve(0).map(drop), Code::FailedPrecondition),
        (manager.retrieve(3).map(drop), Code::InvalidArgument),
    ] {
        let failure = failure.unwrap_err();
        assert!(failure.is(code), "{failure:?}");
    }
}

#[test]
fn parts_stay_within_their_buffer() {
    let client = Client::new();
    let manager = Manager::new(&client, &[(F32, &[2])], &[]);
    let buffer = manager.retrieve(0).unwrap();
    for (data, offset) in [(&[1_f32, 2., 3.][..], 0), (&[1.], 8), (&[1.], i64::MAX), (&[1.], -4)] {
        assert!(manager.transfer(0, data, offset, true).unwrap_err().is(Code::InvalidArgument), "{data:?} at {offset}");
    }
    assert!(!is_there(&buffer));
    // What no part sets is zero.
    manager.transfer(0, &[9_f32], 4, true).unwrap();
    assert_eq!(buffer.read::<f32>().unwrap(), [0., 9.]);
}

#[test]
fn literals_come_in_their_layout() {
    let client = Client::new();
    let column_major = Layout::new(&[0, 1], 2).unwrap();
    let mut columns = layout::to_c(column_major.as_ref(), 2).unwrap();
    let shape: (PJRT_Buffer_Type, &[i64]) = (F32, &[2, 3]);
    let manager = Manager::new(&client, &[shape, shape, shape], &[ptr::null_mut(), &raw mut columns, ptr::null_mut()]);
    let rows = [1_f32, 2., 3., 4., 5., 6.];
    manager.literal(0, shape, &raw mut columns, &[1_f32, 4., 2., 5., 3., 6.]).unwrap();
    manager.literal(1, shape, ptr::null_mut(), &rows).unwrap();
    for index in 0..2 {
        let mut wanted = layout::to_c(None, 2).unwrap();
        assert_eq!(manager.retrieve(index).unwrap().read_in::<f32>(&raw mut wanted).unwrap(), rows, "buffer {index}");
    }
    for wrong in [(F32, &[3_i64, 2][..]), (S32, &[2, 3])] {
        assert!(manager.literal(2, wrong, ptr::null_mut(), &rows).unwrap_err().is(Code::InvalidArgument));
    }
}

#[test]
fn errors_of_transfers_are_those_of_the_buffers() {
    let client = Client::new();
    let manager = Manager::new(&client, &[(F32, &[4]), (F32, &[4])], &[]);
    let (failed, forgotten) = (manager.retrieve(0).unwrap(), manager.retrieve(1).unwrap());
    let message = "the wire broke";
    let fail = || {
        call!(
            PJRT_AsyncHostToDeviceTransferManager_SetBufferError,
            PJRT_AsyncHostToDeviceTransferManager_SetBufferError_Args {
                transfer_manager: manager.0,
                error_code: Code::DataLoss as PJRT_Error_Code,
                error_message: message.as_ptr().cast::<c_char>(),
                error_message_size: message.len(),
            }
        )
        .map(drop)
    };
    fail().unwrap();
    assert!(fail().unwrap_err().is(Code::FailedPrecondition));
    let failure = failed.read::<f32>().unwrap_err();
    assert!(failure.is(Code::DataLoss) && failure.message == message, "{failure:?}");
    drop(manager);
    assert!(forgotten.read::<f32>().unwrap_err().is(Code::Aborted));
    // A program that is given one of them has its error.
    let loaded = client.compile(ONE_OP, &[], "mlir").unwrap();
    let result = run(&loaded, &[failed.0], &[]).unwrap();
    assert!(result.read::<f32>().unwrap_err().is(Code::DataLoss));
}

/// A program may be called before the elements of its arguments are there.
#[test]
fn programs_wait_for_elements() {
    let client = Client::new();
    let loaded = client.compile(ONE_OP, &[], "mlir").unwrap();
    let manager = Manager::new(&client, &[(F32, &[4])], &[]);
    let argument = manager.retrieve(0).unwrap();
    let (alias, fulfillment) = alias(&client, F32, &[4]);
    let sum = run(&loaded, &[argument.0], &[]).unwrap();
    let twice = run(&loaded, &[alias.0], &[]).unwrap();
    fulfil(&client, fulfillment, sum.0, Ok(())).unwrap();
    assert!(!is_there(&twice));
    manager.transfer(0, &[1_f32, 2., 3., 4.], 0, true).unwrap();
    assert_eq!(sum.read::<f32>().unwrap(), [2., 3., 4., 5.]);
    assert_eq!(alias.read::<f32>().unwrap(), [2., 3., 4., 5.]);
    assert_eq!(twice.read::<f32>().unwrap(), [3., 4., 5., 6.]);
}

fn alias(
    client: &Client,
    element_type: PJRT_Buffer_Type,
    dims: &[i64],
) -> (Buffer, *mut PJRT_FulfillAliasBufferCallback) {
    let args = call!(
        PJRT_Client_CreateAliasBuffer,
        PJRT_Client_CreateAliasBuffer_Args {
            client: client.0,
            memory: client.memories()[0],
            shape_dims: dims.as_ptr(),
            shape_num_dims: dims.len(),
            shape_element_type: element_type,
        }
    );
    let args = args.unwrap();
    (Buffer(args.alias_buffer), args.fulfill_alias_buffer_cb)
}

fn fulfil(
    client: &Client,
    fulfillment: *mut PJRT_FulfillAliasBufferCallback,
    buffer: *mut PJRT_Buffer,
    status: Result<(), (Code, &str)>,
) -> Result<(), Failure> {
    let (code, message) = status.err().map_or((0, ""), |(code, message)| (code as PJRT_Error_Code, message));
    call!(
        PJRT_Client_FulfillAliasBuffer,
        PJRT_Client_FulfillAliasBuffer_Args {
            client: client.0,
            buffer: buffer,
            status_code: code,
            error_message: message.as_ptr().cast::<c_char>(),
            error_message_size: message.len(),
            fulfill_alias_buffer_cb: fulfillment,
        }
    )
    .map(drop)
}

#[test]
fn aliases_stand_for_buffers_or_errors() {
    let client = Client::new();
    let source = client.buffer(F32, &[2], &[1_f32, 2.]);
    let (good, fulfillment) = alias(&client, F32, &[2]);
    assert!(!is_there(&good));
    fulfil(&client, fulfillment, source.0, Ok(())).unwrap();
    source.delete();
    assert_eq!(good.read::<f32>().unwrap(), [1., 2.]);
    let (failed, fulfillment) = alias(&client, F32, &[2]);
    fulfil(&client, fulfillment, ptr::null_mut(), Err((Code::Unavailable, "gone"))).unwrap();
    assert!(failed.read::<f32>().unwrap_err().is(Code::Unavailable));
    let other = client.buffer(S32, &[2], &[1_i32, 2]);
    for wrong in [other.0, source.0, ptr::null_mut()] {
        let (unfit, fulfillment) = alias(&client, F32, &[2]);
        assert!(fulfil(&client, fulfillment, wrong, Ok(())).unwrap_err().is(Code::InvalidArgument));
        assert!(unfit.read::<f32>().unwrap_err().is(Code::InvalidArgument));
    }
    assert!(fulfil(&client, ptr::null_mut(), good.0, Ok(())).unwrap_err().is(Code::InvalidArgument));
}
