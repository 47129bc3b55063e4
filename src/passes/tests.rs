//! Programs before and after each pass, against tests/data/passes. `JAX_MPS_BLESS=1` writes the files anew.

use std::path::PathBuf;

use super::{Choice, PASSES, run};
use crate::program::ElementType::{self, *};
use crate::program::testing::{Builder, bytes, tensor};
use crate::program::{
    Binary, Block, CompareType, Direction, Literal, OpKind, Program, TensorType, Type, Unary, ValueId, verify,
};

/// Runs one pass; both texts are those of the file.
fn golden(name: &str, builder: Builder, results: &[ValueId]) {
    let pass = PASSES.iter().find(|(pass, _)| *pass == name).expect("named after the pass").1;
    let mut function = builder.function;
    function.body.results = results.to_vec();
    let mut program = Program { functions: vec![function], ..Default::default() };
    verify::verify(&program).expect("valid before");
    let before = program.to_string();
    pass(&mut program).expect("supported");
    verify::verify(&program).expect("valid after");
    let text = format!("{before}\n// after the pass:\n\n{program}");
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("tests/data/passes/{name}.txt"));
    if std::env::var_os("JAX_MPS_BLESS").is_some() {
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("writable");
        std::fs::write(&path, &text).expect("writable");
    }
    let known = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(text, known, "{name}: JAX_MPS_BLESS=1 makes this the file");
}

fn literal(element: ElementType, shape: &[i64], data: Vec<u8>) -> OpKind {
    let splat = data.len() == element.bytes();
    OpKind::Constant(Literal { ty: TensorType::new(element, shape), data, splat })
}

/// A loop `for counter in 0..bound` over more carried values: `body` gives the ops and what the values become.
fn counted(
    builder: &mut Builder,
    inits: &[ValueId],
    bound: i32,
    body: impl FnOnce(&mut Builder, &[ValueId]) -> (Vec<crate::program::Op>, Vec<ValueId>),
) -> Vec<ValueId> {
    let int = tensor(I32, &[]);
    let zero = builder.op(literal(I32, &[], bytes(&[0i32])), &[], vec![int.clone()], vec![])[0];
    let operands: Vec<ValueId> = [zero].into_iter().chain(inits.iter().copied()).collect();
    let types: Vec<Type> = operands.iter().map(|&value| builder.function.ty(value).clone()).collect();
    let condition = builder.block(types.clone(), |builder, arguments| {
        let bound = builder.make(literal(I32, &[], bytes(&[bound])), &[], vec![int.clone()], vec![]);
        let kind = OpKind::Compare { direction: Direction::Lt, compare_type: CompareType::Signed };
        let less = builder.make(kind, &[arguments[0], bound.results[0]], vec![tensor(Bool, &[])], vec![]);
        let results = less.results.clone();
        (vec![bound, less], results)
    });
    let region = builder.block(types.clone(), |builder, arguments| {
        let one = builder.make(literal(I32, &[], bytes(&[1i32])), &[], vec![int.clone()], vec![]);
        let next =
            builder.make(OpKind::Binary(Binary::Add), &[arguments[0], one.results[0]], vec![int.clone()], vec![]);
        let (mut ops, results) = body(builder, arguments);
        let results = [next.results[0]].into_iter().chain(results).collect();
        ops.splice(0..0, [one, next]);
        (ops, results)
    });
    builder.op(OpKind::While, &operands, types, vec![condition, region])
}

#[test]
fn elementwise_ops_of_constants_fold() {
    let mut builder = Builder::default();
    let ty = tensor(F32, &[3]);
    let x = builder.argument(ty.clone());
    let a = builder.op(literal(F32, &[3], bytes(&[1f32, 2., 3.])), &[], vec![ty.clone()], vec![])[0];
    let b = builder.op(literal(F32, &[3], bytes(&[0.5f32])), &[], vec![ty.clone()], vec![])[0];
    let sum = builder.op(OpKind::Binary(Binary::Add), &[a, b], vec![ty.clone()], vec![])[0];
    let root = builder.op(OpKind::Unary(Unary::Sqrt), &[b], vec![ty.clone()], vec![])[0];
    let small = builder.op(OpKind::Convert, &[sum], vec![tensor(I4, &[3])], vec![])[0];
    let wide = builder.op(literal(F32, &[1 << 20], bytes(&[2f32])), &[], vec![tensor(F32, &[1 << 20])], vec![])[0];
    let wide = builder.op(OpKind::Unary(Unary::Negate), &[wide], vec![tensor(F32, &[1 << 20])], vec![])[0];
    let all = builder.op(OpKind::Binary(Binary::Multiply), &[x, root], vec![ty], vec![])[0];
    golden("fold-elementwise", builder, &[sum, root, small, wide, all]);
}

