//! reduce.
#![forbid(unsafe_code)]

pub mod host;
pub mod native;
mod tree;

use super::combiner::{self, ArgExtremum, Combiner};
use super::{Context, LowerError, Lowered, Region, Row, chooser, matchers, shape_i32, storage};
use crate::mlx::{self, Array, Arrays, Dtype, Stream};
use crate::program::{Block, ElementType, Op, OpKind, ValueId};
use smallvec::SmallVec;

pub use tree::{Combine, tree};

/// Rows of the op table.
pub static ROWS: &[Row] =
    &[Row { name: "reduce", note: "any body; sums of f16 and bf16 are kept in f32", lower: reduce }];

/// Bodies that are not known to be associative are folded from left to right, as XLA:CPU does, up to this many elements;
/// above, as a tree, which the specification allows. Bodies that choose give what the fold gives in either case.
const LONGEST_FOLD: usize = 16;

fn reduce(context: &mut Context<'_>, op: &Op) -> Result<Lowered, LowerError> {
    let OpKind::Reduce { dimensions } = &op.kind else { return Err(context.invalid(op, "not a reduce")) };
    let count = op.results.len();
    if count == 0 || op.operands.len() != 2 * count || op.regions.len() != 1 {
        return Err(context.invalid(op, "operands, init values and results differ in number"));
    }
    let input = context.operand(op, 0)?;
    let rank = input.rank();
    for index in 0..count {
        if context.operand(op, index)?.shape != input.shape {
            return Err(context.invalid(op, "operands differ in shape"));
        }
    }
    let mut axes = dimensions
        .iter()
        .map(|&axis| i32::try_from(axis).ok().filter(|&axis| axis >= 0 && (axis as usize) < rank))
        .collect::<Option<Vec<i32>>>()
        .ok_or_else(|| context.invalid(op, "dimensions out of range"))?;
    axes.sort_unstable();
    let input_elements = input.elements();
    let extent: usize = axes.iter().map(|&axis| input.shape[axis as usize] as usize).product();
    let result = context.result(op, 0)?;
    let shape = shape_i32(&result.shape)?;

    if result.elements() == 0 || input_elements == 0 {
        // Nothing to combine: init values everywhere.
        return Ok(Lowered::new(move |inputs, stream| {
            inputs[count..2 * count].iter().map(|init| mlx::broadcast_to(init, &shape, stream)).collect()
        }));
    }
    let block = &op.regions[0];
    if extent > 1 {
        if let Some(lowered) = simple(context, op, &axes, &shape)? {
            return Ok(lowered);
        }
        if let Some(lowered) = arg_extremum(context, op, &axes, &shape)? {
            return Ok(lowered);
        }
    }

    if extent == 1 && all_inits_are_identities(context, op)? {
        // As XLA has it: nothing is combined with anything.
        return Ok(Lowered::new(move |inputs, stream| {
            inputs[..count].iter().map(|input| mlx::reshape(input, &shape, stream)).collect()
        }));
    }

    let region = context.scalar_region(op, block)?;
    let body = region.clone();
    let chooses = extent > LONGEST_FOLD && chooser::chooses(context, block);
    Ok(Lowered::new(move |inputs, stream| {
        let plain = |left: &[Array], right: &[Array]| call(&body, left, right, inputs, stream);
        let choose = |left: &[Array], right: &[Array]| chooser::combine(left, right, plain, stream);
        let mut operands = inputs[..count]
            .iter()
            .map(|operand| Ok(super::axes::rows(operand, &axes, stream)?.0))
            .collect::<mlx::Result<Arrays>>()?;
        let no = Array::scalar(false)?;
        let mut inits: SmallVec<[&Array; 4]> = SmallVec::from_slice(&inputs[count..2 * count]);
        if chooses {
            operands.push(chooser::flags(&operands[0], stream)?);
            inits.push(&no);
        }
        let combine: &Combine<'_> = if chooses { &choose } else { &plain };
        let results = fold(&inits, operands, combine, stream)?;
        results[..count].iter().map(|result| mlx::reshape(result, &shape, stream)).collect()
    })
    .with_region(&region))
}

