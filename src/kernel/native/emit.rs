//! Kernels as functions: control flow, loop nests, where buffers lie.
#![forbid(unsafe_code)]

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{AbiParam, Block, InstBuilder, MemFlagsData, Signature, Type, Value, types};
use cranelift_codegen::isa::{CallConv, TargetFrontendConfig};
use cranelift_frontend::{FunctionBuilder, Variable};
use cranelift_module::Module;

use super::callee::Callees;
use super::steps::{Emitter, register};
use crate::kernel::ir::{BufferId, Kernel, Place, Statement};

/// Bytes that are copied by loads and stores.
const SMALL_COPY: usize = 64;

/// (inputs, outputs, arena, stop, steps that are left) → whether it was stopped.
pub(super) fn signature(module: &impl Module) -> Signature {
    let mut signature = module.make_signature();
    let pointer = module.target_config().pointer_type();
    signature.params.extend([AbiParam::new(pointer); 5]);
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
) -> Result<Callees, String> {
    let entry = builder.create_block();
    builder.append_block_params_for_function_params(entry);
    builder.switch_to_block(entry);
    let &[inputs, outputs, arena, stop, left] = builder.block_params(entry) else {
        return Err("a function of five parameters expected".to_owned());
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
    let kept = super::registers::kept(kernel, &mut builder);
    let callees = Vec::new();
    let mut function = Function { kernel, builder, bases, kept, stop, left, stopped, pointer, target, callees };
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
    pub kernel: &'a Kernel,
    pub builder: FunctionBuilder<'b>,
    /// Where each buffer begins.
    pub bases: Vec<Value>,
    /// Those that are kept in registers instead.
    pub kept: Vec<Option<Vec<Variable>>>,
    /// The flag that ends loops.
    stop: Value,
    /// The number of steps that loops may still take.
    left: Value,
    /// Where they go then.
    stopped: Block,
    pub(super) pointer: Type,
    target: TargetFrontendConfig,
    /// What is called; the code holds their addresses.
    pub callees: Callees,
}

impl<'b> Function<'_, 'b> {
    pub(super) fn convention(&self) -> CallConv {
        self.target.default_call_conv
    }

    pub fn emitter(&mut self) -> Emitter<'_, 'b> {
        Emitter { builder: &mut self.builder, convention: self.target.default_call_conv, pointer: self.pointer }
    }

    fn statements(&mut self, statements: &[Statement]) -> Result<(), String> {
        for statement in statements {
            match statement {
                Statement::Nest(nest) => self.nest(nest)?,
                Statement::Sort(sort) => self.sort(sort)?,
                Statement::Call(call) => self.call(call),
                Statement::Copy { from, to } => self.copy(*from, *to),
                Statement::While { condition, predicate, body, steps, .. } => {
                    self.lower_while((condition, *predicate), body, *steps)?;
                }
                Statement::Case { index, arms } => self.case(*index, arms)?,
            }
        }
        Ok(())
    }

    fn copy(&mut self, from: BufferId, to: BufferId) {
        let buffer = &self.kernel.buffers[from as usize];
        let bytes = buffer.elements * buffer.scalar.bytes();
        let (source, target) = (self.bases[from as usize], self.bases[to as usize]);
        if self.kept[from as usize].is_some() || self.kept[to as usize].is_some() {
            for element in 0..buffer.elements {
                let value = self.element(from, element);
                self.set_element(to, element, value);
            }
            return;
        }
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

    /// A number of a buffer that is not complex.
    pub fn element(&mut self, buffer: BufferId, number: usize) -> Value {
        if let Some(variables) = &self.kept[buffer as usize] {
            return self.builder.use_var(variables[number]);
        }
        let scalar = self.kernel.buffers[buffer as usize].scalar;
        let offset = (number * scalar.bytes()) as i32;
        self.builder.ins().load(register(scalar), MemFlagsData::trusted(), self.bases[buffer as usize], offset)
    }

    pub fn set_element(&mut self, buffer: BufferId, number: usize, value: Value) {
        if let Some(variables) = &self.kept[buffer as usize] {
            self.builder.def_var(variables[number], value);
            return;
        }
        let offset = (number * self.kernel.buffers[buffer as usize].scalar.bytes()) as i32;
        self.builder.ins().store(MemFlagsData::trusted(), value, self.bases[buffer as usize], offset);
    }

    fn lower_while(
        &mut self,
        (condition, predicate): (&[Statement], BufferId),
        body: &[Statement],
        steps: u32,
    ) -> Result<(), String> {
        let [header, go_on, turn, after] = [(); 4].map(|()| self.builder.create_block());
        self.builder.ins().jump(header, &[]);
        self.builder.switch_to_block(header);
        let told = self.builder.ins().load(types::I8, MemFlagsData::new(), self.stop, 0);
        let left = self.builder.ins().load(types::I64, MemFlagsData::trusted(), self.left, 0);
        let left = self.builder.ins().iadd_imm_s(left, -i64::from(steps.max(1)));
        self.builder.ins().store(MemFlagsData::trusted(), left, self.left, 0);
        let used_up = self.builder.ins().icmp_imm_s(IntCC::SignedLessThan, left, 0);
        let ends = self.builder.ins().bor(told, used_up);
        self.builder.ins().brif(ends, self.stopped, &[], go_on, &[]);
        self.builder.switch_to_block(go_on);
        self.statements(condition)?;
        let holds = self.element(predicate, 0);
        self.builder.ins().brif(holds, turn, &[], after, &[]);
        self.builder.switch_to_block(turn);
        self.statements(body)?;
        self.builder.ins().jump(header, &[]);
        self.builder.switch_to_block(after);
        Ok(())
    }

    fn case(&mut self, index: BufferId, arms: &[Vec<Statement>]) -> Result<(), String> {
        let choice = self.element(index, 0);
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
}
