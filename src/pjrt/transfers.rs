//! Send and recv callbacks of a run, and `PJRT_CopyToDeviceStream`, through which the host answers.

use std::ffi::{c_char, c_void};
use std::ptr;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use pjrt_sys::{
    PJRT_CallbackError, PJRT_Chunk, PJRT_CopyToDeviceStream, PJRT_CopyToDeviceStream_AddChunk_Args,
    PJRT_CopyToDeviceStream_CurrentBytes_Args, PJRT_CopyToDeviceStream_Destroy_Args,
    PJRT_CopyToDeviceStream_GranuleSize_Args, PJRT_CopyToDeviceStream_TotalBytes_Args, PJRT_Error, PJRT_Error_Code,
    PJRT_ExecuteOptions, PJRT_RecvCallbackInfo, PJRT_SendCallbackInfo,
};

use super::call::{Handle, slice};
use super::{error, event};
use crate::runtime::{Code, Error, HostTransfers, interpreter};

/// The callbacks that came with one call, of one device.
pub(super) struct Transfers {
    sends: Vec<PJRT_SendCallbackInfo>,
    receives: Vec<PJRT_RecvCallbackInfo>,
}

impl Transfers {
    /// None when there are none.
    ///
    /// # Safety
    /// `options` is a caller's structure for one device.
    pub(super) unsafe fn new(options: &PJRT_ExecuteOptions) -> Option<Self> {
        if options.num_send_ops == 0 && options.num_recv_ops == 0 {
            return None;
        }
        // SAFETY: one list for the one device, of the length given; the functions outlive the call.
        unsafe {
            let sends = options.send_callbacks.as_ref().map_or(&[][..], |list| slice(*list, options.num_send_ops));
            let receives = options.recv_callbacks.as_ref().map_or(&[][..], |list| slice(*list, options.num_recv_ops));
            Some(Self { sends: sends.to_vec(), receives: receives.to_vec() })
        }
    }
}

impl HostTransfers for Transfers {
    fn send(&self, channel: i64, elements: Vec<u8>) -> Result<(), String> {
        let info = self.sends.iter().find(|info| info.channel_id == channel);
        let info = info.ok_or_else(|| format!("no send callback for channel {channel}"))?;
        let callback = info.send_callback.ok_or("the send callback is null")?;
        interpreter::rest_if_shut_out();
        let size = elements.len();
        let mut chunk = give_chunk(elements);
        let mut make_error: PJRT_CallbackError = Some(callback_error);
        // SAFETY: the caller gave function and argument for exactly this; the callback takes the chunk's data over.
        let failure = unsafe { callback(&raw mut chunk, &raw mut make_error, size, true, info.user_arg) };
        if failure.is_null() {
            return Ok(());
        }
        // SAFETY: errors of the callback come from `callback_error`.
        let message =
            unsafe { error::ErrorObject::get(failure) }.map_or_else(|e| e.message, |e| e.error().message.clone());
        // SAFETY: it is ours now.
        unsafe { error::ErrorObject::destroy(failure) };
        Err(message)
    }

    fn receive(&self, channel: i64, bytes: usize) -> Result<Vec<u8>, String> {
        let info = self.receives.iter().find(|info| info.channel_id == channel);
        let info = info.ok_or_else(|| format!("no recv callback for channel {channel}"))?;
        let callback = info.recv_callback.ok_or("the recv callback is null")?;
        interpreter::rest_if_shut_out();
        let inbox = Arc::new(Inbox { total: bytes, state: Mutex::default(), changed: Condvar::new() });
        let stream = CopyToDeviceStream { inbox: inbox.clone() }.give();
        // SAFETY: the caller gave function and argument for exactly this; the callback destroys the stream.
        unsafe { callback(stream, info.user_arg) };
        inbox.wait().ok_or_else(|| format!("the host gave up before it had sent {bytes} bytes on channel {channel}"))
    }
}

/// A chunk of bytes for the caller, who frees it with its deleter.
fn give_chunk(elements: Vec<u8>) -> PJRT_Chunk {
    unsafe extern "C" fn delete(_: *mut c_void, elements: *mut c_void) {
        // SAFETY: it comes from Box::into_raw below, and is deleted once.
        error::contain(|| drop(unsafe { Box::from_raw(elements.cast::<Vec<u8>>()) }));
    }
    let elements = Box::into_raw(Box::new(elements));
    // SAFETY: just made, and nobody else's yet.
    let (data, size) = unsafe { ((*elements).as_mut_ptr(), (*elements).len()) };
    PJRT_Chunk { data: data.cast(), size, deleter: Some(delete), deleter_arg: elements.cast() }
}

