//! Ops that involve several devices or the host.
#![forbid(unsafe_code)]

use super::{ANY, Count, Failure, Fields, Form, ONE, SOME, form, with_regions};
use crate::program::{Attribute, Channel, Collective, HostTransfer, OpKind};

const NONE: Count = Count::Exactly(0);

fn host_transfer(fields: &mut Fields<'_>, has_pairs: bool) -> Result<HostTransfer, Failure> {
    Ok(HostTransfer {
        channel: Channel { id: fields.integer("channel_id")?, kind: fields.integer("channel_type")? },
        is_host_transfer: fields.boolean("is_host_transfer")?,
        source_target_pairs: if has_pairs { fields.matrix("source_target_pairs")? } else { Vec::new() },
    })
}

const ALL_GATHER: &[&str] = &["all_gather_dim", "channel_id", "replica_groups", "use_global_device_ids"];

fn all_gather(fields: &mut Fields<'_>) -> Result<OpKind, Failure> {
    Ok(OpKind::AllGather {
        all_gather_dim: fields.natural("all_gather_dim")?,
        collective: fields.collective("replica_groups", true)?,
    })
}

const ALL_REDUCE: &[&str] = &["channel_id", "replica_groups", "use_global_device_ids"];

fn all_reduce(fields: &mut Fields<'_>) -> Result<OpKind, Failure> {
    Ok(OpKind::AllReduce { collective: fields.collective("replica_groups", true)? })
}

const ALL_TO_ALL: &[&str] = &["channel_id", "concat_dimension", "replica_groups", "split_count", "split_dimension"];

fn all_to_all(fields: &mut Fields<'_>) -> Result<OpKind, Failure> {
    Ok(OpKind::AllToAll {
        split_dimension: fields.natural("split_dimension")?,
        concat_dimension: fields.natural("concat_dimension")?,
        split_count: fields.natural("split_count")?,
        collective: fields.collective("replica_groups", false)?,
    })
}

const TRANSFER_WITH_PAIRS: &[&str] = &["channel_id", "channel_type", "is_host_transfer", "source_target_pairs"];
const TRANSFER: &[&str] = &["channel_id", "channel_type", "is_host_transfer"];

pub(super) const FORMS: &[Form] = &[
    // One operand and one result up to 1.4.
    form("all_gather_v1", ONE, ONE, ALL_GATHER, all_gather),
    form("all_gather_v2", SOME, SOME, ALL_GATHER, all_gather),
    with_regions("all_reduce_v1", ONE, ONE, ONE, ALL_REDUCE, all_reduce),
    with_regions("all_reduce_v2", SOME, SOME, ONE, ALL_REDUCE, all_reduce),
    form("all_to_all_v1", ONE, ONE, ALL_TO_ALL, all_to_all),
    form("all_to_all_v2", SOME, SOME, ALL_TO_ALL, all_to_all),
    with_regions(
        "reduce_scatter_v1",
        ONE,
        ONE,
        ONE,
        &["channel_id", "replica_groups", "scatter_dimension", "use_global_device_ids"],
        |fields| {
            Ok(OpKind::ReduceScatter {
                scatter_dimension: fields.natural("scatter_dimension")?,
                collective: fields.collective("replica_groups", true)?,
            })
        },
    ),
    form("collective_broadcast_v1", ONE, ONE, &["channel_id", "replica_groups"], |fields| {
        Ok(OpKind::CollectiveBroadcast { collective: fields.collective("replica_groups", false)? })
    }),
    form("collective_permute_v1", ONE, ONE, &["channel_id", "source_target_pairs"], |fields| {
        Ok(OpKind::CollectivePermute { collective: fields.collective("source_target_pairs", false)? })
    }),
    form("cross-replica-sum_v1", ONE, ONE, &["replica_groups"], |fields| {
        let groups = fields.matrix("replica_groups")?;
        Ok(OpKind::CrossReplicaSum { collective: Collective { groups, ..Collective::default() } })
    }),
    with_regions("async_start_v1", ANY, ONE, ONE, &[], |_| Ok(OpKind::AsyncStart)),
    form("async_done_v1", ONE, ONE, &[], |_| Ok(OpKind::AsyncDone)),
    form("partition_id_v1", NONE, ONE, &[], |_| Ok(OpKind::PartitionId)),
    form("replica_id_v1", NONE, ONE, &[], |_| Ok(OpKind::ReplicaId)),
    // Without pairs of devices up to 1.11.
    form("send_v1", SOME, ONE, TRANSFER, |fields| Ok(OpKind::Send(host_transfer(fields, false)?))),
    form("send_v2", SOME, ONE, TRANSFER_WITH_PAIRS, |fields| Ok(OpKind::Send(host_transfer(fields, true)?))),
    form("recv_v1", ONE, SOME, TRANSFER, |fields| Ok(OpKind::Recv(host_transfer(fields, false)?))),
    form("recv_v2", ONE, SOME, TRANSFER_WITH_PAIRS, |fields| Ok(OpKind::Recv(host_transfer(fields, true)?))),
    form("infeed_v1", ONE, SOME, &["infeed_config", "layout"], |fields| {
        let layout = fields.take("layout")?;
        match fields.source.attribute(layout)? {
            Attribute::Array(items) if items.is_empty() => {}
            layout => fields.extra.0.push(("layout".into(), layout)),
        }
        Ok(OpKind::Infeed { infeed_config: fields.string("infeed_config")? })
    }),
    form("outfeed_v1", SOME, ONE, &["outfeed_config"], |fields| {
        Ok(OpKind::Outfeed { outfeed_config: fields.string("outfeed_config")? })
    }),
];
