//! What is true of each op whatever it is given: the one place to ask, each fact an exhaustive match.
#![forbid(unsafe_code)]

use super::{Binary, CustomCall, DotGeneral, Function, Op, OpKind, Unary, ValueId};

/// What an op does with elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Each element of the result is a function of the operands' elements at the same place.
    Elementwise,
    /// Elements of one operand at other places: none is computed, copied or left out in a way that strides cannot say.
    View,
    /// Elements of operands at other places.
    Move,
    /// Elements from nothing: constants, iota.
    Source,
    /// Sums of products.
    Contraction,
    /// Many elements become one, or each place sees those before it.
    Reduction,
    /// Elements are combined where indices say.
    Scatter,
    /// Elements are ordered.
    Sort,
    /// Random bits.
    Random,
    /// A transform or a decomposition of whole arrays.
    Transform,
    /// Regions or functions run.
    Control,
    /// Devices exchange elements.
    Collective,
    /// The host and the program exchange elements.
    Host,
    /// Tokens, tuples, annotations: nothing is computed.
    Annotation,
}

/// Floating point work per element.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Work {
    /// Additions, multiplications and the like.
    pub flops: f64,
    /// Exponentials, roots and the like.
    pub transcendentals: f64,
}

impl Unary {
    /// Whether it is an elementary function, of which one costs what tens of additions do.
    pub fn is_transcendental(self) -> bool {
        use Unary::*;
        match self {
            Cbrt | Cosine | Exponential | ExponentialMinusOne | Log | LogPlusOne | Logistic | Rsqrt | Sine | Sqrt
            | Tan | Tanh => true,
            Abs | Ceil | CountLeadingZeros | Floor | Imag | IsFinite | Negate | Not | Popcnt | Real
            | RoundNearestAfz | RoundNearestEven | Sign => false,
        }
    }
}

impl Binary {
    /// As [`Unary::is_transcendental`].
    pub fn is_transcendental(self) -> bool {
        use Binary::*;
        match self {
            Atan2 | Power => true,
            Add | And | Complex | Divide | Maximum | Minimum | Multiply | Or | Remainder | ShiftLeft
            | ShiftRightArithmetic | ShiftRightLogical | Subtract | Xor => false,
        }
    }
}

impl CustomCall {
    fn class(&self) -> Class {
        match self.call_target_name.as_str() {
            "mhlo.topk" | "ApproxTopK" | "stablehlo.dynamic_approx_top_k" => Class::Sort,
            "mps.threefry2x32" => Class::Random,
            "Sharding"
            | "SPMDFullToShardShape"
            | "SPMDShardToFullShape"
            | "LayoutConstraint"
            | "MoveToDevice"
            | "MoveToHost"
            | "PinToDevice"
            | "annotate_device_placement"
            | "dce_sink" => Class::Annotation,
            target if target.starts_with("xla.sdy.") => Class::Annotation,
            "mps.next_after" => Class::Elementwise,
            target if target.starts_with("mhlo.") => Class::Elementwise,
            _ => Class::Transform,
        }
    }

    /// Whether the target is an annotation, which means nothing on one device, and hands on its operands.
    pub fn is_annotation(&self) -> bool {
        self.class() == Class::Annotation
    }
}

impl OpKind {
    /// What it does with elements.
    pub fn class(&self) -> Class {
        use OpKind::*;
        match self {
            Unary(_)
            | Binary(_)
            | Compare { .. }
            | Select
            | Clamp
            | Convert
            | BitcastConvert
            | ReducePrecision { .. }
            | Map { .. }
            | UniformQuantize
            | UniformDequantize => Class::Elementwise,
            BroadcastInDim { .. }
            | Broadcast { .. }
            | DynamicBroadcastInDim { .. }
            | Reshape
            | DynamicReshape
            | Transpose { .. }
            | Reverse { .. }
            | Slice { .. }
            | RealDynamicSlice
            | OptimizationBarrier => Class::View,
            Pad { .. }
            | DynamicPad
            | Concatenate { .. }
            | DynamicSlice { .. }
            | DynamicUpdateSlice
            | Gather(_)
            | DynamicGather(_)
            | TorchIndexSelect { .. } => Class::Move,
            Constant(_) | Iota { .. } | DynamicIota { .. } => Class::Source,
            DotGeneral(_) | Dot { .. } | Einsum { .. } | UnaryEinsum { .. } | Convolution(_) | DynamicConv(_) => {
                Class::Contraction
            }
            Reduce { .. }
            | ReduceWindow(_)
            | BatchNormTraining { .. }
            | BatchNormInference { .. }
            | BatchNormGrad { .. } => Class::Reduction,
            Scatter(_) | SelectAndScatter(_) => Class::Scatter,
            Sort { .. } => Class::Sort,
            RngBitGenerator { .. } | Rng { .. } => Class::Random,
            Fft { .. } | Cholesky { .. } | TriangularSolve { .. } => Class::Transform,
            While | If | Case | Call { .. } | Composite { .. } | ManualComputation { .. } => Class::Control,
            AllGather { .. }
            | AllReduce { .. }
            | AllToAll { .. }
            | ReduceScatter { .. }
            | CollectiveBroadcast { .. }
            | CollectivePermute { .. }
            | CrossReplicaSum { .. }
            | AsyncStart
            | AsyncDone
            | PartitionId
            | ReplicaId => Class::Collective,
            Send(_) | Recv(_) | Infeed { .. } | Outfeed { .. } => Class::Host,
            Tuple
            | GetTupleElement { .. }
            | AfterAll
            | CreateToken
            | GetDimensionSize { .. }
            | SetDimensionSize { .. }
            | ShardingConstraint { .. }
            | Sharding { .. } => Class::Annotation,
            CustomCall(call) => call.class(),
        }
    }

