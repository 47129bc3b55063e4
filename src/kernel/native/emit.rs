//! Kernels as functions: control flow, loop nests, where buffers lie.
#![forbid(unsafe_code)]

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{AbiParam, Block, BlockArg, InstBuilder, MemFlagsData, Signature, Type, Value, types};
use cranelift_codegen::isa::{CallConv, TargetFrontendConfig};
use cranelift_frontend::FunctionBuilder;
use cranelift_module::Module;

use super::call::Callee;
use super::steps::{Emitter, Number, register};
use crate::expression::Scalar;
use crate::kernel::ir::{BufferId, Kernel, Nest, Node, Place, Statement};

/// Bytes that are copied by loads and stores.
const SMALL_COPY: usize = 64;

/// (inputs, outputs, arena, stop) → whether it was stopped.
pub(super) fn signature(module: &impl Module) -> Signature {
    let mut signature = module.make_signature();
    let pointer = module.target_config().pointer_type();
    signature.params.extend([AbiParam::new(pointer); 4]);
    signature.returns.push(AbiParam::new(types::I32));
    signature
}

/// Emits a kernel.
///
/// # Errors
/// What has no instructions.
pub(super) fn kernel(
    kernel: &Kernel,
    mut builder: FunctionBuilder<'_>,
    target: TargetFrontendConfig,
) -> Result<Vec<Box<Callee>>, String> {
    let entry = builder.create_block();
    builder.append_block_params_for_function_params(entry);
    builder.switch_to_block(entry);
    let &[inputs, outputs, arena, stop] = builder.block_params(entry) else {
        return Err("a function of four parameters expected".to_owned());
    };
    let pointer = target.pointer_type();
    let stopped = builder.create_block();
    let mut bases = Vec::with_capacity(kernel.buffers.len());
    for buffer in &kernel.buffers {
        let flags = MemFlagsData::trusted().with_readonly();
        let offset = |index: u32| (index * pointer.bytes()) as i32;
        bases.push(match &buffer.place {
            Place::Input(index) => builder.ins().load(pointer, flags, inputs, offset(*index)),
            Place::Output(index) => builder.ins().load(pointer, flags, outputs, offset(*index)),
            Place::Arena(start) => builder.ins().iadd_imm_s(arena, *start as i64),
            Place::Constant(bytes) => builder.ins().iconst(pointer, bytes.as_ptr() as i64),
        });
    }
    let callees = Vec::new();
    let mut function = Function { kernel, builder, bases, stop, stopped, pointer, target, callees };
    function.statements(&kernel.body)?;
    let zero = function.builder.ins().iconst(types::I32, 0);
    function.builder.ins().return_(&[zero]);
    function.builder.switch_to_block(stopped);
    function.builder.set_cold_block(stopped);
    let one = function.builder.ins().iconst(types::I32, 1);
    function.builder.ins().return_(&[one]);
    let Function { mut builder, callees, .. } = function;
    builder.seal_all_blocks();
    builder.finalize(target);
    Ok(callees)
}

pub(super) struct Function<'a, 'b> {
    pub(super) kernel: &'a Kernel,
    pub(super) builder: FunctionBuilder<'b>,
    /// Where each buffer begins.
    pub(super) bases: Vec<Value>,
    /// The flag that ends loops.
    stop: Value,
    /// Where they go then.
    stopped: Block,
    pub(super) pointer: Type,
    target: TargetFrontendConfig,
    /// What is called; the code holds their addresses.
    pub(super) callees: Vec<Box<Callee>>,
}

/// What a nest has computed so far.
struct Values {
    indices: Vec<Option<Value>>,
    accumulators: Vec<Option<Number>>,
    steps: Vec<Option<Number>>,
}

