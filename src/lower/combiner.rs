//! What a region of scalars computes: recognises the bodies of reduce, reduce_window, scatter, select_and_scatter and
//! sort that have a form of their own in MLX.
#![forbid(unsafe_code)]

use std::collections::HashMap;

use super::Context;
use crate::program::{Binary, Block, CompareType, Direction, ElementType, OpKind, Unary, ValueId};

/// A body of one accumulator `a` and one new value `b`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Combiner {
    /// `a + b`; for bool `a | b`.
    Add,
    /// `a · b`; for bool `a & b`.
    Multiply,
    /// The greater; NaN wins.
    Maximum,
    /// The lesser; NaN wins.
    Minimum,
    /// Bitwise.
    And,
    /// Bitwise.
    Or,
    /// Bitwise.
    Xor,
    /// `a`.
    First,
    /// `b`.
    Second,
}

impl Combiner {
    /// True when `literal`, an element's little-endian bytes, changes nothing on either side.
    pub fn is_identity(self, element: ElementType, literal: &[u8]) -> bool {
        self.identities(element).iter().any(|identity| identity == literal)
    }

    /// The bytes of an element that changes nothing on either side.
    pub fn identity(self, element: ElementType) -> Option<Vec<u8>> {
        self.identities(element).into_iter().next()
    }

    fn identities(self, element: ElementType) -> Vec<Vec<u8>> {
        use ElementType::*;
        let width = element.bytes();
        let float = |value: f64| match element {
            F32 => vec![(value as f32).to_le_bytes().to_vec()],
            F64 => vec![value.to_le_bytes().to_vec()],
            F16 => vec![half::f16::from_f64(value).to_le_bytes().to_vec()],
            BF16 => vec![half::bf16::from_f64(value).to_le_bytes().to_vec()],
            _ => vec![],
        };
        let low_bits = |signed: bool| {
            // Least (signed) or greatest stored value of an integer of `bits` bits, extended to whole bytes.
            let bits = element.bits();
            if signed {
                let least = -(1i128 << (bits - 1));
                (least.to_le_bytes()[..width].to_vec(), (!least).to_le_bytes()[..width].to_vec())
            } else {
                (vec![0; width], ((1i128 << bits) - 1).to_le_bytes()[..width].to_vec())
            }
        };
        match self {
            Combiner::First | Combiner::Second => vec![],
            // -0 first: it changes nothing even when added to -0.
            Combiner::Add if element == C64 => {
                vec![[(-0f32).to_le_bytes(); 2].concat(), vec![0; width]]
            }
            Combiner::Add | Combiner::Or | Combiner::Xor if !element.is_float() => vec![vec![0; width]],
            Combiner::Add => [float(-0.0), float(0.0)].concat(),
            Combiner::Multiply | Combiner::And if element == Bool => vec![vec![1]],
            Combiner::Multiply if element.is_integer() => {
                vec![1i128.to_le_bytes()[..width].to_vec()]
            }
            Combiner::Multiply if element == C64 => {
                vec![[1f32.to_le_bytes(), 0f32.to_le_bytes()].concat()]
            }
            Combiner::Multiply => float(1.0),
            Combiner::And if element.is_signed_integer() => vec![vec![0xff; width]],
            Combiner::And if element.is_integer() => vec![low_bits(false).1],
            Combiner::Maximum | Combiner::Minimum => {
                let maximum = self == Combiner::Maximum;
                if element == Bool {
                    vec![vec![u8::from(!maximum)]]
                } else if element.is_integer() {
                    let (least, greatest) = low_bits(element.is_signed_integer());
                    vec![if maximum { least } else { greatest }]
                } else {
                    float(if maximum { f64::NEG_INFINITY } else { f64::INFINITY })
                }
            }
            Combiner::And | Combiner::Or | Combiner::Xor => vec![],
        }
    }
}

/// Bodies of a value and an index that keep the extremum and, among equals, the lesser index; NaN counts as extreme.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ArgExtremum {
    /// Keeps the greatest.
    Max,
    /// Keeps the least.
    Min,
}

/// Index of a node of [`Expressions`].
pub type NodeId = usize;

/// One scalar of a body.
#[derive(Clone, Debug, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "bodies have a handful of nodes")]
pub enum Node {
    /// Block argument.
    Argument(usize),
    /// A constant's bytes.
    Literal(Vec<u8>),
    /// A value of an enclosing block that is no constant.
    Captured(ValueId),
    /// An op of one result.
    Op(OpKind, Vec<NodeId>),
}

/// The scalars of a body, each expression once: two values are known to be equal when their nodes are the same.
#[derive(Default)]
pub struct Expressions {
    nodes: Vec<(Node, ElementType)>,
    /// A value of the block for each node that has one.
    values: HashMap<NodeId, ValueId>,
    /// Nodes of the block's results.
    pub results: Vec<NodeId>,
}

