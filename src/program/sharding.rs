//! Shardy's attributes as data (openxla/shardy, shardy/dialect/sdy/ir/attrs.td).
#![forbid(unsafe_code)]

/// A named axis of a mesh with its size.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MeshAxis {
    /// Axis name.
    pub name: String,
    /// Number of devices along it.
    pub size: i64,
}

/// `#sdy.mesh`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mesh {
    /// Axes, major to minor.
    pub axes: Vec<MeshAxis>,
    /// Explicit device order; empty means iota.
    pub device_ids: Vec<i64>,
}

/// `#sdy<axis_ref>`: an axis, or a part of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AxisRef {
    /// Axis name.
    pub name: String,
    /// `(pre_size, size)` of a sub-axis.
    pub sub_axis: Option<(i64, i64)>,
}

/// `#sdy<dimension_sharding>`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DimensionSharding {
    /// Axes that shard this dimension, major to minor.
    pub axes: Vec<AxisRef>,
    /// Closed dimensions may not be sharded further.
    pub is_closed: bool,
    /// User priority.
    pub priority: Option<i64>,
}

/// The mesh of a sharding: by symbol or inline.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MeshOrRef {
    /// `@name`.
    Symbol(String),
    /// Written in place.
    Inline(Mesh),
}

/// How unreduced axes are reduced.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ReductionOp {
    /// Sum, the default.
    #[default]
    Sum,
    /// Maximum.
    Max,
    /// Minimum.
    Min,
}

/// `#sdy.sharding`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TensorSharding {
    /// Mesh that the axes belong to.
    pub mesh: MeshOrRef,
    /// One per dimension of the tensor.
    pub dimensions: Vec<DimensionSharding>,
    /// Axes along which the tensor is explicitly replicated.
    pub replicated_axes: Vec<AxisRef>,
    /// Axes along which the tensor awaits a reduction.
    pub unreduced_axes: Vec<AxisRef>,
    /// The reduction that they await.
    pub reduction_op: ReductionOp,
}

/// A Shardy attribute.
#[derive(Clone, Debug, PartialEq)]
pub enum Attribute {
    /// `#sdy.mesh`.
    Mesh(Mesh),
    /// `#sdy.sharding`.
    Sharding(TensorSharding),
    /// `#sdy.sharding_per_value`.
    ShardingPerValue(Vec<TensorSharding>),
    /// `#sdy<manual_axes>`.
    ManualAxes(Vec<String>),
    /// `#sdy<axis_ref>` alone.
    AxisRef(AxisRef),
    /// `#sdy<dimension_sharding>` alone.
    DimensionSharding(DimensionSharding),
    /// Any other (op sharding rules, propagation edges …): its mnemonic and printed fields.
    Other(String, String),
}
