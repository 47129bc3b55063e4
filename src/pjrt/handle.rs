//! What callers pass: objects, structures of arguments, arrays and texts.

use std::ffi::c_char;

use crate::runtime::{Code, Error};

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

/// Whether the structure reaches as far as the function needs.
///
/// # Safety
/// `arguments` is null or points to a structure that begins with its size as `usize`.
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
