//! Native code against the interpreter, on nests of any kind.

mod functions;
mod programs;

use std::sync::atomic::AtomicBool;

use proptest::prelude::*;

use super::interpret::interpret;
use super::ir::{Buffer, BufferId, Fold, Kernel, NestBuilder, Node, NodeId, Place, Statement, Store};
use super::native::Code;
use crate::expression::{Binary, Expression, Scalar, Target, Unary, Value};
use crate::program::Direction;

/// Elements of each input.
const ELEMENTS: usize = 6000;
const INPUTS: [Scalar; 12] = [
    Scalar::F32,
    Scalar::I32,
    Scalar::F64,
    Scalar::Bool,
    Scalar::BF16,
    Scalar::U8,
    Scalar::I64,
    Scalar::U32,
    Scalar::C64,
    Scalar::I16,
    Scalar::F16,
    Scalar::U64,
];

/// Numbers of a type, special ones among them.
fn numbers(scalar: Scalar, seed: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut state = seed | 1;
    for _ in 0..ELEMENTS {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        let number = (state >> 33) as u32;
        let value = |which: u32| match which % 16 {
            0 => -0.0,
            1 => f64::INFINITY,
            2 => f64::NAN,
            3 => 1e-40,
            _ => f64::from(which as i32 >> 8) / 65536.0,
        };
        let made = match scalar {
            Scalar::Bool => Value::from_bits(u64::from(number & 1)),
            Scalar::C64 => Value {
                bits: Value::from_f64(Scalar::F32, value(number)).bits,
                imaginary: Value::from_f64(Scalar::F32, value(number.rotate_left(7))).bits,
            },
            _ if scalar.is_float() => Value::from_f64(scalar, value(number)),
            _ => Value::from_i128(
                scalar,
                if number & 3 == 0 { i128::from(state) } else { i128::from(number % 200) - 90 },
            ),
        };
        made.write(scalar, &mut bytes);
    }
    bytes
}

/// What a case decides, in the order in which it asks.
struct Script<'a> {
    words: &'a [u32],
    at: usize,
}

impl Script<'_> {
    fn below(&mut self, count: usize) -> usize {
        let word = self.words.get(self.at).copied().unwrap_or(0);
        self.at += 1;
        word as usize % count.max(1)
    }

    fn of<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }
}

struct Maker<'a> {
    script: Script<'a>,
    builder: NestBuilder,
    pool: Vec<NodeId>,
}

