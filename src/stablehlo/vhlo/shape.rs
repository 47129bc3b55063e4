//! Constants and ops that move elements.
#![forbid(unsafe_code)]

use super::{Count, Form, ONE, SOME, TWO, form};
use crate::program::OpKind;

pub(super) const FORMS: &[Form] = &[
    form("constant_v1", Count::Exactly(0), ONE, &["value"], |fields| Ok(OpKind::Constant(fields.literal("value")?))),
    form("iota_v1", Count::Exactly(0), ONE, &["iota_dimension"], |fields| {
        Ok(OpKind::Iota { iota_dimension: fields.natural("iota_dimension")? })
    }),
    form("broadcast_in_dim_v1", ONE, ONE, &["broadcast_dimensions"], |fields| {
        Ok(OpKind::BroadcastInDim { broadcast_dimensions: fields.integers("broadcast_dimensions")? })
    }),
    form("broadcast_v1", ONE, ONE, &["broadcast_sizes"], |fields| {
        Ok(OpKind::Broadcast { broadcast_sizes: fields.integers("broadcast_sizes")? })
    }),
    form("reshape_v1", ONE, ONE, &[], |_| Ok(OpKind::Reshape)),
    form("transpose_v1", ONE, ONE, &["permutation"], |fields| {
        Ok(OpKind::Transpose { permutation: fields.integers("permutation")? })
    }),
    form("reverse_v1", ONE, ONE, &["dimensions"], |fields| {
        Ok(OpKind::Reverse { dimensions: fields.integers("dimensions")? })
    }),
    form("slice_v1", ONE, ONE, &["limit_indices", "start_indices", "strides"], |fields| {
        Ok(OpKind::Slice {
            start_indices: fields.integers("start_indices")?,
            limit_indices: fields.integers("limit_indices")?,
            strides: fields.integers("strides")?,
        })
    }),
    form("pad_v1", TWO, ONE, &["edge_padding_high", "edge_padding_low", "interior_padding"], |fields| {
        Ok(OpKind::Pad {
            edge_padding_low: fields.integers("edge_padding_low")?,
            edge_padding_high: fields.integers("edge_padding_high")?,
            interior_padding: fields.integers("interior_padding")?,
        })
    }),
    form("concatenate_v1", SOME, ONE, &["dimension"], |fields| {
        Ok(OpKind::Concatenate { dimension: fields.natural("dimension")? })
    }),
];
