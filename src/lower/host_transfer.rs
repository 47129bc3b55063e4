//! send and recv to and from the host: what `jax.pure_callback`, `io_callback` and `debug.print` become.
#![forbid(unsafe_code)]

use super::{Context, LowerError, Lowered, Row, array_from_host, shape_i32, storage, token_array};
use crate::mlx;
use crate::plan::host_transfers;
use crate::program::{HostTransfer, Op, OpKind, Type};

/// Rows of the op table.
pub static ROWS: &[Row] =
    &[Row { name: "send", note: TO_HOST, lower: lower_send }, Row { name: "recv", note: TO_HOST, lower: lower_recv }];

const TO_HOST: &str = "between device and host, for callbacks; waits for the device";

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
        host_transfers()?.send(channel, array.as_bytes()?.to_vec()).map_err(mlx::Error::new)?;
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
        let elements = host_transfers()?.receive(channel, bytes).map_err(mlx::Error::new)?;
        if elements.len() != bytes {
            return Err(mlx::Error::new(format!(
                "{bytes} bytes expected on channel {channel}, {} came",
                elements.len()
            )));
        }
        Ok(smallvec::smallvec![array_from_host(element, elements.as_slice(), &shape, dtype)?, token.clone()])
    }))
}
