//! What a lowering function sees of the program, and what it returns.
#![forbid(unsafe_code)]

use std::collections::HashMap;
use std::sync::Arc;

use super::error::LowerError;
use crate::kernel::cost::Place;
use crate::mlx::{self, Array, Arrays, Capabilities, HostFunction, Stream};
use crate::plan::{Kernel, Placement, Plan};
use crate::program::{Block, CompileError, Function, Literal, Op, Program, TensorType, Type, ValueId};

/// A lowered op.
pub struct Lowered {
    /// What runs.
    pub kernel: Kernel,
    /// Where it runs; the driver moves ops on f64 to the CPU by itself where the device has none.
    pub placement: Placement,
    /// Plans inside the kernel, for dumps.
    pub nested: Vec<Arc<Plan>>,
    /// The same as a function of the operands' bytes, where that is what the kernel calls.
    pub host: Option<Arc<HostFunction>>,
    /// Whether the kernel waits for the device, or has so much to do that the caller should not wait for it.
    pub blocking: bool,
}

impl Lowered {
    /// A kernel on the client's device.
    pub fn new(kernel: impl Fn(&[&Array], Stream) -> mlx::Result<Arrays> + Send + Sync + 'static) -> Self {
        Self { kernel: Box::new(kernel), placement: Placement::Device, nested: Vec::new(), host: None, blocking: false }
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

    /// The same, which does nothing but call this function.
    pub fn with_host(mut self, function: Arc<HostFunction>) -> Self {
        self.host = Some(function);
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

/// One row of the op table.
pub struct Row {
    /// Op name as [`OpKind::name`] gives it.
    pub name: &'static str,
    /// What the documentation says beside it: dtypes, limits; empty when there is nothing to say.
    pub note: &'static str,
    /// Makes the kernel.
    pub lower: fn(&mut Context<'_>, &Op) -> Result<Lowered, LowerError>,
}

/// Compiles a region: its plan, and the values of enclosing blocks that it uses, which follow the block's arguments. The
/// compiler of blocks knows all rows of the op table, and rows know it by this alone.
pub(super) type CompileRegion = fn(&Context<'_>, &Block, scalar: bool) -> Result<(Plan, Vec<ValueId>), LowerError>;

/// Finds the row of an op by its name.
pub(super) type FindRow = fn(&str) -> Option<&'static Row>;

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
    /// Who says where loops run.
    pub(super) place: Place,
    /// Why the op runs where it does, for dumps.
    pub(super) note: Option<String>,
    /// Whether the op stands in a region that runs on batches (see [`Context::scalar_region`]).
    pub(super) scalar: bool,
    pub(super) compile_region: CompileRegion,
    pub(super) row: FindRow,
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
        self.region_of(op, block, false)
    }

    /// Compiles a region whose arguments are scalars so that it can be called with arrays of any one shape instead
    /// (reduce, scatter, sort …): every op in it must be elementwise. A result that depends on no argument comes back as
    /// a scalar: broadcast before use.
    ///
    /// # Errors
    /// When an op in it is not elementwise, or cannot be lowered.
    pub fn scalar_region(&mut self, op: &Op, block: &Block) -> Result<Region, LowerError> {
        self.region_of(op, block, true)
    }

    fn region_of(&mut self, op: &Op, block: &Block, scalar: bool) -> Result<Region, LowerError> {
        let (plan, captured) = (self.compile_region)(self, block, scalar)?;
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

    /// As [`CompileError::unsupported`].
    pub fn unsupported(&self, op: &Op, why: &str) -> LowerError {
        CompileError::unsupported(self.function, op, why).into()
    }

    /// As [`CompileError::invalid`].
    pub fn invalid(&self, op: &Op, why: &str) -> LowerError {
        CompileError::invalid(self.function, op, why).into()
    }
}
