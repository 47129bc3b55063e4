//! Loop nests as instructions.
#![forbid(unsafe_code)]

use cranelift_codegen::ir::condcodes::{FloatCC, IntCC};
use cranelift_codegen::ir::{Block, BlockArg, InstBuilder, Value, types};

use super::at_once::at_once;
use super::emit::Function;
use super::steps::{Number, register};
use super::vector::{Lanes, Vectors};
use crate::expression::{self, Binary, Scalar};
use crate::kernel::ir::{BufferId, Nest, Node, NodeId, Step};
use crate::kernel::schedule::{Schedule, joins};
use crate::program::Direction;

/// What a step has given.
#[derive(Clone, Debug)]
enum Item {
    /// The same in all lanes.
    One(Number),
    /// Other numbers in each.
    Many(Lanes),
}

impl Item {
    fn flat(&self) -> Vec<Value> {
        match self {
            Self::One(Number::One(value)) => vec![*value],
            Self::One(Number::Pair(real, imaginary)) => vec![*real, *imaginary],
            Self::Many(lanes) => lanes.parts.to_vec(),
        }
    }

    /// The same kind of number in other registers.
    fn of(&self, values: &mut impl Iterator<Item = Value>) -> Option<Self> {
        Some(match self {
            Self::One(Number::One(_)) => Self::One(Number::One(values.next()?)),
            Self::One(Number::Pair(..)) => Self::One(Number::Pair(values.next()?, values.next()?)),
            Self::Many(lanes) => {
                Self::Many(values.take(lanes.parts.len()).collect::<smallvec::SmallVec<[Value; 8]>>().into())
            }
        })
    }
}

/// The items that were carried, in the registers that carry them.
fn shaped(values: &[Value], like: &[Item]) -> Result<Vec<Item>, String> {
    let mut values = values.iter().copied();
    like.iter().map(|item| item.of(&mut values).ok_or_else(|| "a register is missing".to_owned())).collect()
}

/// A nest that is being emitted.
struct State<'a> {
    nest: &'a Nest,
    schedule: Schedule,
    /// Where each loop is.
    indices: Vec<Option<Value>>,
    /// The same, in turns that are written one after the other.
    known: Vec<i64>,
    accumulators: Vec<Option<Item>>,
    steps: Vec<Option<Item>>,
    /// How many lanes there are here: those of the loop around the body, or of a fold.
    lanes: usize,
    lanes_of: Option<usize>,
}

pub(super) struct Loop {
    turns: Turns,
    pub(super) index: Value,
    /// None: there is one turn only.
    body: Option<Block>,
    carried: Vec<Value>,
}

/// Where an index begins, how it goes on, and the last one. A last one that is not reached in steps is taken all the same.
#[derive(Clone, Copy)]
pub(super) struct Turns {
    first: usize,
    step: usize,
    last: usize,
}

impl Turns {
    pub(super) fn of(size: usize, lanes: usize) -> Self {
        Self { first: 0, step: lanes, last: size - lanes }
    }
}

