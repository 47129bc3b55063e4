//! Who uses what, and how often its elements would be computed if it were not kept.
#![forbid(unsafe_code)]

use std::collections::{HashMap, HashSet};

use super::classes::{is_free, is_inlined};
use crate::program::{Block, Function, Op, OpKind, ValueId};

/// The uses of all values in a block and those in it.
pub(super) struct Uses<'a> {
    function: &'a Function,
    by: HashMap<ValueId, Vec<Use<'a>>>,
}

#[derive(Clone, Copy)]
enum Use<'a> {
    /// By an op of the block that defines it.
    Op(&'a Op),
    /// By a region, or as a result: it must be kept.
    Kept,
}

impl<'a> Uses<'a> {
    pub fn of(function: &'a Function, block: &'a Block) -> Self {
        let mut uses = Self { function, by: HashMap::new() };
        uses.block(block);
        uses
    }

    fn block(&mut self, block: &'a Block) {
        let mut here: HashSet<ValueId> = block.arguments.iter().copied().collect();
        here.extend(block.ops.iter().flat_map(|op| op.results.iter().copied()));
        for op in &block.ops {
            for &operand in &op.operands {
                let own = here.contains(&operand);
                self.by.entry(operand).or_default().push(if own { Use::Op(op) } else { Use::Kept });
            }
            for region in &op.regions {
                self.block(region);
            }
        }
        for &result in &block.results {
            self.by.entry(result).or_default().push(Use::Kept);
        }
    }

    /// How many operands a value is.
    pub fn count(&self, value: ValueId) -> usize {
        self.by.get(&value).map_or(0, Vec::len)
    }

    /// How many elements of a value are computed in all if each use computes those that it takes.
    pub fn evaluations(&self, value: ValueId) -> usize {
        let elements = |value: &ValueId| self.function.tensor(*value).map_or(usize::MAX, |ty| ty.elements());
        let mut total = 0usize;
        for used in self.by.get(&value).map_or(&[][..], Vec::as_slice) {
            let Use::Op(op) = used else { return usize::MAX };
            total = total.saturating_add(match &op.kind {
                kind if is_free(kind) && op.results.len() == 1 => self.evaluations(op.results[0]),
                // Each element of a reduction's operand is taken once; its initial values for each result.
                OpKind::Reduce { .. } if op.operands[..op.operands.len() / 2].contains(&value) => elements(&value),
                OpKind::Reduce { .. } => usize::MAX,
                kind if is_inlined(kind) => op.results.first().map_or(usize::MAX, elements),
                _ => usize::MAX,
            });
        }
        total
    }
}
