//! Comparators that compare keys one after the other: what is compared, and in which order.
#![forbid(unsafe_code)]

use super::super::axes::reversed;
use super::super::combiner::{Expressions, Node, NodeId};
use super::super::{Context, LowerError, Lowered, Region, float_order};
use crate::mlx::{self, Array, Arrays, Dtype, Stream};
use crate::program::{Binary, Block, CompareType, Direction, Op, OpKind};

/// How a key orders.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Integers and bool; floats with equal zeros and NaN last, which is how MLX sorts.
    Plain,
    /// Floats in IEEE 754's totalOrder.
    TotalOrder,
}

#[derive(Clone, Debug)]
struct Key {
    kind: Kind,
    descending: bool,
    source: Source,
}

#[derive(Clone, Copy, Debug)]
enum Source {
    /// An operand as it is.
    Operand(usize),
    /// A result of the key region.
    Computed(usize),
}

/// A lexicographic order.
pub(super) struct Order {
    keys: Vec<Key>,
    count: usize,
    region: Option<Region>,
}

/// Reads the comparator; None when it is no lexicographic one.
pub(super) fn order(context: &mut Context<'_>, op: &Op) -> Result<Option<Order>, LowerError> {
    let block = &op.regions[0];
    let Some(mut expressions) = Expressions::of(context, block) else { return Ok(None) };
    let &[result] = &expressions.results[..] else { return Ok(None) };
    let mut found = Vec::new();
    if !lexicographic(&mut expressions, result, &mut found) {
        return Ok(None);
    }
    let mut computed = Vec::new();
    let mut keys = Vec::new();
    for (node, compare_type, descending) in found {
        let element = expressions.element(node);
        if element.is_small_float() || element.is_complex() {
            return Ok(None);
        }
        let canonical = if element.is_float() { expressions.canonical_of(node) } else { None };
        let total = compare_type == CompareType::TotalOrder && canonical.is_none();
        let node = canonical.unwrap_or(node);
        let source = if let Node::Argument(index) = expressions.get(node) {
            Source::Operand(index / 2)
        } else {
            let Some(value) = expressions.value_of(node) else { return Ok(None) };
            computed.push(value);
            Source::Computed(computed.len() - 1)
        };
        let kind = if total && element.is_float() { Kind::TotalOrder } else { Kind::Plain };
        keys.push(Key { kind, descending, source });
    }
    let region = if computed.is_empty() {
        None
    } else {
        let block = Block { arguments: block.arguments.clone(), ops: block.ops.clone(), results: computed };
        Some(context.scalar_region(op, &block)?)
    };
    Ok(Some(Order { keys, count: op.operands.len(), region }))
}

/// `a < b` for the last key, `a < b or (a == b and rest)` for those before.
fn lexicographic(expressions: &mut Expressions, node: NodeId, keys: &mut Vec<(NodeId, CompareType, bool)>) -> bool {
    if let Some(key) = less(expressions, node) {
        keys.push(key);
        return true;
    }
    let Node::Op(OpKind::Binary(Binary::Or), operands) = expressions.get(node).clone() else { return false };
    let [first, second] = operands[..] else { return false };
    for (head, tail) in [(first, second), (second, first)] {
        let Some((key, compare_type, descending)) = less(expressions, head) else { continue };
        let Node::Op(OpKind::Compare { .. }, compared) = expressions.get(head).clone() else { continue };
        let equal = expressions.compare(Direction::Eq, compare_type, compared[0], compared[1]);
        let Node::Op(OpKind::Binary(Binary::And), operands) = expressions.get(tail).clone() else { continue };
        let rest = match operands[..] {
            [a, b] if a == equal => b,
            [a, b] if b == equal => a,
            _ => continue,
        };
        let known = keys.len();
        keys.push((key, compare_type, descending));
        if lexicographic(expressions, rest, keys) {
            return true;
        }
        keys.truncate(known);
    }
    false
}

