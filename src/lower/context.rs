//! What a lowering function sees of the program, and what it returns.
#![forbid(unsafe_code)]

use std::collections::HashMap;
use std::sync::Arc;

use super::error::LowerError;
use super::plan::Plan;
use crate::mlx::{self, Array, Arrays, Capabilities, Dtype, HostBytes, Stream};
use crate::program::{Block, ElementType, Function, Literal, Op, OpKind, Program, TensorType, Type, ValueId};

/// What runs for one op at every call: operands (then captured values) in, results out. It only builds MLX's graph;
/// blocking lowerings (control flow on host values) evaluate through the stream.
///
/// Arrays have the storage dtype of [`storage`] and exactly the static shapes of the program, except in scalar regions
/// (see [`Region`]).
pub type Kernel = Box<dyn Fn(&[&Array], Stream) -> mlx::Result<Arrays> + Send + Sync>;

/// Which stream a step runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Placement {
    /// The client's device.
    Device,
    /// The host's processor: what the device's backend cannot do, as its [`Capabilities`] say.
    Cpu,
    /// Each step of the regions where it belongs: control flow, which computes nothing itself.
    Regions,
}

/// A lowered op.
pub struct Lowered {
    /// What runs.
    pub kernel: Kernel,
    /// Where it runs; the driver moves ops on f64 to the CPU by itself where the device has none.
    pub placement: Placement,
    /// Plans inside the kernel, for dumps.
    pub nested: Vec<Arc<Plan>>,
    /// Whether the kernel waits for the device, or has so much to do that the caller should not wait for it.
    pub blocking: bool,
}

impl Lowered {
    /// A kernel on the client's device.
    pub fn new(kernel: impl Fn(&[&Array], Stream) -> mlx::Result<Arrays> + Send + Sync + 'static) -> Self {
        Self { kernel: Box::new(kernel), placement: Placement::Device, nested: Vec::new(), blocking: false }
    }

    /// A kernel with one result.
    pub fn one(kernel: impl Fn(&[&Array], Stream) -> mlx::Result<Array> + Send + Sync + 'static) -> Self {
        Self::new(move |inputs, stream| Ok(smallvec::smallvec![kernel(inputs, stream)?]))
    }

    /// The same on the host's processor.
    pub fn on_cpu(mut self) -> Self {
        self.placement = Placement::Cpu;
        self
    }

    /// The same, which waits for the device.
    pub fn blocking(mut self) -> Self {
        self.blocking = true;
        self
    }

    /// The same, its regions' steps placed one by one even when values of f64 pass through.
    pub fn in_regions(mut self) -> Self {
        self.placement = Placement::Regions;
        self
    }

    /// The same, naming a region's plan for dumps.
    pub fn with_region(mut self, region: &Region) -> Self {
        self.nested.push(region.plan.clone());
        self
    }
}

/// A region compiled to a plan of its own.
#[derive(Clone)]
pub struct Region {
    /// The plan; its arguments are the block's, then the captured values.
    pub plan: Arc<Plan>,
    /// Where each captured value stands among the kernel's inputs.
    pub captures: Vec<usize>,
}

impl Region {
    /// Runs the region: block arguments, and the inputs of the kernel that it belongs to (captured values are taken from
    /// these).
    ///
    /// # Errors
    /// What MLX refuses.
    pub fn call(&self, arguments: &[&Array], kernel_inputs: &[&Array], stream: Stream) -> mlx::Result<Arrays> {
        let mut all: smallvec::SmallVec<[&Array; 8]> = arguments.iter().copied().collect();
        all.extend(self.captures.iter().map(|&index| kernel_inputs[index]));
        self.plan.run(&all, stream)
    }
}

/// The op being lowered and what surrounds it.
pub struct Context<'a> {
    /// The module.
    pub program: &'a Program,
    /// The function that the op stands in.
    pub function: &'a Function,
    /// Literals of all constants of the function that have been lowered so far.
    pub(super) constants: &'a HashMap<ValueId, Literal>,
    /// Values of enclosing blocks that this op's regions use, in the order of the kernel's extra inputs.
    pub(super) captures: Vec<ValueId>,
    /// What the backend that the program is for can do: says where an op runs, and whether it can.
    pub capabilities: &'static Capabilities,
    /// Whether the op stands in a region that runs on batches (see [`Context::scalar_region`]).
    pub(super) scalar: bool,
}

