//! `PJRT_Error`: a status code and a message.

use std::ffi::c_char;
use std::mem::size_of;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;

use pjrt_sys::{
    PJRT_Error, PJRT_Error_Code, PJRT_Error_Destroy_Args, PJRT_Error_GetCode_Args, PJRT_Error_Message_Args,
};

use super::abi::{PJRT_Error_ForEachPayload_Args, PJRT_Error_FunctionTable, PJRT_Error_PayloadVisitor};
use super::handle::{Handle, check};
use crate::runtime::{Code, Error};

/// What a `PJRT_Error*` points to. Since minor 107 callers read the function table themselves.
#[repr(C)]
pub(super) struct ErrorObject {
    vtable: &'static PJRT_Error_FunctionTable,
    error: Error,
}

impl ErrorObject {
    pub(super) fn error(&self) -> &Error {
        &self.error
    }
}

// SAFETY: errors are given out as `ErrorObject` only.
unsafe impl Handle for ErrorObject {
    type Opaque = PJRT_Error;
    const NAME: &'static str = "PJRT_Error";
}

static VTABLE: PJRT_Error_FunctionTable = PJRT_Error_FunctionTable {
    struct_size: size_of::<PJRT_Error_FunctionTable>(),
    instance_size: size_of::<*const PJRT_Error_FunctionTable>(),
    extension_start: ptr::null_mut(),
    destroy: Some(destroy),
    message: Some(message),
    get_code: Some(get_code),
    for_each_payload: Some(for_each_payload),
};

// SAFETY: the table is immutable and its only pointer is null.
unsafe impl Sync for PJRT_Error_FunctionTable {}

/// Gives an error to the caller, who destroys it.
pub(super) fn give(error: Error) -> *mut PJRT_Error {
    ErrorObject { vtable: &VTABLE, error }.give()
}

/// Null when all is well, else an error for the caller.
pub(super) fn give_outcome(outcome: Result<(), Error>) -> *mut PJRT_Error {
    outcome.err().map_or(ptr::null_mut(), give)
}

/// An error that the caller describes.
///
/// # Safety
/// `message` is null or points to `size` bytes.
pub(super) unsafe fn from_caller(code: PJRT_Error_Code, message: *const c_char, size: usize) -> Error {
    // SAFETY: passed on to the caller.
    let message = unsafe { super::handle::text(message, size) };
    Error::new(code_from_c(code), message)
}

/// The code of that number; numbers that absl does not know are UNKNOWN.
fn code_from_c(code: PJRT_Error_Code) -> Code {
    const CODES: [Code; 16] = [
        Code::Cancelled,
        Code::Unknown,
        Code::InvalidArgument,
        Code::DeadlineExceeded,
        Code::NotFound,
        Code::AlreadyExists,
        Code::PermissionDenied,
        Code::ResourceExhausted,
        Code::FailedPrecondition,
        Code::Aborted,
        Code::OutOfRange,
        Code::Unimplemented,
        Code::Internal,
        Code::Unavailable,
        Code::DataLoss,
        Code::Unauthenticated,
    ];
    CODES.into_iter().find(|known| *known as PJRT_Error_Code == code).unwrap_or(Code::Unknown)
}

unsafe extern "C" fn destroy(error: *mut PJRT_Error) {
    // A panic must not cross into C, and there is nobody to tell.
    // SAFETY: the caller owns the error.
    let _ = catch_unwind(|| unsafe { ErrorObject::destroy(error) });
}

unsafe extern "C" fn message(error: *const PJRT_Error, message: *mut *const c_char, size: *mut usize) {
    // SAFETY: the caller passes a live error.
    let text = unsafe { ErrorObject::get(error) }.map_or("", |object| object.error.message.as_str());
    // SAFETY: the caller passes places for the result.
    unsafe {
        message.write(text.as_ptr().cast());
        size.write(text.len());
    }
}

unsafe extern "C" fn get_code(error: *const PJRT_Error) -> PJRT_Error_Code {
    // SAFETY: the caller passes a live error.
    unsafe { ErrorObject::get(error) }.map_or(Code::InvalidArgument, |object| object.error.code) as PJRT_Error_Code
}

/// Errors carry no payload.
unsafe extern "C" fn for_each_payload(_: *const PJRT_Error, _: PJRT_Error_PayloadVisitor, _: *mut std::ffi::c_void) {}

/// Frees an error. jaxlib passes null after `PJRT_Event_Error` of an event that went well.
pub(super) unsafe extern "C" fn PJRT_Error_Destroy(args: *mut PJRT_Error_Destroy_Args) {
    // SAFETY: the caller passes the structure of this function.
    if unsafe { check("PJRT_Error_Destroy", args, PJRT_Error_Destroy_Args::STRUCT_SIZE) }.is_ok() {
        // SAFETY: checked; the caller owns the error.
        unsafe { destroy((*args).error) };
    }
}

/// The message; it lives as long as the error.
pub(super) unsafe extern "C" fn PJRT_Error_Message(args: *mut PJRT_Error_Message_Args) {
    // SAFETY: the caller passes the structure of this function.
    if unsafe { check("PJRT_Error_Message", args, PJRT_Error_Message_Args::STRUCT_SIZE) }.is_ok() {
        // SAFETY: checked.
        let args = unsafe { &mut *args };
        let (text, size) = (&raw mut args.message, &raw mut args.message_size);
        // SAFETY: the error is alive, the places are those of the structure.
        unsafe { message(args.error, text, size) };
    }
}

entry! {
    /// The status code.
    PJRT_Error_GetCode(args: PJRT_Error_GetCode_Args, error: ErrorObject) {
        args.code = error.error.code as PJRT_Error_Code;
        Ok(())
    }
}

entry! {
    /// Visits the payloads, of which there are none. jaxlib aborts if this fails.
    PJRT_Error_ForEachPayload(_args: PJRT_Error_ForEachPayload_Args) {
        Ok(())
    }
}

/// Runs something that C calls and that has no way to report a failure.
pub(super) fn contain(body: impl FnOnce()) {
    if catch_unwind(AssertUnwindSafe(body)).is_err() {
        tracing::error!("panic in a callback");
    }
}
