//! Copies of buffers to the host.

use std::ffi::c_void;
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use pjrt_sys::{PJRT_Buffer_ToHostBuffer_Args, PJRT_Event};

use super::abi::{
    PJRT_Buffer_CopyRawToHost_Args, PJRT_Buffer_CopyRawToHostFuture_Args, PJRT_Buffer_CopyRawToHostFuture_Callback_Args,
};
use super::buffer::Buffer;
use super::call::{Rest, Result};
use super::copy::{Dims, dense_bytes, same_places, strided};
use super::error::{self, contain};
use super::{event, layout, types};
use crate::runtime::{self, Code, Completer, Completion, Error};

/// Memory of the caller that a copy fills. The caller leaves it alone until the event of the copy.
#[derive(Clone, Copy)]
struct Destination(*mut u8);

// SAFETY: the caller grants the memory to the copy, whichever thread does it.
unsafe impl Send for Destination {}

/// How the elements are to lie at the destination.
enum Form {
    /// As in the buffer, a part of it.
    Raw { offset: usize, length: usize },
    /// With these byte strides.
    Strided(Dims),
}

/// Copies elements that are there.
fn copy_now(buffer: &runtime::Buffer, form: &Form, Destination(to): Destination) -> Result {
    let element_bytes = types::element_bytes(buffer.ty());
    let dims = buffer.dims();
    let _span = runtime::span("copy", || format!("{} bytes to the host", buffer.size_in_bytes()));
    buffer.read(|bytes| match form {
        Form::Raw { offset, length } => {
            let Some(part) = offset.checked_add(*length).and_then(|end| bytes.get(*offset..end)) else {
                let message = format!("no {length} bytes at {offset} in a buffer of {}", bytes.len());
                return Err(Error::new(Code::OutOfRange, message));
            };
            // SAFETY: the caller's memory has room for as many bytes.
            unsafe { std::ptr::copy_nonoverlapping(part.as_ptr(), to, part.len()) };
            Ok(())
        }
        Form::Strided(strides) => {
            if bytes.len() != dense_bytes(dims, element_bytes)? {
                return Err(Error::new(Code::Internal, format!("{} bytes in a buffer of {dims:?}", bytes.len())));
            }
            let from = layout::strides_of(buffer.layout(), dims, element_bytes);
            // SAFETY: the buffer has all its elements, as was checked; the caller's memory has room for the layout.
            unsafe { strided(dims, element_bytes, (bytes.as_ptr(), &from), (to, strides)) }
        }
    })?
}

/// Copies to the caller's memory and gives the event of it: at once when the elements are there, else when they are, on a
/// thread that is not the runtime's.
fn copy(buffer: &Arc<runtime::Buffer>, form: Form, to: Destination) -> Result<*mut PJRT_Event> {
    let ready = buffer.completion();
    if ready.is_ready() {
        copy_now(buffer, &form, to)?;
        return Ok(event::ready());
    }
    let (completion, completer) = Completion::manual();
    let job = Job { buffer: buffer.clone(), form, to, completer };
    ready.on_ready(Box::new(move |_| submit(job)));
    Ok(event::give(completion))
}

/// A copy whose elements are there.
struct Job {
    buffer: Arc<runtime::Buffer>,
    form: Form,
    to: Destination,
    completer: Completer,
}

impl Job {
    fn run(self) {
        let outcome = copy_now(&self.buffer, &self.form, self.to);
        self.completer.complete(outcome);
    }
}

/// Hands a copy to the thread that makes them: a long copy must not hold up the events of other work.
fn submit(job: Job) {
    static COPIER: OnceLock<Option<Mutex<Sender<Job>>>> = OnceLock::new();
    let copier = COPIER.get_or_init(|| {
        let (sender, receiver) = channel::<Job>();
        let spawned = std::thread::Builder::new()
            .name("jax-mps-copies".into())
            .spawn(move || receiver.into_iter().for_each(|job| contain(|| job.run())));
        spawned.ok().map(|_| Mutex::new(sender))
    });
    let unsent = match copier {
        Some(sender) => sender.lock().unwrap_or_else(PoisonError::into_inner).send(job).map_err(|unsent| unsent.0),
        None => Err(job),
    };
    // Without a thread the copy is made here.
    if let Err(job) = unsent {
        job.run();
    }
}

entry! {
    /// Copies to the host in the layout that the caller asks for, or else in the buffer's own; without a destination, tells the size.
    PJRT_Buffer_ToHostBuffer(args: PJRT_Buffer_ToHostBuffer_Args, src: Buffer) {
        let _rest = Rest;
        let buffer = src.runtime();
        let element_bytes = types::element_bytes(buffer.ty());
        // SAFETY: the caller's layout is null or valid during the call.
        let strides = unsafe { layout::strides(args.host_layout, buffer.layout(), buffer.dims(), element_bytes) }?;
        let needed = extent(buffer.dims(), &strides, element_bytes)?;
        if args.dst.is_null() && needed > 0 {
            args.dst_size = needed;
            return Ok(());
        }
        src.require_alive()?;
        if args.dst_size < needed {
            let message = format!("expected room for {needed} bytes at the destination, not {}", args.dst_size);
            return Err(Error::new(Code::InvalidArgument, message));
        }
        let own = layout::strides_of(buffer.layout(), buffer.dims(), element_bytes);
        let form = if same_places(buffer.dims(), &strides, &own) {
            Form::Raw { offset: 0, length: needed }
        } else {
            Form::Strided(strides)
        };
        args.event = copy(buffer, form, Destination(args.dst.cast()))?;
        Ok(())
    }
}