/// Bodies with more ops than this are not worth a look: all that JAX emits for its own ops are far smaller.
const LARGEST: usize = 512;

impl Expressions {
    /// Reads a block whose arguments are scalars; None when it does what no expression says.
    pub fn of(context: &Context<'_>, block: &Block) -> Option<Self> {
        if block.ops.len() > LARGEST {
            return None;
        }
        let mut expressions = Self::default();
        let mut known: HashMap<ValueId, NodeId> = HashMap::new();
        for (index, &argument) in block.arguments.iter().enumerate() {
            let element = context.function.tensor(argument)?.element;
            let node = expressions.node(Node::Argument(index), element);
            known.insert(argument, node);
            expressions.values.insert(node, argument);
        }
        for op in &block.ops {
            let &[result] = &op.results[..] else { return None };
            if !op.regions.is_empty() {
                return None;
            }
            let tensor = context.function.tensor(result)?;
            let node = if let OpKind::Constant(literal) = &op.kind {
                if tensor.rank() != 0 {
                    return None;
                }
                expressions.node(Node::Literal(literal.element(0).to_vec()), tensor.element)
            } else {
                let operands = op
                    .operands
                    .iter()
                    .map(|&operand| expressions.value(context, &known, operand))
                    .collect::<Option<Vec<NodeId>>>()?;
                expressions.make(op.kind.clone(), operands, tensor.element)
            };
            known.insert(result, node);
            expressions.values.entry(node).or_insert(result);
        }
        expressions.results = block
            .results
            .iter()
            .map(|&result| expressions.value(context, &known, result))
            .collect::<Option<Vec<NodeId>>>()?;
        Some(expressions)
    }

    fn value(&mut self, context: &Context<'_>, known: &HashMap<ValueId, NodeId>, value: ValueId) -> Option<NodeId> {
        if let Some(&node) = known.get(&value) {
            return Some(node);
        }
        let element = context.function.tensor(value)?.element;
        let node = match context.constant(value) {
            Some(literal) if literal.ty.rank() == 0 => Node::Literal(literal.element(0).to_vec()),
            _ => Node::Captured(value),
        };
        Some(self.node(node, element))
    }

    fn node(&mut self, node: Node, element: ElementType) -> NodeId {
        if let Some(position) = self.nodes.iter().position(|(each, kind)| *kind == element && *each == node) {
            return position;
        }
        self.nodes.push((node, element));
        self.nodes.len() - 1
    }

    /// What a node is.
    pub fn get(&self, node: NodeId) -> &Node {
        &self.nodes[node].0
    }

    /// The element type of a node.
    pub fn element(&self, node: NodeId) -> ElementType {
        self.nodes[node].1
    }

    /// A value of the block that has the node's value.
    pub fn value_of(&self, node: NodeId) -> Option<ValueId> {
        self.values.get(&node).copied()
    }

    /// True when `b` is what `a` becomes when every argument 2i is replaced by argument 2i + 1 (and no other is used).
    pub fn mirrored(&self, a: NodeId, b: NodeId) -> bool {
        self.mirrored_within(a, b, &mut 10_000)
    }

    fn mirrored_within(&self, a: NodeId, b: NodeId, budget: &mut usize) -> bool {
        if *budget == 0 || self.element(a) != self.element(b) {
            return false;
        }
        *budget -= 1;
        match (self.get(a), self.get(b)) {
            (Node::Argument(i), Node::Argument(j)) => i % 2 == 0 && *j == i + 1,
            (Node::Literal(_) | Node::Captured(_), _) => a == b,
            (Node::Op(kind, left), Node::Op(other, right)) => {
                let mut same = |order: &[usize]| {
                    order.iter().zip(right).all(|(&from, &to)| self.mirrored_within(left[from], to, budget))
                };
                // The normal form orders commutative operands by number, which the replacement may change.
                kind == other
                    && left.len() == right.len()
                    && (same(&(0..left.len()).collect::<Vec<_>>())
                        || left.len() == 2 && is_commutative(kind) && same(&[1, 0]))
            }
            _ => false,
        }
    }