unsafe extern "C" fn callback_error(code: PJRT_Error_Code, message: *const c_char, size: usize) -> *mut PJRT_Error {
    // SAFETY: the caller passes a message of that size.
    error::give(unsafe { error::from_caller(code, message, size) })
}

/// Where the bytes of one receive arrive.
struct Inbox {
    total: usize,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    bytes: Vec<u8>,
    /// Nobody will send any more.
    closed: bool,
}

impl Inbox {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All the bytes, or None when the sender has gone before that.
    fn wait(&self) -> Option<Vec<u8>> {
        let mut state = self.lock();
        loop {
            if state.bytes.len() == self.total {
                return Some(std::mem::take(&mut state.bytes));
            }
            if state.closed {
                return None;
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

/// What a `PJRT_CopyToDeviceStream*` points to.
struct CopyToDeviceStream {
    inbox: Arc<Inbox>,
}

// SAFETY: streams are given out as `CopyToDeviceStream` only.
unsafe impl Handle for CopyToDeviceStream {
    type Opaque = PJRT_CopyToDeviceStream;
    const NAME: &'static str = "PJRT_CopyToDeviceStream";
}

impl Drop for CopyToDeviceStream {
    fn drop(&mut self) {
        self.inbox.lock().closed = true;
        self.inbox.changed.notify_all();
    }
}

/// Counts and offsets of the API are signed.
fn signed(bytes: usize) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

entry! {
    /// Frees a stream.
    PJRT_CopyToDeviceStream_Destroy(args: PJRT_CopyToDeviceStream_Destroy_Args) {
        // SAFETY: the caller owns the stream.
        unsafe { CopyToDeviceStream::destroy(args.stream) };
        Ok(())
    }
}

entry! {
    /// Takes a part of the bytes; they are copied at once.
    PJRT_CopyToDeviceStream_AddChunk(args: PJRT_CopyToDeviceStream_AddChunk_Args, stream: CopyToDeviceStream) {
        // SAFETY: the caller's chunk, valid during the call.
        let chunk = unsafe { args.chunk.as_ref() };
        let chunk = chunk.ok_or_else(|| Error::new(Code::InvalidArgument, "chunk is null"))?;
        let outcome = {
            // SAFETY: the chunk has as many bytes.
            let bytes = unsafe { slice(chunk.data.cast_const().cast::<u8>(), chunk.size) };
            let mut state = stream.inbox.lock();
            if state.bytes.len() + bytes.len() > stream.inbox.total {
                let (had, total) = (state.bytes.len(), stream.inbox.total);
                let message = format!("a chunk of {} bytes after {had} of {total}", bytes.len());
                Err(Error::new(Code::InvalidArgument, message))
            } else {
                state.bytes.extend_from_slice(bytes);
                Ok(())
            }
        };
        stream.inbox.changed.notify_all();
        if let Some(delete) = chunk.deleter {
            // SAFETY: the chunk is ours to free, once.
            unsafe { delete(chunk.data, chunk.deleter_arg) };
        }
        args.transfer_complete = ptr::null_mut();
        outcome?;
        args.transfer_complete = event::ready();
        Ok(())
    }
}

entry! {
    /// Bytes that the stream expects.
    PJRT_CopyToDeviceStream_TotalBytes(args: PJRT_CopyToDeviceStream_TotalBytes_Args, stream: CopyToDeviceStream) {
        args.total_bytes = signed(stream.inbox.total);
        Ok(())
    }
}

entry! {
    /// Chunks may have any size.
    PJRT_CopyToDeviceStream_GranuleSize(args: PJRT_CopyToDeviceStream_GranuleSize_Args, stream: CopyToDeviceStream) {
        let _ = stream;
        args.granule_size_in_bytes = 1;
        Ok(())
    }
}

entry! {
    /// Bytes that have come.
    PJRT_CopyToDeviceStream_CurrentBytes(args: PJRT_CopyToDeviceStream_CurrentBytes_Args, stream: CopyToDeviceStream) {
        args.current_bytes = signed(stream.inbox.lock().bytes.len());
        Ok(())
    }
}
