//! Structural checks that every program passes before the passes run: values are defined before use and once, regions
//! and arities are those of the spec.
#![forbid(unsafe_code)]

use super::{Block, Function, Op, OpKind, Program, Type};

/// A program that breaks a structural rule.
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
        let mut defined = vec![false; function.values.len()];
        block(program, function, &function.body, &mut defined)?;
    }
    Ok(())
}

fn fail(function: &Function, op: &Op, message: impl Into<String>) -> VerifyError {
    VerifyError {
        message: message.into(),
        op: op.kind.full_name(),
        function: function.name.clone(),
        location: op.location.to_string(),
    }
}

fn block(program: &Program, function: &Function, block: &Block, defined: &mut [bool]) -> Result<(), VerifyError> {
    let outside = |message: String| VerifyError {
        message,
        op: "block".into(),
        function: function.name.clone(),
        location: function.location.to_string(),
    };
    let define = |defined: &mut [bool], value: super::ValueId| match defined.get_mut(value.0 as usize) {
        Some(slot) if !*slot => {
            *slot = true;
            Ok(())
        }
        Some(_) => Err(format!("value %{} is defined twice", value.0)),
        None => Err(format!("value %{} has no type", value.0)),
    };
    for &argument in &block.arguments {
        define(defined, argument).map_err(&outside)?;
    }
    for op in &block.ops {
        for operand in &op.operands {
            if !defined.get(operand.0 as usize).copied().unwrap_or(false) {
                return Err(fail(function, op, format!("operand %{} is not defined before", operand.0)));
            }
        }
        let regions = match op.kind {
            OpKind::Reduce { .. } | OpKind::ReduceWindow(_) | OpKind::Scatter(_) | OpKind::Sort { .. } => 1..=1,
            OpKind::Map { .. } | OpKind::AllReduce { .. } | OpKind::ReduceScatter { .. } => 1..=1,
            OpKind::ManualComputation { .. } => 1..=1,
            OpKind::SelectAndScatter(_) | OpKind::While | OpKind::If => 2..=2,
            OpKind::Case => 1..=usize::MAX,
            OpKind::Sharding { .. } => 0..=usize::MAX,
            _ => 0..=0,
        };
        if !regions.contains(&op.regions.len()) {
            return Err(fail(function, op, format!("{} regions", op.regions.len())));
        }
        if let OpKind::Call { callee } = &op.kind {
            let target =
                program.function(callee).ok_or_else(|| fail(function, op, format!("no function @{callee}")))?;
            let parameters: Vec<&Type> = target.body.arguments.iter().map(|&value| target.ty(value)).collect();
            let arguments: Vec<&Type> = op.operands.iter().map(|&value| function.ty(value)).collect();
            if parameters != arguments {
                return Err(fail(function, op, format!("arguments do not fit those of @{callee}")));
            }
        }
        for region in &op.regions {
            self::block(program, function, region, defined)?;
        }
        for &result in &op.results {
            define(defined, result).map_err(|message| fail(function, op, message))?;
        }
    }
    for result in &block.results {
        if !defined.get(result.0 as usize).copied().unwrap_or(false) {
            return Err(outside(format!("returned value %{} is not defined", result.0)));
        }
    }
    Ok(())
}
