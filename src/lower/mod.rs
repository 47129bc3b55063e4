//! Program → plan: each op becomes, once per compile, a kernel that makes its MLX calls.
//!
//! One file per op family, each with its rows of the op table ([`Row`]). Shape and dtype questions are answered here, at
//! compile time; what a kernel does per call is a handful of MLX calls with ready parameters.
#![forbid(unsafe_code)]

mod arithmetic;
mod batch_norm;
mod bitwise;
mod chooser;
mod collectives;
mod combiner;
mod compare;
mod complex;
mod context;
mod control_flow;
mod convert;
mod convolution;
mod custom_call;
mod dot_general;
mod dynamic_slice;
mod error;
mod exponential;
mod fft;
mod float_order;
mod footprint;
mod formula;
mod gather;
mod host_transfer;
mod indexing;
mod linear_algebra;
mod observer;
mod origin;
#[cfg(test)]
mod placement;
mod plan;
#[cfg(test)]
mod rare_ops;
mod reduce;
mod reduce_window;
mod rng;
mod rounding;
mod scatter;
mod select_and_scatter;
mod shape;
mod small_types;
mod sort;
mod special_functions;
#[cfg(test)]
pub mod testing;
mod top_k;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use smallvec::SmallVec;

pub use context::{
    Context, Kernel, Lowered, Placement, Region, array_from_host, describe, shape_i32, storage, token_array,
};
pub use error::LowerError;
pub use footprint::Footprint;
pub use host_transfer::{HostTransfers, with_host_transfers};
pub use observer::{StepObserver, with_step_observer};
pub use plan::{Origin, Plan, Slot, Step};
pub use small_types::value as small_float_value;

use crate::mlx::{Array, Capabilities, Dtype};
use crate::program::{Block, ElementType, Function, Literal, Op, OpKind, Program, Type, ValueId};

/// One row of the op table.
pub struct Row {
    /// Op name as [`OpKind::name`] gives it.
    pub name: &'static str,
    /// What the documentation says beside it: dtypes, limits; empty when there is nothing to say.
    pub note: &'static str,
    /// True when the kernel works for operands of any common shape (and scalars among them), so that it may stand in a
    /// scalar region.
    pub elementwise: bool,
    /// Makes the kernel.
    pub lower: fn(&mut Context<'_>, &Op) -> Result<Lowered, LowerError>,
}

/// The op table: the one place that says what is supported. `docs/ops.md` is made from it.
pub static TABLE: &[&[Row]] = &[
    arithmetic::ROWS,
    batch_norm::ROWS,
    bitwise::ROWS,
    collectives::ROWS,
    compare::ROWS,
    complex::ROWS,
    control_flow::ROWS,
    convert::ROWS,
    convolution::ROWS,
    custom_call::ROWS,
    dot_general::ROWS,
    dynamic_slice::ROWS,
    exponential::ROWS,
    fft::ROWS,
    gather::ROWS,
    host_transfer::ROWS,
    linear_algebra::ROWS,
    reduce::ROWS,
    reduce_window::ROWS,
    rng::ROWS,
    rounding::ROWS,
    scatter::ROWS,
    select_and_scatter::ROWS,
    shape::ROWS,
    sort::ROWS,
];

/// Ops that have no row, and why.
pub static REFUSED: &[(&str, &str)] = &[
    ("einsum", "deprecated: jax sends dot_general"),
    ("unary_einsum", "deprecated: jax sends reduce and transpose"),
    ("torch_index_select", "deprecated: jax sends gather"),
    ("tuple", "jax sends no tuples"),
    ("get_tuple_element", "jax sends no tuples"),
    ("infeed", "the host feeds arguments instead"),
    ("outfeed", "the host reads results instead"),
    ("uniform_quantize", "mlx has no quantized element types"),
    ("uniform_dequantize", "mlx has no quantized element types"),
    ("set_dimension_size", "shapes must be static"),
    ("dynamic_reshape", "shapes must be static"),
    ("dynamic_iota", "shapes must be static"),
    ("dynamic_broadcast_in_dim", "shapes must be static"),
    ("dynamic_pad", "shapes must be static"),
    ("dynamic_conv", "shapes must be static"),
    ("real_dynamic_slice", "shapes must be static"),
    ("sdy.manual_computation", "programs for several devices are not there yet"),
    ("sdy.sharding_constraint", "programs for several devices are not there yet"),
];

fn row(name: &str) -> Option<&'static Row> {
    static ROWS: std::sync::OnceLock<HashMap<&'static str, &'static Row>> = std::sync::OnceLock::new();
    ROWS.get_or_init(|| TABLE.iter().copied().flatten().map(|row| (row.name, row)).collect()).get(name).copied()
}

