//! `PJRT_Event` from its making to its end.

use std::ffi::{c_char, c_void};
use std::ptr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::time::Duration;

use pjrt_sys::*;

use super::super::abi::{PJRT_Event_Create_Args, PJRT_Event_Set_Args};
use super::super::event;
use super::{Failure, call, destroy_event, is_ready, outcome};
use crate::runtime::{Code, Completion, Error};

fn create() -> *mut PJRT_Event {
    call!(PJRT_Event_Create, PJRT_Event_Create_Args {}).unwrap().event
}

fn set(event: *mut PJRT_Event, code: PJRT_Error_Code, message: &str) -> Result<(), Failure> {
    call!(
        PJRT_Event_Set,
        PJRT_Event_Set_Args {
            event: event,
            error_code: code,
            error_message: message.as_ptr().cast::<c_char>(),
            error_message_size: message.len(),
        }
    )
    .map(drop)
}

/// Sends the outcome of an event to the channel behind the argument.
unsafe extern "C" fn notify(error: *mut PJRT_Error, sender: *mut c_void) {
    // SAFETY: the tests pass a boxed sender, once.
    let sender = unsafe { Box::from_raw(sender.cast::<Sender<Result<(), Failure>>>()) };
    sender.send(outcome(error)).expect("the test waits");
}

fn on_ready(event: *mut PJRT_Event) -> std::sync::mpsc::Receiver<Result<(), Failure>> {
    let (sender, receiver) = channel();
    call!(
        PJRT_Event_OnReady,
        PJRT_Event_OnReady_Args {
            event: event,
            callback: Some(notify),
            user_arg: Box::into_raw(Box::new(sender)).cast(),
        }
    )
    .unwrap();
    receiver
}

#[test]
fn created_events_are_set_once() {
    let event = create();
    assert!(!is_ready(event));
    let told = on_ready(event);
    assert!(told.try_recv().is_err());
    set(event, 0, "").unwrap();
    assert!(is_ready(event));
    assert_eq!(told.recv_timeout(Duration::from_secs(10)).unwrap(), Ok(()));
    call!(PJRT_Event_Await, PJRT_Event_Await_Args { event: event }).unwrap();
    assert!(set(event, 0, "").unwrap_err().is(Code::FailedPrecondition));
    destroy_event(event);
}

#[test]
fn failures_reach_everyone() {
    let event = create();
    let early = on_ready(event);
    set(event, 14, "gone").unwrap();
    let late = on_ready(event);
    let expected = Err(Failure { code: 14, message: "gone".into() });
    assert_eq!(early.recv_timeout(Duration::from_secs(10)).unwrap(), expected);
    assert_eq!(late.recv_timeout(Duration::from_secs(10)).unwrap(), expected);
    assert_eq!(call!(PJRT_Event_Await, PJRT_Event_Await_Args { event: event }).map(drop), expected);
    assert_eq!(call!(PJRT_Event_Error, PJRT_Event_Error_Args { event: event }).map(drop), expected);
    destroy_event(event);
}

#[test]
fn unknown_codes_are_unknown_errors() {
    let event = create();
    set(event, 99, "strange").unwrap();
    let failure = call!(PJRT_Event_Error, PJRT_Event_Error_Args { event: event }).map(drop).unwrap_err();
    assert!(failure.is(Code::Unknown));
    destroy_event(event);
}

#[test]
fn awaiting_blocks_until_set() {
    let event = create();
    let address = event.addr();
    let setter = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(20));
        set(ptr::with_exposed_provenance_mut(address), 0, "").unwrap();
    });
    event.expose_provenance();
    call!(PJRT_Event_Await, PJRT_Event_Await_Args { event: event }).unwrap();
    assert!(is_ready(event));
    setter.join().unwrap();
    destroy_event(event);
}

/// Whoever awaits an event may free what its callbacks use.
#[test]
fn awaiting_ends_after_the_callbacks() {
    unsafe extern "C" fn slow(error: *mut PJRT_Error, done: *mut c_void) {
        assert_eq!(outcome(error), Ok(()));
        std::thread::sleep(Duration::from_millis(100));
        // SAFETY: the test passes a flag that lives until the callback is done.
        unsafe { &*done.cast::<AtomicBool>() }.store(true, Ordering::Release);
    }
    let event = create();
    let done = [const { AtomicBool::new(false) }; 2];
    for flag in &done {
        let user_arg = ptr::from_ref(flag).cast_mut().cast();
        call!(PJRT_Event_OnReady, PJRT_Event_OnReady_Args { event: event, callback: Some(slow), user_arg: user_arg })
            .unwrap();
    }
    let address = event.expose_provenance();
    let setter = std::thread::spawn(move || set(ptr::with_exposed_provenance_mut(address), 0, "").unwrap());
    call!(PJRT_Event_Await, PJRT_Event_Await_Args { event: event }).unwrap();
    assert!(done.iter().all(|flag| flag.load(Ordering::Acquire)), "a callback is still running");
    setter.join().unwrap();
    destroy_event(event);
}

#[test]
fn a_callback_may_await_its_own_event() {
    unsafe extern "C" fn await_it(error: *mut PJRT_Error, event: *mut c_void) {
        assert_eq!(outcome(error), Ok(()));
        call!(PJRT_Event_Await, PJRT_Event_Await_Args { event: event.cast() }).unwrap();
    }
    let event = create();
    call!(
        PJRT_Event_OnReady,
        PJRT_Event_OnReady_Args { event: event, callback: Some(await_it), user_arg: event.cast() }
    )
    .unwrap();
    set(event, 0, "").unwrap();
    destroy_event(event);
}

#[test]
fn the_ready_event_is_shared_and_survives_its_destruction() {
    let event = event::give(Completion::ready());
    assert_eq!(event, event::ready());
    destroy_event(event);
    destroy_event(event);
    assert!(is_ready(event));
    call!(PJRT_Event_Error, PJRT_Event_Error_Args { event: event }).unwrap();
    assert_eq!(on_ready(event).recv().unwrap(), Ok(()));
    assert!(set(event, 0, "").unwrap_err().is(Code::FailedPrecondition));
}

#[test]
fn failed_events_are_not_shared() {
    let event = event::give(Completion::failed(Error::new(Code::Aborted, "no")));
    assert_ne!(event, event::ready());
    assert!(is_ready(event));
    assert!(call!(PJRT_Event_Error, PJRT_Event_Error_Args { event: event }).is_err());
    destroy_event(event);
}

#[test]
fn callbacks_must_exist() {
    let event = event::ready();
    let failure = call!(PJRT_Event_OnReady, PJRT_Event_OnReady_Args { event: event }).map(drop).unwrap_err();
    assert!(failure.is(Code::InvalidArgument));
}
