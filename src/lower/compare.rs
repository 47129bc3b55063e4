//! compare, select, clamp.
#![forbid(unsafe_code)]

use super::arithmetic::{direct, total_order};
use super::formula::{Formula, signed};
use super::{Context, LowerError, Lowered, Row, complex};
use crate::mlx::{self, Array, Stream};
use crate::program::{CompareType, Direction, ElementType, Op, OpKind};

/// Rows of the op table.
pub static ROWS: &[Row] = &[
    Row { name: "compare", note: "", elementwise: true, lower: compare },
    Row { name: "select", note: "", elementwise: true, lower: select },
    Row { name: "clamp", note: "", elementwise: true, lower: clamp },
];

fn comparison(direction: Direction) -> fn(&Array, &Array, Stream) -> mlx::Result<Array> {
    match direction {
        Direction::Eq => mlx::equal,
        Direction::Ne => mlx::not_equal,
        Direction::Ge => mlx::greater_equal,
        Direction::Gt => mlx::greater,
        Direction::Le => mlx::less_equal,
        Direction::Lt => mlx::less,
    }
}

fn compare(context: &mut Context<'_>, op: &Op) -> Result<Lowered, LowerError> {
    let OpKind::Compare { direction, compare_type } = op.kind else {
        return Err(context.invalid(op, "compare expected"));
    };
    let element = context.operand(op, 0)?.element;
    if element.is_small_float() {
        return Err(context.unsupported(op, "small floats are only converted and moved"));
    }
    let function = comparison(direction);
    Ok(if compare_type == CompareType::TotalOrder && element.is_float() {
        Lowered::one(move |inputs, stream| {
            let [left, right] = [0, 1].map(|index: usize| total_order(&Formula::of(inputs[index], stream)));
            left.apply2(right, function).finish()
        })
    } else if element.is_complex() && !matches!(direction, Direction::Eq | Direction::Ne) {
        // Not in the spec; lexicographic, as MLX and NumPy order them.
        Lowered::one(move |inputs, stream| {
            let [a, b] = [0, 1].map(|index: usize| Formula::of(inputs[index], stream));
            match direction {
                Direction::Gt => complex::greater(&a, &b),
                Direction::Lt => complex::greater(&b, &a),
                Direction::Ge => complex::greater(&a, &b).apply2(a.equal(&b), mlx::logical_or),
                _ => complex::greater(&b, &a).apply2(a.equal(&b), mlx::logical_or),
            }
            .finish()
        })
    } else {
        direct(function)
    })
}

fn select(context: &mut Context<'_>, op: &Op) -> Result<Lowered, LowerError> {
    if context.operand(op, 0)?.element != ElementType::Bool {
        return Err(context.invalid(op, "a predicate of i1 expected"));
    }
    let element = context.operand(op, 1)?.element;
    let zero = context.constant(op.operands[2]).is_some_and(|literal| literal.data.iter().all(|&byte| byte == 0));
    if zero && element.bytes() > 1 && context.operand(op, 0)?.shape == context.operand(op, 1)?.shape {
        return Ok(Lowered::one(|inputs, stream| {
            if stream.capabilities().vector_select {
                mlx::select(inputs[0], inputs[1], inputs[2], stream)
            } else {
                or_zero(&Formula::of(inputs[0], stream), &Formula::of(inputs[1], stream)).finish()
            }
        }));
    }
    Ok(Lowered::one(|inputs, stream| mlx::select(inputs[0], inputs[1], inputs[2], stream)))
}

/// Elements where the predicate holds, else 0: their bits and as many of its.
fn or_zero(predicate: &Formula, a: &Formula) -> Formula {
    let bits = signed(a.dtype());
    (a.view(bits) & -predicate.cast(bits)).view(a.dtype())
}