impl<'a> Context<'a> {
    /// The tensor type of operand `index`.
    ///
    /// # Errors
    /// When there is no such operand, or it is no tensor, or its shape is dynamic.
    pub fn operand(&self, op: &Op, index: usize) -> Result<&'a TensorType, LowerError> {
        let value = op.operands.get(index).ok_or_else(|| self.invalid(op, &format!("operand {index} is missing")))?;
        self.tensor(op, *value)
    }

    /// The tensor type of result `index`.
    ///
    /// # Errors
    /// As [`Self::operand`].
    pub fn result(&self, op: &Op, index: usize) -> Result<&'a TensorType, LowerError> {
        let value = op.results.get(index).ok_or_else(|| self.invalid(op, &format!("result {index} is missing")))?;
        self.tensor(op, *value)
    }

    fn tensor(&self, op: &Op, value: ValueId) -> Result<&'a TensorType, LowerError> {
        match self.function.ty(value) {
            Type::Tensor(tensor) if tensor.is_static() => Ok(tensor),
            Type::Tensor(tensor) => Err(self.unsupported(op, &format!("dynamic shape {tensor}"))),
            other => Err(self.unsupported(op, &format!("type {other}"))),
        }
    }

    /// The literal of a value that is a constant.
    pub fn constant(&self, value: ValueId) -> Option<&'a Literal> {
        self.constants.get(&value)
    }

    /// Compiles a region of the op being lowered for arguments of exactly the block's types.
    ///
    /// # Errors
    /// What its ops cannot be lowered to.
    pub fn region(&mut self, op: &Op, block: &Block) -> Result<Region, LowerError> {
        self.compile_region(op, block, false)
    }

    /// Compiles a region whose arguments are scalars so that it can be called with arrays of any one shape instead
    /// (reduce, scatter, sort …): every op in it must be elementwise. A result that depends on no argument comes back as
    /// a scalar: broadcast before use.
    ///
    /// # Errors
    /// When an op in it is not elementwise, or cannot be lowered.
    pub fn scalar_region(&mut self, op: &Op, block: &Block) -> Result<Region, LowerError> {
        self.compile_region(op, block, true)
    }

    fn compile_region(&mut self, op: &Op, block: &Block, scalar: bool) -> Result<Region, LowerError> {
        let (plan, captured) =
            super::compile_block(self.program, self.function, block, self.constants, self.capabilities, scalar)?;
        let captures = captured
            .into_iter()
            .map(|value| {
                let position = self.captures.iter().position(|&known| known == value).unwrap_or_else(|| {
                    self.captures.push(value);
                    self.captures.len() - 1
                });
                op.operands.len() + position
            })
            .collect();
        Ok(Region { plan: Arc::new(plan), captures })
    }

    /// UNIMPLEMENTED: names the op, its types, the reason and the source line.
    pub fn unsupported(&self, op: &Op, why: &str) -> LowerError {
        LowerError::Unimplemented(format!("{} is not supported on mps: {why}", self.describe(op)))
    }

    /// INVALID_ARGUMENT: names the op, its types, the reason and the source line.
    pub fn invalid(&self, op: &Op, why: &str) -> LowerError {
        LowerError::Invalid(format!("{} is invalid: {why}", self.describe(op)))
    }

    fn describe(&self, op: &Op) -> String {
        describe(self.function, op)
    }
}

/// `stablehlo.add (tensor<2xf32>, tensor<2xf32>) -> tensor<2xf32> at file.py:12 (jit(f)/add)`.
pub fn describe(function: &Function, op: &Op) -> String {
    let list =
        |values: &[ValueId]| values.iter().map(|&value| function.ty(value).to_string()).collect::<Vec<_>>().join(", ");
    let name = match &op.kind {
        OpKind::CustomCall(call) => format!("{} @{}", op.kind.full_name(), call.call_target_name),
        kind => kind.full_name(),
    };
    format!("{name} ({}) -> ({}) at {}", list(&op.operands), list(&op.results), op.location)
}

/// The MLX dtype that elements of a type are stored in: integers of under 8 bits extended to 8, floats of 8 bits or fewer
/// as their bits in a u8. None where MLX has nothing (complex128, tf32).
pub fn storage(element: ElementType) -> Option<Dtype> {
    use ElementType::*;
    Some(match element {
        Bool => Dtype::Bool,
        I2 | I4 | I8 => Dtype::Int8,
        I16 => Dtype::Int16,
        I32 => Dtype::Int32,
        I64 => Dtype::Int64,
        U2 | U4 | U8 => Dtype::Uint8,
        U16 => Dtype::Uint16,
        U32 => Dtype::Uint32,
        U64 => Dtype::Uint64,
        F4E2M1FN | F6E2M3FN | F6E3M2FN | F8E3M4 | F8E4M3 | F8E4M3B11FNUZ | F8E4M3FN | F8E4M3FNUZ | F8E5M2
        | F8E5M2FNUZ | F8E8M0FNU => Dtype::Uint8,
        BF16 => Dtype::Bfloat16,
        F16 => Dtype::Float16,
        F32 => Dtype::Float32,
        F64 => Dtype::Float64,
        C64 => Dtype::Complex64,
        TF32 | C128 => return None,
    })
}

/// An array of elements as the host holds them: row-major, integers of under 8 bits in a byte each, whose high bits
/// ml_dtypes leaves 0, where arrays have them sign-extended.
///
/// # Errors
/// What MLX refuses; when memory is short.
pub fn array_from_host(
    element: ElementType,
    bytes: &(impl HostBytes + ?Sized),
    shape: &[i32],
    dtype: Dtype,
) -> mlx::Result<Array> {
    let spare = 8usize.saturating_sub(element.bits());
    let extends = element.is_small_integer() && element.is_signed_integer();
    Array::from_host(bytes, shape, dtype, |all| {
        if extends {
            for byte in all {
                *byte = ((*byte << spare).cast_signed() >> spare).cast_unsigned();
            }
        }
    })
}

/// What stands for a token: an empty array, which orders and carries nothing.
///
/// # Errors
/// When memory is short.
pub fn token_array() -> mlx::Result<Array> {
    Array::from_bytes(&[], &[0], Dtype::Bool)
}

/// A static shape as MLX takes it.
///
/// # Errors
/// When a size does not fit in 32 bits.
pub fn shape_i32(shape: &[i64]) -> Result<Vec<i32>, LowerError> {
    shape
        .iter()
        .map(|&size| {
            i32::try_from(size).map_err(|_| {
                LowerError::Unimplemented(format!(
                    "a dimension of size {size} is not supported on mps: mlx counts in 32 bits"
                ))
            })
        })
        .collect()
}
