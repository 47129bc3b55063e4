//! Scans of floats along one axis and extrema of windows, by the host's processor.
//!
//! Each step of a scan is made in a precision in which its error does not grow with the number of steps, as it does in
//! the scans of MLX's CPU backend.
#![forbid(unsafe_code)]

use std::convert::identity;
use std::hint::cold_path;
use std::marker::PhantomData;
use std::sync::Arc;

use super::super::combiner::Combiner;
use super::super::reduce::host::{Fold, extremum_loop};
use super::cumulative::Scan;
use super::windows::Windows;
use crate::mlx::{self, Array, Dtype, HostFunction, Stream};

/// What a scan keeps of the elements so far.
trait Step<const N: usize> {
    type State: Copy;
    const START: Self::State;
    /// The state after one more element, and the result there.
    fn step(state: Self::State, element: [u8; N]) -> (Self::State, [u8; N]);
}

struct Sum<T>(PhantomData<T>);
struct Product<T>(PhantomData<T>);
struct LogSumExp;
struct Best<F>(PhantomData<F>);

impl Step<4> for Sum<f32> {
    type State = f64;
    const START: f64 = 0.0;
    fn step(state: f64, element: [u8; 4]) -> (f64, [u8; 4]) {
        let state = state + f64::from(f32::from_ne_bytes(element));
        (state, (state as f32).to_ne_bytes())
    }
}

impl Step<4> for Product<f32> {
    type State = f64;
    const START: f64 = 1.0;
    fn step(state: f64, element: [u8; 4]) -> (f64, [u8; 4]) {
        let state = state * f64::from(f32::from_ne_bytes(element));
        (state, (state as f32).to_ne_bytes())
    }
}

/// Steps whose state leaves f32's range with the result: what has overflowed or vanished does not come back.
struct Limited<S>(PhantomData<S>);

impl<S: Step<4, State = f64>> Step<4> for Limited<S> {
    type State = f64;
    const START: f64 = S::START;
    fn step(state: f64, element: [u8; 4]) -> (f64, [u8; 4]) {
        let (state, result) = S::step(state, element);
        let rounded = f32::from_ne_bytes(result);
        (if rounded.is_finite() && rounded != 0.0 { state } else { f64::from(rounded) }, result)
    }
}

/// Scans as if f64's range were f32's; `VANISH`: results may be 0 where the state is not.
fn limited<S: Step<4, State = f64>, const VANISH: bool>(input: &[u8], output: &mut [u8], extent: Extent) {
    let bytes = 4 * extent.0 * extent.1;
    for (input, output) in input.chunks_exact(bytes).zip(output.chunks_exact_mut(bytes)) {
        run::<4, S>(input, output, extent);
        // Rare, so that most scans are spared to look at each step.
        let out_of_range = output.as_chunks::<4>().0.iter().fold(false, |any, &result| {
            let result = f32::from_ne_bytes(result);
            any | !result.is_finite() | (VANISH & (result == 0.0))
        });
        if out_of_range {
            run::<4, Limited<S>>(input, output, extent);
        }
    }
}

/// The state of a result and what its rounding left out, and the two as one number.
fn compensated(sum: f64, rest: f64) -> ((f64, f64), [u8; 8]) {
    let rest = if sum.is_finite() && rest.is_finite() { rest } else { 0.0 };
    ((sum, rest), (sum + rest).to_ne_bytes())
}

impl Step<8> for Sum<f64> {
    type State = (f64, f64);
    const START: (f64, f64) = (0.0, 0.0);
    fn step((sum, rest): (f64, f64), element: [u8; 8]) -> ((f64, f64), [u8; 8]) {
        // Knuth's exact sum of two numbers.
        let element = f64::from_ne_bytes(element);
        let next = sum + element;
        let added = next - sum;
        compensated(next, rest + ((sum - (next - added)) + (element - added)))
    }
}

impl Step<8> for Product<f64> {
    type State = (f64, f64);
    const START: (f64, f64) = (1.0, 0.0);
    fn step((product, rest): (f64, f64), element: [u8; 8]) -> ((f64, f64), [u8; 8]) {
        let element = f64::from_ne_bytes(element);
        let next = product * element;
        let rest = if next == 0.0 { 0.0 } else { rest * element + product.mul_add(element, -next) };
        compensated(next, rest)
    }
}

