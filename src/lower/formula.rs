//! Formulas in ordinary notation over MLX calls: `(x * x + 1.0).sqrt()`.
//!
//! A term carries its array or the first error met, so that only [`Formula::finish`] has to be checked. Numbers become
//! constants of the other side's dtype: MLX would promote a bf16 array and an f32 scalar to f32.
#![forbid(unsafe_code)]

use std::cell::RefCell;
use std::collections::HashMap;
use std::ops::{Add, BitAnd, BitOr, BitXor, Div, Mul, Neg, Not, Shl, Shr, Sub};

use crate::mlx::{self, Array, Dtype, Stream};

/// A term of a formula.
#[derive(Clone)]
pub struct Formula {
    array: mlx::Result<Array>,
    stream: Stream,
}

/// What may stand on the right of an operator: another term, or a number in the left term's dtype.
pub trait Term {
    /// The term, given the one on its left.
    fn term(self, left: &Formula) -> Formula;
}

impl Term for Formula {
    fn term(self, _left: &Formula) -> Formula {
        self
    }
}

impl Term for &Formula {
    fn term(self, _left: &Formula) -> Formula {
        self.clone()
    }
}

impl Term for f64 {
    fn term(self, left: &Formula) -> Formula {
        left.constant(self)
    }
}

impl Term for i128 {
    fn term(self, left: &Formula) -> Formula {
        left.integer(self)
    }
}

/// Element types of MLX that hold floats.
pub fn is_float(dtype: Dtype) -> bool {
    matches!(dtype, Dtype::Float16 | Dtype::Bfloat16 | Dtype::Float32 | Dtype::Float64)
}

/// The unsigned integer type of the same width as a real type.
pub fn unsigned(dtype: Dtype) -> Dtype {
    match dtype.size() {
        1 => Dtype::Uint8,
        2 => Dtype::Uint16,
        4 => Dtype::Uint32,
        _ => Dtype::Uint64,
    }
}

/// The signed integer type of the same width as a real type.
pub fn signed(dtype: Dtype) -> Dtype {
    match dtype.size() {
        1 => Dtype::Int8,
        2 => Dtype::Int16,
        4 => Dtype::Int32,
        _ => Dtype::Int64,
    }
}

/// A rank-0 array of an integer, its low bits where the type is narrower. None for floats and complex numbers.
pub fn integer_scalar(value: i128, dtype: Dtype) -> mlx::Result<Array> {
    let key = value as u64;
    cached(dtype, key, || {
        if dtype == Dtype::Bool {
            return Array::scalar(value != 0);
        }
        Array::from_bytes(&value.to_le_bytes()[..dtype.size()], &[], dtype)
    })
}

/// A rank-0 array of a number, rounded to the float type (to complex with no imaginary part).
pub fn float_scalar(value: f64, dtype: Dtype) -> mlx::Result<Array> {
    cached(dtype, value.to_bits(), || match dtype {
        Dtype::Float32 => Array::scalar(value as f32),
        Dtype::Float16 => Array::scalar(half::f16::from_f64(value)),
        Dtype::Bfloat16 => Array::scalar(half::bf16::from_f64(value)),
        Dtype::Complex64 => {
            let mut bytes = (value as f32).to_le_bytes().to_vec();
            bytes.extend([0; 4]);
            Array::from_bytes(&bytes, &[], dtype)
        }
        _ => Array::scalar(value),
    })
}

fn cached(dtype: Dtype, key: u64, make: impl FnOnce() -> mlx::Result<Array>) -> mlx::Result<Array> {
    // Formulas use the same few constants at every call: making an array costs more than the look-up.
    thread_local! {
        static CONSTANTS: RefCell<HashMap<(Dtype, u64), Array>> = RefCell::default();
    }
    CONSTANTS.with_borrow_mut(|constants| {
        if let Some(array) = constants.get(&(dtype, key)) {
            return Ok(array.clone());
        }
        let array = make()?;
        constants.insert((dtype, key), array.clone());
        Ok(array)
    })
}

