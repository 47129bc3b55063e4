//! What stands around every entry point.

use std::any::Any;
use std::ffi::c_char;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;

use pjrt_sys::PJRT_Error;

use super::error;
use crate::runtime::{Code, Error, autorelease_pool, interpreter};

/// What the body of an entry point returns.
pub(super) type Result<T = ()> = std::result::Result<T, Error>;

/// An object that crosses the C API as an opaque pointer. Callers use it on any thread, and on several at a time.
///
/// # Safety
/// Pointers to `Opaque` that the plugin gives out point to a `Self`.
pub(super) unsafe trait Handle: Sized + Send + Sync {
    /// The C name of the object.
    type Opaque;
    /// The name in messages.
    const NAME: &'static str;

    /// The object behind a handle.
    ///
    /// # Safety
    /// `handle` is null or came from this plugin and is still alive, for as long as the result is used.
    unsafe fn get<'a>(handle: *const Self::Opaque) -> Result<&'a Self> {
        // SAFETY: by the contract of the trait and of this function.
        unsafe { handle.cast::<Self>().as_ref() }
            .ok_or_else(|| Error::new(Code::InvalidArgument, format!("{} is null", Self::NAME)))
    }

    /// Gives the object to the caller, who ends it with [`Handle::destroy`].
    fn give(self) -> *mut Self::Opaque {
        Box::into_raw(Box::new(self)).cast()
    }

    /// Takes an object back.
    ///
    /// # Safety
    /// `handle` is null or came from [`Handle::give`] and was not destroyed or taken before.
    unsafe fn take(handle: *mut Self::Opaque) -> Result<Self> {
        if handle.is_null() {
            return Err(Error::new(Code::InvalidArgument, format!("{} is null", Self::NAME)));
        }
        // SAFETY: by the contract of this function.
        Ok(*unsafe { Box::from_raw(handle.cast::<Self>()) })
    }

    /// Ends an object; null is fine.
    ///
    /// # Safety
    /// `handle` is null or came from [`Handle::give`] and was not destroyed before.
    unsafe fn destroy(handle: *mut Self::Opaque) {
        if !handle.is_null() {
            // SAFETY: by the contract of this function.
            drop(unsafe { Box::from_raw(handle.cast::<Self>()) });
        }
    }
}

/// Stands in entry points that may take long, and does its part when they are left: a thread that comes out of one while
/// Python ends stays here.
pub(super) struct Rest;

impl Drop for Rest {
    fn drop(&mut self) {
        interpreter::rest_if_shut_out();
    }
}

/// Runs the body of an entry point on the caller's structure of arguments.
///
/// # Safety
/// `arguments` is null or points to a structure that begins with its size as `usize`, and is an `A` as far as that size
/// reaches and `needed` covers.
pub(super) unsafe fn guard<A>(
    function: &'static str,
    arguments: *mut A,
    needed: usize,
    body: impl FnOnce(*mut A) -> Result,
) -> *mut PJRT_Error {
    let run = || {
        // SAFETY: passed on to the caller.
        unsafe { check(function, arguments, needed) }?;
        body(arguments)
    };
    let outcome = catch_unwind(AssertUnwindSafe(|| autorelease_pool(run)));
    match outcome {
        Ok(Ok(())) => ptr::null_mut(),
        Ok(Err(error)) => error::give(error),
        Err(panic) => error::give(panicked(function, &*panic)),
    }
}

/// Whether the structure reaches as far as the function needs.
///
/// # Safety
/// As [`guard`].
pub(super) unsafe fn check<A>(function: &'static str, arguments: *const A, needed: usize) -> Result {
    if arguments.is_null() {
        return Err(Error::new(Code::InvalidArgument, format!("{function}: arguments are null")));
    }
    // SAFETY: every structure of the API begins with its size.
    let size = unsafe { arguments.cast::<usize>().read() };
    if size < needed {
        let message = format!("{function}: expected arguments of at least {needed} bytes, not {size}");
        return Err(Error::new(Code::InvalidArgument, message));
    }
    Ok(())
}

/// The error that stands for a panic.
pub(super) fn panicked(function: &str, panic: &(dyn Any + Send)) -> Error {
    let reason = panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no reason given");
    Error::new(Code::Internal, format!("{function}: internal error of jax-mps: {reason}"))
}

/// An entry point of the API: `entry! { NAME(args: NAME_Args, field: Type, ..) { .. } }`.
///
/// The body sees `args` as a mutable reference, and each `field: Type` as a reference to the object behind the handle in
/// `args.field`. `entry! { raw NAME(args: NAME_Args) { .. } }` leaves `args` a pointer, for structures that newer headers
/// made longer.
macro_rules! entry {
    ($(#[$meta:meta])* raw $function:ident($args:ident: $Args:ty $(, $field:ident: $Object:ty)*) $body:block) => {
        $(#[$meta])*
        pub(super) unsafe extern "C" fn $function($args: *mut $Args) -> *mut pjrt_sys::PJRT_Error {
            let body = |$args: *mut $Args| -> $crate::pjrt::call::Result {
                $(
                    // SAFETY: the structure was checked; a handle in it is null or alive.
                    let $field = unsafe { <$Object as $crate::pjrt::call::Handle>::get((*$args).$field) }?;
                )*
                $body
            };
            // SAFETY: the caller passes the structure that belongs to the function.
            unsafe { $crate::pjrt::call::guard(stringify!($function), $args, <$Args>::STRUCT_SIZE, body) }
        }
    };
    ($(#[$meta:meta])* $function:ident($args:ident: $Args:ty $(, $field:ident: $Object:ty)*) $body:block) => {
        entry! {
            $(#[$meta])*
            raw $function($args: $Args $(, $field: $Object)*) {
                // SAFETY: the structure was checked, and belongs to this call.
                let $args = unsafe { &mut *$args };
                let _ = &$args;
                $body
            }
        }
    };
}

/// The elements of an array that the caller passes as pointer and length; a null pointer is an empty array.
///
/// # Safety
/// `pointer` is null or points to `length` elements that nobody writes to while the result is used.
pub(super) unsafe fn slice<'a, T>(pointer: *const T, length: usize) -> &'a [T] {
    if pointer.is_null() || length == 0 {
        return &[];
    }
    // SAFETY: passed on to the caller.
    unsafe { std::slice::from_raw_parts(pointer, length) }
}

/// Text that the caller passes as pointer and length, whatever its encoding.
///
/// # Safety
/// As [`slice`].
pub(super) unsafe fn text(pointer: *const c_char, length: usize) -> String {
    // SAFETY: passed on to the caller.
    String::from_utf8_lossy(unsafe { slice(pointer.cast::<u8>(), length) }).into_owned()
}
