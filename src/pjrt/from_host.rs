//! Buffers from the host: of data, of nothing, of an error.

use std::sync::Arc;

use pjrt_sys::{PJRT_Buffer_Type, PJRT_Client_BufferFromHostBuffer_Args};

use super::abi::{PJRT_Client_CreateErrorBuffer_Args, PJRT_Client_CreateUninitializedBuffer_Args};
use super::buffer::Buffer;
use super::call::{Handle, Result, slice};
use super::client::Client;
use super::copy::{dense_bytes, gather, row_major_strides, same_places};
use super::{error, event, layout, types};
use crate::runtime::{BufferType, Code, Error};

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

entry! {
    /// Copies an array of the host, dense or with strides, to a device. The host's array is free again at once.
    PJRT_Client_BufferFromHostBuffer(args: PJRT_Client_BufferFromHostBuffer_Args, client: Arc<Client>) {
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
        let dense;
        let bytes = if length == 0 {
            &[]
        } else if same_places(dims, strides, &on_device) {
            // SAFETY: the caller's array has all its elements, and is not written to during the call.
            unsafe { slice(data, length) }
        } else {
            // SAFETY: as above; the strides say where the elements are.
            dense = unsafe { gather(dims, element_bytes, data, strides, &on_device, length) }?;
            dense.as_slice()
        };
        let buffer = client.runtime().buffer_from_host(ty, dims, layout, bytes, device.runtime(), memory)?;
        args.buffer = Buffer::new(client, buffer).give();
        args.done_with_host_buffer = event::ready();
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
        let buffer = client.runtime().buffer_from_host(ty, dims, layout, &zeros, device.runtime(), memory)?;
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
