//! How often a loop turns, where the program says so.
#![forbid(unsafe_code)]

use super::lowering::{Lowering, Where};
use crate::program::{Binary, Block, Direction, Op, OpKind, ValueId};

impl Lowering<'_> {
    /// Of `for counter in (first..bound).step_by(step)`, all three constants: how often the body runs.
    pub(super) fn trips(&self, op: &Op) -> Option<u64> {
        let [condition, body] = &op.regions[..] else { return None };
        let mut compares = condition.ops.iter().filter(|op| !matches!(op.kind, OpKind::Constant(_)));
        let compare = compares.next().filter(|compare| compare.results == condition.results)?;
        if compares.next().is_some() || !matches!(compare.kind, OpKind::Compare { direction: Direction::Lt, .. }) {
            return None;
        }
        let &[left, right] = &compare.operands[..] else { return None };
        let counter = condition.arguments.iter().position(|&argument| argument == left)?;
        let bound = self.known(condition, right)?;
        let (&own, &next) = (body.arguments.get(counter)?, body.results.get(counter)?);
        let add = body.ops.iter().find(|op| op.results == [next])?;
        if add.kind != OpKind::Binary(Binary::Add) {
            return None;
        }
        let other = match add.operands[..] {
            [a, b] if a == own => b,
            [a, b] if b == own => a,
            _ => return None,
        };
        let step = self.known(body, other).filter(|&step| step > 0)?;
        let first = self.known(body, *op.operands.get(counter)?)?;
        let last = self.function.tensor(own)?.element;
        // One that wraps before it reaches the bound turns on.
        let most = (1i128 << (last.bits().min(64) - 1)) - 1;
        if !last.is_integer() || bound.checked_add(step)? > most {
            return None;
        }
        u64::try_from(((bound - first).max(0) + step - 1) / step).ok()
    }

    /// The only element of an integer constant of the block, or of outside.
    fn known(&self, block: &Block, value: ValueId) -> Option<i128> {
        let own = block.ops.iter().find(|op| op.results == [value]);
        let op = match (own, self.places.get(&value)) {
            (Some(op), _) => op,
            (None, Some(Where::Virtual(op, _))) => op,
            _ => return None,
        };
        match &op.kind {
            OpKind::Constant(literal) if literal.ty.elements() == 1 => literal.integers()?.first().copied(),
            _ => None,
        }
    }
}
