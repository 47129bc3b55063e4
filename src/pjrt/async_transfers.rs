//! `PJRT_AsyncHostToDeviceTransferManager`: buffers that are there at once, and whose elements the caller brings in parts.

use std::ffi::c_int;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use pjrt_sys::PJRT_Device;

use super::abi::{
    PJRT_AsyncHostToDeviceTransferManager, PJRT_AsyncHostToDeviceTransferManager_AddMetadata_Args,
    PJRT_AsyncHostToDeviceTransferManager_BufferCount_Args, PJRT_AsyncHostToDeviceTransferManager_BufferSize_Args,
    PJRT_AsyncHostToDeviceTransferManager_Destroy_Args, PJRT_AsyncHostToDeviceTransferManager_Device_Args,
    PJRT_AsyncHostToDeviceTransferManager_RetrieveBuffer_Args,
    PJRT_AsyncHostToDeviceTransferManager_SetBufferError_Args, PJRT_AsyncHostToDeviceTransferManager_TransferData_Args,
    PJRT_AsyncHostToDeviceTransferManager_TransferLiteral_Args, PJRT_Client_CreateBuffersForAsyncHostToDevice_Args,
};
use super::buffer::Buffer;
use super::call::{Handle, Result, slice};
use super::client::Client;
use super::copy::{dense_bytes, same_places, strided};
use super::{error, event, layout, named_value, types};
use crate::runtime::{self, BufferPromise, Code, Error};

/// What a `PJRT_AsyncHostToDeviceTransferManager*` points to.
struct TransferManager {
    client: Arc<Client>,
    device: Device,
    buffers: Box<[Mutex<Target>]>,
}

/// The device of a manager.
struct Device(*mut PJRT_Device);

// SAFETY: the handle is to a device, which is made for sharing and which the manager's client owns.
unsafe impl Send for Device {}
// SAFETY: as above.
unsafe impl Sync for Device {}

/// One of the buffers.
struct Target {
    buffer: Arc<runtime::Buffer>,
    is_retrieved: bool,
    /// Bytes of all elements.
    size: usize,
    /// None when the elements have come, or will not.
    promise: Option<BufferPromise>,
    /// What has come; made by the first part.
    bytes: Vec<u8>,
}

// SAFETY: managers are given out as `TransferManager` only.
unsafe impl Handle for TransferManager {
    type Opaque = PJRT_AsyncHostToDeviceTransferManager;
    const NAME: &'static str = "PJRT_AsyncHostToDeviceTransferManager";
}

fn invalid(message: String) -> Error {
    Error::new(Code::InvalidArgument, message)
}

