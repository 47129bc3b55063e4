//! Reductions of floats along one axis after the other, by the host's processor.
//!
//! MLX's CPU backend adds a row into one accumulator: the error of a sum grows with its length, until nothing that is
//! added is left. Here each accumulator takes few elements, and accumulators are combined in pairs.
#![forbid(unsafe_code)]

use std::marker::PhantomData;
use std::sync::Arc;

use super::super::combiner::Combiner;
use crate::mlx::{self, Array, Dtype, HostFunction, Stream};

/// Elements that one accumulator takes.
const RUN: usize = 16;
/// Accumulators of a row side by side, which the processor's vectors hold.
const LANES: usize = 16;
/// Columns that are reduced together: their accumulators stay in the nearest cache.
const TILE: usize = 2048;

/// How elements of `N` bytes are combined.
pub trait Fold<const N: usize> {
    /// An accumulator.
    type Value: Copy;
    /// Changes nothing.
    const IDENTITY: Self::Value;
    /// The identity as an element.
    const NOTHING: [u8; N];
    /// An element as an accumulator.
    fn read(element: [u8; N]) -> Self::Value;
    /// Combines two accumulators.
    fn combine(a: Self::Value, b: Self::Value) -> Self::Value;
    /// An accumulator as an element.
    fn write(value: Self::Value) -> [u8; N];
}

/// Addition of floats.
struct Sum<T>(PhantomData<T>);
/// Multiplication of floats.
struct Product<T>(PhantomData<T>);
/// The greatest float, or the least, of the integer type's width and with this infinity: -0 is less than +0, NaN wins.
pub struct Extremum<T, const GREATEST: bool, const INFINITY: i64>(PhantomData<T>);

macro_rules! arithmetic {
    ($($fold:ident, $float:ty, $bytes:literal, $identity:literal, $operator:tt;)*) => {$(
        impl Fold<$bytes> for $fold<$float> {
            type Value = $float;
            const IDENTITY: $float = $identity;
            const NOTHING: [u8; $bytes] = Self::IDENTITY.to_ne_bytes();
            fn read(element: [u8; $bytes]) -> $float {
                <$float>::from_ne_bytes(element)
            }
            fn combine(a: $float, b: $float) -> $float {
                a $operator b
            }
            fn write(value: $float) -> [u8; $bytes] {
                value.to_ne_bytes()
            }
        }
    )*};
}

arithmetic! {
    Sum, f32, 4, 0.0, +;
    Sum, f64, 8, 0.0, +;
    Product, f64, 8, 1.0, *;
}

impl Fold<4> for Product<f32> {
    // Every multiplication rounds, in whatever order: in f32 the error would grow with their number, and factors that
    // come to the same accumulator could leave its range though the product does not.
    type Value = f64;
    const IDENTITY: f64 = 1.0;
    const NOTHING: [u8; 4] = 1f32.to_ne_bytes();
    fn read(element: [u8; 4]) -> f64 {
        f64::from(f32::from_ne_bytes(element))
    }
    fn combine(a: f64, b: f64) -> f64 {
        a * b
    }
    fn write(value: f64) -> [u8; 4] {
        (value as f32).to_ne_bytes()
    }
}

