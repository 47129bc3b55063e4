//! Parts of programs as native code of the host.
#![forbid(unsafe_code)]

use std::collections::HashSet;

use super::callees::Callees;
use super::context::{Context, Lowered};
use super::storage::{shape_i32, storage};
use crate::kernel::build::{self, Built};
use crate::kernel::native::Code;
use crate::mlx::{self, Array, Arrays, Backend, Capabilities, Dtype, Stream};
use crate::plan::stop_flag;
use crate::program::{Block, Function, Op, OpKind, Program, ValueId};

/// Native code with the shapes and dtypes of its results.
struct Native {
    code: Code,
    outputs: Vec<(Vec<i32>, Dtype)>,
}

impl Native {
    /// None, and a line in the log, when there is no such code.
    fn new(built: Built, function: &Function, results: &[ValueId]) -> Option<Self> {
        let outputs = results
            .iter()
            .map(|&result| {
                let tensor = function.tensor(result)?;
                Some((shape_i32(&tensor.shape).ok()?, storage(tensor.element)?))
            })
            .collect::<Option<Vec<_>>>()?;
        match Code::new(built.kernel) {
            Ok(code) => Some(Self { code, outputs }),
            Err(error) => {
                tracing::warn!("no native code: {error}");
                None
            }
        }
    }

    fn run(&self, inputs: &[&Array], stream: Stream) -> mlx::Result<Arrays> {
        let inputs = inputs.iter().map(|input| mlx::for_host(input, stream)).collect::<mlx::Result<Vec<Array>>>()?;
        let read = inputs.iter().map(Array::as_bytes).collect::<mlx::Result<Vec<&[u8]>>>()?;
        let mut written: Vec<Vec<u8>> = self.code.outputs().iter().map(|&bytes| vec![0; bytes]).collect();
        let mut outputs: Vec<&mut [u8]> = written.iter_mut().map(Vec::as_mut_slice).collect();
        let own = stop_flag();
        let flag = own.as_deref().unwrap_or(mlx::shutdown::flag());
        self.code.run(&read, &mut outputs, flag).map_err(|halt| mlx::Error::new(halt.to_string()))?;
        written
            .iter()
            .zip(&self.outputs)
            .map(|(bytes, (shape, dtype))| Array::from_bytes(bytes, shape, *dtype))
            .collect()
    }
}

fn is_gpu(capabilities: &Capabilities) -> bool {
    capabilities.backend != Backend::Cpu
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

/// A loop as native code; None where MLX runs it: it holds what kernels do not, or would be slower.
pub(super) fn lower_loop(context: &mut Context<'_>, op: &Op) -> Option<Lowered> {
    let (constants, others): (Vec<ValueId>, Vec<ValueId>) =
        captured(op).into_iter().partition(|&value| context.constant(value).is_some());
    let constants: Vec<Op> = constants
        .into_iter()
        .filter_map(|value| Some(Op { results: vec![value], ..constant(context.constant(value)?.clone(), op) }))
        .collect();
    let callees = Callees::new(context.program, context.function);
    let built = match build::operation(context.function, op, &constants, &others, &|op| callees.of(op)) {
        Ok(built) => built,
        Err(why) => {
            tracing::debug!("{} stays with mlx: {why}", op.kind.full_name());
            return None;
        }
    };
    if !context.place.is_native(&built.cost, is_gpu(context.capabilities)) {
        tracing::debug!("{} stays with mlx: {:?}", op.kind.full_name(), built.cost);
        return None;
    }
    tracing::debug!("{} is native: {:?}", op.kind.full_name(), built.cost);
    let native = Native::new(built, context.function, &op.results)?;
    context.captures = others;
    Some(Lowered::new(move |inputs, stream| native.run(inputs, stream)).in_regions().blocking())
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

/// A whole program with loops as native code; None where it is lowered op by op.
pub(super) fn program(
    program: &Program,
    function: &Function,
    place: crate::kernel::cost::Place,
    capabilities: &Capabilities,
) -> Option<Lowered> {
    let loops = function.body.ops.iter().any(|op| op.kind == OpKind::While);
    if !loops || function.body.ops.len() < 2 {
        return None;
    }
    let callees = Callees::new(program, function);
    let built = match build::program(function, &|op| callees.of(op)) {
        Ok(built) => built,
        Err(why) => {
            tracing::debug!("@{} stays with mlx: {why}", function.name);
            return None;
        }
    };
    if !place.is_native(&built.cost, is_gpu(capabilities)) {
        tracing::debug!("@{} stays with mlx: {:?}", function.name, built.cost);
        return None;
    }
    tracing::debug!("@{} is native: {:?}", function.name, built.cost);
    let native = Native::new(built, function, &function.body.results)?;
    Some(Lowered::new(move |inputs, stream| native.run(inputs, stream)).in_regions().blocking())
}