#[test]
fn branches_that_are_not_taken_go() {
    let mut builder = Builder::default();
    let (ty, flag) = (tensor(F32, &[2]), tensor(Bool, &[]));
    let x = builder.argument(ty.clone());
    let p = builder.argument(flag.clone());
    let yes = builder.op(literal(Bool, &[], vec![1]), &[], vec![flag], vec![])[0];
    let index = builder.op(literal(I32, &[], bytes(&[9i32])), &[], vec![tensor(I32, &[])], vec![])[0];
    let branch = |builder: &mut Builder, unary| {
        let op = builder.make(OpKind::Unary(unary), &[x], vec![ty.clone()], vec![]);
        let results = op.results.clone();
        Block { arguments: vec![], ops: vec![op], results }
    };
    let regions = [Unary::Exponential, Unary::Log].map(|unary| branch(&mut builder, unary));
    let taken = builder.op(OpKind::If, &[yes], vec![ty.clone()], regions.to_vec())[0];
    let regions = [Unary::Sine, Unary::Cosine].map(|unary| branch(&mut builder, unary));
    let last = builder.op(OpKind::Case, &[index], vec![ty.clone()], regions.to_vec())[0];
    let regions = [Unary::Abs, Unary::Negate].map(|unary| branch(&mut builder, unary));
    let open = builder.op(OpKind::If, &[p], vec![ty.clone()], regions.to_vec())[0];
    let selected = builder.op(OpKind::Select, &[yes, taken, last], vec![ty], vec![])[0];
    golden("branches", builder, &[taken, last, open, selected]);
}

#[test]
fn chains_of_moves_become_one() {
    let mut builder = Builder::default();
    let x = builder.argument(tensor(F32, &[2, 3, 4]));
    let mut results = Vec::new();
    let one = |builder: &mut Builder, kind: OpKind, operand: ValueId, element: ElementType, shape: &[i64]| {
        builder.op(kind, &[operand], vec![tensor(element, shape)], vec![])[0]
    };
    let a = one(&mut builder, OpKind::Reshape, x, F32, &[6, 4]);
    results.push(one(&mut builder, OpKind::Reshape, a, F32, &[24]));
    results.push(one(&mut builder, OpKind::Reshape, a, F32, &[2, 3, 4]));
    let turned = |permutation: &[i64]| OpKind::Transpose { permutation: permutation.to_vec() };
    let a = one(&mut builder, turned(&[2, 0, 1]), x, F32, &[4, 2, 3]);
    results.push(one(&mut builder, turned(&[1, 2, 0]), a, F32, &[2, 3, 4]));
    results.push(one(&mut builder, turned(&[2, 1, 0]), a, F32, &[3, 2, 4]));
    let spread = |dimensions: &[i64]| OpKind::BroadcastInDim { broadcast_dimensions: dimensions.to_vec() };
    let a = one(&mut builder, OpKind::Reshape, x, F32, &[2, 3, 1, 4]);
    let a = one(&mut builder, spread(&[0, 1, 2, 3]), a, F32, &[2, 3, 5, 4]);
    results.push(one(&mut builder, spread(&[1, 2, 3, 4]), a, F32, &[7, 2, 3, 5, 4]));
    let cut = |starts: &[i64], limits: &[i64], strides: &[i64]| OpKind::Slice {
        start_indices: starts.to_vec(),
        limit_indices: limits.to_vec(),
        strides: strides.to_vec(),
    };
    let a = one(&mut builder, cut(&[0, 0, 1], &[2, 3, 4], &[1, 2, 1]), x, F32, &[2, 2, 3]);
    results.push(one(&mut builder, cut(&[1, 1, 0], &[2, 2, 3], &[1, 1, 2]), a, F32, &[1, 1, 2]));
    let back = |dimensions: &[i64]| OpKind::Reverse { dimensions: dimensions.to_vec() };
    let a = one(&mut builder, back(&[0, 1]), x, F32, &[2, 3, 4]);
    results.push(one(&mut builder, back(&[1, 2]), a, F32, &[2, 3, 4]));
    let a = one(&mut builder, OpKind::Convert, x, F64, &[2, 3, 4]);
    results.push(one(&mut builder, OpKind::Convert, a, F32, &[2, 3, 4]));
    // f16 loses digits.
    let a = one(&mut builder, OpKind::Convert, x, F16, &[2, 3, 4]);
    results.push(one(&mut builder, OpKind::Convert, a, F32, &[2, 3, 4]));
    golden("movement", builder, &results);
}

