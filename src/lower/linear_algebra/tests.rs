//! Systems of small integers, whose solutions are exact.

use super::super::testing::{Builder, bytes, f32s, tensor};
use super::factor::{System, cholesky, solve_triangular};
use super::field::{Complex, Field};
use crate::program::{ElementType, OpKind, Transpose};

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

impl Integers for Complex {
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

fn check_systems<T: Integers>() {
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
            // What must not be read is NaN.
            let mut stored = vec![T::NAN; n * n];
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
            assert_eq!(solve_triangular(system, &stored, &b, n, size), x, "{system:?} {n} {m}");
        }
    }
}

#[test]
fn triangular_systems() {
    check_systems::<f32>();
    check_systems::<f64>();
    check_systems::<Complex>();
}

fn check_cholesky<T: Integers>(n: usize) {
    let mut dice = Dice(5);
    let mut factor = vec![T::ZERO; n * n];
    for row in 0..n {
        for column in 0..row {
            factor[row * n + column] = T::of(&mut dice);
        }
        factor[row * n + row] = T::ONE + T::ONE;
    }
    let mut adjoint = vec![T::ZERO; n * n];
    for row in 0..n {
        for column in 0..n {
            adjoint[column * n + row] = factor[row * n + column].conjugate();
        }
    }
    let mut a = product(&factor, &adjoint, (n, n, n));
    for row in 0..n {
        // Not to be read.
        a[row * n + row + 1..(row + 1) * n].fill(T::NAN);
    }
    let mut broken = a.clone();
    assert!(cholesky(&mut a, n));
    assert_eq!(a, factor);
    broken[n * n - 1] = -T::ONE;
    assert!(!cholesky(&mut broken, n));
    // NaN is what differs from itself; the trait has no other test for it.
    #[expect(clippy::eq_op, reason = "NaN")]
    let is_nan = |value: &T| value != value;
    assert!(broken.iter().all(is_nan));
}

#[test]
fn cholesky_factors() {
    for n in [1, 2, 64, 65, 150] {
        check_cholesky::<f32>(n);
        check_cholesky::<f64>(n);
        check_cholesky::<Complex>(n);
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
