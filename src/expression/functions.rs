//! Elementary functions of f32 and f64, where a target's own lose digits.
//!
//! MLX's CPU backend has f32 `exp`, `sin` and `cos` that lose digits for large arguments (`exp` overflows at 88 instead of
//! 88.7), and f64 ones that are only as precise as f32.
#![forbid(unsafe_code)]

use super::{Scalar, Term};

/// e^x.
pub fn exp(x: &Term) -> Term {
    if x.target().is_precise(x.scalar()) {
        return x.exp();
    }
    if x.scalar() == Scalar::F64 {
        return exp_double(x);
    }
    // expm1 is the host's own, precise to the last digit; of |x|, so that adding 1 cancels nothing.
    let e = x.abs().expm1() + 1.0;
    x.less(0.0).select(&(x.constant(1.0) / &e), &e)
}

/// e^x as 2^n e^r, |r| ≤ ln 2 / 2.
fn exp_double(x: &Term) -> Term {
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

/// x in f64 where the target's own sine and cosine lose digits and its tangent, whose argument reduction is good for any
/// size, does not.
fn for_tangent(x: &Term) -> Option<Term> {
    (!x.target().is_precise(x.scalar())).then(|| x.cast(Scalar::F64))
}

/// sin x: 2t / (1 + t²), t = tan(x / 2).
pub fn sin(x: &Term) -> Term {
    let Some(wide) = for_tangent(x) else { return x.sin() };
    let half = (wide * 0.5).tan();
    ((&half + &half) / (&half * &half + 1.0)).cast(x.scalar())
}

/// cos x: ±1 / sqrt(1 + tan² x), negative where tan x and tan(x / 2) differ in sign.
pub fn cos(x: &Term) -> Term {
    let Some(wide) = for_tangent(x) else { return x.cos() };
    let (tangent, half) = (wide.tan(), (&wide * 0.5).tan());
    let magnitude = wide.constant(1.0) / (&tangent * &tangent + 1.0).sqrt();
    let sign = (tangent.bits() ^ half.bits()).view(Scalar::F64);
    magnitude.copysign(&sign).cast(x.scalar())
}

/// 1 / sqrt(x).
pub fn rsqrt(x: &Term) -> Term {
    if x.scalar() == Scalar::F64 { x.constant(1.0) / x.sqrt() } else { x.rsqrt() }
}

/// 1 / (1 + e^-x).
pub fn logistic(x: &Term) -> Term {
    x.constant(1.0) / (exp(&-x) + 1.0)
}

/// The cube root: from the power, and one step of Newton's method for the last digits.
pub fn cbrt(x: &Term) -> Term {
    if x.target().cube_root {
        return x.cbrt();
    }
    let magnitude = x.abs();
    let root = magnitude.power(1.0 / 3.0);
    let better = &root - (&root - &magnitude / (&root * &root)) * (1.0 / 3.0);
    // 0 and inf would give NaN, NaN is one already.
    let plain = magnitude.equal(0.0) | magnitude.is_inf();
    plain.select(&magnitude, better).copysign(x)
}
