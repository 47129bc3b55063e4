//! Sorting with any comparator: a bitonic network over whole arrays, made stable by the elements' positions.
#![forbid(unsafe_code)]

use super::super::axes::reversed;
use super::super::{Context, LowerError, Lowered, Region};
use crate::mlx::{self, Array, Arrays, Dtype, Stream};
use crate::program::Op;

pub(super) fn lower(context: &mut Context<'_>, op: &Op, axis: i32) -> Result<Lowered, LowerError> {
    let count = op.results.len();
    let region = context.scalar_region(op, &op.regions[0])?;
    let body = region.clone();
    Ok(Lowered::new(move |inputs, stream| {
        let shape = inputs[0].shape().to_vec();
        let length = shape[axis as usize];
        let network = Network { region: &body, inputs, length, stream };
        let mut rows = Arrays::new();
        for operand in &inputs[..count] {
            rows.push(to_rows(operand, axis, stream)?);
        }
        let width = rows[0].shape()[1];
        let padded = (length as u32).next_power_of_two() as i32;
        let positions = mlx::reshape(&mlx::arange(padded, Dtype::Int32, stream)?, &[padded, 1], stream)?;
        let missing = padded - length;
        for row in &mut rows {
            // What fills up is never looked at: its position puts it behind.
            let fill = mlx::zeros(&[missing, width], row.dtype(), stream)?;
            *row = mlx::concatenate(&[row, &fill], 0, stream)?;
        }
        rows.push(mlx::broadcast_to(&positions, &[padded, width], stream)?);
        let sorted = network.sort(rows)?;
        sorted[..count]
            .iter()
            .map(|row| {
                let row = mlx::slice(row, &[0, 0], &[length, width], &[1, 1], stream)?;
                from_rows(&row, axis, &shape, stream)
            })
            .collect()
    })
    .with_region(&region))
}

/// The axis in front, everything else flat.
fn to_rows(a: &Array, axis: i32, stream: Stream) -> mlx::Result<Array> {
    Ok(super::super::axes::rows(a, &[axis], stream)?.0)
}

fn from_rows(rows: &Array, axis: i32, shape: &[i32], stream: Stream) -> mlx::Result<Array> {
    let mut front = shape.to_vec();
    let length = front.remove(axis as usize);
    front.insert(0, length);
    let mut order: Vec<i32> = (1..shape.len() as i32).collect();
    order.insert(axis as usize, 0);
    mlx::transpose(&mlx::reshape(rows, &front, stream)?, &order, stream)
}

struct Network<'a> {
    region: &'a Region,
    inputs: &'a [&'a Array],
    length: i32,
    stream: Stream,
}

impl Network<'_> {
    /// Sorts operands and, last, positions: `[padded, width]` each.
    fn sort(&self, mut rows: Arrays) -> mlx::Result<Arrays> {
        let padded = rows[0].shape()[0];
        let mut block = 2;
        while block <= padded {
            // The second half of each block meets the first one back to front, then ever nearer neighbours meet.
            rows = self.stage(&rows, block / 2, true)?;
            let mut distance = block / 4;
            while distance >= 1 {
                rows = self.stage(&rows, distance, false)?;
                distance /= 2;
            }
            block *= 2;
        }
        Ok(rows)
    }

    fn stage(&self, rows: &[Array], distance: i32, mirrored: bool) -> mlx::Result<Arrays> {
        let stream = self.stream;
        let (padded, width) = (rows[0].shape()[0], rows[0].shape()[1]);
        let pairs = padded / (2 * distance);
        let mut first = Arrays::new();
        let mut second = Arrays::new();
        for row in rows {
            let blocks = mlx::reshape(row, &[pairs, 2, distance, width], stream)?;
            let half = |index: i32| {
                let half =
                    mlx::slice(&blocks, &[0, index, 0, 0], &[pairs, index + 1, distance, width], &[1; 4], stream)?;
                if mirrored && index == 1 { reversed(&half, 2, stream) } else { Ok(half) }
            };
            first.push(half(0)?);
            second.push(half(1)?);
        }
        let in_order = self.in_order(&first, &second)?;
        first
            .iter()
            .zip(&second)
            .map(|(first, second)| {
                let low = mlx::select(&in_order, first, second, stream)?;
                let high = mlx::select(&in_order, second, first, stream)?;
                let high = if mirrored { reversed(&high, 2, stream)? } else { high };
                mlx::reshape(&mlx::concatenate(&[&low, &high], 1, stream)?, &[padded, width], stream)
            })
            .collect()
    }

    /// Where the first elements stand before the second ones.
    fn in_order(&self, first: &[Array], second: &[Array]) -> mlx::Result<Array> {
        let stream = self.stream;
        let count = first.len() - 1;
        let compare = |left: &[Array], right: &[Array]| {
            let arguments: Vec<&Array> = left[..count].iter().zip(right).flat_map(|(a, b)| [a, b]).collect();
            Ok::<Array, mlx::Error>(self.region.call(&arguments, self.inputs, stream)?.swap_remove(0))
        };
        let (less, greater) = (compare(first, second)?, compare(second, first)?);
        let before = mlx::less(&first[count], &second[count], stream)?;
        // Equal elements, also those of a comparator that says less both ways, keep their order.
        let tie = mlx::equal(&less, &greater, stream)?;
        let by_value = mlx::select(&tie, &before, &less, stream)?;
        let length = Array::scalar(self.length)?;
        let both = mlx::less(&mlx::maximum(&first[count], &second[count], stream)?, &length, stream)?;
        mlx::select(&both, &by_value, &before, stream)
    }
}
