//! Which zeros a value can hold, as far as constants tell.
#![forbid(unsafe_code)]

use crate::expression::arithmetic::Zeros;
use crate::lower::Context;
use crate::program::{Block, Op, OpKind, ValueId};

/// Of a value of floats.
pub(super) fn of(context: &Context<'_>, value: ValueId) -> Zeros {
    let source = match context.constant(value) {
        Some(literal) => Some(literal),
        // The usual relu compares with a constant made larger.
        None => definition(&context.function.body, value)
            .filter(|op| matches!(op.kind, OpKind::BroadcastInDim { .. } | OpKind::Reshape))
            .and_then(|op| context.constant(op.operands[0])),
    };
    let Some(literal) = source else { return Zeros::Unknown };
    let width = literal.ty.element.bytes();
    let mut zeros = Zeros::None;
    for number in literal.data.chunks_exact(width) {
        let (sign, rest) = (number[width - 1] & 0x80 != 0, number[width - 1] & 0x7f);
        if rest == 0 && number[..width - 1].iter().all(|&byte| byte == 0) {
            if sign {
                return Zeros::Unknown;
            }
            zeros = Zeros::Positive;
        }
    }
    zeros
}

/// The op that makes a value, in the block or in the regions of its ops.
fn definition(block: &Block, value: ValueId) -> Option<&Op> {
    block.ops.iter().find_map(|op| {
        if op.results.contains(&value) {
            return Some(op);
        }
        op.regions.iter().find_map(|region| definition(region, value))
    })
}
