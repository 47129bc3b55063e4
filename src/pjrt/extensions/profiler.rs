//! The Profiler extension: `jax.profiler` starts and stops recordings of the runtime's, and collects them.
//!
//! The structures are those of xla's `backends/profiler/plugin/profiler_c_api.h`, as of the one size of the table that
//! jaxlib 0.9 and 0.10 take.

use std::ffi::{c_char, c_int, c_void};
use std::mem::size_of;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;

use pjrt_sys::PJRT_Extension_Base;

use super::super::abi::EXTENSION_TYPE_PROFILER;
use super::super::call::{Handle, Result, panicked};
use super::super::error::contain;
use super::extension::Extension;
use super::layouts;
use crate::runtime::{Code, Error, Profiler};

/// What calls of the profiler's interface fail with: not PJRT's errors.
type ProfilerError = c_void;
/// A function of the profiler's interface.
type Function<A> = Option<unsafe extern "C" fn(*mut A) -> *mut ProfilerError>;

// jaxlib leaves `struct_size` of these structures unset: there is nothing to check.

#[repr(C)]
pub(crate) struct ErrorDestroyArgs {
    struct_size: usize,
    private: *mut c_void,
    pub(in crate::pjrt) error: *mut ProfilerError,
}

#[repr(C)]
pub(crate) struct ErrorMessageArgs {
    struct_size: usize,
    private: *mut c_void,
    pub(in crate::pjrt) error: *const ProfilerError,
    pub(in crate::pjrt) message: *const c_char,
    pub(in crate::pjrt) message_size: usize,
}

#[repr(C)]
pub(crate) struct ErrorGetCodeArgs {
    struct_size: usize,
    private: *mut c_void,
    pub(in crate::pjrt) error: *const ProfilerError,
    pub(in crate::pjrt) code: c_int,
}

#[repr(C)]
pub(crate) struct CreateArgs {
    struct_size: usize,
    pub(in crate::pjrt) options: *const c_char,
    pub(in crate::pjrt) options_size: usize,
    pub(in crate::pjrt) profiler: *mut c_void,
}

#[repr(C)]
pub(crate) struct ProfilerArgs {
    struct_size: usize,
    pub(in crate::pjrt) profiler: *mut c_void,
}

#[repr(C)]
pub(crate) struct CollectDataArgs {
    struct_size: usize,
    pub(in crate::pjrt) profiler: *mut c_void,
    pub(in crate::pjrt) buffer: *mut u8,
    pub(in crate::pjrt) buffer_size_in_bytes: usize,
}

/// `PLUGIN_Profiler_Api`.
#[repr(C)]
pub(crate) struct ProfilerApi {
    struct_size: usize,
    private: *mut c_void,
    pub(in crate::pjrt) error_destroy: Option<unsafe extern "C" fn(*mut ErrorDestroyArgs)>,
    pub(in crate::pjrt) error_message: Option<unsafe extern "C" fn(*mut ErrorMessageArgs)>,
    pub(in crate::pjrt) error_get_code: Function<ErrorGetCodeArgs>,
    pub(in crate::pjrt) create: Function<CreateArgs>,
    pub(in crate::pjrt) destroy: Function<ProfilerArgs>,
    pub(in crate::pjrt) start: Function<ProfilerArgs>,
    pub(in crate::pjrt) stop: Function<ProfilerArgs>,
    pub(in crate::pjrt) collect_data: Function<CollectDataArgs>,
}

static API: Extension<ProfilerApi> = Extension(ProfilerApi {
    struct_size: size_of::<ProfilerApi>(),
    private: ptr::null_mut(),
    error_destroy: Some(error_destroy),
    error_message: Some(error_message),
    error_get_code: Some(error_get_code),
    create: Some(create),
    destroy: Some(destroy),
    start: Some(start),
    stop: Some(stop),
    collect_data: Some(collect_data),
});

/// `PJRT_Profiler_Extension`.
#[repr(C)]
pub(crate) struct ProfilerExtension {
    base: PJRT_Extension_Base,
    pub(in crate::pjrt) profiler_api: *const ProfilerApi,
    /// Only of extensions of arguments.
    traceme_context_id: i64,
}

/// The extension.
pub(super) static EXTENSION: Extension<ProfilerExtension> = Extension(ProfilerExtension {
    base: PJRT_Extension_Base {
        struct_size: size_of::<ProfilerExtension>(),
        type_: EXTENSION_TYPE_PROFILER,
        next: layouts::EXTENSION.handle(),
    },
    profiler_api: &raw const API.0,
    traceme_context_id: 0,
});

/// What a `PLUGIN_Profiler_Error*` points to.
struct ErrorObject(Error);

// SAFETY: errors of the profiler are given out as `ErrorObject` only.
unsafe impl Handle for ErrorObject {
    type Opaque = ProfilerError;
    const NAME: &'static str = "PLUGIN_Profiler_Error";
}

// SAFETY: profilers are given out as `Profiler` only.
unsafe impl Handle for Profiler {
    type Opaque = c_void;
    const NAME: &'static str = "PLUGIN_Profiler";
}

