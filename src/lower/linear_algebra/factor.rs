//! Cholesky factors and triangular systems, dense and row-major: by our own loops, or by LAPACK and BLAS.
//!
//! A row-major matrix is to LAPACK the transposed one: its other triangle is read, and systems are solved from the other
//! side, without a copy. LAPACK is given finite matrices only: it leaves out products by zero, also those of NaN.
#![forbid(unsafe_code)]

use mlx_lapack::{Operation, Triangle, TriangularSystem};

use super::field::{Field, dot};

/// Greatest real matrix that the reference LAPACK factors in less time than the loops here.
const SMALL: usize = 64;

/// The triangle that LAPACK finds in memory where ours is the lower one, or the upper.
fn transposed_triangle(lower: bool) -> Triangle {
    if lower { Triangle::Upper } else { Triangle::Lower }
}

fn all_finite<T: Field>(a: &[T]) -> bool {
    // Without a way out, so that the compiler uses vectors.
    a.iter().fold(true, |finite, element| finite & element.finite())
}

/// The factor L of `L Lᴴ = A`, of which the lower triangle is read, or else U of `Uᴴ U = A`, in place of A (n by n);
/// zeros in the other triangle. NaN everywhere unless A is positive definite. `tuned`: LAPACK is faster whatever the size.
pub(super) fn factor<T: Field>(a: &mut Vec<T>, n: usize, lower: bool, tuned: bool) {
    if (tuned || (n <= SMALL && !T::COMPLEX))
        && all_finite(a)
        && let Ok(info) = T::potrf(transposed_triangle(lower), n, a)
    {
        // A pivot is NaN where numbers became too large on the way.
        if info != 0 || !(0..n).all(|row| a[row * n + row].finite()) {
            return a.fill(T::NAN);
        }
        for (row, elements) in a.chunks_exact_mut(n).enumerate() {
            if lower { &mut elements[row + 1..] } else { &mut elements[..row] }.fill(T::ZERO);
        }
        return;
    }
    if lower {
        cholesky(a, n);
        return;
    }
    // U is the conjugate transpose of L, made from the conjugates of the upper triangle.
    *a = adjoint(a, n);
    cholesky(a, n);
    *a = adjoint(a, n);
}

fn adjoint<T: Field>(a: &[T], n: usize) -> Vec<T> {
    let mut result = transpose(a, n, n);
    result.iter_mut().for_each(|element| *element = element.conjugate());
    result
}

/// Columns that are finished at a time: so many rows stay in the processor's cache.
const BLOCK: usize = 64;

/// [`factor`] of the lower triangle by our own loops.
fn cholesky<T: Field>(a: &mut [T], n: usize) {
    // Rows of conjugates save conjugating in every product.
    let mut conjugates = vec![T::ZERO; a.len()];
    for first in (0..n).step_by(BLOCK) {
        let last = (first + BLOCK).min(n);
        for row in first..n {
            for column in first..last.min(row + 1) {
                let known = dot(&a[row * n..row * n + first], &conjugates[column * n..column * n + first]);
                a[row * n + column] -= known;
            }
        }
        for row in first..n {
            for column in first..last.min(row + 1) {
                let (begin, end) = (column * n + first, column * n + column);
                let left = dot(&a[row * n + first..row * n + column], &conjugates[begin..end]);
                let rest = a[row * n + column] - left;
                let value = if column < row {
                    rest.over(a[column * n + column])
                } else if let Some(pivot) = rest.pivot() {
                    pivot
                } else {
                    return a.fill(T::NAN);
                };
                a[row * n + column] = value;
                conjugates[row * n + column] = value.conjugate();
            }
        }
    }
    for row in 0..n {
        a[row * n + row + 1..(row + 1) * n].fill(T::ZERO);
    }
}

/// Columns of right-hand sides that are solved at a time.
const PANEL: usize = 64;