macro_rules! extremum {
    ($($integer:ty, $bytes:literal;)*) => {$(
        impl<const GREATEST: bool, const INFINITY: i64> Extremum<$integer, GREATEST, INFINITY> {
            const SHIFT: $integer = {
                let lowest = INFINITY as $integer | if GREATEST { <$integer>::MIN } else { 0 };
                <$integer>::MIN.wrapping_sub(Self::turned(lowest))
            };

            /// Integers of the floats' order, for the least the other way round; NaN at both ends.
            const fn turned(bits: $integer) -> $integer {
                let key = bits ^ ((bits >> (<$integer>::BITS - 1)) & <$integer>::MAX);
                if GREATEST { key } else { !key }
            }
        }

        impl<const GREATEST: bool, const INFINITY: i64> Fold<$bytes> for Extremum<$integer, GREATEST, INFINITY> {
            /// As turned, and shifted round so that every NaN is above all numbers.
            type Value = $integer;
            const IDENTITY: $integer = <$integer>::MIN;
            const NOTHING: [u8; $bytes] =
                (INFINITY as $integer | if GREATEST { <$integer>::MIN } else { 0 }).to_ne_bytes();
            fn read(element: [u8; $bytes]) -> $integer {
                Self::turned(<$integer>::from_ne_bytes(element)).wrapping_add(Self::SHIFT)
            }
            fn combine(a: $integer, b: $integer) -> $integer {
                a.max(b)
            }
            fn write(value: $integer) -> [u8; $bytes] {
                let infinity = INFINITY as $integer;
                let greatest = infinity | if GREATEST { 0 } else { <$integer>::MIN };
                if value > Self::turned(greatest).wrapping_add(Self::SHIFT) {
                    // The exponent's bits and the first of the fraction.
                    return (infinity | ((infinity & infinity.wrapping_neg()) >> 1)).to_ne_bytes();
                }
                let key = value.wrapping_sub(Self::SHIFT);
                let key = if GREATEST { key } else { !key };
                (key ^ ((key >> (<$integer>::BITS - 1)) & <$integer>::MAX)).to_ne_bytes()
            }
        }
    )*};
}

extremum! {
    i16, 2;
    i32, 4;
    i64, 8;
}

/// The bits of infinity.
pub(in crate::lower) mod infinity {
    pub(in crate::lower) const F16: i64 = 0x7c00;
    pub(in crate::lower) const BF16: i64 = 0x7f80;
    pub(in crate::lower) const F32: i64 = 0x7f80_0000;
    pub(in crate::lower) const F64: i64 = 0x7ff0_0000_0000_0000;
}

/// The loop for maxima or minima of floats of a dtype: `loop::<N, F>`, as a pointer of the type given, for elements of N
/// bytes that [`Fold`] F combines. None for other combiners and dtypes.
macro_rules! extremum_loop {
    ($combiner:expr, $dtype:expr, $loop:ident as $pointer:ty) => {{
        use $crate::lower::combiner::Combiner::{Maximum, Minimum};
        use $crate::lower::reduce::host::Extremum;
        use $crate::lower::reduce::host::infinity::{BF16, F16, F32, F64};
        use $crate::mlx::Dtype::{Bfloat16, Float16, Float32, Float64};
        match ($combiner, $dtype) {
            (Maximum, Float16) => Some($loop::<2, Extremum<i16, true, F16>> as $pointer),
            (Maximum, Bfloat16) => Some($loop::<2, Extremum<i16, true, BF16>> as $pointer),
            (Maximum, Float32) => Some($loop::<4, Extremum<i32, true, F32>> as $pointer),
            (Maximum, Float64) => Some($loop::<8, Extremum<i64, true, F64>> as $pointer),
            (Minimum, Float16) => Some($loop::<2, Extremum<i16, false, F16>> as $pointer),
            (Minimum, Bfloat16) => Some($loop::<2, Extremum<i16, false, BF16>> as $pointer),
            (Minimum, Float32) => Some($loop::<4, Extremum<i32, false, F32>> as $pointer),
            (Minimum, Float64) => Some($loop::<8, Extremum<i64, false, F64>> as $pointer),
            _ => None,
        }
    }};
}
pub(in crate::lower) use extremum_loop;

/// An axis to be reduced: elements before it, along it and behind it.
type Pass = (usize, usize, usize);
type Run = fn(&[u8], &mut [u8], &[Pass]);

