//! Logic, shifts, counts of bits.

use crate::lower::testing::{bytes, elementwise, i32s, values};
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
    fn check<T: crate::lower::testing::Number + PartialEq + std::fmt::Debug>(
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
