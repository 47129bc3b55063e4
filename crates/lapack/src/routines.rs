//! The routines, for f32, f64 and complex numbers of f32.

use num_complex::Complex;

use crate::call::{Read, Unused, Written, call, expect, info, int, leading, with_workspace};
use crate::{Error, Operation, Real, Scalar, SingularVectors, SvdMethod, Triangle, TriangularSystem};

fn letter(triangle: Triangle) -> u8 {
    match triangle {
        Triangle::Lower => b'L',
        Triangle::Upper => b'U',
    }
}

/// Whether vectors are computed.
fn vectors_letter(wanted: bool) -> u8 {
    if wanted { b'V' } else { b'N' }
}

/// The mode of gesdd and gesvd, and the columns of U and rows of Vᴴ.
fn vectors_of(vectors: SingularVectors, m: usize, n: usize) -> (u8, usize, usize) {
    match vectors {
        SingularVectors::None => (b'N', 0, 0),
        SingularVectors::Thin => (b'S', m.min(n), m.min(n)),
        SingularVectors::Full => (b'A', m, n),
    }
}

/// A matrix of n by n, or nothing.
fn expect_square_if_any<T>(matrix: &[T], n: usize) -> Result<(), Error> {
    expect(matrix, if matrix.is_empty() { 0 } else { n * n })
}