/// X of `L X = B` in place of B (n rows of m), for a lower triangular L; what stands above is not read.
fn solve_lower<T: Field>(l: &[T], b: &mut [T], n: usize, m: usize, unit_diagonal: bool) {
    if m < 8 {
        // Few right-hand sides: one dot product each.
        let mut x = vec![T::ZERO; n];
        for column in 0..m {
            for row in 0..n {
                let rest = b[row * m + column] - dot(&l[row * n..row * n + row], &x[..row]);
                x[row] = if unit_diagonal { rest } else { rest.over(l[row * n + row]) };
                b[row * m + column] = x[row];
            }
        }
        return;
    }
    let mut panel = vec![T::ZERO; n * PANEL.min(m)];
    for first in (0..m).step_by(PANEL) {
        let width = PANEL.min(m - first);
        let panel = &mut panel[..n * width];
        for (row, values) in panel.chunks_exact_mut(width).enumerate() {
            values.copy_from_slice(&b[row * m + first..row * m + first + width]);
        }
        for row in 0..n {
            let (known, rest) = panel.split_at_mut(row * width);
            let target = &mut rest[..width];
            let factors = &l[row * n..row * n + row];
            // Four known rows at a time: the target is loaded and stored once for all.
            let mut fours = factors.chunks_exact(4);
            let mut rows = known.chunks_exact(4 * width);
            for (factors, rows) in (&mut fours).zip(&mut rows) {
                let (first, rest) = rows.split_at(width);
                let (second, rest) = rest.split_at(width);
                let (third, fourth) = rest.split_at(width);
                for (index, value) in target.iter_mut().enumerate() {
                    *value -= (factors[0] * first[index] + factors[1] * second[index])
                        + (factors[2] * third[index] + factors[3] * fourth[index]);
                }
            }
            for (&factor, row) in fours.remainder().iter().zip(rows.remainder().chunks_exact(width)) {
                for (value, &known) in target.iter_mut().zip(row) {
                    *value -= factor * known;
                }
            }
            if !unit_diagonal {
                let diagonal = l[row * n + row];
                for value in target {
                    *value = value.over(diagonal);
                }
            }
        }
        for (row, values) in panel.chunks_exact(width).enumerate() {
            b[row * m + first..row * m + first + width].copy_from_slice(values);
        }
    }
}

/// Rows become columns.
fn transpose<T: Field>(a: &[T], rows: usize, columns: usize) -> Vec<T> {
    let mut result = Vec::with_capacity(a.len());
    for column in 0..columns {
        result.extend((0..rows).map(|row| a[row * columns + column]));
    }
    result
}

/// How a triangular system is asked for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct System {
    /// `op(A) X = B`, not `X op(A) = B`.
    pub left: bool,
    /// Which triangle of A is read.
    pub lower: bool,
    pub unit_diagonal: bool,
    pub transposed: bool,
    pub conjugated: bool,
}

/// X of a triangular system; A is n by n, B has `rows` by `columns`. `tuned`: BLAS is faster whatever the size.
pub(super) fn solve<T: Field>(system: System, a: &[T], b: &[T], n: usize, size: (usize, usize), tuned: bool) -> Vec<T> {
    // The reference BLAS is faster where we would have to transpose a real A for a single right-hand side.
    let single = !T::COMPLEX && system.transposed == system.left && b.len() == n;
    if tuned || single {
        solve_by_blas(system, a, b, n, size).unwrap_or_else(|| solve_triangular(system, a, b, n, size))
    } else {
        solve_triangular(system, a, b, n, size)
    }
}

/// [`solve`] by BLAS, which may multiply by the reciprocals of pivots; None where that or its other liberties show.
pub(super) fn solve_by_blas<T: Field>(
    system: System,
    a: &[T],
    b: &[T],
    n: usize,
    (rows, columns): (usize, usize),
) -> Option<Vec<T>> {
    let divides = || system.unit_diagonal || (0..n).all(|row| a[row * n + row].has_normal_square());
    if !all_finite(a) || !divides() {
        return None;
    }
    let transposed = TriangularSystem {
        left: !system.left,
        triangle: transposed_triangle(system.lower),
        operation: match (system.transposed, system.conjugated) {
            (false, _) => Operation::None,
            (true, false) => Operation::Transpose,
            (true, true) => Operation::Adjoint,
        },
        unit_diagonal: system.unit_diagonal,
    };
    let mut x = b.to_vec();
    T::trsm(transposed, (columns, rows), a, &mut x).ok()?;
    all_finite(&x).then_some(x)
}

/// [`solve`] by our own loops.
fn solve_triangular<T: Field>(system: System, a: &[T], b: &[T], n: usize, (rows, columns): (usize, usize)) -> Vec<T> {
    // X op(A) = B is op(A)ᵀ Xᵀ = Bᵀ.
    let transposed = system.transposed == system.left;
    let lower = system.lower != transposed;
    let mut triangle = if transposed { transpose(a, n, n) } else { a.to_vec() };
    if system.conjugated {
        triangle.iter_mut().for_each(|element| *element = element.conjugate());
    }
    let (mut x, m) = if system.left { (b.to_vec(), columns) } else { (transpose(b, rows, columns), rows) };
    // An upper triangle read backwards is a lower one.
    if !lower {
        triangle.reverse();
        reverse_rows(&mut x, m);
    }
    solve_lower(&triangle, &mut x, n, m, system.unit_diagonal);
    if !lower {
        reverse_rows(&mut x, m);
    }
    if system.left { x } else { transpose(&x, columns, rows) }
}

fn reverse_rows<T: Field>(a: &mut [T], columns: usize) {
    if columns == 0 {
        return;
    }
    let rows = a.len() / columns;
    for row in 0..rows / 2 {
        let (upper, lower) = a.split_at_mut((rows - 1 - row) * columns);
        upper[row * columns..(row + 1) * columns].swap_with_slice(&mut lower[..columns]);
    }
}
