//! Reductions against results worked out by hand (XLA:CPU gives the same).
#![forbid(unsafe_code)]

use super::super::testing::{Builder, Number, bytes, f32s, i32s, tensor};
use crate::program::{Binary, CompareType, Direction, ElementType, Literal, OpKind, TensorType, ValueId};
use half::bf16;

fn constant<T: Number>(builder: &mut Builder, element: ElementType, value: T) -> ValueId {
    let ty = TensorType::new(element, []);
    let literal = Literal { ty: ty.clone(), data: value.bytes(), splat: true };
    builder.op(OpKind::Constant(literal), &[], vec![crate::program::Type::Tensor(ty)], vec![])[0]
}

/// Reduces one operand with one binary op and an init value.
fn reduce<T: Number, I: Number>(
    kind: Binary,
    element: ElementType,
    shape: &[i64],
    data: &[T],
    init: I,
    dimensions: &[i64],
) -> Vec<u8> {
    let mut builder = Builder::default();
    let operand = builder.argument(tensor(element, shape));
    let init = constant(&mut builder, element, init);
    let body = builder.reducer(OpKind::Binary(kind), element);
    let kept: Vec<i64> = (0..shape.len() as i64).filter(|axis| !dimensions.contains(axis)).collect();
    let result: Vec<i64> = kept.iter().map(|&axis| shape[axis as usize]).collect();
    let results = builder.op(
        OpKind::Reduce { dimensions: dimensions.to_vec() },
        &[operand, init],
        vec![tensor(element, &result)],
        vec![body],
    );
    builder.run(&results, &[bytes(data)]).unwrap().remove(0)
}

#[test]
fn sums_over_any_axes() {
    let data: Vec<f32> = (0..24).map(|value| value as f32).collect();
    let sum = |dimensions: &[i64]| f32s(&reduce(Binary::Add, ElementType::F32, &[2, 3, 4], &data, 0f32, dimensions));
    assert_eq!(sum(&[0, 2]), [60., 92., 124.]);
    assert_eq!(sum(&[2, 0]), [60., 92., 124.]);
    assert_eq!(sum(&[0, 1, 2]), [276.]);
    assert_eq!(sum(&[]), data);
    // An init value that changes the result.
    assert_eq!(f32s(&reduce(Binary::Add, ElementType::F32, &[2, 3, 4], &data, 1f32, &[0, 2])), [61., 93., 125.]);
}

#[test]
fn nothing_reduces_to_the_init_value() {
    assert_eq!(f32s(&reduce::<f32, _>(Binary::Add, ElementType::F32, &[2, 0], &[], 7f32, &[1])), [7., 7.]);
    assert!(reduce::<f32, _>(Binary::Add, ElementType::F32, &[0, 2], &[], 7f32, &[1]).is_empty());
}

#[test]
fn integers_wrap_around() {
    assert_eq!(reduce(Binary::Add, ElementType::I8, &[3], &[100i8; 3], 0i8, &[0]), [300i32 as u8]);
    assert_eq!(reduce(Binary::Multiply, ElementType::U8, &[3], &[100u8; 3], 1u8, &[0]), [(1_000_000 % 256) as u8]);
    assert_eq!(i32s(&reduce(Binary::Add, ElementType::I32, &[2], &[i32::MAX, 1], 0i32, &[0])), [i32::MIN]);
}

#[test]
fn short_floats_sum_in_f32() {
    let ones = vec![bf16::ONE; 1000];
    assert_eq!(
        reduce(Binary::Add, ElementType::BF16, &[1000], &ones, bf16::ZERO, &[0]),
        bytes(&[bf16::from_f32(1000.)])
    );
}

#[test]
fn nan_is_the_extremum() {
    let data = [1., f32::NAN, 3., 5., -2., 4.];
    for (kind, init, other) in [(Binary::Maximum, f32::NEG_INFINITY, 5.), (Binary::Minimum, f32::INFINITY, -2.)] {
        let result = f32s(&reduce(kind, ElementType::F32, &[2, 3], &data, init, &[1]));
        assert!(result[0].is_nan() && result[1] == other, "{result:?}");
    }
    // The least int is no init value of its own for a clamped maximum.
    assert_eq!(i32s(&reduce(Binary::Maximum, ElementType::I32, &[3], &[-5, -7, -6], i32::MIN, &[0])), [-5]);
}

#[test]
fn bits_and_bools() {
    let data = [0b1100, 0b1010, 0b0110, 0b1111, 0b0001];
    assert_eq!(i32s(&reduce(Binary::And, ElementType::I32, &[5], &data, -1, &[0])), [0]);
    assert_eq!(i32s(&reduce(Binary::Or, ElementType::I32, &[5], &data, 0, &[0])), [15]);
    assert_eq!(i32s(&reduce(Binary::Xor, ElementType::I32, &[5], &data, 0, &[0])), [0b1110]);
    let flags = [true, true, false, true, true, true];
    assert_eq!(reduce(Binary::And, ElementType::Bool, &[2, 3], &flags, true, &[1]), [0, 1]);
    assert_eq!(reduce(Binary::Or, ElementType::Bool, &[2, 3], &flags, false, &[0]), [1, 1, 1]);
    assert_eq!(reduce(Binary::Xor, ElementType::Bool, &[2, 3], &flags, false, &[1]), [0, 1]);
}

