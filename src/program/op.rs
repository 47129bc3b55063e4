//! The operations of StableHLO (spec section "Ops") with their attributes as typed fields.
#![forbid(unsafe_code)]

use super::{Attributes, Literal, Location, Type, ValueId, sharding};

/// Elementwise ops of one operand.
#[expect(missing_docs, reason = "the variants are the spec's op names")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Unary {
    Abs,
    Cbrt,
    Ceil,
    CountLeadingZeros,
    Cosine,
    Exponential,
    ExponentialMinusOne,
    Floor,
    Imag,
    IsFinite,
    Log,
    LogPlusOne,
    Logistic,
    Negate,
    Not,
    Popcnt,
    Real,
    RoundNearestAfz,
    RoundNearestEven,
    Rsqrt,
    Sign,
    Sine,
    Sqrt,
    Tan,
    Tanh,
}

/// Elementwise ops of two operands.
#[expect(missing_docs, reason = "the variants are the spec's op names")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Binary {
    Add,
    And,
    Atan2,
    Complex,
    Divide,
    Maximum,
    Minimum,
    Multiply,
    Or,
    Power,
    Remainder,
    ShiftLeft,
    ShiftRightArithmetic,
    ShiftRightLogical,
    Subtract,
    Xor,
}

/// `comparison_direction`.
#[expect(missing_docs, reason = "the variants are the spec's names")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    Eq,
    Ne,
    Ge,
    Gt,
    Le,
    Lt,
}

/// `compare_type`.
#[expect(missing_docs, reason = "the variants are the spec's names")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CompareType {
    None,
    Float,
    TotalOrder,
    Signed,
    Unsigned,
}

/// `fft_type`.
#[expect(missing_docs, reason = "the variants are the spec's names")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FftType {
    Fft,
    Ifft,
    Rfft,
    Irfft,
}

/// `rng_algorithm` of rng_bit_generator.
#[expect(missing_docs, reason = "the variants are the spec's names")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RngAlgorithm {
    Default,
    ThreeFry,
    Philox,
}

/// `rng_distribution` of rng.
#[expect(missing_docs, reason = "the variants are the spec's names")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RngDistribution {
    Uniform,
    Normal,
}

/// `transpose_a` of triangular_solve.
#[expect(missing_docs, reason = "the variants are the spec's names")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Transpose {
    Invalid,
    NoTranspose,
    Transpose,
    Adjoint,
}

/// `precision_config` of dots and convolutions.
#[expect(missing_docs, reason = "the variants are the spec's names")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Precision {
    Default,
    High,
    Highest,
}

/// `api_version` of custom_call.
#[expect(missing_docs, reason = "the variants are the spec's names")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CustomCallApiVersion {
    Unspecified,
    Original,
    StatusReturning,
    StatusReturningUnified,
    TypedFfi,
}

/// `dot_algorithm` of dot_general.
#[derive(Clone, Debug, PartialEq)]
pub struct DotAlgorithm {
    /// Precision to which the left side is rounded.
    pub lhs_precision_type: Type,
    /// Precision to which the right side is rounded.
    pub rhs_precision_type: Type,
    /// Type that sums are kept in.
    pub accumulation_type: Type,
    /// Parts into which the left side is split.
    pub lhs_component_count: i64,
    /// Parts into which the right side is split.
    pub rhs_component_count: i64,
    /// Primitive products.
    pub num_primitive_operations: i64,
    /// Whether sums may be kept less precisely.
    pub allow_imprecise_accumulation: bool,
}

/// dot_general.
#[expect(missing_docs, reason = "the fields are the spec's attribute names")]
#[derive(Clone, Debug, PartialEq)]
pub struct DotGeneral {
    pub lhs_batching_dimensions: Vec<i64>,
    pub rhs_batching_dimensions: Vec<i64>,
    pub lhs_contracting_dimensions: Vec<i64>,
    pub rhs_contracting_dimensions: Vec<i64>,
    /// Empty or one per operand.
    pub precision_config: Vec<Precision>,
    pub algorithm: Option<DotAlgorithm>,
}

