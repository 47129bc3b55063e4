//! Arithmetic of integers and floats as StableHLO has it.
#![forbid(unsafe_code)]

use super::{Scalar, Term};

/// Integer division traps on a zero divisor and on INT_MIN / -1: never let it see one.
fn safe(divisor: &Term) -> (Term, Term) {
    let zero = divisor.equal(0i128);
    let safe = zero.select(&divisor.integer(1), divisor);
    (zero, safe)
}

/// a / b rounded down; all ones where b is 0.
pub fn divide_unsigned(a: &Term, b: &Term) -> Term {
    let (zero, b) = safe(b);
    zero.select(&a.integer(-1), a / b)
}

/// a / b towards zero; -1 where b is 0.
pub fn divide_signed(a: &Term, b: &Term) -> Term {
    // Magnitudes as unsigned numbers: INT_MIN's fits, and flooring is truncation.
    let (zero, safe) = safe(b);
    let quotient = (a.abs().bits() / safe.abs().bits()).view(a.scalar());
    let negative = (a ^ b).less(0i128);
    let quotient = negative.select(&-&quotient, quotient);
    zero.select(&a.integer(-1), quotient)
}

/// a modulo b; a where b is 0.
pub fn remainder_unsigned(a: &Term, b: &Term) -> Term {
    let (zero, b) = safe(b);
    zero.select(a, a.remainder(b))
}

/// What is left of a / b towards zero; a where b is 0.
pub fn remainder_signed(a: &Term, b: &Term) -> Term {
    let (zero, safe) = safe(b);
    let rest = a.abs().bits().remainder(safe.abs().bits()).view(a.scalar());
    let rest = a.less(0i128).select(&-&rest, rest);
    zero.select(a, rest)
}

/// C's fmod: exact, with the dividend's sign.
pub fn remainder_float(a: &Term, b: &Term) -> Term {
    let magnitude = a.abs();
    let rest = magnitude.remainder(b.abs());
    if a.target().c_remainder {
        return rest.copysign(a);
    }
    // fmod(finite, inf) = finite: the usual formula of GPUs would make NaN of it.
    let rest = (b.is_inf() & a.is_finite()).select(&magnitude, rest);
    rest.copysign(a)
}

/// a^b modulo 2^n; of negative exponents what is left of 1 / a^-b towards zero, and 0 of 0.
pub fn power_signed(a: &Term, b: &Term) -> Term {
    let negative = b.less(0i128);
    let power = a.power(b.maximum(0i128));
    let odd = (b & 1i128).not_equal(0i128);
    let of_minus_one = odd.select(&a.integer(-1), 1i128);
    let inverse = a.equal(1i128).select(&a.integer(1), a.equal(-1i128).select(&of_minus_one, 0i128));
    negative.select(&inverse, power)
}

/// C's pow.
pub fn power_float(a: &Term, b: &Term) -> Term {
    let power = a.power(b);
    if a.target().c_powers {
        return power;
    }
    // C's rules that GPUs do not promise: x^0 = 1^y = 1 even for NaN, and |-1|^±inf = 1.
    let one = b.equal(0.0) | a.equal(1.0) | (a.equal(-1.0) & b.is_inf());
    power.or_where(&one, 1.0)
}

/// -a, the sign of NaN turned too.
pub fn negate(a: &Term) -> Term {
    let own = match a.scalar() {
        Scalar::F16 | Scalar::BF16 => a.target().negates_half_nan,
        Scalar::F32 => a.target().negates_single_nan,
        _ => true,
    };
    if own { -a } else { (a.bits() ^ (1i128 << (a.scalar().bits() - 1))).view(a.scalar()) }
}

/// The sign of a float; zeros and NaN are their own.
pub fn sign_float(a: &Term) -> Term {
    let sign = a.sign();
    (sign.equal(0.0) | a.is_nan()).select(a, sign)
}

/// Which zeros an operand can hold, as far as is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Zeros {
    /// No zero.
    None,
    /// No -0.
    Positive,
    /// Any.
    #[default]
    Unknown,
}

