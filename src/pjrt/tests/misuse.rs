//! What no caller should do: the answer is an error, and the process lives.

use std::ffi::c_void;
use std::ptr;

use pjrt_sys::*;

use super::{Buffer, Client, Failure, api, call, destroy_event, outcome};
use crate::runtime::Code;

type Entry = unsafe extern "C" fn(*mut c_void) -> *mut PJRT_Error;

/// Functions that return nothing: what comes back must not be looked at.
const VOID: [usize; 2] = [0, 1];

/// All 138 functions, as they lie behind the version.
pub(super) fn slots() -> &'static [*const c_void] {
    // SAFETY: the table is 40 bytes of header and 138 pointers.
    unsafe { std::slice::from_raw_parts(super::super::table().byte_add(40).cast::<*const c_void>(), 138) }
}

fn invoke(slot: *const c_void, arguments: *mut c_void) -> Result<(), Failure> {
    // SAFETY: all functions of the table take a pointer and return one, but for those in `VOID`.
    outcome(unsafe { std::mem::transmute::<*const c_void, Entry>(slot)(arguments) })
}

#[test]
fn null_arguments_are_errors() {
    for (index, slot) in slots().iter().enumerate().filter(|(index, _)| !VOID.contains(index)) {
        let failure = invoke(*slot, ptr::null_mut()).unwrap_err();
        assert!(failure.is(Code::InvalidArgument) || failure.is(Code::Unimplemented), "slot {index}: {failure:?}");
        assert!(failure.message.contains("PJRT_"), "slot {index}: {failure:?}");
    }
}

#[test]
fn short_arguments_are_errors() {
    for (index, slot) in slots().iter().enumerate().filter(|(index, _)| !VOID.contains(index)) {
        let mut arguments = [0_usize; 64];
        arguments[0] = 8;
        let failure = invoke(*slot, arguments.as_mut_ptr().cast()).map_err(|failure| failure.message);
        // Initialize and Attributes of the plugin are no exception: 8 bytes hold no extension pointer.
        assert!(failure.is_err(), "slot {index}");
        assert_eq!(arguments[1..], [0; 63], "slot {index} wrote behind the end");
    }
}

#[test]
fn null_handles_are_errors_or_nothing() {
    let client = slots().iter().position(|slot| {
        ptr::eq(*slot, api().PJRT_Client_Create.map_or(ptr::null(), |function| function as *const c_void))
    });
    for (index, slot) in slots().iter().enumerate().filter(|(index, _)| !VOID.contains(index) && Some(*index) != client)
    {
        let mut arguments = [0_usize; 64];
        arguments[0] = size_of_val(&arguments);
        // Destroying null is fine, and some functions need no handle; all others fail.
        if let Err(failure) = invoke(*slot, arguments.as_mut_ptr().cast()) {
            assert!(failure.is(Code::InvalidArgument) || failure.is(Code::Unimplemented), "slot {index}: {failure:?}");
        }
    }
}

#[test]
fn functions_that_are_not_there_say_so() {
    let names = [
        "PJRT_Client_DmaMap",
        "PJRT_Client_DmaUnmap",
        "PJRT_Device_PoisonExecution",
        "PJRT_Device_CreateAsyncTrackingEvent",
        "PJRT_AsyncTrackingEvent_Destroy",
        "PJRT_Buffer_DonateWithControlDependency",
        "PJRT_TopologyDescription_MakeCanonicalShapeForMemorySpace",
    ];
    let refused: Vec<String> = slots()
        .iter()
        .enumerate()
        .filter(|(index, _)| !VOID.contains(index))
        // Functions without implementation do not look at their arguments.
        .filter_map(|(_, slot)| invoke(*slot, ptr::null_mut()).err())
        .filter(|failure| failure.is(Code::Unimplemented))
        .map(|failure| failure.message)
        .collect();
    let expected = names.map(|name| format!("{name} is not implemented by jax-mps"));
    assert_eq!(refused, expected, "in the order of the table");
}

#[test]
fn a_stream_must_exist() {
    let asked = call!(PJRT_CopyToDeviceStream_GranuleSize, PJRT_CopyToDeviceStream_GranuleSize_Args {});
    assert!(asked.map(drop).unwrap_err().is(Code::InvalidArgument));
}

#[test]
fn semantics_of_host_buffers_must_exist() {
    let client = Client::new();
    let (data, dims) = ([1_f32, 2.], [2_i64]);
    let make = |semantics| {
        let args = call!(
            PJRT_Client_BufferFromHostBuffer,
            PJRT_Client_BufferFromHostBuffer_Args {
                client: client.0,
                data: data.as_ptr().cast(),
                type_: 11,
                dims: dims.as_ptr(),
                num_dims: 1,
                host_buffer_semantics: semantics,
                memory: client.memories()[0],
            }
        )?;
        destroy_event(args.done_with_host_buffer);
        Ok::<_, Failure>(Buffer(args.buffer))
    };
    for semantics in 0..4 {
        assert_eq!(make(semantics).unwrap().read::<f32>().unwrap(), data);
    }
    for semantics in [4, 99, u32::MAX] {
        let failure = make(semantics).unwrap_err();
        assert!(failure.is(Code::InvalidArgument) && failure.message.contains("semantics"), "{failure:?}");
    }
}

#[test]
fn references_are_not_given_back_twice() {
    let client = Client::new();
    let buffer = client.buffer(11, &[1], &[1_f32]);
    let decrease = || {
        call!(
            PJRT_Buffer_DecreaseExternalReferenceCount,
            PJRT_Buffer_DecreaseExternalReferenceCount_Args { buffer: buffer.0 }
        )
        .map(drop)
    };
    assert!(decrease().unwrap_err().is(Code::InvalidArgument));
    call!(
        PJRT_Buffer_IncreaseExternalReferenceCount,
        PJRT_Buffer_IncreaseExternalReferenceCount_Args { buffer: buffer.0 }
    )
    .unwrap();
    decrease().unwrap();
    assert!(decrease().unwrap_err().is(Code::InvalidArgument));
}

#[test]
fn void_functions_withstand_null() {
    // SAFETY: null is allowed.
    unsafe {
        api().PJRT_Error_Destroy.unwrap()(ptr::null_mut());
        api().PJRT_Error_Message.unwrap()(ptr::null_mut());
    }
}