/// convolution and dynamic_conv (whose padding is an operand).
#[expect(missing_docs, reason = "the fields are the spec's attribute names")]
#[derive(Clone, Debug, PartialEq)]
pub struct Convolution {
    pub window_strides: Vec<i64>,
    /// Low and high of each spatial dimension; may be negative.
    pub padding: Vec<(i64, i64)>,
    pub lhs_dilation: Vec<i64>,
    pub rhs_dilation: Vec<i64>,
    pub window_reversal: Vec<bool>,
    pub input_batch_dimension: i64,
    pub input_feature_dimension: i64,
    pub input_spatial_dimensions: Vec<i64>,
    pub kernel_input_feature_dimension: i64,
    pub kernel_output_feature_dimension: i64,
    pub kernel_spatial_dimensions: Vec<i64>,
    pub output_batch_dimension: i64,
    pub output_feature_dimension: i64,
    pub output_spatial_dimensions: Vec<i64>,
    pub feature_group_count: i64,
    pub batch_group_count: i64,
    pub precision_config: Vec<Precision>,
}

/// gather and dynamic_gather (whose slice_sizes are an operand, and this field empty).
#[expect(missing_docs, reason = "the fields are the spec's attribute names")]
#[derive(Clone, Debug, PartialEq)]
pub struct Gather {
    pub offset_dims: Vec<i64>,
    pub collapsed_slice_dims: Vec<i64>,
    pub operand_batching_dims: Vec<i64>,
    pub start_indices_batching_dims: Vec<i64>,
    pub start_index_map: Vec<i64>,
    pub index_vector_dim: i64,
    pub slice_sizes: Vec<i64>,
    pub indices_are_sorted: bool,
}

/// scatter; operands are inputs, scatter_indices, updates; region 0 combines.
#[expect(missing_docs, reason = "the fields are the spec's attribute names")]
#[derive(Clone, Debug, PartialEq)]
pub struct Scatter {
    pub update_window_dims: Vec<i64>,
    pub inserted_window_dims: Vec<i64>,
    pub input_batching_dims: Vec<i64>,
    pub scatter_indices_batching_dims: Vec<i64>,
    pub scatter_dims_to_operand_dims: Vec<i64>,
    pub index_vector_dim: i64,
    pub indices_are_sorted: bool,
    pub unique_indices: bool,
}

/// reduce_window; operands are inputs then init_values; region 0 combines.
#[expect(missing_docs, reason = "the fields are the spec's attribute names")]
#[derive(Clone, Debug, PartialEq)]
pub struct ReduceWindow {
    pub window_dimensions: Vec<i64>,
    pub window_strides: Vec<i64>,
    pub base_dilations: Vec<i64>,
    pub window_dilations: Vec<i64>,
    pub padding: Vec<(i64, i64)>,
}

/// select_and_scatter; operands are operand, source, init_value; region 0 selects, region 1 scatters.
#[expect(missing_docs, reason = "the fields are the spec's attribute names")]
#[derive(Clone, Debug, PartialEq)]
pub struct SelectAndScatter {
    pub window_dimensions: Vec<i64>,
    pub window_strides: Vec<i64>,
    pub padding: Vec<(i64, i64)>,
}

/// custom_call.
#[expect(missing_docs, reason = "the fields are the spec's attribute names")]
#[derive(Clone, Debug, PartialEq)]
pub struct CustomCall {
    pub call_target_name: String,
    pub has_side_effect: bool,
    /// String, or dictionary for typed FFI (then in `backend_attributes`).
    pub backend_config: String,
    pub backend_attributes: Attributes,
    pub api_version: CustomCallApiVersion,
    pub called_computations: Vec<String>,
    pub operand_layouts: Vec<Vec<i64>>,
    pub result_layouts: Vec<Vec<i64>>,
    /// output_tuple_indices, operand_index, operand_tuple_indices.
    pub output_operand_aliases: Vec<(Vec<i64>, i64, Vec<i64>)>,
}

/// Channel handle of collectives, send and recv.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Channel {
    /// Channel id; 0 when none.
    pub id: i64,
    /// XLA's ChannelType: 0 invalid, 1 device to device, 2 device to host, 3 host to device.
    pub kind: i64,
}

/// The fields that all collectives share.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Collective {
    /// Groups of processes; -1 pads. For collective_permute: source_target_pairs.
    pub groups: Vec<Vec<i64>>,
    /// Channel.
    pub channel: Channel,
    /// Whether ids in groups are global device ids.
    pub use_global_device_ids: bool,
}

