//! Shardy's attributes as data (openxla/shardy, shardy/dialect/sdy/ir/attrs.td).
#![forbid(unsafe_code)]

use std::fmt::{self, Display, Formatter};

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

/// Writes items with commas between them.
fn list<T: Display>(formatter: &mut Formatter<'_>, items: &[T]) -> fmt::Result {
    for (index, item) in items.iter().enumerate() {
        write!(formatter, "{}{item}", if index > 0 { ", " } else { "" })?;
    }
    Ok(())
}

// The texts below are Shardy's own, without `#sdy` and mnemonic.

impl Display for MeshAxis {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:?}={}", self.name, self.size)
    }
}

impl Display for Mesh {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        formatter.write_str("<[")?;
        list(formatter, &self.axes)?;
        formatter.write_str("]")?;
        if !self.device_ids.is_empty() {
            formatter.write_str(", device_ids=[")?;
            list(formatter, &self.device_ids)?;
            formatter.write_str("]")?;
        }
        formatter.write_str(">")
    }
}

impl Display for AxisRef {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:?}", self.name)?;
        if let Some((pre_size, size)) = self.sub_axis {
            write!(formatter, ":({pre_size}){size}")?;
        }
        Ok(())
    }
}

impl Display for DimensionSharding {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        formatter.write_str("{")?;
        list(formatter, &self.axes)?;
        if !self.is_closed {
            formatter.write_str(if self.axes.is_empty() { "?" } else { ", ?" })?;
        }
        formatter.write_str("}")?;
        if let Some(priority) = self.priority {
            write!(formatter, "p{priority}")?;
        }
        Ok(())
    }
}

impl Display for TensorSharding {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        match &self.mesh {
            MeshOrRef::Symbol(name) => write!(formatter, "<@{name}, [")?,
            MeshOrRef::Inline(mesh) => write!(formatter, "<mesh{mesh}, [")?,
        }
        list(formatter, &self.dimensions)?;
        formatter.write_str("]")?;
        if !self.replicated_axes.is_empty() {
            formatter.write_str(", replicated={")?;
            list(formatter, &self.replicated_axes)?;
            formatter.write_str("}")?;
        }
        if !self.unreduced_axes.is_empty() {
            let reduction = match self.reduction_op {
                ReductionOp::Sum => "",
                ReductionOp::Max => "max",
                ReductionOp::Min => "min",
            };
            write!(formatter, ", unreduced={reduction}{{")?;
            list(formatter, &self.unreduced_axes)?;
            formatter.write_str("}")?;
        }
        formatter.write_str(">")
    }
}

impl Display for Attribute {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Attribute::Mesh(mesh) => write!(formatter, "#sdy.mesh{mesh}"),
            Attribute::Sharding(sharding) => write!(formatter, "#sdy.sharding{sharding}"),
            Attribute::ShardingPerValue(shardings) => {
                formatter.write_str("#sdy.sharding_per_value<[")?;
                list(formatter, shardings)?;
                formatter.write_str("]>")
            }
            Attribute::ManualAxes(axes) => {
                formatter.write_str("#sdy<manual_axes{")?;
                for (index, axis) in axes.iter().enumerate() {
                    write!(formatter, "{}{axis:?}", if index > 0 { ", " } else { "" })?;
                }
                formatter.write_str("}>")
            }
            Attribute::AxisRef(axis) => write!(formatter, "#sdy<axis_ref{axis}>"),
            Attribute::DimensionSharding(dimension) => write!(formatter, "#sdy<dimension_sharding{dimension}>"),
            Attribute::Other(mnemonic, fields) => write!(formatter, "#sdy.{mnemonic}<{fields}>"),
        }
    }
}
