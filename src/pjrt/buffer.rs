//! `PJRT_Buffer`: an array on a device.

use std::ffi::c_void;
use std::ptr;
use std::sync::Arc;

use pjrt_sys::{
    PJRT_Buffer, PJRT_Buffer_CopyToDevice_Args, PJRT_Buffer_CopyToMemory_Args,
    PJRT_Buffer_DecreaseExternalReferenceCount_Args, PJRT_Buffer_Delete_Args, PJRT_Buffer_Destroy_Args,
    PJRT_Buffer_Device_Args, PJRT_Buffer_Dimensions_Args, PJRT_Buffer_DynamicDimensionIndices_Args,
    PJRT_Buffer_ElementType_Args, PJRT_Buffer_GetMemoryLayout_Args, PJRT_Buffer_IncreaseExternalReferenceCount_Args,
    PJRT_Buffer_IsDeleted_Args, PJRT_Buffer_IsOnCpu_Args, PJRT_Buffer_Memory_Args,
    PJRT_Buffer_OnDeviceSizeInBytes_Args, PJRT_Buffer_OpaqueDeviceMemoryDataPointer_Args, PJRT_Buffer_ReadyEvent_Args,
    PJRT_Buffer_UnpaddedDimensions_Args, PJRT_Buffer_UnsafePointer_Args, PJRT_Device, PJRT_Memory,
};

use super::abi::PJRT_Buffer_Bitcast_Args;
use super::call::{Handle, Rest, Result};
use super::client::Client;
use super::{event, layout, types};
use crate::runtime::{self, BufferType, Code, Completion, Error};

/// What a `PJRT_Buffer*` points to. What jaxlib asks on every call is found here without a search.
pub(super) struct Buffer {
    runtime: Arc<runtime::Buffer>,
    device: *mut PJRT_Device,
    memory: *mut PJRT_Memory,
    /// Owns the device and the memory.
    client: Arc<Client>,
}

// SAFETY: the handles are to a device and a memory, which are made for sharing and live as long as the client.
unsafe impl Send for Buffer {}
// SAFETY: as above.
unsafe impl Sync for Buffer {}

// SAFETY: buffers are given out as `Buffer` only.
unsafe impl Handle for Buffer {
    type Opaque = PJRT_Buffer;
    const NAME: &'static str = "PJRT_Buffer";
}

impl Buffer {
    /// Wraps a buffer of the client's runtime.
    pub(super) fn new(client: &Arc<Client>, runtime: Arc<runtime::Buffer>) -> Self {
        let device = client.device(runtime.device());
        Self { device: device.handle(), memory: device.memory(runtime.memory()), runtime, client: client.clone() }
    }

    /// The buffer of the runtime.
    pub(super) fn runtime(&self) -> &Arc<runtime::Buffer> {
        &self.runtime
    }

    /// The device.
    pub(super) fn device(&self) -> *mut PJRT_Device {
        self.device
    }

    /// The error of using the buffer after its deletion, if that is so.
    pub(super) fn require_alive(&self) -> Result {
        if self.runtime.is_deleted() {
            return Err(Error::new(Code::InvalidArgument, "the buffer has been deleted or donated"));
        }
        Ok(())
    }

    /// A copy in the memory that the caller names.
    ///
    /// # Safety
    /// Both are null or alive.
    unsafe fn copy(&self, device: *const PJRT_Device, memory: *const PJRT_Memory) -> Result<*mut PJRT_Buffer> {
        self.require_alive()?;
        // SAFETY: passed on to the caller.
        let (device, kind) = unsafe { Client::place(device, memory) }?;
        let copy = self.runtime.copy_to(device.runtime(), kind)?;
        Ok(Buffer::new(&self.client, copy).give())
    }
}

entry! {
    /// Frees a buffer.
    PJRT_Buffer_Destroy(args: PJRT_Buffer_Destroy_Args) {
        // SAFETY: the caller owns the buffer.
        unsafe { Buffer::destroy(args.buffer) };
        Ok(())
    }
}

entry! {
    /// Element type.
    PJRT_Buffer_ElementType(args: PJRT_Buffer_ElementType_Args, buffer: Buffer) {
        args.type_ = types::to_c(buffer.runtime.ty());
        Ok(())
    }
}

entry! {
    /// Sizes.
    PJRT_Buffer_Dimensions(args: PJRT_Buffer_Dimensions_Args, buffer: Buffer) {
        args.dims = buffer.runtime.dims().as_ptr();
        args.num_dims = buffer.runtime.dims().len();
        Ok(())
    }
}

entry! {
    /// Sizes: there is no padding.
    PJRT_Buffer_UnpaddedDimensions(args: PJRT_Buffer_UnpaddedDimensions_Args, buffer: Buffer) {
        args.unpadded_dims = buffer.runtime.dims().as_ptr();
        args.num_dims = buffer.runtime.dims().len();
        Ok(())
    }
}

entry! {
    /// No dimension is dynamic.
    PJRT_Buffer_DynamicDimensionIndices(args: PJRT_Buffer_DynamicDimensionIndices_Args, buffer: Buffer) {
        let _ = buffer;
        args.dynamic_dim_indices = ptr::null();
        args.num_dynamic_dims = 0;
        Ok(())
    }
}

