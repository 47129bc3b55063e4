//! Ops that are more than an element from an element, as native code and through MLX.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use super::tests::{literal, near, numbers, same};
use super::{Code, Halt};
use crate::kernel::build::{self, Callee};
use crate::lower::testing::{Builder, bytes, custom_call, tensor};
use crate::program::ElementType::{self, *};
use crate::program::{
    Binary, Block, CompareType, Direction, Op, OpKind, ReduceWindow, RngAlgorithm, Scatter, SelectAndScatter, Type,
    ValueId,
};

fn zero(builder: &mut Builder) -> ValueId {
    builder.op(literal(F32, &[], bytes(&[0f32])), &[], vec![tensor(F32, &[])], vec![])[0]
}

/// `-(a · b) + a`: no function that MLX has of its own.
fn odd_body(builder: &mut Builder) -> Block {
    let scalar = tensor(F32, &[]);
    builder.block(vec![scalar.clone(), scalar.clone()], |builder, arguments| {
        let product = builder.make(OpKind::Binary(Binary::Multiply), arguments, vec![scalar.clone()], vec![]);
        let operands = [arguments[0], product.results[0]];
        let difference = builder.make(OpKind::Binary(Binary::Subtract), &operands, vec![scalar], vec![]);
        let results = difference.results.clone();
        (vec![product, difference], results)
    })
}

#[test]
fn scatters_drop_what_lies_outside_and_keep_the_order() {
    for odd in [false, true] {
        let mut builder = Builder::default();
        let x = builder.argument(tensor(F32, &[5, 3]));
        let indices = builder.argument(tensor(I32, &[4, 1]));
        let updates = builder.argument(tensor(F32, &[2, 4]));
        let kind = OpKind::Scatter(Scatter {
            update_window_dims: vec![0],
            inserted_window_dims: vec![0],
            input_batching_dims: vec![],
            scatter_indices_batching_dims: vec![],
            scatter_dims_to_operand_dims: vec![0],
            index_vector_dim: 1,
            indices_are_sorted: false,
            unique_indices: false,
        });
        let body = if odd { odd_body(&mut builder) } else { builder.reducer(OpKind::Binary(Binary::Add), F32) };
        let results = builder.op(kind, &[x, indices, updates], vec![tensor(F32, &[5, 3])], vec![body]);
        same(builder, &results, &[numbers(15), bytes(&[1i32, 5, 1, -1]), numbers(8)]);
    }
}

fn window(window: &[i64], strides: &[i64], padding: &[(i64, i64)]) -> ReduceWindow {
    let ones = vec![1; window.len()];
    ReduceWindow {
        window_dimensions: window.to_vec(),
        window_strides: strides.to_vec(),
        base_dilations: ones.clone(),
        window_dilations: ones,
        padding: padding.to_vec(),
    }
}

#[test]
fn windows_and_scans() {
    let mut builder = Builder::default();
    let x = builder.argument(tensor(F32, &[4, 6]));
    let zero = zero(&mut builder);
    let mut results = Vec::new();
    for (attributes, shape) in [
        (window(&[2, 3], &[1, 2], &[(1, 0), (0, 1)]), [4, 3]),
        (window(&[1, 6], &[1, 1], &[(0, 0), (5, 0)]), [4, 6]),
        (window(&[1, 6], &[1, 1], &[(0, 0), (0, 5)]), [4, 6]),
        (window(&[4, 1], &[1, 1], &[(3, 0), (0, 0)]), [4, 6]),
    ] {
        for binary in [Binary::Add, Binary::Maximum, Binary::Multiply] {
            let body = builder.reducer(OpKind::Binary(binary), F32);
            let kind = OpKind::ReduceWindow(attributes.clone());
            results.push(builder.op(kind, &[x, zero], vec![tensor(F32, &shape)], vec![body])[0]);
        }
    }
    near(builder, &results, &[numbers(24)]);
}

#[test]
fn long_sums_keep_their_digits() {
    const COUNT: i64 = 1 << 20;
    let mut builder = Builder::default();
    let x = builder.argument(tensor(F32, &[COUNT]));
    let zero = zero(&mut builder);
    let body = builder.reducer(OpKind::Binary(Binary::Add), F32);
    let kind = OpKind::ReduceWindow(window(&[COUNT], &[1], &[(COUNT - 1, 0)]));
    let scanned = builder.op(kind, &[x, zero], vec![tensor(F32, &[COUNT])], vec![body])[0];
    let last = OpKind::Slice { start_indices: vec![COUNT - 1], limit_indices: vec![COUNT], strides: vec![1] };
    builder.function.body.results = builder.op(last, &[scanned], vec![tensor(F32, &[1])], vec![]);
    let code = Code::new(build::program(&builder.function, &|_| None).unwrap().kernel).unwrap();
    let mut sum = [0; 4];
    let ones = bytes(&vec![0.1f32; COUNT as usize]);
    code.run(&[&ones], &mut [&mut sum], &AtomicBool::new(false)).unwrap();
    assert_eq!(f32::from_le_bytes(sum), (f64::from(0.1f32) * COUNT as f64) as f32);
}

/// `a < b` of the first operand.
fn comparator(builder: &mut Builder, elements: &[ElementType], compare_type: CompareType) -> Block {
    let arguments: Vec<Type> =
        elements.iter().flat_map(|&element| [tensor(element, &[]), tensor(element, &[])]).collect();
    builder.block(arguments, |builder, arguments| {
        let kind = OpKind::Compare { direction: Direction::Lt, compare_type };
        let less = builder.make(kind, &arguments[..2], vec![tensor(Bool, &[])], vec![]);
        let results = less.results.clone();
        (vec![less], results)
    })
}

