//! Complex numbers, in terms of their parts where the target has nothing better.
#![forbid(unsafe_code)]

use super::Term;
use super::functions::{self, cos, sin};
use super::node::{Binary, Unary};

/// The complex number of its parts, which keeps infinities and NaN apart where `re + i · im` would mix them.
fn pair(real: &Term, imaginary: &Term) -> Term {
    real.complex(imaginary)
}

/// a > b, real parts first.
pub fn greater(a: &Term, b: &Term) -> Term {
    let (ar, br) = (a.real(), b.real());
    ar.equal(&br).select(&a.imag().greater(b.imag()), ar.greater(&br))
}

/// -z, zeros included.
pub fn negate(z: &Term) -> Term {
    if z.target().negates_complex_zeros {
        return -z;
    }
    pair(&-z.real(), &-z.imag())
}

/// |z| without overflow on the way; NaN where either part is.
pub fn abs(z: &Term) -> Term {
    if z.target().safe_complex {
        return z.magnitude();
    }
    let (re, im) = (z.real().abs(), z.imag().abs());
    let (large, small) = (re.maximum(&im), re.minimum(&im));
    let ratio = &small / &large;
    let magnitude = (&ratio * &ratio + 1.0).sqrt() * &large;
    let plain = large.equal(0.0) | large.is_inf();
    plain.select(&large, magnitude)
}

/// The square root in the right half of the plane: the part that does not cancel from the root of a sum, the other from
/// their product, im / 2.
pub fn sqrt(z: &Term) -> Term {
    if z.target().precise_complex_sqrt {
        return z.sqrt();
    }
    let (x, y) = (z.real(), z.imag());
    // Halves of the sum: it may overflow.
    let large = ((abs(z) * 0.5) + x.abs() * 0.5).sqrt();
    let large = large.or_where(&x.is_inf(), f64::INFINITY);
    let small = (&y / &large * 0.5).or_where(&large.equal(0.0), 0.0);
    let right = x.greater_equal(0.0);
    let re = right.select(&large, small.abs());
    let im = right.select(&small, large.abs()).copysign(&y);
    let (re, im) = (re.or_where(&y.is_inf(), f64::INFINITY), y.is_inf().select(&y, im));
    pair(&re, &im)
}

/// ln |z| + i arg z; ln |z| from the greater part and their ratio, which keeps its digits where |z| is near 1, as XLA has
/// it.
pub fn log(z: &Term) -> Term {
    pair(&log_magnitude(&z.real(), &z.imag()), &z.imag().arctan2(z.real()))
}

fn log_magnitude(x: &Term, y: &Term) -> Term {
    let (x, y) = (x.abs(), y.abs());
    let (large, small) = (x.maximum(&y), x.minimum(&y));
    // Zeros and infinities have no ratio.
    let ratio = large.equal(&small).select(&large.constant(1.0), &small / &large);
    large.log() + (&ratio * &ratio).log1p() * 0.5
}

/// z / |z|, 0 for 0.
pub fn sign(z: &Term) -> Term {
    let magnitude = abs(z);
    let sign = pair(&(z.real() / &magnitude), &(z.imag() / &magnitude));
    z.equal(0.0).select(z, sign)
}

/// a / b by Smith's method. MLX's GPU code squares the parts of b, and may overflow.
pub fn divide(a: &Term, b: &Term) -> Term {
    if a.target().safe_complex { a.apply2(Binary::Divide, b) } else { divide_by_parts(a, b) }
}