/// send and recv.
#[derive(Clone, Debug, PartialEq)]
pub struct HostTransfer {
    /// Channel.
    pub channel: Channel,
    /// To or from the host instead of another device.
    pub is_host_transfer: bool,
    /// Pairs of a device to device transfer.
    pub source_target_pairs: Vec<Vec<i64>>,
}

/// What an op does; its operands, results and regions stand in [`Op`].
#[expect(missing_docs, reason = "the variants and fields are the spec's op and attribute names")]
#[expect(clippy::large_enum_variant, reason = "a program has some thousand ops; a box would burden every match")]
#[derive(Clone, Debug, PartialEq)]
pub enum OpKind {
    Unary(Unary),
    Binary(Binary),
    Compare {
        direction: Direction,
        compare_type: CompareType,
    },
    /// pred, on_true, on_false; pred may be a scalar.
    Select,
    /// min, operand, max; min and max may be scalars.
    Clamp,
    Convert,
    BitcastConvert,
    ReducePrecision {
        exponent_bits: i64,
        mantissa_bits: i64,
    },
    Constant(Literal),
    Iota {
        iota_dimension: i64,
    },
    BroadcastInDim {
        broadcast_dimensions: Vec<i64>,
    },
    Reshape,
    Transpose {
        permutation: Vec<i64>,
    },
    Reverse {
        dimensions: Vec<i64>,
    },
    Slice {
        start_indices: Vec<i64>,
        limit_indices: Vec<i64>,
        strides: Vec<i64>,
    },
    Pad {
        edge_padding_low: Vec<i64>,
        edge_padding_high: Vec<i64>,
        interior_padding: Vec<i64>,
    },
    Concatenate {
        dimension: i64,
    },
    /// operand, then one scalar index per dimension.
    DynamicSlice {
        slice_sizes: Vec<i64>,
    },
    /// operand, update, then one scalar index per dimension.
    DynamicUpdateSlice,
    Gather(Gather),
    Scatter(Scatter),
    DotGeneral(DotGeneral),
    Convolution(Convolution),
    /// inputs then init_values; region 0 combines.
    Reduce {
        dimensions: Vec<i64>,
    },
    ReduceWindow(ReduceWindow),
    SelectAndScatter(SelectAndScatter),
    /// region 0 compares.
    Sort {
        dimension: i64,
        is_stable: bool,
    },
    Map {
        dimensions: Vec<i64>,
    },
    /// region 0 is cond, region 1 body.
    While,
    /// region 0 when true, region 1 when false.
    If,
    Case,
    /// func.call.
    Call {
        callee: String,
    },
    Composite {
        name: String,
        composite_attributes: Attributes,
        decomposition: String,
        version: i64,
    },
    CustomCall(CustomCall),
    RngBitGenerator {
        rng_algorithm: RngAlgorithm,
    },
    Rng {
        rng_distribution: RngDistribution,
    },
    Fft {
        fft_type: FftType,
        fft_length: Vec<i64>,
    },
    Cholesky {
        lower: bool,
    },
    TriangularSolve {
        left_side: bool,
        lower: bool,
        unit_diagonal: bool,
        transpose_a: Transpose,
    },
    BatchNormTraining {
        epsilon: f32,
        feature_index: i64,
    },
    BatchNormInference {
        epsilon: f32,
        feature_index: i64,
    },
    BatchNormGrad {
        epsilon: f32,
        feature_index: i64,
    },
    Tuple,
    GetTupleElement {
        index: i64,
    },
    AfterAll,
    CreateToken,
    OptimizationBarrier,
    UniformQuantize,
    UniformDequantize,
    AllGather {
        all_gather_dim: i64,
        collective: Collective,
    },
    /// region 0 combines.
    AllReduce {
        collective: Collective,
    },
    AllToAll {
        split_dimension: i64,
        concat_dimension: i64,
        split_count: i64,
        collective: Collective,
    },
    /// region 0 combines.
    ReduceScatter {
        scatter_dimension: i64,
        collective: Collective,
    },
    CollectiveBroadcast {
        collective: Collective,
    },
    CollectivePermute {
        collective: Collective,
    },
    /// region 0 is the collective, on operands of its own; the result is a future of what it gives.
    AsyncStart,
    /// Waits for a future.
    AsyncDone,
    CrossReplicaSum {
        collective: Collective,
    },
    PartitionId,
    ReplicaId,
    Send(HostTransfer),
    Recv(HostTransfer),
    Infeed {
        infeed_config: String,
    },
    Outfeed {
        outfeed_config: String,
    },
    GetDimensionSize {
        dimension: i64,
    },
    SetDimensionSize {
        dimension: i64,
    },
    DynamicReshape,
    DynamicIota {
        iota_dimension: i64,
    },
    DynamicBroadcastInDim {
        broadcast_dimensions: Vec<i64>,
        known_expanding_dimensions: Vec<i64>,
        known_nonexpanding_dimensions: Vec<i64>,
    },
    DynamicPad,
    DynamicGather(Gather),
    DynamicConv(Convolution),
    RealDynamicSlice,
    /// Deprecated ops that VHLO still encodes.
    Broadcast {
        broadcast_sizes: Vec<i64>,
    },
    Dot {
        precision_config: Vec<Precision>,
    },
    Einsum {
        einsum_config: String,
    },
    UnaryEinsum {
        einsum_config: String,
    },
    TorchIndexSelect {
        dim: i64,
        batch_dims: i64,
    },
    /// sdy.manual_computation; region 0 is the body on local shapes.
    ManualComputation {
        in_shardings: Vec<sharding::TensorSharding>,
        out_shardings: Vec<sharding::TensorSharding>,
        manual_axes: Vec<String>,
    },
    /// sdy.sharding_constraint.
    ShardingConstraint {
        sharding: sharding::TensorSharding,
    },
    /// Any other op of the sdy dialect, by its full name (`sdy.reshard` …), its fields in `Op::attributes`.
    Sharding {
        name: String,
    },
}

