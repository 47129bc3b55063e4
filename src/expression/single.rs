//! Elementary functions of f32 made of arithmetic, for targets that have none: code that computes several at once.
//!
//! Polynomials are those of Cephes (S. Moshier, single precision: expf.c, logf.c, sinf.c, tanhf.c, sinhf.c) after a
//! reduction of the argument as W. Cody and W. Waite, "Software Manual for the Elementary Functions", have it. Where f32 has
//! too few digits on the way, f64 is used. docs/architecture.md says how far each is from the truth.
#![forbid(unsafe_code)]
#![expect(clippy::excessive_precision, reason = "coefficients as published")]

use super::node::{Binary, Unary};
use super::{Scalar, Term};

/// ln 2 in two parts: products of the first with whole numbers below 2^15 are exact.
const LN_2_HIGH: f64 = 0.693359375;
const LN_2_LOW: f64 = -2.12194440e-4;
/// Beyond it whole numbers are all that f32, or f64, holds: adding it rounds.
const WHOLE: f64 = 12582912.0;
const WHOLE_DOUBLE: f64 = 6755399441055744.0;
/// Sine, cosine and tangent of more are left to the target's library.
const LARGE: f64 = 1e6;

/// A function of one number, if it is defined here.
pub fn unary(function: Unary, x: &Term) -> Option<Term> {
    Some(match function {
        Unary::Exp => exp(x),
        Unary::Expm1 => expm1(x),
        Unary::Log => log(x),
        Unary::Log1p => log1p(x),
        Unary::Sin => sin(x),
        Unary::Cos => cos(x),
        Unary::Tan => tan(x),
        Unary::Tanh => tanh(x),
        Unary::Sinh => sinh(x),
        Unary::Cosh => cosh(x),
        Unary::Cbrt => cbrt(x),
        _ => return None,
    })
}

/// A function of two numbers, if it is defined here.
pub fn binary(function: Binary, x: &Term, y: &Term) -> Option<Term> {
    (function == Binary::Power).then(|| power(x, y))
}

/// Within bounds; NaN stays.
fn within(x: &Term, low: f64, high: f64) -> Term {
    let (low, high) = (x.constant(low), x.constant(high));
    let x = high.less(x).select(&high, x);
    x.less(&low).select(&low, &x)
}

/// The nearest whole number, which must be below 2^22, and the same as an i32.
fn whole(x: &Term) -> (Term, Term) {
    let moved = x + WHOLE;
    let number = moved.view(Scalar::I32) - i128::from((WHOLE as f32).to_bits());
    (moved - WHOLE, number)
}

/// The same of f64; the number is an i64.
fn whole_double(x: &Term) -> (Term, Term) {
    let moved = x + WHOLE_DOUBLE;
    let number = moved.view(Scalar::I64) - i128::from(WHOLE_DOUBLE.to_bits());
    (moved - WHOLE_DOUBLE, number)
}

/// 2^n, n being an exponent of f32's normal numbers.
fn power_of_two(n: &Term) -> Term {
    ((n + 127i128) << 23i128).view(Scalar::F32)
}

/// e^x - 1 for |x| ≤ ln 2 / 2.
fn near_zero(r: &Term) -> Term {
    const P: [f64; 6] =
        [1.9875691500e-4, 1.3981999507e-3, 8.3334519073e-3, 4.1665795894e-2, 1.6666665459e-1, 5.0000001201e-1];
    let square = r * r;
    r.polynomial(&P) * square + r
}

/// x as n ln 2 + r: r, and n.
fn by_ln_2(x: &Term) -> (Term, Term) {
    let (n, number) = whole(&(x * std::f64::consts::LOG2_E));
    ((x - &n * LN_2_HIGH) - n * LN_2_LOW, number)
}

fn exp(x: &Term) -> Term {
    let (r, n) = by_ln_2(&within(x, -104.0, 89.0));
    // Two factors: 2^n alone overflows before e^x does, and is a denormal after.
    let half = &n >> 1i128;
    let rest = n - &half;
    (near_zero(&r) + 1.0) * power_of_two(&half) * power_of_two(&rest)
}

/// 2 (2^(n-1) (e^r - 1) + 2^(n-1) - 1/2).
fn expm1(x: &Term) -> Term {
    let (r, n) = by_ln_2(&within(x, -18.0, 89.0));
    let scale = power_of_two(&(n - 1i128));
    let half = &scale * near_zero(&r) + (&scale - 0.5);
    x.equal(0.0).select(x, &half + &half)
}