impl Maker<'_> {
    fn node(&mut self, node: Node, scalar: Scalar) -> NodeId {
        self.builder.add(node, scalar)
    }

    fn constant(&mut self, scalar: Scalar, value: f64) -> NodeId {
        let value =
            if scalar.is_integer() { Value::from_i128(scalar, value as i128) } else { Value::from_f64(scalar, value) };
        self.node(Node::Constant(value), scalar)
    }

    /// An index within the inputs, of the loops that there are here.
    fn place(&mut self, dimensions: &[u32]) -> NodeId {
        let sizes: Vec<usize> = dimensions.iter().map(|&each| self.builder.nest.dimensions[each as usize]).collect();
        let index: Vec<NodeId> = dimensions.iter().map(|&each| self.node(Node::Index(each), Scalar::I64)).collect();
        let linear = self.builder.linear(&index, &sizes);
        let at = match self.script.below(9) {
            0..=2 => linear,
            // Some dimensions are left out.
            3 => {
                let first = self.script.below(sizes.len() + 1);
                self.builder.linear(&index[first..], &sizes[first..])
            }
            4 => {
                let mut sum = self.builder.number(self.script.below(20) as i64);
                for &each in &index {
                    let factor = self.script.of(&[0, 1, 2, 3, 17]);
                    let factor = self.builder.number(factor);
                    let scaled = self.builder.index(Binary::Multiply, each, factor);
                    sum = self.builder.index(Binary::Add, sum, scaled);
                }
                sum
            }
            5 => {
                let last = self.builder.number(ELEMENTS as i64 - 1);
                self.builder.index(Binary::Subtract, last, linear)
            }
            6 => {
                let size = self.script.of(&[2, 3, 4, 5, 12]);
                let size = self.builder.number(size);
                let quotient = self.builder.index(Binary::Divide, linear, size);
                let rest = self.builder.index(Binary::Remainder, linear, size);
                let scaled = self.builder.index(Binary::Multiply, rest, size);
                self.builder.index(Binary::Add, scaled, quotient)
            }
            // By an index that is read.
            kind => {
                let zero = self.builder.number(0);
                let from = if kind == 7 { zero } else { linear };
                let from = self.bounded(from);
                let read = self.node(Node::Load(1, from), Scalar::I32);
                let read = self.node(Node::Unary(Unary::Convert, read), Scalar::I64);
                let start = self.bounded(read);
                self.builder.index(Binary::Add, start, linear)
            }
        };
        self.bounded(at)
    }

    fn bounded(&mut self, at: NodeId) -> NodeId {
        let (low, high) = (self.builder.number(0), self.builder.number(ELEMENTS as i64 - 1));
        let raised = self.builder.index(Binary::Maximum, at, low);
        // Of what is known to fit nothing is asked.
        let most = self.builder.nest.dimensions.iter().product::<usize>() * 17 + 20;
        if most < ELEMENTS && matches!(self.builder.nest.steps[at as usize].node, Node::Index(_)) {
            return at;
        }
        self.builder.index(Binary::Minimum, raised, high)
    }

    fn load(&mut self, dimensions: &[u32]) -> NodeId {
        let at = self.place(dimensions);
        let input = self.script.below(INPUTS.len());
        self.node(Node::Load(input as BufferId, at), INPUTS[input])
    }

    /// One step more.
    fn step(&mut self, dimensions: &[u32]) -> NodeId {
        let a = self.script.of(&self.pool.clone());
        let scalar = self.builder.scalar(a);
        let same: Vec<NodeId> = self.pool.iter().copied().filter(|&id| self.builder.scalar(id) == scalar).collect();
        let b = self.script.of(&same);
        let integer = scalar.is_integer();
        match self.script.below(9) {
            0 => self.load(dimensions),
            8 if scalar == Scalar::F32 => self.function(a),
            1 if !scalar.is_complex() => {
                use Direction::*;
                let direction = self.script.of(&[Eq, Ne, Ge, Gt, Le, Lt]);
                self.node(Node::Compare(direction, a, b), Scalar::Bool)
            }
            2 => {
                let bools: Vec<NodeId> =
                    self.pool.iter().copied().filter(|&id| self.builder.scalar(id) == Scalar::Bool).collect();
                match bools.is_empty() {
                    true => a,
                    false => {
                        let condition = self.script.of(&bools);
                        self.node(Node::Select(condition, a, b), scalar)
                    }
                }
            }
            3 => self.converted(a),
            4 => {
                let function = match scalar {
                    Scalar::Bool => Unary::Not,
                    Scalar::C64 => {
                        let part = self.script.of(&[Unary::Real, Unary::Imaginary]);
                        return self.node(Node::Unary(part, a), Scalar::F32);
                    }
                    _ if integer => self.script.of(&[Unary::Abs, Unary::Negate, Unary::Not]),
                    _ => self.script.of(&[
                        Unary::Abs,
                        Unary::Negate,
                        Unary::Floor,
                        Unary::Ceil,
                        Unary::Round,
                        Unary::Sqrt,
                        Unary::IsNan,
                        Unary::IsInf,
                        Unary::IsFinite,
                    ]),
                };
                let test = matches!(function, Unary::IsNan | Unary::IsInf | Unary::IsFinite);
                self.node(Node::Unary(function, a), if test { Scalar::Bool } else { scalar })
            }
            5 if integer => {
                let amount = self.script.below(scalar.bits() as usize);
                let amount = self.constant(scalar, amount as f64);
                let function = self.script.of(&[Binary::ShiftLeft, Binary::ShiftRight]);
                self.node(Node::Binary(function, a, amount), scalar)
            }
            5 if scalar == Scalar::F32 => self.node(Node::Binary(Binary::Complex, a, b), Scalar::C64),
            _ => self.joined(scalar, a, b),
        }
    }

    /// A function that is made of arithmetic; of small numbers, where none is the library's.
    fn function(&mut self, a: NodeId) -> NodeId {
        use Unary::*;
        let low = self.constant(Scalar::F32, -1000.0);
        let high = self.constant(Scalar::F32, 1000.0);
        let a = self.node(Node::Binary(Binary::Maximum, a, low), Scalar::F32);
        let a = self.node(Node::Binary(Binary::Minimum, a, high), Scalar::F32);
        let function = self.script.of(&[Exp, Expm1, Log, Log1p, Sin, Cos, Tan, Tanh, Sinh, Cosh, Cbrt]);
        let expression = Expression::define(&Target::NATIVE, &[Scalar::F32], |x| [x[0].apply(function)]);
        functions::inlined(&mut self.builder, &expression, &[a])
    }

    fn joined(&mut self, scalar: Scalar, a: NodeId, b: NodeId) -> NodeId {
        use Binary::*;
        let function = match scalar {
            Scalar::C64 => return a,
            Scalar::Bool => self.script.of(&[And, Or, Xor]),
            _ if scalar.is_float() => self.script.of(&[Add, Subtract, Multiply, Divide, Maximum, Minimum]),
            _ => self.script.of(&[Add, Subtract, Multiply, Maximum, Minimum, And, Or, Xor]),
        };
        self.node(Node::Binary(function, a, b), scalar)
    }

    /// As another type, within what that holds.
    fn converted(&mut self, a: NodeId) -> NodeId {
        let scalar = self.builder.scalar(a);
        if scalar.is_complex() {
            return a;
        }
        let to = self.script.of(&INPUTS);
        if to == Scalar::C64 || to == scalar {
            return a;
        }
        let mut a = a;
        if scalar.is_float() && to.is_integer() {
            let low = self.constant(scalar, if to.is_signed() { -100.0 } else { 0.0 });
            let high = self.constant(scalar, 100.0);
            a = self.node(Node::Binary(Binary::Maximum, a, low), scalar);
            a = self.node(Node::Binary(Binary::Minimum, a, high), scalar);
        }
        // Definitions go by f32 between f64 and halves.
        if (scalar == Scalar::F64 && to.is_half()) || (scalar.is_half() && to == Scalar::F64) {
            a = self.node(Node::Unary(Unary::Convert, a), Scalar::F32);
        }
        self.node(Node::Unary(Unary::Convert, a), to)
    }

    /// A fold whose order does not show in its result, or one that goes in its order.
    fn fold(&mut self, outer: &[u32]) {
        let rank = 1 + self.script.below(2);
        let sizes: Vec<usize> = (0..rank).map(|_| self.script.of(&[1, 2, 4, 5, 16, 21, 0])).collect();
        let first = self.builder.nest.dimensions.len() as u32;
        self.builder.nest.dimensions.extend(&sizes);
        let kept = std::mem::take(&mut self.pool);
        self.builder.scope = self.builder.nest.folds.len() as u32 + 1;
        self.builder.nest.folds.push(Fold {
            dimensions: first..first + rank as u32,
            accumulators: 0..0,
            inits: vec![],
            next: vec![],
        });
        let dimensions: Vec<u32> = outer.iter().copied().chain(first..first + rank as u32).collect();
        let element = self.load(&dimensions);
        self.pool = kept.iter().copied().chain([element]).collect();
        for _ in 0..self.script.below(4) {
            let step = self.step(&dimensions);
            self.pool.push(step);
        }
        let mut element = *self.pool.last().expect("an element");
        let mut scalar = self.builder.scalar(element);
        let number = self.builder.nest.accumulators.len() as u32;
        // Sums of whole numbers are exact in any order.
        if scalar.is_float() && self.script.below(2) == 0 {
            let low = self.constant(scalar, -100.0);
            let high = self.constant(scalar, 100.0);
            element = self.node(Node::Binary(Binary::Maximum, element, low), scalar);
            element = self.node(Node::Binary(Binary::Minimum, element, high), scalar);
            element = self.node(Node::Unary(Unary::Round, element), scalar);
            if scalar != Scalar::F64 {
                element = self.node(Node::Unary(Unary::Convert, element), Scalar::F64);
            }
            scalar = Scalar::F64;
            // NaN to 0.
            let is_nan = self.node(Node::Unary(Unary::IsNan, element), Scalar::Bool);
            let zero = self.constant(scalar, 0.0);
            element = self.node(Node::Select(is_nan, zero, element), scalar);
            self.builder.nest.accumulators.push(scalar);
            let so_far = self.node(Node::Accumulator(number), scalar);
            let next = self.node(Node::Binary(Binary::Add, so_far, element), scalar);
            self.folded(number, scalar, zero, next, kept);
            return;
        }
        if scalar == Scalar::C64 {
            element = self.node(Node::Unary(Unary::Real, element), Scalar::F32);
            scalar = Scalar::F32;
        }
        self.builder.nest.accumulators.push(scalar);
        let so_far = self.node(Node::Accumulator(number), scalar);
        let next = if scalar.is_float() && self.script.below(2) == 0 {
            let half = self.constant(scalar, 0.5);
            let faded = self.node(Node::Binary(Binary::Multiply, so_far, half), scalar);
            self.node(Node::Binary(Binary::Subtract, element, faded), scalar)
        } else if scalar.is_float() {
            let function = self.script.of(&[Binary::Maximum, Binary::Minimum]);
            self.node(Node::Binary(function, so_far, element), scalar)
        } else {
            self.joined(scalar, element, so_far)
        };
        let init = self.constant(scalar, 1.0);
        self.folded(number, scalar, init, next, kept);
    }

    fn folded(&mut self, number: u32, scalar: Scalar, init: NodeId, next: NodeId, kept: Vec<NodeId>) {
        let fold = self.builder.scope - 1;
        let entry = &mut self.builder.nest.folds[fold as usize];
        (entry.accumulators, entry.inits, entry.next) = (number..number + 1, vec![init], vec![next]);
        self.builder.scope = 0;
        let result = self.node(Node::Folded(fold, 0), scalar);
        self.pool = kept;
        self.pool.push(result);
    }
}

