//! Expressions evaluated on the host, number by number: the reference that other evaluators are held against, and what
//! folds constants.
//!
//! f16 and bf16 are computed in f32 and rounded, elementary functions of f32 in f64: results of f32 are those nearest to the
//! truth but for rare ties.
#![forbid(unsafe_code)]

use super::node::{Binary, Expression, Node, Unary};
use super::small_types::value as small_float;
use super::value::mask;
use super::{Scalar, Value};
use crate::program::Direction;

impl Expression {
    /// Computes all nodes for some arguments; those of [`Self::results`] are the results.
    pub fn evaluate(&self, arguments: &[Value], values: &mut Vec<Value>) {
        values.clear();
        for &(node, scalar) in &self.nodes {
            let at = |id: u32| (values[id as usize], self.nodes[id as usize].1);
            let value = match node {
                Node::Argument(index) => arguments[index as usize],
                Node::Constant(value) => value,
                Node::Unary(function, a) => {
                    let (a, of) = at(a);
                    function.apply(of, scalar, a)
                }
                Node::Binary(function, a, b) => {
                    let ((a, of), (b, _)) = (at(a), at(b));
                    function.apply(of, a, b)
                }
                Node::Compare(direction, a, b) => {
                    let ((a, of), (b, _)) = (at(a), at(b));
                    bool_value(holds(direction, of, a, b))
                }
                Node::Select(condition, yes, no) => at(if at(condition).0.bits != 0 { yes } else { no }).0,
            };
            values.push(value);
        }
    }
}

/// The results for some arguments.
pub fn interpret(expression: &Expression, arguments: &[Value]) -> Vec<Value> {
    let mut values = Vec::with_capacity(expression.nodes.len());
    expression.evaluate(arguments, &mut values);
    expression.results.iter().map(|&id| values[id as usize]).collect()
}

fn bool_value(holds: bool) -> Value {
    Value::from_bits(u64::from(holds))
}

impl Unary {
    /// The result, of type `to`, for a number of type `of`.
    pub fn apply(self, of: Scalar, to: Scalar, a: Value) -> Value {
        match self {
            Self::Convert => convert(of, to, a),
            Self::Bitcast if of == Scalar::C64 => Value::from_bits(a.bits | a.imaginary << 32),
            Self::Bitcast if to == Scalar::C64 => Value { bits: a.bits & 0xffff_ffff, imaginary: a.bits >> 32 },
            Self::Bitcast => a,
            Self::Decode(element) => Value::from_bits(u64::from(small_float(element, a.bits as u8).to_bits())),
            Self::Real => Value::from_bits(a.bits),
            Self::Imaginary => Value::from_bits(a.imaginary),
            Self::IsNan => bool_value(a.to_f64(of).is_nan()),
            Self::IsInf => bool_value(a.to_f64(of).is_infinite()),
            Self::IsFinite => bool_value(a.to_f64(of).is_finite()),
            _ if of.is_float() => float_function(self, of, a),
            _ => integer_function(self, of, a),
        }
    }
}

impl Binary {
    /// The result for two numbers of a type.
    pub fn apply(self, of: Scalar, a: Value, b: Value) -> Value {
        match self {
            Self::Complex => Value { bits: a.bits, imaginary: b.bits },
            _ if of.is_float() => float_binary(self, of, a, b),
            _ => integer_binary(self, of, a, b),
        }
    }
}

fn integer_function(function: Unary, of: Scalar, a: Value) -> Value {
    let number = a.to_i128(of);
    let result = match function {
        Unary::Abs => number.abs(),
        Unary::Negate => -number,
        Unary::Not if of == Scalar::Bool => i128::from(number == 0),
        Unary::Not => !number,
        Unary::Sign => number.signum(),
        // Of integers there are no others; of complex numbers the host has none.
        _ => 0,
    };
    Value::from_i128(of, result)
}

fn float_function(function: Unary, of: Scalar, a: Value) -> Value {
    let sign = 1u64 << (of.bits() - 1);
    // By the bits: a NaN keeps its own.
    match function {
        Unary::Abs => return Value::from_bits(a.bits & !sign),
        Unary::Negate => return Value::from_bits(a.bits ^ sign),
        _ => {}
    }
    let x = a.to_f64(of);
    let result = match function {
        Unary::Sign if x.is_nan() || x == 0.0 => x,
        Unary::Sign => x.signum(),
        Unary::Ceil => x.ceil(),
        Unary::Floor => x.floor(),
        Unary::Round => x.round_ties_even(),
        Unary::Sqrt => x.sqrt(),
        Unary::Rsqrt => 1.0 / x.sqrt(),
        Unary::Cbrt => x.cbrt(),
        Unary::Exp => x.exp(),
        Unary::Expm1 => x.exp_m1(),
        Unary::Log => x.ln(),
        Unary::Log1p => x.ln_1p(),
        Unary::Sin => x.sin(),
        Unary::Cos => x.cos(),
        Unary::Tan => x.tan(),
        Unary::Sinh => x.sinh(),
        Unary::Cosh => x.cosh(),
        Unary::Tanh => x.tanh(),
        Unary::Asin => x.asin(),
        Unary::Acos => x.acos(),
        Unary::Atan => x.atan(),
        Unary::Asinh => asinh(x),
        Unary::Acosh => acosh(x),
        Unary::Atanh => x.atanh(),
        _ => x,
    };
    Value::from_f64(of, result)
}

