//! Elementary functions.

use crate::lower::testing::{bytes, elementwise, f32s, values};
use crate::program::ElementType::{self, *};
use crate::program::{OpKind, Unary};

fn f32_of(op: Unary, x: &[f32]) -> Vec<f32> {
    f32s(&elementwise(OpKind::Unary(op), &[(F32, bytes(x))], F32).unwrap())
}

fn f64_of(op: Unary, x: &[f64]) -> Vec<f64> {
    values(&elementwise(OpKind::Unary(op), &[(F64, bytes(x))], F64).unwrap())
}

const INF: f32 = f32::INFINITY;

/// Within that many units in the last place of the f64 result, special values alike.
fn close(op: Unary, reference: fn(f64) -> f64, x: &[f32], ulps: f64) {
    for (&x, &came) in x.iter().zip(&f32_of(op, x)) {
        let exact = reference(f64::from(x));
        let expected = exact as f32;
        let unit = f64::from(f32::from_bits((expected.abs().to_bits()).max(0x0080_0000) + 1))
            - f64::from(f32::from_bits(expected.abs().to_bits().max(0x0080_0000)));
        let fits = if expected.is_nan() {
            came.is_nan()
        } else if expected == 0.0 || expected.is_infinite() {
            came.to_bits() == expected.to_bits()
        } else {
            (f64::from(came) - exact).abs() <= ulps * unit
        };
        assert!(fits, "{op:?}({x}) = {came}, {expected} expected");
    }
}

#[test]
fn f32_functions_are_precise_at_every_size() {
    let mut x = vec![0., -0., 1., -1., 1e-3, -1e-3, 1e-8, 50., -50., 88.7, -87., 89., INF, -INF, f32::NAN];
    x.extend((-400..400).map(|i| i as f32 * 0.21));
    close(Unary::Exponential, f64::exp, &x, 3.0);
    close(Unary::ExponentialMinusOne, f64::exp_m1, &x, 2.0);
    close(Unary::Logistic, |x| 1.0 / (1.0 + (-x).exp()), &x[..10], 4.0);
    close(Unary::Tanh, f64::tanh, &x, 3.0);
    close(Unary::Cbrt, f64::cbrt, &x, 2.0);
    x.extend([1e5, -3e7, 1e30, 12345.678]);
    close(Unary::Sine, f64::sin, &x, 1.0);
    close(Unary::Cosine, f64::cos, &x, 1.0);
    close(Unary::Tan, f64::tan, &x, 2.0);
    let x: Vec<f32> = x.iter().map(|x| x.abs()).chain([-1.0]).collect();
    close(Unary::Log, f64::ln, &x, 1.0);
    close(Unary::LogPlusOne, f64::ln_1p, &x, 1.0);
    close(Unary::Sqrt, f64::sqrt, &x, 0.5);
    close(Unary::Rsqrt, |x| 1.0 / x.sqrt(), &x, 2.0);
}

#[test]
fn f64_functions_have_all_their_digits() {
    let x: Vec<f64> = (-300..300).map(|i| f64::from(i) * 2.31 + 1e-3).collect();
    let relative = |op, reference: fn(f64) -> f64, bound: f64| {
        for (&x, &came) in x.iter().zip(&f64_of(op, &x)) {
            let expected = reference(x);
            let error = if came == expected { 0.0 } else { ((came - expected) / expected).abs() };
            assert!(error < bound, "{op:?}({x}) = {came}, {expected} expected");
        }
    };
    relative(Unary::Exponential, f64::exp, 1e-15);
    relative(Unary::Logistic, |x| 1.0 / (1.0 + (-x).exp()), 2e-15);
    relative(Unary::Sine, f64::sin, 1e-15);
    relative(Unary::Cosine, f64::cos, 1e-15);
    relative(Unary::Cbrt, f64::cbrt, 1e-15);
    relative(Unary::Tanh, f64::tanh, 1e-15);
    let ends = f64_of(Unary::Exponential, &[f64::INFINITY, f64::NEG_INFINITY, 710., -746., -740., 0., f64::NAN]);
    assert_eq!(ends[..4], [f64::INFINITY, 0., f64::INFINITY, 0.]);
    assert!((ends[4] / (-740f64).exp() - 1.0).abs() < 0.02 && ends[5] == 1.0 && ends[6].is_nan());
}

#[test]
fn halves_are_computed_in_single() {
    let x = [half::bf16::from_f32(3.3), half::bf16::from_f32(-7.5)];
    let came: Vec<half::bf16> =
        values(&elementwise(OpKind::Unary(Unary::Exponential), &[(BF16, bytes(&x))], BF16).unwrap());
    assert_eq!(came, x.map(|x| half::bf16::from_f32(x.to_f32().exp())));
    let x = [half::f16::from_f32(3.3), half::f16::from_f32(-7.5)];
    let came: Vec<half::f16> = values(&elementwise(OpKind::Unary(Unary::Sine), &[(F16, bytes(&x))], F16).unwrap());
    assert_eq!(came, x.map(|x| half::f16::from_f32(x.to_f32().sin())));
}

#[test]
fn complex_functions() {
    let run = |op, re: f32, im: f32| {
        let z = f32s(&elementwise(OpKind::Unary(op), &[(C64, bytes(&[re, im]))], ElementType::C64).unwrap());
        (z[0], z[1])
    };
    // expm1 keeps what exp - 1 loses.
    let (re, im) = run(Unary::ExponentialMinusOne, 1e-6, 1e-6);
    assert!((re - 1e-6).abs() < 1e-12 && (im - 1e-6).abs() < 1e-11, "{re} {im}");
    let (re, im) = run(Unary::Rsqrt, 3., 4.);
    assert!((re - 0.4).abs() < 1e-6 && (im + 0.2).abs() < 1e-6, "{re} {im}");
    let (re, im) = run(Unary::Logistic, 0.5, 0.5);
    assert!((re - 0.629_935_4).abs() < 1e-6 && (im - 0.119_545_07).abs() < 1e-6, "{re} {im}");
    // The cut of the logarithm is the negative axis, told apart by the sign of a zero.
    assert_eq!(run(Unary::Log, -1., 0.), (0., std::f32::consts::PI));
    assert_eq!(run(Unary::Log, -1., -0.), (0., -std::f32::consts::PI));
    assert_eq!(run(Unary::Sqrt, -4., -0.), (0., -2.));
}
