//! Sorts by comparators of each kind.
#![forbid(unsafe_code)]

use super::super::testing::{Builder, bytes, f32s, i32s, tensor};
use crate::program::{Binary, Block, CompareType, Direction, ElementType, Literal, Op, OpKind, TensorType, ValueId};

const FLAG: ElementType = ElementType::Bool;

/// A block's ops as they are added.
struct Body<'a> {
    builder: &'a mut Builder,
    ops: Vec<Op>,
}

impl Body<'_> {
    fn op(&mut self, kind: OpKind, operands: &[ValueId], element: ElementType) -> ValueId {
        let op = self.builder.make(kind, operands, vec![tensor(element, &[])], vec![]);
        let result = op.results[0];
        self.ops.push(op);
        result
    }

    fn compare(&mut self, direction: Direction, compare_type: CompareType, a: ValueId, b: ValueId) -> ValueId {
        self.op(OpKind::Compare { direction, compare_type }, &[a, b], FLAG)
    }
}

/// Sorts an operand with a payload that counts, by a comparator of the operand's two elements.
fn sort(
    element: ElementType,
    values: Vec<u8>,
    comparator: impl FnOnce(&mut Body<'_>, ValueId, ValueId) -> ValueId,
) -> (Vec<u8>, Vec<i32>) {
    let mut builder = Builder::default();
    let size = (values.len() / element.bytes()) as i64;
    let operand = builder.argument(tensor(element, &[size]));
    let payload = builder.argument(tensor(ElementType::I32, &[size]));
    let types = [element, element, ElementType::I32, ElementType::I32].map(|element| tensor(element, &[])).to_vec();
    let block: Block = builder.block(types, |builder, arguments| {
        let mut body = Body { builder, ops: Vec::new() };
        let result = comparator(&mut body, arguments[0], arguments[1]);
        (body.ops, vec![result])
    });
    let types = vec![tensor(element, &[size]), tensor(ElementType::I32, &[size])];
    let results = builder.op(OpKind::Sort { dimension: 0, is_stable: true }, &[operand, payload], types, vec![block]);
    let counted: Vec<i32> = (0..size as i32).collect();
    let mut outputs = builder.run(&results, &[values, bytes(&counted)]).unwrap();
    let payload = i32s(&outputs.remove(1));
    (outputs.remove(0), payload)
}

#[test]
fn equal_keys_keep_their_order_both_ways() {
    let values = bytes(&[3, 1, 3, 2, 1]);
    let ascending =
        sort(ElementType::I32, values.clone(), |body, a, b| body.compare(Direction::Lt, CompareType::Signed, a, b));
    assert_eq!((i32s(&ascending.0), ascending.1), (vec![1, 1, 2, 3, 3], vec![1, 4, 3, 0, 2]));
    let descending =
        sort(ElementType::I32, values, |body, a, b| body.compare(Direction::Gt, CompareType::Signed, a, b));
    assert_eq!((i32s(&descending.0), descending.1), (vec![3, 3, 2, 1, 1], vec![0, 2, 3, 1, 4]));
    let unsigned = sort(ElementType::U8, vec![200, 3, 200, 0], |body, a, b| {
        body.compare(Direction::Gt, CompareType::Unsigned, a, b)
    });
    assert_eq!(unsigned, (vec![200, 200, 3, 0], vec![0, 2, 1, 3]));
}

#[test]
fn total_order_tells_zeros_and_nans_apart() {
    let values = [0., f32::NAN, -0., f32::NEG_INFINITY, -f32::NAN, 1.];
    let (sorted, payload) =
        sort(ElementType::F32, bytes(&values), |body, a, b| body.compare(Direction::Lt, CompareType::TotalOrder, a, b));
    assert_eq!(payload, [4, 3, 2, 0, 5, 1]);
    assert!(f32s(&sorted)[0].is_nan());
}

#[test]
fn a_key_may_be_computed() {
    // By remainder of 3, then descending.
    let (sorted, _) = sort(ElementType::I32, bytes(&[1, 2, 3, 4, 5, 6, 7]), |body, a, b| {
        let literal = Literal { ty: TensorType::new(ElementType::I32, []), data: bytes(&[3]), splat: true };
        let three = body.op(OpKind::Constant(literal), &[], ElementType::I32);
        let [left, right] =
            [a, b].map(|each| body.op(OpKind::Binary(Binary::Remainder), &[each, three], ElementType::I32));
        let first = body.compare(Direction::Lt, CompareType::Signed, left, right);
        let equal = body.compare(Direction::Eq, CompareType::Signed, left, right);
        let second = body.compare(Direction::Gt, CompareType::Signed, a, b);
        let tie = body.op(OpKind::Binary(Binary::And), &[equal, second], FLAG);
        body.op(OpKind::Binary(Binary::Or), &[first, tie], FLAG)
    });
    assert_eq!(i32s(&sorted), [6, 3, 7, 4, 1, 5, 2]);
}

#[test]
fn any_other_comparator_goes_through_the_network() {
    // a - b < 0 compares no keys.
    for size in [2, 3, 5, 8, 21] {
        let values: Vec<i32> = (0..size).map(|value| (value * 7) % 5).collect();
        let (sorted, payload) = sort(ElementType::I32, bytes(&values), |body, a, b| {
            let difference = body.op(OpKind::Binary(Binary::Subtract), &[a, b], ElementType::I32);
            let literal = Literal { ty: TensorType::new(ElementType::I32, []), data: bytes(&[0]), splat: true };
            let zero = body.op(OpKind::Constant(literal), &[], ElementType::I32);
            body.compare(Direction::Lt, CompareType::Signed, difference, zero)
        });
        let mut expected: Vec<i32> = (0..size).collect();
        expected.sort_by_key(|&index| values[index as usize]);
        assert_eq!(payload, expected);
        assert_eq!(i32s(&sorted), expected.iter().map(|&index| values[index as usize]).collect::<Vec<_>>());
    }
}
