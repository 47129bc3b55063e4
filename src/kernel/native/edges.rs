//! Edge values of the types through native code and through MLX, bit for bit where IEEE 754 or two's complement says what
//! comes out.

use std::sync::atomic::AtomicBool;

use super::Code;
use crate::kernel::build;
use crate::lower::testing::{Builder, Number, bytes, f32s, tensor};
use crate::program::ElementType::{self, *};
use crate::program::{Binary, CompareType, Direction, OpKind, Type, Unary, ValueId};

/// Edge values of a type, as many for each type, as bytes.
fn edges(element: ElementType, shift: usize) -> Vec<u8> {
    const COUNT: usize = 13;
    fn turned<T: Number>(values: [T; COUNT], shift: usize) -> Vec<u8> {
        bytes(&(0..COUNT).map(|index| values[(index * (shift + 1)) % COUNT]).collect::<Vec<_>>())
    }
    match element {
        F32 => turned(
            [
                0.0,
                -0.0,
                1.0,
                -1.5,
                2.5,
                3.5,
                f32::NAN,
                f32::INFINITY,
                f32::NEG_INFINITY,
                3e9,
                -3e9,
                1e-40,
                16777217.0f32,
            ],
            shift,
        ),
        I32 => turned([0, 1, -1, 5, -7, i32::MIN, i32::MAX, 31, 32, 33, 1 << 24, (1 << 24) + 1, -100], shift),
        U32 => turned([0, 1, u32::MAX, 5, 7, 1 << 31, (1 << 31) - 1, 31, 32, 33, 1 << 24, (1 << 24) + 1, 100], shift),
        _ => (0..COUNT).map(|index| u8::from((index * 7 + shift).is_multiple_of(3))).collect(),
    }
}

/// The bytes of the only result, natively and through MLX; None when MLX refuses.
fn both(kind: OpKind, operands: &[(Type, Vec<u8>)], result: Type) -> Option<(Vec<u8>, Vec<u8>)> {
    let mut builder = Builder::default();
    let values: Vec<ValueId> = operands.iter().map(|(ty, _)| builder.argument(ty.clone())).collect();
    let results = builder.op(kind, &values, vec![result], Vec::new());
    builder.function.body.results = results.clone();
    let built = build::program(&builder.function, &|_| None);
    let inputs: Vec<Vec<u8>> = operands.iter().map(|(_, bytes)| bytes.clone()).collect();
    let device = builder.run(&results, &inputs).ok()?.remove(0);
    let code = Code::new(built.expect("a kernel").kernel).expect("native code");
    let mut written = vec![0xa5; device.len()];
    let inputs: Vec<&[u8]> = inputs.iter().map(Vec::as_slice).collect();
    code.run(&inputs, &mut [&mut written], &AtomicBool::new(false)).expect("nothing to stop");
    Some((written, device))
}

/// Bytes with all NaN made one: their sign and payload are nobody's promise.
fn canonical(bytes: &[u8], element: ElementType) -> Vec<u8> {
    if element != F32 {
        return bytes.to_vec();
    }
    let one = |value: f32| if value.is_nan() { f32::NAN } else { value };
    f32s(bytes).into_iter().flat_map(|value| one(value).to_le_bytes()).collect()
}

fn agree(kind: OpKind, elements: &[ElementType], result: ElementType) -> bool {
    let mut computed = false;
    for shift in 0..6 {
        let operands: Vec<(Type, Vec<u8>)> = elements
            .iter()
            .enumerate()
            .map(|(index, &element)| (tensor(element, &[13]), edges(element, if index == 0 { 0 } else { shift })))
            .collect();
        let Some((native, device)) = both(kind.clone(), &operands, tensor(result, &[13])) else { return false };
        assert_eq!(canonical(&native, result), canonical(&device, result), "{kind:?} of {operands:?}");
        computed = true;
    }
    computed
}

#[test]
fn unary_ops_agree_with_the_device() {
    use Unary::*;
    let kinds = [Negate, Abs, Not, Sqrt, Floor, Ceil, RoundNearestEven];
    let count = kinds
        .iter()
        .flat_map(|&kind| [F32, I32, U32, Bool].map(|element| (kind, element)))
        .filter(|&(kind, element)| agree(OpKind::Unary(kind), &[element], element))
        .count();
    assert_eq!(count, 15);
}