fn divide_by_parts(a: &Term, b: &Term) -> Term {
    let (ar, ai, br, bi) = (a.real(), a.imag(), b.real(), b.imag());
    let swap = br.abs().less(bi.abs());
    // (ar + i ai) / (br + i bi) = (ai - i ar) / (bi - i br): the greater part of the divisor comes first.
    let (nr, ni) = (swap.select(&ai, &ar), swap.select(&-&ar, &ai));
    let (dr, di) = (swap.select(&bi, &br), swap.select(&-&br, &bi));
    let ratio = &di / &dr;
    let scale = &dr + &di * &ratio;
    let (re, im) = ((&nr + &ni * &ratio) / &scale, (&ni - &nr * &ratio) / &scale);
    // C's rules for a zero divisor and for infinities, where the formula gives NaN twice.
    let lost = re.is_nan() & im.is_nan();
    let finite = |x: &Term, y: &Term| x.is_finite() & y.is_finite();
    let infinite = |x: &Term, y: &Term| x.is_inf() | y.is_inf();
    let vanishes = &lost & infinite(&br, &bi) & finite(&ar, &ai);
    let unit = |x: &Term| x.is_inf().select(&x.constant(1.0), 0.0).copysign(x);
    let (ur, ui) = (unit(&br), unit(&bi));
    let re = vanishes.select(&((&ar * &ur + &ai * &ui) * 0.0), re);
    let im = vanishes.select(&((&ai * &ur - &ar * &ui) * 0.0), im);
    let diverges = &lost & infinite(&ar, &ai) & finite(&br, &bi);
    let (ur, ui) = (unit(&ar), unit(&ai));
    let re = diverges.select(&((&ur * &br + &ui * &bi) * f64::INFINITY), re);
    let im = diverges.select(&((&ui * &br - &ur * &bi) * f64::INFINITY), im);
    let zero = &lost & b.equal(0.0);
    let infinity = br.constant(f64::INFINITY).copysign(&br);
    pair(&zero.select(&(&ar * &infinity), re), &zero.select(&(&ai * &infinity), im))
}

/// a^b = |a|^c e^(-d arg a) (cos, sin)(d ln |a| + c arg a), b = c + i d.
pub fn power(a: &Term, b: &Term) -> Term {
    let (c, d) = (b.real(), b.imag());
    let magnitude = abs(a);
    let argument = a.imag().arctan2(a.real());
    let size = magnitude.power(&c) * functions::exp(&-(&d * &argument));
    let turn = &c * &argument + &d * &magnitude.log();
    let general = pair(&(&size * cos(&turn)), &(&size * sin(&turn)));
    // Kahan's choices, as XLA has them: 0^0 = 1^b = 1, 0^c = 0 and inf^c = inf for c > 0, inf^c = 0 for c < 0.
    let real_exponent = d.equal(0.0);
    let positive = &real_exponent & c.greater(0.0);
    let infinite = a.real().equal(f64::INFINITY) & a.imag().equal(0.0);
    let one = (&real_exponent & c.equal(0.0)) | a.equal(1.0);
    let nothing = (magnitude.equal(0.0) & &positive) | (&infinite & &real_exponent & c.less(0.0));
    let result = nothing.select(&a.constant(0.0), general);
    let result = one.select(&a.constant(1.0), result);
    (&infinite & &positive).select(&a.constant(f64::INFINITY), result)
}

/// -i log((b + i a) / sqrt(a² + b²)).
pub fn atan2(a: &Term, b: &Term) -> Term {
    let zero = a.real().constant(0.0);
    let i = |sign: f64| pair(&zero, &zero.constant(sign));
    let quotient = divide(&(b + i(1.0) * a), &sqrt(&(b * b + a * a)));
    i(-1.0) * log(&quotient)
}

/// e^z = eˣ cos y + i eˣ sin y, with XLA's NaN where C's function has zeros or infinities: for an infinite y.
pub fn exp(z: &Term) -> Term {
    let (x, y) = (z.real(), z.imag());
    // In two factors: eˣ may overflow where its products do not.
    let half = functions::exp(&(x * 0.5));
    // On the real axis inf · 0 is not meant.
    pair(&(&half * cos(&y) * &half), &y.equal(0.0).select(&y, &half * sin(&y) * &half))
}

/// NaN in both parts where the real axis has no value, as in XLA.
pub fn tan(z: &Term) -> Term {
    // tan z = -i tanh(i z).
    let (re, im) = if own(z) {
        let tan = z.tan();
        (tan.real(), tan.imag())
    } else {
        let (im, re) = tanh_parts(&-z.imag(), &z.real());
        (re, -im)
    };
    let lost = z.imag().equal(0.0) & not_finite(&z.real());
    // XLA's has no -0 there.
    pair(&(&re + 0.0), &lost.select(&re, im))
}