    /// The operand of a float in the form that JAX sorts by: both zeros as +0, every NaN as the same.
    pub fn canonical_of(&mut self, node: NodeId) -> Option<NodeId> {
        let Node::Op(OpKind::Select, operands) = self.get(node).clone() else { return None };
        let [is_nan, nan, or_zero] = operands[..] else { return None };
        let Node::Op(OpKind::Select, operands) = self.get(or_zero).clone() else { return None };
        let [is_zero, zero, inner] = operands[..] else { return None };
        let element = self.element(inner);
        let bytes = |node: NodeId| match self.get(node) {
            Node::Literal(bytes) => float_of(element, bytes),
            _ => None,
        };
        let (nan, zero_value) = (bytes(nan)?, bytes(zero)?);
        let expected_nan = self.compare(Direction::Ne, CompareType::Float, inner, inner);
        let expected_zero = self.compare(Direction::Eq, CompareType::Float, inner, zero);
        // Either zero stands for both in the comparison; as a key it must be the positive one, the NaN too.
        let right = nan.is_nan() && nan.is_sign_positive() && zero_value == 0.0 && zero_value.is_sign_positive();
        (right && is_nan == expected_nan && is_zero == expected_zero).then_some(inner)
    }

    /// Block argument `index`, if the block uses its arguments as scalars.
    pub fn argument(&self, index: usize) -> NodeId {
        // Arguments are the first nodes, in their order.
        index
    }

    /// A bool constant.
    pub fn bool(&mut self, value: bool) -> NodeId {
        self.node(Node::Literal(vec![u8::from(value)]), ElementType::Bool)
    }

    /// A comparison in the form that [`Self::make`] gives it.
    pub fn compare(&mut self, direction: Direction, compare_type: CompareType, a: NodeId, b: NodeId) -> NodeId {
        self.make(OpKind::Compare { direction, compare_type }, vec![a, b], ElementType::Bool)
    }

    /// A binary op on operands of one element type.
    pub fn binary(&mut self, kind: Binary, a: NodeId, b: NodeId) -> NodeId {
        let element = self.element(a);
        self.make(OpKind::Binary(kind), vec![a, b], element)
    }

    /// A unary op that keeps the element type.
    pub fn unary(&mut self, kind: Unary, a: NodeId) -> NodeId {
        let element = self.element(a);
        self.make(OpKind::Unary(kind), vec![a], element)
    }

    /// A select.
    pub fn select(&mut self, condition: NodeId, a: NodeId, b: NodeId) -> NodeId {
        let element = self.element(a);
        self.make(OpKind::Select, vec![condition, a, b], element)
    }

    /// An op in a normal form: commutative operands ordered, greater turned into less, what is trivially constant folded.
    pub fn make(&mut self, mut kind: OpKind, mut operands: Vec<NodeId>, element: ElementType) -> NodeId {
        if let OpKind::Compare { direction, compare_type } = &mut kind {
            let compared = self.element(operands[0]);
            if !compared.is_float() {
                *compare_type = CompareType::None;
            } else if *compare_type == CompareType::None {
                *compare_type = CompareType::Float;
            }
            match direction {
                Direction::Gt => {
                    *direction = Direction::Lt;
                    operands.reverse();
                }
                Direction::Ge => {
                    *direction = Direction::Le;
                    operands.reverse();
                }
                Direction::Eq | Direction::Ne => operands.sort_unstable(),
                Direction::Le | Direction::Lt => {}
            }
            let reflexive = operands[0] == operands[1];
            if reflexive && (compared.is_integer() || compared == ElementType::Bool) {
                let value = matches!(direction, Direction::Eq | Direction::Le);
                return self.bool(value);
            }
        }
        if let OpKind::Binary(binary) = kind {
            use Binary::*;
            if is_commutative(&kind) {
                operands.sort_unstable();
            }
            if element == ElementType::Bool && matches!(binary, And | Or) {
                if operands[0] == operands[1] {
                    return operands[0];
                }
                let neutral = self.bool(binary == And);
                let absorbing = self.bool(binary == Or);
                if operands.contains(&absorbing) {
                    return absorbing;
                }
                if let Some(position) = operands.iter().position(|&operand| operand == neutral) {
                    return operands[1 - position];
                }
            }
        }
        if kind == OpKind::Select {
            if operands[1] == operands[2] {
                return operands[1];
            }
            let (yes, no) = (self.bool(true), self.bool(false));
            if operands[0] == yes {
                return operands[1];
            }
            if operands[0] == no {
                return operands[2];
            }
        }
        if kind == OpKind::Convert && self.element(operands[0]) == element {
            return operands[0];
        }
        self.node(Node::Op(kind, operands), element)
    }

    /// The operand of a conversion that loses nothing, else the node itself.
    fn widened_from(&self, node: NodeId) -> NodeId {
        use ElementType::*;
        match self.get(node) {
            Node::Op(OpKind::Convert, operands)
                if matches!((self.element(operands[0]), self.element(node)), (BF16 | F16, F32 | F64) | (F32, F64)) =>
            {
                operands[0]
            }
            _ => node,
        }
    }

