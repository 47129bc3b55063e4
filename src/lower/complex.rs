//! complex, real, imag, is_finite; and the arithmetic of complex numbers in terms of their parts.
#![forbid(unsafe_code)]

use super::arithmetic::unary;
use super::formula::Formula;
use super::{Context, LowerError, Lowered, Row};
use crate::mlx::{self, Array, DeviceKind, Dtype, Stream};
use crate::program::Op;

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
    Ok(unary(crate::program::ElementType::Bool, Formula::is_finite))
}

/// a > b, real parts first.
pub fn greater(a: &Formula, b: &Formula) -> Formula {
    let (ar, br) = (a.real(), b.real());
    ar.equal(&br).select(&a.imag().greater(b.imag()), ar.greater(&br))
}

/// |z| without overflow on the way.
pub fn abs(z: &Formula) -> Formula {
    let magnitude = z.apply(mlx::abs);
    if z.stream().kind() == DeviceKind::Cpu {
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

/// a / b by Smith's method.
pub fn divide(a: &Formula, b: &Formula) -> Formula {
    a / b
}

/// a^b.
pub fn power(a: &Formula, b: &Formula) -> Formula {
    a.power(b)
}

/// -i log((b + i a) / sqrt(a² + b²)).
pub fn atan2(a: &Formula, b: &Formula) -> Formula {
    let i = of_parts(&a.real().constant(0.0), &a.real().constant(1.0));
    let quotient = (b + &i * a) / (a * a + b * b).sqrt();
    -(i * quotient.log())
}
