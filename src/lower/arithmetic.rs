//! add, subtract, multiply, divide, remainder, power, negate, abs, sign, maximum, minimum.
#![forbid(unsafe_code)]

use super::{Context, LowerError, Lowered, Row};
use crate::mlx;
use crate::program::{ElementType, Op};

/// Rows of the op table.
pub static ROWS: &[Row] = &[Row { name: "add", note: "", elementwise: true, lower: add }];

fn add(context: &mut Context<'_>, op: &Op) -> Result<Lowered, LowerError> {
    Ok(match context.result(op, 0)?.element {
        ElementType::Bool => Lowered::one(|inputs, stream| mlx::logical_or(inputs[0], inputs[1], stream)),
        _ => Lowered::one(|inputs, stream| mlx::add(inputs[0], inputs[1], stream)),
    })
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Builder, bytes, f32s, tensor};
    use crate::program::{Binary, ElementType, OpKind};

    #[test]
    fn adds() {
        let mut builder = Builder::default();
        let ty = tensor(ElementType::F32, &[2]);
        let a = builder.argument(ty.clone());
        let b = builder.argument(ty.clone());
        let sum = builder.op(OpKind::Binary(Binary::Add), &[a, b], vec![ty], vec![]);
        let outputs = builder.run(&sum, &[bytes(&[1f32, 2.]), bytes(&[3f32, -5.])]).unwrap();
        assert_eq!(f32s(&outputs[0]), [4., -3.]);
    }
}
