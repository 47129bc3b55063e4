//! Computes equal pure ops once.
#![forbid(unsafe_code)]

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use super::dead_code::is_pure;
use super::visit::Renaming;
use crate::program::{Block, CompileError, Function, Op, OpKind, Program, Type};

/// Constants beyond this many bytes are not compared: they are rarely equal, and hashing them costs.
const COMPARED_BYTES: usize = 4096;

pub(super) fn run(program: &mut Program) -> Result<(), CompileError> {
    for function in &mut program.functions {
        let mut body = std::mem::take(&mut function.body);
        block(function, &mut body, &mut Renaming::default(), &mut Vec::new());
        function.body = body;
    }
    Ok(())
}

/// Ops by hash, one map for each enclosing block: an op of an inner block may be replaced by one of an outer block.
type Scopes = Vec<HashMap<u64, Vec<Op>>>;

fn block(function: &Function, block: &mut Block, renaming: &mut Renaming, scopes: &mut Scopes) {
    scopes.push(HashMap::new());
    let mut ops = Vec::with_capacity(block.ops.len());
    for mut op in std::mem::take(&mut block.ops) {
        renaming.apply(&mut op.operands);
        for region in &mut op.regions {
            self::block(function, region, renaming, scopes);
        }
        if !is_comparable(&op) {
            ops.push(op);
            continue;
        }
        let hash = hash(&op);
        let known = scopes.iter().rev().find_map(|scope| {
            scope.get(&hash)?.iter().find(|known| is_equal(function, known, &op)).map(|known| known.results.clone())
        });
        match known {
            Some(results) => {
                for (&from, &to) in op.results.iter().zip(&results) {
                    renaming.insert(from, to);
                }
            }
            None => {
                scopes.last_mut().expect("pushed above").entry(hash).or_default().push(op.clone());
                ops.push(op);
            }
        }
    }
    renaming.apply(&mut block.results);
    block.ops = ops;
    scopes.pop();
}

fn is_comparable(op: &Op) -> bool {
    let random = !op.kind.is_deterministic();
    let large = matches!(&op.kind, OpKind::Constant(literal) if literal.data.len() > COMPARED_BYTES);
    is_pure(op) && op.regions.is_empty() && !random && !large
}

fn hash(op: &Op) -> u64 {
    let mut hasher = DefaultHasher::new();
    op.kind.name().hash(&mut hasher);
    op.operands.hash(&mut hasher);
    if let OpKind::Constant(literal) = &op.kind {
        literal.data.hash(&mut hasher);
    }
    hasher.finish()
}

fn is_equal(function: &Function, a: &Op, b: &Op) -> bool {
    let types = |op: &Op| op.results.iter().map(|&result| function.ty(result)).collect::<Vec<&Type>>();
    // Compare constants by bytes: their float values would not equal themselves when NaN. OpKind holds bytes only, but
    // for the epsilon of batch norms, where a NaN merely misses a merge.
    a.kind == b.kind && a.operands == b.operands && types(a) == types(b)
}
