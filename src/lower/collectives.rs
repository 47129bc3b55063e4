//! Collectives of one device: every group has one member, itself.
#![forbid(unsafe_code)]

use super::{Context, LowerError, Lowered, Row, shape_i32, storage};
use crate::mlx::{self, Array};
use crate::program::{Collective, Op, OpKind};

/// Rows of the op table.
pub static ROWS: &[Row] = &[
    Row { name: "all_gather", note: ONE, lower: identity },
    Row { name: "all_reduce", note: ONE, lower: identity },
    Row { name: "all_to_all", note: ONE, lower: identity },
    Row { name: "reduce_scatter", note: ONE, lower: identity },
    Row { name: "collective_broadcast", note: ONE, lower: broadcast },
    Row { name: "collective_permute", note: ONE, lower: permute },
    Row { name: "cross-replica-sum", note: ONE, lower: identity },
    Row { name: "partition_id", note: "always 0", lower: zero },
    Row { name: "replica_id", note: "always 0", lower: zero },
];

const ONE: &str = "groups of one device";

fn collective(kind: &OpKind) -> Option<&Collective> {
    match kind {
        OpKind::AllGather { collective, .. }
        | OpKind::AllReduce { collective }
        | OpKind::AllToAll { collective, .. }
        | OpKind::ReduceScatter { collective, .. }
        | OpKind::CollectiveBroadcast { collective }
        | OpKind::CollectivePermute { collective }
        | OpKind::CrossReplicaSum { collective } => Some(collective),
        _ => None,
    }
}

/// Members of the groups that name any; -1 pads, and no group at all means all devices: this one.
fn groups(context: &Context<'_>, op: &Op) -> Result<Vec<Vec<i64>>, LowerError> {
    let collective =
        collective(&op.kind).ok_or_else(|| context.invalid(op, "attributes of a collective are missing"))?;
    let groups: Vec<Vec<i64>> =
        collective.groups.iter().map(|group| group.iter().copied().filter(|&member| member != -1).collect()).collect();
    if groups.iter().flatten().any(|&member| member != 0) {
        return Err(context.unsupported(op, "there is one device, and it names others"));
    }
    Ok(groups)
}

/// One member contributes, and one receives.
fn identity(context: &mut Context<'_>, op: &Op) -> Result<Lowered, LowerError> {
    if groups(context, op)?.iter().map(Vec::len).sum::<usize>() > 1 {
        return Err(context.invalid(op, "a device is named twice"));
    }
    if let OpKind::AllToAll { split_count, .. } = op.kind
        && split_count != 1
    {
        return Err(context.unsupported(op, "there is one device to split for"));
    }
    if op.operands.len() != op.results.len() {
        return Err(context.invalid(op, "as many results as operands expected"));
    }
    for index in 0..op.operands.len() {
        let (operand, result) = (context.operand(op, index)?, context.result(op, index)?);
        if operand != result {
            return Err(context.unsupported(op, "its shapes are those of several devices"));
        }
    }
    Ok(Lowered::new(|inputs, _| Ok(inputs.iter().map(|&input| Array::clone(input)).collect())))
}

/// A device in no group receives zeros (spec, "collective_broadcast").
fn broadcast(context: &mut Context<'_>, op: &Op) -> Result<Lowered, LowerError> {
    let groups = groups(context, op)?;
    if !groups.is_empty() && groups.iter().all(Vec::is_empty) {
        return zeros(context, op);
    }
    identity(context, op)
}

/// A device that nobody sends to receives zeros (spec, "collective_permute"). The only pair there can be is (0, 0).
fn permute(context: &mut Context<'_>, op: &Op) -> Result<Lowered, LowerError> {
    let pairs = groups(context, op)?;
    if pairs.iter().any(|pair| pair.len() != 2) || pairs.len() > 1 {
        return Err(context.invalid(op, "distinct pairs of source and target expected"));
    }
    if pairs.is_empty() {
        return zeros(context, op);
    }
    if context.operand(op, 0)? != context.result(op, 0)? {
        return Err(context.invalid(op, "the result has another type than the operand"));
    }
    Ok(Lowered::one(|inputs, _| Ok(inputs[0].clone())))
}

