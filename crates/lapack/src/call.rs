//! Calls of Fortran routines: their arguments, workspaces and `info`.

use std::ffi::c_void;

use crate::{Error, Scalar};

/// What a Fortran routine takes: the address of everything.
pub(crate) trait Argument {
    fn pointer(self) -> *mut c_void;
}

impl<T> Argument for &T {
    fn pointer(self) -> *mut c_void {
        std::ptr::from_ref(self).cast_mut().cast()
    }
}

impl<T> Argument for &mut T {
    fn pointer(self) -> *mut c_void {
        std::ptr::from_mut(self).cast()
    }
}

/// The elements of a slice that is only read.
pub(crate) struct Read<'a, T>(pub(crate) &'a [T]);

impl<T> Argument for Read<'_, T> {
    fn pointer(self) -> *mut c_void {
        self.0.as_ptr().cast_mut().cast()
    }
}

/// The elements of a slice that is written.
pub(crate) struct Written<'a, T>(pub(crate) &'a mut [T]);

impl<T> Argument for Written<'_, T> {
    fn pointer(self) -> *mut c_void {
        self.0.as_mut_ptr().cast()
    }
}

/// An argument that is not looked at.
pub(crate) struct Unused;

impl Argument for Unused {
    fn pointer(self) -> *mut c_void {
        std::ptr::null_mut()
    }
}

macro_rules! pointer_for {
    ($argument:expr) => {
        *mut std::ffi::c_void
    };
}

macro_rules! length_for {
    ($character:literal) => {
        usize
    };
}

/// Calls a routine by its name. The numbers behind the semicolon are the lengths of the arguments that are characters,
/// which Fortran compilers pass by value at the end (Accelerate ignores them).
macro_rules! call {
    ($name:expr, $($argument:expr),+ $(; $($length:literal),+)?) => {{
        type Fortran = unsafe extern "C" fn(
            $($crate::call::pointer_for!($argument)),+ $(, $($crate::call::length_for!($length)),+)?
        );
        static ROUTINE: $crate::library::Routine = $crate::library::Routine::new($name);
        let address = ROUTINE.address()?;
        // SAFETY: the address is that of the routine with this name, all of whose arguments are pointers.
        let routine = unsafe { std::mem::transmute::<*const std::ffi::c_void, Fortran>(address) };
        // SAFETY: the arguments are those of LAPACK's documentation; the caller has checked that the slices have the
        // lengths that the sizes passed imply, and holds them during the call.
        unsafe { routine($($crate::call::Argument::pointer($argument)),+ $(, $($length),+)?) }
    }};
}

/// [`call!`] of a routine whose last argument is `info`: its value, as a result.
macro_rules! info {
    ($name:expr, $($argument:expr),+ $(; $($length:literal),+)?) => {{
        let mut info = 0i32;
        $crate::call::call!($name, $($argument,)+ &mut info $(; $($length),+)?);
        Ok(info)
    }};
}

pub(crate) use {call, info, length_for, pointer_for};

/// Calls a routine twice, with a workspace and its size: first it is asked for the best size (-1), then it is given that,
/// and `least` elements at least. Its `info`.
///
/// # Errors
/// Those of `routine`, and [`Error::TooLarge`].
pub(crate) fn with_workspace<T: Scalar>(
    least: usize,
    mut routine: impl FnMut(&mut [T], i32) -> Result<i32, Error>,
) -> Result<i32, Error> {
    let mut answer = T::default();
    routine(std::slice::from_mut(&mut answer), -1)?;
    // Single precision may have rounded the answer down.
    let size = (answer.real() * (1.0 + f64::from(f32::EPSILON))).ceil().max(0.0) as usize;
    let size = size.max(least).max(1);
    let size_as_counted = int(size)?;
    routine(&mut vec![T::default(); size], size_as_counted)
}

/// A size as LAPACK counts.
pub(crate) fn int(size: usize) -> Result<i32, Error> {
    i32::try_from(size).map_err(|_| Error::TooLarge { size })
}

/// A leading dimension: at least 1.
pub(crate) fn leading(rows: usize) -> Result<i32, Error> {
    int(rows.max(1))
}

/// Checks the length of a slice.
pub(crate) fn expect<T>(slice: &[T], expected: usize) -> Result<(), Error> {
    if slice.len() == expected { Ok(()) } else { Err(Error::Length { expected, came: slice.len() }) }
}
