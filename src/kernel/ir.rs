//! Kernels: loop nests over expressions, and the control flow around them.
#![forbid(unsafe_code)]

use std::collections::HashMap;
use std::sync::Arc;

use crate::expression::{Binary, Scalar, Unary, Value};
use crate::program::Direction;

/// Index of a [`Buffer`].
pub type BufferId = u32;
/// Index of a node in its [`Nest`].
pub type NodeId = u32;

/// Where the elements of a buffer lie.
#[derive(Clone, Debug, PartialEq)]
pub enum Place {
    /// An argument; only read.
    Input(u32),
    /// A result; only written, or read after it was written.
    Output(u32),
    /// That many bytes into the arena.
    Arena(usize),
    /// In the kernel.
    Constant(Arc<[u8]>),
}

/// Row-major elements.
#[derive(Clone, Debug, PartialEq)]
pub struct Buffer {
    /// Their type.
    pub scalar: Scalar,
    /// How many.
    pub elements: usize,
    /// Where.
    pub place: Place,
}

/// One step of the body of a nest. Indices are of type i64, and never negative.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Node {
    /// Where a loop is, of [`Nest::dimensions`].
    Index(u32),
    /// What a fold has so far, of [`Nest::accumulators`].
    Accumulator(u32),
    /// A number.
    Constant(Value),
    /// The element of a buffer at a linear index.
    Load(BufferId, NodeId),
    /// As in expressions.
    Unary(Unary, NodeId),
    /// As in expressions.
    Binary(Binary, NodeId, NodeId),
    /// As in expressions.
    Compare(Direction, NodeId, NodeId),
    /// As in expressions.
    Select(NodeId, NodeId, NodeId),
    /// A result of a fold: its number, and which accumulator of it.
    Folded(u32, u32),
}

/// A node with its type, and the fold that it stands in (0: none; else one more than its number).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Step {
    /// What is computed.
    pub node: Node,
    /// Of which type.
    pub scalar: Scalar,
    /// In which scope.
    pub scope: u32,
}

/// A loop within the body of a nest, over its own dimensions, row-major, which carries numbers.
#[derive(Clone, Debug, PartialEq)]
pub struct Fold {
    /// Its dimensions, of [`Nest::dimensions`].
    pub dimensions: std::ops::Range<u32>,
    /// Its first accumulator, of [`Nest::accumulators`].
    pub accumulators: std::ops::Range<u32>,
    /// What these begin with.
    pub inits: Vec<NodeId>,
    /// What they become.
    pub next: Vec<NodeId>,
}

/// A number that is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Store {
    /// Where to.
    pub buffer: BufferId,
    /// At which linear index.
    pub at: NodeId,
    /// What.
    pub value: NodeId,
}

/// A loop nest: the outer dimensions are independent, but for those that are ordered.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Nest {
    /// How many of the dimensions are loops around the whole body; the rest are those of folds.
    pub outer: u32,
    /// Outer dimensions whose turns come one after the other: each reads what those before it have stored.
    pub ordered: std::ops::Range<u32>,
    /// Sizes of all loops.
    pub dimensions: Vec<usize>,
    /// Types of what folds carry.
    pub accumulators: Vec<Scalar>,
    /// In an order in which each step follows its operands.
    pub steps: Vec<Step>,
    /// Loops in the body.
    pub folds: Vec<Fold>,
    /// What is written at the end of the body.
    pub stores: Vec<Store>,
}

/// What a sort takes of an operand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sorted {
    /// The elements of a buffer.
    Buffer(BufferId),
    /// The number of the element in its row.
    Position,
}

/// Rows of one or several operands, put in an order that a function of two elements of each says; equal ones keep theirs.
#[derive(Clone, Debug, PartialEq)]
pub struct Sort {
    /// What is sorted.
    pub from: Vec<Sorted>,
    /// Where the sorted elements go: `kept` for each of a row.
    pub to: Vec<BufferId>,
    /// Two buffers of a row each for every operand.
    pub scratch: Vec<[BufferId; 2]>,
    /// Rows, elements of a row, and the distance of these: sizes before, in and behind the dimension that is sorted along.
    pub sizes: [usize; 3],
    /// The first so many of a row are wanted.
    pub kept: usize,
    /// Steps in no loop, whose accumulators are the elements: of the first operand both, then of the second …
    pub comparator: Nest,
    /// Whether the first of two comes before the second.
    pub before: NodeId,
}

