//! Systems of small integers, whose solutions are exact.

use mlx_lapack::Complex;

use super::super::testing::{Builder, bytes, f32s, i32s, tensor};
use super::factor::{System, factor, solve, solve_by_blas};
use super::field::Field;
use super::tridiagonal::solve_perturbed;
use crate::program::{Attribute, Attributes, CustomCall, CustomCallApiVersion, ElementType, OpKind, Transpose};

struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> f32 {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        ((self.0 >> 33) % sides) as f32
    }
}

/// Numbers of a field from small integers.
trait Integers: Field + std::fmt::Debug {
    fn of(dice: &mut Dice) -> Self;
}

impl Integers for f32 {
    fn of(dice: &mut Dice) -> Self {
        dice.roll(3) - 1.
    }
}

impl Integers for f64 {
    fn of(dice: &mut Dice) -> Self {
        f64::from(dice.roll(3) - 1.)
    }
}

impl Integers for Complex<f32> {
    fn of(dice: &mut Dice) -> Self {
        Complex { re: dice.roll(3) - 1., im: dice.roll(3) - 1. }
    }
}

fn product<T: Field>(a: &[T], b: &[T], (rows, inner, columns): (usize, usize, usize)) -> Vec<T> {
    let mut result = vec![T::ZERO; rows * columns];
    for row in 0..rows {
        for column in 0..columns {
            for index in 0..inner {
                result[row * columns + column] += a[row * inner + index] * b[index * columns + column];
            }
        }
    }
    result
}

fn check_systems<T: Integers>(by_blas: bool) {
    let mut dice = Dice(3);
    for case in 0..32 {
        let bit = |index: u32| case >> index & 1 == 1;
        let system = System {
            left: bit(0),
            lower: bit(1),
            unit_diagonal: bit(2),
            transposed: bit(3),
            conjugated: bit(3) && bit(4),
        };
        for (n, m) in [(1, 1), (5, 3), (6, 9), (7, 70)] {
            // What must not be read; BLAS is not given NaN.
            let mut stored = vec![if by_blas { T::ONE } else { T::NAN }; n * n];
            let mut meant = vec![T::ZERO; n * n];
            for row in 0..n {
                for column in 0..n {
                    let value = T::of(&mut dice);
                    let inside = if system.lower { column < row } else { column > row };
                    if inside {
                        (stored[row * n + column], meant[row * n + column]) = (value, value);
                    } else if row == column {
                        let two = T::ONE + T::ONE;
                        if !system.unit_diagonal {
                            stored[row * n + column] = two;
                        }
                        meant[row * n + column] = if system.unit_diagonal { T::ONE } else { two };
                    }
                }
            }
            let mut applied = meant.clone();
            if system.transposed {
                for row in 0..n {
                    for column in 0..n {
                        let value = meant[column * n + row];
                        applied[row * n + column] = if system.conjugated { value.conjugate() } else { value };
                    }
                }
            }
            let x: Vec<T> = (0..n * m).map(|_| T::of(&mut dice)).collect();
            let (b, size) = if system.left {
                (product(&applied, &x, (n, n, m)), (n, m))
            } else {
                (product(&x, &applied, (m, n, n)), (m, n))
            };
            if by_blas {
                assert_eq!(solve_by_blas(system, &stored, &b, n, size).as_ref(), Some(&x), "{system:?} {n} {m}");
            }
            assert_eq!(solve(system, &stored, &b, n, size, by_blas), x, "{system:?} {n} {m}");
        }
    }
}

#[test]
fn triangular_systems() {
    for by_blas in [false, true] {
        check_systems::<f32>(by_blas);
        check_systems::<f64>(by_blas);
        check_systems::<Complex<f32>>(by_blas);
    }
}

#[test]
fn blas_is_not_given_what_it_treats_otherwise() {
    let system = System { left: true, lower: true, unit_diagonal: false, transposed: false, conjugated: false };
    let (nan, infinity) = (f32::NAN, f32::INFINITY);
    // Pivots of 0, which divide 0; one whose reciprocal is infinite; products of 0 and infinity; X that is too large.
    for (a, b, x) in [
        ([1., 0., 3., 0.], [1., 3.], [1., nan]),
        ([1., 0., 3., 0.], [1., 2.], [1., -infinity]),
        ([1., 0., 0., 1e-40], [1., 1e-40], [1., 1.]),
        ([1., 0., infinity, 1.], [0., 1.], [0., nan]),
        ([1., 0., 1e30, 1.], [1e30, 1.], [1e30, -infinity]),
    ] {
        let b: [f32; 2] = b;
        let solved = solve(system, &a, &b, 2, (2, 1), true);
        assert!(
            solved.iter().zip(x).all(|(x, expected)| *x == expected || (x.is_nan() && expected.is_nan())),
            "{solved:?}"
        );
        assert_eq!(solve_by_blas(system, &a, &b, 2, (2, 1)), None);
    }
}