impl<'b> Function<'_, 'b> {
    pub fn nest(&mut self, nest: &Nest) -> Result<(), String> {
        if nest.dimensions[..nest.outer as usize].contains(&0) {
            return Ok(());
        }
        let schedule = Schedule::new(self.kernel, nest, at_once);
        let loops = schedule.outer.len() + schedule.folds.iter().map(Vec::len).sum::<usize>();
        let lanes = schedule.lanes;
        let outer = schedule.outer.clone();
        let mut state = State {
            nest,
            schedule,
            indices: vec![None; loops],
            known: Vec::new(),
            accumulators: vec![None; nest.accumulators.len()],
            steps: vec![None; nest.steps.len()],
            lanes: 1,
            lanes_of: None,
        };
        if state.schedule.unrolls() {
            return self.unrolled(&mut state);
        }
        self.level(&mut state, 0, 0)?;
        let mut loops = Vec::with_capacity(outer.len());
        for (number, &size) in outer.iter().enumerate() {
            let lanes = if number + 1 == outer.len() { lanes } else { 1 };
            loops.push(self.begin(Turns::of(size, lanes), &[]));
            state.indices[number] = Some(loops[number].index);
            state.lanes = lanes;
            self.level(&mut state, 0, number as u32 + 1)?;
        }
        for store in &nest.stores {
            self.write(&mut state, store.buffer, store.at, store.value)?;
        }
        while let Some(each) = loops.pop() {
            self.end(each, &[]);
        }
        Ok(())
    }

    /// All turns one after the other.
    fn unrolled(&mut self, state: &mut State<'_>) -> Result<(), String> {
        let sizes = state.schedule.outer.clone();
        for turn in 0..sizes.iter().product::<usize>() {
            let mut rest = turn;
            state.known = vec![0; sizes.len()];
            for (number, &size) in sizes.iter().enumerate().rev() {
                state.known[number] = (rest % size) as i64;
                rest /= size;
                state.indices[number] = Some(self.builder.ins().iconst(types::I64, state.known[number]));
            }
            for level in 0..=sizes.len() as u32 {
                self.level(state, 0, level)?;
            }
            for store in &state.nest.stores {
                self.write(state, store.buffer, store.at, store.value)?;
            }
        }
        Ok(())
    }

    /// Which of the numbers that a buffer keeps in registers is meant.
    fn kept(&self, state: &State<'_>, buffer: BufferId, at: NodeId) -> Result<Option<usize>, String> {
        if self.kept[buffer as usize].is_none() {
            return Ok(None);
        }
        if self.kernel.buffers[buffer as usize].elements == 1 {
            return Ok(Some(0));
        }
        let sum = state.schedule.sums[at as usize].as_ref().ok_or("an address that is no sum")?;
        let known = sum.factors.iter().zip(&state.known).map(|(factor, known)| factor * known).sum::<i64>();
        usize::try_from(sum.constant + known).map(Some).map_err(|_| "a place before a buffer".to_owned())
    }

    fn vectors(&mut self, state: &State<'_>) -> Vectors<'_, 'b> {
        Vectors { emitter: self.emitter(), lanes: state.lanes }
    }

    /// Begins a loop, which carries values.
    pub(super) fn begin(&mut self, turns: Turns, carried: &[Value]) -> Loop {
        let first = self.builder.ins().iconst(types::I64, turns.first as i64);
        if turns.first >= turns.last {
            return Loop { turns, index: first, body: None, carried: carried.to_vec() };
        }
        let body = self.builder.create_block();
        let index = self.builder.append_block_param(body, types::I64);
        let mut arguments = vec![BlockArg::Value(first)];
        let mut inside = Vec::with_capacity(carried.len());
        for &value in carried {
            let ty = self.builder.func.dfg.value_type(value);
            inside.push(self.builder.append_block_param(body, ty));
            arguments.push(BlockArg::Value(value));
        }
        self.builder.ins().jump(body, &arguments);
        self.builder.switch_to_block(body);
        Loop { turns, index, body: Some(body), carried: inside }
    }

    /// Ends a loop; what it carries after the last turn.
    pub(super) fn end(&mut self, Loop { turns, index, body, .. }: Loop, carried: &[Value]) -> Vec<Value> {
        let Some(body) = body else { return carried.to_vec() };
        let after = self.builder.create_block();
        let last = turns.last as i64;
        let next = self.builder.ins().iadd_imm_s(index, turns.step as i64);
        let more = self.builder.ins().icmp_imm_s(IntCC::UnsignedLessThan, index, last);
        let next = if (turns.last - turns.first).is_multiple_of(turns.step) {
            next
        } else {
            let last = self.builder.ins().iconst(types::I64, last);
            let beyond = self.builder.ins().icmp(IntCC::UnsignedGreaterThan, next, last);
            self.builder.ins().select(beyond, last, next)
        };
        let mut again = vec![BlockArg::Value(next)];
        let mut outside = Vec::with_capacity(carried.len());
        let mut leave = Vec::with_capacity(carried.len());
        for &value in carried {
            let ty = self.builder.func.dfg.value_type(value);
            outside.push(self.builder.append_block_param(after, ty));
            again.push(BlockArg::Value(value));
            leave.push(BlockArg::Value(value));
        }
        self.builder.ins().brif(more, body, &again, after, &leave);
        self.builder.switch_to_block(after);
        outside
    }

    /// Emits the steps of a scope that stand in so many of its loops.
    fn level(&mut self, state: &mut State<'_>, scope: u32, level: u32) -> Result<(), String> {
        let nest = state.nest;
        for (id, step) in nest.steps.iter().enumerate() {
            let schedule = &state.schedule;
            let here = step.scope == scope && schedule.levels[id] == level;
            if here && schedule.needed[id] && !schedule.rare[id] {
                let item = self.step(state, id as NodeId)?;
                state.steps[id] = Some(item);
            }
        }
        Ok(())
    }

    fn step(&mut self, state: &mut State<'_>, id: NodeId) -> Result<Item, String> {
        let nest = state.nest;
        let step = &nest.steps[id as usize];
        let of = |id: NodeId| nest.steps[id as usize].scalar;
        if state.schedule.sums[id as usize].as_ref().is_some_and(|sum| sum.is_affine()) {
            return self.index(state, id);
        }
        Ok(match step.node {
            Node::Index(_) => return Err("an index that is no sum".to_owned()),
            Node::Constant(value) => Item::One(self.emitter().constant(value, step.scalar)),
            Node::Accumulator(number) => {
                state.accumulators[number as usize].clone().ok_or("an accumulator out of its fold")?
            }
            Node::Load(buffer, at) => self.read(state, buffer, at, step.scalar)?,
            Node::Folded(fold, index) => {
                let accumulator = nest.folds[fold as usize].accumulators.start as usize + index as usize;
                if state.accumulators[accumulator].is_none() {
                    self.fold(state, fold as usize)?;
                }
                state.accumulators[accumulator].clone().ok_or("a fold without results")?
            }
            Node::Unary(function, a) => match need(state, a)? {
                Item::One(a_number) => Item::One(self.emitter().unary(function, of(a), step.scalar, a_number)?),
                Item::Many(lanes) => Item::Many(self.vectors(state).unary(function, of(a), step.scalar, &lanes)?),
            },
            Node::Binary(function @ (Binary::Maximum | Binary::Minimum), a, b)
                if self.bound(nest, function, a, b).is_some() =>
            {
                let (number, bound, zero) = self.bound(nest, function, a, b).ok_or("no bound")?;
                self.bounded(state, function, number, bound, zero)?
            }
            Node::Binary(function, a, b) => match (need(state, a)?, need(state, b)?) {
                (Item::One(x), Item::One(y)) => Item::One(self.emitter().binary(function, of(a), x, y)?),
                (x, y) => {
                    let uniform = if let Item::One(number) = y { Some(number) } else { None };
                    let (x, y) = (self.spread(state, a, x), self.spread(state, b, y));
                    Item::Many(self.vectors(state).binary(function, of(a), &x, &y, uniform)?)
                }
            },
            Node::Compare(direction, a, b) => match (need(state, a)?, need(state, b)?) {
                (Item::One(x), Item::One(y)) => {
                    Item::One(Number::One(self.emitter().compare(direction, of(a), x.one(), y.one())))
                }
                (x, y) => {
                    let (x, y) = (self.spread(state, a, x), self.spread(state, b, y));
                    Item::Many(self.vectors(state).compare(direction, of(a), &x, &y)?)
                }
            },
            Node::Select(condition, yes, no) if state.schedule.rare[yes as usize] => {
                self.rarely(state, condition, yes, no)?
            }
            Node::Select(condition, yes, no) => {
                let items = (need(state, condition)?, need(state, yes)?, need(state, no)?);
                if let (Item::One(condition), Item::One(yes), Item::One(no)) = items {
                    Item::One(self.emitter().select(condition.one(), yes, no))
                } else {
                    let mask = self.spread(state, condition, items.0);
                    let (yes, no) = (self.spread(state, yes, items.1), self.spread(state, no, items.2));
                    Item::Many(self.vectors(state).select(&mask, &yes, &no, step.scalar))
                }
            }
        })
    }

    /// A selection whose first choice is computed only where it is taken.
    fn rarely(&mut self, state: &mut State<'_>, condition: NodeId, yes: NodeId, no: NodeId) -> Result<Item, String> {
        let scalar = state.nest.steps[no as usize].scalar;
        let (mask, usual) = (need(state, condition)?, need(state, no)?);
        let (cold, after) = (self.builder.create_block(), self.builder.create_block());
        self.builder.set_cold_block(cold);
        let any = match &mask {
            Item::One(number) => number.one(),
            Item::Many(lanes) => self.vectors(state).any(lanes),
        };
        let usual = match (&mask, usual) {
            (Item::Many(_), usual) => Item::Many(self.spread(state, no, usual)),
            (_, usual) => usual,
        };
        let leave: Vec<BlockArg> = usual.flat().into_iter().map(BlockArg::Value).collect();
        self.builder.ins().brif(any, cold, &[], after, &leave);
        self.builder.switch_to_block(cold);
        let item = self.step(state, yes)?;
        let chosen = match (mask, item, &usual) {
            (Item::One(_), item, Item::One(_)) => item,
            (mask, item, _) => {
                let (mask, item) = (self.spread(state, condition, mask), self.spread(state, yes, item));
                let usual = self.spread(state, no, usual.clone());
                Item::Many(self.vectors(state).select(&mask, &item, &usual, scalar))
            }
        };
        let chosen = match (&usual, chosen) {
            (Item::Many(_), chosen) => Item::Many(self.spread(state, no, chosen)),
            (_, chosen) => chosen,
        };
        let leave: Vec<BlockArg> = chosen.flat().into_iter().map(BlockArg::Value).collect();
        self.builder.ins().jump(after, &leave);
        self.builder.switch_to_block(after);
        let values: Vec<Value> = chosen
            .flat()
            .into_iter()
            .map(|value| {
                let ty = self.builder.func.dfg.value_type(value);
                self.builder.append_block_param(after, ty)
            })
            .collect();
        usual.of(&mut values.into_iter()).ok_or_else(|| "a register is missing".to_owned())
    }

    /// A number and what bounds it: a constant that is no NaN, and whether a zero may come out that has the wrong sign.
    fn bound(&self, nest: &Nest, function: Binary, a: NodeId, b: NodeId) -> Option<(NodeId, NodeId, bool)> {
        let known = |id: NodeId| match nest.steps[id as usize] {
            Step { node: Node::Constant(value), scalar: scalar @ (Scalar::F32 | Scalar::F64), .. } => {
                let number = value.to_f64(scalar);
                (!number.is_nan()).then_some(number)
            }
            _ => None,
        };
        let (number, bound, value) = match (known(a), known(b)) {
            (_, Some(value)) => (a, b, value),
            (Some(value), None) => (b, a, value),
            _ => return None,
        };
        match (function, value == 0.0, value.is_sign_negative()) {
            // -0 stays where +0 is the greater.
            (Binary::Maximum, true, false) => Some((number, bound, true)),
            (Binary::Minimum, true, true) => None,
            _ => Some((number, bound, false)),
        }
    }

    /// The bound where the number is beyond it: one comparison, which NaN passes, as against what two numbers take.
    fn bounded(
        &mut self,
        state: &State<'_>,
        function: Binary,
        number: NodeId,
        bound: NodeId,
        zero: bool,
    ) -> Result<Item, String> {
        let scalar = state.nest.steps[number as usize].scalar;
        let item = match (need(state, number)?, need(state, bound)?) {
            (Item::One(number), Item::One(bound)) => {
                let (number, bound) = (number.one(), bound.one());
                let (less, more) = if function == Binary::Maximum { (number, bound) } else { (bound, number) };
                let beyond = self.builder.ins().fcmp(FloatCC::LessThan, less, more);
                let result = self.builder.ins().select(beyond, bound, number);
                Item::One(Number::One(result))
            }
            (number_item, bound_item) => {
                let (x, limit) = (self.spread(state, number, number_item), self.spread(state, bound, bound_item));
                let (less, more) = if function == Binary::Maximum { (&x, &limit) } else { (&limit, &x) };
                let mut vectors = self.vectors(state);
                let beyond = vectors.compare(Direction::Lt, scalar, less, more)?;
                Item::Many(vectors.select(&beyond, &limit, &x, scalar))
            }
        };
        if !zero {
            return Ok(item);
        }
        // -0 + 0 is 0; all else stays.
        Ok(match item {
            Item::One(number) => {
                let bound = need(state, bound)?;
                let Item::One(zero) = bound else { return Ok(Item::One(number)) };
                Item::One(self.emitter().binary(Binary::Add, scalar, number, zero)?)
            }
            Item::Many(lanes) => {
                let bound_item = need(state, bound)?;
                let zero = self.spread(state, bound, bound_item);
                Item::Many(self.vectors(state).binary(Binary::Add, scalar, &lanes, &zero, None)?)
            }
        })
    }

    /// An item in all lanes.
    fn spread(&mut self, state: &State<'_>, id: NodeId, item: Item) -> Lanes {
        let step = &state.nest.steps[id as usize];
        match (item, step.node) {
            (Item::Many(lanes), _) => lanes,
            (Item::One(_), Node::Constant(value)) => self.vectors(state).constant(value, step.scalar),
            (Item::One(number), _) => self.vectors(state).splat(number, step.scalar),
        }
    }

    /// A sum of indices as a number.
    fn index(&mut self, state: &State<'_>, id: NodeId) -> Result<Item, String> {
        let sum = state.schedule.sums[id as usize].as_ref().ok_or("no sum")?;
        let mut total = self.builder.ins().iconst(types::I64, sum.constant);
        for (number, &factor) in sum.factors.iter().enumerate().filter(|(_, factor)| **factor != 0) {
            let index = state.indices[number].ok_or("an index out of its loop")?;
            let scaled = self.builder.ins().imul_imm_s(index, factor);
            total = self.builder.ins().iadd(total, scaled);
        }
        if state.lanes > 1 && state.schedule.varies(state.nest, id, state.lanes_of) {
            let step = state.schedule.stride(state.nest, id, state.lanes_of).ok_or("no stride")?;
            return Ok(Item::Many(self.vectors(state).progression(total, step)));
        }
        Ok(Item::One(Number::One(total)))
    }

    /// The address of the element at a sum, and what is to be added to it; terms are taken as they are in a lane.
    fn address(
        &mut self,
        state: &State<'_>,
        buffer: BufferId,
        at: NodeId,
        lane: Option<(usize, &[Vec<Number>])>,
    ) -> Result<(Value, i32), String> {
        let sum = state.schedule.sums[at as usize].as_ref().ok_or("an address that is no sum")?;
        let size = self.kernel.buffers[buffer as usize].scalar.bytes() as i64;
        let mut constant = sum.constant;
        let mut base = self.bases[buffer as usize];
        let add = |this: &mut Self, base: Value, value: Value, factor: i64| {
            let scaled = this.builder.ins().imul_imm_s(value, factor * size);
            this.builder.ins().iadd(base, scaled)
        };
        // What changes least goes first: it is computed where it changes.
        let (last, loops) = match sum.factors.split_last() {
            Some(_) => (state.indices.iter().rposition(Option::is_some), sum.factors.len()),
            None => (None, 0),
        };
        for number in (0..loops).filter(|&number| sum.factors[number] != 0 && Some(number) != last) {
            base = add(self, base, state.indices[number].ok_or("an index out of its loop")?, sum.factors[number]);
        }
        for (number, &(term, factor)) in sum.terms.iter().enumerate() {
            let value = match (need(state, term)?, lane) {
                (Item::One(value), _) => value.one(),
                (Item::Many(_), Some((lane, terms))) => terms[number][lane].one(),
                (Item::Many(_), None) => return Err("an address that differs from lane to lane".to_owned()),
            };
            base = add(self, base, value, factor);
        }
        if let Some(number) = last.filter(|&number| sum.factors[number] != 0) {
            base = add(self, base, state.indices[number].ok_or("an index out of its loop")?, sum.factors[number]);
        }
        if let Some((lane, _)) = lane {
            let innermost = match state.lanes_of {
                None => state.schedule.outer.len() - 1,
                Some(fold) => state.schedule.first(fold) + state.schedule.folds[fold].len() - 1,
            };
            constant += sum.factors[innermost] * lane as i64;
        }
        match i32::try_from(constant * size) {
            // Numbers of several registers go on from there.
            Ok(offset) if offset < i32::MAX - 4096 => Ok((base, offset)),
            _ => Ok((self.builder.ins().iadd_imm_s(base, constant * size), 0)),
        }
    }

    /// The terms of an address in each lane.
    fn terms(&mut self, state: &State<'_>, at: NodeId) -> Result<Vec<Vec<Number>>, String> {
        let sum = state.schedule.sums[at as usize].as_ref().ok_or("an address that is no sum")?;
        sum.terms
            .iter()
            .map(|&(term, _)| match need(state, term)? {
                Item::One(_) => Ok(Vec::new()),
                Item::Many(lanes) => Ok(self.vectors(state).split(&lanes, Scalar::I64)),
            })
            .collect()
    }

    fn read(&mut self, state: &State<'_>, buffer: BufferId, at: NodeId, scalar: Scalar) -> Result<Item, String> {
        if let Some(number) = self.kept(state, buffer, at)? {
            return Ok(Item::One(Number::One(self.element(buffer, number))));
        }
        let varies = state.lanes > 1 && state.schedule.varies(state.nest, at, state.lanes_of);
        if !varies {
            let (address, offset) = self.address(state, buffer, at, None)?;
            return Ok(Item::One(self.emitter().load(scalar, address, offset)));
        }
        if state.schedule.stride(state.nest, at, state.lanes_of) == Some(1) {
            let (address, offset) = self.address(state, buffer, at, None)?;
            return Ok(Item::Many(self.vectors(state).load(scalar, address, offset)));
        }
        let terms = self.terms(state, at)?;
        let mut numbers = Vec::with_capacity(state.lanes);
        for lane in 0..state.lanes {
            let (address, offset) = self.address(state, buffer, at, Some((lane, &terms)))?;
            numbers.push(self.emitter().load(scalar, address, offset));
        }
        Ok(Item::Many(self.vectors(state).joined(&numbers, scalar)))
    }

    fn write(&mut self, state: &mut State<'_>, buffer: BufferId, at: NodeId, value: NodeId) -> Result<(), String> {
        let item = need(state, value)?;
        let scalar = state.nest.steps[value as usize].scalar;
        if state.lanes == 1 {
            let Item::One(number) = item else { return Err("lanes where there are none".to_owned()) };
            if let Some(place) = self.kept(state, buffer, at)? {
                self.set_element(buffer, place, number.one());
                return Ok(());
            }
            let (address, offset) = self.address(state, buffer, at, None)?;
            self.emitter().store(number, address, offset);
            return Ok(());
        }
        let lanes = self.spread(state, value, item);
        if state.schedule.stride(state.nest, at, None) == Some(1) {
            let (address, offset) = self.address(state, buffer, at, None)?;
            self.vectors(state).store(scalar, &lanes, address, offset);
            return Ok(());
        }
        let terms = self.terms(state, at)?;
        let numbers = self.vectors(state).split(&lanes, scalar);
        for (lane, &number) in numbers.iter().enumerate() {
            let (address, offset) = self.address(state, buffer, at, Some((lane, &terms)))?;
            self.emitter().store(number, address, offset);
        }
        Ok(())
    }

    /// Emits a fold; afterwards its accumulators are its results.
    fn fold(&mut self, state: &mut State<'_>, number: usize) -> Result<(), String> {
        let nest = state.nest;
        let fold = &nest.folds[number];
        let first = fold.accumulators.start as usize;
        let mut inits = Vec::with_capacity(fold.inits.len());
        for (&init, &next) in fold.inits.iter().zip(&fold.next) {
            let item = need(state, init)?;
            let varies = state.lanes > 1 && state.schedule.varies(nest, next, None);
            inits.push(if varies { Item::Many(self.spread(state, init, item)) } else { item });
        }
        let sizes = state.schedule.folds[number].clone();
        let lanes = state.schedule.fold_lanes[number];
        let result = if sizes.contains(&0) {
            inits
        } else if lanes > 1 {
            self.fold_in_lanes(state, number, inits, lanes)?
        } else {
            let turns: Vec<Turns> = sizes.iter().map(|&size| Turns::of(size, 1)).collect();
            self.turns(state, number, &turns, inits)?
        };
        for (place, item) in result.into_iter().enumerate() {
            state.accumulators[first + place] = Some(item);
        }
        Ok(())
    }

    /// Runs the loops of a fold from these items on.
    fn turns(
        &mut self,
        state: &mut State<'_>,
        number: usize,
        turns: &[Turns],
        begin: Vec<Item>,
    ) -> Result<Vec<Item>, String> {
        let (loops, carried) = self.enter(state, number, turns, &begin)?;
        let next = self.turn(state, number, carried)?;
        self.leave(state, loops, next)
    }

    /// Begins loops of a fold; what they carry.
    fn enter(
        &mut self,
        state: &mut State<'_>,
        number: usize,
        turns: &[Turns],
        begin: &[Item],
    ) -> Result<(Vec<Loop>, Vec<Item>), String> {
        let start = state.schedule.first(number);
        let mut carried: Vec<Value> = begin.iter().flat_map(Item::flat).collect();
        let mut loops: Vec<Loop> = Vec::new();
        if turns_of(state, number) > 0 {
            self.level(state, number as u32 + 1, 0)?;
        }
        for (depth, &turns) in turns.iter().enumerate() {
            let each = self.begin(turns, &carried);
            carried.clone_from(&each.carried);
            state.indices[start + depth] = Some(each.index);
            loops.push(each);
            if depth + 1 < turns_of(state, number) {
                self.level(state, number as u32 + 1, depth as u32 + 1)?;
            }
        }
        Ok((loops, shaped(&carried, begin)?))
    }

    /// One turn: what the fold carries afterwards.
    fn turn(&mut self, state: &mut State<'_>, number: usize, carried: Vec<Item>) -> Result<Vec<Item>, String> {
        let fold = &state.nest.folds[number];
        let first = fold.accumulators.start as usize;
        for (place, item) in carried.iter().enumerate() {
            state.accumulators[first + place] = Some(item.clone());
        }
        self.level(state, number as u32 + 1, turns_of(state, number) as u32)?;
        let mut next = Vec::with_capacity(carried.len());
        for (&id, like) in fold.next.iter().zip(&carried) {
            let item = need(state, id)?;
            next.push(match like {
                Item::One(_) => item,
                Item::Many(_) => Item::Many(self.spread(state, id, item)),
            });
        }
        Ok(next)
    }

    /// Ends loops; what they carry after the last turn.
    fn leave(&mut self, state: &mut State<'_>, mut loops: Vec<Loop>, next: Vec<Item>) -> Result<Vec<Item>, String> {
        let mut carried: Vec<Value> = next.iter().flat_map(Item::flat).collect();
        while let Some(each) = loops.pop() {
            carried = self.end(each, &carried);
        }
        for index in &mut state.indices[state.schedule.outer.len()..] {
            *index = None;
        }
        shaped(&carried, &next)
    }

    /// A fold of which several turns go at once, each lane with a sum (or what it is) of its own; what is left of the
    /// innermost loop one by one.
    fn fold_in_lanes(
        &mut self,
        state: &mut State<'_>,
        number: usize,
        inits: Vec<Item>,
        lanes: usize,
    ) -> Result<Vec<Item>, String> {
        let nest = state.nest;
        let functions = joins(nest, number).ok_or("a fold whose turns depend on each other")?;
        let sizes = state.schedule.folds[number].clone();
        let (&size, around) = sizes.split_last().ok_or("a fold without loops")?;
        let scalars = &nest.accumulators[nest.folds[number].accumulators.start as usize..];
        (state.lanes, state.lanes_of) = (lanes, Some(number));
        let mut begin: Vec<Item> = Vec::new();
        for (&(function, _), &scalar) in functions.iter().zip(scalars) {
            begin.push(Item::Many(self.vectors(state).constant(neutral(function, scalar), scalar)));
        }
        begin.extend(inits);
        let count = functions.len();
        let around: Vec<Turns> = around.iter().map(|&size| Turns::of(size, 1)).collect();
        let (loops, carried) = self.enter(state, number, &around, &begin)?;
        let innermost = state.schedule.first(number) + around.len();
        let (many, ones) = carried.split_at(count);
        // Whole vectors.
        let flat: Vec<Value> = many.iter().flat_map(Item::flat).collect();
        let each = self.begin(Turns::of(size - size % lanes, lanes), &flat);
        state.indices[innermost] = Some(each.index);
        let carried = shaped(&each.carried, many)?;
        let next = self.turn(state, number, carried)?;
        let flat: Vec<Value> = next.iter().flat_map(Item::flat).collect();
        let flat = self.end(each, &flat);
        let mut after = shaped(&flat, many)?;
        // The rest.
        let mut ones = ones.to_vec();
        if size % lanes != 0 {
            (state.lanes, state.lanes_of) = (1, None);
            let flat: Vec<Value> = ones.iter().flat_map(Item::flat).collect();
            let each = self.begin(Turns { first: size - size % lanes, step: 1, last: size - 1 }, &flat);
            state.indices[innermost] = Some(each.index);
            let carried = shaped(&each.carried, &ones)?;
            let next = self.turn(state, number, carried)?;
            let flat: Vec<Value> = next.iter().flat_map(Item::flat).collect();
            let flat = self.end(each, &flat);
            ones = shaped(&flat, &ones)?;
            (state.lanes, state.lanes_of) = (lanes, Some(number));
        }
        after.extend(ones);
        let carried = self.leave(state, loops, after)?;
        let (many, ones) = carried.split_at(count);
        let mut results = Vec::with_capacity(count);
        for (((item, one), &(function, _)), &scalar) in many.iter().zip(ones).zip(&functions).zip(scalars) {
            let (Item::Many(lanes), Item::One(one)) = (item, one) else { return Err("no lanes".to_owned()) };
            results.push(Item::One(self.joined(function, scalar, lanes, *one)?));
        }
        (state.lanes, state.lanes_of) = (1, None);
        Ok(results)
    }

    /// All lanes and one number more, joined.
    fn joined(&mut self, function: Binary, scalar: Scalar, lanes: &Lanes, one: Number) -> Result<Number, String> {
        let mut parts = lanes.parts.to_vec();
        // Of one register's width, halving their number.
        let unit = if register(scalar).bytes() == 8 { 2 } else { 4 };
        let mut vectors = Vectors { emitter: self.emitter(), lanes: unit };
        while parts.len() > 1 {
            let half = parts.len() / 2;
            let mut next = Vec::with_capacity(half);
            for place in 0..half {
                let [a, b] = [parts[place], parts[place + half]]
                    .map(|part| Lanes::from(smallvec::SmallVec::<[Value; 8]>::from_slice(&[part])));
                next.push(vectors.binary(function, scalar, &a, &b, None)?.parts[0]);
            }
            parts = next;
        }
        let last = Lanes::from(smallvec::SmallVec::<[Value; 8]>::from_slice(&parts));
        let numbers = vectors.split(&last, scalar);
        numbers.into_iter().try_fold(one, |so_far, number| self.emitter().binary(function, scalar, so_far, number))
    }
}

fn turns_of(state: &State<'_>, fold: usize) -> usize {
    state.schedule.folds[fold].len()
}

/// What changes nothing when it is joined.
fn neutral(function: Binary, scalar: Scalar) -> expression::Value {
    use expression::Value;
    match function {
        Binary::Add if scalar.is_float() => Value::from_f64(scalar, -0.0),
        Binary::Multiply => Value::from_f64(scalar, 1.0),
        Binary::Maximum if scalar.is_float() => Value::from_f64(scalar, f64::NEG_INFINITY),
        Binary::Minimum if scalar.is_float() => Value::from_f64(scalar, f64::INFINITY),
        Binary::Maximum if scalar.is_signed() => Value::from_i128(scalar, -(1 << (scalar.bits() - 1))),
        Binary::Minimum if scalar.is_signed() => Value::from_i128(scalar, (1 << (scalar.bits() - 1)) - 1),
        Binary::Minimum | Binary::And => Value::from_i128(scalar, -1),
        _ => Value::from_i128(scalar, 0),
    }
}

fn need(state: &State<'_>, id: NodeId) -> Result<Item, String> {
    state.steps[id as usize].clone().ok_or_else(|| format!("step {id} is not there yet"))
}
