//! Elements in order: sort by any comparator, and the greatest or least few.
#![forbid(unsafe_code)]

use super::elements::at;
use super::lowering::{Lowering, Result, Where, refused};
use crate::expression::arithmetic::total_order;
use crate::expression::{Scalar, Term};
use crate::kernel::ir::{BufferId, Node, NodeId, Sort, Sorted, Statement};
use crate::program::{Attribute, Attributes, CustomCall, Op, OpKind, ValueId};

impl<'a> Lowering<'a> {
    pub(super) fn sort(&mut self, op: &'a Op, dimension: i64) -> Result<()> {
        let [body] = &op.regions[..] else { return refused("a sort without its region") };
        let shape = self.shape(op.operands[0])?;
        let dimension = if dimension < 0 { dimension + shape.len() as i64 } else { dimension };
        let dimension = at(&[dimension], 0);
        if shape.is_empty() {
            for (&operand, &result) in op.operands.iter().zip(&op.results) {
                let buffer = self.scratch(result)?;
                self.bring(operand, buffer)?;
                self.places.insert(result, Where::Buffer(buffer));
            }
            return Ok(());
        }
        self.keep_captured(&op.regions)?;
        let mut from = Vec::with_capacity(op.operands.len());
        for &operand in &op.operands {
            from.push(self.sorted(operand, dimension)?);
        }
        let scalars = op.operands.iter().map(|&operand| self.scalar(operand)).collect::<Result<Vec<Scalar>>>()?;
        self.order(&op.results, from, &scalars, (&shape, dimension), shape[dimension], |lowering, arguments| {
            Ok(lowering.scalars(body, arguments.iter().copied())?[0])
        })
    }

    /// What is sorted: numbers that count along the dimension need not be in memory.
    fn sorted(&mut self, operand: ValueId, dimension: usize) -> Result<Sorted> {
        match self.places.get(&operand) {
            Some(Where::Virtual(op, _)) if op.kind == OpKind::Iota { iota_dimension: dimension as i64 } => {
                Ok(Sorted::Position)
            }
            _ => Ok(Sorted::Buffer(self.made(operand)?)),
        }
    }

    /// Sorts, by a comparator of the elements: of the first operand both, then of the second …
    fn order(
        &mut self,
        results: &[ValueId],
        from: Vec<Sorted>,
        scalars: &[Scalar],
        (shape, dimension): (&[usize], usize),
        kept: usize,
        comparator: impl FnOnce(&mut Self, &[NodeId]) -> Result<NodeId>,
    ) -> Result<()> {
        let mut to: Vec<BufferId> = Vec::with_capacity(results.len());
        let mut scratch = Vec::with_capacity(results.len());
        let size = shape[dimension];
        for (&result, &scalar) in results.iter().zip(scalars) {
            to.push(self.scratch(result)?);
            scratch.push([self.room(scalar, size)?, self.room(scalar, size)?]);
        }
        self.begin(&[], 0..0);
        let mut arguments = Vec::with_capacity(2 * scalars.len());
        for &scalar in scalars {
            for _ in 0..2 {
                let nest = self.nest();
                nest.nest.accumulators.push(scalar);
                arguments.push(nest.add(Node::Accumulator(arguments.len() as u32), scalar));
            }
        }
        let before = comparator(self, &arguments)?;
        let Some(open) = self.open.take() else { return refused("internal error: no nest") };
        let comparator = open.builder.nest;
        let sizes =
            [shape[..dimension].iter().product::<usize>(), size, shape[dimension + 1..].iter().product::<usize>()];
        self.statements.push(Statement::Sort(Sort { from, to: to.clone(), scratch, sizes, kept, comparator, before }));
        for (&result, &buffer) in results.iter().zip(&to) {
            self.places.insert(result, Where::Buffer(buffer));
        }
        Ok(())
    }

    /// The first elements in total order (NaN is the greatest, -NaN the least), equal ones by their places, with what
    /// accompanies them.
    fn extremes(&mut self, op: &'a Op, from: Vec<Sorted>, dimension: usize, largest: bool) -> Result<()> {
        let (shape, element) = (self.shape(op.operands[0])?, self.tensor(op.operands[0])?.element);
        if element.is_complex() || element.is_small_float() {
            return refused(format!("{element} has no order"));
        }
        let kept = self.shape(op.results[0])?[dimension];
        let scalars = op.results.iter().map(|&result| self.scalar(result)).collect::<Result<Vec<Scalar>>>()?;
        self.order(&op.results, from, &scalars, (&shape, dimension), kept, |lowering, arguments| {
            let key = |term: &Term| match term.scalar() {
                Scalar::Bool => term.cast(Scalar::U8),
                scalar if scalar.is_float() => total_order(term),
                _ => term.clone(),
            };
            Ok(lowering.term(&arguments[..2], |terms| {
                let (a, b) = (key(&terms[0]), key(&terms[1]));
                if largest { a.greater(b) } else { a.less(b) }
            }))
        })
    }

    pub(super) fn top_k(&mut self, op: &'a Op) -> Result<()> {
        let largest = match op.attributes.get("mhlo.attributes") {
            Some(Attribute::Dictionary(entries)) => !entries.contains(&("largest".to_owned(), Attribute::Bool(false))),
            _ => true,
        };
        let (&[operand], &[_, indices]) = (&op.operands[..], &op.results[..]) else {
            return refused("a top_k of other operands");
        };
        let Some(dimension) = self.tensor(operand)?.rank().checked_sub(1) else {
            return refused("a top_k of a scalar");
        };
        if !self.scalar(indices)?.is_integer() {
            return refused("indices that are no integers");
        }
        let from = vec![Sorted::Buffer(self.made(operand)?), Sorted::Position];
        self.extremes(op, from, dimension, largest)
    }

    /// The answer is exact, which every recall target allows.
    pub(super) fn approximate_top_k(&mut self, op: &'a Op, call: &CustomCall) -> Result<()> {
        let configuration = match op.attributes.get("mhlo.backend_config") {
            Some(Attribute::Dictionary(entries)) => Attributes(entries.clone()),
            _ => call.backend_attributes.clone(),
        };
        let dimension = configuration.integer("reduction_dim").and_then(|dimension| usize::try_from(dimension).ok());
        let (Some(dimension), &[operand, companion, ..], 2) = (dimension, &op.operands[..], op.results.len()) else {
            return refused("an approximate top_k of other operands");
        };
        let comparator = call.called_computations.first().map_or("", String::as_str);
        // The comparator is known by JAX's name for it.
        let largest = match comparator {
            _ if comparator.starts_with("top_k_gt_") => true,
            _ if comparator.starts_with("top_k_lt_") => false,
            _ => return refused(format!("unknown comparator @{comparator}")),
        };
        let (shape, results) = (self.shape(operand)?, self.shape(op.results[0])?);
        if dimension >= shape.len() || results[dimension] > shape[dimension] || self.shape(companion)? != shape {
            return refused("an approximate top_k of other sizes");
        }
        let from = vec![self.sorted(operand, dimension)?, self.sorted(companion, dimension)?];
        self.extremes(op, from, dimension, largest)
    }
}