impl<'b> Function<'_, 'b> {
    pub(super) fn convention(&self) -> CallConv {
        self.target.default_call_conv
    }

    pub(super) fn emitter(&mut self) -> Emitter<'_, 'b> {
        Emitter { builder: &mut self.builder, convention: self.target.default_call_conv, pointer: self.pointer }
    }

    fn statements(&mut self, statements: &[Statement]) -> Result<(), String> {
        for statement in statements {
            match statement {
                Statement::Nest(nest) => self.nest(nest)?,
                Statement::Sort(sort) => self.sort(sort)?,
                Statement::Call(call) => self.call(call),
                Statement::Copy { from, to } => self.copy(*from, *to),
                Statement::While { condition, predicate, body } => self.lower_while(condition, *predicate, body)?,
                Statement::Case { index, arms } => self.case(*index, arms)?,
            }
        }
        Ok(())
    }

    fn copy(&mut self, from: BufferId, to: BufferId) {
        let buffer = &self.kernel.buffers[from as usize];
        let bytes = buffer.elements * buffer.scalar.bytes();
        let (source, target) = (self.bases[from as usize], self.bases[to as usize]);
        if bytes > SMALL_COPY {
            let count = self.builder.ins().iconst(self.pointer, bytes as i64);
            self.builder.call_memcpy(self.target, target, source, count);
            return;
        }
        let mut done = 0;
        for (ty, size) in [(types::I64, 8), (types::I32, 4), (types::I16, 2), (types::I8, 1)] {
            while bytes - done >= size {
                let value = self.builder.ins().load(ty, MemFlagsData::trusted(), source, done as i32);
                self.builder.ins().store(MemFlagsData::trusted(), value, target, done as i32);
                done += size;
            }
        }
    }

    fn lower_while(&mut self, condition: &[Statement], predicate: BufferId, body: &[Statement]) -> Result<(), String> {
        let [header, go_on, turn, after] = [(); 4].map(|()| self.builder.create_block());
        self.builder.ins().jump(header, &[]);
        self.builder.switch_to_block(header);
        let told = self.builder.ins().load(types::I8, MemFlagsData::new(), self.stop, 0);
        self.builder.ins().brif(told, self.stopped, &[], go_on, &[]);
        self.builder.switch_to_block(go_on);
        self.statements(condition)?;
        let holds = self.builder.ins().load(types::I8, MemFlagsData::trusted(), self.bases[predicate as usize], 0);
        self.builder.ins().brif(holds, turn, &[], after, &[]);
        self.builder.switch_to_block(turn);
        self.statements(body)?;
        self.builder.ins().jump(header, &[]);
        self.builder.switch_to_block(after);
        Ok(())
    }

    fn case(&mut self, index: BufferId, arms: &[Vec<Statement>]) -> Result<(), String> {
        let ty = register(self.kernel.buffers[index as usize].scalar);
        let choice = self.builder.ins().load(ty, MemFlagsData::trusted(), self.bases[index as usize], 0);
        let after = self.builder.create_block();
        for (number, arm) in arms.iter().enumerate() {
            if number + 1 < arms.len() {
                let (here, next) = (self.builder.create_block(), self.builder.create_block());
                let is_it = self.builder.ins().icmp_imm_s(IntCC::Equal, choice, number as i64);
                self.builder.ins().brif(is_it, here, &[], next, &[]);
                self.builder.switch_to_block(here);
                self.statements(arm)?;
                self.builder.ins().jump(after, &[]);
                self.builder.switch_to_block(next);
            } else {
                self.statements(arm)?;
                self.builder.ins().jump(after, &[]);
            }
        }
        self.builder.switch_to_block(after);
        Ok(())
    }

    /// The address of an element.
    fn address(&mut self, buffer: BufferId, at: Value) -> Value {
        let size = self.kernel.buffers[buffer as usize].scalar.bytes();
        let offset = self.builder.ins().ishl_imm_u(at, size.trailing_zeros() as i64);
        self.builder.ins().iadd(self.bases[buffer as usize], offset)
    }

    fn nest(&mut self, nest: &Nest) -> Result<(), String> {
        let outer = nest.outer as usize;
        if nest.dimensions[..outer].contains(&0) {
            return Ok(());
        }
        let mut values = Values {
            indices: vec![None; nest.dimensions.len()],
            accumulators: vec![None; nest.accumulators.len()],
            steps: vec![None; nest.steps.len()],
        };
        // Each loop: a block that has the index, and one after it.
        let mut loops = Vec::with_capacity(outer);
        for dimension in 0..outer {
            loops.push(self.begin(nest.dimensions[dimension], &[]));
            values.indices[dimension] = Some(loops[dimension].index);
        }
        self.steps(nest, 0, &mut values)?;
        for store in &nest.stores {
            let at = need(&values, store.at)?.one();
            let address = self.address(store.buffer, at);
            let value = need(&values, store.value)?;
            self.emitter().store(value, address);
        }
        while let Some(each) = loops.pop() {
            self.end(each, &[]);
        }
        Ok(())
    }

    /// Begins a loop of so many turns, at least one, which carries values.
    fn begin(&mut self, turns: usize, carried: &[Value]) -> Loop {
        if turns == 1 {
            let index = self.builder.ins().iconst(types::I64, 0);
            return Loop { turns, index, body: None, carried: carried.to_vec() };
        }
        let body = self.builder.create_block();
        let index = self.builder.append_block_param(body, types::I64);
        let mut arguments = vec![BlockArg::Value(self.builder.ins().iconst(types::I64, 0))];
        let mut inside = Vec::with_capacity(carried.len());
        for &value in carried {
            let ty = self.builder.func.dfg.value_type(value);
            inside.push(self.builder.append_block_param(body, ty));
            arguments.push(BlockArg::Value(value));
        }
        self.builder.ins().jump(body, &arguments);
        self.builder.switch_to_block(body);
        Loop { turns, index, body: Some(body), carried: inside }
    }

    /// Ends a loop; what it carries after the last turn.
    fn end(&mut self, Loop { turns, index, body, .. }: Loop, carried: &[Value]) -> Vec<Value> {
        let Some(body) = body else { return carried.to_vec() };
        let after = self.builder.create_block();
        let next = self.builder.ins().iadd_imm_s(index, 1);
        let more = self.builder.ins().icmp_imm_s(IntCC::UnsignedLessThan, next, turns as i64);
        let mut again = vec![BlockArg::Value(next)];
        let mut outside = Vec::with_capacity(carried.len());
        let mut leave = Vec::with_capacity(carried.len());
        for &value in carried {
            let ty = self.builder.func.dfg.value_type(value);
            outside.push(self.builder.append_block_param(after, ty));
            again.push(BlockArg::Value(value));
            leave.push(BlockArg::Value(value));
        }
        self.builder.ins().brif(more, body, &again, after, &leave);
        self.builder.switch_to_block(after);
        outside
    }

    /// Emits the steps of a scope.
    fn steps(&mut self, nest: &Nest, scope: u32, values: &mut Values) -> Result<(), String> {
        for (id, step) in nest.steps.iter().enumerate().filter(|(_, step)| step.scope == scope) {
            let of = |id: u32| nest.steps[id as usize].scalar;
            let number = match step.node {
                Node::Index(dimension) => {
                    Number::One(values.indices[dimension as usize].ok_or("an index out of its loop")?)
                }
                Node::Accumulator(number) => {
                    values.accumulators[number as usize].ok_or("an accumulator out of its fold")?
                }
                Node::Constant(value) => self.emitter().constant(value, step.scalar),
                Node::Load(buffer, at) => {
                    let at = need(values, at)?.one();
                    let address = self.address(buffer, at);
                    self.emitter().load(step.scalar, address)
                }
                Node::Unary(function, a) => {
                    let number = need(values, a)?;
                    self.emitter().unary(function, of(a), step.scalar, number)?
                }
                Node::Binary(function, a, b) => {
                    let numbers = (need(values, a)?, need(values, b)?);
                    self.emitter().binary(function, of(a), numbers.0, numbers.1)?
                }
                Node::Compare(direction, a, b) => {
                    let numbers = (need(values, a)?.one(), need(values, b)?.one());
                    Number::One(self.emitter().compare(direction, of(a), numbers.0, numbers.1))
                }
                Node::Select(condition, yes, no) => {
                    let numbers = (need(values, condition)?.one(), need(values, yes)?, need(values, no)?);
                    self.emitter().select(numbers.0, numbers.1, numbers.2)
                }
                Node::Folded(fold, index) => {
                    let accumulator = nest.folds[fold as usize].accumulators.start as usize + index as usize;
                    if values.accumulators[accumulator].is_none() {
                        self.fold(nest, fold, values)?;
                    }
                    values.accumulators[accumulator].ok_or("a fold without results")?
                }
            };
            values.steps[id] = Some(number);
        }
        Ok(())
    }

    /// Emits a fold; afterwards its accumulators are its results.
    fn fold(&mut self, nest: &Nest, number: u32, values: &mut Values) -> Result<(), String> {
        let fold = &nest.folds[number as usize];
        let range = fold.accumulators.start as usize..fold.accumulators.end as usize;
        let inits = fold.inits.iter().map(|&init| need(values, init)).collect::<Result<Vec<Number>, String>>()?;
        let dimensions = fold.dimensions.start as usize..fold.dimensions.end as usize;
        if nest.dimensions[dimensions.clone()].contains(&0) {
            for (place, init) in range.zip(inits) {
                values.accumulators[place] = Some(init);
            }
            return Ok(());
        }
        let mut carried = flat(&inits);
        let mut loops = Vec::new();
        for dimension in dimensions {
            let each = self.begin(nest.dimensions[dimension], &carried);
            carried.clone_from(&each.carried);
            values.indices[dimension] = Some(each.index);
            loops.push(each);
        }
        for (place, number) in range.clone().zip(shaped(&carried, &nest.accumulators[range.clone()])) {
            values.accumulators[place] = Some(number);
        }
        self.steps(nest, number + 1, values)?;
        let next = fold.next.iter().map(|&next| need(values, next)).collect::<Result<Vec<Number>, String>>()?;
        let mut carried = flat(&next);
        while let Some(each) = loops.pop() {
            carried = self.end(each, &carried);
        }
        for (place, number) in range.clone().zip(shaped(&carried, &nest.accumulators[range])) {
            values.accumulators[place] = Some(number);
        }
        Ok(())
    }
}

struct Loop {
    turns: usize,
    index: Value,
    /// None: there is one turn only.
    body: Option<Block>,
    carried: Vec<Value>,
}

fn need(values: &Values, id: u32) -> Result<Number, String> {
    values.steps[id as usize].ok_or_else(|| format!("step {id} is not there yet"))
}

/// The registers of numbers.
fn flat(numbers: &[Number]) -> Vec<Value> {
    numbers
        .iter()
        .flat_map(|&number| match number {
            Number::One(value) => vec![value],
            Number::Pair(real, imaginary) => vec![real, imaginary],
        })
        .collect()
}

/// The numbers in registers.
fn shaped(values: &[Value], scalars: &[Scalar]) -> Vec<Number> {
    let mut values = values.iter().copied();
    let mut next = || values.next().expect("as many registers as numbers have");
    scalars
        .iter()
        .map(|scalar| {
            let real = next();
            if scalar.is_complex() { Number::Pair(real, next()) } else { Number::One(real) }
        })
        .collect()
}