/// Calls a body on two sets of arrays of one shape; results have that shape.
///
/// # Errors
/// What MLX refuses.
pub fn call(
    region: &Region,
    left: &[Array],
    right: &[Array],
    kernel_inputs: &[&Array],
    stream: Stream,
) -> mlx::Result<Arrays> {
    let arguments: smallvec::SmallVec<[&Array; 4]> = left.iter().chain(right).collect();
    let results = region.call(&arguments, kernel_inputs, stream)?;
    // A result that depends on no argument is a scalar.
    let shape = arguments.iter().map(|argument| argument.shape()).max_by_key(|shape| shape.len()).unwrap_or(&[]);
    results
        .into_iter()
        .map(
            |result| {
                if result.shape().len() < shape.len() { mlx::broadcast_to(&result, shape, stream) } else { Ok(result) }
            },
        )
        .collect()
}

/// Combines init values with rows, as a row.
fn fold(inits: &[&Array], rows: Arrays, combine: &Combine<'_>, stream: Stream) -> mlx::Result<Arrays> {
    let (length, width) = (rows[0].shape()[0], rows[0].shape()[1]);
    let mut accumulators =
        inits.iter().map(|init| mlx::broadcast_to(init, &[1, width], stream)).collect::<mlx::Result<Arrays>>()?;
    if length as usize > LONGEST_FOLD {
        return combine(&accumulators, &tree(rows, combine, stream)?);
    }
    for index in 0..length {
        let row = rows
            .iter()
            .map(|row| mlx::slice(row, &[index, 0], &[index + 1, width], &[1, 1], stream))
            .collect::<mlx::Result<Arrays>>()?;
        accumulators = combine(&accumulators, &row)?;
    }
    Ok(accumulators)
}

/// Bodies whose results do not mix and which MLX can reduce with.
fn simple(context: &mut Context<'_>, op: &Op, axes: &[i32], shape: &[i32]) -> Result<Option<Lowered>, LowerError> {
    let count = op.results.len();
    let Some(combiners) = combiner::combiners(context, &op.regions[0]) else { return Ok(None) };
    let mut identity = true;
    for (index, &combiner) in combiners.iter().enumerate() {
        let element = context.operand(op, index)?.element;
        if !native::supports(combiner, element) {
            return Ok(None);
        }
        identity &= init_is_identity(context, op, index, combiner, element);
        if element.is_complex() && combiner == Combiner::Multiply && !identity {
            // Products start from 1, which is not nothing for infinities.
            return Ok(None);
        }
    }
    let axes = axes.to_vec();
    let reduce_all = move |inputs: &[&Array], stream: Stream| {
        combiners
            .iter()
            .zip(inputs)
            .map(|(&combiner, input)| native::reduce(combiner, input, &axes, stream))
            .collect::<mlx::Result<Arrays>>()
    };
    if identity {
        return Ok(Some(Lowered::new(reduce_all)));
    }
    let region = context.scalar_region(op, &op.regions[0])?;
    let (body, shape) = (region.clone(), shape.to_vec());
    Ok(Some(
        Lowered::new(move |inputs, stream| {
            let inits = broadcast_all(&inputs[count..2 * count], &shape, stream)?;
            call(&body, &inits, &reduce_all(inputs, stream)?, inputs, stream)
        })
        .with_region(&region),
    ))
}

fn broadcast_all(scalars: &[&Array], shape: &[i32], stream: Stream) -> mlx::Result<Arrays> {
    scalars.iter().map(|scalar| mlx::broadcast_to(scalar, shape, stream)).collect()
}

/// Whether every body and init value is known to leave single elements as they are.
fn all_inits_are_identities(context: &mut Context<'_>, op: &Op) -> Result<bool, LowerError> {
    let Some(combiners) = combiner::combiners(context, &op.regions[0]) else { return Ok(false) };
    for (index, &combiner) in combiners.iter().enumerate() {
        let element = context.operand(op, index)?.element;
        if !init_is_identity(context, op, index, combiner, element) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Whether the init value of operand `index` is known to change nothing.
pub fn init_is_identity(
    context: &Context<'_>,
    op: &Op,
    index: usize,
    combiner: Combiner,
    element: ElementType,
) -> bool {
    known_init(context, op, index).is_some_and(|bytes| combiner.is_identity(element, bytes))
}

/// The bytes of the init value of operand `index`, where they are known.
pub fn known_init<'a>(context: &Context<'a>, op: &Op, index: usize) -> Option<&'a [u8]> {
    matchers::splat(context, op.operands[op.operands.len() / 2 + index])
}

