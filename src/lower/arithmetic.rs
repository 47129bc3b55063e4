//! add, subtract, multiply, divide, remainder, power, negate, abs, sign, maximum, minimum, atan2.
#![forbid(unsafe_code)]

use super::formula::{Formula, signed, unsigned};
use super::small_types::wrap;
use super::{Context, LowerError, Lowered, Row, complex};
use crate::mlx::{self, Array, Dtype, Stream};
use crate::program::{Block, ElementType, Op, OpKind, ValueId};

/// Rows of the op table.
pub static ROWS: &[Row] = &[
    Row { name: "add", note: "", elementwise: true, lower: add },
    Row { name: "subtract", note: "", elementwise: true, lower: subtract },
    Row { name: "multiply", note: "", elementwise: true, lower: multiply },
    Row { name: "divide", note: "x / 0 is -1 (all ones when unsigned) for integers", elementwise: true, lower: divide },
    Row { name: "remainder", note: "x % 0 is x for integers", elementwise: true, lower: remainder },
    Row { name: "power", note: "", elementwise: true, lower: power },
    Row { name: "negate", note: "", elementwise: true, lower: negate },
    Row { name: "abs", note: "", elementwise: true, lower: abs },
    Row { name: "sign", note: "", elementwise: true, lower: sign },
    Row { name: "maximum", note: "", elementwise: true, lower: maximum },
    Row { name: "minimum", note: "", elementwise: true, lower: minimum },
    Row { name: "atan2", note: "", elementwise: true, lower: atan2 },
];

/// A function of one array, as formulas write it.
pub type UnaryFormula = fn(&Formula) -> Formula;

/// A function of two arrays, as formulas write it.
pub type BinaryFormula = fn(&Formula, &Formula) -> Formula;

/// Lowers to a formula of the operand.
pub fn unary(element: ElementType, formula: UnaryFormula) -> Lowered {
    Lowered::one(move |inputs, stream| wrap(formula(&Formula::of(inputs[0], stream)), element).finish())
}

/// Lowers to a formula of the two operands.
pub fn binary(element: ElementType, formula: BinaryFormula) -> Lowered {
    Lowered::one(move |inputs, stream| {
        wrap(formula(&Formula::of(inputs[0], stream), &Formula::of(inputs[1], stream)), element).finish()
    })
}

/// As [`unary`]; f16 and bf16 are computed in f32, as XLA does.
pub fn unary_in_f32(element: ElementType, formula: UnaryFormula) -> Lowered {
    if !matches!(element, ElementType::F16 | ElementType::BF16) {
        return unary(element, formula);
    }
    Lowered::one(move |inputs, stream| {
        formula(&Formula::of(inputs[0], stream).cast(Dtype::Float32)).cast(inputs[0].dtype()).finish()
    })
}

/// As [`binary`]; f16 and bf16 are computed in f32, as XLA does.
pub fn binary_in_f32(element: ElementType, formula: BinaryFormula) -> Lowered {
    if !matches!(element, ElementType::F16 | ElementType::BF16) {
        return binary(element, formula);
    }
    Lowered::one(move |inputs, stream| {
        let [left, right] = [0, 1].map(|index: usize| Formula::of(inputs[index], stream).cast(Dtype::Float32));
        formula(&left, &right).cast(inputs[0].dtype()).finish()
    })
}

/// A single MLX call.
pub fn direct(function: fn(&Array, &Array, Stream) -> mlx::Result<Array>) -> Lowered {
    Lowered::one(move |inputs, stream| function(inputs[0], inputs[1], stream))
}

/// The element type of the result. The pass that legalizes small floats leaves no arithmetic on them.
pub fn element(context: &Context<'_>, op: &Op) -> Result<ElementType, LowerError> {
    let element = context.operand(op, 0)?.element;
    if element.is_small_float() {
        return Err(context.unsupported(op, "small floats are only converted and moved"));
    }
    Ok(element)
}

fn is_real_float(element: ElementType) -> bool {
    element.is_float()
}

fn add(context: &mut Context<'_>, op: &Op) -> Result<Lowered, LowerError> {
    let element = element(context, op)?;
    Ok(match element {
        ElementType::Bool => direct(mlx::logical_or),
        _ if element.is_small_integer() => binary(element, |a, b| a + b),
        ElementType::BF16 => direct(mlx::bfloat16_add),
        _ => direct(mlx::add),
    })
}