impl Step<4> for LogSumExp {
    /// The greatest element, and the sum of all exponentials over its own.
    type State = (f32, f64);
    const START: (f32, f64) = (f32::NEG_INFINITY, 0.0);
    fn step((greatest, sum): (f32, f64), element: [u8; 4]) -> ((f32, f64), [u8; 4]) {
        let element = f32::from_ne_bytes(element);
        let (least, next) = if element > greatest { (greatest, element) } else { (element, greatest) };
        let state = if element.is_nan() || greatest.is_nan() {
            (f32::NAN, 1.0)
        } else if least == next {
            (next, sum + 1.0)
        } else {
            let ratio = (f64::from(least) - f64::from(next)).exp();
            (next, if element > greatest { sum * ratio + 1.0 } else { sum + ratio })
        };
        (state, ((f64::from(state.0) + state.1.ln()) as f32).to_ne_bytes())
    }
}

impl<const N: usize, F: Fold<N, Value: Ord>> Step<N> for Best<F> {
    /// The extremum in the order of `F`, and as it stands.
    type State = (F::Value, [u8; N]);
    const START: Self::State = (F::IDENTITY, F::NOTHING);
    fn step(best: Self::State, element: [u8; N]) -> (Self::State, [u8; N]) {
        let value = F::read(element);
        if value <= best.0 {
            return (best, best.1);
        }
        // Seldom: as a branch that is foreseen, it does not make one step wait for the other.
        cold_path();
        ((value, element), element)
    }
}

/// Elements along the axis and behind it, and whether the scan runs backwards.
type Extent = (usize, usize, bool);
type Run = fn(&[u8], &mut [u8], Extent);

fn function(scan: Scan, dtype: Dtype) -> Option<Run> {
    Some(match (scan, dtype) {
        (Scan::LogAddExp, Dtype::Float32) => run::<4, LogSumExp>,
        // The parts of complex numbers are added each for itself.
        (Scan::Combiner(Combiner::Add), Dtype::Float32 | Dtype::Complex64) => limited::<Sum<f32>, false>,
        (Scan::Combiner(Combiner::Add), Dtype::Float64) => run::<8, Sum<f64>>,
        (Scan::Combiner(Combiner::Multiply), Dtype::Float32) => limited::<Product<f32>, true>,
        (Scan::Combiner(Combiner::Multiply), Dtype::Float64) => run::<8, Product<f64>>,
        (Scan::Combiner(combiner), dtype) => return extremum_loop!(combiner, dtype, best as Run),
        _ => return None,
    })
}

/// The scan, where it is made here: long ones of a backend that would make them less precise with their length, and
/// extrema. The dtype stays.
///
/// # Errors
/// What MLX refuses.
pub fn scan(scan: Scan, a: &Array, axis: i32, reverse: bool, stream: Stream) -> mlx::Result<Option<Array>> {
    let can = stream.capabilities();
    let (length, behind) = a.shape()[axis as usize..].split_first().expect("the axis is one of the array's");
    let length = *length as usize;
    let here = match scan {
        Scan::Combiner(Combiner::Maximum | Combiner::Minimum) => can.host_functions,
        _ => length > can.longest_sum,
    };
    let (true, Some(run)) = (here, function(scan, a.dtype())) else { return Ok(None) };
    let parts = if a.dtype() == Dtype::Complex64 { 2 } else { 1 };
    let behind = behind.iter().map(|&size| size as usize).product::<usize>() * parts;
    let function: Arc<HostFunction> = Arc::new(move |inputs, outputs| {
        run(inputs[0], outputs[0], (length, behind, reverse));
        Ok(())
    });
    let stream = if can.host_functions { stream } else { Stream::cpu()? };
    Ok(Some(mlx::host_call(&function, &[a], &[(a.shape(), a.dtype())], stream)?.remove(0)))
}