#[test]
fn loops_carry_what_they_need() {
    let mut builder = Builder::default();
    let ty = tensor(F32, &[2]);
    let [x, y] = [0, 1].map(|_| builder.argument(ty.clone()));
    // A sum, the same again, what never changes, and what nobody uses.
    let results = counted(&mut builder, &[x, x, y, y], 10, |builder, arguments| {
        let add =
            |builder: &mut Builder, a, b| builder.make(OpKind::Binary(Binary::Add), &[a, b], vec![ty.clone()], vec![]);
        let sum = add(builder, arguments[1], arguments[3]);
        let lost = add(builder, arguments[4], arguments[4]);
        let results = vec![sum.results[0], sum.results[0], arguments[3], lost.results[0]];
        (vec![sum, lost], results)
    });
    golden("loop-values", builder, &results[1..4]);
}

#[test]
fn what_does_not_change_leaves_the_loop() {
    let mut builder = Builder::default();
    let ty = tensor(F32, &[64]);
    let [x, y] = [0, 1].map(|_| builder.argument(ty.clone()));
    let results = counted(&mut builder, &[x], 10, |builder, arguments| {
        let two = builder.make(literal(F32, &[64], bytes(&[2f32])), &[], vec![ty.clone()], vec![]);
        let scaled = OpKind::Binary(Binary::Multiply);
        let scaled = builder.make(scaled, &[y, two.results[0]], vec![ty.clone()], vec![]);
        let exponential = builder.make(OpKind::Unary(Unary::Exponential), &scaled.results, vec![ty.clone()], vec![]);
        let wide = OpKind::BroadcastInDim { broadcast_dimensions: vec![1] };
        let wide = builder.make(wide, &exponential.results, vec![tensor(F32, &[9, 64])], vec![]);
        let row = OpKind::Slice { start_indices: vec![3, 0], limit_indices: vec![4, 64], strides: vec![1, 1] };
        let row = builder.make(row, &wide.results, vec![tensor(F32, &[1, 64])], vec![]);
        let row = [row.clone(), builder.make(OpKind::Reshape, &row.results, vec![ty.clone()], vec![])];
        let sum =
            builder.make(OpKind::Binary(Binary::Add), &[arguments[1], row[1].results[0]], vec![ty.clone()], vec![]);
        let results = sum.results.clone();
        (vec![two, scaled, exponential, wide, row[0].clone(), row[1].clone(), sum], results)
    });
    golden("loop-invariants", builder, &results[1..]);
}

#[test]
fn passes_are_left_out_by_name() {
    let mut builder = Builder::default();
    let ty = tensor(F32, &[2]);
    let x = builder.argument(ty.clone());
    let results = builder.op(OpKind::Convert, &[x], vec![ty], vec![]);
    builder.function.body.results = results;
    builder.function.name = "main".to_owned();
    let program = Program { functions: vec![builder.function], ..Default::default() };
    let ran = |choice: &str| {
        let choice = if choice.is_empty() { Choice::default() } else { Choice::parse(choice).expect("known") };
        let mut names = Vec::new();
        run(&mut program.clone(), &choice, |_, name, _| names.push(name.to_owned())).expect("supported");
        names
    };
    assert_eq!(ran("").len(), PASSES.len());
    let left = ran("-movement, -masks");
    assert!(left.len() == PASSES.len() - 2 && !left.contains(&"movement".to_owned()));
    for wrong in ["movement", "-inline", "-nothing", "-masks,"] {
        assert!(Choice::parse(wrong).is_err_and(|expected| expected.contains("-movement")), "{wrong}");
    }
}
