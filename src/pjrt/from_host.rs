//! Buffers from the host: of data, of nothing, of an error.

use std::mem::MaybeUninit;
use std::sync::Arc;

use pjrt_sys::{PJRT_Buffer_Type, PJRT_Client_BufferFromHostBuffer_Args, PJRT_HostBufferSemantics};

use super::abi::{PJRT_Client_CreateErrorBuffer_Args, PJRT_Client_CreateUninitializedBuffer_Args};
use super::buffer::Buffer;
use super::call::{Handle, Rest, Result, slice};
use super::client::Client;
use super::copy::{dense_bytes, row_major_strides, same_places, strided};
use super::{error, event, layout, types};
use crate::runtime::{BufferType, Code, Completion, Error, HostBytes, Lent};

/// The type and sizes that a caller names.
///
/// # Safety
/// `dims` is null or points to `count` sizes.
unsafe fn shape<'a>(
    number: PJRT_Buffer_Type,
    dims: *const i64,
    count: usize,
) -> Result<(BufferType, &'a [i64], usize)> {
    let ty = types::from_c(number)?;
    // SAFETY: passed on to the caller.
    let dims = unsafe { slice(dims, count) };
    Ok((ty, dims, dense_bytes(dims, types::element_bytes(ty))?))
}

/// An array of the host, with byte strides, to be written in the order that it will have on the device.
struct Strided<'a> {
    dims: &'a [i64],
    element_bytes: usize,
    data: *const u8,
    strides: &'a [i64],
    on_device: &'a [i64],
    length: usize,
}

// SAFETY: `strided` sets all bytes of a dense array, which has as many as `length`.
unsafe impl HostBytes for Strided<'_> {
    fn length(&self) -> usize {
        self.length
    }

    fn write(&self, to: &mut [MaybeUninit<u8>]) -> std::result::Result<(), String> {
        let from = (self.data, self.strides);
        // SAFETY: the caller's array has all its elements, and is not written to during the call; the destination is
        // as long as the dense array.
        unsafe { strided(self.dims, self.element_bytes, from, (to.as_mut_ptr().cast(), self.on_device)) }
            .map_err(|error| error.message)
    }
}

/// Whether the caller lends the memory until the buffer is gone.
fn is_lent(semantics: PJRT_HostBufferSemantics) -> bool {
    use pjrt_sys::{
        PJRT_HostBufferSemantics_PJRT_HostBufferSemantics_kImmutableZeroCopy as IMMUTABLE,
        PJRT_HostBufferSemantics_PJRT_HostBufferSemantics_kMutableZeroCopy as MUTABLE,
    };
    semantics == IMMUTABLE || semantics == MUTABLE
}