/// The logarithm of a positive finite number.
fn log_positive(x: &Term) -> Term {
    const P: [f64; 9] = [
        7.0376836292e-2,
        -1.1514610310e-1,
        1.1676998740e-1,
        -1.2420140846e-1,
        1.4249322787e-1,
        -1.6668057665e-1,
        2.0000714765e-1,
        -2.4999993993e-1,
        3.3333331174e-1,
    ];
    // sqrt(1/2): mantissas go from there to twice as much.
    const LEAST: i128 = 0x3f35_04f3;
    let small = x.less(f64::from(f32::MIN_POSITIVE));
    let bits = small.select(&(x * 8388608.0), x).view(Scalar::I32);
    let exponent = (&bits - LEAST) >> 23i128;
    let f = (bits - (&exponent << 23i128)).view(Scalar::F32) - 1.0;
    let exponent = exponent.cast(Scalar::F32) - small.select(&x.constant(23.0), 0.0);
    let square = &f * &f;
    let y = f.polynomial(&P) * &f * &square + &exponent * LN_2_LOW - square * 0.5;
    (f + y) + exponent * LN_2_HIGH
}

fn log(x: &Term) -> Term {
    let special = x.equal(0.0).select(&x.constant(f64::NEG_INFINITY), f64::NAN);
    // Infinity and NaN are their own.
    let special = x.greater(0.0).select(x, special);
    (x.greater(0.0) & x.less(f64::INFINITY)).select(&log_positive(x), special)
}

/// log u + (x - (u - 1)) / u, u = 1 + x: what rounding took from u is given back.
fn log1p(x: &Term) -> Term {
    let u = x + 1.0;
    let lost = x - (&u - 1.0);
    let result = log_positive(&u) + lost / &u;
    let special = x.equal(-1.0).select(&x.constant(f64::NEG_INFINITY), f64::NAN);
    let special = x.greater(0.0).select(x, special);
    let result = (x.greater(-1.0) & x.less(f64::INFINITY)).select(&result, special);
    x.equal(0.0).select(x, result)
}

/// x as n π/2 + r, in f64: r, and n's low bits as an i32.
fn by_right_angles(x: &Term) -> (Term, Term) {
    // π/2 in two parts: products of the first with n are exact.
    const HIGH: f64 = f64::from_bits(0x3ff9_21fb_5440_0000);
    const LOW: f64 = f64::from_bits(0x3dd0_b461_1a62_6331);
    let x = x.cast(Scalar::F64);
    let (n, number) = whole_double(&(&x * std::f64::consts::FRAC_2_PI));
    ((x - &n * HIGH) - n * LOW, number.cast(Scalar::I32))
}

/// The sine of n right angles and r.
fn sine_of(r: &Term, n: &Term) -> Term {
    const SINE: [f64; 3] = [-1.9515295891e-4, 8.3321608736e-3, -1.6666654611e-1];
    const COSINE: [f64; 3] = [2.443315711809948e-5, -1.388731625493765e-3, 4.166664568298827e-2];
    let r = r.cast(Scalar::F32);
    let square = &r * &r;
    let sine = square.polynomial(&SINE) * &square * &r + &r;
    let cosine = square.polynomial(&COSINE) * &square * &square - &square * 0.5 + 1.0;
    let odd = (n & 1i128).not_equal(0i128);
    let sign = (n & 2i128) << 30i128;
    (odd.select(&cosine, sine).view(Scalar::I32) ^ sign).view(Scalar::F32)
}

/// What the target's library gives where the argument is large.
fn or_library(function: Unary, x: &Term, result: Term) -> Term {
    x.abs().greater(LARGE).select(&x.library(function), result)
}

fn sin(x: &Term) -> Term {
    let (r, n) = by_right_angles(x);
    let result = sine_of(&r, &n);
    or_library(Unary::Sin, x, x.equal(0.0).select(x, result))
}

fn cos(x: &Term) -> Term {
    let (r, n) = by_right_angles(x);
    or_library(Unary::Cos, x, sine_of(&r, &(n + 1i128)))
}

/// The quotient of sine and cosine in f64, by their series.
fn tan(x: &Term) -> Term {
    const SINE: [f64; 5] = [1.0 / 362880.0, -1.0 / 5040.0, 1.0 / 120.0, -1.0 / 6.0, 1.0];
    const COSINE: [f64; 6] = [-1.0 / 3628800.0, 1.0 / 40320.0, -1.0 / 720.0, 1.0 / 24.0, -0.5, 1.0];
    let (r, n) = by_right_angles(x);
    let square = &r * &r;
    let (sine, cosine) = (square.polynomial(&SINE) * &r, square.polynomial(&COSINE));
    let odd = (n & 1i128).not_equal(0i128);
    let result = odd.select(&-&cosine, &sine) / odd.select(&sine, &cosine);
    or_library(Unary::Tan, x, x.equal(0.0).select(x, result.cast(Scalar::F32)))
}