    /// Whether results may share the memory of an operand: MLX describes it anew (most of the time).
    pub fn is_view(&self) -> bool {
        match self.class() {
            Class::View => true,
            Class::Elementwise => matches!(self, OpKind::BitcastConvert),
            Class::Move
            | Class::Source
            | Class::Contraction
            | Class::Reduction
            | Class::Scatter
            | Class::Sort
            | Class::Random
            | Class::Transform
            | Class::Control
            | Class::Collective
            | Class::Host
            | Class::Annotation => false,
        }
    }

    /// Whether it works on arrays of any one shape (and scalars among them), and so may stand in the region of a reduction,
    /// a scatter or a sort that runs on many elements at once.
    pub fn is_elementwise(&self) -> bool {
        match self.class() {
            Class::Elementwise => !matches!(self, OpKind::Map { .. }),
            // In regions of scalars these have nothing to do.
            Class::View => {
                matches!(self, OpKind::Reshape | OpKind::BroadcastInDim { .. } | OpKind::OptimizationBarrier)
            }
            Class::Source => matches!(self, OpKind::Constant(_)),
            Class::Annotation => matches!(self, OpKind::CustomCall(_)),
            Class::Move
            | Class::Contraction
            | Class::Reduction
            | Class::Scatter
            | Class::Sort
            | Class::Random
            | Class::Transform
            | Class::Control
            | Class::Collective
            | Class::Host => false,
        }
    }

    /// Whether it computes with elements; else it moves or converts them, whatever they stand for.
    pub fn computes(&self) -> bool {
        match self.class() {
            Class::Elementwise => !matches!(self, OpKind::Select | OpKind::Convert | OpKind::BitcastConvert),
            Class::Source => !matches!(self, OpKind::Constant(_)),
            Class::Sort | Class::Contraction | Class::Reduction | Class::Scatter => true,
            Class::Random => matches!(self, OpKind::Rng { .. }),
            Class::Transform => !matches!(self, OpKind::CustomCall(_)),
            Class::Collective => {
                matches!(self, OpKind::AllReduce { .. } | OpKind::ReduceScatter { .. } | OpKind::CrossReplicaSum { .. })
            }
            Class::View | Class::Move | Class::Control | Class::Host | Class::Annotation => false,
        }
    }

    /// Whether it reads or writes memory that it does not own, or tells somebody outside of the program: it must be kept, and
    /// kept in order, even when no result is used.
    pub fn has_side_effect(&self) -> bool {
        match self.class() {
            Class::Host => true,
            Class::Elementwise
            | Class::View
            | Class::Move
            | Class::Source
            | Class::Contraction
            | Class::Reduction
            | Class::Scatter
            | Class::Sort
            | Class::Random
            | Class::Transform
            | Class::Control
            | Class::Collective
            | Class::Annotation => matches!(self, OpKind::CustomCall(call) if call.has_side_effect),
        }
    }

    /// Whether the same operands give the same results each time.
    pub fn is_deterministic(&self) -> bool {
        match self.class() {
            Class::Host => false,
            Class::Random => !matches!(self, OpKind::Rng { .. }),
            Class::Annotation => !matches!(self, OpKind::CreateToken | OpKind::CustomCall(_)),
            Class::Elementwise
            | Class::View
            | Class::Move
            | Class::Source
            | Class::Contraction
            | Class::Reduction
            | Class::Scatter
            | Class::Sort
            | Class::Transform
            | Class::Control
            | Class::Collective => !matches!(self, OpKind::CustomCall(_)),
        }
    }
}

