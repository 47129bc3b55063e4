//! Buffers from the host: of data, of nothing, of an error.

use std::ffi::c_void;
use std::mem::MaybeUninit;
use std::sync::{Arc, Mutex, PoisonError};

use pjrt_sys::{
    PJRT_Client_BufferFromHostBuffer_Args, PJRT_Client_CreateViewOfDeviceBuffer_Args, PJRT_HostBufferSemantics,
    PJRT_Memory,
};

use super::abi::{
    PJRT_Client_CreateErrorBuffer_Args, PJRT_Client_CreateUninitializedBuffer_Args, ViewOfDeviceBufferArgs, has_field,
};
use super::buffer::Buffer;
use super::call::{Handle, Rest, Result, slice};
use super::client::Client;
use super::copy::{row_major_strides, same_places, strided};
use super::{error, event, layout, types};
use crate::runtime::{BorrowedMemory, BufferType, Code, Completion, Error, HostBytes};

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
///
/// # Errors
/// INVALID_ARGUMENT for semantics that do not exist.
fn is_borrowed(semantics: PJRT_HostBufferSemantics) -> Result<bool> {
    use pjrt_sys::{
        PJRT_HostBufferSemantics_PJRT_HostBufferSemantics_kImmutableOnlyDuringCall as DURING_CALL,
        PJRT_HostBufferSemantics_PJRT_HostBufferSemantics_kImmutableUntilTransferCompletes as DURING_TRANSFER,
        PJRT_HostBufferSemantics_PJRT_HostBufferSemantics_kImmutableZeroCopy as IMMUTABLE,
        PJRT_HostBufferSemantics_PJRT_HostBufferSemantics_kMutableZeroCopy as MUTABLE,
    };
    match semantics {
        DURING_CALL | DURING_TRANSFER => Ok(false),
        IMMUTABLE | MUTABLE => Ok(true),
        other => Err(Error::new(Code::InvalidArgument, format!("host buffer semantics {other} do not exist"))),
    }
}

