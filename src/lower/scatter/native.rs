//! Scatters that MLX has a primitive for.
#![forbid(unsafe_code)]

use super::super::combiner::Combiner;
use super::super::{LowerError, Lowered, float_order, storage};
use super::copies;
use super::geometry::Geometry;
use crate::mlx::{self, Array, Arrays, Dtype, ScatterMode, Stream};
use crate::program::ElementType;

/// How one operand takes its updates.
pub(super) enum Mode {
    /// Not at all.
    Keep,
    /// By a primitive; windows out of bounds are filled with what changes nothing (None: see [`set`]).
    Primitive(ScatterMode, Option<Array>),
    /// Maximum or minimum of floats, as integers of the same order: MLX's own loses NaN.
    Ordered(ScatterMode),
}

impl Mode {
    /// None when MLX has no primitive that is right for such elements.
    pub(super) fn new(combiner: Combiner, element: ElementType) -> Result<Option<Self>, LowerError> {
        use Combiner::*;
        let small = element.is_small_integer() || element.is_small_float();
        let mode = match (combiner, element) {
            (First, _) => return Ok(Some(Mode::Keep)),
            (Second, _) => return Ok(Some(Mode::Primitive(ScatterMode::Set, None))),
            (Add | Or | Maximum, ElementType::Bool) => ScatterMode::Max,
            (Multiply | And | Minimum, ElementType::Bool) => ScatterMode::Min,
            (Add, _) if !small => ScatterMode::Add,
            // MLX's CPU multiplies complex numbers as std::complex does: see lower/complex.rs.
            (Multiply, _) if !small && !element.is_complex() => ScatterMode::Prod,
            (Maximum, _) if element.is_integer() => ScatterMode::Max,
            (Minimum, _) if element.is_integer() => ScatterMode::Min,
            (Maximum, _) if element.is_float() && !small => return Ok(Some(Mode::Ordered(ScatterMode::Max))),
            (Minimum, _) if element.is_float() && !small => return Ok(Some(Mode::Ordered(ScatterMode::Min))),
            _ => return Ok(None),
        };
        let (Some(bytes), Some(dtype)) = (combiner.identity(element), storage(element)) else { return Ok(None) };
        Ok(Some(Mode::Primitive(mode, Some(Array::from_bytes(&bytes, &[], dtype)?))))
    }
}

pub(super) fn lower(geometry: Geometry, modes: Vec<Mode>) -> Lowered {
    Lowered::new(move |inputs, stream| {
        let count = modes.len();
        let indices = inputs[count];
        let starts = geometry.indexing.starts(indices, stream)?;
        let inside = geometry.inside(indices, stream)?;
        modes
            .iter()
            .zip(inputs)
            .zip(&inputs[count + 1..])
            .map(|((mode, operand), updates)| {
                let (fill, primitive) = match mode {
                    Mode::Keep => return Ok((*operand).clone()),
                    Mode::Primitive(primitive, fill) => (fill, *primitive),
                    Mode::Ordered(primitive) => (&None, *primitive),
                };
                let operand = &mlx::reshape(operand, &geometry.indexing.operand, stream)?;
                let updates = &geometry.windows(updates, stream)?;
                let inside = inside.as_ref();
                let result = match (mode, fill) {
                    (Mode::Ordered(_), _) => ordered(&geometry, primitive, operand, updates, &starts, inside, stream)?,
                    (_, Some(fill)) => {
                        let updates = masked(&geometry, updates, inside, fill, stream)?;
                        scatter(&geometry, primitive, operand, &updates, &starts, stream)?
                    }
                    (_, None) => set(&geometry, operand, updates, &starts, inside, stream)?,
                };
                mlx::reshape(&result, &geometry.result, stream)
            })
            .collect()
    })
}

