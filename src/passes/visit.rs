//! Renaming of values, shared by the passes.
#![forbid(unsafe_code)]

use std::collections::HashMap;

use crate::program::{Block, ValueId};

/// New names of values; a name may be renamed again.
#[derive(Default)]
pub(super) struct Renaming(HashMap<ValueId, ValueId>);

impl Renaming {
    /// Uses of `from` become uses of `to`.
    pub(super) fn insert(&mut self, from: ValueId, to: ValueId) {
        let to = self.get(to);
        self.0.insert(from, to);
    }

    /// The name to use.
    pub(super) fn get(&self, value: ValueId) -> ValueId {
        self.0.get(&value).copied().unwrap_or(value)
    }

    /// Renames uses in place.
    pub(super) fn apply(&self, values: &mut [ValueId]) {
        for value in values {
            *value = self.get(*value);
        }
    }

    /// Renames every use and definition in a block and the blocks in it.
    pub(super) fn apply_to_block(&self, block: &mut Block) {
        self.apply(&mut block.arguments);
        for op in &mut block.ops {
            self.apply(&mut op.operands);
            self.apply(&mut op.results);
            for region in &mut op.regions {
                self.apply_to_block(region);
            }
        }
        self.apply(&mut block.results);
    }
}