/// The greater of two floats, -0 below 0; NaN if either is.
pub fn maximum(a: &Term, b: &Term, zeros: [Zeros; 2]) -> Term {
    match zeros {
        _ if a.target().orders_zeros => a.maximum(b),
        // MLX takes its second operand when the two are equal, but +0 is the greater zero.
        [_, Zeros::None | Zeros::Positive] | [Zeros::None, _] => a.maximum(b),
        [Zeros::Positive, _] => b.maximum(a),
        _ => a.equal(b).select(&(a.bits() & b.bits()).view(a.scalar()), a.maximum(b)),
    }
}

/// The lesser of two floats, -0 below 0; NaN if either is.
pub fn minimum(a: &Term, b: &Term, zeros: [Zeros; 2]) -> Term {
    match zeros {
        _ if a.target().orders_zeros => a.minimum(b),
        // As for maximum: -0 is the lesser zero, so a +0 that is known goes first.
        [Zeros::None | Zeros::Positive, _] | [_, Zeros::None] => a.minimum(b),
        [_, Zeros::Positive] => b.minimum(a),
        _ => a.equal(b).select(&(a.bits() | b.bits()).view(a.scalar()), a.minimum(b)),
    }
}

/// Bits of signed integers that order floats as IEEE's totalOrder does: -NaN < -inf < … < -0 < +0 < … < inf < NaN.
pub fn total_order(a: &Term) -> Term {
    let bits = a.view(a.scalar().signed());
    let mask = (1i128 << (a.scalar().bits() - 1)) - 1;
    bits.less(0i128).select(&(&bits ^ mask), &bits)
}

/// Elements where the predicate holds, else 0: their bits and as many of its.
pub fn or_zero(predicate: &Term, a: &Term) -> Term {
    let bits = a.scalar().signed();
    (a.view(bits) & -predicate.cast(bits)).view(a.scalar())
}

/// Towards the nearest integer, ties away from zero.
pub fn round_away(x: &Term) -> Term {
    // floor(|x| + 0.5) would round 0.49999997 up: the fraction is exact, the sum is not.
    let magnitude = x.abs();
    let whole = magnitude.floor();
    let up = (&magnitude - &whole).greater_equal(0.5);
    let rounded = up.select(&(&whole + 1.0), &whole);
    // inf - inf is NaN, which is not ≥ 0.5: infinities stay.
    rounded.copysign(x)
}

/// The number that follows `a` towards `b` (C's nextafter): `b` where they are equal, NaN where either is.
pub fn next_after(a: &Term, b: &Term) -> Term {
    let bits = a.bits();
    let magnitude = a.abs().bits();
    let sign_mask = 1i128 << (a.scalar().bits() - 1);
    // From zero: the least denormal, with the sign of b.
    let least = (b.bits() & sign_mask) | 1i128;
    let away = a.less(b).select(&a.greater(0.0), a.less(0.0));
    let moved = away.select(&(&bits + 1i128), &bits - 1i128);
    let moved = magnitude.equal(0i128).select(&least, moved).view(a.scalar());
    let moved = a.equal(b).select(b, moved);
    (a.is_nan() | b.is_nan()).select(&(a + b), moved)
}

/// Number of bits set, of unsigned integers.
pub fn population(bits: &Term) -> Term {
    let ones = |pattern: u64| i128::from(pattern);
    let width = bits.scalar().bits();
    let pairs = bits - ((bits >> 1i128) & ones(0x5555_5555_5555_5555));
    let fours = (&pairs & ones(0x3333_3333_3333_3333)) + ((pairs >> 2i128) & ones(0x3333_3333_3333_3333));
    let mut sum = (&fours + (&fours >> 4i128)) & ones(0x0f0f_0f0f_0f0f_0f0f);
    let mut shift = 8;
    while shift < width {
        sum = &sum + (&sum >> i128::from(shift));
        shift *= 2;
    }
    if width > 8 { sum & 0x7fi128 } else { sum }
}

/// As `function`; f16 and bf16 are computed in f32, as XLA does.
pub fn in_single<const N: usize>(terms: [&Term; N], function: impl FnOnce([Term; N]) -> Term) -> Term {
    let scalar = terms[0].scalar();
    if scalar.is_half() {
        function(terms.map(|term| term.cast(Scalar::F32))).cast(scalar)
    } else {
        function(terms.map(Term::clone))
    }
}

/// A function of one float; f16 and bf16 are computed in f32.
pub fn unary_in_single(x: &Term, function: impl FnOnce(&Term) -> Term) -> Term {
    in_single([x], |[x]| function(&x))
}
