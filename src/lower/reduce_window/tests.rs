//! Windows over seven numbers, and the gradient of max pooling.
#![forbid(unsafe_code)]

use super::super::testing::{Builder, Number, bytes, f32s, i32s, tensor};
use crate::program::{
    Binary, Block, CompareType, Direction, ElementType, OpKind, ReduceWindow, SelectAndScatter, ValueId,
};
use half::bf16;

struct Window {
    size: i64,
    stride: i64,
    base: i64,
    dilation: i64,
    padding: (i64, i64),
}

const WINDOW: Window = Window { size: 3, stride: 1, base: 1, dilation: 1, padding: (0, 0) };

fn run<T: Number>(
    element: ElementType,
    data: &[T],
    init: T,
    window: &Window,
    body: impl FnOnce(&mut Builder) -> Block,
) -> Vec<u8> {
    let mut builder = Builder::default();
    let operand = builder.argument(tensor(element, &[data.len() as i64]));
    let init_value = builder.argument(tensor(element, &[]));
    let body = body(&mut builder);
    let padded = (data.len() as i64 - 1) * window.base + 1 + window.padding.0 + window.padding.1;
    let count = (padded - (window.size - 1) * window.dilation - 1) / window.stride + 1;
    let attributes = ReduceWindow {
        window_dimensions: vec![window.size],
        window_strides: vec![window.stride],
        base_dilations: vec![window.base],
        window_dilations: vec![window.dilation],
        padding: vec![window.padding],
    };
    let results = builder.op(
        OpKind::ReduceWindow(attributes),
        &[operand, init_value],
        vec![tensor(element, &[count])],
        vec![body],
    );
    builder.run(&results, &[bytes(data), bytes(&[init])]).unwrap().remove(0)
}

fn binary<T: Number>(kind: Binary, element: ElementType, data: &[T], init: T, window: &Window) -> Vec<u8> {
    run(element, data, init, window, |builder| builder.reducer(OpKind::Binary(kind), element))
}

const DATA: [i32; 7] = [1, 2, 3, 4, 5, 6, 7];

#[test]
fn strides_dilations_and_padding() {
    let sum = |init: i32, window: &Window| i32s(&binary(Binary::Add, ElementType::I32, &DATA, init, window));
    assert_eq!(sum(0, &WINDOW), [6, 9, 12, 15, 18]);
    assert_eq!(sum(0, &Window { stride: 2, ..WINDOW }), [6, 12, 18]);
    assert_eq!(sum(0, &Window { dilation: 2, ..WINDOW }), [9, 12, 15]);
    assert_eq!(sum(0, &Window { base: 2, ..WINDOW }), [3, 2, 5, 3, 7, 4, 9, 5, 11, 6, 13]);
    assert_eq!(sum(0, &Window { padding: (1, -2), ..WINDOW }), [3, 6, 9, 12]);
    // Padding counts nothing, the init value once.
    assert_eq!(sum(100, &Window { padding: (1, 1), ..WINDOW }), [103, 106, 109, 112, 115, 118, 113]);
    // Wide windows.
    assert_eq!(sum(0, &Window { size: 6, ..WINDOW }), [21, 27]);
    assert_eq!(sum(0, &Window { size: 7, ..WINDOW }), [28]);
    assert_eq!(sum(0, &Window { size: 5, stride: 2, padding: (2, 2), ..WINDOW }), [6, 15, 25, 18]);
}

#[test]
fn extrema_of_windows_keep_nan() {
    let data = [1f32, 5., f32::NAN, 2., 3., 9., 4.];
    let result =
        f32s(&binary(Binary::Maximum, ElementType::F32, &data, f32::NEG_INFINITY, &Window { size: 2, ..WINDOW }));
    assert_eq!((result[0], result[3], result[5]), (5., 3., 9.));
    assert!(result[1].is_nan() && result[2].is_nan());
}

#[test]
fn prefixes_are_scans() {
    let forward = Window { size: 7, padding: (6, 0), ..WINDOW };
    let backward = Window { size: 7, padding: (0, 6), ..WINDOW };
    let scan = |kind, init: i32, window| i32s(&binary(kind, ElementType::I32, &DATA, init, window));
    assert_eq!(scan(Binary::Add, 0, &forward), [1, 3, 6, 10, 15, 21, 28]);
    assert_eq!(scan(Binary::Add, 0, &backward), [28, 27, 25, 22, 18, 13, 7]);
    assert_eq!(scan(Binary::Multiply, 2, &forward), [2, 4, 12, 48, 240, 1440, 10080]);
    assert_eq!(scan(Binary::Minimum, i32::MAX, &backward), DATA);
    assert_eq!(scan(Binary::Xor, 0, &forward), [1, 3, 0, 4, 1, 7, 0]);
    let bytes = binary(Binary::Add, ElementType::I8, &[100i8; 7], 0, &forward);
    assert_eq!(bytes, (1..=7).map(|count| (count * 100) as u8).collect::<Vec<u8>>());
    let flags = [false, false, true, false, true, false, true];
    assert_eq!(binary(Binary::Or, ElementType::Bool, &flags, false, &forward), [0, 0, 1, 1, 1, 1, 1]);
    assert_eq!(binary(Binary::Xor, ElementType::Bool, &flags, true, &forward), [1, 1, 0, 0, 1, 1, 0]);
}