/// Compiles the entry function for a backend.
///
/// # Errors
/// The first op that is not supported or not valid.
pub fn compile(
    program: &Program,
    function: &Function,
    capabilities: &'static Capabilities,
) -> Result<Plan, LowerError> {
    let (plan, captures) = compile_block(program, function, &function.body, &HashMap::new(), capabilities, false)?;
    debug_assert!(captures.is_empty(), "a verified function captures nothing");
    Ok(plan)
}

/// Compiles a block; returns the values of enclosing blocks that it uses, which follow the block's arguments.
fn compile_block(
    program: &Program,
    function: &Function,
    block: &Block,
    outer_constants: &HashMap<ValueId, Literal>,
    capabilities: &'static Capabilities,
    scalar: bool,
) -> Result<(Plan, Vec<ValueId>), LowerError> {
    let mut builder = Builder {
        program,
        function,
        capabilities,
        scalar,
        slots: HashMap::new(),
        constants: outer_constants.clone(),
        captures: Vec::new(),
        plan: Plan::default(),
    };
    for &argument in &block.arguments {
        let slot = builder.new_slot(argument);
        builder.plan.arguments.push(slot);
    }
    for op in &block.ops {
        builder.op(op)?;
    }
    let mut results = Vec::with_capacity(block.results.len());
    for &result in &block.results {
        results.push(builder.slot(result)?);
    }
    builder.plan.results = results;
    // Captured values are further arguments.
    builder.plan.arguments.extend(builder.captures.iter().map(|value| builder.slots[value]));
    free_after_last_use(&mut builder.plan);
    Ok((builder.plan, builder.captures))
}

struct Builder<'a> {
    program: &'a Program,
    function: &'a Function,
    capabilities: &'static Capabilities,
    scalar: bool,
    slots: HashMap<ValueId, Slot>,
    constants: HashMap<ValueId, Literal>,
    captures: Vec<ValueId>,
    plan: Plan,
}

