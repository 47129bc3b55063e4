//! reduce_window: scans where windows are prefixes, else by combining shifted copies of the input.
#![forbid(unsafe_code)]

mod blocks;
mod cumulative;
mod host;
#[cfg(test)]
mod tests;
pub mod windows;

use super::combiner::{self, Combiner};
use super::reduce::{self, native};
use super::{Context, LowerError, Lowered, Row, chooser, complex, float_order, shape, shape_i32, storage};
use crate::mlx::{self, Array, Arrays, Dtype, Stream};
use crate::program::{ElementType, Op, OpKind, ReduceWindow};
use windows::{Dimension, Windows};

/// Rows of the op table.
pub static ROWS: &[Row] =
    &[Row { name: "reduce_window", note: "any body; sums of f16 and bf16 are kept in f32", lower: reduce_window }];

/// Bodies that are not known to be associative are folded in the order of the window's elements, as XLA:CPU does, up to
/// this many; above, as a tree, which the specification allows.
const LONGEST_FOLD: i64 = 16;

fn reduce_window(context: &mut Context<'_>, op: &Op) -> Result<Lowered, LowerError> {
    let OpKind::ReduceWindow(attributes) = &op.kind else { return Err(context.invalid(op, "not a reduce_window")) };
    let count = op.results.len();
    if count == 0 || op.operands.len() != 2 * count || op.regions.len() != 1 {
        return Err(context.invalid(op, "operands, init values and results differ in number"));
    }
    let (input, result) = (context.operand(op, 0)?, context.result(op, 0)?);
    for index in 1..count {
        if context.operand(op, index)?.shape != input.shape {
            return Err(context.invalid(op, "operands differ in shape"));
        }
    }
    let dimensions = dimensions(attributes, &input.shape)
        .filter(|dimensions| dimensions.iter().map(Dimension::count).eq(result.shape.iter().copied()))
        .ok_or_else(|| context.invalid(op, "windows do not fit operand and result"))?;
    let shape = shape_i32(&result.shape)?;
    if result.elements() == 0 || input.elements() == 0 {
        // Windows without elements: init values everywhere.
        return Ok(Lowered::new(move |inputs, stream| {
            inputs[count..2 * count].iter().map(|init| mlx::broadcast_to(init, &shape, stream)).collect()
        }));
    }
    if let Some(lowered) = cumulative::lower(context, op, &dimensions)? {
        return Ok(lowered);
    }
    if let Some(lowered) = simple(context, op, &dimensions)? {
        return Ok(lowered);
    }
    generic(context, op, dimensions)
}

/// The attributes per dimension; None when they do not fit. Lists left out mean 1, or no padding.
fn dimensions(attributes: &ReduceWindow, shape: &[i64]) -> Option<Vec<Dimension>> {
    let rank = shape.len();
    let at = |list: &[i64], axis: usize| match list.len() {
        0 => Some(1),
        length if length == rank => Some(list[axis]),
        _ => None,
    };
    (0..rank)
        .map(|axis| {
            let (low, high) = if attributes.padding.is_empty() { (0, 0) } else { *attributes.padding.get(axis)? };
            let dimension = Dimension {
                size: shape[axis],
                window: at(&attributes.window_dimensions, axis)?,
                stride: at(&attributes.window_strides, axis)?,
                base: at(&attributes.base_dilations, axis)?,
                dilation: at(&attributes.window_dilations, axis)?,
                low,
                high,
            };
            dimension.is_valid().then_some(dimension)
        })
        .collect()
}

/// Whether the init value of operand `index` is known to change no result. +0 that is added makes +0 of windows of -0; XLA
/// leaves it out of windows that are one element each, but for bf16.
pub(super) fn init_changes_nothing(
    context: &Context<'_>,
    op: &Op,
    index: usize,
    combiner: Combiner,
    element: ElementType,
    dimensions: &[Dimension],
) -> bool {
    let keeps_zeros = combiner != Combiner::Add
        || element != ElementType::BF16 && dimensions.iter().all(Dimension::is_element)
        || combiner.identity(element).is_some_and(|first| reduce::known_init(context, op, index) == Some(&first[..]));
    keeps_zeros && reduce::init_is_identity(context, op, index, combiner, element)
}