/// NaN in both parts where the imaginary axis has no value, as in XLA.
pub fn tanh(z: &Term) -> Term {
    let (re, im) = if own(z) {
        let tanh = z.tanh();
        (tanh.real(), tanh.imag())
    } else {
        tanh_parts(&z.real(), &z.imag())
    };
    let lost = z.real().equal(0.0) & not_finite(&z.imag());
    // XLA's has no -0 there.
    pair(&lost.select(&im, re), &(&im + 0.0))
}

/// Whether the target's own functions are used: those of GPUs overflow on their way.
fn own(z: &Term) -> bool {
    z.target().complex_functions && z.target().safe_complex
}

/// tanh(x + i y) = (tanh x (1 + tan² y) + i tan y / cosh² x) / (1 + tanh² x tan² y).
fn tanh_parts(x: &Term, y: &Term) -> (Term, Term) {
    let (tangent, hyperbolic, cosh) = (y.tan(), x.tanh(), x.cosh());
    let square = &tangent * &tangent;
    let below = &hyperbolic * &hyperbolic * &square + 1.0;
    let re = &hyperbolic * (&square + 1.0) / &below;
    let im = &tangent / (&cosh * &cosh) / below;
    // In the limit y does not matter, and on the real axis x.
    let lost = x.is_inf() & not_finite(y);
    let im = lost.select(&x.constant(0.0), im);
    (lost.select(&hyperbolic, re), y.equal(0.0).select(y, im))
}

/// a cosh y and b sinh y: cosh y may overflow where these do not.
fn hyperbolic(y: &Term, a: &Term, b: &Term) -> (Term, Term) {
    let size = y.abs();
    let root = functions::exp(&(&size * 0.5));
    let half = &root * 0.5;
    // Beyond 20, e^-y is lost in e^y.
    let far = size.greater(20.0);
    let cosh = far.select(&(a * &half * &root), a * y.cosh());
    let sinh = far.select(&(b * half.copysign(y) * &root), b * y.sinh());
    (cosh, sinh)
}

/// sin x cosh y + i cos x sinh y.
pub fn sine(z: &Term) -> Term {
    let (x, y) = (z.real(), z.imag());
    let (re, im) = hyperbolic(&y, &sin(&x), &cos(&x));
    // On the imaginary axis inf · 0 is not meant.
    pair(&(x.equal(0.0) & not_finite(&y)).select(&x, re), &im)
}

/// cos x cosh y - i sin x sinh y.
pub fn cosine(z: &Term) -> Term {
    let (x, y) = (z.real(), z.imag());
    let (re, im) = hyperbolic(&y, &cos(&x), &sin(&x));
    // On the imaginary axis inf · 0 is not meant.
    pair(&re, &(-im).or_where(&(x.equal(0.0) & not_finite(&y)), 0.0))
}

/// -i sin(i z).
pub fn sinh(z: &Term) -> Term {
    turned_back(&sine(&turned(z)))
}

/// cos(i z).
pub fn cosh(z: &Term) -> Term {
    cosine(&turned(z))
}

/// i z.
fn turned(z: &Term) -> Term {
    pair(&-z.imag(), &z.real())
}

/// -i z.
fn turned_back(z: &Term) -> Term {
    pair(&z.imag(), &-z.real())
}

/// ln |1 + z| + i arg (1 + z); |1 + z|² - 1 keeps its digits near 0.
pub fn log1p(z: &Term) -> Term {
    let (x, y) = (z.real(), z.imag());
    let shifted = &x + 1.0;
    let near = (&x * (&x + 2.0) + &y * &y).log1p() * 0.5;
    let far = log_magnitude(&shifted, &y);
    let small = x.abs().less(0.5) & y.abs().less(0.5);
    pair(&small.select(&near, far), &y.arctan2(shifted))
}

/// Inverse functions, by W. Kahan, "Branch cuts for complex elementary functions", 1987.
pub fn asin(z: &Term) -> Term {
    if z.target().complex_functions {
        return z.apply(Unary::Asin);
    }
    let (below, above) = (sqrt(&(z.constant(1.0) - z)), sqrt(&(z + 1.0)));
    let product = &below * &above;
    pair(&z.real().arctan2(product.real()), &(conjugate(&below) * &above).imag().apply(Unary::Asinh))
}