fn clamp(context: &mut Context<'_>, op: &Op) -> Result<Lowered, LowerError> {
    let element = context.operand(op, 0)?.element;
    Ok(match element {
        _ if element.is_small_float() => {
            return Err(context.unsupported(op, "small floats are only converted and moved"));
        }
        ElementType::Bool => Lowered::one(|inputs, stream| {
            mlx::logical_and(&mlx::logical_or(inputs[1], inputs[0], stream)?, inputs[2], stream)
        }),
        _ if element.is_complex() => return Err(context.unsupported(op, "complex numbers have no order")),
        // A NaN in any operand is the result, as MLX's maximum and minimum have it.
        _ => {
            Lowered::one(|inputs, stream| mlx::minimum(&mlx::maximum(inputs[1], inputs[0], stream)?, inputs[2], stream))
        }
    })
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Builder, bytes, elementwise, f32s, tensor};
    use crate::program::ElementType::{self, *};
    use crate::program::{CompareType, Direction, OpKind};

    fn compare(
        direction: Direction,
        compare_type: CompareType,
        element: ElementType,
        a: Vec<u8>,
        b: Vec<u8>,
    ) -> Vec<u8> {
        elementwise(OpKind::Compare { direction, compare_type }, &[(element, a), (element, b)], Bool).unwrap()
    }

    #[test]
    fn nan_compares_unequal() {
        let (a, b) = (bytes(&[f32::NAN, 1., -0.]), bytes(&[f32::NAN, 2., 0.]));
        let run = |direction| compare(direction, CompareType::Float, F32, a.clone(), b.clone());
        assert_eq!(run(Direction::Eq), [0, 0, 1]);
        assert_eq!(run(Direction::Ne), [1, 1, 0]);
        assert_eq!(run(Direction::Ge), [0, 0, 1]);
        assert_eq!(run(Direction::Gt), [0, 0, 0]);
        assert_eq!(run(Direction::Le), [0, 1, 1]);
        assert_eq!(run(Direction::Lt), [0, 1, 0]);
    }

    #[test]
    fn total_order_ranks_zeros_and_nan() {
        let ranked = [-f32::NAN, f32::NEG_INFINITY, -1., -0., 0., 1e-40, 1., f32::INFINITY, f32::NAN];
        let lesser = compare(
            Direction::Lt,
            CompareType::TotalOrder,
            F32,
            bytes(&ranked[..ranked.len() - 1]),
            bytes(&ranked[1..]),
        );
        assert_eq!(lesser, [1; 8]);
        let equal = compare(Direction::Eq, CompareType::TotalOrder, F32, bytes(&ranked), bytes(&ranked));
        assert_eq!(equal, [1; 9]);
    }

    #[test]
    fn integers_compare_by_their_own_sign() {
        let run = |element, compare_type| compare(Direction::Lt, compare_type, element, vec![255], vec![1]);
        assert_eq!(run(I8, CompareType::Signed), [1]);
        assert_eq!(run(U8, CompareType::Unsigned), [0]);
        assert_eq!(compare(Direction::Lt, CompareType::Unsigned, Bool, vec![0, 1, 1], vec![1, 1, 0]), [1, 0, 0]);
        assert_eq!(
            compare(Direction::Eq, CompareType::Float, C64, bytes(&[1f32, 2., 1., 3.]), bytes(&[1f32, 2., 1., 2.])),
            [1, 0]
        );
    }

    #[test]
    fn clamps_with_scalar_bounds_and_nan() {
        let mut builder = Builder::default();
        let (scalar, vector) = (tensor(F32, &[]), tensor(F32, &[4]));
        let arguments = [scalar.clone(), vector.clone(), scalar].map(|ty| builder.argument(ty));
        let results = builder.op(OpKind::Clamp, &arguments, vec![vector], vec![]);
        let outputs =
            builder.run(&results, &[bytes(&[0f32]), bytes(&[-1f32, 0.5, 7., f32::NAN]), bytes(&[1f32])]).unwrap();
        let outputs = f32s(&outputs[0]);
        assert_eq!(outputs[..3], [0., 0.5, 1.]);
        assert!(outputs[3].is_nan());
    }

    #[test]
    fn selects_with_a_scalar_predicate() {
        let mut builder = Builder::default();
        let vector = tensor(F32, &[2]);
        let arguments = [tensor(Bool, &[]), vector.clone(), vector.clone()].map(|ty| builder.argument(ty));
        let results = builder.op(OpKind::Select, &arguments, vec![vector], vec![]);
        let outputs = builder.run(&results, &[vec![1], bytes(&[1f32, 2.]), bytes(&[3f32, 4.])]).unwrap();
        assert_eq!(f32s(&outputs[0]), [1., 2.]);
    }
}