entry! {
    /// The order of the dimensions in memory; it belongs to the buffer.
    PJRT_Buffer_GetMemoryLayout(args: PJRT_Buffer_GetMemoryLayout_Args, buffer: Buffer) {
        args.layout = layout::to_c(buffer.runtime.layout(), buffer.runtime.dims().len())?;
        Ok(())
    }
}

entry! {
    /// Bytes on the device.
    PJRT_Buffer_OnDeviceSizeInBytes(args: PJRT_Buffer_OnDeviceSizeInBytes_Args, buffer: Buffer) {
        args.on_device_size_in_bytes = buffer.runtime.size_in_bytes();
        Ok(())
    }
}

entry! {
    /// The device.
    PJRT_Buffer_Device(args: PJRT_Buffer_Device_Args, buffer: Buffer) {
        args.device = buffer.device;
        Ok(())
    }
}

entry! {
    /// The memory.
    PJRT_Buffer_Memory(args: PJRT_Buffer_Memory_Args, buffer: Buffer) {
        args.memory = buffer.memory;
        Ok(())
    }
}

entry! {
    /// Lets the elements go, after outside views of them have gone.
    PJRT_Buffer_Delete(args: PJRT_Buffer_Delete_Args, buffer: Buffer) {
        buffer.runtime.delete();
        Ok(())
    }
}

entry! {
    /// Whether the buffer was deleted or donated.
    PJRT_Buffer_IsDeleted(args: PJRT_Buffer_IsDeleted_Args, buffer: Buffer) {
        args.is_deleted = buffer.runtime.is_deleted();
        Ok(())
    }
}

entry! {
    /// A copy in the default memory of another device.
    PJRT_Buffer_CopyToDevice(args: PJRT_Buffer_CopyToDevice_Args, buffer: Buffer) {
        let _rest = Rest;
        // SAFETY: the caller's device is null or alive.
        args.dst_buffer = unsafe { buffer.copy(args.dst_device, ptr::null()) }?;
        Ok(())
    }
}

entry! {
    /// A copy in another memory.
    PJRT_Buffer_CopyToMemory(args: PJRT_Buffer_CopyToMemory_Args, buffer: Buffer) {
        let _rest = Rest;
        if args.dst_memory.is_null() {
            return Err(Error::new(Code::InvalidArgument, "PJRT_Memory is null"));
        }
        // SAFETY: the caller's memory is alive.
        args.dst_buffer = unsafe { buffer.copy(ptr::null(), args.dst_memory) }?;
        Ok(())
    }
}

entry! {
    /// The same bytes as elements of another type or of other sizes, in row-major order.
    PJRT_Buffer_Bitcast(args: PJRT_Buffer_Bitcast_Args, buffer: Buffer) {
        buffer.require_alive()?;
        // SAFETY: the sizes are the caller's, the layout is null or valid during the call.
        let (ty, dims, layout) = unsafe {
            let (ty, dims, _) = types::shape(args.element_type, args.dims, args.num_dims)?;
            (ty, dims, layout::on_device(args.device_layout, dims, types::element_bytes(ty))?)
        };
        let (BufferType::Tensor(element), None) = (ty, layout) else {
            let message = "a bitcast to tokens or to another layout than row-major order is not supported on mps";
            return Err(Error::new(Code::Unimplemented, message));
        };
        args.out_buffer = Buffer::new(&buffer.client, buffer.runtime.bitcast(element, dims)?).give();
        Ok(())
    }
}

entry! {
    /// Whether the host may read the elements in place.
    PJRT_Buffer_IsOnCpu(args: PJRT_Buffer_IsOnCpu_Args, buffer: Buffer) {
        args.is_on_cpu = buffer.runtime.is_on_cpu();
        Ok(())
    }
}

entry! {
    /// An event for when the elements are there. A deleted buffer has one that failed.
    PJRT_Buffer_ReadyEvent(args: PJRT_Buffer_ReadyEvent_Args, buffer: Buffer) {
        args.event = match buffer.require_alive() {
            Ok(()) => event::give(buffer.runtime.completion()),
            Err(deleted) => event::give(Completion::failed(deleted)),
        };
        Ok(())
    }
}

entry! {
    /// The address of the elements, once they are there.
    PJRT_Buffer_UnsafePointer(args: PJRT_Buffer_UnsafePointer_Args, buffer: Buffer) {
        let _rest = Rest;
        buffer.require_alive()?;
        args.buffer_pointer = buffer.runtime.pointer()?.addr();
        Ok(())
    }
}

entry! {
    /// Keeps the elements in place for a view outside.
    PJRT_Buffer_IncreaseExternalReferenceCount(
        args: PJRT_Buffer_IncreaseExternalReferenceCount_Args, buffer: Buffer
    ) {
        let _rest = Rest;
        buffer.require_alive()?;
        buffer.runtime.acquire_external()
    }
}

entry! {
    /// A view outside is gone.
    PJRT_Buffer_DecreaseExternalReferenceCount(
        args: PJRT_Buffer_DecreaseExternalReferenceCount_Args, buffer: Buffer
    ) {
        buffer.runtime.release_external()
    }
}

entry! {
    /// The address of the elements, once they are there, for reading in place.
    PJRT_Buffer_OpaqueDeviceMemoryDataPointer(
        args: PJRT_Buffer_OpaqueDeviceMemoryDataPointer_Args, buffer: Buffer
    ) {
        let _rest = Rest;
        args.device_memory_ptr = buffer.runtime.pointer()?.cast_mut().cast::<c_void>();
        Ok(())
    }
}
