//! and, or, xor, not, shifts, popcnt, count_leading_zeros.
#![forbid(unsafe_code)]

use super::arithmetic::{direct, unary};
use super::formula::{Formula, signed};
use super::{Context, LowerError, Lowered, Row};
use crate::mlx;
use crate::program::{ElementType, Op};

/// Rows of the op table.
pub static ROWS: &[Row] = &[
    Row { name: "and", note: "", elementwise: true, lower: and },
    Row { name: "or", note: "", elementwise: true, lower: or },
    Row { name: "xor", note: "", elementwise: true, lower: xor },
    Row { name: "not", note: "", elementwise: true, lower: not },
    Row { name: "shift_left", note: "", elementwise: true, lower: shift_left },
    Row { name: "shift_right_arithmetic", note: "", elementwise: true, lower: shift_right_arithmetic },
    Row { name: "shift_right_logical", note: "", elementwise: true, lower: shift_right_logical },
    Row { name: "popcnt", note: "", elementwise: true, lower: popcnt },
    Row { name: "count_leading_zeros", note: "", elementwise: true, lower: count_leading_zeros },
];

/// The element type, which must be of integers, or of booleans where these are allowed.
fn integer(context: &Context<'_>, op: &Op, booleans: bool) -> Result<ElementType, LowerError> {
    let element = context.operand(op, 0)?.element;
    if element.is_integer() || (booleans && element == ElementType::Bool) {
        Ok(element)
    } else {
        Err(context.invalid(op, &format!("an integer type expected, {element} came")))
    }
}

fn and(context: &mut Context<'_>, op: &Op) -> Result<Lowered, LowerError> {
    Ok(match integer(context, op, true)? {
        ElementType::Bool => direct(mlx::logical_and),
        _ => direct(mlx::bitwise_and),
    })
}

fn or(context: &mut Context<'_>, op: &Op) -> Result<Lowered, LowerError> {
    Ok(match integer(context, op, true)? {
        ElementType::Bool => direct(mlx::logical_or),
        _ => direct(mlx::bitwise_or),
    })
}

fn xor(context: &mut Context<'_>, op: &Op) -> Result<Lowered, LowerError> {
    Ok(match integer(context, op, true)? {
        ElementType::Bool => direct(mlx::not_equal),
        _ => direct(mlx::bitwise_xor),
    })
}

fn not(context: &mut Context<'_>, op: &Op) -> Result<Lowered, LowerError> {
    Ok(unary(integer(context, op, true)?, |a| !a))
}

/// The significant bits as an unsigned number: the byte of a small integer holds copies of its sign.
fn zero_extended(a: &Formula, element: ElementType) -> Formula {
    let bits = a.bits();
    if element.is_small_integer() && element.is_signed_integer() {
        bits & ((1i128 << element.bits()) - 1)
    } else {
        bits
    }
}

/// Shifts by more than the width are undefined in MLX: an amount in range, and where the one given was (a negative one
/// is a large unsigned one).
fn amount(b: &Formula, element: ElementType) -> (Formula, Formula) {
    let width = element.bits() as i128;
    let amount = b.bits();
    (amount.minimum(width - 1), amount.less(width))
}

fn shift_left(context: &mut Context<'_>, op: &Op) -> Result<Lowered, LowerError> {
    let element = integer(context, op, false)?;
    Ok(Lowered::one(move |inputs, stream| {
        let (a, b) = (Formula::of(inputs[0], stream), Formula::of(inputs[1], stream));
        let (amount, in_range) = amount(&b, element);
        let shifted = in_range.select(&(a.bits() << amount), 0i128).view(a.dtype());
        super::small_types::wrap(shifted, element).finish()
    }))
}

fn shift_right_logical(context: &mut Context<'_>, op: &Op) -> Result<Lowered, LowerError> {
    let element = integer(context, op, false)?;
    Ok(Lowered::one(move |inputs, stream| {
        let (a, b) = (Formula::of(inputs[0], stream), Formula::of(inputs[1], stream));
        let (amount, in_range) = amount(&b, element);
        let shifted = in_range.select(&(zero_extended(&a, element) >> amount), 0i128).view(a.dtype());
        super::small_types::wrap(shifted, element).finish()
    }))
}

fn shift_right_arithmetic(context: &mut Context<'_>, op: &Op) -> Result<Lowered, LowerError> {
    let element = integer(context, op, false)?;
    Ok(Lowered::one(move |inputs, stream| {
        let (a, b) = (Formula::of(inputs[0], stream), Formula::of(inputs[1], stream));
        let (amount, _) = amount(&b, element);
        let mut value = a.view(signed(a.dtype()));
        if element.is_small_integer() && element.is_unsigned_integer() {
            // XLA copies the highest bit of unsigned numbers as well.
            let spare = 8 - element.bits() as i128;
            value = (value << spare) >> spare;
        }
        let amount = amount.view(value.dtype());
        super::small_types::wrap((value >> amount).view(a.dtype()), element).finish()
    }))
}

/// Number of bits set, of unsigned integers.
pub fn population(bits: &Formula) -> Formula {
    let ones = |pattern: u64| i128::from(pattern);
    let width = bits.dtype().size() * 8;
    let pairs = bits - ((bits >> 1i128) & ones(0x5555_5555_5555_5555));
    let fours = (&pairs & ones(0x3333_3333_3333_3333)) + ((pairs >> 2i128) & ones(0x3333_3333_3333_3333));
    let mut sum = (&fours + (&fours >> 4i128)) & ones(0x0f0f_0f0f_0f0f_0f0f);
    let mut shift = 8;
    while shift < width {
        sum = &sum + (&sum >> (shift as i128));
        shift *= 2;
    }
    if width > 8 { sum & 0x7fi128 } else { sum }
}

