//! Arithmetic on floats of 8 bits or fewer becomes arithmetic on f32 between conversions, so that the lowering only
//! converts and moves them.
//!
//! XLA:CPU rounds after each op as well, by way of f16, which holds the sums and products of these types. Within the
//! region of a reduction or a scatter, values stay f32: rounded once at the end.
#![forbid(unsafe_code)]

use std::collections::HashSet;

use crate::expression::small_types;
use crate::program::{
    Block, CompileError, ElementType, Function, Literal, Location, Op, OpKind, Program, TensorType, Type, ValueId,
};

/// See the module.
pub(super) fn run(program: &mut Program) -> Result<(), CompileError> {
    for function in &mut program.functions {
        let mut body = std::mem::take(&mut function.body);
        block(function, &mut body);
        function.body = body;
    }
    Ok(())
}

/// The f32 type in place of a small float type.
fn wide(function: &Function, value: ValueId) -> Option<Type> {
    let tensor = function.tensor(value).filter(|tensor| tensor.element.is_small_float())?;
    Some(Type::Tensor(TensorType { element: ElementType::F32, ..tensor.clone() }))
}

/// A product of small floats that is wanted in integers or bool is one of small floats, converted: the types of the product
/// in f32, and as it is to be rounded.
fn rounding_of_product(function: &Function, op: &Op) -> Option<(Type, Type)> {
    let (OpKind::DotGeneral(_) | OpKind::Dot { .. }, &[lhs, rhs], &[result]) =
        (&op.kind, &op.operands[..], &op.results[..])
    else {
        return None;
    };
    let (lhs, rhs, result) = (function.tensor(lhs)?.element, function.tensor(rhs)?.element, function.tensor(result)?);
    let converted = result.element.is_integer() || result.element == ElementType::Bool;
    let with = |element| Type::Tensor(TensorType { element, ..result.clone() });
    (lhs == rhs && lhs.is_small_float() && converted).then(|| (with(ElementType::F32), with(lhs)))
}

fn convert(operand: ValueId, result: ValueId, location: &Location) -> Op {
    Op {
        kind: OpKind::Convert,
        operands: vec![operand],
        results: vec![result],
        regions: Vec::new(),
        attributes: Default::default(),
        location: location.clone(),
    }
}

fn block(function: &mut Function, block: &mut Block) {
    let mut ops = Vec::with_capacity(block.ops.len());
    for mut op in std::mem::take(&mut block.ops) {
        let small = op.operands.iter().chain(&op.results).any(|&value| wide(function, value).is_some());
        if !small || !op.kind.computes() {
            for region in &mut op.regions {
                self::block(function, region);
            }
            ops.push(op);
            continue;
        }
        let rounding = rounding_of_product(function, &op);
        for operand in &mut op.operands {
            if let Some(ty) = wide(function, *operand) {
                let value = function.add_value(ty);
                ops.push(convert(*operand, value, &op.location));
                *operand = value;
            }
        }
        for region in &mut op.regions {
            widen(function, region);
        }
        let mut after = Vec::new();
        for result in &mut op.results {
            if let Some(ty) = wide(function, *result) {
                let value = function.add_value(ty);
                after.push(convert(value, *result, &op.location));
                *result = value;
            } else if let Some((wide, small)) = &rounding {
                let (value, rounded) = (function.add_value(wide.clone()), function.add_value(small.clone()));
                after.push(convert(value, rounded, &op.location));
                after.push(convert(rounded, *result, &op.location));
                *result = value;
            }
        }
        ops.push(op);
        ops.append(&mut after);
    }
    block.ops = ops;
}

/// Makes every small float in a region an f32.
fn widen(function: &mut Function, block: &mut Block) {
    let mut inside = HashSet::new();
    define(block, &mut inside);
    for &value in &inside {
        if let Some(ty) = wide(function, value) {
            function.values[value.0 as usize] = ty;
        }
    }
    let mut converted = Vec::new();
    replace(function, block, &inside, &mut converted);
    block.ops.splice(0..0, converted);
}

fn define(block: &Block, inside: &mut HashSet<ValueId>) {
    inside.extend(&block.arguments);
    for op in &block.ops {
        inside.extend(&op.results);
        for region in &op.regions {
            define(region, inside);
        }
    }
}

/// Constants become f32, and so do values from outside, by conversions to stand at the region's start.
fn replace(function: &mut Function, block: &mut Block, inside: &HashSet<ValueId>, converted: &mut Vec<Op>) {
    let mut outside = |function: &mut Function, value: &mut ValueId, location: &Location| {
        if inside.contains(value) {
            return;
        }
        if let Some(ty) = wide(function, *value) {
            let known = converted.iter().find(|op| op.operands == [*value]).map(|op| op.results[0]);
            let new = known.unwrap_or_else(|| {
                let new = function.add_value(ty);
                converted.push(convert(*value, new, location));
                new
            });
            *value = new;
        }
    };
    for op in &mut block.ops {
        if let OpKind::Constant(literal) = &mut op.kind {
            widen_literal(literal);
        }
        let location = op.location.clone();
        for operand in &mut op.operands {
            outside(function, operand, &location);
        }
    }
    for result in &mut block.results {
        outside(function, result, &Location::default());
    }
    for op in &mut block.ops {
        for region in &mut op.regions {
            replace(function, region, inside, converted);
        }
    }
}

