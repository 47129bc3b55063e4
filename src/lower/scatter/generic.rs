//! Scatters with any body: elements are combined one update after the other, in the order of the updates.
#![forbid(unsafe_code)]

use super::super::reduce::call;
use super::super::{Lowered, Region};
use super::geometry::Geometry;
use crate::mlx::{self, Array, Arrays, Dtype, ScatterMode, Stream};

/// `unique`: no two updates meet in one element.
pub(super) fn lower(geometry: Geometry, region: Region, count: usize, unique: bool) -> Lowered {
    let body = region.clone();
    let lowered = Lowered::new(move |inputs, stream| {
        let can = stream.capabilities();
        let here = inputs[..count].iter().all(|operand| can.scatters(ScatterMode::Set, operand.dtype()));
        let stream = if here { stream } else { Stream::cpu()? };
        let destinations = geometry.destinations(inputs[count], stream)?;
        let mut operands =
            inputs[..count].iter().map(|operand| with_sink(operand, stream)).collect::<mlx::Result<Arrays>>()?;
        let updates = inputs[count + 1..2 * count + 1]
            .iter()
            .map(|updates| mlx::reshape(&geometry.windows(updates, stream)?, &[-1], stream))
            .collect::<mlx::Result<Arrays>>()?;
        if unique {
            operands = combine_round(&body, &operands, &destinations, &updates, inputs, stream)?;
        } else {
            for selection in rounds(&destinations, geometry.sink(), stream)? {
                let updates = updates
                    .iter()
                    .map(|each| mlx::take(each, &selection, 0, stream))
                    .collect::<mlx::Result<Arrays>>()?;
                let destinations = mlx::take(&destinations, &selection, 0, stream)?;
                operands = combine_round(&body, &operands, &destinations, &updates, inputs, stream)?;
            }
        }
        operands
            .iter()
            .map(|operand| {
                let kept = mlx::slice(operand, &[0], &[operand.shape()[0] - 1], &[1], stream)?;
                mlx::reshape(&kept, &geometry.result, stream)
            })
            .collect()
    })
    .with_region(&region);
    if unique { lowered } else { lowered.blocking() }
}

/// Combines flat updates with flat operands at their destinations, one after the other where these repeat; what goes to
/// the sink is dropped.
///
/// # Errors
/// What MLX refuses.
pub fn in_rounds(
    body: &Region,
    mut operands: Arrays,
    destinations: &Array,
    sink: i64,
    updates: &[Array],
    kernel_inputs: &[&Array],
    stream: Stream,
) -> mlx::Result<Arrays> {
    for selection in rounds(destinations, sink, stream)? {
        let updates =
            updates.iter().map(|each| mlx::take(each, &selection, 0, stream)).collect::<mlx::Result<Arrays>>()?;
        let destinations = mlx::take(destinations, &selection, 0, stream)?;
        operands = combine_round(body, &operands, &destinations, &updates, kernel_inputs, stream)?;
    }
    Ok(operands)
}

/// The operand flat, with one more element for updates out of bounds.
fn with_sink(operand: &Array, stream: Stream) -> mlx::Result<Array> {
    let flat = mlx::reshape(operand, &[-1], stream)?;
    mlx::concatenate(&[&flat, &mlx::zeros(&[1], operand.dtype(), stream)?], 0, stream)
}

/// Combines updates whose destinations are distinct, the sink aside.
fn combine_round(
    body: &Region,
    operands: &[Array],
    destinations: &Array,
    updates: &[Array],
    kernel_inputs: &[&Array],
    stream: Stream,
) -> mlx::Result<Arrays> {
    let present =
        operands.iter().map(|operand| mlx::take(operand, destinations, 0, stream)).collect::<mlx::Result<Arrays>>()?;
    let combined = call(body, &present, updates, kernel_inputs, stream)?;
    operands
        .iter()
        .zip(&combined)
        .map(|(operand, combined)| {
            let updates = mlx::reshape(combined, &[-1, 1], stream)?;
            mlx::scatter(ScatterMode::Set, operand, &[destinations], &updates, &[0], stream)
        })
        .collect()
}