fn function(combiner: Combiner, dtype: Dtype) -> Option<Run> {
    Some(match (combiner, dtype) {
        // The parts of complex numbers are added each for itself.
        (Combiner::Add, Dtype::Float32 | Dtype::Complex64) => run::<4, Sum<f32>>,
        (Combiner::Add, Dtype::Float64) => run::<8, Sum<f64>>,
        (Combiner::Multiply, Dtype::Float32) => run::<4, Product<f32>>,
        (Combiner::Multiply, Dtype::Float64) => run::<8, Product<f64>>,
        _ => return extremum_loop!(combiner, dtype, run as Run),
    })
}

/// Reduces over the axes (sorted; none of size 0), dropping them; the dtype stays. None for what is not reduced here.
///
/// # Errors
/// What MLX refuses.
pub fn reduce(combiner: Combiner, a: &Array, axes: &[i32], stream: Stream) -> mlx::Result<Option<Array>> {
    let Some(run) = function(combiner, a.dtype()) else { return Ok(None) };
    let passes = passes(a.shape(), axes, if a.dtype() == Dtype::Complex64 { 2 } else { 1 });
    let kept: Vec<i32> =
        (0..a.rank()).filter(|&axis| !axes.contains(&(axis as i32))).map(|axis| a.shape()[axis]).collect();
    let function: Arc<HostFunction> = Arc::new(move |inputs, outputs| {
        run(inputs[0], outputs[0], &passes);
        Ok(())
    });
    Ok(Some(mlx::host_call(&function, &[a], &[(&kept, a.dtype())], stream)?.remove(0)))
}

/// Neighbouring axes are reduced as one, the last ones first.
fn passes(shape: &[i32], axes: &[i32], parts: usize) -> Vec<Pass> {
    let mut passes: Vec<Pass> = Vec::new();
    let mut behind = parts;
    let mut continues = false;
    for (axis, &size) in shape.iter().enumerate().rev() {
        let size = size as usize;
        let reduced = axes.contains(&(axis as i32));
        match passes.last_mut() {
            Some((_, length, _)) if reduced && continues => *length *= size,
            _ if reduced => passes.push((0, size, behind)),
            _ => behind *= size,
        }
        // An axis of one element separates nothing.
        continues = reduced || (continues && size == 1);
        let before = shape[..axis].iter().map(|&size| size as usize).product();
        if let (true, Some(pass)) = (reduced, passes.last_mut()) {
            pass.0 = before;
        }
    }
    passes
}

fn run<const N: usize, F: Fold<N>>(input: &[u8], output: &mut [u8], passes: &[Pass]) {
    let mut reduced: Option<Vec<[u8; N]>> = None;
    for &(before, length, behind) in passes {
        let source = reduced.as_deref().unwrap_or(input.as_chunks::<N>().0);
        let mut results = Vec::with_capacity(before * behind);
        let mut scratch = Scratch { partial: Vec::new(), unused: Vec::new() };
        for block in source.chunks_exact(length * behind) {
            if behind == 1 {
                results.push(F::write(row::<N, F>(block)));
            } else {
                columns::<N, F>(block, behind, &mut scratch, &mut results);
            }
        }
        reduced = Some(results);
    }
    if let Some(results) = reduced {
        output.copy_from_slice(results.as_flattened());
    }
}

fn row<const N: usize, F: Fold<N>>(elements: &[[u8; N]]) -> F::Value {
    if elements.len() > LANES * RUN {
        let half = (elements.len() / 2).next_multiple_of(LANES * RUN);
        let (left, right) = elements.split_at(half);
        return F::combine(row::<N, F>(left), row::<N, F>(right));
    }
    let mut sums = [F::IDENTITY; LANES];
    let (lines, rest) = elements.as_chunks::<LANES>();
    for line in lines {
        for (sum, &element) in sums.iter_mut().zip(line) {
            *sum = F::combine(*sum, F::read(element));
        }
    }
    for (sum, &element) in sums.iter_mut().zip(rest) {
        *sum = F::combine(*sum, F::read(element));
    }
    let mut lanes = LANES;
    while lanes > 1 {
        lanes /= 2;
        for lane in 0..lanes {
            sums[lane] = F::combine(sums[lane], sums[lane + lanes]);
        }
    }
    sums[0]
}

