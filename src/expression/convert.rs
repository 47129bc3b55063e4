//! Conversions between element types.
#![forbid(unsafe_code)]

use super::small_types::{encode, round_to_odd, wrap};
use super::{Scalar, Term};
use crate::program::ElementType;

/// Elements of type `from` as type `to`: floats saturate to integers, NaN becomes 0; small floats round from f64 once.
pub fn convert(a: &Term, from: ElementType, to: ElementType) -> Term {
    use ElementType::*;
    let Some(scalar) = Scalar::of(to) else { return a.clone() };
    if from == to {
        return a.clone();
    }
    if from.is_small_float() {
        return convert(&a.decode(from), F32, to);
    }
    if to == Bool {
        return a.not_equal(0.0);
    }
    if from.is_complex() && !to.is_complex() {
        return convert(&a.real(), if from == C128 { F64 } else { F32 }, to);
    }
    if to.is_integer() {
        return if from.is_float() { float_to_integer(a, to, scalar) } else { wrap(a.cast(scalar), to) };
    }
    if to.is_small_float() || to == F16 {
        let single = if from == F64 { round_to_odd(a) } else { a.cast(Scalar::F32) };
        return if to == F16 { single.cast(scalar) } else { encode(&single, to) };
    }
    if to == BF16 || (to == C64 && from == F64) {
        // By way of f32, as XLA goes.
        return a.cast(Scalar::F32).cast(scalar);
    }
    a.cast(scalar)
}

fn float_to_integer(a: &Term, to: ElementType, scalar: Scalar) -> Term {
    // Wide enough that the bounds below are exact.
    let a = if a.scalar() == Scalar::F64 { a.clone() } else { a.cast(Scalar::F32) };
    let significant = if a.scalar() == Scalar::F64 { 53 } else { 24 };
    let value_bits = to.bits() - usize::from(to.is_signed_integer());
    let low = if to.is_signed_integer() { -(2f64.powi(value_bits as i32)) } else { 0.0 };
    let greatest = (1i128 << value_bits) - 1;
    if value_bits <= significant {
        // Both bounds are floats.
        let inside = a.maximum(low).minimum(greatest as f64);
        return inside.or_where(&inside.is_nan(), 0.0).cast(scalar);
    }
    // The greatest integer is not a float: what reaches the next power of two becomes it by itself.
    let limit = 2f64.powi(value_bits as i32);
    let inside = a.less(limit).select(&a.maximum(low), 0.0).cast(scalar);
    a.greater_equal(limit).select(&inside.integer(greatest), &inside)
}

/// Bits of one element as bitcast_convert counts them: a boolean fills its byte.
pub fn width(element: ElementType) -> usize {
    if element == ElementType::Bool { 8 } else { element.bits() }
}

/// The significant bits alone, in an unsigned type (a complex number stays).
pub fn unextended(a: &Term, from: ElementType) -> Term {
    if from.is_complex() {
        return a.clone();
    }
    if from.bits() < 8 && from != ElementType::Bool { a.bits() & ((1i128 << from.bits()) - 1) } else { a.bits() }
}

/// Bits as elements of a type.
pub fn extended(bits: &Term, to: ElementType) -> Term {
    match (to, Scalar::of(to)) {
        (ElementType::Bool, _) | (_, None) => bits.not_equal(0.0),
        (_, Some(scalar)) => wrap(bits.view(scalar), to),
    }
}

/// A float with fewer bits of exponent and mantissa (None: as many as it has), ties to even; denormals of the reduced
/// format become 0.
pub fn reduce_precision(x: &Term, exponent_bits: Option<i64>, mantissa_bits: Option<i64>) -> Term {
    let (exponent, mantissa) = match x.scalar() {
        Scalar::F16 => (5, 10),
        Scalar::BF16 => (8, 7),
        Scalar::F32 => (8, 23),
        _ => (11, 52),
    };
    let mut bits = x.bits();
    if let Some(kept) = mantissa_bits {
        // Half of what is dropped, less one unless the last bit kept is set: to nearest, ties to even. A carry out
        // of the mantissa raises the exponent, up to infinity.
        let dropped = i128::from(mantissa - kept);
        let last = (&bits >> dropped) & 1i128;
        bits = (&bits + ((1i128 << (dropped - 1)) - 1) + last) & !((1i128 << dropped) - 1);
    }
    if let Some(kept) = exponent_bits {
        let sign = &bits & (1i128 << (exponent + mantissa));
        let all_ones = ((1i128 << exponent) - 1) << mantissa;
        let biased = &bits & all_ones;
        let (bias, kept_bias) = ((1i128 << (exponent - 1)) - 1, (1i128 << (kept - 1)) - 1);
        let overflows = biased.greater((bias + kept_bias) << mantissa);
        // Denormals of the reduced format, and its zeros, are flushed.
        let underflows = biased.less_equal((bias - kept_bias) << mantissa);
        bits = overflows.select(&(&sign | all_ones), bits);
        bits = underflows.select(&sign, bits);
    }
    x.is_nan().select(x, bits.view(x.scalar()))
}
