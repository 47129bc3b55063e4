//! `cblas_sgemm`, `cblas_dgemm` and `cblas_cgemm`: every CBLAS symbol that MLX's CPU backend needs.
//!
//! MLX's Linux wheels bring the reference BLAS, which is twenty times slower than the crate `gemm`.
//! A cdylib that links this crate exports the three symbols. When it is loaded before anything else
//! has loaded `libmlx.so`, the dynamic linker searches it breadth first, so before the wheel's
//! `libblas`, and MLX multiplies with these functions. When `mlx.core` was imported first, MLX stays
//! bound to the wheel's own BLAS: slower, and with sums whose error grows with their length.
//!
//! The calling convention is that of the reference CBLAS with 32-bit integers (LP64). An invalid
//! argument is reported on standard error, as the reference `xerbla` does, and C is left untouched.
//! Products above the threshold of `gemm` use rayon's global pool (`RAYON_NUM_THREADS` limits it).

use std::ffi::{c_int, c_void};
use std::ops::{Add, Mul};

use gemm::{Parallelism, c32};

/// `CBLAS_LAYOUT`: rows are contiguous.
const ROW_MAJOR: c_int = 101;
/// `CBLAS_LAYOUT`: columns are contiguous.
const COLUMN_MAJOR: c_int = 102;
/// `CBLAS_TRANSPOSE`: the matrix as it is stored.
const NO_TRANSPOSE: c_int = 111;
/// `CBLAS_TRANSPOSE`: the transposed matrix.
const TRANSPOSE: c_int = 112;
/// `CBLAS_TRANSPOSE`: the transposed conjugate.
const CONJUGATE_TRANSPOSE: c_int = 113;

/// A matrix element type of the three products.
trait Element: Copy + PartialEq + Add<Output = Self> + Mul<Output = Self> + 'static {
    const ZERO: Self;
    const ONE: Self;
}

impl Element for f32 {
    const ZERO: Self = 0.0;
    const ONE: Self = 1.0;
}

impl Element for f64 {
    const ZERO: Self = 0.0;
    const ONE: Self = 1.0;
}

impl Element for c32 {
    const ZERO: Self = c32 { re: 0.0, im: 0.0 };
    const ONE: Self = c32 { re: 1.0, im: 0.0 };
}

/// Where element (row, column) of a matrix lies: `row * row_stride + column * column_stride`.
#[derive(Clone, Copy)]
struct Strides {
    row: isize,
    column: isize,
}

impl Strides {
    /// Strides of a stored matrix with this leading dimension; `None` for an unknown layout.
    fn new(layout: c_int, leading_dimension: c_int) -> Option<Self> {
        let leading = isize::try_from(leading_dimension).ok()?;
        match layout {
            ROW_MAJOR => Some(Self { row: leading, column: 1 }),
            COLUMN_MAJOR => Some(Self { row: 1, column: leading }),
            _ => None,
        }
    }

    /// The strides of op(X), and whether op conjugates; `None` for an unknown operation.
    fn apply(self, operation: c_int) -> Option<(Self, bool)> {
        let transposed = Self { row: self.column, column: self.row };
        match operation {
            NO_TRANSPOSE => Some((self, false)),
            TRANSPOSE => Some((transposed, false)),
            CONJUGATE_TRANSPOSE => Some((transposed, true)),
            _ => None,
        }
    }
}

/// The integer arguments of a product, as the caller gave them.
struct Call {
    layout: c_int,
    trans_a: c_int,
    trans_b: c_int,
    m: c_int,
    n: c_int,
    k: c_int,
    lda: c_int,
    ldb: c_int,
    ldc: c_int,
}

/// The same arguments, checked: sizes of C (m × n) and of the sum (k), strides of op(A), op(B), C.
struct Product {
    m: usize,
    n: usize,
    k: usize,
    a: Strides,
    b: Strides,
    c: Strides,
    conjugate_a: bool,
    conjugate_b: bool,
}

