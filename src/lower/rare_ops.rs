//! Tests of the ops that the spec has and JAX does not send.
#![forbid(unsafe_code)]

use super::testing::{Builder, bytes, f32s, i32s, tensor};
use crate::program::ElementType::{Bool, F32, I32, I64};
use crate::program::{Block, Gather, Literal, OpKind, TensorType, Type};

#[test]
fn dot_contracts_last_with_first() {
    let mut builder = Builder::default();
    let (matrix, vector) = (builder.argument(tensor(F32, &[2, 3])), builder.argument(tensor(F32, &[3])));
    let results =
        builder.op(OpKind::Dot { precision_config: vec![] }, &[matrix, vector], vec![tensor(F32, &[2])], vec![]);
    let outputs = builder.run(&results, &[bytes(&[1f32, 2., 3., 4., 5., 6.]), bytes(&[1f32, -1., 2.])]).unwrap();
    assert_eq!(f32s(&outputs[0]), [5., 11.]);
}

#[test]
fn broadcast_prepends_dimensions() {
    let mut builder = Builder::default();
    let x = builder.argument(tensor(F32, &[2]));
    let kind = OpKind::Broadcast { broadcast_sizes: vec![3, 1] };
    let results = builder.op(kind, &[x], vec![tensor(F32, &[3, 1, 2])], vec![]);
    let outputs = builder.run(&results, &[bytes(&[1f32, -2.])]).unwrap();
    assert_eq!(f32s(&outputs[0]), [1., -2., 1., -2., 1., -2.]);
}

#[test]
fn dynamic_gather_takes_constant_slice_sizes() {
    let mut builder = Builder::default();
    let (x, starts) = (builder.argument(tensor(F32, &[4, 2])), builder.argument(tensor(I32, &[3, 1])));
    let sizes = Literal { ty: TensorType::new(I64, [2]), data: bytes(&[1i64, 2]), splat: false };
    let sizes = builder.op(OpKind::Constant(sizes), &[], vec![tensor(I64, &[2])], vec![]);
    let fields = Gather {
        offset_dims: vec![1],
        collapsed_slice_dims: vec![0],
        operand_batching_dims: vec![],
        start_indices_batching_dims: vec![],
        start_index_map: vec![0],
        index_vector_dim: 1,
        slice_sizes: vec![],
        indices_are_sorted: false,
    };
    let kind = OpKind::DynamicGather(fields);
    let results = builder.op(kind, &[x, starts, sizes[0]], vec![tensor(F32, &[3, 2])], vec![]);
    let rows: Vec<f32> = (0..8u8).map(f32::from).collect();
    // Starts outside are moved inside.
    let outputs = builder.run(&results, &[bytes(&rows), bytes(&[2i32, 0, 9])]).unwrap();
    assert_eq!(f32s(&outputs[0]), [4., 5., 0., 1., 6., 7.]);
}

#[test]
fn dimension_sizes_are_those_of_the_type() {
    let mut builder = Builder::default();
    let x = builder.argument(tensor(F32, &[4, 0, 2]));
    let kind = OpKind::GetDimensionSize { dimension: 2 };
    let results = builder.op(kind, &[x], vec![tensor(I32, &[])], vec![]);
    assert_eq!(i32s(&builder.run(&results, &[vec![]]).unwrap()[0]), [2]);
}

#[test]
fn one_branch_of_an_if_runs() {
    for (predicate, expected) in [(true, [1f32, -2.]), (false, [2., -4.])] {
        let mut builder = Builder::default();
        let (condition, x) = (builder.argument(tensor(Bool, &[])), builder.argument(tensor(F32, &[2])));
        let add = crate::program::Binary::Add;
        let sum = builder.make(OpKind::Binary(add), &[x, x], vec![tensor(F32, &[2])], vec![]);
        let same = Block { arguments: vec![], ops: vec![], results: vec![x] };
        let twice = Block { arguments: vec![], results: sum.results.clone(), ops: vec![sum] };
        let results = builder.op(OpKind::If, &[condition], vec![tensor(F32, &[2])], vec![same, twice]);
        let outputs = builder.run(&results, &[vec![u8::from(predicate)], bytes(&[1f32, -2.])]).unwrap();
        assert_eq!(f32s(&outputs[0]), expected);
    }
}

#[test]
fn tokens_are_joined() {
    let mut builder = Builder::default();
    let tokens = [(); 2].map(|()| builder.op(OpKind::CreateToken, &[], vec![Type::Token], vec![])[0]);
    let joined = builder.op(OpKind::AfterAll, &tokens, vec![Type::Token], vec![]);
    assert_eq!(builder.run(&joined, &[]).unwrap(), [vec![0u8; 0]]);
}
