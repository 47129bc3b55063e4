//! Chains of ops that move or convert elements become one op, or none: reshapes, transpositions, broadcasts, slices,
//! reversals, and conversions that lose nothing on the way.
#![forbid(unsafe_code)]

use std::collections::HashMap;

use super::visit::Renaming;
use crate::program::{Block, CompileError, ElementType, Function, Op, OpKind, Program, TensorType, ValueId};

pub(super) fn run(program: &mut Program) -> Result<(), CompileError> {
    for function in &mut program.functions {
        let mut body = std::mem::take(&mut function.body);
        block(function, &mut body, &mut Renaming::default(), &mut HashMap::new());
        function.body = body;
    }
    Ok(())
}

/// What a value is made by, of which operand.
type Moves = HashMap<ValueId, (OpKind, ValueId)>;

/// `moves`: of this block and of those around it. A name is defined once in a function.
fn block(function: &Function, block: &mut Block, renaming: &mut Renaming, moves: &mut Moves) {
    let mut ops = Vec::with_capacity(block.ops.len());
    for mut op in std::mem::take(&mut block.ops) {
        renaming.apply(&mut op.operands);
        for region in &mut op.regions {
            self::block(function, region, renaming, moves);
        }
        let (&[operand], &[result]) = (&op.operands[..], &op.results[..]) else {
            ops.push(op);
            continue;
        };
        // Each step shortens a chain.
        let mut operand = operand;
        while let Some((kind, before)) = merged(function, &op.kind, operand, result, moves) {
            op.kind = kind;
            operand = before;
        }
        op.operands = vec![operand];
        if is_identity(function, &op) {
            renaming.insert(result, operand);
            continue;
        }
        if is_movement(&op.kind) {
            moves.insert(result, (op.kind.clone(), operand));
        }
        ops.push(op);
    }
    renaming.apply(&mut block.results);
    block.ops = ops;
}

fn is_movement(kind: &OpKind) -> bool {
    matches!(
        kind,
        OpKind::Reshape
            | OpKind::Transpose { .. }
            | OpKind::BroadcastInDim { .. }
            | OpKind::Slice { .. }
            | OpKind::Reverse { .. }
            | OpKind::Convert
    )
}

/// Hands on its operand.
fn is_identity(function: &Function, op: &Op) -> bool {
    let (&[operand], &[result]) = (&op.operands[..], &op.results[..]) else { return false };
    let (Some(from), Some(to)) = (function.tensor(operand), function.tensor(result)) else { return false };
    let counts = |dimensions: &[i64]| dimensions.iter().enumerate().all(|(index, &at)| at == index as i64);
    from == to
        && from.is_static()
        && match &op.kind {
            OpKind::Reshape | OpKind::Convert | OpKind::Slice { .. } => true,
            OpKind::Transpose { permutation } => counts(permutation),
            OpKind::BroadcastInDim { broadcast_dimensions } => counts(broadcast_dimensions),
            OpKind::Reverse { dimensions } => {
                dimensions.iter().all(|&at| usize::try_from(at).is_ok_and(|at| from.shape.get(at) == Some(&1)))
            }
            _ => false,
        }
}