/// Positions of the updates, split so that no destination comes twice in a round and the order at each destination is
/// kept. How many rounds there are is only known to the data, so that the host waits for it here.
fn rounds(destinations: &Array, sink: i64, stream: Stream) -> mlx::Result<Vec<Array>> {
    let count = destinations.shape()[0];
    // On the host: a sort by destination, and the number of earlier updates of the same destination.
    let destinations = mlx::for_host(&mlx::astype(destinations, Dtype::Int64, stream)?, stream)?;
    let values: Vec<i64> = destinations
        .as_bytes()?
        .chunks_exact(8)
        .map(|bytes| i64::from_le_bytes(bytes.try_into().expect("chunks of eight bytes")))
        .collect();
    let mut order: Vec<i32> = (0..count).collect();
    order.sort_by_key(|&position| values[position as usize]);
    let mut rounds: Vec<Vec<i32>> = Vec::new();
    let mut round = 0;
    for (index, &position) in order.iter().enumerate() {
        let destination = values[position as usize];
        let repeated = index > 0 && values[order[index - 1] as usize] == destination;
        round = if repeated { round + 1 } else { 0 };
        if destination == sink {
            continue;
        }
        if round == rounds.len() {
            rounds.push(Vec::new());
        }
        rounds[round].push(position);
    }
    rounds
        .iter()
        .map(|positions| {
            let bytes: Vec<u8> = positions.iter().flat_map(|position| position.to_le_bytes()).collect();
            Array::from_bytes(&bytes, &[positions.len() as i32], Dtype::Int32)
        })
        .collect()
}

impl Geometry {
    /// Flat position of the element after the operand's last.
    fn sink(&self) -> i64 {
        self.indexing.operand.iter().map(|&size| i64::from(size)).product()
    }

    /// Flat position in the operand of each element of the updates; the sink for those out of bounds.
    fn destinations(&self, indices: &Array, stream: Stream) -> mlx::Result<Array> {
        let rank = self.indexing.operand.len();
        let wide = self.sink() >= i64::from(i32::MAX);
        let dtype = if wide { Dtype::Int64 } else { Dtype::Int32 };
        let scalar = |value: i64| if wide { Array::scalar(value) } else { Array::scalar(value as i32) };
        let mut strides = vec![1i64; rank];
        for axis in (0..rank - 1).rev() {
            strides[axis] = strides[axis + 1] * i64::from(self.indexing.operand[axis + 1]);
        }
        // Offsets of a window's elements, then the start of each window.
        let mut sum = mlx::zeros(&vec![1; rank + 1], dtype, stream)?;
        let mut add = |values: &Array, axis: usize, stride: i64| -> mlx::Result<()> {
            let mut shape = vec![1; rank + 1];
            shape[axis] = values.shape()[0];
            let values = mlx::multiply(&mlx::astype(values, dtype, stream)?, &scalar(stride)?, stream)?;
            sum = mlx::add(&sum, &mlx::reshape(&values, &shape, stream)?, stream)?;
            Ok(())
        };
        for (axis, &stride) in strides.iter().enumerate() {
            add(&mlx::arange(self.indexing.window[axis], Dtype::Int32, stream)?, axis + 1, stride)?;
        }
        for (start, &axis) in self.indexing.starts(indices, stream)?.iter().zip(&self.indexing.axes) {
            add(start, 0, strides[axis as usize])?;
        }
        if let Some(inside) = self.inside(indices, stream)? {
            let mut shape = vec![1; rank + 1];
            shape[0] = self.updates[0];
            let inside = mlx::reshape(&inside, &shape, stream)?;
            sum = mlx::select(&inside, &sum, &scalar(self.sink())?, stream)?;
        }
        let sum = mlx::broadcast_to(&sum, &self.updates, stream)?;
        mlx::reshape(&sum, &[-1], stream)
    }
}