/// The routines that are alike for real and complex numbers, but for their names, and a workspace of reals that some have
/// for complex numbers only (its name stands last).
macro_rules! common {
    ($prefix:literal, $orthogonal:literal, $symmetric:literal, $adjoint:literal $(, $reals:ident)?) => {
        fn getrf(m: usize, n: usize, a: &mut [Self], pivots: &mut [i32]) -> Result<i32, Error> {
            expect(a, m * n)?;
            expect(pivots, m.min(n))?;
            info!(concat!($prefix, "getrf"), &int(m)?, &int(n)?, Written(a), &leading(m)?, Written(pivots))
        }

        fn geqrf(m: usize, n: usize, a: &mut [Self], taus: &mut [Self]) -> Result<i32, Error> {
            expect(a, m * n)?;
            expect(taus, m.min(n))?;
            with_workspace(n, |work: &mut [Self], size| {
                info!(
                    concat!($prefix, "geqrf"),
                    &int(m)?, &int(n)?, Written(a), &leading(m)?, Written(taus), Written(work), &size
                )
            })
        }

        fn geqp3(m: usize, n: usize, a: &mut [Self], columns: &mut [i32], taus: &mut [Self]) -> Result<i32, Error> {
            expect(a, m * n)?;
            expect(columns, n)?;
            expect(taus, m.min(n))?;
            $(let mut $reals: Vec<Self::Real> = vec![0.0; 2 * n];)?
            with_workspace(3 * n + 1, |work: &mut [Self], size| {
                info!(
                    concat!($prefix, "geqp3"),
                    &int(m)?, &int(n)?, Written(a), &leading(m)?, Written(columns), Written(taus), Written(work), &size
                    $(, Written(&mut $reals))?
                )
            })
        }

        fn orgqr(m: usize, n: usize, a: &mut [Self], taus: &[Self]) -> Result<i32, Error> {
            expect(a, m * n)?;
            if m < n || taus.len() > n {
                return Err(Error::Sizes("as many rows as columns expected, and no more reflectors"));
            }
            with_workspace(n, |work: &mut [Self], size| {
                info!(
                    concat!($prefix, $orthogonal, "gqr"),
                    &int(m)?, &int(n)?, &int(taus.len())?, Written(a), &leading(m)?, Read(taus), Written(work), &size
                )
            })
        }

        fn ormqr(
            left: bool,
            adjoint: bool,
            (m, n): (usize, usize),
            a: &[Self],
            taus: &[Self],
            c: &mut [Self],
        ) -> Result<i32, Error> {
            let (order, width) = if left { (m, n) } else { (n, m) };
            expect(c, m * n)?;
            if taus.len() > order || a.len() < order * taus.len() {
                return Err(Error::Sizes("more reflectors than the matrix has rows or columns"));
            }
            // unmqr writes to A and puts back what was there.
            let mut a = a.to_vec();
            let (side, operation) = (if left { b'L' } else { b'R' }, if adjoint { $adjoint } else { b'N' });
            with_workspace(width, |work: &mut [Self], size| {
                info!(
                    concat!($prefix, $orthogonal, "mqr"),
                    &side, &operation, &int(m)?, &int(n)?, &int(taus.len())?, Written(&mut a), &leading(order)?,
                    Read(taus), Written(c), &leading(m)?, Written(work), &size; 1, 1
                )
            })
        }

        fn gehrd(n: usize, low: usize, high: usize, a: &mut [Self], taus: &mut [Self]) -> Result<i32, Error> {
            expect(a, n * n)?;
            expect(taus, n.saturating_sub(1))?;
            if low < 1 || low > n.max(1) || high < low.min(n) || high > n {
                return Err(Error::Sizes("rows of the matrix expected"));
            }
            with_workspace(n, |work: &mut [Self], size| {
                info!(
                    concat!($prefix, "gehrd"),
                    &int(n)?, &int(low)?, &int(high)?, Written(a), &leading(n)?, Written(taus), Written(work), &size
                )
            })
        }

        fn sytrd(
            triangle: Triangle,
            n: usize,
            a: &mut [Self],
            diagonal: &mut [Self::Real],
            beside: &mut [Self::Real],
            taus: &mut [Self],
        ) -> Result<i32, Error> {
            expect(a, n * n)?;
            expect(diagonal, n)?;
            expect(beside, n.saturating_sub(1))?;
            expect(taus, n.saturating_sub(1))?;
            with_workspace(1, |work: &mut [Self], size| {
                info!(
                    concat!($prefix, $symmetric, "trd"),
                    &letter(triangle), &int(n)?, Written(a), &leading(n)?, Written(diagonal), Written(beside),
                    Written(taus), Written(work), &size; 1
                )
            })
        }

        fn gtsv(
            n: usize,
            below: &mut [Self],
            diagonal: &mut [Self],
            above: &mut [Self],
            b: &mut [Self],
        ) -> Result<i32, Error> {
            expect(below, n.saturating_sub(1))?;
            expect(diagonal, n)?;
            expect(above, n.saturating_sub(1))?;
            if n == 0 {
                return expect(b, 0).map(|()| 0);
            }
            let columns = b.len() / n;
            expect(b, n * columns)?;
            info!(
                concat!($prefix, "gtsv"),
                &int(n)?, &int(columns)?, Written(below), Written(diagonal), Written(above), Written(b), &leading(n)?
            )
        }

        fn potrf(triangle: Triangle, n: usize, a: &mut [Self]) -> Result<i32, Error> {
            expect(a, n * n)?;
            info!(concat!($prefix, "potrf"), &letter(triangle), &int(n)?, Written(a), &leading(n)?; 1)
        }

        fn trsm(
            system: TriangularSystem,
            (m, n): (usize, usize),
            a: &[Self],
            b: &mut [Self],
        ) -> Result<(), Error> {
            let TriangularSystem { left, triangle, operation, unit_diagonal } = system;
            let order = if left { m } else { n };
            expect(a, order * order)?;
            expect(b, m * n)?;
            let operation = match operation {
                Operation::None => b'N',
                Operation::Transpose => b'T',
                Operation::Adjoint => b'C',
            };
            let (side, diagonal) = (if left { b'L' } else { b'R' }, if unit_diagonal { b'U' } else { b'N' });
            call!(
                concat!($prefix, "trsm"),
                &side, &letter(triangle), &operation, &diagonal, &int(m)?, &int(n)?, &Self::ONE, Read(a),
                &leading(order)?, Written(b), &leading(m)?; 1, 1, 1, 1
            );
            Ok(())
        }

        fn svd(
            method: SvdMethod,
            vectors: SingularVectors,
            (m, n): (usize, usize),
            a: &mut [Self],
            values: &mut [Self::Real],
            u: &mut [Self],
            vh: &mut [Self],
        ) -> Result<i32, Error> {
            let (mode, columns, rows) = vectors_of(vectors, m, n);
            let few = m.min(n);
            expect(a, m * n)?;
            expect(values, few)?;
            expect(u, m * columns)?;
            expect(vh, rows * n)?;
            let mut integers = vec![0i32; 8 * few];
            // gesdd's two formulas, and gesvd's 5 min(m, n).
            $(let mut $reals: Vec<Self::Real> =
                vec![0.0; (few * (5 * few + 7)).max(2 * m * n + 2 * few * few + few).max(1)];)?
            let (u_rows, vh_rows) = (leading(m)?, leading(rows)?);
            with_workspace(1, |work: &mut [Self], size| match method {
                SvdMethod::DivideAndConquer => info!(
                    concat!($prefix, "gesdd"),
                    &mode, &int(m)?, &int(n)?, Written(a), &leading(m)?, Written(values), Written(u), &u_rows,
                    Written(vh), &vh_rows, Written(work), &size $(, Written(&mut $reals))?, Written(&mut integers); 1
                ),
                SvdMethod::Qr => info!(
                    concat!($prefix, "gesvd"),
                    &mode, &mode, &int(m)?, &int(n)?, Written(a), &leading(m)?, Written(values), Written(u), &u_rows,
                    Written(vh), &vh_rows, Written(work), &size $(, Written(&mut $reals))?; 1, 1
                ),
            })
        }

        fn syevd(
            vectors: bool,
            triangle: Triangle,
            n: usize,
            a: &mut [Self],
            values: &mut [Self::Real],
        ) -> Result<i32, Error> {
            expect(a, n * n)?;
            expect(values, n)?;
            let least = if vectors { 1 + 6 * n + 2 * n * n } else { 2 * n + 1 };
            // What LAPACK's documentation asks for with vectors; a query would answer the same.
            $(let mut $reals: Vec<Self::Real> = vec![0.0; 1 + 5 * n + 2 * n * n];)?
            let mut integers = vec![0i32; 3 + 5 * n];
            with_workspace(least, |work: &mut [Self], size| {
                info!(
                    concat!($prefix, $symmetric, "evd"),
                    &vectors_letter(vectors), &letter(triangle), &int(n)?, Written(a), &leading(n)?, Written(values),
                    Written(work), &size $(, Written(&mut $reals), &int(1 + 5 * n + 2 * n * n)?)?,
                    Written(&mut integers), &int(3 + 5 * n)?; 1, 1
                )
            })
        }
    };
}

