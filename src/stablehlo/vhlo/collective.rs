//! Ops that involve several devices or the host.
#![forbid(unsafe_code)]

use super::{ANY, Count, Failure, Fields, Form, ONE, SOME, form, with_regions};
use crate::program::{Attribute, Channel, Collective, HostTransfer, OpKind};

const NONE: Count = Count::Exactly(0);

fn host_transfer(fields: &mut Fields<'_>) -> Result<HostTransfer, Failure> {
    Ok(HostTransfer {
        channel: Channel { id: fields.integer("channel_id")?, kind: fields.integer("channel_type")? },
        is_host_transfer: fields.boolean("is_host_transfer")?,
        source_target_pairs: fields.matrix("source_target_pairs")?,
    })
}

pub(super) const FORMS: &[Form] = &[
    form(
        "all_gather_v2",
        SOME,
        SOME,
        &["all_gather_dim", "channel_id", "replica_groups", "use_global_device_ids"],
        |fields| {
            Ok(OpKind::AllGather {
                all_gather_dim: fields.natural("all_gather_dim")?,
                collective: fields.collective("replica_groups", true)?,
            })
        },
    ),
    with_regions(
        "all_reduce_v2",
        SOME,
        SOME,
        ONE,
        &["channel_id", "replica_groups", "use_global_device_ids"],
        |fields| Ok(OpKind::AllReduce { collective: fields.collective("replica_groups", true)? }),
    ),
    form(
        "all_to_all_v2",
        SOME,
        SOME,
        &["channel_id", "concat_dimension", "replica_groups", "split_count", "split_dimension"],
        |fields| {
            Ok(OpKind::AllToAll {
                split_dimension: fields.natural("split_dimension")?,
                concat_dimension: fields.natural("concat_dimension")?,
                split_count: fields.natural("split_count")?,
                collective: fields.collective("replica_groups", false)?,
            })
        },
    ),
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
    form("send_v2", SOME, ONE, &["channel_id", "channel_type", "is_host_transfer", "source_target_pairs"], |fields| {
        Ok(OpKind::Send(host_transfer(fields)?))
    }),
    form("recv_v2", ONE, SOME, &["channel_id", "channel_type", "is_host_transfer", "source_target_pairs"], |fields| {
        Ok(OpKind::Recv(host_transfer(fields)?))
    }),
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
