//! exponential, exponential_minus_one, log, log_plus_one, logistic, sqrt, rsqrt, cbrt, sine, cosine, tan, tanh.
//!
//! Two gaps of MLX's CPU backend are filled here: its f32 `exp`, `sin` and `cos` lose digits for large arguments (`exp`
//! overflows at 88 instead of 88.7), and its f64 ones are only as precise as f32.
#![forbid(unsafe_code)]

use super::arithmetic::{UnaryFormula, unary, unary_in_f32};
use super::formula::Formula;
use super::{Context, LowerError, Lowered, Row, complex};
use crate::mlx::{self, Dtype};
use crate::program::Op;

/// Rows of the op table.
pub static ROWS: &[Row] = &[
    Row { name: "exponential", note: "", elementwise: true, lower: exponential },
    Row { name: "exponential_minus_one", note: "", elementwise: true, lower: exponential_minus_one },
    Row { name: "log", note: "", elementwise: true, lower: log },
    Row { name: "log_plus_one", note: "", elementwise: true, lower: log_plus_one },
    Row { name: "logistic", note: "", elementwise: true, lower: logistic },
    Row { name: "sqrt", note: "", elementwise: true, lower: sqrt },
    Row { name: "rsqrt", note: "", elementwise: true, lower: rsqrt },
    Row { name: "cbrt", note: "", elementwise: true, lower: cbrt },
    Row { name: "sine", note: "", elementwise: true, lower: sine },
    Row { name: "cosine", note: "", elementwise: true, lower: cosine },
    Row { name: "tan", note: "", elementwise: true, lower: tan },
    Row { name: "tanh", note: "", elementwise: true, lower: tanh },
];

/// A real function and a complex one; f16 and bf16 go through f32.
fn either(context: &Context<'_>, op: &Op, real: UnaryFormula, of_complex: UnaryFormula) -> Result<Lowered, LowerError> {
    let element = context.operand(op, 0)?.element;
    if element.is_small_float() {
        return Err(context.unsupported(op, "small floats are only converted and moved"));
    }
    if element.is_complex() {
        return Ok(unary(element, of_complex));
    }
    if !element.is_float() {
        return Err(context.invalid(op, &format!("a float or complex type expected, {element} came")));
    }
    Ok(unary_in_f32(element, real))
}

fn exponential(context: &mut Context<'_>, op: &Op) -> Result<Lowered, LowerError> {
    either(context, op, exp, complex::exp)
}

fn exponential_minus_one(context: &mut Context<'_>, op: &Op) -> Result<Lowered, LowerError> {
    either(context, op, Formula::expm1, complex::expm1)
}

fn log(context: &mut Context<'_>, op: &Op) -> Result<Lowered, LowerError> {
    either(context, op, Formula::log, complex::log)
}

fn log_plus_one(context: &mut Context<'_>, op: &Op) -> Result<Lowered, LowerError> {
    either(context, op, Formula::log1p, Formula::log1p)
}

fn logistic(context: &mut Context<'_>, op: &Op) -> Result<Lowered, LowerError> {
    either(
        context,
        op,
        |x| x.constant(1.0) / (exp(&-x) + 1.0),
        |z| complex::divide(&z.constant(1.0), &((-z).exp() + 1.0)),
    )
}

fn sqrt(context: &mut Context<'_>, op: &Op) -> Result<Lowered, LowerError> {
    either(context, op, Formula::sqrt, complex::sqrt)
}

fn rsqrt(context: &mut Context<'_>, op: &Op) -> Result<Lowered, LowerError> {
    either(
        context,
        op,
        |x| if x.dtype() == Dtype::Float64 { x.constant(1.0) / x.sqrt() } else { x.rsqrt() },
        complex::rsqrt,
    )
}

fn cbrt(context: &mut Context<'_>, op: &Op) -> Result<Lowered, LowerError> {
    either(context, op, real_cbrt, |z| complex::power(z, &z.constant(1.0 / 3.0)))
}

