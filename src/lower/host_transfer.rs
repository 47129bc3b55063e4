//! send and recv to and from the host: what `jax.pure_callback`, `io_callback` and `debug.print` become.
#![forbid(unsafe_code)]

use std::cell::RefCell;
use std::rc::Rc;

use super::{Context, LowerError, Lowered, Row, array_from_host, shape_i32, storage, token_array};
use crate::mlx;
use crate::program::{HostTransfer, Op, OpKind, Type};

/// Rows of the op table.
pub static ROWS: &[Row] =
    &[Row { name: "send", note: TO_HOST, lower: lower_send }, Row { name: "recv", note: TO_HOST, lower: lower_recv }];

const TO_HOST: &str = "between device and host, for callbacks; waits for the device";

/// The host's side of a run: who takes what is sent, and gives what is received.
pub trait HostTransfers {
    /// Takes the elements of an array, row-major.
    ///
    /// # Errors
    /// What the host says, such as the exception of a callback.
    fn send(&self, channel: i64, elements: Vec<u8>) -> Result<(), String>;

    /// Waits for `bytes` bytes: an array, row-major.
    ///
    /// # Errors
    /// As [`Self::send`].
    fn receive(&self, channel: i64, bytes: usize) -> Result<Vec<u8>, String>;

    /// Whether the host no longer wants the run to go on.
    fn is_stopped(&self) -> bool {
        false
    }
}

thread_local! {
    static CURRENT: RefCell<Option<Rc<dyn HostTransfers>>> = const { RefCell::new(None) };
}

/// Runs `body` with the transfers of one run of a program. A callback may run another program on this thread: its
/// transfers stand in front until it is done.
pub fn with_host_transfers<R>(transfers: Option<Rc<dyn HostTransfers>>, body: impl FnOnce() -> R) -> R {
    struct Restore(Option<Rc<dyn HostTransfers>>);
    impl Drop for Restore {
        fn drop(&mut self) {
            CURRENT.set(self.0.take());
        }
    }
    let _restore = Restore(CURRENT.replace(transfers));
    body()
}

fn current() -> mlx::Result<Rc<dyn HostTransfers>> {
    CURRENT
        .with_borrow(Clone::clone)
        .ok_or_else(|| mlx::Error::new("the caller of the program passed no send and recv callbacks"))
}

/// Whether the host of this thread's run no longer wants it to go on.
pub(super) fn is_stopped() -> bool {
    CURRENT.with_borrow(|current| current.as_ref().is_some_and(|transfers| transfers.is_stopped()))
}

fn channel(context: &Context<'_>, op: &Op, transfer: &HostTransfer) -> Result<i64, LowerError> {
    if transfer.is_host_transfer {
        return Ok(transfer.channel.id);
    }
    Err(context.unsupported(op, "there is no other device to exchange data with"))
}

fn lower_send(context: &mut Context<'_>, op: &Op) -> Result<Lowered, LowerError> {
    let OpKind::Send(transfer) = &op.kind else { return Err(context.invalid(op, "attributes of send are missing")) };
    let channel = channel(context, op, transfer)?;
    if op.operands.len() != 2 || context.function.ty(op.operands[1]) != &Type::Token {
        return Err(context.unsupported(op, "one array and one token expected"));
    }
    context.operand(op, 0)?;
    let token = token_array()?;
    Ok(Lowered::new(move |inputs, stream| {
        let array = mlx::for_host(inputs[0], stream)?;
        current()?.send(channel, array.as_bytes()?.to_vec()).map_err(mlx::Error::new)?;
        Ok(smallvec::smallvec![token.clone()])
    }))
}

fn lower_recv(context: &mut Context<'_>, op: &Op) -> Result<Lowered, LowerError> {
    let OpKind::Recv(transfer) = &op.kind else { return Err(context.invalid(op, "attributes of recv are missing")) };
    let channel = channel(context, op, transfer)?;
    if op.results.len() != 2 || context.function.ty(op.results[1]) != &Type::Token {
        return Err(context.unsupported(op, "one array and one token expected"));
    }
    let result = context.result(op, 0)?;
    let element = result.element;
    let shape = shape_i32(&result.shape)?;
    let dtype = storage(element).ok_or_else(|| context.unsupported(op, &format!("mlx has no {element}")))?;
    let bytes = shape.iter().map(|&size| usize::try_from(size).unwrap_or(0)).product::<usize>() * dtype.size();
    let token = token_array()?;
    Ok(Lowered::new(move |_, _| {
        let elements = current()?.receive(channel, bytes).map_err(mlx::Error::new)?;
        if elements.len() != bytes {
            return Err(mlx::Error::new(format!(
                "{bytes} bytes expected on channel {channel}, {} came",
                elements.len()
            )));
        }
        Ok(smallvec::smallvec![array_from_host(element, elements.as_slice(), &shape, dtype)?, token.clone()])
    }))
}
