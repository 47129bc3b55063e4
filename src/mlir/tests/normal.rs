//! What two programs may differ in and say the same. docs/readers.md states it.

use crate::program::{Attribute, Attributes, Block, Literal, OpKind, Precision, Program};

/// The program in its normal form:
///
/// * named attributes are in the order of their names, as MLIR keeps them;
/// * a constant of equal elements is a splat when it has more than one, as MLIR makes it, and else none;
/// * a missing precision_config is that of two defaults.
pub(super) fn normalised(mut program: Program) -> Program {
    named(&mut program.attributes);
    for function in &mut program.functions {
        named(&mut function.attributes);
        function.argument_attributes.iter_mut().for_each(named);
        function.result_attributes.iter_mut().for_each(named);
        // Missing and empty ones are one.
        for list in [&mut function.argument_attributes, &mut function.result_attributes] {
            if list.iter().all(Attributes::is_empty) {
                list.clear();
            }
        }
        block(&mut function.body);
    }
    program
}

fn named(attributes: &mut Attributes) {
    attributes.0.sort_by(|(left, _), (right, _)| left.cmp(right));
    attributes.0.iter_mut().for_each(|(_, value)| attribute(value));
}

fn attribute(value: &mut Attribute) {
    match value {
        Attribute::Array(items) => items.iter_mut().for_each(attribute),
        Attribute::Dictionary(entries) => {
            entries.sort_by(|(left, _), (right, _)| left.cmp(right));
            entries.iter_mut().for_each(|(_, value)| attribute(value));
        }
        Attribute::Dense(dense) => literal(dense),
        _ => {}
    }
}

fn literal(literal: &mut Literal) {
    let (count, width) = (literal.ty.elements(), literal.ty.element.bytes());
    if count <= 1 {
        literal.splat = false;
        literal.data.truncate(count * width);
    } else if !literal.splat && literal.data.chunks_exact(width).all(|element| *element == literal.data[..width]) {
        literal.splat = true;
        literal.data.truncate(width);
    }
}

fn block(block: &mut Block) {
    for op in &mut block.ops {
        named(&mut op.attributes);
        let precisions = match &mut op.kind {
            OpKind::Constant(constant) => {
                literal(constant);
                None
            }
            OpKind::CustomCall(call) => {
                named(&mut call.backend_attributes);
                None
            }
            OpKind::Composite { composite_attributes, .. } => {
                named(composite_attributes);
                None
            }
            OpKind::DotGeneral(dot) => Some(&mut dot.precision_config),
            OpKind::Dot { precision_config } => Some(precision_config),
            OpKind::Convolution(convolution) | OpKind::DynamicConv(convolution) => {
                Some(&mut convolution.precision_config)
            }
            _ => None,
        };
        if let Some(precisions) = precisions
            && precisions.is_empty()
        {
            precisions.extend([Precision::Default; 2]);
        }
        op.regions.iter_mut().for_each(self::block);
    }
}