/// A kernel of one nest, as a list of numbers decides.
fn kernel(words: &[u32]) -> Kernel {
    let mut script = Script { words, at: 0 };
    let rank = 1 + script.below(3);
    let sizes: Vec<usize> = (0..rank).map(|_| script.of(&[1, 2, 3, 4, 5, 7, 8, 16, 17])).collect();
    let mut maker = Maker { script, builder: NestBuilder::new(&sizes), pool: Vec::new() };
    let outer: Vec<u32> = (0..rank as u32).collect();
    for _ in 0..3 {
        let load = maker.load(&outer);
        maker.pool.push(load);
    }
    // Where the loops are, as a number.
    let index = maker.node(Node::Index(rank as u32 - 1), Scalar::I64);
    maker.pool.push(index);
    for _ in 0..maker.script.below(3) {
        maker.fold(&outer);
    }
    for _ in 0..maker.script.below(12) {
        let step = maker.step(&outer);
        maker.pool.push(step);
    }
    let mut kernel = Kernel::default();
    for (index, &scalar) in INPUTS.iter().enumerate() {
        kernel.buffers.push(Buffer { scalar, elements: ELEMENTS, place: Place::Input(index as u32) });
    }
    for index in 0..1 + maker.script.below(3) {
        let value = maker.pool[maker.pool.len() - 1 - index.min(maker.pool.len() - 1)];
        let mut order: Vec<usize> = (0..rank).collect();
        if maker.script.below(4) == 0 {
            order.reverse();
        }
        let places: Vec<NodeId> = order.iter().map(|&each| maker.node(Node::Index(each as u32), Scalar::I64)).collect();
        let shape: Vec<usize> = order.iter().map(|&each| sizes[each]).collect();
        let at = maker.builder.linear(&places, &shape);
        let buffer = kernel.buffers.len() as BufferId;
        let scalar = maker.builder.scalar(value);
        let elements = sizes.iter().product();
        kernel.buffers.push(Buffer { scalar, elements, place: Place::Output(index as u32) });
        maker.builder.nest.stores.push(Store { buffer, at, value });
    }
    kernel.body.push(Statement::Nest(maker.builder.nest));
    kernel
}

