//! Programs, and parts of them, as native code of the host.
#![forbid(unsafe_code)]

use std::collections::HashSet;
use std::sync::Arc;

use super::callees::Callees;
use super::context::{CompileRegion, Context, FindRow, Lowered};
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
        Ok(Self { code: Code::new(built.kernel)?, outputs, cost: built.cost })
    }

    /// Whether it takes so little time that its caller may wait for it.
    pub fn is_short(&self) -> bool {
        self.cost.is_short()
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
        if self.cost.is_bounded() && capabilities.host_visible_memory {
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
    let callees = Callees::new(context.program, context.function, (context.compile_region, context.row));
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
    backend: (&Capabilities, Place),
    lowering: (CompileRegion, FindRow),
) -> (Option<Whole>, String) {
    let (capabilities, place) = backend;
    let (choice, native) = choose_program(program, function, (place, device(capabilities)), lowering);
    tracing::debug!("@{}: {}", function.name, choice.reason);
    let whole = native.map(Arc::new).map(|native| Whole { lowered: native.clone().lowered(capabilities), native });
    (whole, choice.reason)
}

fn choose_program(
    program: &Program,
    function: &Function,
    (place, device): (Place, Device),
    lowering: (CompileRegion, FindRow),
) -> (Choice, Option<Native>) {
    if place == Place::Device {
        return (Choice::library("the device is forced"), None);
    }
    if let Some(op) = function.body.ops.iter().find(|op| op.has_side_effect()) {
        return (Choice::library(format_args!("{} has side effects", op.kind.full_name())), None);
    }
    // Before anything is built: programs that MLX is better at are not to be compiled twice.
    if let Some(cost) = estimate::at_least(function) {
        let choice = place.choose(&cost, device);
        if !choice.is_native {
            return (choice, None);
        }
    }
    let callees = Callees::new(program, function, lowering);
    let mut built = match build::program(function, &|op| callees.of(op)) {
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

#[cfg(test)]
mod tests {
    use super::super::testing::{Builder, bytes, tensor};
    use super::*;
    use crate::program::ElementType::{Bool, F32, I32};
    use crate::program::{Binary, CompareType, Direction, Literal, TensorType};

    fn literal(value: i32) -> OpKind {
        OpKind::Constant(Literal { ty: TensorType::new(I32, []), data: bytes(&[value]), splat: true })
    }

    /// `while counter < bound` over a vector; the bound is an argument if it is not given.
    fn looped(bound: Option<i32>, elements: i64) -> Function {
        let (int, vector) = (tensor(I32, &[]), tensor(F32, &[elements]));
        let mut builder = Builder::default();
        let x = builder.argument(vector.clone());
        let zero = builder.op(literal(0), &[], vec![int.clone()], vec![])[0];
        let bound = match bound {
            Some(bound) => builder.op(literal(bound), &[], vec![int.clone()], vec![])[0],
            None => builder.argument(int.clone()),
        };
        let types = vec![int.clone(), vector.clone()];
        let condition = builder.block(types.clone(), |builder, arguments| {
            let kind = OpKind::Compare { direction: Direction::Lt, compare_type: CompareType::Signed };
            let less = builder.make(kind, &[arguments[0], bound], vec![tensor(Bool, &[])], vec![]);
            let results = less.results.clone();
            (vec![less], results)
        });
        let body = builder.block(types.clone(), |builder, arguments| {
            let one = builder.make(literal(1), &[], vec![int.clone()], vec![]);
            let add = OpKind::Binary(Binary::Add);
            let next = builder.make(add.clone(), &[arguments[0], one.results[0]], vec![int.clone()], vec![]);
            let sum = builder.make(add, &[arguments[1], arguments[1]], vec![vector.clone()], vec![]);
            let results = vec![next.results[0], sum.results[0]];
            (vec![one, next, sum], results)
        });
        builder.function.body.results = builder.op(OpKind::While, &[zero, x], types, vec![condition, body]);
        builder.function
    }

    fn choice(function: &Function, place: Place) -> (Option<Whole>, String) {
        let program = Program { functions: vec![function.clone()], ..Program::default() };
        super::program(
            &program,
            function,
            (Backend::Cpu.capabilities(false), place),
            (|_, _, _| unreachable!("no op with regions is called"), |_| None),
        )
    }

    fn cost(function: &Function) -> Cost {
        build::program(function, &|_| None).expect("a kernel").cost
    }

    #[test]
    fn known_turns_count_and_unknown_ones_are_said() {
        let (ten, hundred) = (cost(&looped(Some(10), 64)), cost(&looped(Some(100), 64)));
        assert!(!ten.open_ended && !hundred.open_ended);
        let ratio = hundred.steps / ten.steps;
        assert!((8.0..=10.0).contains(&ratio), "{ten:?} {hundred:?}");
        assert!(hundred.nodes > 9.0 * ten.nodes, "{ten:?} {hundred:?}");
        let unknown = cost(&looped(None, 64));
        assert!(unknown.open_ended && unknown.is_short() && !unknown.is_bounded(), "{unknown:?}");
        assert!(cost(&looped(Some(-5), 64)).nodes <= 1.0, "the loop alone");
    }

    #[test]
    fn who_runs_a_program_is_said_with_the_reason() {
        let (whole, reason) = choice(&looped(Some(10), 4), Place::Auto);
        assert!(whole.is_some_and(|whole| whole.native.is_short()), "{reason}");
        assert!(reason.starts_with("native: "), "{reason}");
        let (whole, reason) = choice(&looped(Some(10), 4), Place::Device);
        assert!(whole.is_none());
        assert_eq!(reason, "mlx: the device is forced");
    }

    #[test]
    fn loops_that_take_too_many_steps_are_given_up() {
        let (whole, _) = choice(&looped(None, 4), Place::Auto);
        let native = whole.expect("a kernel").native;
        let x = bytes(&[1f32; 4]);
        let results = native.run_shortly(&[&x, &bytes(&[3i32])]).unwrap().expect("it is short");
        assert_eq!(results[1].as_bytes().unwrap(), bytes(&[8f32; 4]));
        assert!(native.run_shortly(&[&x, &bytes(&[i32::MAX])]).unwrap().is_none());
    }
}