fn subtract(context: &mut Context<'_>, op: &Op) -> Result<Lowered, LowerError> {
    let element = element(context, op)?;
    Ok(match element {
        // Modulo 2, as XLA's i1 arithmetic.
        ElementType::Bool => direct(mlx::not_equal),
        _ if element.is_small_integer() => binary(element, |a, b| a - b),
        ElementType::BF16 => direct(mlx::bfloat16_subtract),
        _ => direct(mlx::subtract),
    })
}

fn multiply(context: &mut Context<'_>, op: &Op) -> Result<Lowered, LowerError> {
    let element = element(context, op)?;
    Ok(match element {
        ElementType::Bool => direct(mlx::logical_and),
        _ if element.is_small_integer() => binary(element, |a, b| a * b),
        _ if element.is_complex() => direct(complex::multiply),
        ElementType::BF16 => direct(mlx::bfloat16_multiply),
        _ => direct(mlx::multiply),
    })
}

fn divide(context: &mut Context<'_>, op: &Op) -> Result<Lowered, LowerError> {
    let element = element(context, op)?;
    Ok(match element {
        ElementType::Bool => return Err(context.unsupported(op, "there is no quotient of booleans")),
        _ if element.is_complex() => binary(element, complex::divide),
        _ if element.is_signed_integer() => binary(element, divide_signed),
        _ if element.is_unsigned_integer() => binary(element, divide_unsigned),
        ElementType::BF16 => direct(mlx::bfloat16_divide),
        _ => direct(mlx::divide),
    })
}

/// Integer division on the host's processor traps on a zero divisor and on INT_MIN / -1: never let it see one.
fn safe(divisor: &Formula) -> (Formula, Formula) {
    let zero = divisor.equal(0i128);
    let safe = zero.select(&divisor.integer(1), divisor);
    (zero, safe)
}

fn divide_unsigned(a: &Formula, b: &Formula) -> Formula {
    let (zero, b) = safe(b);
    zero.select(&a.integer(-1), a.floor_divide(b))
}

fn divide_signed(a: &Formula, b: &Formula) -> Formula {
    // Magnitudes as unsigned numbers: INT_MIN's fits, and flooring is truncation.
    let unsigned = unsigned(a.dtype());
    let (zero, safe) = safe(b);
    let quotient = a.abs().view(unsigned).floor_divide(safe.abs().view(unsigned)).view(a.dtype());
    let negative = (a ^ b).less(0i128);
    let quotient = negative.select(&-&quotient, quotient);
    zero.select(&a.integer(-1), quotient)
}

fn remainder(context: &mut Context<'_>, op: &Op) -> Result<Lowered, LowerError> {
    let element = element(context, op)?;
    Ok(match element {
        ElementType::Bool => return Err(context.unsupported(op, "there is no remainder of booleans")),
        _ if element.is_complex() => return Err(context.unsupported(op, "there is no remainder of complex numbers")),
        _ if element.is_signed_integer() => binary(element, remainder_signed),
        _ if element.is_unsigned_integer() => binary(element, remainder_unsigned),
        _ => binary_in_f32(element, remainder_float),
    })
}

fn remainder_unsigned(a: &Formula, b: &Formula) -> Formula {
    let (zero, b) = safe(b);
    zero.select(a, a.remainder(b))
}

fn remainder_signed(a: &Formula, b: &Formula) -> Formula {
    let unsigned = unsigned(a.dtype());
    let (zero, safe) = safe(b);
    let rest = a.abs().view(unsigned).remainder(safe.abs().view(unsigned)).view(a.dtype());
    let rest = a.less(0i128).select(&-&rest, rest);
    zero.select(a, rest)
}

/// C's fmod: exact, with the dividend's sign. MLX's remainder takes the divisor's sign, but agrees on magnitudes.
pub fn remainder_float(a: &Formula, b: &Formula) -> Formula {
    let magnitude = a.abs();
    let rest = magnitude.remainder(b.abs());
    // fmod(finite, inf) = finite: the usual formula of GPUs would make NaN of it.
    let rest = (b.is_inf() & a.is_finite()).select(&magnitude, rest);
    rest.copysign(a)
}