impl Call {
    /// The checked form, or the name of the first invalid argument.
    fn check(&self) -> Result<Product, &'static str> {
        if !matches!(self.layout, ROW_MAJOR | COLUMN_MAJOR) {
            return Err("layout");
        }
        let stored = |leading| Strides::new(self.layout, leading);
        let (a, conjugate_a) = stored(self.lda).and_then(|s| s.apply(self.trans_a)).ok_or("trans_a")?;
        let (b, conjugate_b) = stored(self.ldb).and_then(|s| s.apply(self.trans_b)).ok_or("trans_b")?;
        let m = usize::try_from(self.m).map_err(|_| "m")?;
        let n = usize::try_from(self.n).map_err(|_| "n")?;
        let k = usize::try_from(self.k).map_err(|_| "k")?;
        if self.lda < 0 {
            return Err("lda");
        }
        if self.ldb < 0 {
            return Err("ldb");
        }
        // A and B may be read with any stride, but two elements of C must not be one.
        let (lines, line) = if self.layout == ROW_MAJOR { (m, self.n) } else { (n, self.m) };
        if self.ldc < 0 || (lines > 1 && self.ldc < line) {
            return Err("ldc");
        }
        let c = stored(self.ldc).ok_or("layout")?;
        Ok(Product { m, n, k, a, b, c, conjugate_a, conjugate_b })
    }
}

impl Product {
    /// C := beta · C, without reading C when beta is zero.
    ///
    /// # Safety
    /// `c` points to a matrix of `m` × `n` elements with the strides `self.c`, valid for writing,
    /// and initialised unless beta is zero.
    unsafe fn scale<T: Element>(&self, beta: T, c: *mut T) {
        for row in 0..self.m as isize {
            for column in 0..self.n as isize {
                // SAFETY: row < m and column < n, so the element is inside the caller's matrix.
                unsafe {
                    let element = c.offset(row * self.c.row + column * self.c.column);
                    *element = if beta == T::ZERO { T::ZERO } else { beta * *element };
                }
            }
        }
    }

    /// C := alpha · op(A) · op(B) + beta · C.
    ///
    /// # Safety
    /// `a`, `b` and `c` point to matrices of m × k, k × n and m × n elements with the strides of
    /// this product; A and B are initialised, C is valid for writing, not overlapping A or B, and
    /// initialised unless beta is zero.
    unsafe fn run<T: Element>(&self, alpha: T, a: *const T, b: *const T, beta: T, c: *mut T) {
        if self.m == 0 || self.n == 0 {
            return;
        }
        // BLAS: A and B are not read when alpha is zero, so that their NaN do not reach C.
        if alpha == T::ZERO || self.k == 0 {
            if beta != T::ONE {
                // SAFETY: the caller's promise about C.
                unsafe { self.scale(beta, c) };
            }
            return;
        }
        // SAFETY: the caller's promises; the sums start at the first element and have all `k`.
        unsafe { self.add_up(self.k, alpha, a, b, beta, c) };
    }

    /// Longest sums of a product with a vector that `gemm` is left to make. It adds them into a few accumulators, or one:
    /// their error grows with the length. In matrix times matrix it divides them itself.
    fn longest_sum(&self) -> usize {
        if self.m > 1 && self.n > 1 {
            usize::MAX
        } else if self.a.column == 1 && self.b.row == 1 {
            // Both sides are dense along the sum, so that its accumulators are the processor's vectors.
            4096
        } else {
            256
        }
    }

    /// C := alpha · op(A) · op(B) + beta · C with the first `k` columns of op(A) and rows of op(B), halves of long sums
    /// added.
    ///
    /// # Safety
    /// As for [`Self::run`], with `k` for the length of the sums.
    unsafe fn add_up<T: Element>(&self, k: usize, alpha: T, a: *const T, b: *const T, beta: T, c: *mut T) {
        let longest = self.longest_sum();
        if k <= longest {
            // SAFETY: the caller's promises.
            return unsafe { self.gemm(k, alpha, a, b, beta, c) };
        }
        let left = (k / 2).next_multiple_of(longest);
        let mut right = vec![T::ZERO; self.m * self.n];
        // C is one row or one column here: `right` lies as it does, without gaps.
        let line = Self { c: Strides { row: 1, column: 1 }, ..*self };
        // SAFETY: `left` < `k`, so both halves lie in the caller's matrices; `right` has m × n elements, of which one
        // dimension is 1.
        unsafe {
            self.add_up(left, alpha, a, b, beta, c);
            let (a, b) = (a.offset(left as isize * self.a.column), b.offset(left as isize * self.b.row));
            line.add_up(k - left, alpha, a, b, T::ZERO, right.as_mut_ptr());
            for (index, &term) in (0..).zip(&right) {
                let element = c.offset(index * if self.n == 1 { self.c.row } else { self.c.column });
                *element = *element + term;
            }
        }
    }

