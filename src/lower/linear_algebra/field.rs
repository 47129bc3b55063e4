//! The numbers that the factorisations compute with.
#![forbid(unsafe_code)]

use std::ops::{Add, AddAssign, Mul, Neg, Sub, SubAssign};

use mlx_lapack::{Complex, Scalar};

use super::matrices::Element;

/// f32, f64 or complex numbers of f32.
pub(super) trait Field:
    Scalar
    + Element
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Neg<Output = Self>
    + AddAssign
    + SubAssign
{
    const ZERO: Self;
    const NAN: Self;
    /// Whether it is a complex number.
    const COMPLEX: bool;
    fn conjugate(self) -> Self;
    /// The quotient, whose intermediate results neither overflow nor vanish.
    fn over(self, divisor: Self) -> Self;
    /// Whether |z|² is neither too large nor too small for full precision, and not 0.
    fn has_normal_square(self) -> bool;
    /// The square root of the real part, None unless that is positive (infinity included).
    fn pivot(self) -> Option<Self>;
}

macro_rules! real {
    ($($real:ty),*) => {
        $(impl Field for $real {
            const ZERO: Self = 0.0;
            const NAN: Self = Self::NAN;
            const COMPLEX: bool = false;

            fn conjugate(self) -> Self {
                self
            }

            fn over(self, divisor: Self) -> Self {
                self / divisor
            }

            fn has_normal_square(self) -> bool {
                (self * self).is_normal()
            }

            fn pivot(self) -> Option<Self> {
                (self > 0.0).then(|| self.sqrt())
            }
        })*
    };
}

real!(f32, f64);

impl Field for Complex<f32> {
    const ZERO: Self = Self { re: 0., im: 0. };
    const NAN: Self = Self { re: f32::NAN, im: f32::NAN };
    const COMPLEX: bool = true;

    fn conjugate(self) -> Self {
        Self { re: self.re, im: -self.im }
    }

    fn over(self, divisor: Self) -> Self {
        // In f64, where the squares of f32 neither overflow nor vanish.
        let (a, b) = (f64::from(self.re), f64::from(self.im));
        let (c, d) = (f64::from(divisor.re), f64::from(divisor.im));
        let norm = c * c + d * d;
        Self { re: ((a * c + b * d) / norm) as f32, im: ((b * c - a * d) / norm) as f32 }
    }

    fn has_normal_square(self) -> bool {
        (self.re * self.re + self.im * self.im).is_normal()
    }

    fn pivot(self) -> Option<Self> {
        self.re.pivot().map(|re| Self { re, im: 0. })
    }
}

/// Partial sums of a dot product: enough for the compiler to use vectors.
const LANES: usize = 8;

/// `Σ a[k] b[k]`.
pub(super) fn dot<T: Field>(a: &[T], b: &[T]) -> T {
    let mut sums = [T::ZERO; LANES];
    let (a_chunks, b_chunks) = (a.chunks_exact(LANES), b.chunks_exact(LANES));
    let (a_rest, b_rest) = (a_chunks.remainder(), b_chunks.remainder());
    for (a, b) in a_chunks.zip(b_chunks) {
        for lane in 0..LANES {
            sums[lane] += a[lane] * b[lane];
        }
    }
    let mut total = T::ZERO;
    for (&a, &b) in a_rest.iter().zip(b_rest) {
        total += a * b;
    }
    sums.into_iter().fold(total, |total, sum| total + sum)
}
