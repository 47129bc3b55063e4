//! Tridiagonal systems of complex numbers that may be singular: LAPACK's lagtf and lagts know real ones only.
#![forbid(unsafe_code)]

use mlx_lapack::Complex;

type Wide = Complex<f64>;

fn size(z: Wide) -> f64 {
    z.re.hypot(z.im)
}

/// x of `A x = b` for each column of b (n rows each), in place. `below[i]` and `above[i]` stand in row i. Gaussian
/// elimination with partial pivoting; pivots below the rounding of the largest element of U are raised to it, as lagts
/// does, so that the vectors of an eigenvalue come out of inverse iteration. Computed in f64.
pub(super) fn solve_perturbed(
    below: &[Complex<f32>],
    diagonal: &[Complex<f32>],
    above: &[Complex<f32>],
    b: &mut [Complex<f32>],
) {
    let n = diagonal.len();
    if n == 0 {
        return;
    }
    let wide = |part: &[Complex<f32>]| -> Vec<Wide> {
        part.iter().map(|z| Complex { re: f64::from(z.re), im: f64::from(z.im) }).collect()
    };
    let zero = Wide::default();
    let (below, mut pivots, mut first) = (wide(below), wide(diagonal), wide(above));
    first[n - 1] = zero;
    let mut second = vec![zero; n];
    // What each step does to the right-hand side: a factor, and whether two rows change places.
    let mut steps = Vec::with_capacity(n);
    for row in 0..n - 1 {
        let under = below[row + 1];
        let swapped = size(pivots[row]) < size(under);
        let factor = if swapped {
            let factor = pivots[row] / under;
            let (next, beyond) = (pivots[row + 1], first[row + 1]);
            pivots[row + 1] = first[row] - factor * next;
            first[row + 1] = -(factor * beyond);
            (pivots[row], first[row], second[row]) = (under, next, beyond);
            factor
        } else {
            let factor = if under == zero { zero } else { under / pivots[row] };
            pivots[row + 1] -= factor * first[row];
            factor
        };
        steps.push((factor, swapped));
    }
    let largest = [&pivots, &first, &second].into_iter().flatten().map(|&z| size(z)).fold(0.0, f64::max);
    let least = f64::from(f32::EPSILON) * if largest == 0.0 { 1.0 } else { largest };
    for pivot in &mut pivots {
        let size = size(*pivot);
        if size < least {
            *pivot = if size == 0.0 { Complex { re: least, im: 0.0 } } else { *pivot * (least / size) };
        }
    }
    for column in b.chunks_exact_mut(n) {
        let mut x = wide(column);
        for (row, &(factor, swapped)) in steps.iter().enumerate() {
            if swapped {
                x.swap(row, row + 1);
            }
            let known = factor * x[row];
            x[row + 1] -= known;
        }
        for row in (0..n).rev() {
            let mut rest = x[row];
            if row + 1 < n {
                rest -= first[row] * x[row + 1];
            }
            if row + 2 < n {
                rest -= second[row] * x[row + 2];
            }
            x[row] = rest / pivots[row];
        }
        for (element, x) in column.iter_mut().zip(x) {
            *element = Complex { re: x.re as f32, im: x.im as f32 };
        }
    }
}