    /// Result `result` as a body of arguments `a` and `b` alone.
    fn combiner(&self, result: NodeId, a: NodeId, b: NodeId) -> Option<Combiner> {
        if result == a {
            return Some(Combiner::First);
        }
        if result == b {
            return Some(Combiner::Second);
        }
        let mut node = result;
        if let Node::Op(OpKind::Convert, operands) = self.get(result) {
            // A body that computes in a wider type: round at the end, as native reductions do.
            node = operands[0];
        }
        let Node::Op(OpKind::Binary(binary), operands) = self.get(node) else { return None };
        let operands = [self.widened_from(operands[0]), self.widened_from(operands[1])];
        if operands != [a, b] && operands != [b, a] {
            return None;
        }
        if self.element(result) != self.element(a) || self.element(a) != self.element(b) {
            return None;
        }
        Some(match binary {
            Binary::Add => Combiner::Add,
            Binary::Multiply => Combiner::Multiply,
            Binary::Maximum => Combiner::Maximum,
            Binary::Minimum => Combiner::Minimum,
            Binary::And => Combiner::And,
            Binary::Or => Combiner::Or,
            Binary::Xor => Combiner::Xor,
            _ => return None,
        })
    }
}

fn is_commutative(kind: &OpKind) -> bool {
    use Binary::*;
    match kind {
        OpKind::Binary(binary) => matches!(binary, Add | Multiply | Maximum | Minimum | And | Or | Xor),
        OpKind::Compare { direction, .. } => matches!(direction, Direction::Eq | Direction::Ne),
        _ => false,
    }
}

fn float_of(element: ElementType, bytes: &[u8]) -> Option<f64> {
    Some(match element {
        ElementType::F16 => half::f16::from_le_bytes(bytes.try_into().ok()?).to_f64(),
        ElementType::BF16 => half::bf16::from_le_bytes(bytes.try_into().ok()?).to_f64(),
        ElementType::F32 => f64::from(f32::from_le_bytes(bytes.try_into().ok()?)),
        ElementType::F64 => f64::from_le_bytes(bytes.try_into().ok()?),
        _ => return None,
    })
}

/// The combiners of a body of n accumulators then n new values whose results do not mix; None when one is not
/// recognised.
pub fn combiners(context: &Context<'_>, block: &Block) -> Option<Vec<Combiner>> {
    let expressions = Expressions::of(context, block)?;
    let count = expressions.results.len();
    if block.arguments.len() != 2 * count {
        return None;
    }
    (0..count)
        .map(|index| {
            let (a, b) = (expressions.argument(index), expressions.argument(count + index));
            expressions.combiner(expressions.results[index], a, b)
        })
        .collect()
}

/// Recognises the body of argmax and argmin: accumulator value and index, then new value and index.
pub fn arg_extremum(context: &Context<'_>, block: &Block) -> Option<ArgExtremum> {
    let mut expressions = Expressions::of(context, block)?;
    if block.arguments.len() != 4 || expressions.results.len() != 2 {
        return None;
    }
    let [a, a_index, b, b_index] = [0, 1, 2, 3].map(|index| expressions.argument(index));
    let results = expressions.results.clone();
    for (extremum, direction) in [(ArgExtremum::Max, Direction::Gt), (ArgExtremum::Min, Direction::Lt)] {
        let e = &mut expressions;
        let better = e.compare(direction, CompareType::None, a, b);
        let nan = e.compare(Direction::Ne, CompareType::None, a, a);
        let keep = e.binary(Binary::Or, better, nan);
        let equal = e.compare(Direction::Eq, CompareType::None, a, b);
        let before = e.compare(Direction::Lt, CompareType::None, a_index, b_index);
        let tie = e.binary(Binary::And, equal, before);
        let keep_index = e.binary(Binary::Or, keep, tie);
        let expected = vec![e.select(keep, a, b), e.select(keep_index, a_index, b_index)];
        if results == expected {
            return Some(extremum);
        }
    }
    None
}

/// Recognises `log(exp a + exp b)` as JAX writes it for its cumulative form.
pub fn is_log_add_exp(context: &Context<'_>, block: &Block) -> bool {
    let Some(mut expressions) = Expressions::of(context, block) else { return false };
    let (&[_, _], &[result]) = (&block.arguments[..], &expressions.results[..]) else { return false };
    let e = &mut expressions;
    let (a, b) = (e.argument(0), e.argument(1));
    let greater = e.binary(Binary::Maximum, a, b);
    let difference = e.binary(Binary::Subtract, a, b);
    let nan = e.compare(Direction::Ne, CompareType::Float, difference, difference);
    let sum = e.binary(Binary::Add, a, b);
    let distance = e.unary(Unary::Abs, difference);
    let negative = e.unary(Unary::Negate, distance);
    let exponential = e.unary(Unary::Exponential, negative);
    let correction = e.unary(Unary::LogPlusOne, exponential);
    let regular = e.binary(Binary::Add, greater, correction);
    result == e.select(nan, sum, regular)
}
