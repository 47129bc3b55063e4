//! Windows that are prefixes or suffixes along one dimension: cumulative sums and their kin, an element from the one before.
#![forbid(unsafe_code)]

use super::lowering::{Lowering, Result, Where, refused};
use super::reductions::Window;
use super::regions::{Combination, Combiner};
use crate::expression::{Binary, Scalar};
use crate::kernel::ir::{BufferId, Node, NodeId, Store};
use crate::program::{Op, ReduceWindow};

/// Suffixes of up to so many elements are folded each for itself, in their order, which regions that are not associative
/// can tell.
const LONGEST_FOLD: usize = 16;

/// The dimension of a cumulative form, and whether it runs backwards.
fn direction(windows: &[Window]) -> Option<(usize, bool)> {
    let is_trivial = |each: &Window| each.is_element() && each.low == 0 && each.high == 0;
    let mut rest = windows.iter().enumerate().filter(|(_, each)| !is_trivial(each));
    let (dimension, each) = rest.next()?;
    let whole =
        each.window == each.size && (each.stride, each.base, each.dilation) == (1, 1, 1) && rest.next().is_none();
    let others = each.size as i64 - 1;
    match (each.low, each.high) {
        (low, 0) if whole && low == others => Some((dimension, false)),
        (0, high) if whole && high == others => Some((dimension, true)),
        _ => None,
    }
}

impl<'a> Lowering<'a> {
    /// The dimension along which a reduce_window is cumulative, and whether it runs backwards.
    pub(super) fn cumulative(&self, op: &'a Op, attributes: &ReduceWindow) -> Result<Option<(usize, bool)>> {
        let windows = self.windows(op, attributes)?;
        let Some((dimension, reverse)) = direction(&windows) else { return Ok(None) };
        let [body] = &op.regions[..] else { return refused("a reduction without its region") };
        let known = self.combination(body, &op.results)?.combiners.is_some();
        Ok((known || !reverse || windows[dimension].size > LONGEST_FOLD).then_some((dimension, reverse)))
    }

    /// Each element from what the one before it has become, which is kept in a buffer for each row, wide.
    pub(super) fn scan(&mut self, op: &'a Op, (dimension, reverse): (usize, bool)) -> Result<()> {
        let count = op.results.len();
        let [body] = &op.regions[..] else { return refused("a reduction without its region") };
        self.keep_captured(&op.regions)?;
        let combination = self.combination(body, &op.results)?;
        // Of what is no known function, a suffix is combined without its initial value, which comes before it at last.
        let init_last = reverse
            && !combination
                .combiners
                .as_ref()
                .is_some_and(|list| list.iter().all(|combiner| matches!(combiner, Combiner::Binary(_))));
        let shape = self.shape(op.operands[0])?;
        self.check_length(&combination, shape[dimension])?;
        let mut rows = shape.clone();
        rows.remove(dimension);
        let mut carried: Vec<BufferId> = Vec::with_capacity(count);
        for &wide in &combination.wide {
            carried.push(self.room(wide, rows.iter().product())?);
        }
        let mut results = Vec::with_capacity(count);
        for &result in &op.results {
            results.push(self.scratch(result)?);
        }

        let place = self.begin(&rows, 0..0);
        let inits = self.inits(op, &combination)?;
        let at = self.nest().linear(&place, &rows);
        let stores = carried.iter().zip(&inits).map(|(&buffer, &value)| Store { buffer, at, value }).collect();
        self.end(stores);

        let index = self.begin(&shape, dimension as u32..dimension as u32 + 1);
        let mut inner = index.clone();
        if reverse {
            let last = self.nest().number(shape[dimension] as i64 - 1);
            inner[dimension] = self.nest().index(Binary::Subtract, last, index[dimension]);
        }
        let mut row = index.clone();
        row.remove(dimension);
        let row = self.nest().linear(&row, &rows);
        let mut elements = Vec::with_capacity(count);
        for &operand in &op.operands[..count] {
            elements.push(self.element(operand, &inner)?);
        }
        let before: Vec<NodeId> = carried
            .iter()
            .zip(&combination.wide)
            .map(|(&buffer, &wide)| self.nest().add(Node::Load(buffer, row), wide))
            .collect();
        let (next, made) = if init_last {
            let inits = self.inits(op, &combination)?;
            let combined = self.combined(&combination, &elements, &before)?;
            let zero = self.nest().number(0);
            let first =
                self.nest().add(Node::Compare(crate::program::Direction::Eq, index[dimension], zero), Scalar::Bool);
            let wide = self.widened(&combination, &elements);
            let next: Vec<NodeId> = wide
                .iter()
                .zip(&combined)
                .map(|(&element, &next)| {
                    self.term(&[first, element, next], |terms| terms[0].select(&terms[1], &terms[2]))
                })
                .collect();
            let made = self.combined(&combination, &inits, &next)?;
            (next, made)
        } else {
            let next = self.combined(&combination, &before, &elements)?;
            (next.clone(), next)
        };
        let narrow = self.narrowed(&combination, &made);
        let next = self.limited(&combination, &next, &narrow);
        let at = self.nest().linear(&inner, &shape);
        let mut stores: Vec<Store> =
            carried.iter().zip(&next).map(|(&buffer, &value)| Store { buffer, at: row, value }).collect();
        stores.extend(results.iter().zip(&narrow).map(|(&buffer, &value)| Store { buffer, at, value }));
        self.end(stores);
        for (&result, &buffer) in op.results.iter().zip(&results) {
            self.places.insert(result, Where::Buffer(buffer));
        }
        Ok(())
    }

    /// What is carried on in f64 leaves the range of f32 with the results: what has overflowed or vanished does not come
    /// back.
    fn limited(&mut self, combination: &Combination<'a>, next: &[NodeId], narrow: &[NodeId]) -> Vec<NodeId> {
        let mut limited = Vec::with_capacity(next.len());
        for (index, (&next, &narrow)) in next.iter().zip(narrow).enumerate() {
            let (from, wide) = (combination.narrow[index], combination.wide[index]);
            limited.push(if (from, wide) != (Scalar::F32, Scalar::F64) {
                next
            } else {
                self.term(&[next, narrow], |terms| {
                    let stays = terms[1].is_finite() & terms[1].not_equal(0.0);
                    stays.select(&terms[0], terms[1].cast(wide))
                })
            });
        }
        limited
    }

    /// The initial values, wide.
    fn inits(&mut self, op: &'a Op, combination: &Combination<'a>) -> Result<Vec<NodeId>> {
        let mut inits = Vec::with_capacity(op.results.len());
        for &init in &op.operands[op.results.len()..] {
            inits.push(self.element(init, &[])?);
        }
        Ok(self.widened(combination, &inits))
    }
}
