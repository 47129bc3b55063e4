//! A kernel under construction: what is made, and in which nest.
#![forbid(unsafe_code)]

use std::collections::{HashMap, HashSet};
use std::ops::Range;

use super::alone::hands_on;
use super::callee::Callees;
use super::classes;
use super::uses::Uses;
use crate::expression::{Scalar, Value};
use crate::kernel::cost::Cost;
use crate::kernel::estimate;
use crate::kernel::ir::{Buffer, BufferId, Kernel, NestBuilder, Node, NodeId, Place, Statement, Store};
use crate::program::{Block, ElementType, Function, Op, OpKind, TensorType, ValueId};

/// Why a program, or a part of one, is not a kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stop {
    /// It holds what kernels do not.
    Refused(String),
    /// An element of the nest that is being built is read where that has not written it yet.
    Conflict,
}

/// Virtual values, one computed of another, that one recursion goes through.
const DEEPEST: usize = 64;

pub(super) type Result<T> = std::result::Result<T, Stop>;

pub(super) fn refused<T>(why: impl Into<String>) -> Result<T> {
    Err(Stop::Refused(why.into()))
}

/// Where a value is.
#[derive(Clone, Copy)]
pub(super) enum Where<'a> {
    /// In a buffer.
    Buffer(BufferId),
    /// Computed where it is used: a result of an op, by number.
    Virtual(&'a Op, usize),
    /// A node of the nest that is being built: an argument of a scalar region.
    Node(NodeId),
}

/// The nest that is being built.
#[derive(Default)]
pub(super) struct Open {
    pub(super) builder: NestBuilder,
    pub(super) sizes: Vec<usize>,
    /// What each value that it stores is, at the place where the outer loops are.
    pub(super) stored: HashMap<ValueId, NodeId>,
    pub(super) written: HashSet<BufferId>,
}

/// A kernel under construction.
pub(super) struct Lowering<'a> {
    pub(super) function: &'a Function,
    pub(super) uses: Uses<'a>,
    pub(super) kernel: Kernel,
    pub(super) places: HashMap<ValueId, Where<'a>>,
    pub(super) statements: Vec<Statement>,
    pub(super) open: Option<Open>,
    /// Buffers that are several values.
    pub(super) shared: HashSet<BufferId>,
    /// How many virtual values, one computed of another, stand behind each.
    pub(super) depths: HashMap<ValueId, usize>,
    pub(super) cost: Cost,
    callees: &'a Callees<'a>,
}

/// A kernel with what it costs.
#[derive(Debug)]
pub struct Built {
    /// The kernel.
    pub kernel: Kernel,
    /// What it costs, and what it would through MLX.
    pub cost: Cost,
}

impl<'a> Lowering<'a> {
    pub(super) fn new(function: &'a Function, block: &'a Block, callees: &'a Callees<'a>) -> Self {
        Self {
            function,
            uses: Uses::of(function, block),
            kernel: Kernel::default(),
            places: HashMap::new(),
            statements: Vec::new(),
            open: None,
            shared: HashSet::new(),
            depths: HashMap::new(),
            cost: Cost::default(),
            callees,
        }
    }

    pub(super) fn whole(&mut self, inputs: &[ValueId], block: &'a Block) -> Result<()> {
        for (index, &value) in inputs.iter().enumerate() {
            let (scalar, elements) = (self.scalar(value)?, self.tensor(value)?.elements());
            let buffer = self.buffer(scalar, elements, Place::Input(index as u32));
            // Two inputs of one value are one.
            self.places.entry(value).or_insert(Where::Buffer(buffer));
        }
        self.results(block)
    }

    pub(super) fn finish(mut self, outcome: Result<()>) -> std::result::Result<Built, String> {
        match outcome {
            Ok(()) => {}
            Err(Stop::Refused(why)) => return Err(why),
            Err(Stop::Conflict) => return Err("internal error: an unresolved conflict".to_owned()),
        }
        self.close();
        self.kernel.body = std::mem::take(&mut self.statements);
        let work = estimate::work(&self.kernel, &self.kernel.body);
        self.cost.steps += work.steps;
        self.cost.open_ended = work.open_ended;
        self.cost.waits = self.kernel.waits();
        Ok(Built { kernel: self.kernel, cost: self.cost })
    }

