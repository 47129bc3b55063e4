//! Ops whose result shape is an operand.
#![forbid(unsafe_code)]

use super::{Count, Form, ONE, TWO, form};
use crate::program::OpKind;

pub(super) const FORMS: &[Form] = &[
    form("get_dimension_size_v1", ONE, ONE, &["dimension"], |fields| {
        Ok(OpKind::GetDimensionSize { dimension: fields.natural("dimension")? })
    }),
    form("set_dimension_size_v1", TWO, ONE, &["dimension"], |fields| {
        Ok(OpKind::SetDimensionSize { dimension: fields.natural("dimension")? })
    }),
    form("dynamic_reshape_v1", TWO, ONE, &[], |_| Ok(OpKind::DynamicReshape)),
    form("dynamic_iota_v1", ONE, ONE, &["iota_dimension"], |fields| {
        Ok(OpKind::DynamicIota { iota_dimension: fields.natural("iota_dimension")? })
    }),
    form(
        "dynamic_broadcast_in_dim_v1",
        TWO,
        ONE,
        &["broadcast_dimensions", "known_expanding_dimensions", "known_nonexpanding_dimensions"],
        |fields| {
            Ok(OpKind::DynamicBroadcastInDim {
                broadcast_dimensions: fields.integers("broadcast_dimensions")?,
                known_expanding_dimensions: fields.integers("known_expanding_dimensions")?,
                known_nonexpanding_dimensions: fields.integers("known_nonexpanding_dimensions")?,
            })
        },
    ),
    form("dynamic_pad_v1", Count::Exactly(5), ONE, &[], |_| Ok(OpKind::DynamicPad)),
    form("real_dynamic_slice_v1", Count::Exactly(4), ONE, &[], |_| Ok(OpKind::RealDynamicSlice)),
];
