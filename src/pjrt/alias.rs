//! Buffers that stand for others which are still to come: an alias is used before there is what it stands for.

use std::sync::Arc;

use super::abi::{
    PJRT_Client_CreateAliasBuffer_Args, PJRT_Client_FulfillAliasBuffer_Args, PJRT_FulfillAliasBufferCallback,
};
use super::buffer::Buffer;
use super::call::Handle;
use super::client::Client;
use super::{error, layout, types};
use crate::runtime::{BufferPromise, Code, Error};

/// What a `PJRT_FulfillAliasBufferCallback*` points to: the duty to say what an alias stands for. Who calls
/// `PJRT_Client_FulfillAliasBuffer` gives it back; nothing else frees it.
struct Fulfillment(BufferPromise);

// SAFETY: these are given out as `Fulfillment` only.
unsafe impl Handle for Fulfillment {
    type Opaque = PJRT_FulfillAliasBufferCallback;
    const NAME: &'static str = "PJRT_FulfillAliasBufferCallback";
}

entry! {
    /// A buffer of that type, sizes and layout, which has elements when another one is named for it.
    PJRT_Client_CreateAliasBuffer(args: PJRT_Client_CreateAliasBuffer_Args, client: Arc<Client>) {
        if args.memory.is_null() {
            return Err(Error::new(Code::InvalidArgument, "PJRT_Memory is null"));
        }
        // SAFETY: the sizes are the caller's, the memory is alive, the layout is null or valid during the call.
        let (ty, dims, layout, (device, memory)) = unsafe {
            let (ty, dims, _) = types::shape(args.shape_element_type, args.shape_dims, args.shape_num_dims)?;
            let layout = layout::on_device(args.shape_layout, dims, types::element_bytes(ty))?;
            (ty, dims, layout, Client::place(std::ptr::null(), args.memory)?)
        };
        let promise = BufferPromise::new(ty, dims, layout, device.runtime(), memory)?;
        args.alias_buffer = Buffer::new(client, promise.buffer().clone()).give();
        args.fulfill_alias_buffer_cb = Fulfillment(promise).give();
        Ok(())
    }
}

entry! {
    /// Makes an alias share the elements of a buffer, or fails it when the status is one of an error. Frees the callback,
    /// also when the buffer does not fit.
    PJRT_Client_FulfillAliasBuffer(args: PJRT_Client_FulfillAliasBuffer_Args, client: Arc<Client>) {
        let _ = client;
        // SAFETY: null or from `give`, and given back here.
        let fulfillment = unsafe { Fulfillment::take(args.fulfill_alias_buffer_cb) }?;
        if args.status_code != 0 {
            // SAFETY: the caller's message.
            let error = unsafe { error::from_caller(args.status_code, args.error_message, args.error_message_size) };
            fulfillment.0.fail(error);
            return Ok(());
        }
        // SAFETY: the buffer is null or alive.
        match unsafe { Buffer::get(args.buffer) } {
            Ok(source) => fulfillment.0.fulfil_with(source.runtime()),
            Err(error) => {
                fulfillment.0.fail(error.clone());
                Err(error)
            }
        }
    }
}
