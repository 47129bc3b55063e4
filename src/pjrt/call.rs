//! What stands around every entry point.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;

use pjrt_sys::PJRT_Error;

use super::error;
use super::float_environment::KeepsDenormals;
use crate::runtime::{Code, Error, autorelease_pool, interpreter};

pub(super) use super::handle::{Handle, Result, check, slice, text};

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
    let _keeps_denormals = KeepsDenormals::new();
    let outcome = catch_unwind(AssertUnwindSafe(|| autorelease_pool(run)));
    match outcome {
        Ok(Ok(())) => ptr::null_mut(),
        Ok(Err(error)) => error::give(error),
        Err(panic) => error::give(panicked(function, &*panic)),
    }
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
