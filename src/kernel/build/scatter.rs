//! Elements that are combined where indices say, one update after the other: scatter, select_and_scatter.
#![forbid(unsafe_code)]

use super::elements::{at, position};
use super::lowering::{Lowering, Result, Where, refused};
use super::reductions::Window;
use crate::expression::{Binary, Scalar, Unary};
use crate::kernel::ir::{BufferId, Node, NodeId, Place, Store};
use crate::program::{Direction, Op, Scatter, SelectAndScatter, ValueId};

impl<'a> Lowering<'a> {
    /// The buffer in which an operand becomes a result: its own where nobody else looks at it, and whether it is that.
    pub(super) fn updated(&mut self, operand: ValueId, result: ValueId) -> Result<(BufferId, bool)> {
        if let Some(&Where::Buffer(buffer)) = self.places.get(&operand) {
            let place = &self.kernel.buffers[buffer as usize].place;
            if matches!(place, Place::Arena(_)) && !self.shared.contains(&buffer) && self.uses.is_last(operand) {
                return Ok((buffer, true));
            }
        }
        let to = self.scratch(result)?;
        let known = self.places.get(&operand).copied();
        self.bring(operand, to)?;
        // What is there changes.
        if let Some(place) = known {
            self.places.insert(operand, place);
        }
        Ok((to, false))
    }

    pub(super) fn scatter(&mut self, op: &'a Op, scatter: &Scatter) -> Result<()> {
        let count = op.results.len();
        let [body] = &op.regions[..] else { return refused("a scatter without its region") };
        if op.operands.len() != 2 * count + 1 || body.arguments.len() != 2 * count {
            return refused("a scatter of other operands");
        }
        self.keep_captured(&op.regions)?;
        let (indices, updates) = (op.operands[count], &op.operands[count + 1..]);
        let (shape, sizes) = (self.shape(op.operands[0])?, self.shape(updates[0])?);
        let mut results = Vec::with_capacity(count);
        for (&operand, &result) in op.operands.iter().zip(&op.results) {
            let (buffer, owned) = self.updated(operand, result)?;
            if owned {
                // They may be made of what is overwritten.
                self.made(indices)?;
                for &update in updates {
                    self.made(update)?;
                }
            }
            results.push(buffer);
        }
        if !shape.contains(&0) && !sizes.contains(&0) {
            self.scatter_updates(op, scatter, &results)?;
        }
        for (&result, &buffer) in op.results.iter().zip(&results) {
            self.places.insert(result, Where::Buffer(buffer));
        }
        Ok(())
    }

    /// One update after the other.
    fn scatter_updates(&mut self, op: &'a Op, scatter: &Scatter, results: &[BufferId]) -> Result<()> {
        let count = op.results.len();
        let (indices, updates) = (op.operands[count], &op.operands[count + 1..]);
        let (shape, sizes) = (self.shape(op.operands[0])?, self.shape(updates[0])?);
        // Windows in the order of their indices, whatever the order of the dimensions.
        let is_window = |dimension: &usize| position(&scatter.update_window_dims, *dimension).is_some();
        let (windows, batches): (Vec<usize>, Vec<usize>) = (0..sizes.len()).partition(is_window);
        let order = [&batches[..], &windows[..]].concat();
        let loops: Vec<usize> = order.iter().map(|&dimension| sizes[dimension]).collect();
        let index = self.begin(&loops, 0..batches.len() as u32);
        let (batch, window) = index.split_at(batches.len());
        let mut place = vec![index.first().copied().unwrap_or(0); sizes.len()];
        for (&dimension, &node) in order.iter().zip(&index) {
            place[dimension] = node;
        }
        let absent = |dimension: usize| {
            position(&scatter.inserted_window_dims, dimension)
                .or(position(&scatter.input_batching_dims, dimension))
                .is_some()
        };
        let zero = self.nest().number(0);
        let (mut target, mut extents) = (vec![zero; shape.len()], vec![1; shape.len()]);
        let mut offsets = windows.iter().zip(window);
        for dimension in (0..shape.len()).filter(|&dimension| !absent(dimension)) {
            let Some((&of_update, &offset)) = offsets.next() else { return refused("windows of another rank") };
            (target[dimension], extents[dimension]) = (offset, sizes[of_update]);
        }
        let vector = at(&[scatter.index_vector_dim], 0);
        let has_vector = vector < self.tensor(indices)?.rank();
        let mut inside = None;
        for (number, &dimension) in scatter.scatter_dims_to_operand_dims.iter().enumerate() {
            let dimension = at(&[dimension], 0);
            let mut inner = batch.to_vec();
            if has_vector {
                let number = self.nest().number(number as i64);
                inner.insert(vector, number);
            }
            let start = self.element(indices, &inner)?;
            let (start, there) = self.placed(start, indices, shape[dimension].saturating_sub(extents[dimension]))?;
            target[dimension] = self.nest().index(Binary::Add, target[dimension], start);
            inside = Some(self.both(inside, there));
        }
        for (&dimension, &of_indices) in scatter.input_batching_dims.iter().zip(&scatter.scatter_indices_batching_dims)
        {
            let number = at(&[of_indices], 0);
            let number = if has_vector && number > vector { number - 1 } else { number };
            target[at(&[dimension], 0)] = batch[number];
        }
        let linear = self.nest().linear(&target, &shape);
        let mut arguments = Vec::with_capacity(2 * count);
        for (&result, &buffer) in op.results.iter().zip(results) {
            let scalar = self.scalar(result)?;
            arguments.push(self.nest().add(Node::Load(buffer, linear), scalar));
        }
        for &update in updates {
            arguments.push(self.element(update, &place)?);
        }
        let before = arguments[..count].to_vec();
        let combined = self.scalars(&op.regions[0], arguments.into_iter())?;
        let stores = results.iter().zip(before.iter().zip(&combined)).map(|(&buffer, (&before, &value))| {
            // What lies outside is dropped: its place, moved inside, keeps what it has.
            let value = match inside {
                Some(inside) => self.term(&[inside, value, before], |terms| terms[0].select(&terms[1], &terms[2])),
                None => value,
            };
            Store { buffer, at: linear, value }
        });
        let stores = stores.collect();
        self.end(stores);
        Ok(())
    }

