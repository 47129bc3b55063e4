//! What collectives are where there is one device.
#![forbid(unsafe_code)]

use crate::program::{Collective, OpKind};

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