fn run<const N: usize, S: Step<N>>(input: &[u8], output: &mut [u8], (length, behind, reverse): Extent) {
    let (input, output) = (input.as_chunks::<N>().0, output.as_chunks_mut::<N>().0);
    let mut states = vec![S::START; behind];
    for (input, output) in input.chunks_exact(length * behind).zip(output.chunks_exact_mut(length * behind)) {
        if behind == 1 {
            let mut state = S::START;
            let step = |(&element, result): (&[u8; N], &mut [u8; N])| (state, *result) = S::step(state, element);
            let elements = input.iter().zip(output);
            if reverse {
                elements.rev().for_each(step)
            } else {
                elements.for_each(step)
            }
            continue;
        }
        states.fill(S::START);
        let rows = input.chunks_exact(behind).zip(output.chunks_exact_mut(behind));
        let step = |(row, results): (&[[u8; N]], &mut [[u8; N]])| {
            for ((state, &element), result) in states.iter_mut().zip(row).zip(results) {
                (*state, *result) = S::step(*state, element);
            }
        };
        if reverse { rows.rev().for_each(step) } else { rows.for_each(step) }
    }
}

/// The extrema of all elements so far.
fn best<const N: usize, F: Fold<N, Value: Ord>>(input: &[u8], output: &mut [u8], extent: Extent) {
    run::<N, Best<F>>(input, output, extent);
}

/// Windows along one axis: positions along it and behind it, then the windows' number, length, distance and dilation.
struct Slide {
    size: usize,
    behind: usize,
    count: usize,
    window: usize,
    stride: usize,
    dilation: usize,
}

/// Longest window that is reduced element by element.
const LONGEST_WINDOW: i32 = 16;

/// Extrema of windows of a padded array, axis by axis; None for what is not reduced here.
///
/// # Errors
/// What MLX refuses.
pub fn windows(combiner: Combiner, padded: &Array, windows: &Windows, stream: Stream) -> mlx::Result<Option<Array>> {
    let short = windows.axes().all(|(_, window, _, _)| window <= LONGEST_WINDOW);
    if !short || !stream.capabilities().host_functions {
        return Ok(None);
    }
    type Run = fn(&[u8], &mut [u8], &[Slide]);
    let Some(run) = extremum_loop!(combiner, padded.dtype(), slide as Run) else { return Ok(None) };
    let mut slides = Vec::new();
    for (axis, (count, window, stride, dilation)) in windows.axes().enumerate() {
        // Axes in front come first: their rows are long.
        let (size, behind) = padded.shape()[axis..].split_first().expect("a window has the array's axes");
        if count != *size || window > 1 {
            let [size, count, window, stride, dilation] = [*size, count, window, stride, dilation].map(|n| n as usize);
            let behind = behind.iter().map(|&size| size as usize).product();
            slides.push(Slide { size, behind, count, window, stride, dilation });
        }
    }
    if slides.is_empty() {
        return Ok(None);
    }
    let shape: Vec<i32> = windows.axes().map(|(count, ..)| count).collect();
    let function: Arc<HostFunction> = Arc::new(move |inputs, outputs| {
        run(inputs[0], outputs[0], &slides);
        Ok(())
    });
    Ok(Some(mlx::host_call(&function, &[padded], &[(&shape, padded.dtype())], stream)?.remove(0)))
}

fn slide<const N: usize, F: Fold<N>>(input: &[u8], output: &mut [u8], slides: &[Slide]) {
    let mut lines: Vec<Vec<F::Value>> = slides.iter().map(|slide| vec![F::IDENTITY; slide.behind]).collect();
    let results = &mut output.as_chunks_mut::<N>().0.iter_mut();
    along::<N, F, _>(input.as_chunks::<N>().0, F::read, slides, &mut lines, results);
}

