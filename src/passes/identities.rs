//! x · 1, x / 1, x + 0 and x - 0 become x, as XLA's algebraic simplifier has them: a complex infinity times 1 stays as it
//! is, -0 + 0 is -0, and a mask times 1 is a mask still.
#![forbid(unsafe_code)]

use std::collections::HashMap;

use super::visit::Renaming;
use crate::program::{Binary, Block, CompileError, ElementType, Function, Literal, Op, OpKind, Program, ValueId};

pub(super) fn run(program: &mut Program) -> Result<(), CompileError> {
    for function in &mut program.functions {
        let mut body = std::mem::take(&mut function.body);
        block(function, &mut body, &mut Renaming::default(), &mut HashMap::new());
        function.body = body;
    }
    Ok(())
}

/// `units`: constants of 0 or 1 alone in this block and around it.
fn block(function: &Function, block: &mut Block, renaming: &mut Renaming, units: &mut HashMap<ValueId, Unit>) {
    let mut ops = Vec::with_capacity(block.ops.len());
    for mut op in std::mem::take(&mut block.ops) {
        renaming.apply(&mut op.operands);
        for region in &mut op.regions {
            self::block(function, region, renaming, units);
        }
        if let (OpKind::Constant(literal), &[result]) = (&op.kind, &op.results[..])
            && let Some(unit) = Unit::of(literal)
        {
            units.insert(result, unit);
        }
        match unchanged(function, &op, units) {
            Some(operand) => renaming.insert(op.results[0], operand),
            None => ops.push(op),
        }
    }
    renaming.apply(&mut block.results);
    block.ops = ops;
}

#[derive(Clone, Copy, PartialEq)]
enum Unit {
    Zero,
    One,
}

impl Unit {
    /// What a constant repeats, if it is of these.
    fn of(literal: &Literal) -> Option<Self> {
        use ElementType::*;
        let element = literal.ty.element;
        if !(literal.splat || literal.ty.elements() == 1) || element == Bool {
            return None;
        }
        let bytes = literal.element(0);
        let is = |number: &[u8]| bytes == number;
        let (zero, one) = match element {
            F64 => (is(&0f64.to_le_bytes()) || is(&(-0f64).to_le_bytes()), is(&1f64.to_le_bytes())),
            F32 => (is(&0f32.to_le_bytes()) || is(&(-0f32).to_le_bytes()), is(&1f32.to_le_bytes())),
            F16 => (is(&[0, 0]) || is(&[0, 0x80]), is(&half::f16::ONE.to_le_bytes())),
            BF16 => (is(&[0, 0]) || is(&[0, 0x80]), is(&half::bf16::ONE.to_le_bytes())),
            C64 => (is(&[0; 8]), is(&[1f32.to_le_bytes(), 0f32.to_le_bytes()].concat())),
            _ if element.is_integer() => (bytes.iter().all(|&byte| byte == 0), is(&1i128.to_le_bytes()[..bytes.len()])),
            _ => (false, false),
        };
        if zero { Some(Self::Zero) } else { one.then_some(Self::One) }
    }
}

/// The operand that an op hands on.
fn unchanged(function: &Function, op: &Op, units: &HashMap<ValueId, Unit>) -> Option<ValueId> {
    let OpKind::Binary(binary) = op.kind else { return None };
    let (&[a, b], &[result]) = (&op.operands[..], &op.results[..]) else { return None };
    let is = |value: ValueId, unit: Unit| units.get(&value) == Some(&unit);
    let operand = match binary {
        Binary::Multiply if is(b, Unit::One) => a,
        Binary::Multiply if is(a, Unit::One) => b,
        Binary::Divide if is(b, Unit::One) => a,
        Binary::Add if is(b, Unit::Zero) => a,
        Binary::Add if is(a, Unit::Zero) => b,
        Binary::Subtract if is(b, Unit::Zero) => a,
        _ => return None,
    };
    (function.ty(operand) == function.ty(result)).then_some(operand)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::program::testing::{Builder, bytes, tensor};
    use crate::program::{TensorType, verify};

    /// The ops that are left of x `binary` constant, in either order.
    fn left(binary: Binary, element: ElementType, constant: Vec<u8>, constant_first: bool) -> usize {
        let mut builder = Builder::default();
        let ty = tensor(element, &[3]);
        let x = builder.argument(ty.clone());
        let literal = Literal { ty: TensorType::new(element, [3]), data: constant, splat: true };
        let constant = builder.op(OpKind::Constant(literal), &[], vec![ty.clone()], vec![])[0];
        let operands = if constant_first { [constant, x] } else { [x, constant] };
        let results = builder.op(OpKind::Binary(binary), &operands, vec![ty], vec![]);
        let mut function = builder.function;
        function.body.results = results;
        let mut program = Program { functions: vec![function], ..Default::default() };
        run(&mut program).expect("never fails");
        verify::verify(&program).expect("still valid");
        program.functions[0].body.ops.len() - 1
    }

    #[test]
    fn ones_and_zeros_change_nothing() {
        use ElementType::*;
        let one = || bytes(&[1f32]);
        assert_eq!(left(Binary::Multiply, F32, one(), false), 0);
        assert_eq!(left(Binary::Multiply, F32, one(), true), 0);
        assert_eq!(left(Binary::Divide, F32, one(), false), 0);
        assert_eq!(left(Binary::Divide, F32, one(), true), 1);
        assert_eq!(left(Binary::Multiply, C64, bytes(&[1f32, 0.]), true), 0);
        assert_eq!(left(Binary::Multiply, C64, bytes(&[1f32, 1.]), true), 1);
        assert_eq!(left(Binary::Multiply, BF16, vec![0x80, 0x3f], true), 0);
        assert_eq!(left(Binary::Multiply, I32, bytes(&[1i32]), true), 0);
        assert_eq!(left(Binary::Multiply, I32, bytes(&[0i32]), true), 1);
        assert_eq!(left(Binary::Multiply, Bool, vec![1], true), 1);
        for zero in [0f32, -0.] {
            assert_eq!(left(Binary::Add, F32, bytes(&[zero]), true), 0);
            assert_eq!(left(Binary::Subtract, F32, bytes(&[zero]), false), 0);
            assert_eq!(left(Binary::Subtract, F32, bytes(&[zero]), true), 1);
        }
        assert_eq!(left(Binary::Add, F32, one(), true), 1);
    }
}