entry! {
    /// Copies an array of the host, dense or with strides, to a device, once: the host's array is free again at once. On
    /// Metal memory of whole pages that the caller lends for the life of the buffer is used as it is, if the user allows it.
    PJRT_Client_BufferFromHostBuffer(args: PJRT_Client_BufferFromHostBuffer_Args, client: Arc<Client>) {
        let _rest = Rest;
        // SAFETY: the caller's sizes.
        let (ty, dims, length) = unsafe { types::shape(args.type_, args.dims, args.num_dims) }?;
        let element_bytes = types::element_bytes(ty);
        // SAFETY: device and memory are null or alive; the layout is valid during the call.
        let (layout, (device, memory)) = unsafe {
            (layout::on_device(args.device_layout, dims, element_bytes)?, Client::place(args.device, args.memory)?)
        };
        let is_borrowed = is_borrowed(args.host_buffer_semantics)?;
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
            && is_borrowed
            && BorrowedMemory::fits(data, length)
            && runtime.borrows(ty, device)
        {
            let (completion, completer) = Completion::manual();
            // SAFETY: the caller lends the memory until the event says that it is done with.
            let borrowed = unsafe { BorrowedMemory::new(data, length, Box::new(move || completer.complete(Ok(())))) };
            let buffer = runtime.buffer_from_borrowed(element, dims, layout, borrowed, device, memory)?;
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

/// What a caller wants to be called when nobody looks at its memory any more.
struct OnDelete {
    function: Option<unsafe extern "C" fn(*mut c_void, *mut c_void)>,
    memory: *mut c_void,
    argument: *mut c_void,
}

// SAFETY: the API allows the function to be called on any thread.
unsafe impl Send for OnDelete {}

impl OnDelete {
    fn call(self) {
        if let Some(function) = self.function {
            // SAFETY: the caller gave the function for exactly these.
            unsafe { function(self.memory, self.argument) };
        }
    }
}

/// Memory of a caller that becomes a view, or stays the caller's.
#[derive(Default)]
enum Viewed {
    /// It is not known yet whether MLX uses it.
    #[default]
    Offered,
    /// MLX uses it.
    InUse(OnDelete),
    /// MLX has given it back: soon, when it made a copy.
    GivenBack,
}

impl Viewed {
    /// MLX gives it back.
    fn give_back(viewed: &Mutex<Self>) {
        let before = std::mem::replace(&mut *viewed.lock().unwrap_or_else(PoisonError::into_inner), Self::GivenBack);
        if let Self::InUse(on_delete) = before {
            on_delete.call();
        }
    }

    /// From now on the caller is told when it is given back. False when that has happened: then the caller hears nothing.
    fn keep(viewed: &Mutex<Self>, on_delete: OnDelete) -> bool {
        let mut viewed = viewed.lock().unwrap_or_else(PoisonError::into_inner);
        let is_offered = matches!(*viewed, Self::Offered);
        if is_offered {
            *viewed = Self::InUse(on_delete);
        }
        is_offered
    }
}

entry! {
    /// A view of memory that somebody else has allocated: whole pages, where the device reads such memory in place (Metal).
    /// Everywhere else, a copy would not be what the caller asked for.
    raw PJRT_Client_CreateViewOfDeviceBuffer(
        args: PJRT_Client_CreateViewOfDeviceBuffer_Args, client: Arc<Client>
    ) {
        let memory = if has_field!(args, ViewOfDeviceBufferArgs, memory: *mut PJRT_Memory) {
            // SAFETY: the caller's structure reaches so far.
            unsafe { (*args.cast::<ViewOfDeviceBufferArgs>()).memory }
        } else {
            std::ptr::null_mut()
        };
        // SAFETY: the structure was checked, and belongs to this call as far as this type of it goes.
        let args = unsafe { &mut *args };
        // SAFETY: the sizes are the caller's, device and memory null or alive; the layout is valid during the call.
        let (ty, dims, length, layout, (device, memory)) = unsafe {
            let (ty, dims, length) = types::shape(args.element_type, args.dims, args.num_dims)?;
            let layout = layout::on_device(args.layout, dims, types::element_bytes(ty))?;
            (ty, dims, length, layout, Client::place(args.device, memory)?)
        };
        let refuse = |code, why: &str| Err(Error::new(code, format!("PJRT_Client_CreateViewOfDeviceBuffer: {why}")));
        let element = match ty {
            BufferType::Tensor(element) if client.runtime().views(ty, device.runtime()) => element,
            _ => return refuse(Code::Unimplemented, "the device reads only memory that MLX has allocated"),
        };
        if args.stream != 0 {
            return refuse(Code::Unimplemented, "mps has no streams of others to wait for");
        }
        let data = args.device_buffer_ptr.cast::<u8>().cast_const();
        if !BorrowedMemory::is_whole_pages(data, length) {
            return refuse(Code::InvalidArgument, "the memory is not whole pages of 16 KiB");
        }
        let (function, memory_of_caller) = (args.on_delete_callback, args.device_buffer_ptr);
        let on_delete = OnDelete { function, memory: memory_of_caller, argument: args.on_delete_callback_arg };
        let viewed = Arc::new(Mutex::new(Viewed::default()));
        let offered = viewed.clone();
        // SAFETY: the caller lends the memory until it is called back.
        let borrowed = unsafe { BorrowedMemory::new(data, length, Box::new(move || Viewed::give_back(&offered))) };
        let buffer = client.runtime().buffer_from_borrowed(element, dims, layout, borrowed, device.runtime(), memory)?;
        if buffer.pointer()? != data || !Viewed::keep(&viewed, on_delete) {
            return refuse(Code::Unimplemented, "mlx does not use this memory in place");
        }
        args.buffer = Buffer::new(client, buffer).give();
        Ok(())
    }
}

entry! {
    /// A buffer with any content: zeros.
    PJRT_Client_CreateUninitializedBuffer(args: PJRT_Client_CreateUninitializedBuffer_Args, client: Arc<Client>) {
        // SAFETY: the caller's sizes.
        let (ty, dims, length) = unsafe { types::shape(args.shape_element_type, args.shape_dims, args.shape_num_dims) }?;
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
        let (ty, dims, _) = unsafe { types::shape(args.shape_element_type, args.shape_dims, args.shape_num_dims) }?;
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Memory of which MLX made a copy, so that there is no view, is given back without a word.
    #[test]
    fn callers_are_told_once_and_only_of_views() {
        unsafe extern "C" fn count(_: *mut c_void, calls: *mut c_void) {
            // SAFETY: the test passes a number that outlives the calls.
            unsafe { *calls.cast::<u32>() += 1 };
        }
        let mut calls = 0_u32;
        let argument = (&raw mut calls).cast();
        let on_delete = || OnDelete { function: Some(count), memory: std::ptr::null_mut(), argument };
        let copied = Mutex::new(Viewed::default());
        Viewed::give_back(&copied);
        assert!(!Viewed::keep(&copied, on_delete()));
        let used = Mutex::new(Viewed::default());
        assert!(Viewed::keep(&used, on_delete()));
        // SAFETY: nobody else is looking.
        assert_eq!(unsafe { *argument.cast::<u32>() }, 0);
        Viewed::give_back(&used);
        Viewed::give_back(&used);
        // SAFETY: as above.
        assert_eq!(unsafe { *argument.cast::<u32>() }, 1);
    }
}
