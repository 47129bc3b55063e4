//! What the code calls: functions of the host's mathematical library, and conversions of f16.
#![forbid(unsafe_code)]

use crate::expression::{Binary, Scalar, Unary};

/// The address of a function of floats of f32 or f64.
pub(super) fn unary(function: Unary, scalar: Scalar) -> Option<usize> {
    macro_rules! address {
        ($($variant:ident $method:ident),* $(,)?) => {
            match (function, scalar) {
                $(
                    (Unary::$variant, Scalar::F32) => {
                        extern "C" fn call(x: f32) -> f32 {
                            x.$method()
                        }
                        call as extern "C" fn(f32) -> f32 as usize
                    }
                    (Unary::$variant, Scalar::F64) => {
                        extern "C" fn call(x: f64) -> f64 {
                            x.$method()
                        }
                        call as extern "C" fn(f64) -> f64 as usize
                    }
                )*
                _ => return None,
            }
        };
    }
    Some(address!(
        Cbrt cbrt, Exp exp, Expm1 exp_m1, Log ln, Log1p ln_1p, Sin sin, Cos cos, Tan tan, Sinh sinh, Cosh cosh, Tanh tanh,
        Asin asin, Acos acos, Atan atan, Asinh asinh, Acosh acosh, Atanh atanh,
    ))
}

/// The address of a function of two floats of f32 or f64.
pub(super) fn binary(function: Binary, scalar: Scalar) -> Option<usize> {
    macro_rules! address {
        ($($variant:ident |$a:ident, $b:ident| $body:expr),* $(,)?) => {
            match (function, scalar) {
                $(
                    (Binary::$variant, Scalar::F32) => {
                        extern "C" fn call($a: f32, $b: f32) -> f32 {
                            $body
                        }
                        call as extern "C" fn(f32, f32) -> f32 as usize
                    }
                    (Binary::$variant, Scalar::F64) => {
                        extern "C" fn call($a: f64, $b: f64) -> f64 {
                            $body
                        }
                        call as extern "C" fn(f64, f64) -> f64 as usize
                    }
                )*
                _ => return None,
            }
        };
    }
    Some(address!(Power | a, b | a.powf(b), Atan2 | a, b | a.atan2(b), Remainder | a, b | a % b))
}

/// The address of a power of integers of 64 bits, modulo 2^64; the exponent is unsigned.
pub(super) fn integer_power() -> usize {
    extern "C" fn call(mut base: u64, mut exponent: u64) -> u64 {
        let mut result = 1u64;
        while exponent > 0 {
            if exponent & 1 == 1 {
                result = result.wrapping_mul(base);
            }
            base = base.wrapping_mul(base);
            exponent >>= 1;
        }
        result
    }
    call as extern "C" fn(u64, u64) -> u64 as usize
}

/// The address of the conversion from the bits of f16 to f32.
pub(super) fn half_to_single() -> usize {
    extern "C" fn call(bits: u32) -> f32 {
        half::f16::from_bits(bits as u16).to_f32()
    }
    call as extern "C" fn(u32) -> f32 as usize
}

/// The address of the conversion from f32 to the bits of f16.
pub(super) fn single_to_half() -> usize {
    extern "C" fn call(value: f32) -> u32 {
        u32::from(half::f16::from_f32(value).to_bits())
    }
    call as extern "C" fn(f32) -> u32 as usize
}

/// The address of the decoding of a small float: its type by number, then its code.
pub(super) fn decode() -> usize {
    extern "C" fn call(element: u32, code: u32) -> f32 {
        let element = crate::program::ElementType::ALL.get(element as usize).copied();
        element.map_or(f32::NAN, |element| crate::expression::small_types::value(element, code as u8))
    }
    call as extern "C" fn(u32, u32) -> f32 as usize
}