#[test]
fn short_floats_are_summed_in_f32() {
    let ones = vec![bf16::ONE; 1000];
    let window = Window { size: 1000, padding: (999, 0), ..WINDOW };
    let scanned = binary(Binary::Add, ElementType::BF16, &ones, bf16::ZERO, &window);
    assert_eq!(scanned[1998..], bytes(&[bf16::from_f32(1000.)]));
    let window = Window { size: 1000, ..WINDOW };
    assert_eq!(binary(Binary::Add, ElementType::BF16, &ones, bf16::ZERO, &window), bytes(&[bf16::from_f32(1000.)]));
}

#[test]
fn scans_of_short_floats_keep_nan() {
    let data = [1f32, f32::NAN, 3.].map(bf16::from_f32);
    let window = Window { size: 3, padding: (2, 0), ..WINDOW };
    let result = binary(Binary::Maximum, ElementType::BF16, &data, bf16::NEG_INFINITY, &window);
    let result: Vec<bf16> = result.chunks_exact(2).map(|bytes| bf16::from_le_bytes([bytes[0], bytes[1]])).collect();
    assert!(result[0] == bf16::ONE && result[1].is_nan() && result[2].is_nan(), "{result:?}");
}

/// `2 a + b`, for which the order of the elements matters.
fn ordered(builder: &mut Builder) -> Block {
    let scalar = tensor(ElementType::I32, &[]);
    builder.block(vec![scalar.clone(), scalar.clone()], |builder, arguments| {
        let add = OpKind::Binary(Binary::Add);
        let twice = builder.make(add.clone(), &[arguments[0]; 2], vec![scalar.clone()], vec![]);
        let sum = builder.make(add, &[twice.results[0], arguments[1]], vec![scalar.clone()], vec![]);
        let results = sum.results.clone();
        (vec![twice, sum], results)
    })
}

#[test]
fn other_bodies_fold_in_order_and_skip_padding() {
    let window = Window { padding: (2, 0), ..WINDOW };
    let result = i32s(&run(ElementType::I32, &[1, 2, 3, 4], -1, &window, ordered));
    assert_eq!(result, [-1, 0, 3, 10]);
}

/// A block of one comparison.
fn compare(builder: &mut Builder, direction: Direction) -> Block {
    let scalar = tensor(ElementType::F32, &[]);
    builder.block(vec![scalar.clone(), scalar], |builder, arguments: &[ValueId]| {
        let kind = OpKind::Compare { direction, compare_type: CompareType::Float };
        let op = builder.make(kind, arguments, vec![tensor(ElementType::Bool, &[])], vec![]);
        let results = op.results.clone();
        (vec![op], results)
    })
}

fn pool_gradient(data: &[f32], source: &[f32], window: i64, stride: i64, padding: (i64, i64)) -> Vec<f32> {
    let element = ElementType::F32;
    let mut builder = Builder::default();
    let operand = builder.argument(tensor(element, &[data.len() as i64]));
    let values = builder.argument(tensor(element, &[source.len() as i64]));
    let init = builder.argument(tensor(element, &[]));
    let select = compare(&mut builder, Direction::Ge);
    let scatter = builder.reducer(OpKind::Binary(Binary::Add), element);
    let attributes =
        SelectAndScatter { window_dimensions: vec![window], window_strides: vec![stride], padding: vec![padding] };
    let results = builder.op(
        OpKind::SelectAndScatter(attributes),
        &[operand, values, init],
        vec![tensor(element, &[data.len() as i64])],
        vec![select, scatter],
    );
    f32s(&builder.run(&results, &[bytes(data), bytes(source), bytes(&[0f32])]).unwrap()[0])
}

#[test]
fn gradient_goes_to_the_first_of_the_greatest() {
    let data = [3., 3., 1., 2., -5., -4.];
    assert_eq!(pool_gradient(&data, &[10., 20., 30.], 2, 2, (0, 0)), [10., 0., 0., 20., 0., 30.]);
    assert_eq!(pool_gradient(&data, &[1., 2., 3., 4., 5.], 2, 1, (0, 0)), [1., 2., 0., 7., 0., 5.]);
    // Padding is never selected, not even before negative numbers.
    assert_eq!(pool_gradient(&data, &[1., 2., 4., 8.], 2, 2, (1, 1)), [1., 2., 0., 4., 0., 8.]);
}