fn sine(context: &mut Context<'_>, op: &Op) -> Result<Lowered, LowerError> {
    either(context, op, sin, Formula::sin)
}

fn cosine(context: &mut Context<'_>, op: &Op) -> Result<Lowered, LowerError> {
    either(context, op, cos, Formula::cos)
}

fn tan(context: &mut Context<'_>, op: &Op) -> Result<Lowered, LowerError> {
    either(context, op, Formula::tan, complex::tan)
}

fn tanh(context: &mut Context<'_>, op: &Op) -> Result<Lowered, LowerError> {
    either(context, op, Formula::tanh, complex::tanh)
}

/// e^x of f32 or f64.
pub fn exp(x: &Formula) -> Formula {
    match (x.dtype(), x.stream().capabilities().precise_host_math) {
        (Dtype::Float64, _) => exp_f64(x),
        (_, false) => x.exp(),
        (_, true) => {
            // expm1 is the host's own, precise to the last digit; of |x|, so that adding 1 cancels nothing.
            let e = x.abs().expm1() + 1.0;
            x.less(0.0).select(&(x.constant(1.0) / &e), &e)
        }
    }
}

/// e^x as 2^n e^r, |r| ≤ ln 2 / 2.
fn exp_f64(x: &Formula) -> Formula {
    // ln 2 in two parts: products of the first with n are exact.
    const LN_2_HIGH: f64 = f64::from_bits(0x3fe6_2e42_fee0_0000);
    const LN_2_LOW: f64 = f64::from_bits(0x3dea_39ef_3579_3c76);
    let n = (x * std::f64::consts::LOG2_E).round().maximum(-1100.0).minimum(1100.0);
    let r = (x - &n * LN_2_HIGH) - &n * LN_2_LOW;
    // Two factors: 2^n alone overflows before e^x does, and is a denormal after.
    let half = (&n * 0.5).floor();
    let two = x.constant(2.0);
    (r.expm1() + 1.0) * two.power(&half) * two.power(&n - &half)
}

/// x in f64 where MLX's own sine and cosine lose digits and its tangent, whose argument reduction is good for any size,
/// does not: for f64, and for f32 on the host's processor.
fn for_tangent(x: &Formula) -> Option<Formula> {
    let own = x.dtype() == Dtype::Float64 || x.stream().capabilities().precise_host_math;
    own.then(|| x.where_held(Dtype::Float64).cast(Dtype::Float64))
}

/// sin x of f32 or f64: 2t / (1 + t²), t = tan(x / 2).
pub fn sin(x: &Formula) -> Formula {
    let Some(wide) = for_tangent(x) else { return x.sin() };
    let half = (wide * 0.5).tan();
    ((&half + &half) / (&half * &half + 1.0)).cast(x.dtype())
}

/// cos x of f32 or f64: ±1 / sqrt(1 + tan² x), negative where tan x and tan(x / 2) differ in sign.
pub fn cos(x: &Formula) -> Formula {
    let Some(wide) = for_tangent(x) else { return x.cos() };
    let (tangent, half) = (wide.tan(), (&wide * 0.5).tan());
    let magnitude = wide.constant(1.0) / (&tangent * &tangent + 1.0).sqrt();
    let sign = (tangent.bits() ^ half.bits()).view(Dtype::Float64);
    magnitude.copysign(&sign).cast(x.dtype())
}

/// The root from MLX's power, and one step of Newton's method for the last digits.
fn real_cbrt(x: &Formula) -> Formula {
    let magnitude = x.abs();
    let root = magnitude.power(1.0 / 3.0);
    let better = &root - (&root - &magnitude / (&root * &root)) * (1.0 / 3.0);
    // 0 and inf would give NaN, NaN is one already.
    let plain = magnitude.equal(0.0).apply2(magnitude.is_inf(), mlx::logical_or);
    plain.select(&magnitude, better).copysign(x)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{bytes, elementwise, f32s, values};
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
}
