//! Bodies that choose the element that compares well: those of the gradients of max and min pooling.
//!
//! NaN compares false with all numbers. So the element after a NaN is always chosen, whatever came before: of a window
//! that XLA:CPU goes through in order, what counts is the part behind its last NaN. Parts that are combined as a tree must
//! therefore know whether there is a NaN in them: one that has one displaces all that comes before it.
#![forbid(unsafe_code)]

use super::Context;
use super::combiner::{Expressions, Node, NodeId};
use crate::mlx::{self, Array, Arrays, Stream};
use crate::program::{Block, CompareType, Direction, ElementType, OpKind};

/// Whether a body of `a…, b…` is a choice between all `a` and all `b` by the comparison of the first floats of each.
pub fn chooses(context: &Context<'_>, block: &Block) -> bool {
    let Some(mut expressions) = Expressions::of(context, block) else { return false };
    let count = expressions.results.len();
    if block.arguments.len() != 2 * count {
        return false;
    }
    let Some(&first) = expressions.results.first() else { return false };
    let condition = match expressions.get(first) {
        Node::Op(OpKind::Select, operands) => operands[0],
        _ => return false,
    };
    let results = expressions.results.clone();
    is_comparison(&mut expressions, condition, count)
        && results.into_iter().enumerate().all(|(index, result)| {
            let (a, b) = (expressions.argument(index), expressions.argument(count + index));
            result == expressions.select(condition, a, b)
        })
}

/// Whether a body compares `a` with `b`, floats.
pub fn compares(context: &Context<'_>, block: &Block) -> bool {
    let Some(mut expressions) = Expressions::of(context, block) else { return false };
    match expressions.results[..] {
        [result] => is_comparison(&mut expressions, result, 1),
        _ => false,
    }
}

fn is_comparison(expressions: &mut Expressions, node: NodeId, second: usize) -> bool {
    let (a, b) = (expressions.argument(0), expressions.argument(second));
    matches!(expressions.element(a), ElementType::F16 | ElementType::BF16 | ElementType::F32 | ElementType::F64)
        && [Direction::Ge, Direction::Le, Direction::Gt, Direction::Lt]
            .into_iter()
            .any(|direction| expressions.compare(direction, CompareType::Float, a, b) == node)
}

/// Where an array is NaN: each element by itself as a part of a window.
///
/// # Errors
/// What MLX refuses.
pub fn flags(a: &Array, stream: Stream) -> mlx::Result<Array> {
    mlx::isnan(a, stream)
}

/// Combines two parts, whose last rows say whether there is a NaN in them; `choose` takes and gives the other rows.
///
/// # Errors
/// What MLX refuses.
pub fn combine(
    a: &[Array],
    b: &[Array],
    choose: impl FnOnce(&[Array], &[Array]) -> mlx::Result<Arrays>,
    stream: Stream,
) -> mlx::Result<Arrays> {
    let flag = a.len() - 1;
    let mut results = choose(&a[..flag], &b[..flag])?;
    for (result, b_row) in results.iter_mut().zip(b) {
        *result = mlx::select(&b[flag], b_row, result, stream)?;
    }
    results.push(mlx::logical_or(&a[flag], &b[flag], stream)?);
    Ok(results)
}
