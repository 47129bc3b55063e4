//! Loops and branches over small buffers, which stay in registers or do not.

use proptest::prelude::*;

use super::super::interpret::interpret;
use super::super::ir::{Buffer, BufferId, Kernel, NestBuilder, Node, NodeId, Place, Statement, Store};
use super::{Script, alike, native};
use crate::expression::{Binary, Scalar, Unary, Value};
use crate::program::Direction;

/// Sizes of the buffers of f32.
const SIZES: [usize; 7] = [1, 1, 2, 3, 3, 4, 5];
const NUMBERS: usize = 8;

struct Maker<'a> {
    script: Script<'a>,
    kernel: Kernel,
    data: Vec<BufferId>,
}

impl Maker<'_> {
    fn arena(&mut self, scalar: Scalar, elements: usize) -> BufferId {
        let start = self.kernel.arena;
        self.kernel.arena += 64;
        self.kernel.buffers.push(Buffer { scalar, elements, place: Place::Arena(start) });
        self.kernel.buffers.len() as BufferId - 1
    }

    /// A nest that stores what `value` makes of where it is.
    fn nest(&mut self, to: BufferId, value: impl FnOnce(&mut Self, &mut NestBuilder, NodeId) -> NodeId) -> Statement {
        let elements = self.kernel.buffers[to as usize].elements;
        let mut builder = NestBuilder::new(&[elements]);
        let at = builder.add(Node::Index(0), Scalar::I64);
        let value = value(self, &mut builder, at);
        builder.nest.stores.push(Store { buffer: to, at, value });
        Statement::Nest(builder.nest)
    }

    /// A number of a buffer: at the same place, or at one that is the same for all.
    fn number(&mut self, builder: &mut NestBuilder, at: NodeId, to: BufferId) -> NodeId {
        let from = self.script.of(&self.data.clone());
        let elements = |id: BufferId| self.kernel.buffers[id as usize].elements;
        let place = if from == to || (elements(from) >= elements(to) && self.script.below(2) == 0) {
            at
        } else {
            let place = self.script.below(elements(from));
            builder.number(place as i64)
        };
        builder.add(Node::Load(from, place), Scalar::F32)
    }

    fn set(&mut self, to: BufferId, scalar: Scalar, number: i128) -> Statement {
        self.nest(to, |_, builder, _| builder.add(Node::Constant(Value::from_i128(scalar, number)), scalar))
    }

    fn statement(&mut self, depth: usize) -> Vec<Statement> {
        match self.script.below(if depth < 2 { 8 } else { 5 }) {
            0 => {
                let (from, to) = (self.script.of(&self.data.clone()), self.script.of(&self.data.clone()));
                let same = self.kernel.buffers[from as usize].elements == self.kernel.buffers[to as usize].elements;
                if from != to && same { vec![Statement::Copy { from, to }] } else { Vec::new() }
            }
            1..=4 => {
                let to = self.script.of(&self.data.clone());
                let statement = self.nest(to, |maker, builder, at| {
                    let (a, b) = (maker.number(builder, at, to), maker.number(builder, at, to));
                    let half = builder.add(Node::Constant(Value::from_f64(Scalar::F32, 0.5)), Scalar::F32);
                    let b = builder.add(Node::Binary(Binary::Multiply, b, half), Scalar::F32);
                    let function = maker.script.of(&[Binary::Add, Binary::Subtract, Binary::Maximum]);
                    builder.add(Node::Binary(function, a, b), Scalar::F32)
                });
                vec![statement]
            }
            5 => {
                let index = self.arena(Scalar::I32, 1);
                let from = self.script.of(&self.data.clone());
                let choose = self.nest(index, |_, builder, at| {
                    let number = builder.add(Node::Load(from, at), Scalar::F32);
                    let zero = builder.add(Node::Constant(Value::from_f64(Scalar::F32, 0.0)), Scalar::F32);
                    let less = builder.add(Node::Compare(Direction::Lt, number, zero), Scalar::Bool);
                    builder.add(Node::Unary(Unary::Convert, less), Scalar::I32)
                });
                let arms = (0..3).map(|_| self.statements(depth + 1)).collect();
                vec![choose, Statement::Case { index, arms }]
            }
            _ => {
                let (counter, predicate) = (self.arena(Scalar::I32, 1), self.arena(Scalar::Bool, 1));
                let begin = self.set(counter, Scalar::I32, 0);
                let turns = self.script.below(5) as i128;
                let condition = self.nest(predicate, |_, builder, at| {
                    let so_far = builder.add(Node::Load(counter, at), Scalar::I32);
                    let most = builder.add(Node::Constant(Value::from_i128(Scalar::I32, turns)), Scalar::I32);
                    builder.add(Node::Compare(Direction::Lt, so_far, most), Scalar::Bool)
                });
                let mut body = self.statements(depth + 1);
                body.push(self.nest(counter, |_, builder, at| {
                    let so_far = builder.add(Node::Load(counter, at), Scalar::I32);
                    let one = builder.add(Node::Constant(Value::from_i128(Scalar::I32, 1)), Scalar::I32);
                    builder.add(Node::Binary(Binary::Add, so_far, one), Scalar::I32)
                }));
                vec![begin, Statement::While { condition: vec![condition], predicate, body, steps: 0, trips: None }]
            }
        }
    }

    fn statements(&mut self, depth: usize) -> Vec<Statement> {
        (0..1 + self.script.below(5)).flat_map(|_| self.statement(depth)).collect()
    }
}

fn kernel(words: &[u32]) -> Kernel {
    let mut maker = Maker { script: Script { words, at: 0 }, kernel: Kernel::default(), data: Vec::new() };
    maker.kernel.buffers.push(Buffer { scalar: Scalar::F32, elements: NUMBERS, place: Place::Input(0) });
    maker.data = SIZES.map(|size| maker.arena(Scalar::F32, size)).to_vec();
    let mut body = Vec::new();
    for to in maker.data.clone() {
        body.push(maker.nest(to, |_, builder, at| {
            let skipped = builder.number(i64::from(to) % 3);
            let place = builder.index(Binary::Add, at, skipped);
            builder.add(Node::Load(0, place), Scalar::F32)
        }));
    }
    body.extend(maker.statements(0));
    for (index, from) in maker.data.clone().into_iter().enumerate() {
        let elements = maker.kernel.buffers[from as usize].elements;
        maker.kernel.buffers.push(Buffer { scalar: Scalar::F32, elements, place: Place::Output(index as u32) });
        body.push(Statement::Copy { from, to: maker.kernel.buffers.len() as BufferId - 1 });
    }
    maker.kernel.body = body;
    maker.kernel
}

proptest! {
    #[test]
    fn native_programs_give_what_the_interpreter_gives(words in prop::collection::vec(any::<u32>(), 1..150)) {
        let kernel = kernel(&words);
        let input: Vec<u8> = (0..NUMBERS).flat_map(|index| (index as f32 - 3.25).to_le_bytes()).collect();
        let (expected, written) = (interpret(&kernel, &[&input]), native(&kernel, &[&input]));
        for (expected, written) in expected.iter().zip(&written) {
            prop_assert!(alike(Scalar::F32, expected, written), "{:#?}\n{expected:?}\n{written:?}", kernel.body);
        }
    }
}