/// Memory of [`columns`], kept between calls.
struct Scratch<V> {
    /// Combinations of runs: of `RUN` lines times the powers of two that make up the number of runs so far.
    partial: Vec<Vec<V>>,
    unused: Vec<Vec<V>>,
}

/// Reduces `elements`, rows of `width`, to one row.
fn columns<const N: usize, F: Fold<N>>(
    elements: &[[u8; N]],
    width: usize,
    scratch: &mut Scratch<F::Value>,
    results: &mut Vec<[u8; N]>,
) {
    let rows = elements.len() / width;
    // Several rows side by side make a line, where rows are short.
    let mut side_by_side = 1;
    while side_by_side * 2 * width <= 4 * LANES && side_by_side * RUN <= rows {
        side_by_side *= 2;
    }
    let line = side_by_side * width;
    for start in (0..line).step_by(TILE) {
        let size = TILE.min(line - start);
        for (runs, run) in elements.chunks(line * RUN).enumerate() {
            let mut sum = scratch.unused.pop().unwrap_or_default();
            sum.clear();
            sum.resize(size, F::IDENTITY);
            for line in run.chunks(line) {
                let tile = &line[start.min(line.len())..(start + size).min(line.len())];
                for (sum, &element) in sum.iter_mut().zip(tile) {
                    *sum = F::combine(*sum, F::read(element));
                }
            }
            for _ in 0..runs.trailing_ones() {
                absorb::<N, F>(&mut sum, scratch);
            }
            scratch.partial.push(sum);
        }
        let mut sum = scratch.partial.pop().unwrap_or_default();
        while !scratch.partial.is_empty() {
            absorb::<N, F>(&mut sum, scratch);
        }
        let mut rows = side_by_side;
        while rows > 1 {
            rows /= 2;
            for index in 0..rows * width {
                sum[index] = F::combine(sum[index], sum[index + rows * width]);
            }
        }
        results.extend(sum.iter().take(size / side_by_side).map(|&value| F::write(value)));
        scratch.unused.push(sum);
    }
}

/// Combines the latest partial result into a later one.
fn absorb<const N: usize, F: Fold<N>>(sum: &mut [F::Value], scratch: &mut Scratch<F::Value>) {
    if let Some(earlier) = scratch.partial.pop() {
        for (sum, &earlier) in sum.iter_mut().zip(&earlier) {
            *sum = F::combine(earlier, *sum);
        }
        scratch.unused.push(earlier);
    }
}

#[cfg(test)]
mod tests {
    use super::infinity::F32;
    use super::*;

    fn bytes(values: &[f32]) -> Vec<u8> {
        values.iter().flat_map(|value| value.to_ne_bytes()).collect()
    }

    fn floats(bytes: &[u8]) -> Vec<f32> {
        bytes.as_chunks::<4>().0.iter().map(|&value| f32::from_ne_bytes(value)).collect()
    }

    #[test]
    fn neighbouring_axes_are_one() {
        assert_eq!(passes(&[2, 3, 4, 5], &[1, 2], 1), [(2, 12, 5)]);
        assert_eq!(passes(&[2, 3, 4, 5], &[0, 3], 1), [(24, 5, 1), (1, 2, 12)]);
        assert_eq!(passes(&[2, 1, 4], &[0, 2], 1), [(1, 8, 1)]);
        assert_eq!(passes(&[2, 3], &[0, 1], 2), [(1, 6, 2)]);
    }

