//! Checks that every program passes before the passes run: values are defined once and before use, regions and types
//! are those of the spec.
#![forbid(unsafe_code)]

mod contraction;
mod control;
mod elementwise;
mod indexing;
mod reduction;
mod shape;
mod types;

use super::{Block, Function, Op, OpKind, Program, ValueId};

/// A program that breaks a rule.
#[derive(Debug, thiserror::Error)]
#[error("invalid program: {message} in {op} of function @{function} at {location}")]
pub struct VerifyError {
    /// What is wrong.
    pub message: String,
    /// Full name of the op.
    pub op: String,
    /// Function.
    pub function: String,
    /// Source position.
    pub location: String,
}

/// Checks the whole program.
///
/// # Errors
/// The first rule that is broken.
pub fn verify(program: &Program) -> Result<(), VerifyError> {
    for function in &program.functions {
        let mut verifier = Verifier { program, function, states: vec![State::Undefined; function.values.len()] };
        verifier.block(&function.body)?;
    }
    Ok(())
}

/// Where a value stands.
#[derive(Clone, Copy, PartialEq)]
enum State {
    Undefined,
    InScope,
    /// Defined in a region that has ended.
    OutOfScope,
}

struct Verifier<'a> {
    program: &'a Program,
    function: &'a Function,
    states: Vec<State>,
}

impl Verifier<'_> {
    fn error(&self, op: Option<&Op>, message: String) -> VerifyError {
        let location = op.map_or(&self.function.location, |op| &op.location);
        VerifyError {
            message,
            op: op.map_or_else(|| "block".to_owned(), |op| op.kind.full_name()),
            function: self.function.name.clone(),
            location: location.to_string(),
        }
    }

    fn define(&mut self, value: ValueId) -> Result<(), String> {
        match self.states.get_mut(value.0 as usize) {
            Some(state) if *state == State::Undefined => {
                *state = State::InScope;
                Ok(())
            }
            Some(_) => Err(format!("value %{} is defined twice", value.0)),
            None => Err(format!("value %{} has no type", value.0)),
        }
    }

    fn is_in_scope(&self, value: ValueId) -> bool {
        self.states.get(value.0 as usize) == Some(&State::InScope)
    }

    fn block(&mut self, block: &Block) -> Result<(), VerifyError> {
        for &argument in &block.arguments {
            self.define(argument).map_err(|message| self.error(None, message))?;
        }
        for op in &block.ops {
            for operand in &op.operands {
                if !self.is_in_scope(*operand) {
                    return Err(self.error(Some(op), format!("operand %{} is not defined before", operand.0)));
                }
            }
            let regions = match op.kind {
                OpKind::Reduce { .. } | OpKind::ReduceWindow(_) | OpKind::Scatter(_) | OpKind::Sort { .. } => 1..=1,
                OpKind::Map { .. } | OpKind::AllReduce { .. } | OpKind::ReduceScatter { .. } => 1..=1,
                OpKind::ManualComputation { .. } | OpKind::AsyncStart => 1..=1,
                OpKind::SelectAndScatter(_) | OpKind::While | OpKind::If => 2..=2,
                OpKind::Case => 1..=usize::MAX,
                OpKind::Sharding { .. } | OpKind::Composite { .. } => 0..=usize::MAX,
                _ => 0..=0,
            };
            if !regions.contains(&op.regions.len()) {
                return Err(self.error(Some(op), format!("{} regions", op.regions.len())));
            }
            for region in &op.regions {
                self.block(region)?;
            }
            for &result in &op.results {
                self.define(result).map_err(|message| self.error(Some(op), message))?;
            }
            types::check(self.program, self.function, op).map_err(|message| self.error(Some(op), message))?;
        }
        for result in &block.results {
            if !self.is_in_scope(*result) {
                return Err(self.error(None, format!("returned value %{} is not defined", result.0)));
            }
        }
        for &value in block.arguments.iter().chain(block.ops.iter().flat_map(|op| &op.results)) {
            self.states[value.0 as usize] = State::OutOfScope;
        }
        Ok(())
    }
}
