//! Arithmetic.

use crate::lower::testing::{Builder, bytes, elementwise, f32s, i32s, tensor, values};
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
    assert_eq!(values::<i64>(&elementwise(OpKind::Binary(Binary::Divide), &wide, I64).unwrap()), [i64::MIN, -3, -1]);
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
            for (op, reference) in [(Binary::Maximum, f32::max as fn(f32, f32) -> f32), (Binary::Minimum, f32::min)] {
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