    /// A start within 0 and `last`, and whether it was that already.
    fn placed(&mut self, start: NodeId, indices: ValueId, last: usize) -> Result<(NodeId, NodeId)> {
        let element = self.tensor(indices)?.element;
        let is_u64 = element.is_unsigned_integer() && element.bits() == 64;
        let clamped = self.bounded(start, is_u64, last)?;
        let nest = self.nest();
        let scalar = nest.scalar(start);
        // As numbers of the wider type: u64 in their own.
        let (a, b, scalar) = if is_u64 {
            (start, nest.add(Node::Unary(Unary::Convert, clamped), Scalar::U64), Scalar::U64)
        } else if scalar == Scalar::I64 {
            (start, clamped, scalar)
        } else {
            (nest.add(Node::Unary(Unary::Convert, start), Scalar::I64), clamped, Scalar::I64)
        };
        debug_assert_eq!(nest.scalar(a), scalar, "two numbers of one type");
        Ok((clamped, nest.add(Node::Compare(Direction::Eq, a, b), Scalar::Bool)))
    }

    /// For each window the element that its region selects, with which the source's is combined.
    pub(super) fn select_and_scatter(&mut self, op: &'a Op, attributes: &SelectAndScatter) -> Result<()> {
        let ([select, scatter], &[operand, source, init]) = (&op.regions[..], &op.operands[..]) else {
            return refused("a select_and_scatter of other operands");
        };
        self.keep_captured(&op.regions)?;
        let (shape, sizes, scalar) = (self.shape(operand)?, self.shape(source)?, self.scalar(op.results[0])?);
        self.made(operand)?;
        let to = self.scratch(op.results[0])?;
        let place = self.begin(&shape, 0..0);
        let (value, at) = (self.element(init, &[])?, self.nest().linear(&place, &shape));
        self.end(vec![Store { buffer: to, at, value }]);
        if !shape.contains(&0) && !sizes.contains(&0) {
            let index = self.begin(&sizes, 0..sizes.len() as u32);
            let selected = self.selected(select, operand, &self.select_windows(attributes, &shape), &index)?;
            let [number, found] = selected;
            let before = self.nest().add(Node::Load(to, number), scalar);
            let element = self.element(source, &index)?;
            let value = self.scalars(scatter, [before, element].into_iter())?[0];
            let value = self.term(&[found, value, before], |terms| terms[0].select(&terms[1], &terms[2]));
            self.end(vec![Store { buffer: to, at: number, value }]);
        }
        self.places.insert(op.results[0], Where::Buffer(to));
        Ok(())
    }

    fn select_windows(&self, attributes: &SelectAndScatter, shape: &[usize]) -> Vec<Window> {
        let size = |list: &[i64], dimension: usize| if list.is_empty() { 1 } else { at(list, dimension) };
        shape
            .iter()
            .enumerate()
            .map(|(dimension, &elements)| {
                let (low, high) = attributes.padding.get(dimension).copied().unwrap_or_default();
                Window {
                    size: elements,
                    window: size(&attributes.window_dimensions, dimension),
                    stride: size(&attributes.window_strides, dimension),
                    base: 1,
                    dilation: 1,
                    low,
                    high,
                }
            })
            .collect()
    }

    /// The number of the element that a window selects, and whether there is one: padding is never selected.
    fn selected(
        &mut self,
        select: &'a crate::program::Block,
        operand: ValueId,
        windows: &[Window],
        index: &[NodeId],
    ) -> Result<[NodeId; 2]> {
        let (shape, scalar) = (self.shape(operand)?, self.scalar(operand)?);
        let sizes: Vec<usize> = windows.iter().map(|each| each.window).collect();
        let none = self.constant(scalar, crate::expression::Value::default());
        let no = self.constant(Scalar::Bool, crate::expression::Value::from_bits(0));
        let zero = self.nest().number(0);
        let places = self.fold(&sizes, &[scalar, Scalar::I64, Scalar::Bool], vec![none, zero, no])?;
        let (mut inside, mut inner) = (None, Vec::with_capacity(windows.len()));
        for (dimension, each) in windows.iter().enumerate() {
            let (at, there) = self.within(each, index[dimension], places[dimension]);
            inner.push(at);
            if let Some(there) = there {
                inside = Some(self.both(inside, there));
            }
        }
        let element = self.element(operand, &inner)?;
        let number = self.nest().linear(&inner, &shape);
        let accumulators = self.accumulators();
        let &[best, best_number, found] = &accumulators[..] else {
            return refused("internal error: three accumulators");
        };
        let keep = self.scalars(select, [best, element].into_iter())?[0];
        let keep = self.term(&[found, keep], |terms| &terms[0] & &terms[1]);
        let take = self.term(&[keep], |terms| !&terms[0]);
        let take = self.both(inside, take);
        let choose = |lowering: &mut Self, new: NodeId, old: NodeId| {
            lowering.term(&[take, new, old], |terms| terms[0].select(&terms[1], &terms[2]))
        };
        let next = vec![
            choose(self, element, best),
            choose(self, number, best_number),
            self.term(&[found, take], |terms| &terms[0] | &terms[1]),
        ];
        let results = self.folded(next);
        Ok([results[1], results[2]])
    }
}
