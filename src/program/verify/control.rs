//! Rules of control flow, calls, tuples and of what surrounds a sharded computation.
#![forbid(unsafe_code)]

use super::types::{Checked, Rule, require};
use crate::program::{ElementType, OpKind, TensorType, Type};

pub(super) fn check(checked: Checked<'_>) -> Rule {
    let (operands, results) = (checked.operand_types(), checked.result_types());
    match &checked.op.kind {
        OpKind::While => {
            require!(operands == results, "operands and results differ in type");
            let condition = checked.region(0, operands.len())?;
            let body = checked.region(1, operands.len())?;
            for (block, name) in [(condition, "condition"), (body, "body")] {
                require!(
                    checked.types(&block.arguments) == operands,
                    "the {name} takes other types than the operands'"
                );
            }
            let boolean = Type::Tensor(TensorType::new(ElementType::Bool, []));
            require!(checked.types(&condition.results) == [&boolean], "the condition does not give one {boolean}");
            require!(checked.types(&body.results) == operands, "the body gives other types than the operands'");
            Ok(())
        }
        OpKind::If | OpKind::Case => {
            let element = if matches!(checked.op.kind, OpKind::If) { ElementType::Bool } else { ElementType::I32 };
            let index = checked.operand(0)?;
            require!(index.rank() == 0 && index.element == element, "a branch chosen by {index}");
            for branch in 0..checked.op.regions.len() {
                let block = checked.region(branch, 0)?;
                require!(
                    checked.types(&block.results) == results,
                    "branch {branch} gives other types than the results'"
                );
            }
            Ok(())
        }
        OpKind::Call { callee } => call(checked, callee),
        OpKind::Composite { decomposition, .. } => call(checked, decomposition),
        OpKind::Tuple => {
            let elements = operands.into_iter().cloned().collect();
            require!(*checked.result_type(0)? == Type::Tuple(elements), "the result is {}", checked.result_type(0)?);
            Ok(())
        }
        OpKind::GetTupleElement { index } => match checked.operand_type(0)? {
            Type::Tuple(elements) => {
                let element = usize::try_from(*index).ok().and_then(|index| elements.get(index));
                require!(element == Some(checked.result_type(0)?), "element {index} of {}", checked.operand_type(0)?);
                Ok(())
            }
            other => Err(format!("an element of {other}")),
        },
        OpKind::OptimizationBarrier | OpKind::ShardingConstraint { .. } => {
            require!(operands == results, "operands and results differ in type");
            Ok(())
        }
        OpKind::AllReduce { .. } => {
            require!(operands.len() == results.len(), "{} operands, {} results", operands.len(), results.len());
            for index in 0..operands.len() {
                let (operand, result) = (checked.operand(index)?, checked.result(index)?);
                require!(operand.shape == result.shape, "an operand of {operand} for a result of {result}");
            }
            checked.combiner(0, 1, None)
        }
        OpKind::AsyncStart => {
            let body = checked.region(0, operands.len())?;
            require!(checked.types(&body.arguments) == operands, "the region takes other types than the operands'");
            let future = Type::Future(checked.types(&body.results).into_iter().cloned().collect());
            require!(*checked.result_type(0)? == future, "the result is {}, not {future}", checked.result_type(0)?);
            Ok(())
        }
        OpKind::AsyncDone => {
            let future = Type::Future(results.into_iter().cloned().collect());
            require!(*checked.operand_type(0)? == future, "waits for {}, not {future}", checked.operand_type(0)?);
            Ok(())
        }
        OpKind::ManualComputation { in_shardings, out_shardings, .. } => {
            require!(in_shardings.len() == operands.len(), "{} in_shardings", in_shardings.len());
            require!(out_shardings.len() == results.len(), "{} out_shardings", out_shardings.len());
            let body = checked.region(0, operands.len())?;
            require!(body.results.len() == results.len(), "the body gives {} values", body.results.len());
            Ok(())
        }
        _ => Ok(()),
    }
}

/// Operands and results are those of the function.
fn call(checked: Checked<'_>, callee: &str) -> Rule {
    let target = checked.program.function(callee).ok_or_else(|| format!("no function @{callee}"))?;
    let types = |values: &[crate::program::ValueId]| values.iter().map(|&value| target.ty(value)).collect::<Vec<_>>();
    require!(types(&target.body.arguments) == checked.operand_types(), "arguments do not fit those of @{callee}");
    require!(types(&target.body.results) == checked.result_types(), "results do not fit those of @{callee}");
    Ok(())
}
