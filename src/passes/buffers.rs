//! Buffers (`memref`) become tensors: `Pin` and `Unpin`, by which JAX says that a value stays where it is from one op to
//! the next (`jax._src.state.primitives.pin`), move nothing where no op works in place, and `CreateBuffer`, whose
//! contents nobody has defined, gives zeros.
//!
//! Custom calls that work in place stay, and are refused by the lowering, as every target is that it does not know.
#![forbid(unsafe_code)]

use super::visit::Renaming;
use crate::program::{Block, CompileError, Function, Literal, Op, OpKind, Program, Type, ValueId};

pub(super) fn run(program: &mut Program) -> Result<(), CompileError> {
    for function in &mut program.functions {
        if !function.values.iter().any(|ty| matches!(ty, Type::Buffer(_))) {
            continue;
        }
        let mut body = std::mem::take(&mut function.body);
        let mut kept = Vec::new();
        block(function, &mut body, &mut Renaming::default(), &mut kept);
        function.body = body;
        for (index, ty) in function.values.iter_mut().enumerate() {
            if let Type::Buffer(tensor) = ty
                && !kept.contains(&ValueId(index as u32))
            {
                *ty = Type::Tensor(tensor.clone());
            }
        }
    }
    Ok(())
}

/// `kept`: buffers of custom calls that stay, which errors shall show as they came.
fn block(function: &Function, block: &mut Block, renaming: &mut Renaming, kept: &mut Vec<ValueId>) {
    let mut ops = Vec::with_capacity(block.ops.len());
    for mut op in std::mem::take(&mut block.ops) {
        renaming.apply(&mut op.operands);
        for region in &mut op.regions {
            self::block(function, region, renaming, kept);
        }
        let OpKind::CustomCall(call) = &op.kind else {
            ops.push(op);
            continue;
        };
        match call.call_target_name.as_str() {
            "Pin" | "Unpin" if keeps_shape(function, &op) => renaming.insert(op.results[0], op.operands[0]),
            "CreateBuffer" if op.operands.is_empty() => match zeros(function, &op) {
                Some(literal) => ops.push(Op { kind: OpKind::Constant(literal), ..op }),
                None => ops.push(op),
            },
            _ => {
                kept.extend(op.operands.iter().chain(&op.results));
                ops.push(op);
            }
        }
    }
    renaming.apply(&mut block.results);
    block.ops = ops;
}

/// One operand, one result, of one shape and element type, one of them a buffer.
fn keeps_shape(function: &Function, op: &Op) -> bool {
    let (&[operand], &[result]) = (&op.operands[..], &op.results[..]) else { return false };
    match (function.ty(operand), function.ty(result)) {
        // Of two tensors the one was a buffer before its own pin vanished.
        (Type::Tensor(from) | Type::Buffer(from), Type::Tensor(to) | Type::Buffer(to)) => from == to,
        _ => false,
    }
}

fn zeros(function: &Function, op: &Op) -> Option<Literal> {
    let &[result] = &op.results[..] else { return None };
    let Type::Buffer(ty) = function.ty(result) else { return None };
    let bytes = ty.element.bytes();
    (ty.is_static() && bytes > 0).then(|| Literal { ty: ty.clone(), data: vec![0; bytes], splat: true })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::program::testing::{Builder, custom_call, tensor};
    use crate::program::{Binary, ElementType, TensorType};

    fn after(mut builder: Builder, results: Vec<ValueId>) -> Function {
        builder.function.body.results = results;
        let mut program = Program { functions: vec![builder.function], ..Default::default() };
        run(&mut program).expect("the pass refuses nothing");
        program.functions.remove(0)
    }

    fn buffer() -> Type {
        Type::Buffer(TensorType::new(ElementType::F32, [3]))
    }

    #[test]
    fn what_is_pinned_is_the_same() {
        let mut builder = Builder::default();
        let ty = tensor(ElementType::F32, &[3]);
        let x = builder.argument(ty.clone());
        let pinned = builder.op(custom_call("Pin"), &[x], vec![buffer()], vec![]);
        let back = builder.op(custom_call("Unpin"), &pinned, vec![ty.clone()], vec![]);
        let sum = builder.op(OpKind::Binary(Binary::Add), &[x, back[0]], vec![ty], vec![]);
        let function = after(builder, sum);
        assert_eq!(function.body.ops.len(), 1);
        assert_eq!(function.body.ops[0].operands, [x, x]);
    }

    #[test]
    fn new_buffers_hold_zeros() {
        let mut builder = Builder::default();
        let made = builder.op(custom_call("CreateBuffer"), &[], vec![buffer()], vec![]);
        let back = builder.op(custom_call("Unpin"), &made, vec![tensor(ElementType::F32, &[3])], vec![]);
        let function = after(builder, back);
        assert!(matches!(&function.body.ops[..], [Op { kind: OpKind::Constant(literal), .. }] if literal.splat));
        assert_eq!(function.body.results, function.body.ops[0].results);
        assert!(function.tensor(function.body.results[0]).is_some());
    }

    #[test]
    fn calls_that_work_in_place_stay_as_they_are() {
        let mut builder = Builder::default();
        let x = builder.argument(tensor(ElementType::F32, &[3]));
        let pinned = builder.op(custom_call("Pin"), &[x], vec![buffer()], vec![]);
        let changed = builder.op(custom_call("my_kernel"), &pinned, vec![buffer()], vec![]);
        let back = builder.op(custom_call("Unpin"), &changed, vec![tensor(ElementType::F32, &[3])], vec![]);
        let function = after(builder, back);
        assert_eq!(function.body.ops.len(), 1);
        assert_eq!(function.ty(changed[0]), &buffer());
    }
}