/// Rust's squares x, which overflows beyond 1e154.
fn asinh(x: f64) -> f64 {
    if x.abs() > 1e8 { (x.abs().ln() + std::f64::consts::LN_2).copysign(x) } else { x.asinh() }
}

fn acosh(x: f64) -> f64 {
    if x > 1e8 { x.ln() + std::f64::consts::LN_2 } else { x.acosh() }
}

fn convert(of: Scalar, to: Scalar, a: Value) -> Value {
    if to == Scalar::Bool {
        return bool_value(if of.is_float() { a.to_f64(of) != 0.0 } else { a.bits != 0 });
    }
    if of.is_float() {
        let value = a.to_f64(of);
        // Kept as they are: a NaN keeps its sign, and what it can of its bits.
        return if to.is_float() { float_to_float(of, to, a) } else { Value::from_f64(to, value) };
    }
    let number = a.to_i128(of);
    match to.real() {
        // Rounded once.
        Scalar::F32 => Value::from_bits(u64::from((number as f32).to_bits())),
        Scalar::F16 => Value::from_f64(to, f64::from(number as f32)),
        Scalar::BF16 => Value::from_f64(to, f64::from(number as f32)),
        _ => Value::from_i128(to, number),
    }
}

fn float_to_float(of: Scalar, to: Scalar, a: Value) -> Value {
    match (of, to) {
        (Scalar::F64, Scalar::F32) => Value::from_bits(u64::from((f64::from_bits(a.bits) as f32).to_bits())),
        (Scalar::F32, Scalar::BF16) => {
            Value::from_bits(u64::from(half::bf16::from_f32(f32::from_bits(a.bits as u32)).to_bits()))
        }
        (Scalar::F32, Scalar::F16) => {
            Value::from_bits(u64::from(half::f16::from_f32(f32::from_bits(a.bits as u32)).to_bits()))
        }
        _ => Value::from_f64(to, a.to_f64(of)),
    }
}

/// Whether two numbers of a type are in a relation.
pub fn holds(direction: Direction, of: Scalar, a: Value, b: Value) -> bool {
    fn ordered<T: PartialOrd>(direction: Direction, a: T, b: T) -> bool {
        match direction {
            Direction::Eq => a == b,
            Direction::Ne => a != b,
            Direction::Ge => a >= b,
            Direction::Gt => a > b,
            Direction::Le => a <= b,
            Direction::Lt => a < b,
        }
    }
    if of.is_float() {
        ordered(direction, a.to_f64(of), b.to_f64(of))
    } else {
        ordered(direction, a.to_i128(of), b.to_i128(of))
    }
}

fn integer_binary(function: Binary, of: Scalar, a: Value, b: Value) -> Value {
    let (x, y) = (a.to_i128(of), b.to_i128(of));
    let result = match function {
        Binary::Add => x + y,
        Binary::Subtract => x - y,
        Binary::Multiply => x.wrapping_mul(y),
        // Divisors of 0 are nobody's.
        Binary::Divide => x.checked_div(y).unwrap_or(0),
        Binary::Remainder => x.checked_rem(y).unwrap_or(0),
        Binary::Power => return Value::from_bits(power(a.bits, y.max(0) as u64) & mask(of)),
        Binary::Maximum => x.max(y),
        Binary::Minimum => x.min(y),
        Binary::And => x & y,
        Binary::Or => x | y,
        Binary::Xor => x ^ y,
        Binary::ShiftLeft => x << y.clamp(0, 63),
        Binary::ShiftRight => x >> y.clamp(0, 63),
        Binary::Atan2 | Binary::Complex => 0,
    };
    Value::from_i128(of, result)
}

/// Modulo 2^64.
fn power(mut base: u64, mut exponent: u64) -> u64 {
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

fn float_binary(function: Binary, of: Scalar, a: Value, b: Value) -> Value {
    let (x, y) = (a.to_f64(of), b.to_f64(of));
    // What NaN comes of two is the processor's affair: an operand's own bits, not a new one's.
    if matches!(function, Binary::Maximum | Binary::Minimum) && (x.is_nan() || y.is_nan()) {
        return if x.is_nan() { a } else { b };
    }
    let result = match function {
        // Sums, differences, products and quotients of f32 in f64 round to f32 as they would at once: f64 has more than
        // twice the digits (S. Figueroa, "When is double rounding innocuous?", 1995). f16 and bf16 go by f32, as XLA has it.
        Binary::Add => x + y,
        Binary::Subtract => x - y,
        Binary::Multiply => x * y,
        Binary::Divide => x / y,
        Binary::Remainder => x % y,
        Binary::Power => x.powf(y),
        Binary::Maximum if x == y => return if a.bits == b.bits || x != 0.0 { a } else { Value::from_bits(0) },
        Binary::Minimum if x == y => return if a.bits == b.bits || x != 0.0 { a } else { Value::from_f64(of, -0.0) },
        Binary::Maximum => x.max(y),
        Binary::Minimum => x.min(y),
        Binary::Atan2 => x.atan2(y),
        Binary::And | Binary::Or | Binary::Xor | Binary::ShiftLeft | Binary::ShiftRight | Binary::Complex => x,
    };
    if of.is_half() { Value::from_f64(of, f64::from(result as f32)) } else { Value::from_f64(of, result) }
}