macro_rules! unary {
    ($($name:ident => $function:path),* $(,)?) => {
        $(
            #[doc = concat!("See `", stringify!($function), "`.")]
            pub fn $name(&self) -> Formula {
                self.apply($function)
            }
        )*
    };
}

macro_rules! binary {
    ($($name:ident => $function:path),* $(,)?) => {
        $(
            #[doc = concat!("See `", stringify!($function), "`.")]
            pub fn $name(&self, other: impl Term) -> Formula {
                self.apply2(other, $function)
            }
        )*
    };
}

impl Formula {
    /// A term that is an array.
    pub fn of(array: &Array, stream: Stream) -> Self {
        Self { array: Ok(array.clone()), stream }
    }

    /// A term that is the result of an MLX call.
    pub fn new(array: mlx::Result<Array>, stream: Stream) -> Self {
        Self { array, stream }
    }

    /// The array.
    ///
    /// # Errors
    /// The first that was met.
    pub fn finish(self) -> mlx::Result<Array> {
        self.array
    }

    /// The same, to go on with where arrays of the dtype may appear.
    pub fn where_held(&self, dtype: Dtype) -> Formula {
        match self.stream.that_holds(dtype) {
            Ok(stream) => Self { array: self.array.clone(), stream },
            Err(error) => Self { array: Err(error), stream: self.stream },
        }
    }

    /// The stream that the formula is built on.
    pub fn stream(&self) -> Stream {
        self.stream
    }

    /// Element type (f32 after an error, where it matters no more).
    pub fn dtype(&self) -> Dtype {
        self.array.as_ref().map_or(Dtype::Float32, Array::dtype)
    }

    /// A number of this term's dtype.
    pub fn constant(&self, value: f64) -> Formula {
        if matches!(self.dtype(), Dtype::Complex64) || is_float(self.dtype()) {
            Formula { array: float_scalar(value, self.dtype()), stream: self.stream }
        } else {
            self.integer(value as i128)
        }
    }

    /// An integer of this term's dtype (its low bits).
    pub fn integer(&self, value: i128) -> Formula {
        if matches!(self.dtype(), Dtype::Complex64) || is_float(self.dtype()) {
            self.constant(value as f64)
        } else {
            Formula { array: integer_scalar(value, self.dtype()), stream: self.stream }
        }
    }

    /// A function of this term.
    pub fn apply(&self, function: impl FnOnce(&Array, Stream) -> mlx::Result<Array>) -> Formula {
        let array = self.array.as_ref().map_err(Clone::clone).and_then(|array| function(array, self.stream));
        Formula { array, stream: self.stream }
    }

    /// A function of two terms.
    pub fn apply2(
        &self,
        other: impl Term,
        function: impl FnOnce(&Array, &Array, Stream) -> mlx::Result<Array>,
    ) -> Formula {
        let other = other.term(self);
        let array = match (&self.array, &other.array) {
            (Ok(left), Ok(right)) => function(left, right, self.stream),
            (Err(error), _) | (_, Err(error)) => Err(error.clone()),
        };
        Formula { array, stream: self.stream }
    }

    unary!(
        abs => mlx::abs, ceil => mlx::ceil, cos => mlx::cos, exp => mlx::exp, expm1 => mlx::expm1, floor => mlx::floor,
        imag => mlx::imag, is_finite => mlx::isfinite, is_inf => mlx::isinf, is_nan => mlx::isnan, log => mlx::log,
        log1p => mlx::log1p, real => mlx::real, round => mlx::round, rsqrt => mlx::rsqrt, sin => mlx::sin,
        sqrt => mlx::sqrt, tan => mlx::tan, tanh => mlx::tanh, trunc => mlx::trunc, arctan => mlx::arctan,
        sinh => mlx::sinh, cosh => mlx::cosh, sigmoid => mlx::sigmoid,
    );

    binary!(
        equal => mlx::equal, not_equal => mlx::not_equal, less => mlx::less, less_equal => mlx::less_equal,
        greater => mlx::greater, greater_equal => mlx::greater_equal, maximum => mlx::maximum, minimum => mlx::minimum,
        power => mlx::power, arctan2 => mlx::arctan2, floor_divide => mlx::floor_divide, remainder => mlx::remainder,
    );

