//! The routines, for f32, f64 and complex numbers of f32.

use std::ffi::c_void;
use std::fmt::Debug;

use num_complex::Complex;

use crate::library::Routine;
use crate::{Error, SingularVectors, SvdMethod, Triangle};

/// What a Fortran routine takes: the address of everything.
trait Argument {
    fn pointer(self) -> *mut c_void;
}

impl<T> Argument for &T {
    fn pointer(self) -> *mut c_void {
        std::ptr::from_ref(self).cast_mut().cast()
    }
}

impl<T> Argument for &mut T {
    fn pointer(self) -> *mut c_void {
        std::ptr::from_mut(self).cast()
    }
}

/// The elements of a slice that is only read.
struct Read<'a, T>(&'a [T]);

impl<T> Argument for Read<'_, T> {
    fn pointer(self) -> *mut c_void {
        self.0.as_ptr().cast_mut().cast()
    }
}

/// The elements of a slice that is written.
struct Written<'a, T>(&'a mut [T]);

impl<T> Argument for Written<'_, T> {
    fn pointer(self) -> *mut c_void {
        self.0.as_mut_ptr().cast()
    }
}

/// An argument that is not looked at.
struct Unused;

impl Argument for Unused {
    fn pointer(self) -> *mut c_void {
        std::ptr::null_mut()
    }
}

macro_rules! pointer_for {
    ($argument:expr) => {
        *mut c_void
    };
}

macro_rules! length_for {
    ($character:literal) => {
        usize
    };
}

/// Calls a routine by its name. The numbers behind the semicolon are the lengths of the arguments that are characters,
/// which Fortran compilers pass by value at the end (Accelerate ignores them).
macro_rules! call {
    ($name:expr, $($argument:expr),+ $(; $($length:literal),+)?) => {{
        type Fortran = unsafe extern "C" fn($(pointer_for!($argument)),+ $(, $(length_for!($length)),+)?);
        static ROUTINE: Routine = Routine::new($name);
        let address = ROUTINE.address()?;
        // SAFETY: the address is that of the routine with this name, all of whose arguments are pointers.
        let routine = unsafe { std::mem::transmute::<*const c_void, Fortran>(address) };
        // SAFETY: the arguments are those of LAPACK's documentation; the caller has checked that the slices have the
        // lengths that the sizes passed imply, and holds them during the call.
        unsafe { routine($(Argument::pointer($argument)),+ $(, $($length),+)?) }
    }};
}

/// A size as LAPACK counts.
fn int(size: usize) -> Result<i32, Error> {
    i32::try_from(size).map_err(|_| Error::TooLarge { size })
}

/// A leading dimension: at least 1.
fn leading(rows: usize) -> Result<i32, Error> {
    int(rows.max(1))
}

fn expect<T>(slice: &[T], expected: usize) -> Result<(), Error> {
    if slice.len() == expected { Ok(()) } else { Err(Error::Length { expected, came: slice.len() }) }
}

fn letter(triangle: Triangle) -> u8 {
    match triangle {
        Triangle::Lower => b'L',
        Triangle::Upper => b'U',
    }
}

/// The mode of gesdd and gesvd, and the columns of U and rows of Vᴴ.
fn vectors_of(vectors: SingularVectors, m: usize, n: usize) -> (u8, usize, usize) {
    match vectors {
        SingularVectors::None => (b'N', 0, 0),
        SingularVectors::Thin => (b'S', m.min(n), m.min(n)),
        SingularVectors::Full => (b'A', m, n),
    }
}

/// A workspace of the size that a query answered with, which single precision may have rounded down.
fn workspace<T: Scalar>(answer: T, least: usize) -> Result<(Vec<T>, i32), Error> {
    let size = (answer.real() * (1.0 + f64::from(f32::EPSILON))).ceil().max(0.0) as usize;
    let size = size.max(least).max(1);
    Ok((vec![T::default(); size], int(size)?))
}