#[test]
fn sorts_are_stable_along_any_dimension() {
    // Few are inserted, many merged.
    for (size, lanes) in [(1, 3), (2, 1), (7, 2), (33, 1), (100, 3), (257, 1)] {
        for dimension in [0, 1] {
            let mut builder = Builder::default();
            let shape = if dimension == 0 { [size, lanes] } else { [lanes, size] };
            let keys = builder.argument(tensor(I32, &shape));
            let order =
                builder.op(OpKind::Iota { iota_dimension: dimension }, &[], vec![tensor(I32, &shape)], vec![])[0];
            let body = comparator(&mut builder, &[I32, I32], CompareType::Signed);
            let types = vec![tensor(I32, &shape), tensor(I32, &shape)];
            let kind = OpKind::Sort { dimension, is_stable: true };
            let results = builder.op(kind, &[keys, order], types, vec![body]);
            let data: Vec<i32> = (0..(size * lanes) as i32).map(|index| index * 7919 % 13).collect();
            same(builder, &results, &[bytes(&data)]);
        }
    }
}

#[test]
fn extremes_are_in_total_order() {
    for kept in [1, 3, 60, 100] {
        let mut builder = Builder::default();
        let x = builder.argument(tensor(F32, &[2, 100]));
        let types = vec![tensor(F32, &[2, kept]), tensor(I32, &[2, kept])];
        let results = builder.op(custom_call("mhlo.topk"), &[x], types, vec![]);
        let mut data: Vec<f32> = (0..200).map(|index| ((index * 37 % 50) as f32 - 20.0) / 4.0).collect();
        data[3] = f32::NAN;
        (data[7], data[8], data[110]) = (-0.0, f32::NEG_INFINITY, f32::INFINITY);
        same(builder, &results, &[bytes(&data)]);
    }
}

#[test]
fn random_bits_are_those_of_xla() {
    for algorithm in [RngAlgorithm::ThreeFry, RngAlgorithm::Philox] {
        for (element, shape) in [(U32, vec![]), (U32, vec![5]), (U32, vec![3, 5]), (U8, vec![3, 2]), (U64, vec![3])] {
            let mut builder = Builder::default();
            let state = builder.argument(tensor(U64, &[2]));
            let types = vec![tensor(U64, &[2]), tensor(element, &shape)];
            let results = builder.op(OpKind::RngBitGenerator { rng_algorithm: algorithm }, &[state], types, vec![]);
            same(builder, &results, &[bytes(&[0x0123_4567_89ab_cdefu64, u64::MAX - 1])]);
        }
    }
}

#[test]
fn windows_select_what_is_combined() {
    let mut builder = Builder::default();
    let (x, source) = (builder.argument(tensor(F32, &[5])), builder.argument(tensor(F32, &[3])));
    let zero = zero(&mut builder);
    let scalar = tensor(F32, &[]);
    let select = builder.block(vec![scalar.clone(), scalar], |builder, arguments| {
        let kind = OpKind::Compare { direction: Direction::Ge, compare_type: CompareType::Float };
        let not_less = builder.make(kind, arguments, vec![tensor(Bool, &[])], vec![]);
        let results = not_less.results.clone();
        (vec![not_less], results)
    });
    let scatter = builder.reducer(OpKind::Binary(Binary::Add), F32);
    let kind = OpKind::SelectAndScatter(SelectAndScatter {
        window_dimensions: vec![3],
        window_strides: vec![2],
        padding: vec![(1, 1)],
    });
    let results = builder.op(kind, &[x, source, zero], vec![tensor(F32, &[5])], vec![select, scatter]);
    same(builder, &results, &[bytes(&[1f32, 2., 2., 0., 3.]), bytes(&[10f32, 20., 30.])]);
}

#[test]
fn elements_are_cut_and_joined() {
    let mut builder = Builder::default();
    let x = builder.argument(tensor(F32, &[3]));
    let parts = builder.op(OpKind::BitcastConvert, &[x], vec![tensor(I8, &[3, 4])], vec![])[0];
    let halves = builder.op(OpKind::BitcastConvert, &[x], vec![tensor(BF16, &[3, 2])], vec![])[0];
    let joined = builder.op(OpKind::BitcastConvert, &[parts], vec![tensor(F32, &[3])], vec![])[0];
    same(builder, &[parts, halves, joined], &[numbers(3)]);
}

fn called(outcome: Result<(), String>) -> Result<Vec<u8>, Halt> {
    let mut builder = Builder::default();
    let x = builder.argument(tensor(F32, &[4]));
    let kind = OpKind::Fft { fft_type: crate::program::FftType::Rfft, fft_length: vec![4] };
    builder.function.body.results = builder.op(kind, &[x], vec![tensor(C64, &[3])], vec![]);
    let callee = |op: &Op| {
        let outcome = outcome.clone();
        assert_eq!(op.kind.name(), "fft");
        Some(Callee {
            function: Arc::new(move |inputs, outputs| {
                outputs[0][..16].copy_from_slice(inputs[0]);
                outcome.clone()
            }),
            steps: 1.0,
            waits: true,
        })
    };
    let built = build::program(&builder.function, &callee).unwrap();
    assert!(built.cost.waits);
    let code = Code::new(built.kernel).unwrap();
    let mut written = vec![0xa5; 24];
    code.run(&[&numbers(4)], &mut [&mut written], &AtomicBool::new(false)).map(|()| written)
}

#[test]
fn functions_of_the_host_are_called_and_fail_by_name() {
    assert_eq!(called(Ok(())).unwrap(), [numbers(4), vec![0; 8]].concat());
    let why = called(Err("it is too late".to_owned())).unwrap_err();
    assert_eq!(why, Halt::Failed("it is too late".to_owned()));
}