/// A function of the host: reads bytes, writes bytes, or says what went wrong.
pub type HostFunction = dyn Fn(&[&[u8]], &mut [&mut [u8]]) -> Result<(), String> + Send + Sync;

/// A call of a function of the host.
#[derive(Clone)]
pub struct Call {
    /// The op in whose place it stands.
    pub name: String,
    /// What is called.
    pub function: Arc<HostFunction>,
    /// What it costs, in scalar operations.
    pub steps: f64,
    /// Whether it waits for other threads, which must not be waiting for the kernel.
    pub waits: bool,
    /// What it reads.
    pub inputs: Vec<BufferId>,
    /// What it writes: buffers of their own.
    pub outputs: Vec<BufferId>,
}

impl std::fmt::Debug for Call {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { name, inputs, outputs, .. } = self;
        formatter.debug_struct("Call").field("name", name).field("inputs", inputs).field("outputs", outputs).finish()
    }
}

impl PartialEq for Call {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.function, &other.function) && self.inputs == other.inputs && self.outputs == other.outputs
    }
}

/// What runs, in order.
#[derive(Clone, Debug, PartialEq)]
pub enum Statement {
    /// A loop nest.
    Nest(Nest),
    /// Elements in order.
    Sort(Sort),
    /// A function of the host.
    Call(Call),
    /// All elements of a buffer go to another of as many.
    Copy {
        /// Read.
        from: BufferId,
        /// Written.
        to: BufferId,
    },
    /// While the predicate, which the condition writes, holds.
    While {
        /// Runs before each turn.
        condition: Vec<Statement>,
        /// One bool.
        predicate: BufferId,
        /// A turn.
        body: Vec<Statement>,
        /// How many there are, where that is known.
        trips: Option<u64>,
        /// Scalar operations of a turn, without those of loops in it.
        steps: u32,
    },
    /// One of the arms; the last one where the index is out of range.
    Case {
        /// One bool (arms: false, true) or i32.
        index: BufferId,
        /// What runs.
        arms: Vec<Vec<Statement>>,
    },
}

/// A compiled program, or a part of one.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Kernel {
    /// All buffers.
    pub buffers: Vec<Buffer>,
    /// What runs.
    pub body: Vec<Statement>,
    /// Bytes of the arena.
    pub arena: usize,
}

impl Kernel {
    /// Whether functions of the host are called that wait for other threads.
    pub fn waits(&self) -> bool {
        fn any(statements: &[Statement]) -> bool {
            statements.iter().any(|statement| match statement {
                Statement::Call(call) => call.waits,
                Statement::While { condition, body, .. } => any(condition) || any(body),
                Statement::Case { arms, .. } => arms.iter().any(|arm| any(arm)),
                Statement::Nest(_) | Statement::Sort(_) | Statement::Copy { .. } => false,
            })
        }
        any(&self.body)
    }
}

/// How far a nest has come.
#[derive(Clone, Copy)]
pub(super) struct Mark([usize; 4]);

impl Mark {
    /// The number of steps.
    pub fn steps(self) -> usize {
        self.0[0]
    }
}

/// A nest under construction: steps are made once in a scope.
#[derive(Debug, Default)]
pub(super) struct NestBuilder {
    pub nest: Nest,
    known: HashMap<Step, NodeId>,
    /// The fold that is being built, or 0.
    pub scope: u32,
}

impl NestBuilder {
    /// For these outer loops.
    pub fn new(sizes: &[usize]) -> Self {
        let nest = Nest { outer: sizes.len() as u32, dimensions: sizes.to_vec(), ..Nest::default() };
        Self { nest, ..Self::default() }
    }

    /// Where the nest is, to come back to.
    pub fn mark(&self) -> Mark {
        let nest = &self.nest;
        Mark([nest.steps.len(), nest.folds.len(), nest.dimensions.len(), nest.accumulators.len()])
    }

