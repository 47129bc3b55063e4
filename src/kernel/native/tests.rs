//! Programs as native code, against the same programs through MLX.

use std::sync::atomic::AtomicBool;

use super::Code;
use crate::kernel::build;
use crate::lower::testing::{Builder, bytes, f32s, tensor};
use crate::program::ElementType::{self, *};
use crate::program::{
    Binary, CompareType, Direction, DotGeneral, Gather, Literal, Op, OpKind, TensorType, Type, Unary, ValueId,
};

/// The results natively and through MLX.
fn both(mut builder: Builder, results: &[ValueId], inputs: &[Vec<u8>]) -> (Vec<Vec<u8>>, Vec<Vec<u8>>) {
    let through_mlx = Builder { function: builder.function.clone() }.run(results, inputs).unwrap();
    builder.function.body.results = results.to_vec();
    let built = build::program(&builder.function, &|_| None).unwrap();
    let code = Code::new(built.kernel).unwrap();
    let mut written: Vec<Vec<u8>> = code.outputs().iter().map(|&size| vec![0xa5; size]).collect();
    let inputs: Vec<&[u8]> = inputs.iter().map(Vec::as_slice).collect();
    let mut outputs: Vec<&mut [u8]> = written.iter_mut().map(Vec::as_mut_slice).collect();
    code.run(&inputs, &mut outputs, &AtomicBool::new(false)).unwrap();
    (written, through_mlx)
}

pub(super) fn same(builder: Builder, results: &[ValueId], inputs: &[Vec<u8>]) {
    let (native, mlx) = both(builder, results, inputs);
    assert_eq!(native, mlx);
}

pub(super) fn near(builder: Builder, results: &[ValueId], inputs: &[Vec<u8>]) {
    let (native, mlx) = both(builder, results, inputs);
    for (native, mlx) in native.iter().zip(&mlx) {
        for (a, b) in f32s(native).into_iter().zip(f32s(mlx)) {
            assert!((a - b).abs() <= 1e-5 * b.abs().max(1.0) || (a.is_nan() && b.is_nan()), "{a} {b}");
        }
    }
}

pub(super) fn numbers(count: usize) -> Vec<u8> {
    bytes(&(0..count).map(|index| (index as f32 * 0.37).sin() * 3.0).collect::<Vec<f32>>())
}

pub(super) fn literal(element: ElementType, shape: &[i64], data: Vec<u8>) -> OpKind {
    let splat = data.len() == element.bytes();
    OpKind::Constant(Literal { ty: TensorType::new(element, shape), data, splat })
}

#[test]
fn elements_move_as_through_mlx() {
    let mut builder = Builder::default();
    let x = builder.argument(tensor(F32, &[2, 3, 4]));
    let start = builder.argument(tensor(I32, &[]));
    let pad = builder.argument(tensor(F32, &[]));
    let ty = |shape: &[i64]| vec![tensor(F32, shape)];
    let mut results = vec![
        builder.op(OpKind::Transpose { permutation: vec![2, 0, 1] }, &[x], ty(&[4, 2, 3]), vec![])[0],
        builder.op(OpKind::Reshape, &[x], ty(&[6, 4]), vec![])[0],
        builder.op(OpKind::Reverse { dimensions: vec![0, 2] }, &[x], ty(&[2, 3, 4]), vec![])[0],
        builder.op(OpKind::BroadcastInDim { broadcast_dimensions: vec![0, 2, 3] }, &[x], ty(&[2, 5, 3, 4]), vec![])[0],
    ];
    let kind = OpKind::Slice { start_indices: vec![0, 1, 0], limit_indices: vec![2, 3, 4], strides: vec![1, 1, 3] };
    let cut = builder.op(kind, &[x], ty(&[2, 2, 2]), vec![])[0];
    // A reshape of what is not in memory.
    results.push(builder.op(OpKind::Reshape, &[cut], ty(&[8]), vec![])[0]);
    let kind = OpKind::Pad {
        edge_padding_low: vec![1, -1, 2],
        edge_padding_high: vec![0, 2, -1],
        interior_padding: vec![1, 0, 2],
    };
    results.push(builder.op(kind, &[x, pad], ty(&[4, 4, 11]), vec![])[0]);
    results.push(builder.op(OpKind::Concatenate { dimension: 1 }, &[x, x, x], ty(&[2, 9, 4]), vec![])[0]);
    let zero = builder.op(literal(I32, &[], bytes(&[0i32])), &[], vec![tensor(I32, &[])], vec![])[0];
    let kind = OpKind::DynamicSlice { slice_sizes: vec![1, 2, 2] };
    let part = builder.op(kind, &[x, zero, start, start], ty(&[1, 2, 2]), vec![])[0];
    results.push(part);
    results.push(builder.op(OpKind::DynamicUpdateSlice, &[x, part, start, zero, start], ty(&[2, 3, 4]), vec![])[0]);
    for start in [0, 1, 2, -5, 100] {
        let mut again = Builder { function: builder.function.clone() };
        again.function.body.results.clear();
        same(again, &results, &[numbers(24), bytes(&[start]), bytes(&[7f32])]);
    }
}