/// A real number type.
pub trait Real: Scalar<Real = Self> + std::ops::Neg<Output = Self> {
    /// x of a tridiagonal system `A x = b` in place of each column of b (n rows), where pivots too small to divide by
    /// are made larger: a solution even if A is singular. `below[i]` and `above[i]` stand in row i; `below[0]` and the
    /// last of `above` are not read.
    ///
    /// # Errors
    /// [`Error`].
    fn tridiagonal_solve_perturbed(
        n: usize,
        below: &[Self],
        diagonal: &[Self],
        above: &[Self],
        b: &mut [Self],
    ) -> Result<i32, Error>;
}

/// A number type with its routines. `info` is returned: 0, or positive as LAPACK's documentation says.
pub trait Scalar: Copy + Default + Debug + PartialEq + Send + Sync + 'static {
    /// The type of its parts.
    type Real: Real;

    /// The real part.
    fn real(self) -> f64;
    /// Neither infinite nor NaN.
    fn finite(self) -> bool;

    /// LU with partial pivoting in place of A (m by n); `pivots[i]` is the row, counted from 1, that row i was swapped
    /// with.
    ///
    /// # Errors
    /// [`Error`].
    fn getrf(m: usize, n: usize, a: &mut [Self], pivots: &mut [i32]) -> Result<i32, Error>;

    /// QR in LAPACK's packed form in place of A (m by n), min(m, n) taus.
    ///
    /// # Errors
    /// [`Error`].
    fn geqrf(m: usize, n: usize, a: &mut [Self], taus: &mut [Self]) -> Result<i32, Error>;

    /// QR of A with its columns in the order `columns` (counted from 1). On entry columns that are not 0 are moved to
    /// the front.
    ///
    /// # Errors
    /// [`Error`].
    fn geqp3(m: usize, n: usize, a: &mut [Self], columns: &mut [i32], taus: &mut [Self]) -> Result<i32, Error>;

    /// The first n columns of Q (m by n) from a packed QR with as many reflectors as taus (orgqr, ungqr).
    ///
    /// # Errors
    /// [`Error`].
    fn orgqr(m: usize, n: usize, a: &mut [Self], taus: &[Self]) -> Result<i32, Error>;

    /// `op(Q) C` (left) or `C op(Q)` in place of C (m by n), with Q of a packed QR; op is the adjoint or nothing.
    ///
    /// # Errors
    /// [`Error`].
    fn ormqr(
        left: bool,
        adjoint: bool,
        size: (usize, usize),
        a: &[Self],
        taus: &[Self],
        c: &mut [Self],
    ) -> Result<i32, Error>;

    /// The packed Hessenberg form of A (n by n) between rows `low` and `high` (from 1), n - 1 taus.
    ///
    /// # Errors
    /// [`Error`].
    fn gehrd(n: usize, low: usize, high: usize, a: &mut [Self], taus: &mut [Self]) -> Result<i32, Error>;

    /// The packed tridiagonal form of a symmetric or Hermitian matrix, its diagonal, the n - 1 elements beside it and
    /// taus (sytrd, hetrd).
    ///
    /// # Errors
    /// [`Error`].
    fn sytrd(
        triangle: Triangle,
        n: usize,
        a: &mut [Self],
        diagonal: &mut [Self::Real],
        beside: &mut [Self::Real],
        taus: &mut [Self],
    ) -> Result<i32, Error>;

    /// x of a tridiagonal system by Gaussian elimination with partial pivoting, in place of the columns of b; `below`
    /// and `above` have n - 1 elements.
    ///
    /// # Errors
    /// [`Error`].
    fn gtsv(
        n: usize,
        below: &mut [Self],
        diagonal: &mut [Self],
        above: &mut [Self],
        b: &mut [Self],
    ) -> Result<i32, Error>;

    /// Singular values in descending order, with U and Vᴴ as asked for; A (m by n) is lost.
    ///
    /// # Errors
    /// [`Error`].
    fn svd(
        method: SvdMethod,
        vectors: SingularVectors,
        size: (usize, usize),
        a: &mut [Self],
        values: &mut [Self::Real],
        u: &mut [Self],
        vh: &mut [Self],
    ) -> Result<i32, Error>;

    /// Eigenvalues in ascending order, and the vectors in place of A, of a symmetric or Hermitian matrix (syevd,
    /// heevd).
    ///
    /// # Errors
    /// [`Error`].
    fn syevd(
        vectors: bool,
        triangle: Triangle,
        n: usize,
        a: &mut [Self],
        values: &mut [Self::Real],
    ) -> Result<i32, Error>;

    /// Eigenvalues, and left and right eigenvectors into the slices that have elements; A is lost.
    ///
    /// # Errors
    /// [`Error`].
    fn geev(
        n: usize,
        a: &mut [Self],
        values: &mut [Complex<Self::Real>],
        left: &mut [Complex<Self::Real>],
        right: &mut [Complex<Self::Real>],
    ) -> Result<i32, Error>;

    /// The Schur form in place of A, with its eigenvalues, and the Schur vectors if that slice has elements.
    ///
    /// # Errors
    /// [`Error`].
    fn gees(n: usize, a: &mut [Self], vectors: &mut [Self], values: &mut [Complex<Self::Real>]) -> Result<i32, Error>;
}

