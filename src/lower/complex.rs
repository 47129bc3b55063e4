//! complex, real, imag, is_finite; and the arithmetic of complex numbers in terms of their parts.
#![forbid(unsafe_code)]

use super::arithmetic::unary;
use super::exponential::{cos, exp as real_exp, sin};
use super::formula::Formula;
use super::{Context, LowerError, Lowered, Row};
use crate::mlx::{self, Array, Dtype, Stream};
use crate::program::{ElementType, Op};

/// Rows of the op table.
pub static ROWS: &[Row] = &[
    Row { name: "complex", note: "", elementwise: true, lower: complex },
    Row { name: "real", note: "", elementwise: true, lower: real },
    Row { name: "imag", note: "", elementwise: true, lower: imag },
    Row { name: "is_finite", note: "", elementwise: true, lower: is_finite },
];

/// Complex numbers of their parts, which keeps infinities and NaN apart where `re + i · im` would mix them.
pub fn of_parts(real: &Formula, imaginary: &Formula) -> Formula {
    real.apply2(imaginary, pair)
}

fn pair(real: &Array, imaginary: &Array, stream: Stream) -> mlx::Result<Array> {
    // Scalar regions mix scalars and batches: stack needs one shape.
    let (mut real, mut imaginary) = (real.clone(), imaginary.clone());
    if real.shape() != imaginary.shape() {
        let shape = broadcast_shape(real.shape(), imaginary.shape());
        real = mlx::broadcast_to(&real, &shape, stream)?;
        imaginary = mlx::broadcast_to(&imaginary, &shape, stream)?;
    }
    if real.size() == 0 {
        return mlx::zeros(real.shape(), Dtype::Complex64, stream);
    }
    let last = real.rank() as i32;
    let pairs = mlx::contiguous(&mlx::stack(&[&real, &imaginary], last, stream)?, stream)?;
    mlx::squeeze(&mlx::view(&pairs, Dtype::Complex64, stream)?, &[last], stream)
}

/// The shape that arrays of two shapes broadcast to.
pub fn broadcast_shape(a: &[i32], b: &[i32]) -> Vec<i32> {
    let (long, short) = if a.len() >= b.len() { (a, b) } else { (b, a) };
    let mut shape = long.to_vec();
    for (size, &other) in shape.iter_mut().rev().zip(short.iter().rev()) {
        if *size == 1 {
            *size = other;
        }
    }
    shape
}

fn complex(context: &mut Context<'_>, op: &Op) -> Result<Lowered, LowerError> {
    context.operand(op, 1)?;
    Ok(Lowered::one(|inputs, stream| pair(inputs[0], inputs[1], stream)))
}

fn real(context: &mut Context<'_>, op: &Op) -> Result<Lowered, LowerError> {
    let element = context.operand(op, 0)?.element;
    Ok(if element.is_complex() {
        Lowered::one(|inputs, stream| mlx::real(inputs[0], stream))
    } else {
        Lowered::one(|inputs, _| Ok(inputs[0].clone()))
    })
}

fn imag(context: &mut Context<'_>, op: &Op) -> Result<Lowered, LowerError> {
    let element = context.operand(op, 0)?.element;
    Ok(if element.is_complex() {
        Lowered::one(|inputs, stream| mlx::imag(inputs[0], stream))
    } else {
        Lowered::one(|inputs, stream| mlx::zeros(inputs[0].shape(), inputs[0].dtype(), stream))
    })
}

fn is_finite(context: &mut Context<'_>, op: &Op) -> Result<Lowered, LowerError> {
    let element = context.operand(op, 0)?.element;
    if element.is_small_float() {
        return Err(context.unsupported(op, "small floats are only converted and moved"));
    }
    Ok(unary(ElementType::Bool, Formula::is_finite))
}

/// a > b, real parts first.
pub fn greater(a: &Formula, b: &Formula) -> Formula {
    let (ar, br) = (a.real(), b.real());
    ar.equal(&br).select(&a.imag().greater(b.imag()), ar.greater(&br))
}