/// Runs a reduce of one operand over axis 0 whose body is `a + (b + b)`, which no pattern knows.
fn doubled(length: i64) -> Vec<f32> {
    let mut builder = Builder::default();
    let element = ElementType::F32;
    let operand = builder.argument(tensor(element, &[length, 2]));
    let init = builder.argument(tensor(element, &[]));
    let scalar = tensor(element, &[]);
    let body = builder.block(vec![scalar.clone(), scalar.clone()], |builder, arguments| {
        let twice = builder.make(OpKind::Binary(Binary::Add), &[arguments[1]; 2], vec![scalar.clone()], vec![]);
        let sum =
            builder.make(OpKind::Binary(Binary::Add), &[arguments[0], twice.results[0]], vec![scalar.clone()], vec![]);
        let results = sum.results.clone();
        (vec![twice, sum], results)
    });
    let results =
        builder.op(OpKind::Reduce { dimensions: vec![0] }, &[operand, init], vec![tensor(element, &[2])], vec![body]);
    let data: Vec<f32> = (0..2 * length).map(|value| value as f32).collect();
    f32s(&builder.run(&results, &[bytes(&data), bytes(&[100f32])]).unwrap()[0])
}

#[test]
fn other_bodies_fold_from_the_left() {
    // 100 + 2 · (0 + 2 + 4), 100 + 2 · (1 + 3 + 5)
    assert_eq!(doubled(3), [112., 118.]);
    // Longer ones are a tree: leaves of the right side count twice per level; 32 rows of equal depth 5.
    assert_eq!(doubled(1), [100., 102.]);
}

#[test]
fn argmax_takes_the_first_and_nan_wins() {
    let element = ElementType::F32;
    for (direction, init, expected_values, expected_indices) in [
        (Direction::Gt, f32::NEG_INFINITY, [3., f32::NAN, 7.], [1, 2, 0]),
        (Direction::Lt, f32::INFINITY, [1., f32::NAN, 7.], [0, 2, 0]),
    ] {
        let mut builder = Builder::default();
        let operand = builder.argument(tensor(element, &[3, 4]));
        let count =
            builder.op(OpKind::Iota { iota_dimension: 1 }, &[], vec![tensor(ElementType::I32, &[3, 4])], vec![])[0];
        let init = constant(&mut builder, element, init);
        let zero = constant(&mut builder, ElementType::I32, 0i32);
        let (value, index, flag) =
            (tensor(element, &[]), tensor(ElementType::I32, &[]), tensor(ElementType::Bool, &[]));
        let types = vec![value.clone(), index.clone(), value.clone(), index.clone()];
        let body = builder.block(types, |builder, arguments| {
            let &[a, a_index, b, b_index] = arguments else { unreachable!() };
            let mut ops = Vec::new();
            let mut make = |kind: OpKind, operands: &[ValueId], ty: &crate::program::Type| {
                let op = builder.make(kind, operands, vec![ty.clone()], vec![]);
                let result = op.results[0];
                ops.push(op);
                result
            };
            let compare = |direction, compare_type| OpKind::Compare { direction, compare_type };
            let better = make(compare(direction, CompareType::Float), &[a, b], &flag);
            let nan = make(compare(Direction::Ne, CompareType::Float), &[a, a], &flag);
            let keep = make(OpKind::Binary(Binary::Or), &[better, nan], &flag);
            let equal = make(compare(Direction::Eq, CompareType::Float), &[a, b], &flag);
            let before = make(compare(Direction::Lt, CompareType::Signed), &[a_index, b_index], &flag);
            let tie = make(OpKind::Binary(Binary::And), &[equal, before], &flag);
            let keep_index = make(OpKind::Binary(Binary::Or), &[keep, tie], &flag);
            let first = make(OpKind::Select, &[keep, a, b], &value);
            let second = make(OpKind::Select, &[keep_index, a_index, b_index], &index);
            (ops, vec![first, second])
        });
        let results = builder.op(
            OpKind::Reduce { dimensions: vec![1] },
            &[operand, count, init, zero],
            vec![tensor(element, &[3]), tensor(ElementType::I32, &[3])],
            vec![body],
        );
        let data = [1., 3., 3., 1., 9., -9., f32::NAN, f32::NAN, 7., 7., 7., 7.];
        match builder.run(&results, &[bytes(&data)]) {
            Ok(outputs) => {
                assert_eq!(i32s(&outputs[1]), expected_indices);
                for (value, expected) in f32s(&outputs[0]).iter().zip(expected_values) {
                    assert!(*value == expected || value.is_nan() && expected.is_nan(), "{value} {expected}");
                }
            }
            Err(message) => panic!("{message}"),
        }
    }
}
