//! The swaps of an LU decomposition as a permutation of rows.
#![forbid(unsafe_code)]

use super::matrices::{each, read_vector, write_vector};
use super::results_on_host;
use crate::lower::{Context, LowerError, Lowered};
use crate::program::{ElementType, Op};

/// `cu_lu_pivots_to_permutation`: pivots `[.., k]`, from 0, to a permutation `[.., m]`.
pub(in crate::lower) fn permutation(context: &Context<'_>, op: &Op) -> Result<Lowered, LowerError> {
    let (pivots, result) = (context.operand(op, 0)?, context.result(op, 0)?);
    if [pivots.element, result.element] != [ElementType::I32; 2] {
        return Err(context.unsupported(op, "pivots of i32 expected"));
    }
    let ([batch @ .., count], [result_batch @ .., rows]) = (&pivots.shape[..], &result.shape[..]) else {
        return Err(context.invalid(op, "vectors expected"));
    };
    if batch != result_batch || count > rows {
        return Err(context.invalid(op, "as many vectors of pivots as permutations expected, and no longer ones"));
    }
    let (batch, rows) = (batch.iter().product::<i64>() as usize, *rows as i32);
    let function = each(batch, move |inputs, outputs| {
        let mut order: Vec<i32> = (0..rows).collect();
        for (row, pivot) in read_vector::<i32>(inputs[0]).into_iter().enumerate() {
            // No row to swap with: the row stays.
            if let Some(pivot) = usize::try_from(pivot).ok().filter(|&pivot| pivot < order.len()) {
                order.swap(row, pivot);
            }
        }
        write_vector(&order, outputs[0]);
        Ok(())
    });
    results_on_host(context, op, function)
}
