//! On one device a global array and its only shard are the same: Shardy's ops vanish, manual computations open up.
#![forbid(unsafe_code)]

use super::visit::Renaming;
use crate::program::{Block, CompileError, Function, OpKind, Program};

pub(super) fn run(program: &mut Program) -> Result<(), CompileError> {
    for function in &mut program.functions {
        let mut body = std::mem::take(&mut function.body);
        block(function, &mut body, &mut Renaming::default());
        function.body = body;
    }
    Ok(())
}

fn block(function: &Function, block: &mut Block, renaming: &mut Renaming) {
    let mut ops = Vec::with_capacity(block.ops.len());
    for mut op in std::mem::take(&mut block.ops) {
        renaming.apply(&mut op.operands);
        for region in &mut op.regions {
            self::block(function, region, renaming);
        }
        let same_types = |operands: &[_], results: &[_]| {
            operands.len() == results.len()
                && operands.iter().zip(results).all(|(&a, &b)| function.ty(a) == function.ty(b))
        };
        match &op.kind {
            OpKind::ManualComputation { .. }
                if op.regions.len() == 1
                    && same_types(&op.regions[0].arguments, &op.operands)
                    && same_types(&op.regions[0].results, &op.results) =>
            {
                let mut body = op.regions.remove(0);
                let mut arguments = Renaming::default();
                for (&argument, &operand) in body.arguments.iter().zip(&op.operands) {
                    arguments.insert(argument, operand);
                }
                arguments.apply_to_block(&mut body);
                ops.append(&mut body.ops);
                for (&result, &value) in op.results.iter().zip(&body.results) {
                    renaming.insert(result, value);
                }
            }
            OpKind::ShardingConstraint { .. } | OpKind::Sharding { .. }
                if op.regions.is_empty() && same_types(&op.operands, &op.results) =>
            {
                for (&result, &operand) in op.results.iter().zip(&op.operands) {
                    renaming.insert(result, operand);
                }
            }
            _ => ops.push(op),
        }
    }
    renaming.apply(&mut block.results);
    block.ops = ops;
}
