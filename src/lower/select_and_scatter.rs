//! select_and_scatter: the gradient of max pooling, and its kin.
#![forbid(unsafe_code)]

use super::combiner::{self, Combiner};
use super::reduce::{Combine, call};
use super::reduce_window::padding;
use super::reduce_window::windows::{Dimension, Windows};
use super::scatter::generic;
use super::{Context, LowerError, Lowered, Row, chooser, shape_i32};
use crate::mlx::{self, Array, Arrays, Dtype, ScatterMode, Stream};
use crate::program::{Op, OpKind};

/// Rows of the op table.
pub static ROWS: &[Row] = &[Row {
    name: "select_and_scatter",
    note: "any bodies; scattering with others than add waits for the host",
    lower: select_and_scatter,
}];

/// Windows of up to this many elements are gone through in order, as XLA:CPU does; in wider ones the order is a tree,
/// which other bodies than comparisons can tell.
const LONGEST_FOLD: i64 = 64;

fn select_and_scatter(context: &mut Context<'_>, op: &Op) -> Result<Lowered, LowerError> {
    let OpKind::SelectAndScatter(attributes) = &op.kind else {
        return Err(context.invalid(op, "not a select_and_scatter"));
    };
    let (operand, source) = (context.operand(op, 0)?, context.operand(op, 1)?);
    context.operand(op, 2)?;
    if op.regions.len() != 2 {
        return Err(context.invalid(op, "two regions expected"));
    }
    let rank = operand.rank();
    let dimensions = (0..rank)
        .map(|axis| {
            let at = |list: &[i64]| if list.is_empty() { Some(1) } else { list.get(axis).copied() };
            let padding = &attributes.padding;
            let (low, high) = if padding.is_empty() { (0, 0) } else { *padding.get(axis)? };
            let dimension = Dimension {
                size: operand.shape[axis],
                window: at(&attributes.window_dimensions)?,
                stride: at(&attributes.window_strides)?,
                base: 1,
                dilation: 1,
                low,
                high,
            };
            dimension.is_valid().then_some(dimension)
        })
        .collect::<Option<Vec<Dimension>>>()
        .filter(|dimensions| dimensions.iter().map(Dimension::count).eq(source.shape.iter().copied()))
        .ok_or_else(|| context.invalid(op, "windows do not fit operand and source"))?;
    let shape = shape_i32(&operand.shape)?;
    if operand.elements() == 0 || source.elements() == 0 {
        return Ok(Lowered::one(move |inputs, stream| mlx::broadcast_to(inputs[2], &shape, stream)));
    }
    let sink = operand.elements() as i64;
    if sink >= i64::from(i32::MAX) {
        return Err(context.unsupported(op, "an operand of more than 2^31 elements"));
    }
    let sink = sink as i32;
    let gaps = dimensions.iter().any(|each| each.low > 0 || each.high > 0);
    let volume = dimensions.iter().fold(1i64, |product, each| product.saturating_mul(each.window));
    let pad = padding(context, op, &dimensions)?;
    let windows = Windows::new(&dimensions)?;
    let select = context.scalar_region(op, &op.regions[0])?;
    let select_body = select.clone();
    let chooses = volume > LONGEST_FOLD && chooser::compares(context, &op.regions[0]);
    let element = operand.element;
    let adds = combiner::combiners(context, &op.regions[1]).as_deref() == Some(&[Combiner::Add])
        && super::reduce::native::supports(Combiner::Add, element)
        && element != crate::program::ElementType::Bool;
    let scatter = if adds { None } else { Some(context.scalar_region(op, &op.regions[1])?) };
    let scatter_body = scatter.clone();

    let lowered = Lowered::one(move |inputs, stream| {
        let (operand, source, init) = (inputs[0], inputs[1], inputs[2]);
        let sink_scalar = Array::scalar(sink)?;
        let positions = mlx::reshape(&mlx::arange(sink, Dtype::Int32, stream)?, &shape, stream)?;
        let mut rows: Arrays = smallvec::smallvec![
            pad(operand, &mlx::zeros(&[], operand.dtype(), stream)?, stream)?,
            pad(&positions, &sink_scalar, stream)?,
        ];
        if chooses {
            rows.push(chooser::flags(&rows[0], stream)?);
        }
        // Elements with their positions; the sink's position marks padding, which is never selected.
        let plain = |a: &[Array], b: &[Array]| {
            let keep = call(&select_body, &a[..1], &b[..1], inputs, stream)?.swap_remove(0);
            let keep = if gaps {
                let a_there = mlx::not_equal(&a[1], &sink_scalar, stream)?;
                let b_missing = mlx::equal(&b[1], &sink_scalar, stream)?;
                mlx::logical_or(&b_missing, &mlx::logical_and(&a_there, &keep, stream)?, stream)?
            } else {
                keep
            };
            a.iter().zip(b).map(|(a, b)| mlx::select(&keep, a, b, stream)).collect()
        };
        let pick = |a: &[Array], b: &[Array]| if chooses { chooser::combine(a, b, plain, stream) } else { plain(a, b) };
        let selected = if volume <= LONGEST_FOLD {
            fold(&windows, &rows, &pick, stream)?
        } else {
            windows.reduce(rows, &pick, stream)?
        };
        let destinations = mlx::reshape(&selected[1], &[-1], stream)?;
        let updates = mlx::reshape(source, &[-1], stream)?;
        let result = mlx::full(&[sink + 1], init, init.dtype(), stream)?;
        let result = match &scatter_body {
            None => {
                let here = stream.capabilities().scatters(ScatterMode::Add, init.dtype());
                let stream = if here { stream } else { Stream::cpu()? };
                let updates = mlx::reshape(&updates, &[-1, 1], stream)?;
                mlx::scatter(ScatterMode::Add, &result, &[&destinations], &updates, &[0], stream)?
            }
            Some(body) => {
                let here = stream.capabilities().scatters(ScatterMode::Set, init.dtype());
                let stream = if here { stream } else { Stream::cpu()? };
                let operands = smallvec::smallvec![result];
                generic::in_rounds(body, operands, &destinations, i64::from(sink), &[updates], inputs, stream)?
                    .swap_remove(0)
            }
        };
        let kept = mlx::slice(&result, &[0], &[sink], &[1], stream)?;
        mlx::reshape(&kept, &shape, stream)
    })
    .with_region(&select);
    Ok(match scatter {
        Some(region) => lowered.with_region(&region),
        None => lowered,
    })
}

/// Goes through each window's elements in order.
fn fold(windows: &Windows, rows: &[Array], pick: &Combine<'_>, stream: Stream) -> mlx::Result<Arrays> {
    let mut selected: Option<Arrays> = None;
    for offset in windows.offsets() {
        let next = rows.iter().map(|row| windows.element(row, &offset, stream)).collect::<mlx::Result<Arrays>>()?;
        selected = Some(match selected {
            None => next,
            Some(selected) => pick(&selected, &next)?,
        });
    }
    selected.ok_or_else(|| mlx::Error::new("internal error: a window without elements"))
}
