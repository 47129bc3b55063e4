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

    /// Whether a single op, of the block that defines the value, uses it, and uses it once.
    pub fn is_last(&self, value: ValueId) -> bool {
        matches!(self.by.get(&value).map(Vec::as_slice), Some([Use::Op(_)]))
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
                OpKind::Scatter(scatter) => self.of_scatter(op, scatter, value),
                OpKind::ReduceWindow(window) => {
                    // Each element as often as windows hold it, or once if the form is cumulative.
                    let volume = window.window_dimensions.iter().product::<i64>();
                    if volume == 1 { elements(&value) } else { usize::MAX }
                }
                kind if is_inlined(kind) => op.results.first().map_or(usize::MAX, elements),
                _ => usize::MAX,
            });
        }
        total
    }

    /// Operands and updates are taken once for each element, indices for each element of a window.
    fn of_scatter(&self, op: &Op, scatter: &crate::program::Scatter, value: ValueId) -> usize {
        let count = op.results.len();
        let elements = |value: ValueId| self.function.tensor(value).map_or(usize::MAX, |ty| ty.elements());
        let mut uses = op.operands.iter().enumerate().filter(|(_, operand)| **operand == value);
        let (Some((index, _)), None) = (uses.next(), uses.next()) else { return usize::MAX };
        if index != count {
            return elements(value);
        }
        let Some(updates) = self.function.tensor(op.operands[count + 1]) else { return usize::MAX };
        let sizes = scatter.update_window_dims.iter().map(|&dimension| updates.shape[dimension as usize] as usize);
        elements(value).saturating_mul(sizes.product())
    }
}