impl Builder<'_> {
    fn new_slot(&mut self, value: ValueId) -> Slot {
        let slot = self.plan.slots;
        self.plan.slots += 1;
        self.slots.insert(value, slot);
        slot
    }

    /// The slot of a value; a value of an enclosing block is captured, or copied in when it is a constant.
    fn slot(&mut self, value: ValueId) -> Result<Slot, LowerError> {
        if let Some(&slot) = self.slots.get(&value) {
            return Ok(slot);
        }
        if let Some(literal) = self.constants.get(&value) {
            let array = shape::literal_array(literal)?;
            let slot = self.new_slot(value);
            self.plan.constants.push((slot, array));
            return Ok(slot);
        }
        let slot = self.new_slot(value);
        self.captures.push(value);
        Ok(slot)
    }

    /// Every result is an array without elements, and nothing happens but computing them.
    fn is_empty_and_pure(&self, op: &Op) -> bool {
        let control = matches!(op.kind, OpKind::While | OpKind::If | OpKind::Case);
        !self.scalar
            && !control
            && !op.has_side_effect()
            && !op.results.is_empty()
            && op.results.iter().all(|&result| {
                self.function.tensor(result).is_some_and(|tensor| tensor.is_static() && tensor.elements() == 0)
            })
    }

    fn op(&mut self, op: &Op) -> Result<(), LowerError> {
        if let OpKind::Constant(literal) = &op.kind {
            let &[result] = &op.results[..] else {
                return Err(LowerError::Invalid(format!(
                    "{} is invalid: one result expected",
                    describe(self.function, op)
                )));
            };
            // Becomes an array when first used.
            self.constants.insert(result, literal.clone());
            return Ok(());
        }
        let mut context = Context {
            program: self.program,
            function: self.function,
            constants: &self.constants,
            captures: Vec::new(),
            capabilities: self.capabilities,
            scalar: self.scalar,
        };
        let Some(row) = row(op.kind.name()) else {
            let name = op.kind.name();
            let why = REFUSED.iter().find(|(refused, _)| *refused == name).map(|(_, why)| *why);
            return Err(context.unsupported(op, why.unwrap_or("there is no lowering for it")));
        };
        if self.scalar && !row.elementwise {
            return Err(context.unsupported(op, "it stands in a region that must be elementwise"));
        }
        let outputs = op
            .results
            .iter()
            .map(|&result| output(&context, op, result, self.scalar))
            .collect::<Result<SmallVec<[Promise; 2]>, LowerError>>()?;
        if self.is_empty_and_pure(op) {
            // Many of MLX's kernels do not expect arrays without elements; no kernel, no surprise.
            for &result in &op.results {
                if let Some(tensor) = self.function.tensor(result) {
                    let array = shape::empty(tensor.element, &tensor.shape)?;
                    let slot = self.new_slot(result);
                    self.plan.constants.push((slot, array));
                }
            }
            return Ok(());
        }
        let lowered = (row.lower)(&mut context, op)?;
        let captures = context.captures;
        let mut inputs = SmallVec::new();
        for &operand in op.operands.iter().chain(&captures) {
            inputs.push(self.slot(operand)?);
        }
        let touches_f64 = op.operands.iter().chain(&op.results).any(|&value| {
            matches!(self.function.ty(value), Type::Tensor(tensor) if matches!(tensor.element, ElementType::F64 | ElementType::C128))
        });
        let outputs = op
            .results
            .iter()
            .zip(outputs)
            .map(|(&result, (dtype, shape))| (self.new_slot(result), dtype, shape))
            .collect();
        self.plan.steps.push(Step {
            origin: Arc::new(Origin { name: op.kind.full_name(), location: op.location.clone() }),
            kernel: lowered.kernel,
            placement: match lowered.placement {
                Placement::Device if touches_f64 && !self.capabilities.float64 => Placement::Cpu,
                placement => placement,
            },
            inputs,
            outputs,
            free: Box::default(),
            nested: lowered.nested,
            blocking: lowered.blocking,
        });
        Ok(())
    }
}

/// Dtype and (but in scalar regions) shape of a result.
type Promise = (Dtype, Option<Box<[i32]>>);

fn output(context: &Context<'_>, op: &Op, result: ValueId, scalar: bool) -> Result<Promise, LowerError> {
    match context.function.ty(result) {
        // A token is an empty array: it orders, and carries nothing.
        Type::Token => Ok((Dtype::Bool, Some(Box::from([0])))),
        Type::Tensor(tensor) => {
            let dtype = storage(tensor.element)
                .ok_or_else(|| context.unsupported(op, &format!("mlx has no {}", tensor.element)))?;
            if !tensor.is_static() {
                return Err(context.unsupported(op, &format!("dynamic shape {tensor}")));
            }
            let shape = if scalar { None } else { Some(shape_i32(&tensor.shape)?.into_boxed_slice()) };
            Ok((dtype, shape))
        }
        other => Err(context.unsupported(op, &format!("type {other}"))),
    }
}

/// Fills in [`Step::free`], so that MLX finds the last reference to an array in the graph and can reuse its memory.
fn free_after_last_use(plan: &mut Plan) {
    let mut alive: HashSet<Slot> = plan.results.iter().copied().collect();
    for step in plan.steps.iter_mut().rev() {
        let mut free: Vec<Slot> = Vec::new();
        for slot in step.inputs.iter().copied().chain(step.outputs.iter().map(|(slot, _, _)| *slot)) {
            if alive.insert(slot) {
                free.push(slot);
            }
        }
        step.free = free.into_boxed_slice();
    }
}

/// An array of a literal's elements, in their storage dtype.
///
/// # Errors
/// When MLX has no dtype for them, or memory is short.
pub fn literal_array(literal: &Literal) -> Result<Array, LowerError> {
    shape::literal_array(literal)
}