/// One basic block: StableHLO regions have exactly one. It may use values of the enclosing blocks.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Block {
    /// Block arguments.
    pub arguments: Vec<ValueId>,
    /// Ops in order, the terminator left out.
    pub ops: Vec<Op>,
    /// Operands of the terminator.
    pub results: Vec<ValueId>,
}

/// An operation.
#[derive(Clone, Debug, PartialEq)]
pub struct Op {
    /// What it does.
    pub kind: OpKind,
    /// Operands in the order of the spec.
    pub operands: Vec<ValueId>,
    /// Results.
    pub results: Vec<ValueId>,
    /// Regions in the order of the spec.
    pub regions: Vec<Block>,
    /// Discardable attributes (`mhlo.sharding`, `mhlo.frontend_attributes`, `result_accuracy` …).
    pub attributes: Attributes,
    /// Where it comes from.
    pub location: Location,
}

impl Unary {
    /// Name without dialect.
    pub fn name(self) -> &'static str {
        use Unary::*;
        match self {
            Abs => "abs",
            Cbrt => "cbrt",
            Ceil => "ceil",
            CountLeadingZeros => "count_leading_zeros",
            Cosine => "cosine",
            Exponential => "exponential",
            ExponentialMinusOne => "exponential_minus_one",
            Floor => "floor",
            Imag => "imag",
            IsFinite => "is_finite",
            Log => "log",
            LogPlusOne => "log_plus_one",
            Logistic => "logistic",
            Negate => "negate",
            Not => "not",
            Popcnt => "popcnt",
            Real => "real",
            RoundNearestAfz => "round_nearest_afz",
            RoundNearestEven => "round_nearest_even",
            Rsqrt => "rsqrt",
            Sign => "sign",
            Sine => "sine",
            Sqrt => "sqrt",
            Tan => "tan",
            Tanh => "tanh",
        }
    }
}

impl Binary {
    /// Name without dialect.
    pub fn name(self) -> &'static str {
        use Binary::*;
        match self {
            Add => "add",
            And => "and",
            Atan2 => "atan2",
            Complex => "complex",
            Divide => "divide",
            Maximum => "maximum",
            Minimum => "minimum",
            Multiply => "multiply",
            Or => "or",
            Power => "power",
            Remainder => "remainder",
            ShiftLeft => "shift_left",
            ShiftRightArithmetic => "shift_right_arithmetic",
            ShiftRightLogical => "shift_right_logical",
            Subtract => "subtract",
            Xor => "xor",
        }
    }
}

