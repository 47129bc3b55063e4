//! Kernels run on the host step by step: the reference that emitters are held against.
#![forbid(unsafe_code)]

use super::ir::{BufferId, Call, Kernel, Nest, Node, Place, Sort, Sorted, Statement};
use crate::expression::{self, Scalar, Unary, Value};

/// Runs a kernel: the bytes of its outputs, those that it does not write being 0.
///
/// # Panics
/// When an input is smaller than the kernel says, something lies outside its buffer, or a function that is called fails.
pub fn interpret(kernel: &Kernel, inputs: &[&[u8]]) -> Vec<Vec<u8>> {
    let bytes = |buffer: BufferId| {
        let buffer = &kernel.buffers[buffer as usize];
        buffer.elements * buffer.scalar.bytes()
    };
    let mut outputs: Vec<Vec<u8>> = Vec::new();
    for id in 0..kernel.buffers.len() as BufferId {
        if let Place::Output(index) = kernel.buffers[id as usize].place {
            outputs.resize(outputs.len().max(index as usize + 1), Vec::new());
            outputs[index as usize] = vec![0; bytes(id)];
        }
    }
    let mut memory = Memory { kernel, inputs, outputs, arena: vec![0; kernel.arena] };
    memory.statements(&kernel.body);
    memory.outputs
}

struct Memory<'a> {
    kernel: &'a Kernel,
    inputs: &'a [&'a [u8]],
    outputs: Vec<Vec<u8>>,
    arena: Vec<u8>,
}

/// What one turn has computed.
struct Turn<'a> {
    nest: &'a Nest,
    indices: Vec<usize>,
    accumulators: Vec<Value>,
    steps: Vec<Value>,
    folded: Vec<bool>,
}

impl<'a> Turn<'a> {
    fn of(nest: &'a Nest) -> Self {
        Self {
            nest,
            indices: vec![0; nest.dimensions.len()],
            accumulators: vec![Value::default(); nest.accumulators.len()],
            steps: vec![Value::default(); nest.steps.len()],
            folded: vec![false; nest.folds.len()],
        }
    }
}