/// One application of a recognised body.
///
/// # Errors
/// What MLX refuses.
pub fn apply(combiner: Combiner, a: &Array, b: &Array, stream: Stream) -> mlx::Result<Array> {
    let is_bool = a.dtype() == Dtype::Bool;
    match combiner {
        Combiner::Add | Combiner::Or | Combiner::Maximum if is_bool => mlx::logical_or(a, b, stream),
        Combiner::Multiply | Combiner::And | Combiner::Minimum if is_bool => mlx::logical_and(a, b, stream),
        Combiner::Xor if is_bool => mlx::not_equal(a, b, stream),
        Combiner::Add => mlx::add(a, b, stream),
        Combiner::Multiply if a.dtype() == Dtype::Complex64 => complex::multiply(a, b, stream),
        Combiner::Multiply => mlx::multiply(a, b, stream),
        Combiner::Maximum => mlx::maximum(a, b, stream),
        Combiner::Minimum => mlx::minimum(a, b, stream),
        Combiner::And => mlx::bitwise_and(a, b, stream),
        Combiner::Or => mlx::bitwise_or(a, b, stream),
        Combiner::Xor => mlx::bitwise_xor(a, b, stream),
        Combiner::First => Ok(a.clone()),
        Combiner::Second => Ok(b.clone()),
    }
}

/// As [`apply`], with -0 below 0.
fn ordered(combiner: Combiner, a: &Array, b: &Array, stream: Stream) -> mlx::Result<Array> {
    match combiner {
        Combiner::Maximum | Combiner::Minimum if float_order::key_dtype(a.dtype()).is_some() => {
            float_order::extremum(combiner == Combiner::Maximum, a, b, stream)
        }
        _ => apply(combiner, a, b, stream),
    }
}

/// The dtype that XLA:CPU combines in: f32 for sums and products of short floats.
fn accumulator(combiner: Combiner, dtype: Dtype) -> Dtype {
    match (combiner, dtype) {
        (Combiner::Add | Combiner::Multiply, Dtype::Float16 | Dtype::Bfloat16) => Dtype::Float32,
        _ => dtype,
    }
}

fn converted(a: &Array, dtype: Dtype, stream: Stream) -> mlx::Result<Array> {
    if a.dtype() == dtype { Ok(a.clone()) } else { mlx::astype(a, dtype, stream) }
}

/// What fills the gaps between elements and around them: changes nothing.
struct Simple {
    combiner: Combiner,
    fill: Array,
    dtype: Dtype,
    identity: bool,
}

/// Bodies whose results do not mix and that MLX has a function for.
fn simple(context: &mut Context<'_>, op: &Op, dimensions: &[Dimension]) -> Result<Option<Lowered>, LowerError> {
    let Some(combiners) = combiner::combiners(context, &op.regions[0]) else { return Ok(None) };
    let count = combiners.len();
    let mut plans = Vec::new();
    for (index, &combiner) in combiners.iter().enumerate() {
        let element = context.operand(op, index)?.element;
        let (true, Some(dtype)) = (native::supports(combiner, element), storage(element)) else { return Ok(None) };
        let Some(fill) = combiner.identity(element) else { return Ok(None) };
        if element.is_complex() && combiner == Combiner::Multiply {
            // Times 1 is not nothing for infinities: what fills the gaps must be left out.
            return Ok(None);
        }
        let identity = init_changes_nothing(context, op, index, combiner, element, dimensions);
        let fill = match reduce::known_init(context, op, index) {
            Some(init) if identity => init,
            _ => &fill,
        };
        plans.push(Simple { combiner, fill: Array::from_bytes(fill, &[], dtype)?, dtype, identity });
    }
    let pad = padding(context, op, dimensions)?;
    let windows = Windows::new(dimensions)?;
    Ok(Some(Lowered::new(move |inputs, stream| {
        let one = |index: usize, plan: &Simple| {
            let wide = accumulator(plan.combiner, plan.dtype);
            let padded = pad(inputs[index], &plan.fill, stream)?;
            let combine =
                |a: &[Array], b: &[Array]| Ok(smallvec::smallvec![apply(plan.combiner, &a[0], &b[0], stream)?]);
            let reduce =
                |row: &Array| Ok(windows.reduce(smallvec::smallvec![row.clone()], &combine, stream)?.remove(0));
            let row = converted(&padded, wide, stream)?;
            let mut result = match plan.combiner {
                Combiner::Maximum | Combiner::Minimum => match host::windows(plan.combiner, &row, &windows, stream)? {
                    Some(result) => result,
                    None => float_order::with_order_of_zeros(&row, reduce, stream)?,
                },
                _ => reduce(&row)?,
            };
            if !plan.identity {
                let init = converted(inputs[count + index], wide, stream)?;
                result = ordered(plan.combiner, &init, &result, stream)?;
            }
            converted(&result, plan.dtype, stream)
        };
        plans.iter().enumerate().map(|(index, plan)| one(index, plan)).collect()
    })))
}