fn tanh(x: &Term) -> Term {
    const P: [f64; 5] = [-5.70498872745e-3, 2.06390887954e-2, -5.37397155531e-2, 1.33314422036e-1, -3.33332819422e-1];
    let size = x.abs();
    let square = x * x;
    let near = square.polynomial(&P) * &square * x + x;
    let far = x.constant(1.0) - x.constant(2.0) / (exp(&(&size + &size)) + 1.0);
    let result = size.less(0.625).select(&near, far.copysign(x));
    x.equal(0.0).select(x, result)
}

/// 2^x in f64, for what f32 holds of it.
fn two_to(x: &Term) -> Term {
    // (ln 2)^k / k!, to 2e-10.
    const P: [f64; 9] = [
        1.3215486790144309e-6,
        1.5252733804059840e-5,
        1.5403530393381608e-4,
        1.3333558146428443e-3,
        9.6181291076284772e-3,
        5.5504108664821580e-2,
        2.4022650695910072e-1,
        std::f64::consts::LN_2,
        1.0,
    ];
    let x = within(x, -160.0, 130.0);
    let (n, number) = whole_double(&x);
    let scale = ((number + 1023i128) << 52i128).view(Scalar::F64);
    (x - n).polynomial(&P) * scale
}

/// The binary logarithm in f64 of a magnitude of f32: of 0, -inf; of inf, inf; of NaN a number.
fn binary_log(x: &Term) -> Term {
    // 2 / ln 2 / (2 k + 1).
    const P: [f64; 8] = [
        0.19235933878519514,
        0.22195308321368669,
        0.26230818925253882,
        0.32059897975310300,
        0.41219858311113244,
        0.57707801635558536,
        0.96179669392597560,
        2.8853900817779268,
    ];
    // As in `log_positive`, of f64's upper half: the lower is above its middle only where the upper is.
    const LEAST: i128 = 0x3fe6_a09e_667f_3bcd;
    let wide = x.cast(Scalar::F64);
    let bits = wide.view(Scalar::I64);
    let exponent = ((&bits - LEAST).view(Scalar::U64) >> 52i128).view(Scalar::I64);
    // The shift left no sign: numbers from 2^11 on are negative.
    let mantissa = (bits - (&exponent << 52i128)).view(Scalar::F64);
    let exponent = exponent.cast(Scalar::I32);
    let exponent = exponent.greater(2047i128).select(&(&exponent - 4096i128), &exponent).cast(Scalar::F64);
    let f = (&mantissa - 1.0) / (&mantissa + 1.0);
    let log = (&f * &f).polynomial(&P) * f + exponent;
    let log = x.equal(0.0).select(&log.constant(f64::NEG_INFINITY), log);
    x.is_inf().select(&wide, log)
}

fn cbrt(x: &Term) -> Term {
    let size = x.abs();
    let root = two_to(&(binary_log(&size) * (1.0 / 3.0))).cast(Scalar::F32).copysign(x);
    (x.equal(0.0) | !x.is_finite()).select(x, root)
}

/// C's pow.
fn power(x: &Term, y: &Term) -> Term {
    let size = x.abs();
    let magnitude = two_to(&(binary_log(&size) * y.cast(Scalar::F64))).cast(Scalar::F32);
    let half = y * 0.5;
    let (is_whole, is_odd) = (y.floor().equal(y), half.floor().not_equal(&half));
    let negative = x.view(Scalar::I32).less(0i128);
    let signed = (&negative & &is_whole & is_odd).select(&-&magnitude, &magnitude);
    let not_real = x.less(0.0) & x.is_finite() & !is_whole;
    let nan = not_real | x.is_nan() | y.is_nan();
    let one = y.equal(0.0) | x.equal(1.0) | (x.equal(-1.0) & y.is_inf());
    signed.or_where(&nan, f64::NAN).or_where(&one, 1.0)
}

/// e^x in f64, of f32.
fn exp_double(x: &Term) -> Term {
    two_to(&(x.cast(Scalar::F64) * std::f64::consts::LOG2_E))
}

fn sinh(x: &Term) -> Term {
    const P: [f64; 3] = [2.03721912945e-4, 8.33028376239e-3, 1.66667160211e-1];
    let square = x * x;
    let near = square.polynomial(&P) * &square * x + x;
    let size = x.abs();
    let e = exp_double(&size);
    let far = ((&e - e.constant(1.0) / &e) * 0.5).cast(Scalar::F32).copysign(x);
    let result = size.less(1.0).select(&near, far);
    x.equal(0.0).select(x, result)
}

fn cosh(x: &Term) -> Term {
    let e = exp_double(&x.abs());
    ((&e + e.constant(1.0) / &e) * 0.5).cast(Scalar::F32)
}