/// |z| without overflow on the way.
pub fn abs(z: &Formula) -> Formula {
    let magnitude = z.apply(mlx::abs);
    if z.stream().capabilities().safe_complex {
        return magnitude;
    }
    let (re, im) = (z.real().abs(), z.imag().abs());
    let (large, small) = (re.maximum(&im), re.minimum(&im));
    let ratio = &small / &large;
    let magnitude = (&ratio * &ratio + 1.0).sqrt() * &large;
    let plain = large.equal(0.0) | large.is_inf();
    plain.select(&large, magnitude)
}

/// z / |z|, 0 for 0.
pub fn sign(z: &Formula) -> Formula {
    let magnitude = abs(z);
    let sign = of_parts(&(z.real() / &magnitude), &(z.imag() / &magnitude));
    z.equal(0.0).select(z, sign)
}

/// a / b. MLX's GPU code squares the parts of b: Smith's method does not overflow.
pub fn divide(a: &Formula, b: &Formula) -> Formula {
    if a.stream().capabilities().safe_complex { a / b } else { divide_by_parts(a, b) }
}

fn divide_by_parts(a: &Formula, b: &Formula) -> Formula {
    let (ar, ai, br, bi) = (a.real(), a.imag(), b.real(), b.imag());
    let swap = br.abs().less(bi.abs());
    // (ar + i ai) / (br + i bi) = (ai - i ar) / (bi - i br): the greater part of the divisor comes first.
    let (nr, ni) = (swap.select(&ai, &ar), swap.select(&-&ar, &ai));
    let (dr, di) = (swap.select(&bi, &br), swap.select(&-&br, &bi));
    let ratio = &di / &dr;
    let scale = &dr + &di * &ratio;
    let (re, im) = ((&nr + &ni * &ratio) / &scale, (&ni - &nr * &ratio) / &scale);
    // C's rules for a zero divisor, and for infinities.
    let zero = dr.equal(0.0);
    let infinite = dr.is_inf();
    let sign = dr.constant(1.0).copysign(&br);
    let re = zero.select(&(&ar / (&sign * 0.0)), re);
    let im = zero.select(&(&ai / (&sign * 0.0)), im);
    let vanishes = both(&infinite, &both(&ar.is_finite(), &ai.is_finite()));
    let re = vanishes.select(&re.constant(0.0).copysign(&(&ar * &br.sign_number() + &ai * &bi.sign_number())), re);
    let im = vanishes.select(&im.constant(0.0).copysign(&(&ai * &br.sign_number() - &ar * &bi.sign_number())), im);
    // An infinite dividend stays infinite where the formula gives NaN twice.
    let diverges = both(&either(&ar.is_inf(), &ai.is_inf()), &both(&br.is_finite(), &bi.is_finite()));
    let diverges = both(&diverges, &both(&re.is_nan(), &im.is_nan()));
    let unit = |x: &Formula| x.is_inf().select(&x.constant(1.0), 0.0).copysign(x);
    let (ur, ui) = (unit(&ar), unit(&ai));
    let re = diverges.select(&((&ur * &br + &ui * &bi) * f64::INFINITY), re);
    let im = diverges.select(&((&ui * &br - &ur * &bi) * f64::INFINITY), im);
    of_parts(&re, &im)
}

fn both(a: &Formula, b: &Formula) -> Formula {
    a.apply2(b, mlx::logical_and)
}

fn either(a: &Formula, b: &Formula) -> Formula {
    a.apply2(b, mlx::logical_or)
}

/// a^b = |a|^c e^(-d arg a) (cos, sin)(d ln |a| + c arg a), b = c + i d.
pub fn power(a: &Formula, b: &Formula) -> Formula {
    let (c, d) = (b.real(), b.imag());
    let magnitude = abs(a);
    let argument = a.imag().arctan2(a.real());
    let size = magnitude.power(&c) * real_exp(&-(&d * &argument));
    let logarithm = magnitude.log();
    // 0 · -inf would be NaN: a real exponent turns by c arg a alone.
    let turn = d.equal(0.0).select(&d, &d * &logarithm) + &c * &argument;
    let general = of_parts(&(&size * cos(&turn)), &(&size * sin(&turn)));
    let zero = magnitude.equal(0.0);
    // 0^0 = 1, 0^positive = 0, and nothing else of 0 is defined.
    let one = either(&b.equal(0.0), &a.equal(1.0));
    let nothing = both(&zero, &both(&c.greater(0.0), &d.equal(0.0)));
    let result = nothing.select(&a.constant(0.0), general);
    one.select(&a.constant(1.0), result)
}