/// The same bits, but for those of NaN.
fn alike(scalar: Scalar, a: &[u8], b: &[u8]) -> bool {
    let part = |a: &[u8], b: &[u8], scalar: Scalar| {
        let (a, b) = (Value::from_bytes(scalar, a), Value::from_bytes(scalar, b));
        a == b || (scalar.is_float() && a.to_f64(scalar).is_nan() && b.to_f64(scalar).is_nan())
    };
    let real = scalar.real();
    a.len() == b.len() && a.chunks(real.bytes()).zip(b.chunks(real.bytes())).all(|(a, b)| part(a, b, real))
}

fn native(kernel: &Kernel, inputs: &[&[u8]]) -> Vec<Vec<u8>> {
    let code = Code::new(kernel.clone()).expect("native code");
    let mut written: Vec<Vec<u8>> = code.outputs().iter().map(|&size| vec![0xa5; size]).collect();
    let mut outputs: Vec<&mut [u8]> = written.iter_mut().map(Vec::as_mut_slice).collect();
    code.run(inputs, &mut outputs, &AtomicBool::new(false)).expect("not stopped");
    written
}

proptest! {
    #[test]
    fn native_nests_give_what_the_interpreter_gives(words in prop::collection::vec(any::<u32>(), 1..120), seed in any::<u64>()) {
        let kernel = kernel(&words);
        let inputs: Vec<Vec<u8>> = INPUTS.iter().map(|&scalar| numbers(scalar, seed)).collect();
        let inputs: Vec<&[u8]> = inputs.iter().map(Vec::as_slice).collect();
        let (expected, written) = (interpret(&kernel, &inputs), native(&kernel, &inputs));
        for (index, (expected, written)) in expected.iter().zip(&written).enumerate() {
            let scalar = kernel.buffers[INPUTS.len() + index].scalar;
            prop_assert!(alike(scalar, expected, written), "{:#?}\n{expected:?}\n{written:?}", kernel.body);
        }
    }
}