    /// The type of a value, if kernels hold such.
    pub(super) fn tensor(&self, value: ValueId) -> Result<&'a TensorType> {
        match self.function.tensor(value) {
            Some(ty) if ty.is_static() => Ok(ty),
            _ => refused("a value that is no tensor of known size"),
        }
    }

    pub(super) fn scalar(&self, value: ValueId) -> Result<Scalar> {
        let element = self.tensor(value)?.element;
        match Scalar::of(element) {
            Some(scalar) if element != ElementType::C128 => Ok(scalar),
            _ => refused(format!("elements of {element}")),
        }
    }

    pub(super) fn shape(&self, value: ValueId) -> Result<Vec<usize>> {
        Ok(self.tensor(value)?.shape.iter().map(|&size| usize::try_from(size).unwrap_or(0)).collect())
    }

    pub(super) fn buffer(&mut self, scalar: Scalar, elements: usize, place: Place) -> BufferId {
        self.kernel.buffers.push(Buffer { scalar, elements, place });
        (self.kernel.buffers.len() - 1) as BufferId
    }

    /// A buffer of the arena for a value.
    pub(super) fn scratch(&mut self, value: ValueId) -> Result<BufferId> {
        self.room(self.scalar(value)?, self.tensor(value)?.elements())
    }

    /// A buffer of the arena.
    pub(super) fn room(&mut self, scalar: Scalar, elements: usize) -> Result<BufferId> {
        let start = self.kernel.arena;
        let bytes = elements.saturating_mul(scalar.bytes());
        self.kernel.arena = start.saturating_add(bytes.next_multiple_of(64).max(64));
        if self.kernel.arena > 1 << 30 {
            return refused("more scratch memory than kernels take");
        }
        Ok(self.buffer(scalar, elements, Place::Arena(start)))
    }

    /// Lowers a block whose results are the outputs.
    pub(super) fn results(&mut self, block: &'a Block) -> Result<()> {
        self.block(&block.ops)?;
        for (index, &result) in block.results.iter().enumerate() {
            let (scalar, elements) = (self.scalar(result)?, self.tensor(result)?.elements());
            let output = self.buffer(scalar, elements, Place::Output(index as u32));
            self.bring(result, output)?;
        }
        Ok(())
    }

    /// Begins a nest of its own; the places of its loops, of which some are ordered.
    pub(super) fn begin(&mut self, sizes: &[usize], ordered: Range<u32>) -> Vec<NodeId> {
        self.close();
        let mut builder = NestBuilder::new(sizes);
        builder.nest.ordered = ordered;
        let index = (0..sizes.len() as u32).map(|dimension| builder.add(Node::Index(dimension), Scalar::I64)).collect();
        self.open = Some(Open { builder, sizes: sizes.to_vec(), ..Open::default() });
        index
    }

    /// Ends that nest.
    pub(super) fn end(&mut self, stores: Vec<Store>) {
        self.nest().nest.stores.extend(stores);
        self.close();
    }

    /// Ends the nest that is being built.
    pub(super) fn close(&mut self) {
        let Some(open) = self.open.take() else { return };
        if open.builder.nest.stores.is_empty() {
            return;
        }
        self.statements.push(Statement::Nest(open.builder.nest));
    }

    /// Lowers ops in their order.
    pub(super) fn block(&mut self, ops: &'a [Op]) -> Result<()> {
        for op in ops {
            self.op(op)?;
        }
        Ok(())
    }

    pub(super) fn op(&mut self, op: &'a Op) -> Result<()> {
        if !classes::is_free(&op.kind) {
            estimate::library(self.function, op, &mut self.cost);
        }
        if op.has_side_effect() {
            return refused(format!("{} has side effects", op.kind.name()));
        }
        if self.is_empty(op) {
            for &result in &op.results {
                let buffer = self.scratch(result)?;
                self.places.insert(result, Where::Buffer(buffer));
            }
            return Ok(());
        }
        if op.results.is_empty() {
            return Ok(());
        }
        match &op.kind {
            OpKind::While => return self.lower_while(op),
            OpKind::If | OpKind::Case => return self.lower_case(op),
            OpKind::DynamicUpdateSlice => return self.update_slice(op),
            OpKind::Scatter(scatter) => return self.scatter(op, scatter),
            OpKind::Sort { dimension, .. } => return self.sort(op, *dimension),
            OpKind::CustomCall(call) => match call.call_target_name.as_str() {
                "mhlo.topk" => return self.top_k(op),
                "ApproxTopK" | "stablehlo.dynamic_approx_top_k" => return self.approximate_top_k(op, call),
                _ => {}
            },
            OpKind::SelectAndScatter(attributes) => return self.select_and_scatter(op, attributes),
            OpKind::ReduceWindow(attributes) => {
                if let Some(direction) = self.cumulative(op, attributes)? {
                    return self.scan(op, direction);
                }
            }
            OpKind::RngBitGenerator { rng_algorithm } => return self.random_bits(op, *rng_algorithm),
            kind if hands_on(kind) => return self.hand_on(op),
            OpKind::Constant(literal) if !literal.splat && literal.ty.elements() != 1 => {
                let scalar = self.scalar(op.results[0])?;
                let place = Place::Constant(literal.data.as_slice().into());
                let buffer = self.buffer(scalar, literal.ty.elements(), place);
                self.places.insert(op.results[0], Where::Buffer(buffer));
                return Ok(());
            }
            _ => {}
        }
        if let Err(stop) = self.check(op) {
            return match (self.callees)(op) {
                Some(callee) => self.call(op, callee),
                None => Err(stop),
            };
        }
        for (index, &result) in op.results.iter().enumerate() {
            self.scalar(result)?;
            self.places.insert(result, Where::Virtual(op, index));
        }
        let stays = classes::is_free(&op.kind)
            || (classes::is_inlined(&op.kind)
                && op.results.len() == 1
                && self.uses.evaluations(op.results[0]) <= self.tensor(op.results[0])?.elements());
        let depth = op.operands.iter().filter_map(|value| self.depths.get(value)).max().map_or(1, |depth| depth + 1);
        if stays && depth <= DEEPEST {
            self.depths.extend(op.results.iter().map(|&result| (result, depth)));
        } else {
            self.make_all(op)?;
        }
        Ok(())
    }

    /// Whether nothing is to be computed: there are results, and they have no elements.
    fn is_empty(&self, op: &Op) -> bool {
        let control = matches!(op.kind, OpKind::While | OpKind::If | OpKind::Case);
        let empty = |result: &ValueId| {
            self.function.tensor(*result).is_some_and(|tensor| tensor.is_static() && tensor.elements() == 0)
        };
        !control && !op.results.is_empty() && op.results.iter().all(empty)
    }

    /// Makes the results of an op that are used.
    pub(super) fn make_all(&mut self, op: &'a Op) -> Result<()> {
        for &result in &op.results {
            if self.uses.count(result) > 0 {
                self.made(result)?;
            }
        }
        Ok(())
    }

    /// The buffer that holds a value.
    pub(super) fn made(&mut self, value: ValueId) -> Result<BufferId> {
        if let Some(Where::Buffer(buffer)) = self.places.get(&value) {
            return Ok(*buffer);
        }
        let buffer = self.scratch(value)?;
        self.make_in(value, buffer)?;
        self.places.insert(value, Where::Buffer(buffer));
        Ok(buffer)
    }

    /// Brings a value into a buffer.
    pub(super) fn bring(&mut self, value: ValueId, to: BufferId) -> Result<()> {
        match self.places.get(&value) {
            Some(&Where::Buffer(from)) => {
                // In the same nest if there is one that has it at hand.
                let at_hand = self.open.as_ref().is_some_and(|open| open.stored.contains_key(&value));
                if at_hand && self.shape(value)? == self.open.as_ref().map_or(&[][..], |open| &open.sizes[..]) {
                    return self.make_in(value, to);
                }
                self.close();
                self.statements.push(Statement::Copy { from, to });
                Ok(())
            }
            _ => {
                self.make_in(value, to)?;
                self.places.insert(value, Where::Buffer(to));
                Ok(())
            }
        }
    }

    /// Stores each element of a value, in the nest that is being built if it has the same loops.
    pub(super) fn make_in(&mut self, value: ValueId, to: BufferId) -> Result<()> {
        let sizes = self.shape(value)?;
        if self.open.as_ref().is_some_and(|open| open.sizes == sizes) {
            let before = self.open.as_ref().map(|open| open.builder.mark());
            // Nests that are too long keep nothing in registers.
            if before.is_some_and(|mark| mark.steps() < 512) {
                match self.try_make(value, to) {
                    Err(Stop::Conflict) => {}
                    other => return other,
                }
                if let (Some(open), Some(mark)) = (&mut self.open, before) {
                    open.builder.back_to(mark);
                }
            }
        }
        self.close();
        self.open = Some(Open { builder: NestBuilder::new(&sizes), sizes, ..Open::default() });
        self.try_make(value, to)
    }

    pub(super) fn try_make(&mut self, value: ValueId, to: BufferId) -> Result<()> {
        let Some(open) = &mut self.open else { return refused("internal error: no nest") };
        let rank = open.sizes.len();
        let index: Vec<NodeId> =
            (0..rank).map(|dimension| open.builder.add(Node::Index(dimension as u32), Scalar::I64)).collect();
        let node = self.element(value, &index)?;
        let Some(open) = &mut self.open else { return refused("internal error: no nest") };
        let sizes = open.sizes.clone();
        let at = open.builder.linear(&index, &sizes);
        open.builder.nest.stores.push(Store { buffer: to, at, value: node });
        open.stored.insert(value, node);
        open.written.insert(to);
        Ok(())
    }

    /// The nest that is being built.
    pub(super) fn nest(&mut self) -> &mut NestBuilder {
        &mut self.open.get_or_insert_with(Open::default).builder
    }

    pub(super) fn constant(&mut self, scalar: Scalar, value: Value) -> NodeId {
        self.nest().add(Node::Constant(value), scalar)
    }
}