    /// Forgets what was added since.
    pub fn back_to(&mut self, Mark([steps, folds, dimensions, accumulators]): Mark) {
        self.nest.steps.truncate(steps);
        self.nest.folds.truncate(folds);
        self.nest.dimensions.truncate(dimensions);
        self.nest.accumulators.truncate(accumulators);
        self.known.retain(|_, id| (*id as usize) < steps);
        self.scope = 0;
    }

    /// A node in the outermost scope that has its operands.
    pub fn add(&mut self, node: Node, scalar: Scalar) -> NodeId {
        let of = |id: NodeId| self.nest.steps[id as usize].scope;
        let scope = match node {
            Node::Constant(_) => 0,
            Node::Index(dimension) if dimension < self.nest.outer => 0,
            Node::Index(_) | Node::Accumulator(_) => self.scope,
            Node::Folded(..) => 0,
            Node::Load(_, at) => of(at),
            Node::Unary(_, a) => of(a),
            Node::Binary(_, a, b) | Node::Compare(_, a, b) => of(a).max(of(b)),
            Node::Select(a, b, c) => of(a).max(of(b)).max(of(c)),
        };
        let step = Step { node, scalar, scope };
        *self.known.entry(step).or_insert_with(|| {
            self.nest.steps.push(step);
            (self.nest.steps.len() - 1) as NodeId
        })
    }

    pub fn scalar(&self, id: NodeId) -> Scalar {
        self.nest.steps[id as usize].scalar
    }

    /// An index that is a number.
    pub fn number(&mut self, number: i64) -> NodeId {
        self.add(Node::Constant(Value::from_i128(Scalar::I64, i128::from(number))), Scalar::I64)
    }

    fn known_number(&self, id: NodeId) -> Option<i64> {
        match self.nest.steps[id as usize].node {
            Node::Constant(value) => i64::try_from(value.to_i128(Scalar::I64)).ok(),
            _ => None,
        }
    }

    /// Arithmetic of indices.
    pub fn index(&mut self, function: Binary, a: NodeId, b: NodeId) -> NodeId {
        let folded = match (function, self.known_number(a), self.known_number(b)) {
            (Binary::Add, Some(0), _) | (Binary::Multiply, Some(1), _) => return b,
            (Binary::Add | Binary::Subtract, _, Some(0)) | (Binary::Multiply | Binary::Divide, _, Some(1)) => return a,
            (Binary::Multiply, Some(0), _) | (Binary::Multiply, _, Some(0)) | (Binary::Remainder, _, Some(1)) => {
                Some(0)
            }
            (Binary::Add, Some(a), Some(b)) => Some(a + b),
            (Binary::Subtract, Some(a), Some(b)) => Some(a - b),
            (Binary::Multiply, Some(a), Some(b)) => Some(a * b),
            (Binary::Divide, Some(a), Some(b)) if b > 0 => Some(a / b),
            (Binary::Remainder, Some(a), Some(b)) if b > 0 => Some(a % b),
            (Binary::Maximum, Some(a), Some(b)) => Some(a.max(b)),
            (Binary::Minimum, Some(a), Some(b)) => Some(a.min(b)),
            _ => None,
        };
        match folded {
            Some(number) => self.number(number),
            None => self.add(Node::Binary(function, a, b), Scalar::I64),
        }
    }

    /// The linear index of a place in an array.
    pub fn linear(&mut self, index: &[NodeId], shape: &[usize]) -> NodeId {
        let mut linear = self.number(0);
        for (&at, &size) in index.iter().zip(shape) {
            let size = self.number(size as i64);
            linear = self.index(Binary::Multiply, linear, size);
            linear = self.index(Binary::Add, linear, at);
        }
        linear
    }

    /// The place in an array of a linear index.
    pub fn place(&mut self, linear: NodeId, shape: &[usize]) -> Vec<NodeId> {
        let mut rest = linear;
        let mut index = vec![0; shape.len()];
        for dimension in (0..shape.len()).rev() {
            let size = self.number(shape[dimension].max(1) as i64);
            index[dimension] = if dimension == 0 { rest } else { self.index(Binary::Remainder, rest, size) };
            if shape[dimension] == 1 {
                index[dimension] = self.number(0);
            }
            rest = self.index(Binary::Divide, rest, size);
        }
        index
    }
}
