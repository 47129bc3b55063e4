//! Windows that are prefixes or suffixes along one dimension: cumsum and its kin.
#![forbid(unsafe_code)]

use super::super::combiner::{self, Combiner};
use super::super::complex;
use super::super::reduce::{self, Combine, native};
use super::super::{Context, LowerError, Lowered, float_order, shape_i32};
use super::blocks::Blocks;
use super::windows::{Dimension, along_all};
use super::{accumulator, converted, host, init_changes_nothing, ordered};
use crate::mlx::{self, Array, Arrays, Dtype, Stream};
use crate::program::{ElementType, Op};

/// What an operand is scanned with.
#[derive(Clone, Copy)]
pub enum Scan {
    /// Whose sums of short floats are made in f32.
    Combiner(Combiner),
    /// The logarithm of the sum of exponentials.
    LogAddExp,
}

/// The axis of a cumulative form, and whether it runs backwards.
fn axis(dimensions: &[Dimension]) -> Option<(usize, bool)> {
    let mut rest = dimensions.iter().enumerate().filter(|(_, dimension)| !dimension.is_trivial());
    let (axis, dimension) = rest.next()?;
    let whole = dimension.window == dimension.size
        && (dimension.stride, dimension.base, dimension.dilation) == (1, 1, 1)
        && rest.next().is_none();
    match (dimension.low, dimension.high) {
        (low, 0) if whole && low == dimension.size - 1 => Some((axis, false)),
        (0, high) if whole && high == dimension.size - 1 => Some((axis, true)),
        _ => None,
    }
}

pub(super) fn lower(
    context: &mut Context<'_>,
    op: &Op,
    dimensions: &[Dimension],
) -> Result<Option<Lowered>, LowerError> {
    let Some((axis, reverse)) = axis(dimensions) else { return Ok(None) };
    let count = op.results.len();
    let mut scans = Vec::new();
    if let Some(combiners) = combiner::combiners(context, &op.regions[0]) {
        for (index, &combiner) in combiners.iter().enumerate() {
            let element = context.operand(op, index)?.element;
            let bits = matches!(combiner, Combiner::And | Combiner::Or | Combiner::Xor) && element != ElementType::Bool;
            if native::supports(combiner, element) && !bits {
                let identity = init_changes_nothing(context, op, index, combiner, element, dimensions);
                let in_sum =
                    combiner == Combiner::Add && reduce::init_is_identity(context, op, index, combiner, element);
                scans.push((Scan::Combiner(combiner), identity, in_sum));
            }
        }
    } else if combiner::is_log_add_exp(context, &op.regions[0]) {
        let element = context.operand(op, 0)?.element;
        // MLX's exponential of f64 is no better than that of f32.
        if matches!(element, ElementType::F32 | ElementType::F16 | ElementType::BF16) {
            let identity = reduce::init_is_identity(context, op, 0, Combiner::Maximum, element);
            scans.push((Scan::LogAddExp, identity, false));
        }
    }
    if scans.len() == count {
        return Ok(Some(Lowered::new(move |inputs, stream| {
            scans
                .iter()
                .enumerate()
                .map(|(index, &(scan, identity, in_sum))| {
                    let init = (!identity).then_some((inputs[count + index], in_sum));
                    cumulate(scan, inputs[index], init, axis as i32, reverse, stream)
                })
                .collect()
        })));
    }
    if dimensions[axis].size <= super::LONGEST_FOLD {
        return Ok(None);
    }

    let shape = shape_i32(&context.result(op, 0)?.shape)?;
    let region = context.scalar_region(op, &op.regions[0])?;
    let body = region.clone();
    Ok(Some(
        Lowered::new(move |inputs, stream| {
            let combine = |a: &[Array], b: &[Array]| reduce::call(&body, a, b, inputs, stream);
            let rows: Arrays = inputs[..count].iter().map(|&input| input.clone()).collect();
            let rows = doubling(rows, axis, reverse, &combine, stream)?;
            let mut inits = Arrays::new();
            for init in &inputs[count..2 * count] {
                inits.push(mlx::broadcast_to(init, &shape, stream)?);
            }
            combine(&inits, &rows)
        })
        .with_region(&region),
    ))
}