/// A comparison of a key of the first elements with the same key of the second ones: the key, and whether it descends.
fn less(expressions: &Expressions, node: NodeId) -> Option<(NodeId, CompareType, bool)> {
    let Node::Op(OpKind::Compare { direction: Direction::Lt, compare_type }, operands) = expressions.get(node) else {
        return None;
    };
    let &[left, right] = &operands[..] else { return None };
    if expressions.mirrored(left, right) {
        Some((left, *compare_type, false))
    } else if expressions.mirrored(right, left) {
        Some((right, *compare_type, true))
    } else {
        None
    }
}

impl Order {
    /// The region that computes keys, if any is computed.
    pub(super) fn region(&self) -> Option<&Region> {
        self.region.as_ref()
    }

    /// Arrays whose ascending order, as MLX sorts, is the order wanted.
    pub(super) fn keys(&self, inputs: &[&Array], stream: Stream) -> mlx::Result<Arrays> {
        let shape = inputs[0].shape();
        let computed = match &self.region {
            Some(region) => {
                // Both sides of the comparator get the same elements: only the first side's keys are used.
                let arguments: Vec<&Array> = inputs[..self.count].iter().flat_map(|&input| [input, input]).collect();
                region.call(&arguments, inputs, stream)?
            }
            None => Arrays::new(),
        };
        self.keys
            .iter()
            .map(|key| {
                let array = match key.source {
                    Source::Operand(index) => inputs[index],
                    Source::Computed(index) => &computed[index],
                };
                let array = if array.rank() < shape.len() { &mlx::broadcast_to(array, shape, stream)? } else { array };
                key.ascending(array, stream)
            })
            .collect()
    }

    /// A single operand sorted by itself: no permutation is needed.
    pub(super) fn values_alone(&self, axis: i32) -> Option<Lowered> {
        let [key] = &self.keys[..] else { return None };
        let Source::Operand(0) = key.source else { return None };
        let key = key.clone();
        Some(Lowered::one(move |inputs, stream| {
            let operand = mlx::contiguous(inputs[0], stream)?;
            // Metal's library has no kernels that sort bool; the bytes of bool order alike.
            if operand.dtype() == Dtype::Bool {
                let bytes = mlx::sort(&mlx::view(&operand, Dtype::Uint8, stream)?, axis, stream)?;
                let sorted = mlx::view(&bytes, Dtype::Bool, stream)?;
                return if key.descending { reversed(&sorted, axis, stream) } else { Ok(sorted) };
            }
            let sorted = match key.kind {
                Kind::Plain => mlx::sort(&operand, axis, stream)?,
                Kind::TotalOrder => {
                    let sorted = mlx::sort(&float_order::to_keys(&operand, stream)?, axis, stream)?;
                    float_order::from_keys(&sorted, operand.dtype(), stream)?
                }
            };
            if key.descending { reversed(&sorted, axis, stream) } else { Ok(sorted) }
        }))
    }
}

impl Key {
    fn ascending(&self, array: &Array, stream: Stream) -> mlx::Result<Array> {
        let is_float = float_order::key_dtype(array.dtype()).is_some();
        let keys = match self.kind {
            Kind::TotalOrder => float_order::to_keys(array, stream)?,
            Kind::Plain if !self.descending || !is_float => array.clone(),
            Kind::Plain => {
                // -0 + 0 is +0: one key for both.
                let zero_once = mlx::add(array, &mlx::zeros(&[], array.dtype(), stream)?, stream)?;
                float_order::to_keys_with_nan(&zero_once, true, stream)?
            }
        };
        if !self.descending {
            return Ok(keys);
        }
        // All bits inverted is the opposite order, for signed and unsigned integers alike.
        if keys.dtype() == Dtype::Bool { mlx::logical_not(&keys, stream) } else { mlx::bitwise_invert(&keys, stream) }
    }
}