#[test]
fn gathers_clamp() {
    let mut builder = Builder::default();
    let x = builder.argument(tensor(F32, &[4, 5]));
    let indices = builder.argument(tensor(I32, &[3, 2]));
    let kind = OpKind::Gather(Gather {
        offset_dims: vec![1],
        collapsed_slice_dims: vec![0],
        operand_batching_dims: vec![],
        start_indices_batching_dims: vec![],
        start_index_map: vec![0, 1],
        index_vector_dim: 1,
        slice_sizes: vec![1, 2],
        indices_are_sorted: false,
    });
    let results = builder.op(kind, &[x, indices], vec![tensor(F32, &[3, 2])], vec![]);
    same(builder, &results, &[numbers(20), bytes(&[0i32, 1, 3, 4, -7, 99])]);
}

#[test]
fn reductions_and_products() {
    let mut builder = Builder::default();
    let x = builder.argument(tensor(F32, &[6, 7]));
    let y = builder.argument(tensor(F32, &[7, 3]));
    let zero = builder.op(literal(F32, &[], bytes(&[0f32])), &[], vec![tensor(F32, &[])], vec![])[0];
    let low = builder.op(literal(F32, &[], bytes(&[f32::NEG_INFINITY])), &[], vec![tensor(F32, &[])], vec![])[0];
    let square = builder.op(OpKind::Binary(Binary::Multiply), &[x, x], vec![tensor(F32, &[6, 7])], vec![])[0];
    let mut results = Vec::new();
    for (dimensions, shape) in [(vec![0], vec![7]), (vec![1], vec![6]), (vec![0, 1], vec![])] {
        let ty = vec![tensor(F32, &shape)];
        let kind = OpKind::Reduce { dimensions };
        let add = builder.reducer(OpKind::Binary(Binary::Add), F32);
        let max = builder.reducer(OpKind::Binary(Binary::Maximum), F32);
        results.push(builder.op(kind.clone(), &[square, zero], ty.clone(), vec![add])[0]);
        results.push(builder.op(kind, &[x, low], ty, vec![max])[0]);
    }
    let dot = DotGeneral {
        lhs_batching_dimensions: vec![],
        rhs_batching_dimensions: vec![],
        lhs_contracting_dimensions: vec![1],
        rhs_contracting_dimensions: vec![0],
        precision_config: vec![],
        algorithm: None,
    };
    let product = builder.op(OpKind::DotGeneral(dot), &[x, y], vec![tensor(F32, &[6, 3])], vec![])[0];
    results.push(builder.op(OpKind::Unary(Unary::Tanh), &[product], vec![tensor(F32, &[6, 3])], vec![])[0]);
    near(builder, &results, &[numbers(42), numbers(21)]);
}

