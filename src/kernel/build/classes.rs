//! Which ops stay virtual, and what steps cost.
#![forbid(unsafe_code)]

use crate::expression::{Binary, Unary};
use crate::kernel::ir::Node;
use crate::program::{Class, Op, OpKind};

/// Costs no more where it is used than a load.
pub(super) fn is_free(kind: &OpKind) -> bool {
    match kind.class() {
        Class::View => !matches!(kind, OpKind::OptimizationBarrier),
        Class::Source => true,
        Class::Elementwise => matches!(kind, OpKind::Convert | OpKind::BitcastConvert),
        _ => false,
    }
}

/// A constant of one number.
pub(super) fn is_number(op: &Op) -> bool {
    matches!(&op.kind, OpKind::Constant(literal) if literal.splat || literal.ty.elements() == 1)
}

/// Whether its elements can be computed in the loops of who uses them.
pub(super) fn is_inlined(kind: &OpKind) -> bool {
    match kind.class() {
        Class::Elementwise | Class::View | Class::Source => true,
        Class::Move => !matches!(kind, OpKind::DynamicUpdateSlice),
        _ => false,
    }
}

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
            | Unary::Convert
            | Unary::Decode(_) => 1.0,
            Unary::Sqrt | Unary::Rsqrt => 5.0,
            _ => 20.0,
        },
        Node::Binary(function, ..) => match function {
            Binary::Divide | Binary::Remainder => 5.0,
            Binary::Power | Binary::Atan2 => 40.0,
            _ => 1.0,
        },
        Node::Load(..) | Node::Compare(..) | Node::Select(..) => 1.0,
    }
}
