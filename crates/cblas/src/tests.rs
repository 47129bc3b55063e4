//! The products against a naive sum, over layouts, operations, leading dimensions and scalars.

use super::*;

/// A deterministic value in [-1, 1] for each index.
fn value(index: usize) -> f64 {
    let mixed = (index as u64).wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    ((mixed >> 40) as f64) / f64::from(1u32 << 23) - 1.0
}

/// A complex number in double precision, the common form that all results are compared in.
type Wide = (f64, f64);

fn times(a: Wide, b: Wide) -> Wide {
    (a.0 * b.0 - a.1 * b.1, a.0 * b.1 + a.1 * b.0)
}

/// The sum of the numbers, by halves: adding one after the other in f64 is less precise than what is tested.
fn total(numbers: &[Wide]) -> Wide {
    match numbers {
        [] => (0.0, 0.0),
        [number] => *number,
        _ => {
            let (left, right) = numbers.split_at(numbers.len() / 2);
            let (left, right) = (total(left), total(right));
            (left.0 + right.0, left.1 + right.1)
        }
    }
}

/// An element type under test: how to make it, widen it and call its function.
trait Tested: Element + std::fmt::Debug {
    const EPSILON: f64;
    fn narrow(wide: Wide) -> Self;
    fn widen(self) -> Wide;
    /// # Safety
    /// The contract of the CBLAS.
    unsafe fn call(call: &Call, alpha: Self, a: *const Self, b: *const Self, beta: Self, c: *mut Self);
}

macro_rules! tested_real {
    ($element:ty, $function:ident) => {
        impl Tested for $element {
            const EPSILON: f64 = <$element>::EPSILON as f64;
            fn narrow(wide: Wide) -> Self {
                wide.0 as $element
            }
            fn widen(self) -> Wide {
                (f64::from(self), 0.0)
            }
            unsafe fn call(x: &Call, alpha: Self, a: *const Self, b: *const Self, beta: Self, c: *mut Self) {
                // SAFETY: the caller's promise.
                unsafe {
                    $function(x.layout, x.trans_a, x.trans_b, x.m, x.n, x.k, alpha, a, x.lda, b, x.ldb, beta, c, x.ldc)
                }
            }
        }
    };
}

tested_real!(f32, cblas_sgemm);
tested_real!(f64, cblas_dgemm);

impl Tested for c32 {
    const EPSILON: f64 = f32::EPSILON as f64;
    fn narrow(wide: Wide) -> Self {
        c32 { re: wide.0 as f32, im: wide.1 as f32 }
    }
    fn widen(self) -> Wide {
        (f64::from(self.re), f64::from(self.im))
    }
    unsafe fn call(x: &Call, alpha: Self, a: *const Self, b: *const Self, beta: Self, c: *mut Self) {
        // SAFETY: the caller's promise; the scalars live until the call returns.
        unsafe {
            cblas_cgemm(
                x.layout,
                x.trans_a,
                x.trans_b,
                x.m,
                x.n,
                x.k,
                (&raw const alpha).cast(),
                a.cast(),
                x.lda,
                b.cast(),
                x.ldb,
                (&raw const beta).cast(),
                c.cast(),
                x.ldc,
            )
        }
    }
}

/// The leading dimension of a stored matrix of op(X) with this shape, with `padding` extra elements.
fn leading(layout: c_int, operation: c_int, rows: c_int, columns: c_int, padding: c_int) -> c_int {
    let (rows, columns) = if operation == NO_TRANSPOSE { (rows, columns) } else { (columns, rows) };
    (if layout == ROW_MAJOR { columns } else { rows }).max(1) + padding
}

/// Element (row, column) of op(X), read from the stored matrix.
fn element<T: Tested>(x: &[T], layout: c_int, operation: c_int, ld: c_int, row: usize, column: usize) -> Wide {
    let (row, column) = if operation == NO_TRANSPOSE { (row, column) } else { (column, row) };
    let ld = ld as usize;
    let index = if layout == ROW_MAJOR { row * ld + column } else { column * ld + row };
    let (re, im) = x[index].widen();
    (re, if operation == CONJUGATE_TRANSPOSE { -im } else { im })
}