impl TransferManager {
    fn target(&self, index: c_int) -> Result<MutexGuard<'_, Target>> {
        let target = usize::try_from(index).ok().and_then(|index| self.buffers.get(index));
        let target = target.ok_or_else(|| invalid(format!("no buffer {index}; there are {}", self.buffers.len())))?;
        Ok(target.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Target {
    /// What the rest of the elements is owed with.
    fn promise(&mut self) -> Result<BufferPromise> {
        let done = || Error::new(Code::FailedPrecondition, "the buffer has all its elements, or an error");
        self.promise.take().ok_or_else(done)
    }

    /// Takes a part of the elements, in the layout of the buffer.
    fn add(&mut self, data: &[u8], offset: usize, is_last: bool) -> Result {
        if self.promise.is_none() {
            return self.promise().map(drop);
        }
        let end = offset.checked_add(data.len()).filter(|end| *end <= self.size).ok_or_else(|| {
            invalid(format!("a part of {} bytes at {offset} of a buffer of {} bytes", data.len(), self.size))
        })?;
        if is_last && data.len() == self.size {
            return self.promise()?.fulfil(data);
        }
        if self.bytes.is_empty() {
            self.bytes.try_reserve_exact(self.size).map_err(|_| {
                Error::new(Code::ResourceExhausted, format!("no memory for a buffer of {} bytes", self.size))
            })?;
            self.bytes.resize(self.size, 0);
        }
        self.bytes[offset..end].copy_from_slice(data);
        if is_last {
            let bytes = std::mem::take(&mut self.bytes);
            self.promise()?.fulfil(&bytes)?;
        }
        Ok(())
    }
}

entry! {
    /// Buffers of those types, sizes and layouts in a memory, and the object that takes their elements.
    PJRT_Client_CreateBuffersForAsyncHostToDevice(
        args: PJRT_Client_CreateBuffersForAsyncHostToDevice_Args, client: Arc<Client>
    ) {
        if args.memory.is_null() {
            return Err(invalid("PJRT_Memory is null".to_owned()));
        }
        // SAFETY: the memory is alive; the lists are the caller's.
        let ((device, memory), specs, layouts) = unsafe {
            (
                Client::place(std::ptr::null(), args.memory)?,
                slice(args.shape_specs, args.num_shape_specs),
                slice(args.device_layouts, args.num_device_layouts),
            )
        };
        if !layouts.is_empty() && layouts.len() != specs.len() {
            return Err(invalid(format!("{} layouts for {} buffers", layouts.len(), specs.len())));
        }
        let mut buffers = Vec::with_capacity(specs.len());
        for (index, spec) in specs.iter().enumerate() {
            let asked = layouts.get(index).copied().unwrap_or(std::ptr::null_mut());
            // SAFETY: the sizes are the caller's; the layout is null or valid during the call.
            let (ty, dims, size, layout) = unsafe {
                let (ty, dims, size) = types::shape(spec.element_type, spec.dims, spec.num_dims)?;
                (ty, dims, size, layout::on_device(asked, dims, types::element_bytes(ty))?)
            };
            let promise = BufferPromise::new(ty, dims, layout, device.runtime(), memory)?;
            let buffer = promise.buffer().clone();
            let target = Target { buffer, is_retrieved: false, size, promise: Some(promise), bytes: Vec::new() };
            buffers.push(Mutex::new(target));
        }
        let manager = TransferManager {
            device: Device(device.handle()), buffers: buffers.into(), client: client.clone()
        };
        args.transfer_manager = manager.give();
        Ok(())
    }
}

entry! {
    /// Frees a manager. Buffers that lack elements fail.
    PJRT_AsyncHostToDeviceTransferManager_Destroy(args: PJRT_AsyncHostToDeviceTransferManager_Destroy_Args) {
        // SAFETY: the caller owns the manager.
        unsafe { TransferManager::destroy(args.transfer_manager) };
        Ok(())
    }
}

entry! {
    /// Takes a part of the elements of a buffer, as they lie in its layout; they are copied at once. With the last part the
    /// buffer is ready; what no part has set is zero.
    PJRT_AsyncHostToDeviceTransferManager_TransferData(
        args: PJRT_AsyncHostToDeviceTransferManager_TransferData_Args, transfer_manager: TransferManager
    ) {
        let mut target = transfer_manager.target(args.buffer_index)?;
        let (Ok(offset), Ok(length)) = (usize::try_from(args.offset), usize::try_from(args.transfer_size)) else {
            return Err(invalid(format!("a part of {} bytes at {}", args.transfer_size, args.offset)));
        };
        if args.data.is_null() && length > 0 {
            return Err(invalid(format!("expected {length} bytes of data, came a null pointer")));
        }
        // SAFETY: the caller's bytes.
        let data = unsafe { slice(args.data.cast::<u8>(), length) };
        target.add(data, offset, args.is_last_transfer)?;
        args.done_with_h2d_transfer = event::ready();
        Ok(())
    }
}

entry! {
    /// Takes all elements of a buffer, dense in the layout that the caller names or else in row-major order; they are copied
    /// at once.
    PJRT_AsyncHostToDeviceTransferManager_TransferLiteral(
        args: PJRT_AsyncHostToDeviceTransferManager_TransferLiteral_Args, transfer_manager: TransferManager
    ) {
        let mut target = transfer_manager.target(args.buffer_index)?;
        // SAFETY: the caller's sizes.
        let (ty, dims, size) = unsafe {
            types::shape(args.shape_element_type, args.shape_dims, args.shape_num_dims)?
        };
        if ty != target.buffer.ty() || dims != target.buffer.dims() {
            let (own_ty, own_dims) = (target.buffer.ty(), target.buffer.dims());
            return Err(invalid(format!("a literal of {ty:?}{dims:?} for a buffer of {own_ty:?}{own_dims:?}")));
        }
        if args.data.is_null() && size > 0 {
            return Err(invalid(format!("expected {size} bytes of data, came a null pointer")));
        }
        let element_bytes = types::element_bytes(ty);
        // SAFETY: the layout is null or valid during the call.
        let asked = unsafe { layout::on_device(args.shape_layout, dims, element_bytes) }?;
        let from = layout::strides_of(asked.as_ref(), dims, element_bytes);
        let to = layout::strides_of(target.buffer.layout(), dims, element_bytes);
        // SAFETY: the caller's literal has all its elements.
        let data = unsafe { slice(args.data.cast::<u8>(), size) };
        if same_places(dims, &from, &to) {
            target.add(data, 0, true)?;
        } else {
            let mut ordered = vec![0; dense_bytes(dims, element_bytes)?];
            // SAFETY: both are dense arrays of these sizes.
            unsafe { strided(dims, element_bytes, (data.as_ptr(), &from), (ordered.as_mut_ptr(), &to)) }?;
            target.add(&ordered, 0, true)?;
        }
        args.done_with_h2d_transfer = event::ready();
        Ok(())
    }
}

entry! {
    /// One of the buffers, which the caller then owns; once each.
    PJRT_AsyncHostToDeviceTransferManager_RetrieveBuffer(
        args: PJRT_AsyncHostToDeviceTransferManager_RetrieveBuffer_Args, transfer_manager: TransferManager
    ) {
        let mut target = transfer_manager.target(args.buffer_index)?;
        if std::mem::replace(&mut target.is_retrieved, true) {
            let message = format!("buffer {} has been retrieved already", args.buffer_index);
            return Err(Error::new(Code::FailedPrecondition, message));
        }
        args.buffer_out = Buffer::new(&transfer_manager.client, target.buffer.clone()).give();
        Ok(())
    }
}

entry! {
    /// The device of the buffers.
    PJRT_AsyncHostToDeviceTransferManager_Device(
        args: PJRT_AsyncHostToDeviceTransferManager_Device_Args, transfer_manager: TransferManager
    ) {
        args.device_out = transfer_manager.device.0;
        Ok(())
    }
}

entry! {
    /// Number of the buffers.
    PJRT_AsyncHostToDeviceTransferManager_BufferCount(
        args: PJRT_AsyncHostToDeviceTransferManager_BufferCount_Args, transfer_manager: TransferManager
    ) {
        args.buffer_count = transfer_manager.buffers.len();
        Ok(())
    }
}

entry! {
    /// Bytes of one of the buffers.
    PJRT_AsyncHostToDeviceTransferManager_BufferSize(
        args: PJRT_AsyncHostToDeviceTransferManager_BufferSize_Args, transfer_manager: TransferManager
    ) {
        args.buffer_size = transfer_manager.target(args.buffer_index)?.size;
        Ok(())
    }
}

entry! {
    /// Fails one of the buffers.
    PJRT_AsyncHostToDeviceTransferManager_SetBufferError(
        args: PJRT_AsyncHostToDeviceTransferManager_SetBufferError_Args, transfer_manager: TransferManager
    ) {
        let mut target = transfer_manager.target(args.buffer_index)?;
        // SAFETY: the caller's message.
        let error = unsafe { error::from_caller(args.error_code, args.error_message, args.error_message_size) };
        target.promise()?.fail(error);
        Ok(())
    }
}

entry! {
    /// Remarks of the caller about the transfers, which mean nothing here.
    PJRT_AsyncHostToDeviceTransferManager_AddMetadata(
        args: PJRT_AsyncHostToDeviceTransferManager_AddMetadata_Args, transfer_manager: TransferManager
    ) {
        let _ = transfer_manager;
        // SAFETY: the caller passes that many.
        let remarks = unsafe { named_value::read(args.transfer_metadata, args.num_metadata) }?;
        tracing::debug!("remarks about transfers: {remarks:?}");
        Ok(())
    }
}