fn zeros(context: &Context<'_>, op: &Op) -> Result<Lowered, LowerError> {
    let result = context.result(op, 0)?;
    let shape = shape_i32(&result.shape)?;
    let dtype =
        storage(result.element).ok_or_else(|| context.unsupported(op, &format!("mlx has no {}", result.element)))?;
    Ok(Lowered::one(move |_, stream| mlx::zeros(&shape, dtype, stream)))
}

fn zero(context: &mut Context<'_>, op: &Op) -> Result<Lowered, LowerError> {
    zeros(context, op)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Builder, bytes, f32s, tensor};
    use crate::program::{Binary, Collective, ElementType, OpKind};

    fn members(groups: &[&[i64]]) -> Collective {
        Collective { groups: groups.iter().map(|group| group.to_vec()).collect(), ..Default::default() }
    }

    fn run(kind: OpKind, result: &[i64]) -> Result<Vec<f32>, String> {
        let mut builder = Builder::default();
        let reduces = matches!(kind, OpKind::AllReduce { .. } | OpKind::ReduceScatter { .. });
        let regions =
            if reduces { vec![builder.reducer(OpKind::Binary(Binary::Add), ElementType::F32)] } else { vec![] };
        let a = builder.argument(tensor(ElementType::F32, &[2]));
        let results = builder.op(kind, &[a], vec![tensor(ElementType::F32, result)], regions);
        Ok(f32s(&builder.run(&results, &[bytes(&[1f32, -2.])])?[0]))
    }

    #[test]
    fn one_device_keeps_its_own() {
        let kinds = [
            OpKind::AllReduce { collective: members(&[&[0]]) },
            OpKind::AllReduce { collective: members(&[]) },
            OpKind::AllGather { all_gather_dim: 0, collective: members(&[&[0, -1]]) },
            OpKind::AllToAll { split_dimension: 0, concat_dimension: 0, split_count: 1, collective: members(&[&[0]]) },
            OpKind::ReduceScatter { scatter_dimension: 0, collective: members(&[&[0]]) },
            OpKind::CollectiveBroadcast { collective: members(&[&[0]]) },
            OpKind::CollectivePermute { collective: members(&[&[0, 0]]) },
            OpKind::CrossReplicaSum { collective: members(&[&[0]]) },
        ];
        for kind in kinds {
            assert_eq!(run(kind.clone(), &[2]).unwrap(), [1., -2.], "{kind:?}");
        }
    }

    #[test]
    fn nobody_sends() {
        assert_eq!(run(OpKind::CollectivePermute { collective: members(&[]) }, &[2]).unwrap(), [0., 0.]);
        assert_eq!(run(OpKind::CollectiveBroadcast { collective: members(&[&[-1]]) }, &[2]).unwrap(), [0., 0.]);
    }

    #[test]
    fn several_devices_are_refused() {
        for kind in [
            OpKind::AllReduce { collective: members(&[&[0, 1]]) },
            OpKind::CollectivePermute { collective: members(&[&[0, 1]]) },
            OpKind::AllGather { all_gather_dim: 0, collective: members(&[&[0], &[1]]) },
        ] {
            assert!(run(kind, &[2]).unwrap_err().contains("not supported"));
        }
        let gather = OpKind::AllGather { all_gather_dim: 0, collective: members(&[&[0]]) };
        assert!(run(gather, &[4]).unwrap_err().contains("not supported"));
    }

    #[test]
    fn ids_are_zero() {
        for kind in [OpKind::PartitionId, OpKind::ReplicaId] {
            let mut builder = Builder::default();
            let id = builder.op(kind, &[], vec![tensor(ElementType::U32, &[])], vec![]);
            assert_eq!(builder.run(&id, &[]).unwrap(), [vec![0; 4]]);
        }
    }
}