/// As [`asin`].
pub fn acos(z: &Term) -> Term {
    if z.target().complex_functions {
        return z.apply(Unary::Acos);
    }
    let (below, above) = (sqrt(&(z.constant(1.0) - z)), sqrt(&(z + 1.0)));
    let re = below.real().arctan2(above.real()) * 2.0;
    pair(&re, &(conjugate(&above) * &below).imag().apply(Unary::Asinh))
}

/// As [`asin`].
pub fn acosh(z: &Term) -> Term {
    if z.target().complex_functions {
        return z.apply(Unary::Acosh);
    }
    let (below, above) = (sqrt(&(z - 1.0)), sqrt(&(z + 1.0)));
    let im = below.imag().arctan2(above.real()) * 2.0;
    pair(&(conjugate(&below) * &above).real().apply(Unary::Asinh), &im)
}

/// As [`asin`].
pub fn atanh(z: &Term) -> Term {
    if z.target().complex_functions {
        return z.apply(Unary::Atanh);
    }
    let (x, y) = (z.real(), z.imag());
    let from_one = x.constant(1.0) - &x;
    let re = (&x * 4.0 / (&from_one * &from_one + &y * &y)).log1p() * 0.25;
    let im = (&y * 2.0).arctan2(from_one * (&x + 1.0) - &y * &y) * 0.5;
    pair(&re, &im)
}

/// -i asin(i z).
pub fn asinh(z: &Term) -> Term {
    if z.target().complex_functions { z.apply(Unary::Asinh) } else { turned_back(&asin(&turned(z))) }
}

/// -i atanh(i z).
pub fn atan(z: &Term) -> Term {
    if z.target().complex_functions { z.apply(Unary::Atan) } else { turned_back(&atanh(&turned(z))) }
}

fn conjugate(z: &Term) -> Term {
    pair(&z.real(), &-z.imag())
}

/// 1 / (1 + e^-z).
pub fn logistic(z: &Term) -> Term {
    divide(&z.constant(1.0), &(exp(&-z) + 1.0))
}

/// z^(1/3).
pub fn cbrt(z: &Term) -> Term {
    power(z, &z.constant(1.0 / 3.0))
}

/// True for infinities and NaN.
fn not_finite(x: &Term) -> Term {
    (x * 0.0).not_equal(0.0)
}

/// e^z - 1 = expm1(x) cos y - 2 sin²(y/2) + i eˣ sin y: nothing cancels near 0.
pub fn expm1(z: &Term) -> Term {
    let (x, y) = (z.real(), z.imag());
    let half = sin(&(&y * 0.5));
    let re = x.expm1() * cos(&y) - &half * &half * 2.0;
    let im = functions::exp(&x) * sin(&y);
    // On the real axis inf · 0 is not meant, and XLA has no -0.
    let real = y.equal(0.0);
    pair(&(real.select(&x.expm1(), re) + 0.0), &im.or_where(&real, 0.0))
}

/// |z|^(-1/2) at half the opposite angle.
pub fn rsqrt(z: &Term) -> Term {
    // A quarter of it: |z| may overflow.
    let size = abs(&(z * 0.25)).rsqrt() * 0.5;
    let angle = z.imag().arctan2(z.real()) * -0.5;
    let (re, im) = (&size * cos(&angle), &size * sin(&angle));
    // 0: inf + NaN i, as XLA has it; an infinite number: zeros of the signs of an infinite re, and of -im.
    let (x, y) = (z.real(), z.imag());
    let infinite = x.is_inf() | y.is_inf();
    let zero = z.equal(0.0);
    let nothing = re.constant(0.0);
    let signed = x.is_inf().select(&nothing.copysign(&x), 0.0);
    let re = zero.select(&re.constant(f64::INFINITY), infinite.select(&signed, re));
    let im = zero.select(&im.constant(f64::NAN), infinite.select(&-nothing.copysign(&y), im));
    pair(&re, &im)
}