fn check_cholesky<T: Integers>(n: usize, lower: bool, by_lapack: bool) {
    let mut dice = Dice(5);
    let mut expected = vec![T::ZERO; n * n];
    for row in 0..n {
        for column in 0..row {
            expected[row * n + column] = T::of(&mut dice);
        }
        expected[row * n + row] = T::ONE + T::ONE;
    }
    let mut adjoint = vec![T::ZERO; n * n];
    for row in 0..n {
        for column in 0..n {
            adjoint[column * n + row] = expected[row * n + column].conjugate();
        }
    }
    let mut a = product(&expected, &adjoint, (n, n, n));
    if !lower {
        expected = adjoint;
    }
    for (index, element) in a.iter_mut().enumerate() {
        let (row, column) = (index / n, index % n);
        if if lower { column > row } else { column < row } {
            // Not to be read; LAPACK is not given NaN.
            *element = if by_lapack { T::ONE } else { T::NAN };
        }
    }
    let mut broken = a.clone();
    factor(&mut a, n, lower, by_lapack);
    assert_eq!(a, expected);
    broken[n * n - 1] = -T::ONE;
    factor(&mut broken, n, lower, by_lapack);
    // NaN is what differs from itself; the trait has no other test for it.
    #[expect(clippy::eq_op, reason = "NaN")]
    let is_nan = |value: &T| value != value;
    assert!(broken.iter().all(is_nan));
}

#[test]
fn cholesky_factors() {
    for n in [1, 2, 64, 65, 150] {
        for (lower, by_lapack) in [(false, false), (false, true), (true, false), (true, true)] {
            check_cholesky::<f32>(n, lower, by_lapack);
            check_cholesky::<f64>(n, lower, by_lapack);
            check_cholesky::<Complex<f32>>(n, lower, by_lapack);
        }
    }
}

#[test]
fn cholesky_of_a_batch() {
    // [[4, 2], [2, 10]], then one that is not positive definite, then one of zeros.
    let matrices = [4f32, 2., 2., 10., 1., 2., 2., 1., 0., 0., 0., 0.];
    for (lower, factor) in [(true, [2f32, 0., 1., 3.]), (false, [2., 1., 0., 3.])] {
        let mut builder = Builder::default();
        let ty = tensor(ElementType::F32, &[3, 2, 2]);
        let a = builder.argument(ty.clone());
        let result = builder.op(OpKind::Cholesky { lower }, &[a], vec![ty], vec![]);
        let values = f32s(&builder.run(&result, &[bytes(&matrices)]).unwrap()[0]);
        assert_eq!(values[..4], factor);
        assert!(values[4..].iter().all(|value| value.is_nan()));
    }
}

#[test]
fn solve_by_adjoint_in_complex() {
    let mut builder = Builder::default();
    let a = builder.argument(tensor(ElementType::C64, &[1, 1]));
    let b = builder.argument(tensor(ElementType::C64, &[1, 2]));
    let kind =
        OpKind::TriangularSolve { left_side: true, lower: true, unit_diagonal: false, transpose_a: Transpose::Adjoint };
    let x = builder.op(kind, &[a, b], vec![tensor(ElementType::C64, &[1, 2])], vec![]);
    // (-i) x = [1, 2i]: x = [i, -2].
    let outcome = builder.run(&x, &[bytes(&[0f32, 1.]), bytes(&[1f32, 0., 0., 2.])]).unwrap();
    assert_eq!(f32s(&outcome[0]), [0., 1., -2., 0.]);
}

#[test]
fn empty_matrices() {
    let mut builder = Builder::default();
    let a = builder.argument(tensor(ElementType::F32, &[2, 0, 0]));
    let b = builder.argument(tensor(ElementType::F32, &[2, 0, 3]));
    let kind = OpKind::TriangularSolve {
        left_side: true,
        lower: true,
        unit_diagonal: false,
        transpose_a: Transpose::NoTranspose,
    };
    let x = builder.op(kind, &[a, b], vec![tensor(ElementType::F32, &[2, 0, 3])], vec![]);
    assert_eq!(builder.run(&x, &[vec![], vec![]]).unwrap(), [vec![]]);
}

fn lapack_call(target: &str, attributes: &[(&str, char)]) -> OpKind {
    let letter = |letter: char| Attribute::Integer(i128::from(letter as u32), ElementType::U8);
    OpKind::CustomCall(CustomCall {
        call_target_name: target.to_owned(),
        has_side_effect: false,
        backend_config: String::new(),
        backend_attributes: Attributes(
            attributes.iter().map(|&(name, value)| (name.to_owned(), letter(value))).collect(),
        ),
        api_version: CustomCallApiVersion::TypedFfi,
        called_computations: vec![],
        operand_layouts: vec![],
        result_layouts: vec![],
        output_operand_aliases: vec![],
    })
}