    /// One call of `gemm`.
    ///
    /// # Safety
    /// As for [`Self::add_up`].
    unsafe fn gemm<T: Element>(&self, k: usize, alpha: T, a: *const T, b: *const T, beta: T, c: *mut T) {
        // `gemm` names the factor of C alpha and that of the product beta.
        let read_c = beta != T::ZERO;
        // SAFETY: the caller's promises are those that `gemm` asks for; it does not read C when
        // `read_dst` is false.
        unsafe {
            gemm::gemm(
                self.m,
                self.n,
                k,
                c,
                self.c.column,
                self.c.row,
                read_c,
                a,
                self.a.column,
                self.a.row,
                b,
                self.b.column,
                self.b.row,
                beta,
                alpha,
                false,
                self.conjugate_a,
                self.conjugate_b,
                Parallelism::Rayon(0),
            );
        }
    }
}

/// Checks the arguments and multiplies; an invalid argument is reported and leaves C as it is.
///
/// # Safety
/// The contract of the CBLAS function named `function`, for the element type `T`.
unsafe fn multiply<T: Element>(function: &str, call: &Call, alpha: T, a: *const T, b: *const T, beta: T, c: *mut T) {
    match call.check() {
        // SAFETY: the caller keeps the CBLAS contract, which is that of `run` for checked arguments.
        Ok(product) => unsafe { product.run(alpha, a, b, beta, c) },
        Err(argument) => eprintln!("{function}: argument {argument} has an invalid value"),
    }
}

macro_rules! real_product {
    ($name:ident, $element:ty, $letter:literal) => {
        #[doc = concat!("C := alpha · op(A) · op(B) + beta · C in ", $letter, " precision.")]
        ///
        /// # Safety
        /// The contract of the CBLAS: A, B and C are matrices of the given sizes and leading
        /// dimensions (in elements), C does not overlap A or B, and C is initialised unless beta
        /// is zero.
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $name(
            layout: c_int,
            trans_a: c_int,
            trans_b: c_int,
            m: c_int,
            n: c_int,
            k: c_int,
            alpha: $element,
            a: *const $element,
            lda: c_int,
            b: *const $element,
            ldb: c_int,
            beta: $element,
            c: *mut $element,
            ldc: c_int,
        ) {
            let call = Call { layout, trans_a, trans_b, m, n, k, lda, ldb, ldc };
            // SAFETY: the caller's promise.
            unsafe { multiply(stringify!($name), &call, alpha, a, b, beta, c) }
        }
    };
}

real_product!(cblas_sgemm, f32, "single");
real_product!(cblas_dgemm, f64, "double");

/// C := alpha · op(A) · op(B) + beta · C for complex numbers of two single-precision parts.
///
/// # Safety
/// The contract of [`cblas_sgemm`]; alpha and beta point to one complex number each.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cblas_cgemm(
    layout: c_int,
    trans_a: c_int,
    trans_b: c_int,
    m: c_int,
    n: c_int,
    k: c_int,
    alpha: *const c_void,
    a: *const c_void,
    lda: c_int,
    b: *const c_void,
    ldb: c_int,
    beta: *const c_void,
    c: *mut c_void,
    ldc: c_int,
) {
    let call = Call { layout, trans_a, trans_b, m, n, k, lda, ldb, ldc };
    // SAFETY: the caller's promise; `c32` is two floats in order, as `float _Complex` is, and the
    // scalars are read without asking for more alignment than a float's.
    unsafe {
        let alpha = alpha.cast::<c32>().read_unaligned();
        let beta = beta.cast::<c32>().read_unaligned();
        multiply("cblas_cgemm", &call, alpha, a.cast(), b.cast(), beta, c.cast());
    }
}

#[cfg(test)]
mod tests;
