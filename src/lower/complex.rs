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

/// z w = (ac - bd) + (ad + bc) i: the one product of complex numbers that lowerings use, since MLX's own on the CPU makes
/// infinities of NaN.
///
/// # Errors
/// What MLX refuses.
pub fn multiply(a: &Array, b: &Array, stream: Stream) -> mlx::Result<Array> {
    if stream.capabilities().plain_complex { mlx::multiply(a, b, stream) } else { mlx::complex_multiply(a, b, stream) }
}

/// The product of matrices. The BLAS of the CPU scales its sums by a complex 1, which makes NaN of infinities; so does
/// XLA's, but XLA sums the products of at most two rows with one column itself.
///
/// # Errors
/// What MLX refuses.
pub fn matmul(a: &Array, b: &Array, stream: Stream) -> mlx::Result<Array> {
    let (rows, columns) = (a.shape()[a.rank() - 2], b.shape()[b.rank() - 1]);
    if stream.capabilities().plain_complex || rows > 2 || columns > 1 || a.size() == 0 || b.size() == 0 {
        return mlx::matmul(a, b, stream);
    }
    real_matmul(a, b, stream)
}

/// Rows (re, im, re, im …) times pairs of rows (re, im …), (-im, re …).
fn real_matmul(a: &Array, b: &Array, stream: Stream) -> mlx::Result<Array> {
    let left = mlx::view(&mlx::contiguous(a, stream)?, Dtype::Float32, stream)?;
    let parts = Formula::of(b, stream);
    let turned = of_parts(&-parts.imag(), &parts.real()).finish()?;
    let rank = b.rank();
    let mut shape = b.shape().to_vec();
    shape[rank - 2] *= 2;
    let pairs = mlx::reshape(&mlx::stack(&[b, &turned], rank as i32 - 1, stream)?, &shape, stream)?;
    let right = mlx::view(&mlx::contiguous(&pairs, stream)?, Dtype::Float32, stream)?;
    let product = mlx::matmul(&left, &right, stream)?;
    mlx::view(&mlx::contiguous(&product, stream)?, Dtype::Complex64, stream)
}

/// Products over the axes, dropping them; on the CPU from 1 on in the order of the elements, as XLA has them (on GPUs, as a
/// tree: which parts of a product with infinities are NaN may differ).
///
/// # Errors
/// What MLX refuses.
pub fn product(a: &Array, axes: &[i32], stream: Stream) -> mlx::Result<Array> {
    if stream.capabilities().plain_complex {
        return mlx::prod_axes(a, axes, false, stream);
    }
    let (rows, kept) = super::reduce::rows(a, axes, stream)?;
    let columns = mlx::transpose(&rows, &[1, 0], stream)?;
    mlx::reshape(&mlx::complex_products(&columns, false, stream)?, &kept, stream)
}

/// Products along an axis up to each element, from 1 on.
///
/// # Errors
/// What MLX refuses.
pub fn cumulative_product(a: &Array, axis: i32, reverse: bool, stream: Stream) -> mlx::Result<Array> {
    if stream.capabilities().plain_complex {
        return mlx::cumprod(a, axis, reverse, true, stream);
    }
    let last = a.rank() as i32 - 1;
    let mut order: Vec<i32> = (0..=last).collect();
    order.swap(axis as usize, last as usize);
    let turn = |a: &Array| if reverse { super::sort::reversed(a, last, stream) } else { Ok(a.clone()) };
    let rows = turn(&mlx::transpose(a, &order, stream)?)?;
    mlx::transpose(&turn(&mlx::complex_products(&rows, true, stream)?)?, &order, stream)
}

/// -z, zeros included.
pub fn negate(z: &Formula) -> Formula {
    if z.stream().capabilities().negates_complex_zeros {
        return -z;
    }
    of_parts(&-z.real(), &-z.imag())
}

