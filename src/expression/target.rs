//! What whoever evaluates an expression computes by itself.
#![forbid(unsafe_code)]

use super::Scalar;

/// How well a target's own functions do. Definitions fill the gaps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Whether complex numbers are added, subtracted, multiplied, compared and selected as such, not by their parts.
    pub complex_arithmetic: bool,
    /// Whether there are elementary functions of complex numbers.
    pub complex_functions: bool,
    /// Whether |z|, z / w and log z of complex numbers are free of overflow on the way.
    pub safe_complex: bool,
    /// Whether -z of complex numbers negates zeros too.
    pub negates_complex_zeros: bool,
    /// Whether the square root of complex numbers is good for negative real parts.
    pub precise_complex_sqrt: bool,
    /// Whether exp, sine and cosine are good to the last digits for arguments of any size, in f32.
    pub precise_single: bool,
    /// The same in f64, and the reciprocal of a square root.
    pub precise_double: bool,
    /// Whether elementary functions of f32 (exp, log, sine …) are functions, not arithmetic.
    pub single_functions: bool,
    /// Whether there is a cube root.
    pub cube_root: bool,
    /// Whether powers follow C for NaN and infinities (`x^0 = 1^y = 1`).
    pub c_powers: bool,
    /// Whether the remainder of floats by infinity is the dividend.
    pub c_remainder: bool,
    /// Whether maximum and minimum put -0 below 0.
    pub orders_zeros: bool,
    /// Whether negation turns the sign of NaN, in f16 and bf16.
    pub negates_half_nan: bool,
    /// The same in f32.
    pub negates_single_nan: bool,
    /// Whether selection costs no more than other functions.
    pub fast_select: bool,
}

impl Target {
    /// Of a host that has a mathematical library, and no complex numbers: the interpreter's.
    pub const HOST: Self = Self {
        complex_arithmetic: false,
        complex_functions: false,
        safe_complex: false,
        negates_complex_zeros: true,
        precise_complex_sqrt: false,
        precise_single: true,
        precise_double: true,
        single_functions: true,
        cube_root: true,
        c_powers: true,
        c_remainder: true,
        orders_zeros: true,
        negates_half_nan: true,
        negates_single_nan: true,
        fast_select: true,
    };

    /// As [`Self::HOST`], for code that computes several numbers at once: calls are of one.
    pub const NATIVE: Self = Self { single_functions: false, ..Self::HOST };

    /// Whether exp, sine and cosine of the type are good to the last digits.
    pub fn is_precise(&self, scalar: Scalar) -> bool {
        if scalar.is_double() { self.precise_double } else { self.precise_single }
    }
}
