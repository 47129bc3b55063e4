//! What one step of a nest costs.
#![forbid(unsafe_code)]

use super::ir::Node;
use crate::expression::{Binary, Unary};

/// What a node costs, in scalar operations.
pub(super) fn cost(node: &Node) -> f64 {
    match node {
        Node::Constant(_) | Node::Index(_) | Node::Accumulator(_) | Node::Folded(..) => 0.0,
        Node::Unary(function, _) => match function {
            Unary::Real | Unary::Imaginary | Unary::Bitcast => 0.0,
            Unary::Abs
            | Unary::Negate
            | Unary::Not
            | Unary::Sign
            | Unary::Ceil
            | Unary::Floor
            | Unary::Round
            | Unary::IsNan
            | Unary::IsInf
            | Unary::IsFinite
            | Unary::Convert => 1.0,
            Unary::Sqrt | Unary::Rsqrt => 10.0,
            // A call.
            Unary::Decode(_) => 20.0,
            _ => 60.0,
        },
        Node::Binary(function, ..) => match function {
            Binary::Divide | Binary::Remainder => 10.0,
            Binary::Power | Binary::Atan2 => 120.0,
            _ => 1.0,
        },
        Node::Load(..) => 2.0,
        Node::Compare(..) | Node::Select(..) => 1.0,
    }
}
