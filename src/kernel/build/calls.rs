//! What kernels do not compute themselves, and what only hands on its operands.
#![forbid(unsafe_code)]

use super::lowering::{Lowering, Result, Where, refused};
use crate::kernel::ir::{Call, HostFunction, Statement};
use crate::program::{Collective, Op, OpKind};
use std::sync::Arc;

/// A function of the host in place of an op.
pub struct Callee {
    /// Of the bytes of all operands, row-major; writes those of all results.
    pub function: Arc<HostFunction>,
    /// What it costs, in scalar operations.
    pub steps: f64,
    /// Whether it waits for other threads.
    pub waits: bool,
}

/// Who has functions of the host for ops that kernels do not hold.
pub type Callees<'a> = dyn Fn(&Op) -> Option<Callee> + 'a;

/// The one device of a program by itself, if nothing is exchanged with others.
fn is_alone(collective: &Collective) -> bool {
    let members = collective.groups.iter().flatten().filter(|&&member| member != -1);
    let members: Vec<i64> = members.copied().collect();
    // A device in no group, though there are some, receives zeros.
    members == [0] || (members.is_empty() && collective.groups.iter().all(Vec::is_empty))
}

/// Whether an op of one device hands on its operands as they are.
pub(super) fn hands_on(kind: &OpKind) -> bool {
    match kind {
        OpKind::AllGather { collective, .. }
        | OpKind::AllReduce { collective }
        | OpKind::ReduceScatter { collective, .. }
        | OpKind::CrossReplicaSum { collective }
        | OpKind::CollectiveBroadcast { collective } => is_alone(collective),
        OpKind::CollectivePermute { collective } => collective.groups == [[0, 0]],
        OpKind::AllToAll { collective, split_count: 1, .. } => is_alone(collective),
        OpKind::CustomCall(call) => call.is_annotation() && call.call_target_name != "dce_sink",
        OpKind::OptimizationBarrier => true,
        _ => false,
    }
}

/// Whether nobody sends to the one device, which receives zeros (spec, "collective_permute", "collective_broadcast").
pub(super) fn is_zero(kind: &OpKind) -> bool {
    let members = |collective: &Collective| collective.groups.iter().flatten().filter(|&&member| member != -1).count();
    match kind {
        OpKind::CollectivePermute { collective } => collective.groups.is_empty(),
        OpKind::CollectiveBroadcast { collective } => !collective.groups.is_empty() && members(collective) == 0,
        _ => false,
    }
}

impl<'a> Lowering<'a> {
    /// Results are their operands.
    pub(super) fn hand_on(&mut self, op: &'a Op) -> Result<()> {
        for (&operand, &result) in op.operands.iter().zip(&op.results) {
            if self.tensor(operand)? != self.tensor(result)? {
                return refused(format!("{} of several devices", op.kind.name()));
            }
            let buffer = self.made(operand)?;
            self.shared.insert(buffer);
            self.places.insert(result, Where::Buffer(buffer));
        }
        if op.operands.len() == op.results.len() { Ok(()) } else { refused("as many results as operands expected") }
    }

    /// Calls a function of the host.
    pub(super) fn call(&mut self, op: &'a Op, callee: Callee) -> Result<()> {
        let mut inputs = Vec::with_capacity(op.operands.len());
        for &operand in &op.operands {
            inputs.push(self.made(operand)?);
        }
        let mut outputs = Vec::with_capacity(op.results.len());
        for &result in &op.results {
            outputs.push(self.scratch(result)?);
        }
        self.close();
        for (&result, &buffer) in op.results.iter().zip(&outputs) {
            self.places.insert(result, Where::Buffer(buffer));
        }
        let (name, Callee { function, steps, waits }) = (op.kind.full_name(), callee);
        self.statements.push(Statement::Call(Call { name, function, steps, waits, inputs, outputs }));
        Ok(())
    }
}