impl OpKind {
    /// Name without dialect, except for `func.call` and the ops of sdy.
    pub fn name(&self) -> &str {
        use OpKind::*;
        match self {
            Unary(unary) => unary.name(),
            Binary(binary) => binary.name(),
            Compare { .. } => "compare",
            Select => "select",
            Clamp => "clamp",
            Convert => "convert",
            BitcastConvert => "bitcast_convert",
            ReducePrecision { .. } => "reduce_precision",
            Constant(_) => "constant",
            Iota { .. } => "iota",
            BroadcastInDim { .. } => "broadcast_in_dim",
            Reshape => "reshape",
            Transpose { .. } => "transpose",
            Reverse { .. } => "reverse",
            Slice { .. } => "slice",
            Pad { .. } => "pad",
            Concatenate { .. } => "concatenate",
            DynamicSlice { .. } => "dynamic_slice",
            DynamicUpdateSlice => "dynamic_update_slice",
            Gather(_) => "gather",
            Scatter(_) => "scatter",
            DotGeneral(_) => "dot_general",
            Convolution(_) => "convolution",
            Reduce { .. } => "reduce",
            ReduceWindow(_) => "reduce_window",
            SelectAndScatter(_) => "select_and_scatter",
            Sort { .. } => "sort",
            Map { .. } => "map",
            While => "while",
            If => "if",
            Case => "case",
            Call { .. } => "func.call",
            Composite { .. } => "composite",
            CustomCall(_) => "custom_call",
            RngBitGenerator { .. } => "rng_bit_generator",
            Rng { .. } => "rng",
            Fft { .. } => "fft",
            Cholesky { .. } => "cholesky",
            TriangularSolve { .. } => "triangular_solve",
            BatchNormTraining { .. } => "batch_norm_training",
            BatchNormInference { .. } => "batch_norm_inference",
            BatchNormGrad { .. } => "batch_norm_grad",
            Tuple => "tuple",
            GetTupleElement { .. } => "get_tuple_element",
            AfterAll => "after_all",
            CreateToken => "create_token",
            OptimizationBarrier => "optimization_barrier",
            UniformQuantize => "uniform_quantize",
            UniformDequantize => "uniform_dequantize",
            AllGather { .. } => "all_gather",
            AllReduce { .. } => "all_reduce",
            AllToAll { .. } => "all_to_all",
            ReduceScatter { .. } => "reduce_scatter",
            CollectiveBroadcast { .. } => "collective_broadcast",
            CollectivePermute { .. } => "collective_permute",
            AsyncStart => "async_start",
            AsyncDone => "async_done",
            CrossReplicaSum { .. } => "cross-replica-sum",
            PartitionId => "partition_id",
            ReplicaId => "replica_id",
            Send(_) => "send",
            Recv(_) => "recv",
            Infeed { .. } => "infeed",
            Outfeed { .. } => "outfeed",
            GetDimensionSize { .. } => "get_dimension_size",
            SetDimensionSize { .. } => "set_dimension_size",
            DynamicReshape => "dynamic_reshape",
            DynamicIota { .. } => "dynamic_iota",
            DynamicBroadcastInDim { .. } => "dynamic_broadcast_in_dim",
            DynamicPad => "dynamic_pad",
            DynamicGather(_) => "dynamic_gather",
            DynamicConv(_) => "dynamic_conv",
            RealDynamicSlice => "real_dynamic_slice",
            Broadcast { .. } => "broadcast",
            Dot { .. } => "dot",
            Einsum { .. } => "einsum",
            UnaryEinsum { .. } => "unary_einsum",
            TorchIndexSelect { .. } => "torch_index_select",
            ManualComputation { .. } => "sdy.manual_computation",
            ShardingConstraint { .. } => "sdy.sharding_constraint",
            Sharding { name } => name,
        }
    }

    /// Name with dialect, as in StableHLO text.
    pub fn full_name(&self) -> String {
        let name = self.name();
        if name.starts_with("func.") || name.starts_with("sdy.") {
            name.to_owned()
        } else {
            format!("stablehlo.{name}")
        }
    }
}

impl Op {
    /// True when the op or one inside its regions has a side effect.
    pub fn has_side_effect(&self) -> bool {
        self.kind.has_side_effect() || self.regions.iter().any(|region| region.ops.iter().any(Op::has_side_effect))
    }
}
