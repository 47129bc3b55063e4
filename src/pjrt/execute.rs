//! Running a program. What stands here runs on every call: it makes no text and takes no lock of its own.

use std::rc::Rc;
use std::sync::Arc;

use pjrt_sys::{PJRT_Buffer, PJRT_ExecuteOptions, PJRT_LoadedExecutable_Execute_Args};
use smallvec::SmallVec;

use super::buffer::Buffer;
use super::call::{Handle, Rest, Result, check, slice};
use super::event;
use super::loaded_executable::LoadedExecutable;
use super::transfers::Transfers;
use crate::runtime::{self, Code, Error, HostTransfers};

#[cold]
fn invalid(message: String) -> Error {
    Error::new(Code::InvalidArgument, message)
}

/// How the caller wants the program to run.
#[derive(Default)]
struct Options {
    /// Arguments that must stay as they are.
    non_donatable: SmallVec<[usize; 16]>,
    /// Callbacks.
    transfers: Option<Transfers>,
}

/// What of the options matters, at the size that every version of the structure has, for a program of that many
/// parameters.
///
/// # Safety
/// `options` is null or a caller's structure for one device.
unsafe fn options(options: *const PJRT_ExecuteOptions, parameters: usize) -> Result<Options> {
    if options.is_null() {
        return Ok(Options::default());
    }
    // SAFETY: the caller's structure.
    unsafe { check("PJRT_ExecuteOptions", options, PJRT_ExecuteOptions::STRUCT_SIZE) }?;
    // SAFETY: checked.
    let options = unsafe { &*options };
    // SAFETY: the caller's pointer and length.
    let indices = unsafe { slice(options.non_donatable_input_indices, options.num_non_donatable_input_indices) };
    let non_donatable = indices
        .iter()
        .map(|index| {
            let known = usize::try_from(*index).ok().filter(|index| *index < parameters);
            known.ok_or_else(|| invalid(format!("non-donatable input index {index} of {parameters} parameters")))
        })
        .collect::<Result<_>>()?;
    // SAFETY: the caller's options, of a call on one device.
    Ok(Options { non_donatable, transfers: unsafe { Transfers::new(options) } })
}

/// The buffers behind the caller's arguments.
///
/// # Safety
/// `list` points to `count` handles, each null or alive.
unsafe fn arguments<'a>(
    executable: &LoadedExecutable,
    list: *const *mut PJRT_Buffer,
    count: usize,
) -> Result<SmallVec<[&'a Arc<runtime::Buffer>; 16]>> {
    // SAFETY: passed on to the caller.
    let handles = unsafe { slice(list, count) };
    let expected = executable.description().runtime().parameters().len();
    if handles.len() != expected {
        let name = executable.description().runtime().name();
        return Err(invalid(format!("{name}: expected {expected} arguments, not {count}")));
    }
    let device = executable.devices()[0];
    let mut arguments = SmallVec::with_capacity(handles.len());
    for (index, handle) in handles.iter().enumerate() {
        // SAFETY: passed on to the caller.
        let buffer: &'a Buffer = unsafe { Buffer::get(*handle) }?;
        if buffer.device() != device {
            let name = executable.description().runtime().name();
            return Err(invalid(format!("{name}: argument {index} lies on another device than the program runs on")));
        }
        arguments.push(buffer.runtime());
    }
    Ok(arguments)
}

entry! {
    /// Runs the program. The outputs are there when their own events say so, and tell the errors of the computation; the
    /// event of the call is for its effects, which have happened when it returns, or failed.
    PJRT_LoadedExecutable_Execute(args: PJRT_LoadedExecutable_Execute_Args, executable: LoadedExecutable) {
        let _rest = Rest;
        let description = executable.description();
        if description.runtime().is_deleted() {
            return Err(invalid(format!("{}: the executable has been deleted", description.runtime().name())));
        }
        if args.num_devices != 1 || executable.devices().len() != 1 {
            let message = format!("expected a call on {} devices, not {}", executable.devices().len(), args.num_devices);
            return Err(invalid(message));
        }
        if !args.execute_device.is_null() && args.execute_device != executable.devices()[0] {
            return Err(invalid("the program was compiled for another device than it is to run on".into()));
        }
        if args.argument_lists.is_null() && args.num_args > 0 {
            return Err(invalid("argument_lists is null".into()));
        }
        if args.output_lists.is_null() {
            return Err(invalid("output_lists is null".into()));
        }
        // SAFETY: the caller's options, and the lists of one device, as was checked.
        let (options, list, outputs) = unsafe {
            let list = if args.num_args > 0 { *args.argument_lists } else { std::ptr::null() };
            (options(args.options, description.runtime().parameters().len())?, list, *args.output_lists)
        };
        // SAFETY: the caller passes that many handles.
        let arguments = unsafe { arguments(executable, list, args.num_args) }?;
        let transfers = options.transfers.map(|transfers| Rc::new(transfers) as Rc<dyn HostTransfers>);
        let (results, outcome) = description.runtime().execute(&arguments, &options.non_donatable, transfers)?;
        if results.len() != description.runtime().results().len() || (outputs.is_null() && !results.is_empty()) {
            return Err(Error::new(Code::Internal, format!("{} results have no place", results.len())));
        }
        for (index, result) in results.into_iter().enumerate() {
            let buffer = Buffer::new(executable.client(), result).give();
            // SAFETY: the caller has room for the outputs of the program.
            unsafe { outputs.add(index).write(buffer) };
        }
        if !args.device_complete_events.is_null() {
            // SAFETY: the caller has room for the event of one device.
            unsafe { args.device_complete_events.write(event::give(outcome)) };
        }
        Ok(())
    }
}
