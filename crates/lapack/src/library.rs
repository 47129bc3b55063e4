//! Where the routines are found: in the LAPACK of the MLX library that is loaded, by name.
//!
//! MLX's Linux wheels bring one beside libmlx.so, under a file name with a hash; on macOS it is the Accelerate
//! framework's. Nothing is linked, so the plugin loads with an MLX that lacks a routine, and only a program that needs
//! the routine fails.

use std::ffi::{CString, c_void};
use std::sync::OnceLock;

use crate::Error;

/// The address of a routine, kept where it is called from.
#[derive(Debug)]
pub(crate) struct Routine {
    /// In lower case, without the underscore at the end.
    name: &'static str,
    address: OnceLock<Option<usize>>,
}

impl Routine {
    pub(crate) const fn new(name: &'static str) -> Self {
        Self { name, address: OnceLock::new() }
    }

    /// # Errors
    /// [`Error::Missing`].
    pub(crate) fn address(&self) -> Result<*const c_void, Error> {
        let address = *self.address.get_or_init(|| find(self.name).map(|address| address as usize));
        address.map(|address| address as *const c_void).ok_or(Error::Missing { routine: self.name })
    }
}

fn find(name: &str) -> Option<*const c_void> {
    // Accelerate has a LAPACK of this decade under names of their own; the plain names are those of version 3.2.
    let names = if cfg!(target_os = "macos") {
        [format!("{name}$NEWLAPACK"), format!("{name}_")]
    } else {
        [format!("{name}_"), name.to_owned()]
    };
    let library = library()?;
    names.iter().find_map(|name| {
        let name = CString::new(name.as_str()).ok()?;
        // SAFETY: a live handle, which is never closed, and a string that ends in NUL.
        let address = unsafe { libc::dlsym(library as *mut c_void, name.as_ptr()) };
        (!address.is_null()).then_some(address.cast_const())
    })
}

/// A handle in whose scope (the library and what it was linked with) LAPACK is, or None.
fn library() -> Option<usize> {
    static LIBRARY: OnceLock<Option<usize>> = OnceLock::new();
    *LIBRARY.get_or_init(|| {
        #[cfg(target_os = "macos")]
        let (name, flags) = (c"/System/Library/Frameworks/Accelerate.framework/Accelerate", libc::RTLD_LAZY);
        // The MLX that is loaded already, never another one.
        #[cfg(not(target_os = "macos"))]
        let (name, flags) = (c"libmlx.so", libc::RTLD_LAZY | libc::RTLD_NOLOAD);
        // SAFETY: a string that ends in NUL; the library is loaded already, or a part of the system.
        let handle = unsafe { libc::dlopen(name.as_ptr(), flags) };
        (!handle.is_null()).then_some(handle as usize)
    })
}