/// -i log((b + i a) / sqrt(a² + b²)).
pub fn atan2(a: &Formula, b: &Formula) -> Formula {
    let zero = a.real().constant(0.0);
    let i = of_parts(&zero, &zero.constant(1.0));
    let quotient = divide(&(b + &i * a), &(a * a + b * b).sqrt());
    -(i * quotient.log())
}

/// e^z = eˣ cos y + i eˣ sin y, with XLA's NaN where C's function has zeros or infinities: for an infinite y.
pub fn exp(z: &Formula) -> Formula {
    let (x, y) = (z.real(), z.imag());
    // In two factors: eˣ may overflow where its products do not.
    let half = real_exp(&(x * 0.5));
    // On the real axis inf · 0 is not meant.
    of_parts(&(&half * cos(&y) * &half), &y.equal(0.0).select(&y, &half * sin(&y) * &half))
}

/// As MLX has it, but NaN in both parts where the real axis has no value, as in XLA.
pub fn tan(z: &Formula) -> Formula {
    let tan = z.tan();
    let lost = both(&z.imag().equal(0.0), &not_finite(&z.real()));
    of_parts(&tan.real(), &lost.select(&tan.real(), tan.imag()))
}

/// As MLX has it, but NaN in both parts where the imaginary axis has no value, as in XLA.
pub fn tanh(z: &Formula) -> Formula {
    let tanh = z.tanh();
    let lost = both(&z.real().equal(0.0), &not_finite(&z.imag()));
    of_parts(&lost.select(&tanh.imag(), tanh.real()), &tanh.imag())
}

/// True for infinities and NaN.
fn not_finite(x: &Formula) -> Formula {
    (x * 0.0).not_equal(0.0)
}

/// e^z - 1 = expm1(x) cos y - 2 sin²(y/2) + i eˣ sin y: nothing cancels near 0.
pub fn expm1(z: &Formula) -> Formula {
    let (x, y) = (z.real(), z.imag());
    let half = sin(&(&y * 0.5));
    let re = x.expm1() * cos(&y) - &half * &half * 2.0;
    let im = real_exp(&x) * sin(&y);
    // On the real axis inf · 0 is not meant.
    let real = y.equal(0.0);
    of_parts(&real.select(&x.expm1(), re), &real.select(&y, im))
}

/// |z|^(-1/2) at half the opposite angle.
pub fn rsqrt(z: &Formula) -> Formula {
    let size = abs(z).rsqrt();
    let angle = z.imag().arctan2(z.real()) * -0.5;
    let (re, im) = (&size * cos(&angle), &size * sin(&angle));
    // 0: inf + NaN i, as XLA has it; an infinite number: 0.
    let infinite = either(&z.real().is_inf(), &z.imag().is_inf());
    let zero = z.equal(0.0);
    let re = zero.select(&re.constant(f64::INFINITY), infinite.select(&re.constant(0.0), re));
    let im = zero.select(&im.constant(f64::NAN), infinite.select(&im.constant(0.0), im));
    of_parts(&re, &im)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{bytes, elementwise, f32s};
    use super::*;
    use crate::mlx::DeviceKind;
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

    fn by_parts(a: &[f32], b: &[f32]) -> Vec<f32> {
        let stream = Stream::get(DeviceKind::Cpu).unwrap();
        let array = |parts: &[f32]| {
            let array = Array::from_bytes(&bytes(parts), &[parts.len() as i32 / 2], Dtype::Complex64).unwrap();
            Formula::of(&array, stream)
        };
        let quotient = divide_by_parts(&array(a), &array(b)).finish().unwrap();
        stream.evaluate(&[&quotient]).unwrap();
        f32s(quotient.as_bytes().unwrap())
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
            came.iter()
                .zip(expected)
                .all(|(a, b)| (a.is_nan() && b.is_nan()) || *a == b || (a - b).abs() < 1e-5 * b.abs()),
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
}