entry! {
    /// Copies an array of the host, dense or with strides, to a device, once: the host's array is free again at once. On
    /// Metal memory of whole pages that the caller lends for the life of the buffer is used as it is, if the user allows it.
    PJRT_Client_BufferFromHostBuffer(args: PJRT_Client_BufferFromHostBuffer_Args, client: Arc<Client>) {
        let _rest = Rest;
        // SAFETY: the caller's sizes.
        let (ty, dims, length) = unsafe { shape(args.type_, args.dims, args.num_dims) }?;
        let element_bytes = types::element_bytes(ty);
        // SAFETY: device and memory are null or alive; the layout is valid during the call.
        let (layout, (device, memory)) = unsafe {
            (layout::on_device(args.device_layout, dims, element_bytes)?, Client::place(args.device, args.memory)?)
        };
        if args.data.is_null() && length > 0 {
            return Err(Error::new(Code::InvalidArgument, format!("expected {length} bytes of data, came a null pointer")));
        }
        if args.num_byte_strides != 0 && args.num_byte_strides != dims.len() {
            let message = format!("expected {} byte strides, not {}", dims.len(), args.num_byte_strides);
            return Err(Error::new(Code::InvalidArgument, message));
        }
        // SAFETY: the caller's strides.
        let strides = unsafe { slice(args.byte_strides, args.num_byte_strides) };
        let row_major = row_major_strides(dims, element_bytes);
        let strides = if strides.is_empty() { row_major.as_slice() } else { strides };
        let on_device = layout::strides_of(layout.as_ref(), dims, element_bytes);
        let data = args.data.cast::<u8>();
        let (runtime, device) = (client.runtime(), device.runtime());
        let dense = same_places(dims, strides, &on_device);
        args.done_with_host_buffer = event::ready();
        let buffer = if length == 0 {
            runtime.buffer_from_host(ty, dims, layout, [].as_slice(), device, memory)?
        } else if let BufferType::Tensor(element) = ty
            && dense
            && is_lent(args.host_buffer_semantics)
            && Lent::fits(data, length)
            && runtime.borrows(ty, device)
        {
            let (completion, completer) = Completion::manual();
            // SAFETY: the caller lends the memory until the event says that it is done with.
            let lent = unsafe { Lent::new(data, length, Box::new(move || completer.complete(Ok(())))) };
            let buffer = runtime.buffer_from_lent(element, dims, layout, lent, device, memory)?;
            args.done_with_host_buffer = event::give(completion);
            buffer
        } else if dense {
            // SAFETY: the caller's array has all its elements, and is not written to during the call.
            let bytes = unsafe { slice(data, length) };
            runtime.buffer_from_host(ty, dims, layout, bytes, device, memory)?
        } else {
            let bytes = Strided { dims, element_bytes, data, strides, on_device: &on_device, length };
            runtime.buffer_from_host(ty, dims, layout, &bytes, device, memory)?
        };
        args.buffer = Buffer::new(client, buffer).give();
        Ok(())
    }
}

entry! {
    /// A buffer with any content: zeros.
    PJRT_Client_CreateUninitializedBuffer(args: PJRT_Client_CreateUninitializedBuffer_Args, client: Arc<Client>) {
        // SAFETY: the caller's sizes.
        let (ty, dims, length) = unsafe { shape(args.shape_element_type, args.shape_dims, args.shape_num_dims) }?;
        // SAFETY: device and memory are null or alive; the layout is valid during the call.
        let (layout, (device, memory)) = unsafe {
            let layout = layout::on_device(args.shape_layout, dims, types::element_bytes(ty))?;
            (layout, Client::place(args.device, args.memory)?)
        };
        let mut zeros = Vec::new();
        zeros.try_reserve_exact(length).map_err(|_| {
            Error::new(Code::ResourceExhausted, format!("no memory for a buffer of {length} bytes"))
        })?;
        zeros.resize(length, 0);
        let buffer = client.runtime().buffer_from_host(ty, dims, layout, zeros.as_slice(), device.runtime(), memory)?;
        args.buffer = Buffer::new(client, buffer).give();
        Ok(())
    }
}

entry! {
    /// A buffer that carries an error instead of elements.
    PJRT_Client_CreateErrorBuffer(args: PJRT_Client_CreateErrorBuffer_Args, client: Arc<Client>) {
        // SAFETY: the caller's sizes.
        let (ty, dims, _) = unsafe { shape(args.shape_element_type, args.shape_dims, args.shape_num_dims) }?;
        // SAFETY: the memory is null or alive; the layout is valid during the call.
        let (layout, (device, memory)) = unsafe {
            let layout = layout::on_device(args.shape_layout, dims, types::element_bytes(ty))?;
            (layout, Client::place(std::ptr::null(), args.memory)?)
        };
        // SAFETY: the caller's message.
        let error = unsafe { error::from_caller(args.error_code, args.error_message, args.error_message_size) };
        let buffer = client.runtime().error_buffer(error, ty, dims, layout, device.runtime(), memory);
        args.buffer = Buffer::new(client, buffer).give();
        Ok(())
    }
}