fn widen_literal(literal: &mut Literal) {
    let element = literal.ty.element;
    if element.is_small_float() {
        literal.data = literal.data.iter().flat_map(|&code| small_types::value(element, code).to_le_bytes()).collect();
        literal.ty.element = ElementType::F32;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::program::ElementType::*;
    use crate::program::testing::{Builder, tensor};
    use crate::program::{Binary, DotGeneral, Unary, verify};

    fn legalize(builder: Builder, results: &[ValueId]) -> Program {
        let mut function = builder.function;
        function.body.results = results.to_vec();
        let mut program = Program { functions: vec![function], ..Default::default() };
        run(&mut program).unwrap();
        verify::verify(&program).unwrap();
        program
    }

    fn names(block: &Block) -> Vec<&str> {
        block.ops.iter().map(|op| op.kind.name()).collect()
    }

    #[test]
    fn arithmetic_goes_through_f32() {
        let mut builder = Builder::default();
        let ty = tensor(F8E4M3FN, &[2]);
        let a = builder.argument(ty.clone());
        let sum = builder.op(OpKind::Binary(Binary::Add), &[a, a], vec![ty.clone()], vec![]);
        let moved = builder.op(OpKind::Reverse { dimensions: vec![0] }, &sum, vec![ty], vec![]);
        let program = legalize(builder, &moved);
        let function = &program.functions[0];
        assert_eq!(names(&function.body), ["convert", "convert", "add", "convert", "reverse"]);
        let add = &function.body.ops[2];
        assert!(add.operands.iter().chain(&add.results).all(|&value| function.tensor(value).unwrap().element == F32));
    }

    #[test]
    fn products_wanted_in_integers_are_rounded_first() {
        let mut builder = Builder::default();
        let a = builder.argument(tensor(F8E4M3FN, &[2]));
        let dot = DotGeneral {
            lhs_batching_dimensions: vec![],
            rhs_batching_dimensions: vec![],
            lhs_contracting_dimensions: vec![0],
            rhs_contracting_dimensions: vec![0],
            precision_config: vec![],
            algorithm: None,
        };
        let product = builder.op(OpKind::DotGeneral(dot), &[a, a], vec![tensor(I32, &[])], vec![]);
        let program = legalize(builder, &product);
        let function = &program.functions[0];
        assert_eq!(names(&function.body), ["convert", "convert", "dot_general", "convert", "convert"]);
        let element = |op: usize| function.tensor(function.body.ops[op].results[0]).unwrap().element;
        assert_eq!([2, 3, 4].map(element), [F32, F8E4M3FN, I32]);
    }

    #[test]
    fn regions_become_f32_with_their_constants() {
        let mut builder = Builder::default();
        let (vector, scalar) = (tensor(F8E5M2, &[4]), tensor(F8E5M2, &[]));
        let a = builder.argument(vector);
        let init = builder.argument(scalar.clone());
        let region = builder.block(vec![scalar.clone(), scalar.clone()], |builder, arguments| {
            let literal = Literal { ty: TensorType::new(F8E5M2, []), data: vec![0x40], splat: true };
            let two = builder.make(OpKind::Constant(literal), &[], vec![scalar.clone()], vec![]);
            let sum = builder.make(OpKind::Binary(Binary::Add), arguments, vec![scalar.clone()], vec![]);
            let product = builder.make(
                OpKind::Binary(Binary::Multiply),
                &[sum.results[0], two.results[0]],
                vec![scalar.clone()],
                vec![],
            );
            let product_with_captured = builder.make(
                OpKind::Binary(Binary::Multiply),
                &[product.results[0], init],
                vec![scalar.clone()],
                vec![],
            );
            let results = product_with_captured.results.clone();
            (vec![two, sum, product, product_with_captured], results)
        });
        let results =
            builder.op(OpKind::Reduce { dimensions: vec![0] }, &[a, init], vec![scalar.clone()], vec![region]);
        let negated = builder.op(OpKind::Unary(Unary::Negate), &results, vec![scalar], vec![]);
        let program = legalize(builder, &negated);
        let function = &program.functions[0];
        let reduce = function.body.ops.iter().find(|op| matches!(op.kind, OpKind::Reduce { .. })).unwrap();
        assert_eq!(names(&reduce.regions[0]), ["convert", "constant", "add", "multiply", "multiply"]);
        let OpKind::Constant(literal) = &reduce.regions[0].ops[1].kind else { panic!("a constant expected") };
        assert_eq!((literal.ty.element, literal.data.as_slice()), (F32, &2f32.to_le_bytes()[..]));
    }
}
