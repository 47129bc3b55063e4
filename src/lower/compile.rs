//! Block → plan: a slot per value, a step per op.
#![forbid(unsafe_code)]

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use smallvec::SmallVec;

use super::context::{Context, Lowered};
use super::error::LowerError;
use super::native::{self, Native, Whole};
use super::shape::{empty, literal_array};
use super::storage::{shape_i32, storage};
use super::table::{REFUSED, row};
use crate::kernel::cost::Place;
use crate::mlx::{Capabilities, Dtype};
use crate::plan::{Origin, Placement, Plan, Slot, Step};
use crate::program::{Block, CompileError, Function, Literal, Location, Op, OpKind, Program, Type, ValueId};

/// A compiled program.
pub struct Compiled {
    /// What runs.
    pub plan: Plan,
    /// The same as native code, where that is what the plan runs.
    pub native: Option<Arc<Native>>,
}

/// Compiles the entry function for a backend.
///
/// # Errors
/// The first op that is not supported or not valid.
pub fn compile(
    program: &Program,
    function: &Function,
    capabilities: &'static Capabilities,
    place: Place,
) -> Result<Compiled, LowerError> {
    let (native, reason) = native::program(program, function, (capabilities, place), (compile_region, row));
    let (mut plan, native) = match native {
        Some(Whole { native, lowered }) => (whole(function, lowered)?, Some(native)),
        None => {
            let backend = (capabilities, place);
            let (plan, captures) = compile_block(program, function, &function.body, &HashMap::new(), backend, false)?;
            debug_assert!(captures.is_empty(), "a verified function captures nothing");
            (plan, None)
        }
    };
    plan.note = reason;
    Ok(Compiled { plan, native })
}

/// Compiles a region of an op; `scalar`: as a [scalar region](Context::scalar_region). For the rest see [`compile_block`].
pub(super) fn compile_region(
    context: &Context<'_>,
    block: &Block,
    scalar: bool,
) -> Result<(Plan, Vec<ValueId>), LowerError> {
    let backend = (context.capabilities, context.place);
    compile_block(context.program, context.function, block, context.constants, backend, scalar)
}

/// The plan of a function that is one step.
fn whole(function: &Function, lowered: Lowered) -> Result<Plan, LowerError> {
    let arguments: Vec<Slot> = (0..function.body.arguments.len() as Slot).collect();
    let first = arguments.len() as Slot;
    let mut outputs = SmallVec::new();
    for (&result, slot) in function.body.results.iter().zip(first..) {
        let tensor = function.tensor(result).filter(|tensor| tensor.is_static());
        let held = tensor.and_then(|tensor| Some((storage(tensor.element)?, shape_i32(&tensor.shape))));
        let Some((dtype, shape)) = held else {
            return Err(CompileError::Invalid("a kernel of other results than tensors".to_owned()).into());
        };
        outputs.push((slot, dtype, Some(shape?.into_boxed_slice())));
    }
    let results: Vec<Slot> = (first..first + function.body.results.len() as Slot).collect();
    // Profiles want a name: that of the last op that has one.
    let mut locations = function.body.ops.iter().rev().map(|op| &op.location);
    let location = match locations.find(|location| location.name().is_some()) {
        Some(location) => location.clone(),
        None => Location::Name(function.name.as_str().into(), Arc::default()),
    };
    let step = Step {
        origin: Arc::new(Origin { name: format!("native.{}", function.name), location }),
        kernel: lowered.kernel,
        placement: lowered.placement,
        inputs: arguments.iter().copied().collect(),
        outputs,
        free: Box::default(),
        nested: lowered.nested,
        blocking: lowered.blocking,
        is_view: false,
        note: None,
    };
    let slots = first + results.len() as Slot;
    let mut plan = Plan { slots, arguments, steps: vec![step], results, ..Plan::default() };
    free_after_last_use(&mut plan);
    Ok(plan)
}

/// Compiles a block; returns the values of enclosing blocks that it uses, which follow the block's arguments.
fn compile_block(
    program: &Program,
    function: &Function,
    block: &Block,
    outer_constants: &HashMap<ValueId, Literal>,
    (capabilities, place): (&'static Capabilities, Place),
    scalar: bool,
) -> Result<(Plan, Vec<ValueId>), LowerError> {
    let mut builder = Builder {
        program,
        function,
        capabilities,
        place,
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
    place: Place,
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
            let array = literal_array(literal)?;
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
                return Err(CompileError::invalid(self.function, op, "one result expected").into());
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
            place: self.place,
            note: None,
            scalar: self.scalar,
            compile_region,
            row,
        };
        let Some(row) = row(op.kind.name()) else {
            let name = op.kind.name();
            let why = REFUSED.iter().find(|(refused, _)| *refused == name).map(|(_, why)| *why);
            return Err(context.unsupported(op, why.unwrap_or("there is no lowering for it")));
        };
        if self.scalar && !op.kind.is_elementwise() {
            return Err(context.unsupported(op, "it stands in a region that must be elementwise"));
        }
        let outputs = op
            .results
            .iter()
            .map(|&result| output(&context, op, result, self.scalar))
            .collect::<Result<SmallVec<[(Dtype, Shape); 2]>, LowerError>>()?;
        if self.is_empty_and_pure(op) {
            // Many of MLX's kernels do not expect arrays without elements; no kernel, no surprise.
            for &result in &op.results {
                if let Some(tensor) = self.function.tensor(result) {
                    let array = empty(tensor.element, &tensor.shape)?;
                    let slot = self.new_slot(result);
                    self.plan.constants.push((slot, array));
                }
            }
            return Ok(());
        }
        let on_host = context.is_for_the_host(op);
        let lowered = (row.lower)(&mut context, op)?;
        let (captures, note) = (context.captures, context.note);
        let mut inputs = SmallVec::new();
        for &operand in op.operands.iter().chain(&captures) {
            inputs.push(self.slot(operand)?);
        }
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
                Placement::Device if on_host => Placement::Cpu,
                placement => placement,
            },
            inputs,
            outputs,
            free: Box::default(),
            nested: lowered.nested,
            blocking: lowered.blocking,
            is_view: op.kind.is_view(),
            note,
        });
        Ok(())
    }
}

/// The sizes of a result; None in scalar regions.
type Shape = Option<Box<[i32]>>;

fn output(context: &Context<'_>, op: &Op, result: ValueId, scalar: bool) -> Result<(Dtype, Shape), LowerError> {
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