    #[test]
    fn sums_of_all_shapes_are_right() {
        // Integers: every order has the same sum.
        let shapes: [&[i32]; 8] =
            [&[1], &[15], &[257], &[5000, 3], &[33, 70], &[3, 40, 2], &[19, 2100], &[2, 17, 3, 18]];
        for shape in shapes {
            let count: i32 = shape.iter().product();
            let values: Vec<f32> = (0..count).map(|index| (index % 13) as f32).collect();
            for mask in 1..1 << shape.len() {
                let axes: Vec<i32> = (0..shape.len() as i32).filter(|axis| mask >> axis & 1 == 1).collect();
                let kept: Vec<usize> = (0..shape.len()).filter(|&axis| !axes.contains(&(axis as i32))).collect();
                let size: usize = kept.iter().map(|&axis| shape[axis] as usize).product();
                let mut expected = vec![0f32; size];
                for (index, value) in values.iter().enumerate() {
                    let mut rest = index;
                    let mut place = vec![0; shape.len()];
                    for axis in (0..shape.len()).rev() {
                        place[axis] = rest % shape[axis] as usize;
                        rest /= shape[axis] as usize;
                    }
                    expected[kept.iter().fold(0, |at, &axis| at * shape[axis] as usize + place[axis])] += value;
                }
                let mut output = vec![0; size * 4];
                run::<4, Sum<f32>>(&bytes(&values), &mut output, &passes(shape, &axes, 1));
                assert_eq!(floats(&output), expected, "{shape:?} over {axes:?}");
            }
        }
    }

    #[test]
    fn long_sums_lose_nothing() {
        let ones = bytes(&vec![1f32; 1 << 25]);
        let mut output = vec![0; 4];
        run::<4, Sum<f32>>(&ones, &mut output, &[(1, 1 << 25, 1)]);
        assert_eq!(floats(&output), [(1 << 25) as f32]);
        let mut output = vec![0; 8];
        run::<4, Sum<f32>>(&ones, &mut output, &[(1, 1 << 24, 2)]);
        assert_eq!(floats(&output), [(1 << 24) as f32; 2]);
    }

    #[test]
    fn products_are_precise() {
        let product = |values: &[f32]| {
            let mut output = vec![0; 4];
            run::<4, Product<f32>>(&bytes(values), &mut output, &[(1, values.len(), 1)]);
            floats(&output)[0]
        };
        let factors: Vec<f32> = (0..100_000).map(|index| if index % 2 == 0 { 1.5 } else { 1.0 / 1.5 }).collect();
        let expected = (f64::from(1.0f32 / 1.5) * 1.5).powi(50_000) as f32;
        assert!((product(&factors) - expected).abs() <= f32::EPSILON * expected);
        assert_eq!(product(&[1e30; 100]), f32::INFINITY);
        assert_eq!(product(&[1e-30; 100]), 0.0);
    }

    #[test]
    fn zeros_have_an_order_and_nan_wins() {
        let one = |values: &[f32]| {
            let mut greatest = vec![0; 4];
            let mut least = vec![0; 4];
            run::<4, Extremum<i32, true, F32>>(&bytes(values), &mut greatest, &[(1, values.len(), 1)]);
            run::<4, Extremum<i32, false, F32>>(&bytes(values), &mut least, &[(1, values.len(), 1)]);
            (floats(&greatest)[0], floats(&least)[0])
        };
        let (greatest, least) = one(&[-0.0, 0.0]);
        assert!(greatest == 0.0 && greatest.is_sign_positive() && least == 0.0 && least.is_sign_negative());
        let (greatest, least) = one(&[0.0, -0.0]);
        assert!(greatest == 0.0 && greatest.is_sign_positive() && least == 0.0 && least.is_sign_negative());
        assert_eq!(one(&[3.0, f32::NEG_INFINITY, f32::INFINITY, -5.0]), (f32::INFINITY, f32::NEG_INFINITY));
        assert_eq!(one(&[1e-45, -1e-45, 2.0]), (2.0, -1e-45));
        for nan in [f32::NAN, -f32::NAN] {
            let (greatest, least) = one(&[1.0, nan, f32::INFINITY]);
            assert!(greatest.is_nan() && least.is_nan());
        }
    }
}