fn power(context: &mut Context<'_>, op: &Op) -> Result<Lowered, LowerError> {
    let element = element(context, op)?;
    Ok(match element {
        ElementType::Bool => return Err(context.unsupported(op, "there is no power of booleans")),
        _ if element.is_complex() => binary(element, complex::power),
        _ if element.is_signed_integer() => binary(element, power_signed),
        _ if element.is_unsigned_integer() => binary(element, |a, b| a.power(b)),
        _ => binary_in_f32(element, power_float),
    })
}

fn power_signed(a: &Formula, b: &Formula) -> Formula {
    // MLX squares and multiplies while the exponent is not 0: forever, when it is negative.
    let negative = b.less(0i128);
    let power = a.power(b.maximum(0i128));
    let odd = (b & 1i128).not_equal(0i128);
    let of_minus_one = odd.select(&a.integer(-1), 1i128);
    let inverse = a.equal(1i128).select(&a.integer(1), a.equal(-1i128).select(&of_minus_one, 0i128));
    negative.select(&inverse, power)
}

fn power_float(a: &Formula, b: &Formula) -> Formula {
    let power = a.power(b);
    if a.stream().capabilities().c_powers {
        return power;
    }
    // C's rules that GPUs do not promise: x^0 = 1^y = 1 even for NaN, and |-1|^±inf = 1.
    let one = b.equal(0.0) | a.equal(1.0) | (a.equal(-1.0) & b.is_inf());
    power.or_where(&one, 1.0)
}

fn negate(context: &mut Context<'_>, op: &Op) -> Result<Lowered, LowerError> {
    let element = element(context, op)?;
    Ok(match element {
        ElementType::Bool => Lowered::one(|inputs, _| Ok(inputs[0].clone())),
        _ if element.is_complex() => unary(element, complex::negate),
        // By its bits: MLX's rounds once more, which costs a NaN its sign.
        ElementType::F16 | ElementType::BF16 => unary(element, |a| (a.bits() ^ 0x8000i128).view(a.dtype())),
        // CUDA's makes one NaN of all.
        ElementType::F32 if context.capabilities.backend == mlx::Backend::Cuda => {
            unary(element, |a| (a.bits() ^ 0x8000_0000i128).view(a.dtype()))
        }
        _ => unary(element, |a| -a),
    })
}

fn abs(context: &mut Context<'_>, op: &Op) -> Result<Lowered, LowerError> {
    let element = element(context, op)?;
    Ok(match element {
        ElementType::Bool => Lowered::one(|inputs, _| Ok(inputs[0].clone())),
        _ if element.is_unsigned_integer() => Lowered::one(|inputs, _| Ok(inputs[0].clone())),
        _ if element.is_complex() => unary(ElementType::F32, complex::abs),
        _ => unary(element, Formula::abs),
    })
}

fn sign(context: &mut Context<'_>, op: &Op) -> Result<Lowered, LowerError> {
    let element = element(context, op)?;
    Ok(match element {
        ElementType::Bool => Lowered::one(|inputs, _| Ok(inputs[0].clone())),
        _ if element.is_complex() => unary(element, complex::sign),
        // MLX gives 0 for NaN and -0, which are their own signs.
        _ if is_real_float(element) => unary(element, |a| {
            let sign = a.apply(mlx::sign);
            sign.equal(0.0).select(a, sign)
        }),
        _ => unary(element, |a| a.apply(mlx::sign)),
    })
}

fn maximum(context: &mut Context<'_>, op: &Op) -> Result<Lowered, LowerError> {
    let element = element(context, op)?;
    Ok(match element {
        ElementType::Bool => direct(mlx::logical_or),
        _ if element.is_complex() => binary(element, |a, b| complex::greater(a, b).select(a, b)),
        // MLX takes its second operand when the two are equal, but +0 is the greater zero.
        _ if is_real_float(element) => match zeros(context, op) {
            [_, Zeros::None | Zeros::Positive] | [Zeros::None, _] => direct(mlx::maximum),
            [Zeros::Positive, _] => direct(|a, b, stream| mlx::maximum(b, a, stream)),
            _ => binary(element, |a, b| a.equal(b).select(&(a.bits() & b.bits()).view(a.dtype()), a.maximum(b))),
        },
        _ => direct(mlx::maximum),
    })
}