/// `while counter < bound`, over a vector and its sum so far.
fn looped(builder: &mut Builder, x: ValueId, bound: ValueId) -> Vec<ValueId> {
    let (int, vector, flag) = (tensor(I32, &[]), tensor(F32, &[5]), tensor(Bool, &[]));
    let zero = builder.op(literal(I32, &[], bytes(&[0i32])), &[], vec![int.clone()], vec![])[0];
    let types = vec![int.clone(), vector.clone(), vector.clone()];
    let condition = builder.block(types.clone(), |builder, arguments| {
        let kind = OpKind::Compare { direction: Direction::Lt, compare_type: CompareType::Signed };
        let less = builder.make(kind, &[arguments[0], bound], vec![flag], vec![]);
        let results = less.results.clone();
        (vec![less], results)
    });
    let body = builder.block(types.clone(), |builder, arguments| {
        let one = builder.make(literal(I32, &[], bytes(&[1i32])), &[], vec![int.clone()], vec![]);
        let next = builder.make(OpKind::Binary(Binary::Add), &[arguments[0], one.results[0]], vec![int], vec![]);
        let make = |builder: &mut Builder, binary, a, b| -> Op {
            builder.make(OpKind::Binary(binary), &[a, b], vec![vector.clone()], vec![])
        };
        let sum = make(builder, Binary::Add, arguments[1], arguments[2]);
        let half = builder.make(literal(F32, &[5], bytes(&[0.5f32])), &[], vec![vector.clone()], vec![]);
        let scaled = make(builder, Binary::Multiply, arguments[1], half.results[0]);
        // The two change places.
        let results = vec![next.results[0], scaled.results[0], sum.results[0]];
        (vec![one, next, sum, half, scaled], results)
    });
    builder.op(OpKind::While, &[zero, x, x], types, vec![condition, body])
}

#[test]
fn loops_end_where_they_should() {
    for bound in [0i32, 1, 7] {
        let mut builder = Builder::default();
        let x = builder.argument(tensor(F32, &[5]));
        let limit = builder.argument(tensor(I32, &[]));
        let results = looped(&mut builder, x, limit);
        same(builder, &results, &[numbers(5), bytes(&[bound])]);
    }
}

#[test]
fn loops_stop_when_they_are_told_to() {
    let mut builder = Builder::default();
    let x = builder.argument(tensor(F32, &[5]));
    let limit = builder.argument(tensor(I32, &[]));
    let results = looped(&mut builder, x, limit);
    builder.function.body.results = results;
    let code = Code::new(build::program(&builder.function, &|_| None).unwrap().kernel).unwrap();
    let mut written: Vec<Vec<u8>> = code.outputs().iter().map(|&size| vec![0; size]).collect();
    let (numbers, bound) = (numbers(5), bytes(&[i32::MAX]));
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            std::thread::sleep(std::time::Duration::from_millis(20));
            stop.store(true, std::sync::atomic::Ordering::Relaxed);
        });
        let mut outputs: Vec<&mut [u8]> = written.iter_mut().map(Vec::as_mut_slice).collect();
        let began = std::time::Instant::now();
        // 2^31 turns take seconds.
        assert_eq!(code.run(&[&numbers, &bound], &mut outputs, &stop), Err(super::Halt::Stopped));
        assert!(began.elapsed() < std::time::Duration::from_secs(2));
    });
}

#[test]
fn branches_take_their_arm() {
    let ty: Type = tensor(F32, &[5]);
    for index in [-1i32, 0, 1, 2, 9] {
        let mut builder = Builder::default();
        let x = builder.argument(ty.clone());
        let choice = builder.argument(tensor(I32, &[]));
        let arms = [Unary::Negate, Unary::Abs, Unary::Floor].map(|unary| {
            let op = builder.make(OpKind::Unary(unary), &[x], vec![ty.clone()], vec![]);
            let results = op.results.clone();
            crate::program::Block { arguments: vec![], ops: vec![op], results }
        });
        let results = builder.op(OpKind::Case, &[choice], vec![ty.clone()], arms.to_vec());
        same(builder, &results, &[numbers(5), bytes(&[index])]);
    }
}

#[test]
fn what_kernels_do_not_hold_is_refused_by_name() {
    let mut builder = Builder::default();
    let x = builder.argument(tensor(F32, &[8]));
    let kind = OpKind::Fft { fft_type: crate::program::FftType::Rfft, fft_length: vec![8] };
    builder.function.body.results = builder.op(kind, &[x], vec![tensor(C64, &[5])], vec![]);
    let why = build::program(&builder.function, &|_| None).unwrap_err();
    assert!(why.contains("fft"), "{why}");
}
