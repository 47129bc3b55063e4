//! Expressions: nodes that are each made once.
#![forbid(unsafe_code)]

use std::collections::HashMap;

use super::{Scalar, Value};
use crate::program::{Direction, ElementType};

/// Functions of one number.
#[expect(missing_docs, reason = "the variants are the usual names")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Unary {
    /// Of integers modulo 2^n.
    Abs,
    /// Of integers modulo 2^n.
    Negate,
    /// Of a bool, or bitwise.
    Not,
    /// -1, 0 or 1. Of a zero or NaN any of these: definitions tell them apart.
    Sign,
    Ceil,
    Floor,
    /// To the nearest integer, ties to even.
    Round,
    Sqrt,
    /// 1 / sqrt(x).
    Rsqrt,
    Cbrt,
    Exp,
    /// exp(x) - 1.
    Expm1,
    Log,
    /// log(1 + x).
    Log1p,
    Sin,
    Cos,
    Tan,
    Sinh,
    Cosh,
    Tanh,
    Asin,
    Acos,
    Atan,
    Asinh,
    Acosh,
    Atanh,
    IsNan,
    IsInf,
    IsFinite,
    /// Real part of a complex number.
    Real,
    /// Imaginary part of a complex number.
    Imaginary,
    /// The f32 that a code of a small float stands for.
    Decode(ElementType),
    /// To another type: towards zero from floats to integers, which the value must fit; modulo 2^n between integers; to
    /// nearest even between floats; to bool what is not 0.
    Convert,
    /// The same bits as another type of the same size.
    Bitcast,
}

/// Functions of two numbers of one type.
#[expect(missing_docs, reason = "the variants are the usual names")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Binary {
    /// Of integers modulo 2^n.
    Add,
    Subtract,
    Multiply,
    /// Of unsigned integers the quotient rounded down; the divisor must not be 0.
    Divide,
    /// Of unsigned integers, and of floats that are not negative; integer divisors must not be 0.
    Remainder,
    /// Exponents of integers must not be negative.
    Power,
    /// NaN if either is. Which zero comes of two is the target's affair.
    Maximum,
    Minimum,
    Atan2,
    /// Of bools, or bitwise.
    And,
    Or,
    Xor,
    /// By less than the width.
    ShiftLeft,
    /// By less than the width; copies the sign of signed integers.
    ShiftRight,
    /// Of real and imaginary part.
    Complex,
}

/// Index of a node in its [`Nodes`].
pub type NodeId = u32;

/// One step of an expression.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Node {
    /// What is given, by number.
    Argument(u32),
    /// A number.
    Constant(Value),
    /// A function of one.
    Unary(Unary, NodeId),
    /// A function of two.
    Binary(Binary, NodeId, NodeId),
    /// Whether two numbers are in a relation; never with NaN, except Ne.
    Compare(Direction, NodeId, NodeId),
    /// The second where the first (a bool) holds, else the third.
    Select(NodeId, NodeId, NodeId),
}

impl Node {
    /// The nodes that it takes.
    pub fn operands(&self) -> impl Iterator<Item = NodeId> {
        let operands = match *self {
            Self::Argument(_) | Self::Constant(_) => [None; 3],
            Self::Unary(_, a) => [Some(a), None, None],
            Self::Binary(_, a, b) | Self::Compare(_, a, b) => [Some(a), Some(b), None],
            Self::Select(a, b, c) => [Some(a), Some(b), Some(c)],
        };
        operands.into_iter().flatten()
    }
}

/// Nodes in an order in which each follows its operands; no two are alike.
#[derive(Debug, Default)]
pub(super) struct Nodes {
    nodes: Vec<(Node, Scalar)>,
    known: HashMap<(Node, Scalar), NodeId>,
}

impl Nodes {
    pub fn add(&mut self, node: Node, scalar: Scalar) -> NodeId {
        *self.known.entry((node, scalar)).or_insert_with(|| {
            self.nodes.push((node, scalar));
            (self.nodes.len() - 1) as NodeId
        })
    }

    pub fn get(&self, id: NodeId) -> (Node, Scalar) {
        self.nodes[id as usize]
    }
}

/// Scalar functions of the same arguments.
#[derive(Clone, Debug, PartialEq)]
pub struct Expression {
    /// The arguments' types.
    pub arguments: Vec<Scalar>,
    /// In an order in which each follows its operands; none without use but arguments.
    pub nodes: Vec<(Node, Scalar)>,
    /// The results.
    pub results: Vec<NodeId>,
}

impl Expression {
    /// What the results need of some nodes.
    pub(super) fn new(arguments: Vec<Scalar>, nodes: &Nodes, results: &[NodeId]) -> Self {
        let mut used = vec![false; nodes.nodes.len()];
        for &result in results {
            used[result as usize] = true;
        }
        for index in (0..used.len()).rev() {
            if used[index] {
                nodes.nodes[index].0.operands().for_each(|operand| used[operand as usize] = true);
            }
        }
        let mut place = vec![0; used.len()];
        let mut kept: Vec<(Node, Scalar)> = Vec::new();
        for (index, &(node, scalar)) in nodes.nodes.iter().enumerate().filter(|&(index, _)| used[index]) {
            let at = |id: NodeId| place[id as usize];
            let node = match node {
                Node::Argument(_) | Node::Constant(_) => node,
                Node::Unary(function, a) => Node::Unary(function, at(a)),
                Node::Binary(function, a, b) => Node::Binary(function, at(a), at(b)),
                Node::Compare(direction, a, b) => Node::Compare(direction, at(a), at(b)),
                Node::Select(a, b, c) => Node::Select(at(a), at(b), at(c)),
            };
            place[index] = kept.len() as NodeId;
            kept.push((node, scalar));
        }
        Self { arguments, nodes: kept, results: results.iter().map(|&id| place[id as usize]).collect() }
    }

    /// The results' types.
    pub fn result(&self, index: usize) -> Scalar {
        self.nodes[self.results[index] as usize].1
    }
}
