//! `PJRT_Error`, through the functions and through its own table.

use std::ffi::c_char;
use std::ptr;

use pjrt_sys::*;

use super::super::abi::{PJRT_Error_ForEachPayload_Args, PJRT_Error_FunctionTable};
use super::super::error::give;
use super::{Failure, api, call, outcome, owned, zeroed};
use crate::runtime::{Code, Error};

#[test]
fn errors_tell_code_and_message() {
    let failure = outcome(give(Error::new(Code::ResourceExhausted, "too much"))).unwrap_err();
    assert_eq!(failure, Failure { code: 8, message: "too much".into() });
}

#[test]
fn errors_begin_with_their_table() {
    let error = give(Error::new(Code::DataLoss, "lost"));
    // SAFETY: since minor 107 an error is a structure that begins with its table.
    unsafe {
        let vtable = &**error.cast::<*const PJRT_Error_FunctionTable>();
        assert_eq!(vtable.struct_size, 56);
        let (mut text, mut size): (*const c_char, usize) = (ptr::null(), 0);
        vtable.message.unwrap()(error, &raw mut text, &raw mut size);
        assert_eq!(owned(text, size), "lost");
        assert_eq!(vtable.get_code.unwrap()(error), 15);
        vtable.for_each_payload.unwrap()(error, None, ptr::null_mut());
        vtable.destroy.unwrap()(error);
    }
}

#[test]
fn null_is_destroyed() {
    let mut args = zeroed::<PJRT_Error_Destroy_Args>(PJRT_Error_Destroy_Args::STRUCT_SIZE);
    // SAFETY: jaxlib does just this.
    unsafe { api().PJRT_Error_Destroy.unwrap()(&mut args) };
}

#[test]
fn payloads_are_asked_without_failure() {
    let error = give(Error::new(Code::Internal, "x"));
    call!(PJRT_Error_ForEachPayload, PJRT_Error_ForEachPayload_Args { error: error }).unwrap();
    assert!(outcome(error).is_err());
}

#[test]
fn panics_become_errors() {
    let mut args = zeroed::<PJRT_Event_IsReady_Args>(PJRT_Event_IsReady_Args::STRUCT_SIZE);
    // SAFETY: the structure is whole.
    let error = unsafe { super::super::call::guard("PJRT_Test", &raw mut args, 24, |_| panic!("broken {}", 1)) };
    let failure = outcome(error).unwrap_err();
    assert!(failure.is(Code::Internal));
    assert_eq!(failure.message, "PJRT_Test: internal error of jax-mps: broken 1");
}

#[test]
fn entry_points_run_in_an_autorelease_pool() {
    let mut args = zeroed::<PJRT_Event_IsReady_Args>(PJRT_Event_IsReady_Args::STRUCT_SIZE);
    let mut inside = 0;
    let body = |_: *mut PJRT_Event_IsReady_Args| {
        inside = crate::mlx::open_pools();
        Ok(())
    };
    // SAFETY: the structure is whole.
    let error = unsafe { super::super::call::guard("PJRT_Test", &raw mut args, 24, body) };
    assert!(error.is_null());
    assert_eq!((inside, crate::mlx::open_pools()), (1, 0));
}
