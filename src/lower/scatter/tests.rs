//! Scatters into four elements, or two rows of two.
#![forbid(unsafe_code)]

use super::super::testing::{Builder, bytes, f32s, i32s, tensor};
use crate::program::{Binary, Block, ElementType, OpKind, Scatter, ValueId};

fn element_scatter(unique_indices: bool) -> OpKind {
    OpKind::Scatter(Scatter {
        update_window_dims: vec![],
        inserted_window_dims: vec![0],
        input_batching_dims: vec![],
        scatter_indices_batching_dims: vec![],
        scatter_dims_to_operand_dims: vec![0],
        index_vector_dim: 1,
        indices_are_sorted: false,
        unique_indices,
    })
}

/// One update per index into `operand`, combined by a body.
fn scatter(
    element: ElementType,
    operand: Vec<u8>,
    indices: &[i32],
    updates: Vec<u8>,
    body: impl FnOnce(&mut Builder) -> Block,
) -> Vec<u8> {
    let mut builder = Builder::default();
    let size = (operand.len() / element.bytes()) as i64;
    let input = builder.argument(tensor(element, &[size]));
    let starts = builder.argument(tensor(ElementType::I32, &[indices.len() as i64]));
    let values = builder.argument(tensor(element, &[indices.len() as i64]));
    let body = body(&mut builder);
    let results =
        builder.op(element_scatter(false), &[input, starts, values], vec![tensor(element, &[size])], vec![body]);
    builder.run(&results, &[operand, bytes(indices), updates]).unwrap().remove(0)
}

fn assign(builder: &mut Builder, element: ElementType) -> Block {
    let scalar = tensor(element, &[]);
    builder.block(vec![scalar.clone(), scalar], |_, arguments| (vec![], vec![arguments[1]]))
}

#[test]
fn the_last_assignment_in_bounds_stays() {
    let element = ElementType::F32;
    let set = |indices: &[i32], updates: &[f32]| {
        f32s(&scatter(element, bytes(&[0f32, 1., 2., 3.]), indices, bytes(updates), |builder| assign(builder, element)))
    };
    assert_eq!(set(&[1, 3, 1], &[10., 20., 30.]), [0., 30., 2., 20.]);
    assert_eq!(set(&[1, -1, 4, 1, 9], &[10., 20., 30., 40., 50.]), [0., 40., 2., 3.]);
    assert_eq!(set(&[0, -1, 3, 4], &[10., 20., 30., 40.]), [10., 1., 2., 30.]);
    assert_eq!(set(&[4, -7], &[10., 20.]), [0., 1., 2., 3.]);
}

#[test]
fn sums_skip_what_is_out_of_bounds_and_keep_negative_zero() {
    let element = ElementType::F32;
    let result = f32s(&scatter(
        element,
        bytes(&[-0f32, 1., 2., 3.]),
        &[2, 5, 2, -1],
        bytes(&[10f32, 20., 30., 40.]),
        |builder| builder.reducer(OpKind::Binary(Binary::Add), element),
    ));
    assert_eq!(result, [0., 1., 42., 3.]);
    assert!(result[0].is_sign_negative());
}

#[test]
fn maximum_keeps_nan() {
    let element = ElementType::F32;
    for kind in [Binary::Maximum, Binary::Minimum] {
        let result = f32s(&scatter(
            element,
            bytes(&[f32::NAN, 1., -0., 3.]),
            &[0, 1, 1, 2, 7],
            bytes(&[5f32, f32::NAN, 2., 0., 1e9]),
            |builder| builder.reducer(OpKind::Binary(kind), element),
        ));
        assert!(result[0].is_nan() && result[1].is_nan(), "{result:?}");
        assert_eq!(result[2..], [0., 3.]);
        assert_eq!(result[2].is_sign_negative(), kind == Binary::Minimum);
    }
}

#[test]
fn bodies_without_a_primitive_see_every_duplicate_in_order() {
    let element = ElementType::I32;
    let xor = scatter(element, bytes(&[0, 1, 2, 3]), &[1, 1, 1, 3, 4], bytes(&[8, 4, 8, 3, 9]), |builder| {
        builder.reducer(OpKind::Binary(Binary::Xor), element)
    });
    assert_eq!(i32s(&xor), [0, 1 ^ 4, 2, 0]);
    // a - (b - a) after each update depends on their order.
    let ordered = scatter(element, bytes(&[0, 1, 2, 3]), &[2, 0, 2], bytes(&[10, 5, 100]), |builder| {
        let scalar = tensor(element, &[]);
        builder.block(vec![scalar.clone(), scalar.clone()], |builder, arguments| {
            let subtract = OpKind::Binary(Binary::Subtract);
            let inner = builder.make(subtract.clone(), &[arguments[1], arguments[0]], vec![scalar.clone()], vec![]);
            let outer = builder.make(subtract, &[arguments[0], inner.results[0]], vec![scalar.clone()], vec![]);
            let results = outer.results.clone();
            (vec![inner, outer], results)
        })
    });
    assert_eq!(i32s(&ordered), [-5, 1, -112, 3]);
}

#[test]
fn several_operands_may_mix() {
    let (first, second) = (ElementType::F32, ElementType::I32);
    let mut builder = Builder::default();
    let operands = [
        builder.argument(tensor(first, &[3])),
        builder.argument(tensor(second, &[3])),
        builder.argument(tensor(ElementType::I32, &[2])),
        builder.argument(tensor(first, &[2])),
        builder.argument(tensor(second, &[2])),
    ];
    let types = [first, second, first, second].map(|element| tensor(element, &[])).to_vec();
    let body = builder.block(types, |builder, arguments: &[ValueId]| {
        let sum =
            builder.make(OpKind::Binary(Binary::Add), &[arguments[0], arguments[2]], vec![tensor(first, &[])], vec![]);
        let product =
            builder.make(OpKind::Binary(Binary::Add), &[arguments[1], arguments[1]], vec![tensor(second, &[])], vec![]);
        let results = vec![sum.results[0], product.results[0]];
        (vec![sum, product], results)
    });
    let types = vec![tensor(first, &[3]), tensor(second, &[3])];
    let results = builder.op(element_scatter(true), &operands, types, vec![body]);
    let outputs = builder
        .run(
            &results,
            &[bytes(&[1f32, 2., 3.]), bytes(&[1, 2, 3]), bytes(&[2, 3]), bytes(&[10f32, 20.]), bytes(&[7, 7])],
        )
        .unwrap();
    assert_eq!(f32s(&outputs[0]), [1., 2., 13.]);
    assert_eq!(i32s(&outputs[1]), [1, 2, 6]);
}