#[test]
fn lapack_is_found_and_reads_rows() {
    // [[0, 2], [1, 4]] has to swap its rows; its transpose as well, with another result.
    let mut builder = Builder::default();
    let ty = tensor(ElementType::F32, &[2, 2]);
    let a = builder.argument(ty.clone());
    let results = vec![ty, tensor(ElementType::I32, &[2]), tensor(ElementType::I32, &[])];
    let results = builder.op(lapack_call("lapack_sgetrf_ffi", &[]), &[a], results, vec![]);
    let outputs = builder.run(&results, &[bytes(&[0f32, 2., 1., 4.])]).unwrap();
    assert_eq!(f32s(&outputs[0]), [1., 4., 0., 2.]);
    assert_eq!((i32s(&outputs[1]), i32s(&outputs[2])), (vec![2, 2], vec![0]));
}

#[test]
fn eigenvalues_of_one_triangle_and_of_what_is_not_finite() {
    // Below the diagonal stands what must not be read; the second matrix is not finite above.
    let matrices = [2f32, 1., f32::NAN, 2., 1., f32::INFINITY, 0., 1.];
    let mut builder = Builder::default();
    let ty = tensor(ElementType::F32, &[2, 2, 2]);
    let a = builder.argument(ty.clone());
    let results = vec![ty, tensor(ElementType::F32, &[2, 2]), tensor(ElementType::I32, &[2])];
    let call = lapack_call("lapack_ssyevd_ffi", &[("mode", 'V'), ("uplo", 'U')]);
    let results = builder.op(call, &[a], results, vec![]);
    let outputs = builder.run(&results, &[bytes(&matrices)]).unwrap();
    let values = f32s(&outputs[1]);
    assert!((values[0] - 1.).abs() < 1e-6 && (values[1] - 3.).abs() < 1e-6, "{values:?}");
    assert!(f32s(&outputs[0])[..4].iter().all(|x| (x.abs() - 0.5f32.sqrt()).abs() < 1e-6));
    assert_eq!(i32s(&outputs[2]), [0, -4]);
}

#[test]
fn calls_that_do_not_fit_are_refused() {
    for (target, attributes, result, reason) in [
        ("lapack_sgetri_ffi", &[][..], ElementType::F32, "getri"),
        ("lapack_zgeqrf_ffi", &[], ElementType::F32, "no LAPACK for"),
        ("lapack_dgeqrf_ffi", &[], ElementType::F32, "operand 0"),
        ("lapack_sgeqrf_ffi", &[], ElementType::I32, "result 0"),
    ] {
        let mut builder = Builder::default();
        let a = builder.argument(tensor(ElementType::F32, &[2, 2]));
        let results = vec![tensor(result, &[2, 2]), tensor(ElementType::F32, &[2])];
        let results = builder.op(lapack_call(target, attributes), &[a], results, vec![]);
        let error = builder.run(&results, &[bytes(&[1f32, 0., 0., 1.])]).unwrap_err();
        assert!(error.contains(reason), "{target}: {error}");
    }
}

#[test]
fn pivots_without_a_row_stay() {
    let mut builder = Builder::default();
    let pivots = builder.argument(tensor(ElementType::I32, &[2, 2]));
    let results = vec![tensor(ElementType::I32, &[2, 3])];
    let results = builder.op(lapack_call("cu_lu_pivots_to_permutation", &[]), &[pivots], results, vec![]);
    let outputs = builder.run(&results, &[bytes(&[2i32, 2, 7, -1])]).unwrap();
    assert_eq!(i32s(&outputs[0]), [2, 0, 1, 0, 1, 2]);
}

#[test]
fn systems_that_are_singular_or_need_pivots() {
    let complex = |values: &[f32]| -> Vec<Complex<f32>> { values.iter().map(|&re| Complex { re, im: -re }).collect() };
    // The diagonal starts with 0: only pivoting gets on. A x = b for x = (1, 2, 3), all times 1 - i.
    let (below, diagonal, above) = (complex(&[0., 1., 4.]), complex(&[0., 1., 1.]), complex(&[1., 2., 0.]));
    let mut b: Vec<_> = [2f32, 9., 11.].iter().map(|&value| Complex { re: 0., im: -2. * value }).collect();
    solve_perturbed(&below, &diagonal, &above, &mut b);
    for (x, expected) in b.iter().zip([1f32, 2., 3.]) {
        assert!((x.re - expected).abs() < 1e-5 && (x.im + expected).abs() < 1e-5, "{b:?}");
    }
    let zeros = complex(&[0., 0.]);
    let mut b = complex(&[1., 2.]);
    solve_perturbed(&zeros, &zeros, &zeros, &mut b);
    assert!(b.iter().all(|x| x.re > 1e6 && x.im < -1e6), "{b:?}");
}