macro_rules! real {
    ($real:ident, $prefix:literal) => {
        impl Real for $real {
            fn tridiagonal_solve_perturbed(
                n: usize,
                below: &[Self],
                diagonal: &[Self],
                above: &[Self],
                b: &mut [Self],
            ) -> Result<i32, Error> {
                for part in [below, diagonal, above] {
                    expect(part, n)?;
                }
                if n == 0 {
                    return Ok(0);
                }
                expect(b, n * (b.len() / n))?;
                let (mut a, mut first) = (diagonal.to_vec(), above[..n - 1].to_vec());
                let (mut lower, mut second) = (below[1..].to_vec(), vec![0.0; n.saturating_sub(2)]);
                let (mut swaps, zero): (_, Self) = (vec![0i32; n], 0.0);
                let factored: Result<i32, Error> = info!(
                    concat!($prefix, "lagtf"),
                    &int(n)?, Written(&mut a), &zero, Written(&mut first), Written(&mut lower), &zero,
                    Written(&mut second), Written(&mut swaps)
                );
                let mut info = factored?;
                // Job -1: (A - λ) x = y, tiny pivots perturbed; a tolerance of 0 is replaced by its default.
                let mut tolerance: Self = 0.0;
                for column in b.chunks_exact_mut(n) {
                    call!(
                        concat!($prefix, "lagts"),
                        &-1i32, &int(n)?, Read(&a), Read(&first), Read(&lower), Read(&second), Read(&swaps),
                        Written(column), &mut tolerance, &mut info
                    );
                }
                Ok(info)
            }
        }

        impl Scalar for $real {
            type Real = Self;

            const ONE: Self = 1.0;

            fn real(self) -> f64 {
                f64::from(self)
            }

            fn finite(self) -> bool {
                self.is_finite()
            }

            common!($prefix, "or", "sy", b'T');

            fn geev(
                n: usize,
                a: &mut [Self],
                values: &mut [Complex<Self>],
                left: &mut [Complex<Self>],
                right: &mut [Complex<Self>],
            ) -> Result<i32, Error> {
                expect(a, n * n)?;
                expect(values, n)?;
                expect_square_if_any(left, n)?;
                expect_square_if_any(right, n)?;
                let modes = [&left, &right].map(|vectors| vectors_letter(!vectors.is_empty()));
                let mut packed = [vec![0.0; left.len()], vec![0.0; right.len()]];
                let [packed_left, packed_right] = &mut packed;
                let (mut re, mut im): (Vec<Self>, Vec<Self>) = (vec![0.0; n], vec![0.0; n]);
                let info = with_workspace(4 * n, |work: &mut [Self], size| {
                    info!(
                        concat!($prefix, "geev"),
                        &modes[0], &modes[1], &int(n)?, Written(a), &leading(n)?, Written(&mut re), Written(&mut im),
                        Written(packed_left), &leading(n)?, Written(packed_right), &leading(n)?, Written(work),
                        &size; 1, 1
                    )
                })?;
                join(&re, &im, values);
                for (vectors, packed) in [left, right].into_iter().zip(&packed) {
                    if !vectors.is_empty() {
                        unpack(n, &im, packed, vectors);
                    }
                }
                Ok(info)
            }

            fn gees(
                n: usize,
                a: &mut [Self],
                vectors: &mut [Self],
                values: &mut [Complex<Self>],
            ) -> Result<i32, Error> {
                expect(a, n * n)?;
                expect(values, n)?;
                expect_square_if_any(vectors, n)?;
                let (mode, mut selected) = (vectors_letter(!vectors.is_empty()), 0i32);
                let (mut re, mut im): (Vec<Self>, Vec<Self>) = (vec![0.0; n], vec![0.0; n]);
                let info = with_workspace(3 * n, |work: &mut [Self], size| {
                    info!(
                        concat!($prefix, "gees"),
                        &mode, &b'N', Unused, &int(n)?, Written(a), &leading(n)?, &mut selected, Written(&mut re),
                        Written(&mut im), Written(vectors), &leading(n)?, Written(work), &size, Unused; 1, 1
                    )
                })?;
                join(&re, &im, values);
                Ok(info)
            }
        }
    };
}