/// Runs one call on matrices of known values and compares all of C, padding included.
fn check<T: Tested>(call: &Call, alpha: Wide, beta: Wide) {
    let room = |ld: c_int, operation: c_int, rows: c_int, columns: c_int| {
        let lines = if (operation == NO_TRANSPOSE) == (call.layout == ROW_MAJOR) { rows } else { columns };
        (ld * lines.max(1)) as usize
    };
    let fill = |count: usize, seed: usize| -> Vec<T> {
        (0..count).map(|i| T::narrow((value(seed + 2 * i), value(seed + 2 * i + 1)))).collect()
    };
    let a = fill(room(call.lda, call.trans_a, call.m, call.k), 17);
    let b = fill(room(call.ldb, call.trans_b, call.k, call.n), 100_003);
    let mut c = fill(room(call.ldc, NO_TRANSPOSE, call.m, call.n), 200_003);
    if beta == (0.0, 0.0) {
        c.fill(T::narrow((f64::NAN, f64::NAN)));
    }
    let before = c.clone();
    let (alpha, beta) = (T::narrow(alpha), T::narrow(beta));
    // SAFETY: the three matrices have room for the sizes and leading dimensions of the call.
    unsafe { T::call(call, alpha, a.as_ptr(), b.as_ptr(), beta, c.as_mut_ptr()) };

    let mut expected: Vec<Wide> = before.iter().map(|x| x.widen()).collect();
    let mut inside = vec![false; c.len()];
    for row in 0..call.m as usize {
        for column in 0..call.n as usize {
            let mut products = Vec::new();
            for inner in 0..call.k as usize {
                let left = element(&a, call.layout, call.trans_a, call.lda, row, inner);
                let right = element(&b, call.layout, call.trans_b, call.ldb, inner, column);
                products.push(times(left, right));
            }
            let sum = total(&products);
            let ld = call.ldc as usize;
            let index = if call.layout == ROW_MAJOR { row * ld + column } else { column * ld + row };
            let product = times(alpha.widen(), sum);
            let kept = if beta == T::ZERO { (0.0, 0.0) } else { times(beta.widen(), before[index].widen()) };
            expected[index] = (product.0 + kept.0, product.1 + kept.1);
            inside[index] = true;
        }
    }
    let tolerance = T::EPSILON * 8.0 * f64::from(call.k + 2);
    for (index, (got, wanted)) in c.iter().zip(&expected).enumerate() {
        let got = got.widen();
        let same =
            |x: f64, y: f64| x == y || (x - y).abs() <= tolerance || (!inside[index] && x.is_nan() && y.is_nan());
        assert!(
            same(got.0, wanted.0) && same(got.1, wanted.1),
            "element {index}: {got:?}, expected {wanted:?}; layout {} trans {} {} size {} {} {} ld {} {} {} alpha {alpha:?} beta {beta:?}",
            call.layout,
            call.trans_a,
            call.trans_b,
            call.m,
            call.n,
            call.k,
            call.lda,
            call.ldb,
            call.ldc,
        );
    }
}

/// Every layout, operation, padding and pair of scalars for sizes around the kernels' borders.
fn check_all<T: Tested>() {
    let sizes = [
        (1, 1, 1),
        (2, 3, 4),
        (7, 1, 5),
        (1, 9, 6),
        (5, 4, 1),
        (17, 33, 20),
        (48, 16, 8),
        (31, 2, 64),
        (1, 1, 4100),
        (1, 3, 300),
        (3, 1, 300),
    ];
    let scalars = [
        ((1.0, 0.0), (0.0, 0.0)),
        ((1.0, 0.0), (1.0, 0.0)),
        ((-0.5, 0.25), (2.0, -1.5)),
        ((0.0, 0.0), (0.0, 0.0)),
        ((0.0, 0.0), (3.0, 0.0)),
        ((2.0, 0.0), (0.0, 0.0)),
    ];
    let operations = [NO_TRANSPOSE, TRANSPOSE, CONJUGATE_TRANSPOSE];
    for (m, n, k) in sizes {
        for layout in [ROW_MAJOR, COLUMN_MAJOR] {
            for trans_a in operations {
                for trans_b in operations {
                    for padding in [0, 3] {
                        for (alpha, beta) in scalars {
                            let call = Call {
                                layout,
                                trans_a,
                                trans_b,
                                m,
                                n,
                                k,
                                lda: leading(layout, trans_a, m, k, padding),
                                ldb: leading(layout, trans_b, k, n, padding),
                                ldc: leading(layout, NO_TRANSPOSE, m, n, padding),
                            };
                            check::<T>(&call, alpha, beta);
                        }
                    }
                }
            }
        }
    }
}