/// Runs the body of a function of the interface on the caller's structure.
///
/// # Safety
/// `arguments` is null or points to an `A` that belongs to this call.
unsafe fn guard<A>(
    function: &'static str,
    arguments: *mut A,
    body: impl FnOnce(&mut A) -> Result,
) -> *mut ProfilerError {
    let run = || {
        // SAFETY: passed on to the caller.
        let arguments = unsafe { arguments.as_mut() };
        let null = || Error::new(Code::InvalidArgument, format!("{function}: arguments are null"));
        body(arguments.ok_or_else(null)?)
    };
    match catch_unwind(AssertUnwindSafe(run)) {
        Ok(Ok(())) => ptr::null_mut(),
        Ok(Err(error)) => ErrorObject(error).give(),
        Err(panic) => ErrorObject(panicked(function, &*panic)).give(),
    }
}

unsafe extern "C" fn error_destroy(args: *mut ErrorDestroyArgs) {
    // SAFETY: null, or the structure of this function, whose error is the caller's.
    contain(|| unsafe {
        if let Some(args) = args.as_mut() {
            ErrorObject::destroy(args.error);
        }
    });
}

/// The message; it lives as long as the error.
unsafe extern "C" fn error_message(args: *mut ErrorMessageArgs) {
    // SAFETY: null, or the structure of this function; an error in it is null or alive.
    contain(|| unsafe {
        if let Some(args) = args.as_mut() {
            let message = ErrorObject::get(args.error).map_or("", |error| error.0.message.as_str());
            (args.message, args.message_size) = (message.as_ptr().cast(), message.len());
        }
    });
}

unsafe extern "C" fn error_get_code(args: *mut ErrorGetCodeArgs) -> *mut ProfilerError {
    let body = |args: &mut ErrorGetCodeArgs| {
        // SAFETY: the error is null or alive.
        args.code = unsafe { ErrorObject::get(args.error) }?.0.code as c_int;
        Ok(())
    };
    // SAFETY: the caller passes the structure of this function.
    unsafe { guard("PLUGIN_Profiler_Error_GetCode", args, body) }
}

/// The options, a serialized `tensorflow.ProfileOptions`, say nothing of devices like this one.
unsafe extern "C" fn create(args: *mut CreateArgs) -> *mut ProfilerError {
    let body = |args: &mut CreateArgs| {
        args.profiler = Profiler::new().give();
        Ok(())
    };
    // SAFETY: the caller passes the structure of this function.
    unsafe { guard("PLUGIN_Profiler_Create", args, body) }
}

/// Ends a profiler, and the recording that it has under way.
unsafe extern "C" fn destroy(args: *mut ProfilerArgs) -> *mut ProfilerError {
    let body = |args: &mut ProfilerArgs| {
        // SAFETY: the caller owns the profiler.
        unsafe { Profiler::destroy(args.profiler) };
        Ok(())
    };
    // SAFETY: the caller passes the structure of this function.
    unsafe { guard("PLUGIN_Profiler_Destroy", args, body) }
}

unsafe extern "C" fn start(args: *mut ProfilerArgs) -> *mut ProfilerError {
    // SAFETY: the profiler is null or alive.
    let body = |args: &mut ProfilerArgs| unsafe { Profiler::get(args.profiler) }?.start();
    // SAFETY: the caller passes the structure of this function.
    unsafe { guard("PLUGIN_Profiler_Start", args, body) }
}

unsafe extern "C" fn stop(args: *mut ProfilerArgs) -> *mut ProfilerError {
    let body = |args: &mut ProfilerArgs| {
        // SAFETY: the profiler is null or alive.
        unsafe { Profiler::get(args.profiler) }?.stop();
        Ok(())
    };
    // SAFETY: the caller passes the structure of this function.
    unsafe { guard("PLUGIN_Profiler_Stop", args, body) }
}

/// Shows the bytes, or copies them. jaxlib reads them where they are; by the header, callers without a buffer ask for the
/// size only, and call again with one of that size.
unsafe extern "C" fn collect_data(args: *mut CollectDataArgs) -> *mut ProfilerError {
    let body = |args: &mut CollectDataArgs| {
        // SAFETY: the profiler is null or alive.
        let bytes = unsafe { Profiler::get(args.profiler) }?.collect()?;
        if args.buffer.is_null() {
            // The profiler keeps them there; nobody has to write to them.
            args.buffer = bytes.as_ptr().cast_mut();
        } else if !ptr::eq(args.buffer, bytes.as_ptr()) {
            if args.buffer_size_in_bytes < bytes.len() {
                let (had, needed) = (args.buffer_size_in_bytes, bytes.len());
                let message = format!("a buffer of {needed} bytes is needed, one of {had} came");
                return Err(Error::new(Code::InvalidArgument, message));
            }
            // SAFETY: the caller's buffer has room for as many bytes, and is not the profiler's.
            unsafe { ptr::copy_nonoverlapping(bytes.as_ptr(), args.buffer, bytes.len()) };
        }
        args.buffer_size_in_bytes = bytes.len();
        Ok(())
    };
    // SAFETY: the caller passes the structure of this function.
    unsafe { guard("PLUGIN_Profiler_CollectData", args, body) }
}
