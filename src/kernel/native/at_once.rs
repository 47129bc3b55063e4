//! Which steps vectors have.
#![forbid(unsafe_code)]

use super::vector;
use crate::expression::Scalar;
use crate::kernel::ir::{Nest, Node, NodeId};

/// Whether vectors have the step.
pub(in crate::kernel) fn at_once(nest: &Nest, node: &Node, scalar: Scalar, varies: &dyn Fn(NodeId) -> bool) -> bool {
    let of = |id: NodeId| nest.steps[id as usize].scalar;
    match *node {
        Node::Unary(function, a) => vector::has_unary(function, of(a), scalar),
        Node::Binary(function, a, b) => vector::has_binary(function, of(a), !varies(b)),
        Node::Compare(direction, a, _) => vector::has_compare(direction, of(a)),
        Node::Load(..) => false,
        _ => true,
    }
}