/// Reduces the windows of the first axis line by line, and in each line those of the axes behind it.
fn along<const N: usize, F: Fold<N>, T: Copy>(
    source: &[T],
    read: impl Fn(T) -> F::Value + Copy,
    slides: &[Slide],
    lines: &mut [Vec<F::Value>],
    results: &mut std::slice::IterMut<'_, [u8; N]>,
) {
    let (Some((slide, slides)), Some((line, lines))) = (slides.split_first(), lines.split_first_mut()) else {
        return results.zip(source).for_each(|(result, &value)| *result = F::write(read(value)));
    };
    for block in source.chunks_exact(slide.size * slide.behind) {
        let places = |start: usize| (0..slide.window).map(move |index| start + index * slide.dilation);
        let starts = (0..slide.count).map(|index| index * slide.stride);
        if slide.behind == 1 && slides.is_empty() {
            for (start, result) in starts.zip(&mut *results) {
                let value = places(start).fold(F::IDENTITY, |value, place| F::combine(value, read(block[place])));
                *result = F::write(value);
            }
            continue;
        }
        for start in starts {
            line.fill(F::IDENTITY);
            for row in places(start).map(|place| &block[place * slide.behind..][..slide.behind]) {
                for (value, &element) in line.iter_mut().zip(row) {
                    *value = F::combine(*value, read(element));
                }
            }
            along::<N, F, F::Value>(line, identity, slides, lines, results);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scanned<S: Step<4>>(values: &[f32], extent: Extent) -> Vec<f32> {
        made(run::<4, S>, values, extent)
    }

    fn made(run: Run, values: &[f32], extent: Extent) -> Vec<f32> {
        let input: Vec<u8> = values.iter().flat_map(|value| value.to_ne_bytes()).collect();
        let mut output = vec![0; input.len()];
        run(&input, &mut output, extent);
        output.as_chunks::<4>().0.iter().map(|&value| f32::from_ne_bytes(value)).collect()
    }

    #[test]
    fn both_directions_and_all_axes() {
        let values = [1., 2., 3., 4., 5., 6., 7., 8.];
        assert_eq!(scanned::<Sum<f32>>(&values, (4, 1, false)), [1., 3., 6., 10., 5., 11., 18., 26.]);
        assert_eq!(scanned::<Sum<f32>>(&values, (4, 1, true)), [10., 9., 7., 4., 26., 21., 15., 8.]);
        assert_eq!(scanned::<Sum<f32>>(&values, (2, 2, false)), [1., 2., 4., 6., 5., 6., 12., 14.]);
        assert_eq!(scanned::<Sum<f32>>(&values, (2, 2, true)), [4., 6., 3., 4., 12., 14., 7., 8.]);
        assert_eq!(scanned::<Product<f32>>(&values, (8, 1, false))[7], 40320.);
    }

    #[test]
    fn errors_do_not_grow() {
        let ones = vec![1.; 1 << 25];
        assert_eq!(*scanned::<Sum<f32>>(&ones, (1 << 25, 1, false)).last().unwrap(), (1 << 25) as f32);
        let result = *scanned::<LogSumExp>(&vec![0.; 1 << 22], (1 << 22, 1, false)).last().unwrap();
        assert_eq!(result, (22. * std::f64::consts::LN_2) as f32);
    }

    #[test]
    fn overflow_stays() {
        let (sum, product): (Run, Run) = (limited::<Sum<f32>, false>, limited::<Product<f32>, true>);
        assert_eq!(made(sum, &[3e38, 3e38, -3e38], (3, 1, false)), [3e38, f32::INFINITY, f32::INFINITY]);
        assert_eq!(made(sum, &[1., -1., 1e-30, 2.], (4, 1, false)), [1., 0., 1e-30, 2.]);
        assert_eq!(made(product, &[1e-30, 1e-30, 1e30], (3, 1, false)), [1e-30, 0., 0.]);
        assert_eq!(made(product, &[1e30, 1e30, 1e-30], (3, 1, false)), [1e30, f32::INFINITY, f32::INFINITY]);
    }

    #[test]
    fn logarithms_of_sums_take_all_values() {
        let (infinity, nan) = (f32::INFINITY, f32::NAN);
        let results = scanned::<LogSumExp>(&[-infinity, -infinity, 1., infinity, 0., nan, 0.], (7, 1, false));
        assert_eq!(results[..5], [-infinity, -infinity, 1., infinity, infinity]);
        assert!(results[5].is_nan() && results[6].is_nan());
        let results = scanned::<LogSumExp>(&[0., 0., 1000.], (3, 1, true));
        assert_eq!(results, [1000., 1000., 1000.]);
    }

    #[test]
    fn f64_is_compensated() {
        let count = 1usize << 16;
        let input: Vec<u8> = (0..count).flat_map(|_| 0.1f64.to_ne_bytes()).collect();
        let mut output = vec![0; input.len()];
        run::<8, Sum<f64>>(&input, &mut output, (count, 1, false));
        let last = f64::from_ne_bytes(*output.as_chunks::<8>().0.last().unwrap());
        assert_eq!(last, 0.1 * count as f64);
    }
}