fn scatter(
    geometry: &Geometry,
    mode: ScatterMode,
    operand: &Array,
    updates: &Array,
    starts: &[Array],
    stream: Stream,
) -> mlx::Result<Array> {
    let can = stream.capabilities();
    let copies = if mode == ScatterMode::Add { copies::count(geometry, operand.dtype(), stream) } else { 1 };
    if copies > 1 {
        return copies::add(geometry, copies, operand, updates, starts, stream);
    }
    let here = can.scatters(mode, operand.dtype()) && starts.len() <= can.index_arrays;
    let stream = if here { stream } else { Stream::cpu()? };
    let starts: smallvec::SmallVec<[&Array; 4]> = starts.iter().collect();
    mlx::scatter(mode, operand, &starts, updates, &geometry.indexing.axes, stream)
}

/// A flag per window, shaped to broadcast over windows.
fn per_window(geometry: &Geometry, flags: &Array, stream: Stream) -> mlx::Result<Array> {
    let mut shape = vec![1; geometry.updates.len()];
    shape[0] = geometry.updates[0];
    mlx::reshape(flags, &shape, stream)
}

/// Updates with the windows out of bounds filled.
fn masked(
    geometry: &Geometry,
    updates: &Array,
    inside: Option<&Array>,
    fill: &Array,
    stream: Stream,
) -> mlx::Result<Array> {
    match inside {
        Some(inside) => mlx::select(&per_window(geometry, inside, stream)?, updates, fill, stream),
        None => Ok(updates.clone()),
    }
}

/// Replaces, in the order of the updates. A window out of bounds becomes a copy of the last one in bounds, which ends up
/// in the result in any case; without one in bounds, of what stands there already.
fn set(
    geometry: &Geometry,
    operand: &Array,
    updates: &Array,
    starts: &[Array],
    inside: Option<&Array>,
    stream: Stream,
) -> mlx::Result<Array> {
    let Some(inside) = inside else { return scatter(geometry, ScatterMode::Set, operand, updates, starts, stream) };
    let positions = mlx::arange(geometry.updates[0], Dtype::Int32, stream)?;
    let none = Array::scalar(-1i32)?;
    let last = mlx::max_axes(&mlx::select(inside, &positions, &none, stream)?, &[0], true, stream)?;
    let found = mlx::greater(&last, &none, stream)?;
    let last = mlx::maximum(&last, &Array::scalar(0i32)?, stream)?;
    let last_starts = starts.iter().map(|start| mlx::take(start, &last, 0, stream)).collect::<mlx::Result<Arrays>>()?;
    let indices: smallvec::SmallVec<[&Array; 4]> = last_starts.iter().collect();
    let reader = if indices.len() <= stream.capabilities().index_arrays { stream } else { Stream::cpu()? };
    let present = mlx::gather(operand, &indices, &geometry.indexing.axes, &geometry.indexing.window, reader)?;
    let update = mlx::take(updates, &last, 0, stream)?;
    let found = mlx::reshape(&found, &vec![1; geometry.updates.len()], stream)?;
    let replacement = mlx::select(&found, &update, &present, stream)?;
    let updates = mlx::select(&per_window(geometry, inside, stream)?, updates, &replacement, stream)?;
    let starts = starts
        .iter()
        .zip(&last_starts)
        .map(|(start, last)| mlx::select(inside, start, last, stream))
        .collect::<mlx::Result<Arrays>>()?;
    scatter(geometry, ScatterMode::Set, operand, &updates, &starts, stream)
}

fn ordered(
    geometry: &Geometry,
    mode: ScatterMode,
    operand: &Array,
    updates: &Array,
    starts: &[Array],
    inside: Option<&Array>,
    stream: Stream,
) -> mlx::Result<Array> {
    let nan_last = mode == ScatterMode::Max;
    let keys = float_order::to_keys_with_nan(operand, nan_last, stream)?;
    let (greatest, least) = float_order::limits(keys.dtype())?;
    let updates = float_order::to_keys_with_nan(updates, nan_last, stream)?;
    let updates = masked(geometry, &updates, inside, if nan_last { &least } else { &greatest }, stream)?;
    let result = scatter(geometry, mode, &keys, &updates, starts, stream)?;
    float_order::from_keys(&result, operand.dtype(), stream)
}
