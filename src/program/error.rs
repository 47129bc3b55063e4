//! Why a program cannot be compiled, and how messages name its ops.
#![forbid(unsafe_code)]

use super::{Function, Op, OpKind, ValueId};

/// An error of a pass or of the lowering. Its text names op, types and source line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CompileError {
    /// A valid program that this backend cannot run (UNIMPLEMENTED).
    #[error("{0}")]
    Unimplemented(String),
    /// A program that breaks a rule of StableHLO (INVALID_ARGUMENT).
    #[error("{0}")]
    Invalid(String),
}

impl CompileError {
    /// UNIMPLEMENTED: names the op, its types, the reason and the source line.
    pub fn unsupported(function: &Function, op: &Op, why: &str) -> Self {
        Self::Unimplemented(format!("{} is not supported on mps: {why}", describe(function, op)))
    }

    /// INVALID_ARGUMENT: names the op, its types, the reason and the source line.
    pub fn invalid(function: &Function, op: &Op, why: &str) -> Self {
        Self::Invalid(format!("{} is invalid: {why}", describe(function, op)))
    }
}

/// `stablehlo.add (tensor<2xf32>, tensor<2xf32>) -> tensor<2xf32> at file.py:12 (jit(f)/add)`.
pub fn describe(function: &Function, op: &Op) -> String {
    let list =
        |values: &[ValueId]| values.iter().map(|&value| function.ty(value).to_string()).collect::<Vec<_>>().join(", ");
    let name = match &op.kind {
        OpKind::CustomCall(call) => format!("{} @{}", op.kind.full_name(), call.call_target_name),
        kind => kind.full_name(),
    };
    format!("{name} ({}) -> ({}) at {}", list(&op.operands), list(&op.results), op.location)
}