/// Neither is the truth: `kernel::tests::functions` says how near native code is.
#[test]
fn sines_are_near_the_device_s() {
    let x = (tensor(F32, &[13]), edges(F32, 0));
    let (native, device) = both(OpKind::Unary(Unary::Sine), &[x], tensor(F32, &[13])).expect("mlx takes it");
    for (native, device) in f32s(&canonical(&native, F32)).into_iter().zip(f32s(&canonical(&device, F32))) {
        let apart = (native.to_bits() as i32).abs_diff(device.to_bits() as i32);
        assert!(apart <= 2, "{native:e} and {device:e}");
    }
}

#[test]
fn binary_ops_agree_with_the_device() {
    use Binary::*;
    let kinds = [
        Add,
        Subtract,
        Multiply,
        Divide,
        Maximum,
        Minimum,
        And,
        Or,
        Xor,
        ShiftLeft,
        ShiftRightLogical,
        ShiftRightArithmetic,
        Power,
    ];
    let count = kinds
        .iter()
        .flat_map(|&kind| [F32, I32, U32, Bool].map(|element| (kind, element)))
        .filter(|&(kind, element)| agree(OpKind::Binary(kind), &[element, element], element))
        .count();
    assert_eq!(count, 41);
}

#[test]
fn comparisons_agree_with_the_device() {
    use Direction::*;
    for direction in [Eq, Ne, Ge, Gt, Le, Lt] {
        for (element, compare_type) in [
            (F32, CompareType::Float),
            (I32, CompareType::Signed),
            (U32, CompareType::Unsigned),
            (Bool, CompareType::Unsigned),
        ] {
            assert!(agree(OpKind::Compare { direction, compare_type }, &[element, element], Bool));
        }
        let total = OpKind::Compare { direction, compare_type: CompareType::TotalOrder };
        assert!(agree(total, &[F32, F32], Bool));
    }
}

#[test]
fn conversions_and_select_agree_with_the_device() {
    for from in [F32, I32, U32, Bool] {
        for to in [F32, I32, U32, Bool] {
            assert!(agree(OpKind::Convert, &[from], to), "{from} to {to}");
        }
        assert!(agree(OpKind::Select, &[Bool, from, from], from));
    }
    assert!(agree(OpKind::BitcastConvert, &[F32], U32));
    assert!(agree(OpKind::BitcastConvert, &[I32], F32));
}

#[test]
fn shapes_agree_with_the_device() {
    let matrix = (tensor(I32, &[2, 3]), bytes(&[1i32, 2, 3, 4, 5, 6]));
    let column = (tensor(I32, &[2, 1]), bytes(&[1i32, 2]));
    let cases = [
        (OpKind::Reshape, &matrix, tensor(I32, &[3, 2])),
        (OpKind::BroadcastInDim { broadcast_dimensions: vec![1, 2] }, &column, tensor(I32, &[2, 2, 3])),
        (OpKind::BroadcastInDim { broadcast_dimensions: vec![2, 0] }, &matrix, tensor(I32, &[3, 1, 2])),
        (
            OpKind::Slice { start_indices: vec![0, 0], limit_indices: vec![2, 3], strides: vec![1, 2] },
            &matrix,
            tensor(I32, &[2, 2]),
        ),
        (
            OpKind::Slice { start_indices: vec![1, 1], limit_indices: vec![1, 3], strides: vec![1, 1] },
            &matrix,
            tensor(I32, &[0, 2]),
        ),
    ];
    for (kind, operand, result) in cases {
        let (native, device) = both(kind.clone(), std::slice::from_ref(operand), result).expect("mlx takes it");
        assert_eq!(native, device, "{kind:?}");
    }
}

#[test]
fn scalar_predicate_selects_whole_operands() {
    let values = |offset: i32| (tensor(I32, &[4]), bytes(&[offset, offset + 1, offset + 2, offset + 3]));
    for predicate in [0u8, 1] {
        let operands = [(tensor(Bool, &[]), vec![predicate]), values(0), values(10)];
        let (native, device) = both(OpKind::Select, &operands, tensor(I32, &[4])).expect("mlx takes it");
        assert_eq!(native, device);
    }
}
