//! Complex numbers.

use super::run;
use crate::expression::{Known, Target};
use crate::lower::expression::target;
use crate::lower::testing::{bytes, elementwise, f32s};
use crate::mlx::Backend;
use crate::program::ElementType::*;
use crate::program::{Binary, OpKind, Unary};

const INF: f32 = f32::INFINITY;
const NAN: f32 = f32::NAN;

fn same(came: &[f32], expected: &[f32]) {
    let close = |(a, b): (&f32, &f32)| {
        (a.is_nan() && b.is_nan()) || a.to_bits() == b.to_bits() || (a - b).abs() <= 2e-6 * b.abs()
    };
    assert!(came.iter().zip(expected).all(close), "{came:?} {expected:?}");
}

#[test]
fn parts_stay_apart() {
    let (re, im) = (bytes(&[INF, 1., -0., NAN]), bytes(&[1f32, -INF, -0., 0.]));
    let z = elementwise(OpKind::Binary(Binary::Complex), &[(F32, re.clone()), (F32, im.clone())], C64).unwrap();
    assert_eq!(f32s(&z)[..6], [INF, 1., 1., -INF, -0., -0.]);
    let real = elementwise(OpKind::Unary(Unary::Real), &[(C64, z.clone())], F32).unwrap();
    let imag = elementwise(OpKind::Unary(Unary::Imag), &[(C64, z)], F32).unwrap();
    assert_eq!((real, imag), (re, im));
    let none = elementwise(OpKind::Binary(Binary::Complex), &[(F32, vec![]), (F32, vec![])], C64).unwrap();
    assert!(none.is_empty());
    let finite = elementwise(OpKind::Unary(Unary::IsFinite), &[(F32, bytes(&[INF, NAN, -0.]))], Bool).unwrap();
    assert_eq!(finite, [0, 0, 1]);
}

#[test]
fn magnitudes_and_signs() {
    let z = bytes(&[0f32, 0., 3., 4., NAN, 1., 2e38, 2e38, 1e-30, 0.]);
    let abs = f32s(&elementwise(OpKind::Unary(Unary::Abs), &[(C64, z)], F32).unwrap());
    same(&abs, &[0., 5., NAN, 2.828_427e38, 1e-30]);
    let sign = elementwise(OpKind::Unary(Unary::Sign), &[(C64, bytes(&[0f32, 0., 3., 4., INF, 1.]))], C64).unwrap();
    same(&f32s(&sign), &[0., 0., 0.6, 0.8, NAN, 0.]);
}

/// As on a backend whose own quotient overflows.
fn by_parts(a: &[f32], b: &[f32]) -> Vec<f32> {
    let target = Target { safe_complex: false, ..target(Backend::Cpu.capabilities(false)) };
    let operands = [Known::of(C64); 2];
    let quotient = crate::expression::elementwise(&OpKind::Binary(Binary::Divide), &operands, C64, &target).unwrap();
    f32s(&run(&quotient, &[bytes(a), bytes(b)])[0])
}

#[test]
fn quotients() {
    let a = [1f32, 1., 1., 1., 1e38, 1e38, INF, 1., 3., -4., 1., 2.];
    let b = [0f32, 0., INF, INF, 1e38, 1e38, 1., 1., 0., 2., -3., 0.5];
    let expected = [INF, INF, 0., 0., 1., 0., INF, -INF, -2., -1.5, -0.216_216_22, -0.702_702_7];
    same(&by_parts(&a, &b), &expected);
    let operands = [(C64, bytes(&a)), (C64, bytes(&b))];
    same(&f32s(&elementwise(OpKind::Binary(Binary::Divide), &operands, C64).unwrap()), &expected);
}

#[test]
fn powers() {
    let a = [0f32, 0., 0., 0., 1., 1., -2., 0., NAN, NAN];
    let b = [0f32, 0., 2., 0., 2., 0.5, 3., 0., 0., 0.];
    let power = elementwise(OpKind::Binary(Binary::Power), &[(C64, bytes(&a)), (C64, bytes(&b))], C64).unwrap();
    let power = f32s(&power);
    same(&power[..6], &[1., 0., 0., 0., -0.2328481, 1.3302384]);
    assert!((power[6] + 8.).abs() < 1e-5 && power[7].abs() < 1e-5, "{power:?}");
    same(&power[8..], &[1., 0.]);
}

#[test]
fn exponentials() {
    let run = |op, z: &[f32]| f32s(&elementwise(OpKind::Unary(op), &[(C64, bytes(z))], C64).unwrap());
    let z = [0f32, 0., -INF, INF, INF, 0., 89.3, -100., NAN, 0., 1., 2.];
    let (re, im) = (89.3f64.exp() * 100f64.cos(), 89.3f64.exp() * (-100f64).sin());
    let expected = [1., 0., NAN, NAN, INF, 0., re as f32, im as f32, NAN, 0., -1.131_204_4, 2.471_726_7];
    let came = run(Unary::Exponential, &z);
    assert!(
        came.iter().zip(expected).all(|(a, b)| (a.is_nan() && b.is_nan()) || *a == b || (a - b).abs() < 1e-5 * b.abs()),
        "{came:?}"
    );
}

#[test]
fn greatest_is_lexicographic() {
    let (a, b) = (bytes(&[1f32, 2., 1., 2.]), bytes(&[1f32, 3., 0., 9.]));
    let run = |op| f32s(&elementwise(OpKind::Binary(op), &[(C64, a.clone()), (C64, b.clone())], C64).unwrap());
    assert_eq!(run(Binary::Maximum), [1., 3., 1., 2.]);
    assert_eq!(run(Binary::Minimum), [1., 2., 0., 9.]);
}