/// A function of operand and fill value that dilates and pads.
pub(super) fn padding(
    context: &Context<'_>,
    op: &Op,
    dimensions: &[Dimension],
) -> Result<impl Fn(&Array, &Array, Stream) -> mlx::Result<Array> + Send + Sync + use<>, LowerError> {
    let input = &context.operand(op, 0)?.shape;
    let list = |of: fn(&Dimension) -> i64| dimensions.iter().map(of).collect::<Vec<i64>>();
    shape::padding(input, &list(|each| each.low), &list(|each| each.high), &list(|each| each.base - 1))
}

/// Any body. Gaps and padding are left out, as XLA:CPU does: flags say where there are elements.
fn generic(context: &mut Context<'_>, op: &Op, dimensions: Vec<Dimension>) -> Result<Lowered, LowerError> {
    let count = op.results.len();
    let gaps = dimensions.iter().any(|each| each.low > 0 || each.high > 0 || each.base > 1);
    let volume = dimensions.iter().fold(1i64, |product, each| product.saturating_mul(each.window));
    let input_shape = shape_i32(&context.operand(op, 0)?.shape)?;
    let result_shape = shape_i32(&context.result(op, 0)?.shape)?;
    let mut fills = Vec::new();
    for index in 0..count {
        let element = context.operand(op, index)?.element;
        fills.push(storage(element).ok_or_else(|| context.unsupported(op, "its element type has no storage"))?);
    }
    let pad = padding(context, op, &dimensions)?;
    let windows = Windows::new(&dimensions)?;
    let region = context.scalar_region(op, &op.regions[0])?;
    let body = region.clone();
    let chooses = volume > LONGEST_FOLD && chooser::chooses(context, &op.regions[0]);
    let width = count + usize::from(chooses);
    Ok(Lowered::new(move |inputs, stream| {
        let mut rows = Arrays::new();
        for (input, &fill) in inputs[..count].iter().zip(&fills) {
            rows.push(pad(input, &mlx::zeros(&[], fill, stream)?, stream)?);
        }
        let plain = |a: &[Array], b: &[Array]| reduce::call(&body, a, b, inputs, stream);
        let combine = |a: &[Array], b: &[Array]| {
            if chooses { chooser::combine(a, b, plain, stream) } else { plain(a, b) }
        };
        let where_present = |a: &[Array], b: &[Array]| {
            let (a_there, b_there) = (&a[width], &b[width]);
            let both = mlx::logical_and(a_there, b_there, stream)?;
            let combined = combine(&a[..width], &b[..width])?;
            let mut results = Arrays::new();
            for ((combined, a), b) in combined.iter().zip(a).zip(b) {
                let single = mlx::select(a_there, a, b, stream)?;
                results.push(mlx::select(&both, combined, &single, stream)?);
            }
            results.push(mlx::logical_or(a_there, b_there, stream)?);
            Ok(results)
        };
        let mut inits = Arrays::new();
        for init in &inputs[count..2 * count] {
            inits.push(mlx::broadcast_to(init, &result_shape, stream)?);
        }
        if chooses {
            rows.push(chooser::flags(&rows[0], stream)?);
            inits.push(mlx::zeros(&result_shape, Dtype::Bool, stream)?);
        }
        if gaps {
            let (yes, no) = (Array::scalar(true)?, Array::scalar(false)?);
            rows.push(pad(&mlx::full(&input_shape, &yes, Dtype::Bool, stream)?, &no, stream)?);
            inits.push(mlx::full(&result_shape, &yes, Dtype::Bool, stream)?);
        }
        let combine: &reduce::Combine<'_> = if gaps { &where_present } else { &combine };
        let mut results = if volume <= LONGEST_FOLD {
            windows.fold(inits, &rows, combine, stream)?
        } else {
            combine(&inits, &windows.reduce(rows, combine, stream)?)?
        };
        results.truncate(count);
        Ok(results)
    })
    .with_region(&region))
}
