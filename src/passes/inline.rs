//! Puts the bodies of called functions, the decompositions of composites, and the collectives of asynchronous starts,
//! in the place of the calls.
#![forbid(unsafe_code)]

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::visit::Renaming;
use crate::program::{Block, CompileError, Function, Location, Op, OpKind, Program, describe};

/// Only the entry function is left.
pub(super) fn run(program: &mut Program) -> Result<(), CompileError> {
    let Some(name) = program.main().map(|main| main.name.clone()) else {
        return Err(CompileError::Invalid("the program has no function @main".to_owned()));
    };
    let mut inliner = Inliner { program, done: HashMap::new(), active: HashSet::new() };
    inliner.flatten(&name)?;
    let main = inliner.done.remove(&name).expect("flattened above");
    program.functions = vec![main];
    Ok(())
}

struct Inliner<'a> {
    program: &'a Program,
    /// Functions without calls.
    done: HashMap<String, Function>,
    active: HashSet<String>,
}

impl Inliner<'_> {
    fn flatten(&mut self, name: &str) -> Result<(), CompileError> {
        if self.done.contains_key(name) {
            return Ok(());
        }
        if !self.active.insert(name.to_owned()) {
            return Err(CompileError::Invalid(format!("function @{name} calls itself")));
        }
        let source = self
            .program
            .function(name)
            .ok_or_else(|| CompileError::Invalid(format!("there is no function @{name}")))?;
        let mut function = source.clone();
        let mut body = std::mem::take(&mut function.body);
        self.block(&mut function, &mut body, &mut Renaming::default())?;
        function.body = body;
        self.active.remove(name);
        self.done.insert(name.to_owned(), function);
        Ok(())
    }

    fn block(
        &mut self,
        function: &mut Function,
        block: &mut Block,
        renaming: &mut Renaming,
    ) -> Result<(), CompileError> {
        let mut ops = Vec::with_capacity(block.ops.len());
        for mut op in std::mem::take(&mut block.ops) {
            renaming.apply(&mut op.operands);
            let callee = match &op.kind {
                OpKind::Call { callee } => Some(callee.clone()),
                OpKind::Composite { name, .. } if !op.regions.is_empty() => {
                    let call = describe(function, &op);
                    return Err(CompileError::Unimplemented(format!("{call}: composite {name} with regions")));
                }
                OpKind::Composite { decomposition, .. } => Some(decomposition.clone()),
                _ => None,
            };
            if let Some(callee) = callee {
                self.splice(function, &op, &callee, &mut ops, renaming)?;
                continue;
            }
            for region in &mut op.regions {
                self.block(function, region, renaming)?;
            }
            match op.kind {
                OpKind::AsyncStart => start(function, op, &mut ops, renaming)?,
                OpKind::AsyncDone => done(function, &op, renaming)?,
                _ => ops.push(op),
            }
        }
        renaming.apply(&mut block.results);
        block.ops = ops;
        Ok(())
    }

    fn splice(
        &mut self,
        function: &mut Function,
        call: &Op,
        callee: &str,
        ops: &mut Vec<Op>,
        renaming: &mut Renaming,
    ) -> Result<(), CompileError> {
        self.flatten(callee)?;
        let target = &self.done[callee];
        let fits = target.body.arguments.len() == call.operands.len()
            && target.body.results.len() == call.results.len()
            && target.body.arguments.iter().zip(&call.operands).all(|(&a, &b)| target.ty(a) == function.ty(b))
            && target.body.results.iter().zip(&call.results).all(|(&a, &b)| target.ty(a) == function.ty(b));
        if !fits {
            let call = describe(function, call);
            return Err(CompileError::Invalid(format!("{call} does not fit the function @{callee}")));
        }
        let mut body = target.body.clone();
        let mut fresh = Renaming::default();
        for (index, ty) in target.values.iter().enumerate() {
            let index = u32::try_from(index).expect("values are counted in u32");
            fresh.insert(crate::program::ValueId(index), function.add_value(ty.clone()));
        }
        fresh.apply_to_block(&mut body);
        let mut arguments = Renaming::default();
        for (&argument, &operand) in body.arguments.iter().zip(&call.operands) {
            arguments.insert(argument, operand);
        }
        arguments.apply_to_block(&mut body);
        locate(&mut body, &call.location);
        ops.append(&mut body.ops);
        for (&result, &value) in call.results.iter().zip(&body.results) {
            renaming.insert(result, value);
        }
        Ok(())
    }
}

/// MLX evaluates lazily and asynchronously as it is: what is started is simply part of the graph. The future takes the
/// name of the value that it will hold.
fn start(function: &Function, op: Op, ops: &mut Vec<Op>, renaming: &mut Renaming) -> Result<(), CompileError> {
    let description = describe(function, &op);
    let (Ok([mut body]), [future]) = (<[Block; 1]>::try_from(op.regions), &op.results[..]) else {
        return Err(CompileError::Invalid(format!("{description}: expected one region and one result")));
    };
    let [value] = body.results[..] else {
        let count = body.results.len();
        return Err(CompileError::Unimplemented(format!("{description}: a future of {count} values")));
    };
    let mut arguments = Renaming::default();
    for (&argument, &operand) in body.arguments.iter().zip(&op.operands) {
        arguments.insert(argument, operand);
    }
    arguments.apply_to_block(&mut body);
    ops.append(&mut body.ops);
    renaming.insert(*future, arguments.get(value));
    Ok(())
}

fn done(function: &Function, op: &Op, renaming: &mut Renaming) -> Result<(), CompileError> {
    let (&[operand], &[result]) = (&op.operands[..], &op.results[..]) else {
        let description = describe(function, op);
        return Err(CompileError::Invalid(format!("{description}: expected one operand and one result")));
    };
    if function.ty(operand) != function.ty(result) {
        // The start is outside of what was read: a future that a region or the program itself takes or gives.
        let description = describe(function, op);
        return Err(CompileError::Unimplemented(format!("{description}: a future from elsewhere")));
    }
    renaming.insert(result, operand);
    Ok(())
}

/// Ops of functions that JAX itself jits have no line of the user's: the call's is the one that messages should name.
fn locate(block: &mut Block, call: &Location) {
    for op in &mut block.ops {
        if op.location.position().is_none() {
            let callee = std::mem::take(&mut op.location);
            op.location = Location::CallSite(Arc::new(callee), Arc::new(call.clone()));
        }
        for region in &mut op.regions {
            locate(region, call);
        }
    }
}