/// |z| without overflow on the way; NaN where either part is.
pub fn abs(z: &Formula) -> Formula {
    if z.stream().capabilities().safe_complex {
        return z.apply(mlx::complex_abs);
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
pub fn sqrt(z: &Formula) -> Formula {
    if z.stream().capabilities().precise_complex_sqrt {
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
    of_parts(&re, &im)
}

/// ln |z| + i arg z. MLX's GPU code squares the parts.
pub fn log(z: &Formula) -> Formula {
    if z.stream().capabilities().safe_complex {
        return z.log();
    }
    of_parts(&abs(z).log(), &z.imag().arctan2(z.real()))
}

/// z / |z|, 0 for 0.
pub fn sign(z: &Formula) -> Formula {
    let magnitude = abs(z);
    let sign = of_parts(&(z.real() / &magnitude), &(z.imag() / &magnitude));
    z.equal(0.0).select(z, sign)
}

/// a / b by Smith's method. MLX's GPU code squares the parts of b, and may overflow.
pub fn divide(a: &Formula, b: &Formula) -> Formula {
    if a.stream().capabilities().safe_complex { a.apply2(b, mlx::complex_divide) } else { divide_by_parts(a, b) }
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
    // C's rules for a zero divisor and for infinities, where the formula gives NaN twice.
    let lost = both(&re.is_nan(), &im.is_nan());
    let finite = |x: &Formula, y: &Formula| both(&x.is_finite(), &y.is_finite());
    let infinite = |x: &Formula, y: &Formula| either(&x.is_inf(), &y.is_inf());
    let vanishes = both(&lost, &both(&infinite(&br, &bi), &finite(&ar, &ai)));
    let unit = |x: &Formula| x.is_inf().select(&x.constant(1.0), 0.0).copysign(x);
    let (ur, ui) = (unit(&br), unit(&bi));
    let re = vanishes.select(&((&ar * &ur + &ai * &ui) * 0.0), re);
    let im = vanishes.select(&((&ai * &ur - &ar * &ui) * 0.0), im);
    let diverges = both(&lost, &both(&infinite(&ar, &ai), &finite(&br, &bi)));
    let (ur, ui) = (unit(&ar), unit(&ai));
    let re = diverges.select(&((&ur * &br + &ui * &bi) * f64::INFINITY), re);
    let im = diverges.select(&((&ui * &br - &ur * &bi) * f64::INFINITY), im);
    let zero = both(&lost, &b.equal(0.0));
    let infinity = br.constant(f64::INFINITY).copysign(&br);
    of_parts(&zero.select(&(&ar * &infinity), re), &zero.select(&(&ai * &infinity), im))
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
    let turn = &c * &argument + &d * &magnitude.log();
    let general = of_parts(&(&size * cos(&turn)), &(&size * sin(&turn)));
    // Kahan's choices, as XLA has them: 0^0 = 1^b = 1, 0^c = 0 and inf^c = inf for c > 0, inf^c = 0 for c < 0.
    let real_exponent = d.equal(0.0);
    let positive = both(&real_exponent, &c.greater(0.0));
    let infinite = both(&a.real().equal(f64::INFINITY), &a.imag().equal(0.0));
    let one = either(&both(&real_exponent, &c.equal(0.0)), &a.equal(1.0));
    let nothing =
        either(&both(&magnitude.equal(0.0), &positive), &both(&infinite, &both(&real_exponent, &c.less(0.0))));
    let result = nothing.select(&a.constant(0.0), general);
    let result = one.select(&a.constant(1.0), result);
    both(&infinite, &positive).select(&a.constant(f64::INFINITY), result)
}

/// -i log((b + i a) / sqrt(a² + b²)).
pub fn atan2(a: &Formula, b: &Formula) -> Formula {
    let times = |a: &Formula, b: &Formula| a.apply2(b, multiply);
    let zero = a.real().constant(0.0);
    let i = |sign: f64| of_parts(&zero, &zero.constant(sign));
    let quotient = divide(&(b + times(&i(1.0), a)), &sqrt(&(times(b, b) + times(a, a))));
    times(&i(-1.0), &log(&quotient))
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
    // XLA's has no -0 there.
    of_parts(&(tan.real() + 0.0), &lost.select(&tan.real(), tan.imag()))
}

/// As MLX has it, but NaN in both parts where the imaginary axis has no value, as in XLA.
pub fn tanh(z: &Formula) -> Formula {
    let tanh = z.tanh();
    let lost = both(&z.real().equal(0.0), &not_finite(&z.imag()));
    // XLA's has no -0 there.
    of_parts(&lost.select(&tanh.imag(), tanh.real()), &(tanh.imag() + 0.0))
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
    // On the real axis inf · 0 is not meant, and XLA has no -0.
    let real = y.equal(0.0);
    of_parts(&(real.select(&x.expm1(), re) + 0.0), &im.or_where(&real, 0.0))
}

/// |z|^(-1/2) at half the opposite angle.
pub fn rsqrt(z: &Formula) -> Formula {
    // A quarter of it: |z| may overflow.
    let size = abs(&(z * 0.25)).rsqrt() * 0.5;
    let angle = z.imag().arctan2(z.real()) * -0.5;
    let (re, im) = (&size * cos(&angle), &size * sin(&angle));
    // 0: inf + NaN i, as XLA has it; an infinite number: zeros of the signs of an infinite re, and of -im.
    let (x, y) = (z.real(), z.imag());
    let infinite = either(&x.is_inf(), &y.is_inf());
    let zero = z.equal(0.0);
    let nothing = re.constant(0.0);
    let signed = x.is_inf().select(&nothing.copysign(&x), 0.0);
    let re = zero.select(&re.constant(f64::INFINITY), infinite.select(&signed, re));
    let im = zero.select(&im.constant(f64::NAN), infinite.select(&-nothing.copysign(&y), im));
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