/// The routines whose arguments are alike for real and complex numbers.
macro_rules! common {
    ($prefix:literal, $orgqr:expr, $ormqr:expr, $sytrd:expr, $adjoint:literal) => {
        fn getrf(m: usize, n: usize, a: &mut [Self], pivots: &mut [i32]) -> Result<i32, Error> {
            expect(a, m * n)?;
            expect(pivots, m.min(n))?;
            let mut info = 0;
            call!(
                concat!($prefix, "getrf"),
                &int(m)?, &int(n)?, Written(a), &leading(m)?, Written(pivots), &mut info
            );
            Ok(info)
        }

        fn geqrf(m: usize, n: usize, a: &mut [Self], taus: &mut [Self]) -> Result<i32, Error> {
            expect(a, m * n)?;
            expect(taus, m.min(n))?;
            let (mut info, mut answer) = (0, Self::default());
            let mut run = |work: &mut [Self], size: i32| {
                call!(
                    concat!($prefix, "geqrf"),
                    &int(m)?, &int(n)?, Written(a), &leading(m)?, Written(taus), Written(work), &size, &mut info
                );
                Ok(())
            };
            run(std::slice::from_mut(&mut answer), -1)?;
            let (mut work, size) = workspace(answer, n)?;
            run(&mut work, size)?;
            Ok(info)
        }

        fn orgqr(m: usize, n: usize, a: &mut [Self], taus: &[Self]) -> Result<i32, Error> {
            expect(a, m * n)?;
            if m < n || taus.len() > n {
                return Err(Error::Sizes("as many rows as columns expected, and no more reflectors"));
            }
            let (mut info, mut answer) = (0, Self::default());
            let mut run = |work: &mut [Self], size: i32| {
                call!(
                    $orgqr,
                    &int(m)?, &int(n)?, &int(taus.len())?, Written(a), &leading(m)?, Read(taus), Written(work), &size,
                    &mut info
                );
                Ok(())
            };
            run(std::slice::from_mut(&mut answer), -1)?;
            let (mut work, size) = workspace(answer, n)?;
            run(&mut work, size)?;
            Ok(info)
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
            let (mut info, mut answer) = (0, Self::default());
            let mut run = |work: &mut [Self], size: i32| {
                call!(
                    $ormqr,
                    &side, &operation, &int(m)?, &int(n)?, &int(taus.len())?, Written(&mut a), &leading(order)?,
                    Read(taus), Written(c), &leading(m)?, Written(work), &size, &mut info; 1, 1
                );
                Ok(())
            };
            run(std::slice::from_mut(&mut answer), -1)?;
            let (mut work, size) = workspace(answer, width)?;
            run(&mut work, size)?;
            Ok(info)
        }

        fn gehrd(n: usize, low: usize, high: usize, a: &mut [Self], taus: &mut [Self]) -> Result<i32, Error> {
            expect(a, n * n)?;
            expect(taus, n.saturating_sub(1))?;
            if low < 1 || low > n.max(1) || high < low.min(n) || high > n {
                return Err(Error::Sizes("rows of the matrix expected"));
            }
            let (mut info, mut answer) = (0, Self::default());
            let mut run = |work: &mut [Self], size: i32| {
                call!(
                    concat!($prefix, "gehrd"),
                    &int(n)?, &int(low)?, &int(high)?, Written(a), &leading(n)?, Written(taus), Written(work), &size,
                    &mut info
                );
                Ok(())
            };
            run(std::slice::from_mut(&mut answer), -1)?;
            let (mut work, size) = workspace(answer, n)?;
            run(&mut work, size)?;
            Ok(info)
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
            let (mut info, mut answer) = (0, Self::default());
            let mut run = |work: &mut [Self], size: i32| {
                call!(
                    $sytrd,
                    &letter(triangle), &int(n)?, Written(a), &leading(n)?, Written(diagonal), Written(beside),
                    Written(taus), Written(work), &size, &mut info; 1
                );
                Ok(())
            };
            run(std::slice::from_mut(&mut answer), -1)?;
            let (mut work, size) = workspace(answer, 1)?;
            run(&mut work, size)?;
            Ok(info)
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
            let mut info = 0;
            call!(
                concat!($prefix, "gtsv"),
                &int(n)?, &int(columns)?, Written(below), Written(diagonal), Written(above), Written(b), &leading(n)?,
                &mut info
            );
            Ok(info)
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
                let (mut swaps, mut info, zero): (_, _, Self) = (vec![0i32; n], 0, 0.0);
                call!(
                    concat!($prefix, "lagtf"),
                    &int(n)?, Written(&mut a), &zero, Written(&mut first), Written(&mut lower), &zero,
                    Written(&mut second), Written(&mut swaps), &mut info
                );
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

            fn real(self) -> f64 {
                f64::from(self)
            }

            fn finite(self) -> bool {
                self.is_finite()
            }

            common!(
                $prefix, concat!($prefix, "orgqr"), concat!($prefix, "ormqr"), concat!($prefix, "sytrd"), b'T'
            );

            fn geqp3(m: usize, n: usize, a: &mut [Self], columns: &mut [i32], taus: &mut [Self]) -> Result<i32, Error> {
                expect(a, m * n)?;
                expect(columns, n)?;
                expect(taus, m.min(n))?;
                let (mut info, mut answer) = (0, 0.0);
                let mut run = |work: &mut [Self], size: i32| {
                    call!(
                        concat!($prefix, "geqp3"),
                        &int(m)?, &int(n)?, Written(a), &leading(m)?, Written(columns), Written(taus), Written(work),
                        &size, &mut info
                    );
                    Ok(())
                };
                run(std::slice::from_mut(&mut answer), -1)?;
                let (mut work, size) = workspace(answer, 3 * n + 1)?;
                run(&mut work, size)?;
                Ok(info)
            }

            fn svd(
                method: SvdMethod,
                vectors: SingularVectors,
                (m, n): (usize, usize),
                a: &mut [Self],
                values: &mut [Self],
                u: &mut [Self],
                vh: &mut [Self],
            ) -> Result<i32, Error> {
                let (mode, columns, rows) = vectors_of(vectors, m, n);
                expect(a, m * n)?;
                expect(values, m.min(n))?;
                expect(u, m * columns)?;
                expect(vh, rows * n)?;
                let (mut info, mut answer) = (0, 0.0);
                let mut integers = vec![0i32; 8 * m.min(n)];
                let (u_rows, vh_rows) = (leading(m)?, leading(rows)?);
                let mut run = |work: &mut [Self], size: i32| {
                    match method {
                        SvdMethod::DivideAndConquer => call!(
                            concat!($prefix, "gesdd"),
                            &mode, &int(m)?, &int(n)?, Written(a), &leading(m)?, Written(values), Written(u), &u_rows,
                            Written(vh), &vh_rows, Written(work), &size, Written(&mut integers), &mut info; 1
                        ),
                        SvdMethod::Qr => call!(
                            concat!($prefix, "gesvd"),
                            &mode, &mode, &int(m)?, &int(n)?, Written(a), &leading(m)?, Written(values), Written(u),
                            &u_rows, Written(vh), &vh_rows, Written(work), &size, &mut info; 1, 1
                        ),
                    }
                    Ok(())
                };
                run(std::slice::from_mut(&mut answer), -1)?;
                let (mut work, size) = workspace(answer, 1)?;
                run(&mut work, size)?;
                Ok(info)
            }

            fn syevd(
                vectors: bool,
                triangle: Triangle,
                n: usize,
                a: &mut [Self],
                values: &mut [Self],
            ) -> Result<i32, Error> {
                expect(a, n * n)?;
                expect(values, n)?;
                let mode = if vectors { b'V' } else { b'N' };
                let (mut info, mut answer, mut integers_answer) = (0, 0.0, 0i32);
                let mut run = |work: &mut [Self], size: i32, integers: &mut [i32], integers_size: i32| {
                    call!(
                        concat!($prefix, "syevd"),
                        &mode, &letter(triangle), &int(n)?, Written(a), &leading(n)?, Written(values), Written(work),
                        &size, Written(integers), &integers_size, &mut info; 1, 1
                    );
                    Ok(())
                };
                run(std::slice::from_mut(&mut answer), -1, std::slice::from_mut(&mut integers_answer), -1)?;
                let least = if vectors { 1 + 6 * n + 2 * n * n } else { 2 * n + 1 };
                let (mut work, size) = workspace(answer, least)?;
                let mut integers = vec![0i32; (integers_answer.max(0) as usize).max(3 + 5 * n)];
                let integers_size = int(integers.len())?;
                run(&mut work, size, &mut integers, integers_size)?;
                Ok(info)
            }

            fn geev(
                n: usize,
                a: &mut [Self],
                values: &mut [Complex<Self>],
                left: &mut [Complex<Self>],
                right: &mut [Complex<Self>],
            ) -> Result<i32, Error> {
                expect(a, n * n)?;
                expect(values, n)?;
                for vectors in [&left, &right] {
                    expect(vectors, if vectors.is_empty() { 0 } else { n * n })?;
                }
                let mode = |vectors: &[Complex<Self>]| if vectors.is_empty() { b'N' } else { b'V' };
                let (left_mode, right_mode) = (mode(left), mode(right));
                let mut packed = [vec![0.0; left.len()], vec![0.0; right.len()]];
                let [packed_left, packed_right] = &mut packed;
                let (mut re, mut im): (Vec<Self>, Vec<Self>) = (vec![0.0; n], vec![0.0; n]);
                let (mut info, mut answer) = (0, 0.0);
                let mut run = |work: &mut [Self], size: i32| {
                    call!(
                        concat!($prefix, "geev"),
                        &left_mode, &right_mode, &int(n)?, Written(a), &leading(n)?, Written(&mut re),
                        Written(&mut im), Written(packed_left), &leading(n)?, Written(packed_right), &leading(n)?,
                        Written(work), &size, &mut info; 1, 1
                    );
                    Ok(())
                };
                run(std::slice::from_mut(&mut answer), -1)?;
                let (mut work, size) = workspace(answer, 4 * n)?;
                run(&mut work, size)?;
                for (value, (&re, &im)) in values.iter_mut().zip(re.iter().zip(&im)) {
                    *value = Complex::new(re, im);
                }
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
                expect(vectors, if vectors.is_empty() { 0 } else { n * n })?;
                let mode = if vectors.is_empty() { b'N' } else { b'V' };
                let (mut re, mut im): (Vec<Self>, Vec<Self>) = (vec![0.0; n], vec![0.0; n]);
                let (mut info, mut selected, mut answer) = (0, 0i32, 0.0);
                let mut run = |work: &mut [Self], size: i32| {
                    call!(
                        concat!($prefix, "gees"),
                        &mode, &b'N', Unused, &int(n)?, Written(a), &leading(n)?, &mut selected, Written(&mut re),
                        Written(&mut im), Written(vectors), &leading(n)?, Written(work), &size, Unused,
                        &mut info; 1, 1
                    );
                    Ok(())
                };
                run(std::slice::from_mut(&mut answer), -1)?;
                let (mut work, size) = workspace(answer, 3 * n)?;
                run(&mut work, size)?;
                for (value, (&re, &im)) in values.iter_mut().zip(re.iter().zip(&im)) {
                    *value = Complex::new(re, im);
                }
                Ok(info)
            }
        }
    };
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

    fn real(self) -> f64 {
        f64::from(self.re)
    }

    fn finite(self) -> bool {
        self.re.is_finite() && self.im.is_finite()
    }

    common!("c", "cungqr", "cunmqr", "chetrd", b'C');

    fn geqp3(m: usize, n: usize, a: &mut [Self], columns: &mut [i32], taus: &mut [Self]) -> Result<i32, Error> {
        expect(a, m * n)?;
        expect(columns, n)?;
        expect(taus, m.min(n))?;
        let (mut info, mut answer, mut reals) = (0, Self::default(), vec![0f32; 2 * n]);
        let mut run = |work: &mut [Self], size: i32| {
            call!(
                "cgeqp3",
                &int(m)?,
                &int(n)?,
                Written(a),
                &leading(m)?,
                Written(columns),
                Written(taus),
                Written(work),
                &size,
                Written(&mut reals),
                &mut info
            );
            Ok(())
        };
        run(std::slice::from_mut(&mut answer), -1)?;
        let (mut work, size) = workspace(answer, n + 1)?;
        run(&mut work, size)?;
        Ok(info)
    }

    fn svd(
        method: SvdMethod,
        vectors: SingularVectors,
        (m, n): (usize, usize),
        a: &mut [Self],
        values: &mut [f32],
        u: &mut [Self],
        vh: &mut [Self],
    ) -> Result<i32, Error> {
        let (mode, columns, rows) = vectors_of(vectors, m, n);
        expect(a, m * n)?;
        expect(values, m.min(n))?;
        expect(u, m * columns)?;
        expect(vh, rows * n)?;
        let (few, many) = (m.min(n), m.max(n));
        let (mut info, mut answer) = (0, Self::default());
        let mut integers = vec![0i32; 8 * few];
        // gesdd's two formulas, and gesvd's 5 min(m, n).
        let mut reals = vec![0f32; (few * (5 * few + 7)).max(2 * many * few + 2 * few * few + few).max(1)];
        let (u_rows, vh_rows) = (leading(m)?, leading(rows)?);
        let mut run = |work: &mut [Self], size: i32| {
            match method {
                SvdMethod::DivideAndConquer => call!(
                    "cgesdd",
                    &mode, &int(m)?, &int(n)?, Written(a), &leading(m)?, Written(values), Written(u), &u_rows,
                    Written(vh), &vh_rows, Written(work), &size, Written(&mut reals), Written(&mut integers),
                    &mut info; 1
                ),
                SvdMethod::Qr => call!(
                    "cgesvd",
                    &mode, &mode, &int(m)?, &int(n)?, Written(a), &leading(m)?, Written(values), Written(u), &u_rows,
                    Written(vh), &vh_rows, Written(work), &size, Written(&mut reals), &mut info; 1, 1
                ),
            }
            Ok(())
        };
        run(std::slice::from_mut(&mut answer), -1)?;
        let (mut work, size) = workspace(answer, 1)?;
        run(&mut work, size)?;
        Ok(info)
    }

    fn syevd(vectors: bool, triangle: Triangle, n: usize, a: &mut [Self], values: &mut [f32]) -> Result<i32, Error> {
        expect(a, n * n)?;
        expect(values, n)?;
        let mode = if vectors { b'V' } else { b'N' };
        let (mut info, mut answer, mut reals_answer, mut integers_answer) = (0, Self::default(), 0f32, 0i32);
        let mut run = |work: (&mut [Self], i32), reals: (&mut [f32], i32), integers: (&mut [i32], i32)| {
            call!(
                "cheevd",
                &mode, &letter(triangle), &int(n)?, Written(a), &leading(n)?, Written(values), Written(work.0),
                &work.1, Written(reals.0), &reals.1, Written(integers.0), &integers.1, &mut info; 1, 1
            );
            Ok(())
        };
        run(
            (std::slice::from_mut(&mut answer), -1),
            (std::slice::from_mut(&mut reals_answer), -1),
            (std::slice::from_mut(&mut integers_answer), -1),
        )?;
        let (mut work, size) = workspace(answer, 2 * n + n * n)?;
        let (mut reals, reals_size) = workspace(reals_answer, 1 + 5 * n + 2 * n * n)?;
        let mut integers = vec![0i32; (integers_answer.max(0) as usize).max(3 + 5 * n)];
        let integers_size = int(integers.len())?;
        run((&mut work, size), (&mut reals, reals_size), (&mut integers, integers_size))?;
        Ok(info)
    }

    fn geev(
        n: usize,
        a: &mut [Self],
        values: &mut [Self],
        left: &mut [Self],
        right: &mut [Self],
    ) -> Result<i32, Error> {
        expect(a, n * n)?;
        expect(values, n)?;
        for vectors in [&left, &right] {
            expect(vectors, if vectors.is_empty() { 0 } else { n * n })?;
        }
        let mode = |vectors: &[Self]| if vectors.is_empty() { b'N' } else { b'V' };
        let (left_mode, right_mode) = (mode(left), mode(right));
        let (mut info, mut answer, mut reals) = (0, Self::default(), vec![0f32; 2 * n]);
        let mut run = |work: &mut [Self], size: i32| {
            call!(
                "cgeev",
                &left_mode, &right_mode, &int(n)?, Written(a), &leading(n)?, Written(values), Written(left),
                &leading(n)?, Written(right), &leading(n)?, Written(work), &size, Written(&mut reals),
                &mut info; 1, 1
            );
            Ok(())
        };
        run(std::slice::from_mut(&mut answer), -1)?;
        let (mut work, size) = workspace(answer, 2 * n)?;
        run(&mut work, size)?;
        Ok(info)
    }

    fn gees(n: usize, a: &mut [Self], vectors: &mut [Self], values: &mut [Self]) -> Result<i32, Error> {
        expect(a, n * n)?;
        expect(values, n)?;
        expect(vectors, if vectors.is_empty() { 0 } else { n * n })?;
        let mode = if vectors.is_empty() { b'N' } else { b'V' };
        let (mut info, mut selected, mut answer, mut reals) = (0, 0i32, Self::default(), vec![0f32; n]);
        let mut run = |work: &mut [Self], size: i32| {
            call!(
                "cgees",
                &mode, &b'N', Unused, &int(n)?, Written(a), &leading(n)?, &mut selected, Written(values),
                Written(vectors), &leading(n)?, Written(work), &size, Written(&mut reals), Unused, &mut info; 1, 1
            );
            Ok(())
        };
        run(std::slice::from_mut(&mut answer), -1)?;
        let (mut work, size) = workspace(answer, 2 * n)?;
        run(&mut work, size)?;
        Ok(info)
    }
}