fn minimum(context: &mut Context<'_>, op: &Op) -> Result<Lowered, LowerError> {
    let element = element(context, op)?;
    Ok(match element {
        ElementType::Bool => direct(mlx::logical_and),
        _ if element.is_complex() => binary(element, |a, b| complex::greater(b, a).select(a, b)),
        // As for maximum: -0 is the lesser zero, so a +0 that is known goes first.
        _ if is_real_float(element) => match zeros(context, op) {
            [Zeros::None | Zeros::Positive, _] | [_, Zeros::None] => direct(mlx::minimum),
            [_, Zeros::Positive] => direct(|a, b, stream| mlx::minimum(b, a, stream)),
            _ => binary(element, |a, b| a.equal(b).select(&(a.bits() | b.bits()).view(a.dtype()), a.minimum(b))),
        },
        _ => direct(mlx::minimum),
    })
}

/// Which zeros an operand can hold, as far as constants tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Zeros {
    None,
    Positive,
    Unknown,
}

fn zeros(context: &Context<'_>, op: &Op) -> [Zeros; 2] {
    [0, 1].map(|index: usize| op.operands.get(index).map_or(Zeros::Unknown, |&value| zeros_of(context, value)))
}

fn zeros_of(context: &Context<'_>, value: ValueId) -> Zeros {
    let source = match context.constant(value) {
        Some(literal) => Some(literal),
        // The usual relu compares with a constant made larger.
        None => definition(&context.function.body, value)
            .filter(|op| matches!(op.kind, OpKind::BroadcastInDim { .. } | OpKind::Reshape))
            .and_then(|op| context.constant(op.operands[0])),
    };
    let Some(literal) = source else { return Zeros::Unknown };
    let width = literal.ty.element.bytes();
    let mut zeros = Zeros::None;
    for number in literal.data.chunks_exact(width) {
        let (sign, rest) = (number[width - 1] & 0x80 != 0, number[width - 1] & 0x7f);
        if rest == 0 && number[..width - 1].iter().all(|&byte| byte == 0) {
            if sign {
                return Zeros::Unknown;
            }
            zeros = Zeros::Positive;
        }
    }
    zeros
}

/// The op that makes a value, in the block or in the regions of its ops.
fn definition(block: &Block, value: ValueId) -> Option<&Op> {
    block.ops.iter().find_map(|op| {
        if op.results.contains(&value) {
            return Some(op);
        }
        op.regions.iter().find_map(|region| definition(region, value))
    })
}

fn atan2(context: &mut Context<'_>, op: &Op) -> Result<Lowered, LowerError> {
    let element = element(context, op)?;
    Ok(match element {
        _ if element.is_complex() => binary(element, complex::atan2),
        _ if is_real_float(element) => binary_in_f32(element, |a, b| a.arctan2(b)),
        _ => return Err(context.unsupported(op, "atan2 is of floats and complex numbers")),
    })
}

