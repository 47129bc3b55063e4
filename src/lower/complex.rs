//! Arrays of complex numbers: of their parts, products of matrices and along axes.
#![forbid(unsafe_code)]

use crate::mlx::{self, Array, Dtype, Stream};

/// Complex numbers of their parts, which keeps infinities and NaN apart where `re + i · im` would mix them.
///
/// # Errors
/// What MLX refuses.
pub fn of_parts(real: &Array, imaginary: &Array, stream: Stream) -> mlx::Result<Array> {
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
    let turned = of_parts(&mlx::negative(&mlx::imag(b, stream)?, stream)?, &mlx::real(b, stream)?, stream)?;
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
    let (rows, kept) = super::axes::rows(a, axes, stream)?;
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
    let turn = |a: &Array| if reverse { super::axes::reversed(a, last, stream) } else { Ok(a.clone()) };
    let rows = turn(&mlx::transpose(a, &order, stream)?)?;
    mlx::transpose(&turn(&mlx::complex_products(&rows, true, stream)?)?, &order, stream)
}
