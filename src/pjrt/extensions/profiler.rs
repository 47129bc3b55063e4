//! The Profiler extension. It records nothing: `jax.profiler` shows the host's side. Without the extension jaxlib 0.9
//! registers a profiler all the same and calls through a null pointer when a trace ends.

use std::ffi::{c_char, c_int, c_void};
use std::mem::size_of;
use std::ptr;

use pjrt_sys::PJRT_Extension_Base;

use super::super::abi::EXTENSION_TYPE_PROFILER;
use super::{Extension, layouts};

/// Calls of the profiler's interface fail with such an error; none does.
type ProfilerError = c_void;
/// A function of the profiler's interface.
type Function<A> = Option<unsafe extern "C" fn(*mut A) -> *mut ProfilerError>;

// jaxlib leaves `struct_size` of these structures unset: there is nothing to check.

#[repr(C)]
pub(crate) struct ErrorDestroyArgs {
    struct_size: usize,
    private: *mut c_void,
    error: *mut ProfilerError,
}

#[repr(C)]
pub(crate) struct ErrorMessageArgs {
    struct_size: usize,
    private: *mut c_void,
    error: *const ProfilerError,
    message: *const c_char,
    message_size: usize,
}

#[repr(C)]
pub(crate) struct ErrorGetCodeArgs {
    struct_size: usize,
    private: *mut c_void,
    error: *const ProfilerError,
    code: c_int,
}

#[repr(C)]
pub(crate) struct CreateArgs {
    struct_size: usize,
    options: *const c_char,
    options_size: usize,
    profiler: *mut c_void,
}

#[repr(C)]
pub(crate) struct ProfilerArgs {
    struct_size: usize,
    profiler: *mut c_void,
}

#[repr(C)]
pub(crate) struct CollectDataArgs {
    struct_size: usize,
    profiler: *mut c_void,
    buffer: *mut u8,
    buffer_size_in_bytes: usize,
}

/// `PLUGIN_Profiler_Api`.
#[repr(C)]
pub(crate) struct ProfilerApi {
    struct_size: usize,
    private: *mut c_void,
    error_destroy: Option<unsafe extern "C" fn(*mut ErrorDestroyArgs)>,
    error_message: Option<unsafe extern "C" fn(*mut ErrorMessageArgs)>,
    error_get_code: Function<ErrorGetCodeArgs>,
    create: Function<CreateArgs>,
    destroy: Function<ProfilerArgs>,
    start: Function<ProfilerArgs>,
    stop: Function<ProfilerArgs>,
    collect_data: Function<CollectDataArgs>,
}

static API: Extension<ProfilerApi> = Extension(ProfilerApi {
    struct_size: size_of::<ProfilerApi>(),
    private: ptr::null_mut(),
    error_destroy: Some(error_destroy),
    error_message: Some(error_message),
    error_get_code: Some(error_get_code),
    create: Some(create),
    destroy: Some(nothing),
    start: Some(nothing),
    stop: Some(nothing),
    collect_data: Some(collect_data),
});

/// `PJRT_Profiler_Extension`.
#[repr(C)]
pub(crate) struct ProfilerExtension {
    base: PJRT_Extension_Base,
    profiler_api: *const ProfilerApi,
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

unsafe extern "C" fn error_destroy(_: *mut ErrorDestroyArgs) {}

unsafe extern "C" fn error_message(args: *mut ErrorMessageArgs) {
    // SAFETY: the caller passes the structure of this function.
    unsafe {
        (*args).message = c"".as_ptr();
        (*args).message_size = 0;
    }
}

unsafe extern "C" fn error_get_code(args: *mut ErrorGetCodeArgs) -> *mut ProfilerError {
    // SAFETY: the caller passes the structure of this function.
    unsafe { (*args).code = 0 };
    ptr::null_mut()
}

unsafe extern "C" fn create(args: *mut CreateArgs) -> *mut ProfilerError {
    // SAFETY: the caller passes the structure of this function.
    unsafe { (*args).profiler = (&raw const API.0).cast_mut().cast() };
    ptr::null_mut()
}

/// Profilers have nothing to start, stop or free.
unsafe extern "C" fn nothing(_: *mut ProfilerArgs) -> *mut ProfilerError {
    ptr::null_mut()
}

unsafe extern "C" fn collect_data(args: *mut CollectDataArgs) -> *mut ProfilerError {
    // SAFETY: the caller passes the structure of this function.
    unsafe { (*args).buffer_size_in_bytes = 0 };
    ptr::null_mut()
}