/// One op for an op and the one that makes its operand, and the operand of that.
fn merged(
    function: &Function,
    kind: &OpKind,
    operand: ValueId,
    result: ValueId,
    moves: &Moves,
) -> Option<(OpKind, ValueId)> {
    let (first, before) = moves.get(&operand)?;
    let (before_type, middle, after) = (function.tensor(*before)?, function.tensor(operand)?, function.tensor(result)?);
    if ![before_type, middle, after].iter().all(|ty| ty.is_static()) {
        return None;
    }
    let at = |list: &[i64], index: i64| usize::try_from(index).ok().and_then(|index| list.get(index)).copied();
    let merged = match (first, kind) {
        (OpKind::Reshape, OpKind::Reshape) => OpKind::Reshape,
        (OpKind::Transpose { permutation: inner }, OpKind::Transpose { permutation: outer }) => {
            OpKind::Transpose { permutation: outer.iter().map(|&index| at(inner, index)).collect::<Option<_>>()? }
        }
        (
            OpKind::BroadcastInDim { broadcast_dimensions: inner },
            OpKind::BroadcastInDim { broadcast_dimensions: outer },
        ) => OpKind::BroadcastInDim {
            broadcast_dimensions: inner.iter().map(|&index| at(outer, index)).collect::<Option<_>>()?,
        },
        // A reshape that only adds dimensions of size 1.
        (OpKind::Reshape, OpKind::BroadcastInDim { broadcast_dimensions }) => OpKind::BroadcastInDim {
            broadcast_dimensions: kept(before_type, middle)?
                .into_iter()
                .map(|index| broadcast_dimensions.get(index).copied())
                .collect::<Option<_>>()?,
        },
        (
            OpKind::Slice { start_indices: starts, strides, .. },
            OpKind::Slice { start_indices: more_starts, limit_indices, strides: more_strides },
        ) => sliced((starts, strides), (more_starts, limit_indices, more_strides)),
        (OpKind::Reverse { dimensions: inner }, OpKind::Reverse { dimensions: outer }) => OpKind::Reverse {
            // What is reversed twice is not.
            dimensions: (0..after.rank() as i64)
                .filter(|index| inner.contains(index) != outer.contains(index))
                .collect(),
        },
        (OpKind::Convert, OpKind::Convert) if holds(middle.element, before_type.element) => OpKind::Convert,
        _ => return None,
    };
    Some((merged, *before))
}

/// For each dimension of `from` the one of `to` that it has become, where a reshape has only added dimensions of size 1.
fn kept(from: &TensorType, to: &TensorType) -> Option<Vec<usize>> {
    let mut places = Vec::with_capacity(from.rank());
    let mut next = 0;
    for &size in &from.shape {
        // Those of size 1 that lie between are new, if any is left for all that follow.
        while to.shape.get(next) != Some(&size) {
            if to.shape.get(next) != Some(&1) {
                return None;
            }
            next += 1;
        }
        places.push(next);
        next += 1;
    }
    to.shape[next..].iter().all(|&size| size == 1).then_some(places)
}

/// A slice of a slice.
fn sliced((starts, strides): (&[i64], &[i64]), (more, limits, more_strides): (&[i64], &[i64], &[i64])) -> OpKind {
    let through = |index: usize, at: i64| starts[index] + at * strides[index];
    let rank = starts.len();
    OpKind::Slice {
        start_indices: (0..rank).map(|index| through(index, more[index])).collect(),
        // One beyond the last element that is taken.
        limit_indices: (0..rank)
            .map(|index| match limits[index] > more[index] {
                true => {
                    let last =
                        more[index] + (limits[index] - 1 - more[index]) / more_strides[index] * more_strides[index];
                    through(index, last) + 1
                }
                false => through(index, more[index]),
            })
            .collect(),
        strides: (0..rank).map(|index| strides[index] * more_strides[index]).collect(),
    }
}

/// Whether each number of type `narrow` is one of type `wide`.
fn holds(wide: ElementType, narrow: ElementType) -> bool {
    use ElementType::*;
    let digits = |element: ElementType| match element {
        F16 => Some((11, 16)),
        BF16 => Some((8, 128)),
        F32 => Some((24, 128)),
        F64 => Some((53, 1024)),
        _ => None,
    };
    match (digits(wide), digits(narrow)) {
        (Some((digits, range)), Some((fewer, lesser))) => digits >= fewer && range >= lesser,
        // Small floats are decoded to f32, and integers to the floats that hold all of them.
        (Some((digits, _)), None) if narrow.is_small_float() => digits >= 24,
        (Some((digits, range)), None) if narrow.is_integer() => narrow.bits() <= digits.min(range),
        (None, None) if wide.is_integer() && narrow.is_integer() => {
            let sign = usize::from(wide.is_signed_integer() && narrow.is_unsigned_integer());
            wide.bits() >= narrow.bits() + sign && (wide.is_signed_integer() || narrow.is_unsigned_integer())
        }
        (_, None) if narrow == Bool => wide.is_integer() || digits(wide).is_some(),
        _ => false,
    }
}