/// argmax and argmin over one axis whose second operand counts along it.
fn arg_extremum(
    context: &mut Context<'_>,
    op: &Op,
    axes: &[i32],
    shape: &[i32],
) -> Result<Option<Lowered>, LowerError> {
    let &[axis] = axes else { return Ok(None) };
    let Some(extremum) = combiner::arg_extremum(context, &op.regions[0]) else { return Ok(None) };
    let (value, index) = (context.operand(op, 0)?.element, context.operand(op, 1)?.element);
    if value.is_complex() || value.is_small_float() || !index.is_integer() || index.is_small_integer() {
        return Ok(None);
    }
    if !matchers::counts_along(context, op.operands[1], i64::from(axis)) {
        return Ok(None);
    }
    let index_dtype = storage(index).ok_or_else(|| context.unsupported(op, "its index type has no storage"))?;
    let is_float = value.is_float();
    let combiner = if extremum == ArgExtremum::Max { Combiner::Maximum } else { Combiner::Minimum };
    let value_used = is_float && uses(&context.function.body, op.results[0]);
    let best = move |inputs: &[&Array], stream: Stream| -> mlx::Result<Arrays> {
        let operand = mlx::contiguous(inputs[0], stream)?;
        let mut extreme = match extremum {
            ArgExtremum::Max => mlx::max_axes(&operand, &[axis], false, stream)?,
            ArgExtremum::Min => mlx::min_axes(&operand, &[axis], false, stream)?,
        };
        let position = |a: &Array| match extremum {
            ArgExtremum::Max => mlx::argmax(a, axis, false, stream),
            ArgExtremum::Min => mlx::argmin(a, axis, false, stream),
        };
        let mut index = position(&operand)?;
        if is_float {
            // MLX compares NaN as unordered: the first one is looked for by itself.
            let first_nan = mlx::argmax(&mlx::isnan(&operand, stream)?, axis, false, stream)?;
            index = mlx::select(&mlx::isnan(&extreme, stream)?, &first_nan, &index, stream)?;
        }
        if value_used {
            extreme = with_last_zero(&operand, &extreme, axis, stream)?;
        }
        Ok(smallvec::smallvec![extreme, mlx::astype(&index, index_dtype, stream)?])
    };
    let zero_index = matchers::splat(context, op.operands[3]).is_some_and(|bytes| bytes.iter().all(|&byte| byte == 0));
    if zero_index && init_is_identity(context, op, 0, combiner, value) {
        return Ok(Some(Lowered::new(best)));
    }
    let region = context.scalar_region(op, &op.regions[0])?;
    let (body, shape) = (region.clone(), shape.to_vec());
    Ok(Some(
        Lowered::new(move |inputs, stream| {
            let inits = broadcast_all(&inputs[2..4], &shape, stream)?;
            call(&body, &inits, &best(inputs, stream)?, inputs, stream)
        })
        .with_region(&region),
    ))
}

/// The extremum with the sign of the last zero where it is a zero: such bodies keep an index for equal values, but take
/// the value of the later one.
fn with_last_zero(operand: &Array, extreme: &Array, axis: i32, stream: Stream) -> mlx::Result<Array> {
    let size = operand.shape()[axis as usize];
    let mut along = vec![1; operand.rank()];
    along[axis as usize] = size;
    let places = mlx::reshape(&mlx::arange(size, Dtype::Int32, stream)?, &along, stream)?;
    let zero = mlx::zeros(&[], operand.dtype(), stream)?;
    let zeros = mlx::select(&mlx::equal(operand, &zero, stream)?, &places, &Array::scalar(0i32)?, stream)?;
    let last = mlx::max_axes(&zeros, &[axis], true, stream)?;
    let value = mlx::take_along_axis(operand, &last, axis, stream)?;
    let value = mlx::reshape(&value, extreme.shape(), stream)?;
    mlx::select(&mlx::equal(extreme, &zero, stream)?, &value, extreme, stream)
}

/// Whether a block has a use for a value.
fn uses(block: &Block, value: ValueId) -> bool {
    block.results.contains(&value)
        || block
            .ops
            .iter()
            .any(|op| op.operands.contains(&value) || op.regions.iter().any(|region| uses(region, value)))
}

#[cfg(test)]
mod tests;