/// `init`: with whether it is the +0 that the host's sums start from.
fn cumulate(
    scan: Scan,
    input: &Array,
    init: Option<(&Array, bool)>,
    axis: i32,
    reverse: bool,
    stream: Stream,
) -> mlx::Result<Array> {
    let dtype = input.dtype();
    let input = &mlx::contiguous(input, stream)?;
    let (wide, combiner) = match scan {
        Scan::LogAddExp => (Dtype::Float32, None),
        Scan::Combiner(combiner) if dtype == Dtype::Bool => {
            // As numbers 0 and 1: or is their maximum, and their minimum, xor the parity of their sum.
            let combiner = match combiner {
                Combiner::Add | Combiner::Or | Combiner::Maximum => Combiner::Maximum,
                Combiner::Xor => Combiner::Xor,
                _ => Combiner::Minimum,
            };
            (if combiner == Combiner::Xor { Dtype::Int32 } else { Dtype::Uint8 }, Some(combiner))
        }
        // MLX's scans of short floats lose NaN.
        Scan::Combiner(combiner @ (Combiner::Maximum | Combiner::Minimum))
            if matches!(dtype, Dtype::Float16 | Dtype::Bfloat16) && !stream.capabilities().host_functions =>
        {
            (Dtype::Float32, Some(combiner))
        }
        Scan::Combiner(combiner) => (accumulator(combiner, dtype), Some(combiner)),
    };
    let operand = &converted(input, wide, stream)?;
    let made = combiner.map_or(Scan::LogAddExp, Scan::Combiner);
    // In f32 each factor of a product may err to the same side.
    let is_long_product = combiner == Some(Combiner::Multiply)
        && wide == Dtype::Float32
        && operand.shape()[axis as usize] as usize > stream.capabilities().longest_scan;
    let by_host = host::scan(made, operand, axis, reverse, if is_long_product { Stream::cpu()? } else { stream })?;
    let init = init.filter(|&(_, in_sum)| !(in_sum && by_host.is_some()));
    let init = init.map(|(init, _)| converted(init, wide, stream)).transpose()?;
    let mut result = match (by_host, combiner) {
        (Some(result), _) => result,
        (None, None) => {
            let blocks = Blocks {
                scan: &|a, axis| mlx::logcumsumexp(a, axis, reverse, true, stream),
                combine: &|before, a| mlx::logaddexp(before, a, stream),
                identity: &Array::scalar(f32::NEG_INFINITY)?,
                reverse,
                longest: stream.capabilities().longest_scan,
            };
            blocks.run(operand, axis as usize, stream)?
        }
        (None, Some(combiner @ (Combiner::Maximum | Combiner::Minimum))) => {
            float_order::with_order_of_zeros(operand, |a| native_scan(combiner, a, axis, reverse, stream), stream)?
        }
        (None, Some(Combiner::Multiply)) if wide == Dtype::Complex64 => {
            complex::cumulative_product(operand, axis, reverse, stream)?
        }
        (None, Some(Combiner::Add)) if matches!(wide, Dtype::Float32 | Dtype::Complex64) => {
            let blocks = Blocks {
                scan: &|a, axis| mlx::cumsum(a, axis, reverse, true, stream),
                combine: &|before, a| mlx::add(before, a, stream),
                identity: &mlx::astype(&Array::scalar(0f32)?, wide, stream)?,
                reverse,
                longest: stream.capabilities().longest_scan,
            };
            blocks.run(operand, axis as usize, stream)?
        }
        (None, Some(combiner)) => native_scan(combiner, operand, axis, reverse, stream)?,
    };
    if let Some(init) = init {
        result = match combiner {
            None => mlx::logaddexp(&init, &result, stream)?,
            Some(combiner) => ordered(combiner, &init, &result, stream)?,
        };
    }
    if combiner == Some(Combiner::Xor) {
        result = mlx::bitwise_and(&result, &Array::scalar(1i32)?, stream)?;
    }
    converted(&result, dtype, stream)
}

fn native_scan(combiner: Combiner, a: &Array, axis: i32, reverse: bool, stream: Stream) -> mlx::Result<Array> {
    match combiner {
        Combiner::Add | Combiner::Xor => mlx::cumsum(a, axis, reverse, true, stream),
        Combiner::Multiply => mlx::cumprod(a, axis, reverse, true, stream),
        Combiner::Maximum => mlx::cummax(a, axis, reverse, true, stream),
        Combiner::Minimum => mlx::cummin(a, axis, reverse, true, stream),
        other => Err(mlx::Error::new(format!("internal error: no scan by {other:?}"))),
    }
}

/// Scans with any associative body: after the n-th step each position holds the combination of 2ⁿ elements.
fn doubling(
    mut rows: Arrays,
    axis: usize,
    reverse: bool,
    combine: &Combine<'_>,
    stream: Stream,
) -> mlx::Result<Arrays> {
    let size = rows[0].shape()[axis];
    let mut distance = 1;
    while distance < size {
        let left = along_all(&rows, axis, 0, size - distance, 1, stream)?;
        let right = along_all(&rows, axis, distance, size, 1, stream)?;
        let combined = combine(&left, &right)?;
        let kept = if reverse { (size - distance, size) } else { (0, distance) };
        let kept = along_all(&rows, axis, kept.0, kept.1, 1, stream)?;
        rows = combined
            .iter()
            .zip(&kept)
            .map(|(combined, kept)| {
                let parts = if reverse { [combined, kept] } else { [kept, combined] };
                mlx::concatenate(&parts, axis as i32, stream)
            })
            .collect::<mlx::Result<Arrays>>()?;
        distance *= 2;
    }
    Ok(rows)
}