    /// Elements of `yes` where this (of bools) holds, else of `no`, a number being of the dtype of `yes`.
    pub fn select(&self, yes: &Formula, no: impl Term) -> Formula {
        let no = no.term(yes);
        let array = match (&self.array, &yes.array, &no.array) {
            (Ok(condition), Ok(yes), Ok(no)) => mlx::select(condition, yes, no, self.stream),
            (Err(error), ..) | (_, Err(error), _) | (.., Err(error)) => Err(error.clone()),
        };
        Formula { array, stream: self.stream }
    }

    /// `number` where the condition holds, else this.
    pub fn or_where(&self, condition: &Formula, number: f64) -> Formula {
        condition.select(&self.constant(number), self)
    }

    /// MLX's conversion, without saturation.
    pub fn cast(&self, dtype: Dtype) -> Formula {
        if self.array.as_ref().is_ok_and(|array| array.dtype() == dtype) {
            return self.clone();
        }
        self.apply(|array, stream| mlx::astype(array, dtype, stream))
    }

    /// The bits as another type of the same width.
    pub fn view(&self, dtype: Dtype) -> Formula {
        if self.array.as_ref().is_ok_and(|array| array.dtype() == dtype) {
            return self.clone();
        }
        self.apply(|array, stream| mlx::view(array, dtype, stream))
    }

    /// The bits as unsigned integers.
    pub fn bits(&self) -> Formula {
        self.view(unsigned(self.dtype()))
    }

    /// True where the sign bit of a float is set (-0 and NaN included).
    pub fn sign_bit(&self) -> Formula {
        self.view(signed(self.dtype())).less(0i128)
    }

    /// 1 or -1 by the sign bit of a float.
    pub fn sign_number(&self) -> Formula {
        self.constant(1.0).copysign(self)
    }

    /// The magnitude of this with the sign bit of another float of the same type.
    pub fn copysign(&self, sign: &Formula) -> Formula {
        let dtype = self.dtype();
        let mask = 1i128 << (dtype.size() * 8 - 1);
        ((self.bits() & (mask - 1)) | (sign.bits() & mask)).view(dtype)
    }

    /// Value of the polynomial of these coefficients, the highest power's first.
    pub fn polynomial(&self, coefficients: &[f64]) -> Formula {
        let (first, rest) = coefficients.split_first().expect("a polynomial has a coefficient");
        let mut sum = self.constant(*first);
        for &coefficient in rest {
            sum = sum * self + coefficient;
        }
        sum
    }
}

macro_rules! operators {
    ($($trait:ident $method:ident => $function:path),* $(,)?) => {
        $(
            impl<T: Term> $trait<T> for Formula {
                type Output = Formula;
                fn $method(self, other: T) -> Formula {
                    self.apply2(other, $function)
                }
            }
            impl<T: Term> $trait<T> for &Formula {
                type Output = Formula;
                fn $method(self, other: T) -> Formula {
                    self.apply2(other, $function)
                }
            }
        )*
    };
}

operators!(
    Add add => mlx::add, Sub sub => mlx::subtract, Mul mul => mlx::multiply, Div div => mlx::divide,
    BitAnd bitand => mlx::bitwise_and, BitOr bitor => mlx::bitwise_or, BitXor bitxor => mlx::bitwise_xor,
    Shl shl => mlx::left_shift, Shr shr => mlx::right_shift,
);

impl Neg for Formula {
    type Output = Formula;
    fn neg(self) -> Formula {
        self.apply(mlx::negative)
    }
}

impl Neg for &Formula {
    type Output = Formula;
    fn neg(self) -> Formula {
        self.apply(mlx::negative)
    }
}

/// Of bools, or bitwise.
impl Not for Formula {
    type Output = Formula;
    fn not(self) -> Formula {
        !&self
    }
}

impl Not for &Formula {
    type Output = Formula;
    fn not(self) -> Formula {
        if self.dtype() == Dtype::Bool { self.apply(mlx::logical_not) } else { self.apply(mlx::bitwise_invert) }
    }
}
