//! Which ops stay virtual.
#![forbid(unsafe_code)]

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
