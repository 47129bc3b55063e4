//! Programs, and parts of them, as native code of the host.
#![forbid(unsafe_code)]

use std::collections::HashSet;
use std::sync::Arc;

use super::callees::Callees;
use super::context::{Context, Lowered};
use super::storage::{shape_i32, storage};
use crate::kernel::build::{self, Built};
use crate::kernel::cost::{Choice, Cost, Device, INLINE_STEPS, Place};
use crate::kernel::estimate;
use crate::kernel::native::Code;
use crate::mlx::{self, Array, Arrays, Backend, Capabilities, Dtype, HostFunction, Stream};
use crate::plan::stop_flag;
use crate::program::{Block, Function, Op, OpKind, Program, ValueId};

/// Native code with the shapes and dtypes of its results.
pub struct Native {
    code: Code,
    outputs: Vec<(Vec<i32>, Dtype)>,
    cost: Cost,
    /// Whether it calls functions of the host, which may take long.
    calls_out: bool,
}

impl Native {
    fn new(built: Built, function: &Function, results: &[ValueId]) -> Result<Self, String> {
        let outputs = results
            .iter()
            .map(|&result| {
                let tensor = function.tensor(result)?;
                Some((shape_i32(&tensor.shape).ok()?, storage(tensor.element)?))
            })
            .collect::<Option<Vec<_>>>()
            .ok_or("results that are no arrays")?;
        let calls_out = built.kernel.calls_out();
        Ok(Self { code: Code::new(built.kernel)?, outputs, cost: built.cost, calls_out })
    }

    /// Whether it takes so little time that its caller may wait for it.
    pub fn is_short(&self) -> bool {
        self.cost.is_short() && !self.calls_out
    }

    /// Runs on this thread, which is not kept long: the inputs' elements are read, and the results' written, in place. None
    /// when loops took too many turns.
    ///
    /// # Errors
    /// When memory is short.
    pub fn run_shortly(&self, inputs: &[&[u8]]) -> mlx::Result<Option<Arrays>> {
        let mut done = true;
        let outputs = Array::written(&self.outputs, |outputs| {
            done = self.code.run_within(INLINE_STEPS, inputs, outputs, mlx::shutdown::flag()).is_ok();
            Ok::<(), mlx::Error>(())
        })?;
        Ok(done.then_some(outputs))
    }

    /// Runs on this thread: the inputs' elements are read, and the results' written, in place.
    ///
    /// # Errors
    /// When a loop was interrupted; when memory is short.
    fn run(&self, inputs: &[&[u8]]) -> mlx::Result<Arrays> {
        let own = stop_flag();
        let flag = own.as_deref().unwrap_or(mlx::shutdown::flag());
        Array::written(&self.outputs, |outputs| {
            self.code.run(inputs, outputs, flag).map_err(|halt| mlx::Error::new(halt.to_string()))
        })
    }

    /// As a step of a plan: one of MLX's graph where that does not keep MLX's own work waiting for long, else one that
    /// waits for its arguments.
    fn lowered(self: Arc<Self>, capabilities: &Capabilities) -> Lowered {
        // What calls MLX must not wait for it on MLX's own thread.
        if self.cost.is_bounded() && capabilities.host_visible_memory && !self.calls_out {
            let outputs = self.outputs.clone();
            let function: Arc<HostFunction> = Arc::new(move |inputs, outputs| {
                self.code.run(inputs, outputs, mlx::shutdown::flag()).map_err(|halt| halt.to_string())
            });
            return Lowered::new(move |inputs, stream| {
                let outputs: smallvec::SmallVec<[(&[i32], Dtype); 4]> =
                    outputs.iter().map(|(shape, dtype)| (shape.as_slice(), *dtype)).collect();
                mlx::host_call(&function, inputs, &outputs, stream)
            })
            .on_cpu();
        }
        let run = move |inputs: &[&Array], stream: Stream| {
            let inputs = inputs.iter().map(|input| mlx::for_host(input, stream)).collect::<mlx::Result<Arrays>>()?;
            let read = inputs.iter().map(Array::as_bytes).collect::<mlx::Result<Vec<&[u8]>>>()?;
            self.run(&read)
        };
        Lowered::new(run).in_regions().blocking()
    }
}

fn device(capabilities: &Capabilities) -> Device {
    match (capabilities.backend, capabilities.host_visible_memory) {
        (Backend::Cpu, _) => Device::Cpu,
        (_, true) => Device::UnifiedGpu,
        (_, false) => Device::DiscreteGpu,
    }
}