fn popcnt(context: &mut Context<'_>, op: &Op) -> Result<Lowered, LowerError> {
    let element = integer(context, op, false)?;
    Ok(Lowered::one(move |inputs, stream| {
        let a = Formula::of(inputs[0], stream);
        let count = population(&zero_extended(&a, element)).view(a.dtype());
        super::small_types::wrap(count, element).finish()
    }))
}

fn count_leading_zeros(context: &mut Context<'_>, op: &Op) -> Result<Lowered, LowerError> {
    let element = integer(context, op, false)?;
    Ok(Lowered::one(move |inputs, stream| {
        let a = Formula::of(inputs[0], stream);
        let mut bits = zero_extended(&a, element);
        let width = element.bits();
        let mut shift = 1;
        while shift < width {
            bits = &bits | (&bits >> (shift as i128));
            shift *= 2;
        }
        let count = population(&bits);
        let zeros = count.integer(width as i128) - count;
        super::small_types::wrap(zeros.view(a.dtype()), element).finish()
    }))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{bytes, elementwise, i32s, values};
    use crate::program::ElementType::*;
    use crate::program::{Binary, OpKind, Unary};

    #[test]
    fn shifts_by_more_than_the_width() {
        let operands = [(I32, bytes(&[1, -8, -8, 5])), (I32, bytes(&[32, 1, 40, -1]))];
        let run = |op| i32s(&elementwise(OpKind::Binary(op), &operands, I32).unwrap());
        assert_eq!(run(Binary::ShiftLeft), [0, -16, 0, 0]);
        assert_eq!(run(Binary::ShiftRightLogical), [0, 0x7fff_fffc, 0, 0]);
        assert_eq!(run(Binary::ShiftRightArithmetic), [0, -4, -1, 0]);
        // The sign of an unsigned number is its highest bit.
        let operands = [(U32, bytes(&[1u32 << 31, 5])), (U32, bytes(&[40u32, 1]))];
        let shifted = elementwise(OpKind::Binary(Binary::ShiftRightArithmetic), &operands, U32).unwrap();
        assert_eq!(values::<u32>(&shifted), [u32::MAX, 2]);
    }

    #[test]
    fn shifts_of_small_integers() {
        let operands = [(I4, bytes(&[-8i8, 7, -1])), (I4, bytes(&[1i8, 1, 4]))];
        let run = |op| values::<i8>(&elementwise(OpKind::Binary(op), &operands, I4).unwrap());
        assert_eq!(run(Binary::ShiftLeft), [0, -2, 0]);
        assert_eq!(run(Binary::ShiftRightLogical), [4, 3, 0]);
        assert_eq!(run(Binary::ShiftRightArithmetic), [-4, 3, -1]);
        let operands = [(U4, vec![8, 7]), (U4, vec![1, 9])];
        let shifted = elementwise(OpKind::Binary(Binary::ShiftRightArithmetic), &operands, U4).unwrap();
        assert_eq!(shifted, [12, 0]);
    }

    #[test]
    fn counts_bits_of_every_width() {
        fn check<T: crate::mlx::Scalar + super::super::testing::Number + PartialEq + std::fmt::Debug>(
            element: crate::program::ElementType,
            input: &[T],
            ones: &[T],
            zeros: &[T],
        ) {
            let run = |op| values::<T>(&elementwise(OpKind::Unary(op), &[(element, bytes(input))], element).unwrap());
            assert_eq!(run(Unary::Popcnt), ones, "{element}");
            assert_eq!(run(Unary::CountLeadingZeros), zeros, "{element}");
        }
        check(U8, &[0u8, 255, 3], &[0, 8, 2], &[8, 0, 6]);
        check(I16, &[0i16, -1, 256], &[0, 16, 1], &[16, 0, 7]);
        check(I32, &[0i32, -1, i32::MIN, 1], &[0, 32, 1, 1], &[32, 0, 0, 31]);
        check(U64, &[0u64, u64::MAX, 1 << 40], &[0, 64, 1], &[64, 0, 23]);
        check(I4, &[0i8, -1, 2], &[0, 4, 1], &[4, 0, 2]);
        check(U2, &[0u8, 3, 1], &[0, 2, 1], &[2, 0, 1]);
    }

    #[test]
    fn logic() {
        let operands = [(Bool, vec![0, 0, 1, 1]), (Bool, vec![0, 1, 0, 1])];
        let run = |op| elementwise(OpKind::Binary(op), &operands, Bool).unwrap();
        assert_eq!(run(Binary::And), [0, 0, 0, 1]);
        assert_eq!(run(Binary::Or), [0, 1, 1, 1]);
        assert_eq!(run(Binary::Xor), [0, 1, 1, 0]);
        assert_eq!(elementwise(OpKind::Unary(Unary::Not), &operands[..1], Bool).unwrap(), [1, 1, 0, 0]);
        assert_eq!(elementwise(OpKind::Unary(Unary::Not), &[(U4, vec![0, 5])], U4).unwrap(), [15, 10]);
        assert_eq!(elementwise(OpKind::Unary(Unary::Not), &[(I32, bytes(&[0, 5]))], I32).unwrap(), bytes(&[-1, -6]));
    }
}