impl Memory<'_> {
    fn range(&self, buffer: BufferId, at: i64) -> std::ops::Range<usize> {
        let buffer = &self.kernel.buffers[buffer as usize];
        let at = usize::try_from(at).ok().filter(|&at| at < buffer.elements);
        let at = at.expect("an index within the buffer") * buffer.scalar.bytes();
        let start = if let Place::Arena(start) = buffer.place { start } else { 0 };
        start + at..start + at + buffer.scalar.bytes()
    }

    fn load(&self, id: BufferId, at: i64) -> Value {
        let buffer = &self.kernel.buffers[id as usize];
        let bytes = match &buffer.place {
            Place::Input(index) => self.inputs[*index as usize],
            Place::Output(index) => &self.outputs[*index as usize],
            Place::Arena(_) => &self.arena,
            Place::Constant(bytes) => bytes,
        };
        Value::from_bytes(buffer.scalar, &bytes[self.range(id, at)])
    }

    fn store(&mut self, id: BufferId, at: i64, value: Value) {
        let buffer = &self.kernel.buffers[id as usize];
        let range = self.range(id, at);
        let mut bytes = Vec::with_capacity(16);
        value.write(buffer.scalar, &mut bytes);
        match buffer.place {
            Place::Output(index) => self.outputs[index as usize][range].copy_from_slice(&bytes),
            Place::Arena(_) => self.arena[range].copy_from_slice(&bytes),
            Place::Input(_) | Place::Constant(_) => panic!("what is only read is written"),
        }
    }

    fn statements(&mut self, statements: &[Statement]) {
        for statement in statements {
            match statement {
                Statement::Nest(nest) => self.nest(nest),
                Statement::Sort(sort) => self.sort(sort),
                Statement::Call(call) => self.call(call),
                Statement::Copy { from, to } => {
                    for at in 0..self.kernel.buffers[*from as usize].elements as i64 {
                        let value = self.load(*from, at);
                        self.store(*to, at, value);
                    }
                }
                Statement::While { condition, predicate, body, .. } => loop {
                    self.statements(condition);
                    if self.load(*predicate, 0).bits == 0 {
                        break;
                    }
                    self.statements(body);
                },
                Statement::Case { index, arms } => {
                    let scalar = self.kernel.buffers[*index as usize].scalar;
                    let choice = self.load(*index, 0);
                    let choice = match scalar {
                        Scalar::Bool => i128::from(choice.bits != 0),
                        _ => choice.to_i128(scalar),
                    };
                    let arm = usize::try_from(choice).ok().filter(|&arm| arm < arms.len()).unwrap_or(arms.len() - 1);
                    self.statements(&arms[arm]);
                }
            }
        }
    }

    fn sort(&mut self, sort: &Sort) {
        let [rows, size, distance] = sort.sizes;
        for (row, lane) in (0..rows).flat_map(|row| (0..distance).map(move |lane| (row, lane))) {
            let element = |from: &Sorted, scalar: Scalar, place: usize| match from {
                Sorted::Buffer(buffer) => self.load(*buffer, ((row * size + place) * distance + lane) as i64),
                Sorted::Position => Unary::Convert.apply(Scalar::I64, scalar, Value::from_bits(place as u64)),
            };
            let scalar = |to: BufferId| self.kernel.buffers[to as usize].scalar;
            let mut list: Vec<Vec<Value>> = (0..size)
                .map(|place| {
                    sort.from.iter().zip(&sort.to).map(|(from, &to)| element(from, scalar(to), place)).collect()
                })
                .collect();
            let before = |first: &[Value], second: &[Value]| {
                let mut turn = Turn::of(&sort.comparator);
                turn.accumulators = first.iter().zip(second).flat_map(|(&first, &second)| [first, second]).collect();
                self.steps(&mut turn, 0);
                turn.steps[sort.before as usize].bits != 0
            };
            // One after the other: a comparator need not be an order.
            for place in 1..size {
                let mut to = place;
                while to > 0 && before(&list[to], &list[to - 1]) {
                    list.swap(to, to - 1);
                    to -= 1;
                }
            }
            for (place, elements) in list.iter().enumerate().take(sort.kept) {
                for (&to, &value) in sort.to.iter().zip(elements) {
                    self.store(to, ((row * sort.kept + place) * distance + lane) as i64, value);
                }
            }
        }
    }

    fn call(&mut self, call: &Call) {
        let bytes = |id: BufferId| {
            let buffer = &self.kernel.buffers[id as usize];
            let mut bytes = Vec::with_capacity(buffer.elements * buffer.scalar.bytes());
            (0..buffer.elements as i64).for_each(|at| self.load(id, at).write(buffer.scalar, &mut bytes));
            bytes
        };
        let inputs: Vec<Vec<u8>> = call.inputs.iter().map(|&id| bytes(id)).collect();
        let inputs: Vec<&[u8]> = inputs.iter().map(Vec::as_slice).collect();
        let sizes = call.outputs.iter().map(|&id| &self.kernel.buffers[id as usize]);
        let mut written: Vec<Vec<u8>> = sizes.map(|buffer| vec![0; buffer.elements * buffer.scalar.bytes()]).collect();
        let mut outputs: Vec<&mut [u8]> = written.iter_mut().map(Vec::as_mut_slice).collect();
        (call.function)(&inputs, &mut outputs).expect("a function that does not fail");
        for (&id, bytes) in call.outputs.iter().zip(&written) {
            let scalar = self.kernel.buffers[id as usize].scalar;
            for (at, element) in bytes.chunks(scalar.bytes()).enumerate() {
                self.store(id, at as i64, Value::from_bytes(scalar, element));
            }
        }
    }

    fn nest(&mut self, nest: &Nest) {
        let mut turn = Turn::of(nest);
        let outer = 0..nest.outer as usize;
        if nest.dimensions[outer.clone()].contains(&0) {
            return;
        }
        loop {
            turn.folded.fill(false);
            self.steps(&mut turn, 0);
            for store in &nest.stores {
                let at = turn.steps[store.at as usize].bits as i64;
                self.store(store.buffer, at, turn.steps[store.value as usize]);
            }
            if !next(&mut turn.indices, &nest.dimensions, outer.clone()) {
                break;
            }
        }
    }

    /// Computes the steps of a scope.
    fn steps(&self, turn: &mut Turn<'_>, scope: u32) {
        let nest = turn.nest;
        for (id, step) in nest.steps.iter().enumerate().filter(|(_, step)| step.scope == scope) {
            let at = |id: u32| (turn.steps[id as usize], nest.steps[id as usize].scalar);
            turn.steps[id] = match step.node {
                Node::Index(dimension) => Value::from_bits(turn.indices[dimension as usize] as u64),
                Node::Accumulator(number) => turn.accumulators[number as usize],
                Node::Constant(value) => value,
                Node::Load(buffer, index) => self.load(buffer, at(index).0.bits as i64),
                Node::Unary(function, a) => function.apply(at(a).1, step.scalar, at(a).0),
                Node::Binary(function, a, b) => function.apply(at(a).1, at(a).0, at(b).0),
                Node::Compare(direction, a, b) => {
                    Value::from_bits(u64::from(expression::holds(direction, at(a).1, at(a).0, at(b).0)))
                }
                Node::Select(condition, yes, no) => at(if at(condition).0.bits != 0 { yes } else { no }).0,
                Node::Folded(fold, index) => {
                    if !std::mem::replace(&mut turn.folded[fold as usize], true) {
                        self.fold(turn, fold as usize);
                    }
                    turn.accumulators[nest.folds[fold as usize].accumulators.start as usize + index as usize]
                }
            };
        }
    }

    fn fold(&self, turn: &mut Turn<'_>, number: usize) {
        let nest = turn.nest;
        let fold = &nest.folds[number];
        let dimensions = fold.dimensions.start as usize..fold.dimensions.end as usize;
        let carry = |turn: &mut Turn<'_>, from: &[u32]| {
            let values: Vec<Value> = from.iter().map(|&id| turn.steps[id as usize]).collect();
            turn.accumulators[fold.accumulators.start as usize..fold.accumulators.end as usize]
                .copy_from_slice(&values);
        };
        carry(turn, &fold.inits);
        if nest.dimensions[dimensions.clone()].contains(&0) {
            return;
        }
        turn.indices[dimensions.clone()].fill(0);
        loop {
            self.steps(turn, number as u32 + 1);
            carry(turn, &fold.next);
            if !next(&mut turn.indices, &nest.dimensions, dimensions.clone()) {
                break;
            }
        }
    }
}

/// The next place in row-major order; whether there was one.
fn next(indices: &mut [usize], sizes: &[usize], dimensions: std::ops::Range<usize>) -> bool {
    for dimension in dimensions.rev() {
        indices[dimension] += 1;
        if indices[dimension] < sizes[dimension] {
            return true;
        }
        indices[dimension] = 0;
    }
    false
}
