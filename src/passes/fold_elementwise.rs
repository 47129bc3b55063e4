//! Elementwise ops of constants become constants, computed by the interpreter of expressions.
//!
//! Where every operand repeats one element, whatever the size; else where the result is small, or no larger than what is
//! stored already: reading a constant costs each call less than computing it.
#![forbid(unsafe_code)]

use std::collections::HashMap;

use crate::expression::{Expression, Known, Scalar, Target, Value, elementwise};
use crate::program::{Block, Class, CompileError, ElementType, Function, Literal, Op, OpKind, Program, ValueId};

/// Elements that are interpreted at most: a few milliseconds.
const MOST_ELEMENTS: usize = 1 << 16;
/// Bytes that a result may have whatever its operands take.
const SMALL: usize = 4096;

pub(super) fn run(program: &mut Program) -> Result<(), CompileError> {
    for function in &mut program.functions {
        let mut body = std::mem::take(&mut function.body);
        block(function, &mut body, &mut HashMap::new());
        function.body = body;
    }
    Ok(())
}

/// `constants`: those of this block and of those around it. A name is defined once in a function, so what a nested block
/// adds does no harm outside of it.
fn block(function: &Function, block: &mut Block, constants: &mut HashMap<ValueId, Literal>) {
    for op in &mut block.ops {
        if let Some(literal) = folded(function, op, constants) {
            op.kind = OpKind::Constant(literal);
            op.operands.clear();
        }
        if let (OpKind::Constant(literal), &[result]) = (&op.kind, &op.results[..])
            && (literal.splat || literal.ty.elements() <= MOST_ELEMENTS)
        {
            constants.insert(result, literal.clone());
        }
        for region in &mut op.regions {
            self::block(function, region, constants);
        }
    }
}

fn folded(function: &Function, op: &Op, constants: &HashMap<ValueId, Literal>) -> Option<Literal> {
    let &[result] = &op.results[..] else { return None };
    if op.kind.class() != Class::Elementwise || op.operands.is_empty() || !op.regions.is_empty() {
        return None;
    }
    let ty = function.tensor(result).filter(|ty| ty.is_static() && ty.elements() > 0)?;
    let operands = op.operands.iter().map(|operand| constants.get(operand)).collect::<Option<Vec<&Literal>>>()?;
    let splat = operands.iter().all(|literal| literal.splat || literal.ty.elements() == 1);
    let stored: usize = operands.iter().map(|literal| literal.data.len()).sum();
    let bytes = ty.elements().saturating_mul(ty.element.bytes());
    if !splat && (ty.elements() > MOST_ELEMENTS || bytes > stored.max(SMALL)) {
        return None;
    }
    // One that changes the number of elements moves bits between them.
    if op.kind == OpKind::BitcastConvert && operands[0].ty.shape != ty.shape {
        return None;
    }
    let known: Vec<Known> = operands.iter().map(|literal| Known::of(literal.ty.element)).collect();
    let expression = elementwise(&op.kind, &known, ty.element, &Target::HOST).ok()?;
    let count = if splat { 1 } else { ty.elements() };
    Some(Literal { ty: ty.clone(), data: evaluated(&expression, &operands, ty.element, count)?, splat })
}

fn evaluated(expression: &Expression, operands: &[&Literal], result: ElementType, count: usize) -> Option<Vec<u8>> {
    let (scalar, mut data, mut values) = (Scalar::of(result)?, Vec::new(), Vec::new());
    let mut arguments = vec![Value::default(); operands.len()];
    for index in 0..count {
        for ((argument, literal), &scalar) in arguments.iter_mut().zip(operands).zip(&expression.arguments) {
            // A predicate or a bound may be a scalar.
            let at = if literal.splat || literal.ty.elements() == 1 { 0 } else { index };
            *argument = Value::from_bytes(scalar, literal.element(at));
        }
        expression.evaluate(&arguments, &mut values);
        values[expression.results[0] as usize].write(scalar, &mut data);
    }
    Some(data)
}