/// Bytes from the first to the last element, whose strides the caller gave.
fn extent(dims: &[i64], strides: &[i64], element_bytes: usize) -> Result<usize> {
    if dense_bytes(dims, element_bytes)? == 0 {
        return Ok(0);
    }
    let reach = dims.iter().zip(strides).try_fold(0_usize, |reach, (size, stride)| {
        let step = usize::try_from(*stride).ok()?.checked_mul(usize::try_from(*size - 1).ok()?)?;
        reach.checked_add(step)
    });
    reach.and_then(|reach| reach.checked_add(element_bytes)).ok_or_else(|| {
        Error::new(Code::InvalidArgument, format!("strides {strides:?} of the host layout are negative or too large"))
    })
}

fn part(offset: i64, length: i64, size: usize) -> Result<Form> {
    usize::try_from(offset)
        .ok()
        .zip(usize::try_from(length).ok())
        .filter(|(offset, length)| offset.checked_add(*length).is_some_and(|end| end <= size))
        .map(|(offset, length)| Form::Raw { offset, length })
        .ok_or_else(|| {
            Error::new(Code::InvalidArgument, format!("no {length} bytes at {offset} in a buffer of {size}"))
        })
}

entry! {
    /// Copies a part of the bytes to the host.
    PJRT_Buffer_CopyRawToHost(args: PJRT_Buffer_CopyRawToHost_Args, buffer: Buffer) {
        let _rest = Rest;
        buffer.require_alive()?;
        let form = part(args.offset, args.transfer_size, buffer.runtime().size_in_bytes())?;
        if args.dst.is_null() && args.transfer_size > 0 {
            return Err(Error::new(Code::InvalidArgument, "the destination is null"));
        }
        args.event = copy(buffer.runtime(), form, Destination(args.dst.cast()))?;
        Ok(())
    }
}

/// A copy that waits for its destination.
struct Future {
    buffer: Arc<runtime::Buffer>,
    form: Form,
    completer: Completer,
}

entry! {
    /// Copies a part of the bytes to the host, to a place that the caller tells later by calling back.
    PJRT_Buffer_CopyRawToHostFuture(args: PJRT_Buffer_CopyRawToHostFuture_Args, buffer: Buffer) {
        buffer.require_alive()?;
        let form = part(args.offset, args.transfer_size, buffer.runtime().size_in_bytes())?;
        let (completion, completer) = Completion::manual();
        let future = Box::new(Future { buffer: buffer.runtime().clone(), form, completer });
        args.event = event::give(completion);
        args.callback_data = Box::into_raw(future).cast::<c_void>();
        args.future_ready_callback = Some(destination_ready);
        Ok(())
    }
}

unsafe extern "C" fn destination_ready(args: *mut PJRT_Buffer_CopyRawToHostFuture_Callback_Args) {
    contain(|| {
        // SAFETY: the caller calls back once, with the data that it got and a valid structure.
        let (args, future) = unsafe {
            let Some(args) = args.as_ref() else { return };
            if args.callback_data.is_null() {
                return;
            }
            (args, Box::from_raw(args.callback_data.cast::<Future>()))
        };
        let Future { buffer, form, completer } = *future;
        if args.error_code != 0 {
            // SAFETY: with an error comes its message.
            let error = unsafe { error::from_caller(args.error_code, args.error_message, args.error_message_size) };
            return completer.complete(Err(error));
        }
        let job = Job { buffer: buffer.clone(), form, to: Destination(args.dst.cast()), completer };
        buffer.completion().on_ready(Box::new(move |_| submit(job)));
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extents() {
        assert_eq!(extent(&[2, 3], &[12, 4], 4).unwrap(), 24);
        assert_eq!(extent(&[2, 3], &[4, 8], 4).unwrap(), 24);
        assert_eq!(extent(&[2, 3], &[100, 4], 4).unwrap(), 112);
        assert_eq!(extent(&[2, 0], &[-4, 4], 4).unwrap(), 0);
        assert_eq!(extent(&[2], &[-4], 4).unwrap_err().code, Code::InvalidArgument);
    }

    #[test]
    fn parts_stay_inside() {
        assert!(part(0, 8, 8).is_ok());
        assert!(part(8, 0, 8).is_ok());
        assert!(part(1, 8, 8).is_err());
        assert!(part(-1, 2, 8).is_err());
        assert!(part(i64::MAX, i64::MAX, 8).is_err());
    }
}
