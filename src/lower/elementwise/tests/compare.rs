//! compare, select, clamp.

use crate::lower::testing::{Builder, bytes, elementwise, f32s, tensor};
use crate::program::ElementType::{self, *};
use crate::program::{CompareType, Direction, OpKind};

fn compare(direction: Direction, compare_type: CompareType, element: ElementType, a: Vec<u8>, b: Vec<u8>) -> Vec<u8> {
    elementwise(OpKind::Compare { direction, compare_type }, &[(element, a), (element, b)], Bool).unwrap()
}

#[test]
fn nan_compares_unequal() {
    let (a, b) = (bytes(&[f32::NAN, 1., -0.]), bytes(&[f32::NAN, 2., 0.]));
    let run = |direction| compare(direction, CompareType::Float, F32, a.clone(), b.clone());
    assert_eq!(run(Direction::Eq), [0, 0, 1]);
    assert_eq!(run(Direction::Ne), [1, 1, 0]);
    assert_eq!(run(Direction::Ge), [0, 0, 1]);
    assert_eq!(run(Direction::Gt), [0, 0, 0]);
    assert_eq!(run(Direction::Le), [0, 1, 1]);
    assert_eq!(run(Direction::Lt), [0, 1, 0]);
}

#[test]
fn total_order_ranks_zeros_and_nan() {
    let ranked = [-f32::NAN, f32::NEG_INFINITY, -1., -0., 0., 1e-40, 1., f32::INFINITY, f32::NAN];
    let lesser =
        compare(Direction::Lt, CompareType::TotalOrder, F32, bytes(&ranked[..ranked.len() - 1]), bytes(&ranked[1..]));
    assert_eq!(lesser, [1; 8]);
    let equal = compare(Direction::Eq, CompareType::TotalOrder, F32, bytes(&ranked), bytes(&ranked));
    assert_eq!(equal, [1; 9]);
}

#[test]
fn integers_compare_by_their_own_sign() {
    let run = |element, compare_type| compare(Direction::Lt, compare_type, element, vec![255], vec![1]);
    assert_eq!(run(I8, CompareType::Signed), [1]);
    assert_eq!(run(U8, CompareType::Unsigned), [0]);
    assert_eq!(compare(Direction::Lt, CompareType::Unsigned, Bool, vec![0, 1, 1], vec![1, 1, 0]), [1, 0, 0]);
    assert_eq!(
        compare(Direction::Eq, CompareType::Float, C64, bytes(&[1f32, 2., 1., 3.]), bytes(&[1f32, 2., 1., 2.])),
        [1, 0]
    );
}

#[test]
fn clamps_with_scalar_bounds_and_nan() {
    let mut builder = Builder::default();
    let (scalar, vector) = (tensor(F32, &[]), tensor(F32, &[4]));
    let arguments = [scalar.clone(), vector.clone(), scalar].map(|ty| builder.argument(ty));
    let results = builder.op(OpKind::Clamp, &arguments, vec![vector], vec![]);
    let outputs = builder.run(&results, &[bytes(&[0f32]), bytes(&[-1f32, 0.5, 7., f32::NAN]), bytes(&[1f32])]).unwrap();
    let outputs = f32s(&outputs[0]);
    assert_eq!(outputs[..3], [0., 0.5, 1.]);
    assert!(outputs[3].is_nan());
}

#[test]
fn selects_with_a_scalar_predicate() {
    let mut builder = Builder::default();
    let vector = tensor(F32, &[2]);
    let arguments = [tensor(Bool, &[]), vector.clone(), vector.clone()].map(|ty| builder.argument(ty));
    let results = builder.op(OpKind::Select, &arguments, vec![vector], vec![]);
    let outputs = builder.run(&results, &[vec![1], bytes(&[1f32, 2.]), bytes(&[3f32, 4.])]).unwrap();
    assert_eq!(f32s(&outputs[0]), [1., 2.]);
}