impl Op {
    /// What it takes, regions left out: an estimate where that depends on how it is done.
    pub fn work(&self, function: &Function) -> Work {
        let elements = |value: &ValueId| function.tensor(*value).map_or(0.0, |ty| ty.elements() as f64);
        let results: f64 = self.results.iter().map(elements).sum();
        let operands: f64 = self.operands.iter().map(elements).sum();
        let flops = |flops: f64| Work { flops, transcendentals: 0.0 };
        let order = |value: Option<&ValueId>| {
            let shape = value.and_then(|value| function.tensor(*value)).map_or(&[][..], |ty| &ty.shape);
            shape.last().map_or(1.0, |&size| size as f64)
        };
        match self.kind.class() {
            Class::Elementwise => {
                let transcendental = match &self.kind {
                    OpKind::Unary(unary) => unary.is_transcendental(),
                    OpKind::Binary(binary) => binary.is_transcendental(),
                    OpKind::CustomCall(_) => true,
                    _ => false,
                };
                match transcendental {
                    true => Work { flops: 0.0, transcendentals: results },
                    false if self.kind.computes() => flops(results),
                    false => Work::default(),
                }
            }
            Class::Contraction => flops(self.contraction(function, results)),
            // Sums of all elements; windows see each of theirs.
            Class::Reduction => match &self.kind {
                OpKind::ReduceWindow(window) => {
                    flops(results * window.window_dimensions.iter().map(|&size| size as f64).product::<f64>())
                }
                _ => flops(operands),
            },
            Class::Scatter => flops(operands),
            Class::Sort => flops(operands * operands.max(2.0).log2()),
            // Twenty rounds of four integer operations for two words.
            Class::Random => flops(40.0 * results),
            Class::Transform => match &self.kind {
                OpKind::Fft { .. } => flops(5.0 * operands * operands.max(2.0).log2()),
                // A matrix of n rows takes n operations an element, or a few times that.
                _ => flops(operands * order(self.operands.first())),
            },
            Class::View
            | Class::Move
            | Class::Source
            | Class::Control
            | Class::Collective
            | Class::Host
            | Class::Annotation => Work::default(),
        }
    }

    fn contraction(&self, function: &Function, results: f64) -> f64 {
        let operand = |index: usize| self.operands.get(index).and_then(|&value| function.tensor(value));
        let size = |shape: &[i64], axis: i64| {
            usize::try_from(axis).ok().and_then(|axis| shape.get(axis)).map_or(1.0, |&size| (size as f64).max(1.0))
        };
        match &self.kind {
            OpKind::DotGeneral(DotGeneral { lhs_contracting_dimensions, .. }) => {
                let contracted: f64 = operand(0)
                    .map_or(0.0, |lhs| lhs_contracting_dimensions.iter().map(|&axis| size(&lhs.shape, axis)).product());
                2.0 * results * contracted
            }
            OpKind::Convolution(convolution) | OpKind::DynamicConv(convolution) => {
                let per_output = operand(1).map_or(0.0, |kernel| {
                    kernel.elements() as f64 / size(&kernel.shape, convolution.kernel_output_feature_dimension)
                });
                2.0 * results * per_output
            }
            _ => operand(0).map_or(0.0, |lhs| 2.0 * results * lhs.shape.last().map_or(1.0, |&size| size as f64)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::program::{Attributes, CustomCallApiVersion};

    fn call(target: &str, has_side_effect: bool) -> OpKind {
        OpKind::CustomCall(CustomCall {
            call_target_name: target.to_owned(),
            has_side_effect,
            backend_config: String::new(),
            backend_attributes: Attributes::default(),
            api_version: CustomCallApiVersion::Original,
            called_computations: Vec::new(),
            operand_layouts: Vec::new(),
            result_layouts: Vec::new(),
            output_operand_aliases: Vec::new(),
        })
    }

    #[test]
    fn calls_are_known_by_their_target() {
        assert_eq!(call("mhlo.erf", false).class(), Class::Elementwise);
        assert!(call("mhlo.erf", false).is_elementwise() && call("mhlo.erf", false).computes());
        assert_eq!(call("mhlo.topk", false).class(), Class::Sort);
        assert!(call("Sharding", false).is_elementwise() && !call("Sharding", false).computes());
        assert!(!call("lapack_sgetrf_ffi", false).is_elementwise());
        assert!(call("anything", true).has_side_effect() && !call("anything", false).has_side_effect());
        assert!(!call("anything", false).is_deterministic());
    }

    #[test]
    fn views_move_nothing() {
        assert!(OpKind::Reshape.is_view() && OpKind::BitcastConvert.is_view());
        assert!(!OpKind::Concatenate { dimension: 0 }.is_view() && !OpKind::Convert.is_view());
        assert!(!OpKind::Select.computes() && OpKind::Clamp.computes());
    }
}