#[test]
fn single_precision_products_match_a_naive_sum() {
    check_all::<f32>();
}

#[test]
fn double_precision_products_match_a_naive_sum() {
    check_all::<f64>();
}

#[test]
fn complex_products_match_a_naive_sum() {
    check_all::<c32>();
}

fn row_major(m: c_int, n: c_int, k: c_int) -> Call {
    Call {
        layout: ROW_MAJOR,
        trans_a: NO_TRANSPOSE,
        trans_b: NO_TRANSPOSE,
        m,
        n,
        k,
        lda: k.max(1),
        ldb: n.max(1),
        ldc: n.max(1),
    }
}

#[test]
fn products_large_enough_for_threads_match_a_naive_sum() {
    check::<f32>(&row_major(130, 120, 110), (1.0, 0.0), (0.0, 0.0));
    check::<f64>(&row_major(130, 120, 110), (1.0, 0.0), (1.0, 0.0));
    check::<c32>(&row_major(90, 120, 110), (1.0, -1.0), (0.5, 0.0));
}

#[test]
fn errors_of_products_with_vectors_do_not_grow_with_the_sum() {
    let k = 1 << 21;
    let ones = vec![1.9f32; 4 * k as usize];
    let exact = f64::from(1.9f32).powi(2) * f64::from(k);
    let transposed = |call: Call| Call { trans_a: TRANSPOSE, trans_b: TRANSPOSE, lda: call.m, ldb: k, ..call };
    for (m, n) in [(1, 1), (1, 4), (4, 1)] {
        for call in [row_major(m, n, k), transposed(row_major(m, n, k))] {
            let mut c = [0f32; 4];
            // SAFETY: the arrays hold at least m · k, k · n and m · n elements.
            unsafe { f32::call(&call, 1.0, ones.as_ptr(), ones.as_ptr(), 0.0, c.as_mut_ptr()) };
            for &value in &c[..(m * n) as usize] {
                let error = (f64::from(value) / exact - 1.0).abs();
                assert!(error < 42.0 * f64::from(f32::EPSILON), "{m} × {n}: {error}");
            }
        }
    }
}

#[test]
fn empty_sizes_only_scale_the_result() {
    for (m, n, k) in [(0, 3, 4), (3, 0, 4), (3, 4, 0), (0, 0, 0)] {
        for beta in [0.0, 1.0, 2.5] {
            check::<f32>(&row_major(m, n, k), (1.0, 0.0), (beta, 0.0));
            check::<c32>(&row_major(m, n, k), (1.0, 0.0), (beta, 0.0));
        }
    }
}

#[test]
fn nan_of_a_and_b_reaches_c_only_when_alpha_is_not_zero() {
    let a = [f32::NAN; 4];
    let b = [1.0_f32; 4];
    for (alpha, expected_nan) in [(0.0, false), (1.0, true)] {
        let mut c = [5.0_f32; 4];
        // SAFETY: the arrays hold 2 × 2 elements.
        unsafe { f32::call(&row_major(2, 2, 2), alpha, a.as_ptr(), b.as_ptr(), 1.0, c.as_mut_ptr()) };
        assert!(c.iter().all(|x| x.is_nan() == expected_nan), "alpha {alpha}: {c:?}");
    }
}

#[test]
fn invalid_arguments_leave_the_result_untouched() {
    let valid = || row_major(2, 2, 2);
    let calls = [
        (Call { layout: 7, ..valid() }, "layout"),
        (Call { trans_a: 0, ..valid() }, "trans_a"),
        (Call { trans_b: 114, ..valid() }, "trans_b"),
        (Call { m: -1, ..valid() }, "m"),
        (Call { n: -1, ..valid() }, "n"),
        (Call { k: -1, ..valid() }, "k"),
        (Call { lda: -2, ..valid() }, "lda"),
        (Call { ldb: -2, ..valid() }, "ldb"),
        (Call { ldc: 1, ..valid() }, "ldc"),
    ];
    for (call, argument) in calls {
        assert_eq!(call.check().err(), Some(argument));
        let x = [1.0_f32; 4];
        let mut c = [5.0_f32; 4];
        // SAFETY: an invalid call reads and writes nothing.
        unsafe { f32::call(&call, 1.0, x.as_ptr(), x.as_ptr(), 0.0, c.as_mut_ptr()) };
        assert_eq!(c, [5.0; 4], "{argument}");
    }
}