/// Values of outside that an op's regions use, in the order of their first use.
fn captured(op: &Op) -> Vec<ValueId> {
    fn uses(block: &Block, inside: &mut HashSet<ValueId>, found: &mut Vec<ValueId>) {
        inside.extend(&block.arguments);
        for op in &block.ops {
            found.extend(op.operands.iter().filter(|operand| !inside.contains(*operand)));
            for region in &op.regions {
                uses(region, inside, found);
            }
            inside.extend(&op.results);
        }
        found.extend(block.results.iter().filter(|result| !inside.contains(*result)));
    }
    let mut found = Vec::new();
    for region in &op.regions {
        uses(region, &mut HashSet::new(), &mut found);
    }
    let mut seen = HashSet::new();
    found.retain(|&value| seen.insert(value));
    found
}

/// A loop as native code; None where MLX runs it: it holds what kernels do not, or would be slower. In either case the
/// context's note says why.
pub(super) fn lower_loop(context: &mut Context<'_>, op: &Op) -> Option<Lowered> {
    let (choice, lowered) = choose_loop(context, op);
    tracing::debug!("{}: {}", op.kind.full_name(), choice.reason);
    context.note = Some(choice.reason);
    let (lowered, captures) = lowered?;
    context.captures = captures;
    Some(lowered)
}

fn choose_loop(context: &Context<'_>, op: &Op) -> (Choice, Option<(Lowered, Vec<ValueId>)>) {
    let (constants, others): (Vec<ValueId>, Vec<ValueId>) =
        captured(op).into_iter().partition(|&value| context.constant(value).is_some());
    if context.place == Place::Device {
        return (Choice::library("the device is forced"), None);
    }
    let constants: Vec<Op> = constants
        .into_iter()
        .filter_map(|value| Some(Op { results: vec![value], ..constant(context.constant(value)?.clone(), op) }))
        .collect();
    let callees = Callees::new(context.program, context.function);
    let mut built = match build::operation(context.function, op, &constants, &others, &|op| callees.of(op)) {
        Ok(built) => built,
        Err(why) => return (Choice::library(why), None),
    };
    estimate::transfers(context.function, op.operands.iter().chain(&others).chain(&op.results), &mut built.cost);
    let choice = context.place.choose(&built.cost, device(context.capabilities));
    if !choice.is_native {
        return (choice, None);
    }
    match Native::new(built, context.function, &op.results) {
        Ok(native) => (choice, Some((Arc::new(native).lowered(context.capabilities), others))),
        Err(why) => (Choice::library(format_args!("no native code: {why}")), None),
    }
}

fn constant(literal: crate::program::Literal, op: &Op) -> Op {
    Op {
        kind: OpKind::Constant(literal),
        operands: Vec::new(),
        results: Vec::new(),
        regions: Vec::new(),
        attributes: Default::default(),
        location: op.location.clone(),
    }
}

/// A whole program as native code, and as a step of a plan.
pub(super) struct Whole {
    /// The code.
    pub native: Arc<Native>,
    /// The step.
    pub lowered: Lowered,
}

/// A whole program as native code, with the reason; None where it is lowered op by op.
pub(super) fn program(
    program: &Program,
    function: &Function,
    place: Place,
    capabilities: &Capabilities,
) -> (Option<Whole>, String) {
    let (choice, native) = choose_program(program, function, place, device(capabilities));
    tracing::debug!("@{}: {}", function.name, choice.reason);
    let whole = native.map(Arc::new).map(|native| Whole { lowered: native.clone().lowered(capabilities), native });
    (whole, choice.reason)
}

fn choose_program(program: &Program, function: &Function, place: Place, device: Device) -> (Choice, Option<Native>) {
    if place == Place::Device {
        return (Choice::library("the device is forced"), None);
    }
    // Before anything is built: programs that MLX is better at are not to be compiled twice.
    if let Some(cost) = estimate::at_least(function) {
        let choice = place.choose(&cost, device);
        if !choice.is_native {
            return (choice, None);
        }
    }
    let callees = Callees::new(program, function);
    // Without loops MLX does as well what would be called, and does not keep its callers waiting.
    let loops = function.body.ops.iter().any(|op| op.kind == OpKind::While);
    let mut built = match build::program(function, &|op| if loops { callees.of(op) } else { None }) {
        Ok(built) => built,
        Err(why) => return (Choice::library(why), None),
    };
    let body = &function.body;
    estimate::transfers(function, body.arguments.iter().chain(&body.results), &mut built.cost);
    let choice = place.choose(&built.cost, device);
    if !choice.is_native {
        return (choice, None);
    }
    match Native::new(built, function, &body.results) {
        Ok(native) => (choice, Some(native)),
        Err(why) => (Choice::library(format_args!("no native code: {why}")), None),
    }
}