/// Complex numbers from their parts.
fn join<T: Real>(re: &[T], im: &[T], values: &mut [Complex<T>]) {
    for (value, (&re, &im)) in values.iter_mut().zip(re.iter().zip(im)) {
        *value = Complex::new(re, im);
    }
}

/// Eigenvectors of a real matrix: a real one is a column, a conjugate pair is two, of real and imaginary parts.
fn unpack<T: Real>(n: usize, imaginary: &[T], packed: &[T], vectors: &mut [Complex<T>]) {
    let zero = T::default();
    let mut column = 0;
    while column < n {
        let first = column * n;
        if imaginary[column] == zero || column + 1 == n {
            for row in 0..n {
                vectors[first + row] = Complex { re: packed[first + row], im: zero };
            }
            column += 1;
        } else {
            for row in 0..n {
                let (re, im) = (packed[first + row], packed[first + n + row]);
                vectors[first + row] = Complex { re, im };
                vectors[first + n + row] = Complex { re, im: -im };
            }
            column += 2;
        }
    }
}

real!(f32, "s");
real!(f64, "d");

impl Scalar for Complex<f32> {
    type Real = f32;

    const ONE: Self = Complex { re: 1.0, im: 0.0 };

    fn real(self) -> f64 {
        f64::from(self.re)
    }

    fn finite(self) -> bool {
        self.re.is_finite() && self.im.is_finite()
    }

    common!("c", "un", "he", b'C', reals);

    fn geev(
        n: usize,
        a: &mut [Self],
        values: &mut [Self],
        left: &mut [Self],
        right: &mut [Self],
    ) -> Result<i32, Error> {
        expect(a, n * n)?;
        expect(values, n)?;
        expect_square_if_any(left, n)?;
        expect_square_if_any(right, n)?;
        let modes = [&left, &right].map(|vectors| vectors_letter(!vectors.is_empty()));
        let mut reals = vec![0f32; 2 * n];
        with_workspace(2 * n, |work: &mut [Self], size| {
            info!(
                "cgeev",
                &modes[0], &modes[1], &int(n)?, Written(a), &leading(n)?, Written(values), Written(left),
                &leading(n)?, Written(right), &leading(n)?, Written(work), &size, Written(&mut reals); 1, 1
            )
        })
    }

    fn gees(n: usize, a: &mut [Self], vectors: &mut [Self], values: &mut [Self]) -> Result<i32, Error> {
        expect(a, n * n)?;
        expect(values, n)?;
        expect_square_if_any(vectors, n)?;
        let (mode, mut selected, mut reals) = (vectors_letter(!vectors.is_empty()), 0i32, vec![0f32; n]);
        with_workspace(2 * n, |work: &mut [Self], size| {
            info!(
                "cgees",
                &mode, &b'N', Unused, &int(n)?, Written(a), &leading(n)?, &mut selected, Written(values),
                Written(vectors), &leading(n)?, Written(work), &size, Written(&mut reals), Unused; 1, 1
            )
        })
    }
}