/// Bits of signed integers that order floats as IEEE's totalOrder does: -NaN < -inf < … < -0 < +0 < … < inf < NaN.
pub fn total_order(a: &Formula) -> Formula {
    let bits = a.view(signed(a.dtype()));
    let mask = (1i128 << (a.dtype().size() * 8 - 1)) - 1;
    bits.less(0i128).select(&(&bits ^ mask), &bits)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Builder, bytes, elementwise, f32s, i32s, tensor, values};
    use crate::program::ElementType::{self, *};
    use crate::program::{Binary, Literal, OpKind, TensorType, Unary};

    fn binary_i32(op: Binary, a: &[i32], b: &[i32]) -> Vec<i32> {
        i32s(&elementwise(OpKind::Binary(op), &[(I32, bytes(a)), (I32, bytes(b))], I32).unwrap())
    }

    fn binary_f32(op: Binary, a: &[f32], b: &[f32]) -> Vec<f32> {
        f32s(&elementwise(OpKind::Binary(op), &[(F32, bytes(a)), (F32, bytes(b))], F32).unwrap())
    }

    fn small(op: Binary, element: ElementType, a: &[i8], b: &[i8]) -> Vec<i8> {
        values(&elementwise(OpKind::Binary(op), &[(element, bytes(a)), (element, bytes(b))], element).unwrap())
    }

    /// Equal bits: tells -0 from 0 and takes NaN for NaN.
    fn same(a: &[f32], b: &[f32]) {
        let bits =
            |x: &[f32]| x.iter().map(|x| if x.is_nan() { f32::NAN.to_bits() } else { x.to_bits() }).collect::<Vec<_>>();
        assert_eq!(bits(a), bits(b), "{a:?} {b:?}");
    }

    #[test]
    fn integers_divide_without_traps() {
        let a = [7, -7, i32::MIN, 5, i32::MIN, 0, i32::MIN];
        let b = [-2, 2, -1, 0, 0, 0, i32::MIN];
        assert_eq!(binary_i32(Binary::Divide, &a, &b), [-3, -3, i32::MIN, -1, -1, -1, 1]);
        assert_eq!(binary_i32(Binary::Remainder, &a, &b), [1, -1, 0, 5, i32::MIN, 0, 0]);
        let operands = [(U8, vec![7, 200, 255]), (U8, vec![0, 3, 255])];
        assert_eq!(elementwise(OpKind::Binary(Binary::Divide), &operands, U8).unwrap(), [255, 66, 1]);
        assert_eq!(elementwise(OpKind::Binary(Binary::Remainder), &operands, U8).unwrap(), [7, 2, 0]);
        let wide = [(I64, bytes(&[i64::MIN, -7, 3])), (I64, bytes(&[-1i64, 2, 0]))];
        assert_eq!(
            values::<i64>(&elementwise(OpKind::Binary(Binary::Divide), &wide, I64).unwrap()),
            [i64::MIN, -3, -1]
        );
    }

    #[test]
    fn float_remainder_is_exact_and_has_the_dividends_sign() {
        let a = [5.5, -5.5, -0., 1., f32::INFINITY, 3e38, -4., 1., f32::NAN, 1.];
        let b = [-2., 2., 1., f32::INFINITY, 1., 0.1, 2., 0., 1., f32::NAN];
        let expected: Vec<f32> = a.iter().zip(&b).map(|(a, b)| a % b).collect();
        same(&binary_f32(Binary::Remainder, &a, &b), &expected);
    }

    #[test]
    fn powers() {
        let a = [2, -1, -1, 1, 0, 3, 0, 2, -2, 0, i32::MIN];
        let b = [-1, -3, -2, -5, -1, 40, 0, 33, 31, -2, i32::MIN];
        assert_eq!(binary_i32(Binary::Power, &a, &b), [0, -1, 1, 1, 0, 689_956_897, 1, 0, i32::MIN, 0, 0]);
        let a = [f32::NAN, 1., -2., 0., -0., f32::INFINITY, -1., -8., 0.];
        let b = [0., f32::NAN, 3., -1., -1., -1., f32::INFINITY, 1. / 3., 0.];
        let expected: Vec<f32> = a.iter().zip(&b).map(|(a, b)| a.powf(*b)).collect();
        same(&binary_f32(Binary::Power, &a, &b), &expected);
    }

    #[test]
    fn small_integers_wrap() {
        assert_eq!(small(Binary::Add, I4, &[7, -8, 3], &[1, -1, 4]), [-8, 7, 7]);
        assert_eq!(small(Binary::Multiply, U4, &[15, 3], &[15, 4]), [1, 12]);
        assert_eq!(small(Binary::Subtract, U2, &[0, 3], &[1, 1]), [3, 2]);
        assert_eq!(small(Binary::Divide, I4, &[-8, 7, 7], &[-1, 0, -2]), [-8, -1, -3]);
        assert_eq!(small(Binary::Divide, U4, &[9], &[0]), [15]);
        let negated = elementwise(OpKind::Unary(Unary::Negate), &[(I4, bytes(&[-8i8, 3]))], I4).unwrap();
        assert_eq!(values::<i8>(&negated), [-8, -3]);
    }

    #[test]
    fn signs() {
        let sign = elementwise(OpKind::Unary(Unary::Sign), &[(F32, bytes(&[f32::NAN, -0., 2., -3., 0.]))], F32);
        same(&f32s(&sign.unwrap()), &[f32::NAN, -0., 1., -1., 0.]);
        let sign = elementwise(OpKind::Unary(Unary::Sign), &[(U8, vec![0, 255])], U8).unwrap();
        assert_eq!(sign, [0, 1]);
        let negated = elementwise(OpKind::Unary(Unary::Negate), &[(U8, vec![0, 1, 255])], U8).unwrap();
        assert_eq!(negated, [0, 255, 1]);
        let abs = elementwise(OpKind::Unary(Unary::Abs), &[(I8, bytes(&[-128i8, -1, 5]))], I8).unwrap();
        assert_eq!(values::<i8>(&abs), [-128, 1, 5]);
    }

    #[test]
    fn maximum_and_minimum_hand_on_nan() {
        let (a, b) = ([f32::NAN, 1., 2.], [1., f32::NAN, 3.]);
        same(&binary_f32(Binary::Maximum, &a, &b), &[f32::NAN, f32::NAN, 3.]);
        same(&binary_f32(Binary::Minimum, &a, &b), &[f32::NAN, f32::NAN, 2.]);
    }

    #[test]
    fn zeros_are_ordered_by_sign() {
        let (a, b) = ([-0f32, 0., -0., 0.], [0f32, -0., -0., 0.]);
        same(&binary_f32(Binary::Maximum, &a, &b), &[0., 0., -0., 0.]);
        same(&binary_f32(Binary::Minimum, &a, &b), &[-0., -0., -0., 0.]);
    }

    /// With a constant on either side, broadcast as in relu.
    #[test]
    fn zeros_against_constants() {
        let x = [-0f32, 0., -1., 1., f32::NAN];
        for constant in [0f32, -0., 2.] {
            for constant_first in [false, true] {
                for (op, reference) in [(Binary::Maximum, f32::max as fn(f32, f32) -> f32), (Binary::Minimum, f32::min)]
                {
                    let mut builder = Builder::default();
                    let ty = tensor(F32, &[5]);
                    let argument = builder.argument(ty.clone());
                    let literal = Literal { ty: TensorType::new(F32, []), data: bytes(&[constant]), splat: true };
                    let scalar = builder.op(OpKind::Constant(literal), &[], vec![tensor(F32, &[])], vec![]);
                    let broadcast = OpKind::BroadcastInDim { broadcast_dimensions: vec![] };
                    let constants = builder.op(broadcast, &scalar, vec![ty.clone()], vec![]);
                    let mut operands = [argument, constants[0]];
                    if constant_first {
                        operands.reverse();
                    }
                    let results = builder.op(OpKind::Binary(op), &operands, vec![ty], vec![]);
                    let came = f32s(&builder.run(&results, &[bytes(&x)]).unwrap()[0]);
                    let expected = x.map(|x| match (x == 0.0 && constant == 0.0, op) {
                        _ if x.is_nan() => f32::NAN,
                        (false, _) => reference(x, constant),
                        (true, Binary::Maximum) => f32::from_bits(x.to_bits() & constant.to_bits()),
                        (true, _) => f32::from_bits(x.to_bits() | constant.to_bits()),
                    });
                    same(&came, &expected);
                }
            }
        }
    }

    #[test]
    fn booleans_have_their_own_arithmetic() {
        let operands = [(Bool, vec![0, 0, 1, 1]), (Bool, vec![0, 1, 0, 1])];
        for (op, expected) in [
            (Binary::Add, [0, 1, 1, 1]),
            (Binary::Multiply, [0, 0, 0, 1]),
            (Binary::Maximum, [0, 1, 1, 1]),
            (Binary::Minimum, [0, 0, 0, 1]),
        ] {
            assert_eq!(elementwise(OpKind::Binary(op), &operands, Bool).unwrap(), expected, "{op:?}");
        }
    }

    #[test]
    fn empty_operands_give_empty_results() {
        for op in [Binary::Add, Binary::Divide, Binary::Remainder, Binary::Power, Binary::Maximum] {
            assert!(binary_i32(op, &[], &[]).is_empty());
            assert!(binary_f32(op, &[], &[]).is_empty());
        }
    }
}
