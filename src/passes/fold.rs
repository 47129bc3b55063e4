//! Moves of a constant whose elements are all equal become such a constant: it has no memory to move.
#![forbid(unsafe_code)]

use std::collections::HashMap;

use crate::program::{Block, CompileError, Function, Literal, Op, OpKind, Program, Type, ValueId};

pub(super) fn run(program: &mut Program) -> Result<(), CompileError> {
    for function in &mut program.functions {
        let mut body = std::mem::take(&mut function.body);
        block(function, &mut body, &mut HashMap::new());
        function.body = body;
    }
    Ok(())
}

/// `splats`: constants of one repeated element in this block and around it. A name is defined once in a function, so
/// what a nested block adds does no harm outside of it.
fn block(function: &Function, block: &mut Block, splats: &mut HashMap<ValueId, Literal>) {
    for op in &mut block.ops {
        if let Some(literal) = folded(function, op, splats) {
            op.kind = OpKind::Constant(literal);
            op.operands.clear();
        }
        if let (OpKind::Constant(literal), &[result]) = (&op.kind, &op.results[..])
            && (literal.splat || literal.ty.elements() == 1)
        {
            splats.insert(result, literal.clone());
        }
        for region in &mut op.regions {
            self::block(function, region, splats);
        }
    }
}

fn folded(function: &Function, op: &Op, splats: &HashMap<ValueId, Literal>) -> Option<Literal> {
    let moves = matches!(
        op.kind,
        OpKind::BroadcastInDim { .. }
            | OpKind::Reshape
            | OpKind::Transpose { .. }
            | OpKind::Reverse { .. }
            | OpKind::Slice { .. }
    );
    let (&[operand], &[result]) = (&op.operands[..], &op.results[..]) else { return None };
    let Type::Tensor(ty) = function.ty(result) else { return None };
    let literal = splats.get(&operand).filter(|literal| moves && ty.is_static() && literal.ty.element == ty.element)?;
    Some(Literal { ty: ty.clone(), data: literal.data.clone(), splat: true })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::program::testing::{Builder, bytes, tensor};
    use crate::program::{Binary, ElementType};

    fn constant(values: &[f32], shape: &[i64], splat: bool) -> OpKind {
        let Type::Tensor(ty) = tensor(ElementType::F32, shape) else { unreachable!("tensor makes tensors") };
        OpKind::Constant(Literal { ty, data: bytes(values), splat })
    }

    /// The op kinds of @main after the pass.
    fn after(builder: Builder, results: &[ValueId]) -> Vec<OpKind> {
        let mut function = builder.function;
        function.body.results = results.to_vec();
        let mut program = Program { functions: vec![function], ..Default::default() };
        run(&mut program).expect("never fails");
        crate::program::verify::verify(&program).expect("still valid");
        program.functions[0].body.ops.iter().map(|op| op.kind.clone()).collect()
    }

    #[test]
    fn moves_of_one_repeated_element_fold() {
        let mut builder = Builder::default();
        let ty = |shape: &[i64]| vec![tensor(ElementType::F32, shape)];
        let scalar = builder.op(constant(&[2.5], &[], false), &[], ty(&[]), Vec::new());
        let wide =
            builder.op(OpKind::BroadcastInDim { broadcast_dimensions: vec![] }, &scalar, ty(&[2, 6]), Vec::new());
        let turned = builder.op(OpKind::Reshape, &wide, ty(&[3, 4]), Vec::new());
        let kinds = after(builder, &turned);
        assert_eq!(kinds[1], constant(&[2.5], &[2, 6], true));
        assert_eq!(kinds[2], constant(&[2.5], &[3, 4], true));
    }

    #[test]
    fn different_elements_and_computations_stay() {
        let mut builder = Builder::default();
        let ty = |shape: &[i64]| vec![tensor(ElementType::F32, shape)];
        let pair = builder.op(constant(&[1.0, 2.0], &[2], false), &[], ty(&[2]), Vec::new());
        let wide = builder.op(OpKind::BroadcastInDim { broadcast_dimensions: vec![1] }, &pair, ty(&[3, 2]), Vec::new());
        let one = builder.op(constant(&[1.0], &[3, 2], true), &[], ty(&[3, 2]), Vec::new());
        let sum = builder.op(OpKind::Binary(Binary::Add), &[wide[0], one[0]], ty(&[3, 2]), Vec::new());
        let kinds = after(builder, &sum);
        assert!(matches!(kinds[1], OpKind::BroadcastInDim { .. }));
        assert_eq!(kinds[3], OpKind::Binary(Binary::Add));
    }
}
