//! The numbers that the factorisations compute with.
#![forbid(unsafe_code)]

use std::ops::{Add, AddAssign, Div, Mul, Neg, Sub, SubAssign};

/// f32, f64 or complex numbers of f32.
pub(super) trait Field:
    Copy
    + PartialEq
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
    + Neg<Output = Self>
    + AddAssign
    + SubAssign
    + Send
    + Sync
    + 'static
{
    const ZERO: Self;
    #[cfg(test)]
    const ONE: Self;
    const NAN: Self;
    /// Bytes of one element.
    const BYTES: usize;
    fn conjugate(self) -> Self;
    /// The square root of the real part, None unless that is positive (infinity included).
    fn pivot(self) -> Option<Self>;
    /// From [`Self::BYTES`] bytes in native order.
    fn read(bytes: &[u8]) -> Self;
    fn write(self, bytes: &mut [u8]);
}

macro_rules! real {
    ($($real:ty),*) => {
        $(impl Field for $real {
            const ZERO: Self = 0.0;
            #[cfg(test)]
            const ONE: Self = 1.0;
            const NAN: Self = Self::NAN;
            const BYTES: usize = size_of::<$real>();

            fn conjugate(self) -> Self {
                self
            }

            fn pivot(self) -> Option<Self> {
                (self > 0.0).then(|| self.sqrt())
            }

            fn read(bytes: &[u8]) -> Self {
                Self::from_ne_bytes(bytes.try_into().expect("as many bytes as one element has"))
            }

            fn write(self, bytes: &mut [u8]) {
                bytes.copy_from_slice(&self.to_ne_bytes());
            }
        })*
    };
}

real!(f32, f64);

/// A complex number of f32.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Complex {
    pub re: f32,
    pub im: f32,
}

impl Add for Complex {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self { re: self.re + other.re, im: self.im + other.im }
    }
}

impl Sub for Complex {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        Self { re: self.re - other.re, im: self.im - other.im }
    }
}

impl Mul for Complex {
    type Output = Self;
    fn mul(self, other: Self) -> Self {
        Self { re: self.re * other.re - self.im * other.im, im: self.re * other.im + self.im * other.re }
    }
}

impl Div for Complex {
    type Output = Self;
    fn div(self, other: Self) -> Self {
        // In f64, where the squares of f32 neither overflow nor vanish.
        let (a, b) = (f64::from(self.re), f64::from(self.im));
        let (c, d) = (f64::from(other.re), f64::from(other.im));
        let norm = c * c + d * d;
        Self { re: ((a * c + b * d) / norm) as f32, im: ((b * c - a * d) / norm) as f32 }
    }
}

impl Neg for Complex {
    type Output = Self;
    fn neg(self) -> Self {
        Self { re: -self.re, im: -self.im }
    }
}

impl AddAssign for Complex {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl SubAssign for Complex {
    fn sub_assign(&mut self, other: Self) {
        *self = *self - other;
    }
}

impl Field for Complex {
    const ZERO: Self = Self { re: 0., im: 0. };
    #[cfg(test)]
    const ONE: Self = Self { re: 1., im: 0. };
    const NAN: Self = Self { re: f32::NAN, im: f32::NAN };
    const BYTES: usize = 8;

    fn conjugate(self) -> Self {
        Self { re: self.re, im: -self.im }
    }

    fn pivot(self) -> Option<Self> {
        self.re.pivot().map(|re| Self { re, im: 0. })
    }

    fn read(bytes: &[u8]) -> Self {
        Self { re: f32::read(&bytes[..4]), im: f32::read(&bytes[4..]) }
    }

    fn write(self, bytes: &mut [u8]) {
        self.re.write(&mut bytes[..4]);
        self.im.write(&mut bytes[4..]);
    }
}

/// Elements of row-major bytes.
pub(super) fn read<T: Field>(bytes: &[u8]) -> Vec<T> {
    bytes.chunks_exact(T::BYTES).map(T::read).collect()
}

/// Row-major bytes of elements.
pub(super) fn write<T: Field>(elements: &[T], bytes: &mut [u8]) {
    for (element, bytes) in elements.iter().zip(bytes.chunks_exact_mut(T::BYTES)) {
        element.write(bytes);
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
