//! A product with a converted boolean becomes a choice between the other factor and 0, as XLA's algebraic simplifier has
//! it: NaN and infinity times false are +0, and so are negative numbers.
//!
//! XLA does so where the converted boolean is itself a factor, for every numeric type but bf16 and the smaller floats. It
//! reshapes, transposes and repeats products rather than factors where both are moved in the same way, and repeats
//! after converting: a boolean that is repeated along some axis is no factor unless the other one is repeated likewise.
//! Constants are converted when the program is compiled, and are numbers. Integers are left alone: they have no other
//! result.
#![forbid(unsafe_code)]

use std::collections::{HashMap, HashSet};

use crate::program::{
    Binary, Block, CompileError, ElementType, Function, Literal, Location, Op, OpKind, Program, TensorType, Type,
    ValueId,
};

pub(super) fn run(program: &mut Program) -> Result<(), CompileError> {
    for function in &mut program.functions {
        let mut known = Known::default();
        let mut body = std::mem::take(&mut function.body);
        block(function, &mut body, &mut known);
        function.body = body;
    }
    Ok(())
}

/// What is known of the values of this block and of those around it. A name is defined once in a function, so what a
/// nested block adds does no harm outside of it.
#[derive(Default)]
struct Known {
    /// Ops that a mask may consist of.
    sources: HashMap<ValueId, Source>,
    /// Values that depend on nothing but constants.
    constants: HashSet<ValueId>,
}

enum Source {
    /// Of a boolean.
    Convert(ValueId),
    /// The same elements in another place.
    Move(ValueId, OpKind),
    /// Elements repeated.
    Repeat(ValueId, OpKind),
    /// The same elements, where XLA does not exchange the op with products.
    Reverse(ValueId),
}

fn block(function: &mut Function, block: &mut Block, known: &mut Known) {
    let mut ops = Vec::with_capacity(block.ops.len());
    for mut op in std::mem::take(&mut block.ops) {
        for region in &mut op.regions {
            self::block(function, region, known);
        }
        if let Some((factor, mask)) = factors(function, &op, known) {
            let mut boolean = mask.boolean;
            for (kind, shape) in mask.moves {
                let ty = TensorType::new(ElementType::Bool, shape);
                boolean = add(function, &mut ops, kind, &[boolean], ty, &op.location);
            }
            let ty = function.tensor(factor).expect("a factor of a product of tensors").clone();
            let literal = Literal { data: vec![0; ty.element.bytes()], splat: true, ty: ty.clone() };
            let zero = add(function, &mut ops, OpKind::Constant(literal), &[], ty, &op.location);
            op.kind = OpKind::Select;
            op.operands = vec![boolean, factor, zero];
        }
        learn(function, &op, known);
        ops.push(op);
    }
    block.ops = ops;
}

fn learn(function: &Function, op: &Op, known: &mut Known) {
    let &[result] = &op.results[..] else { return };
    // Iota has no operand, and XLA does not compute it beforehand.
    let constant = matches!(op.kind, OpKind::Constant(_))
        || (op.regions.is_empty()
            && !op.operands.is_empty()
            && !op.has_side_effect()
            && op.operands.iter().all(|operand| known.constants.contains(operand)));
    if constant {
        known.constants.insert(result);
    }
    let &[operand] = &op.operands[..] else { return };
    let source = match &op.kind {
        OpKind::Convert if is_bool(function, operand) => Source::Convert(operand),
        OpKind::Reverse { .. } => Source::Reverse(operand),
        OpKind::Reshape | OpKind::Transpose { .. } => Source::Move(operand, op.kind.clone()),
        OpKind::BroadcastInDim { .. } => {
            let elements = |value| function.tensor(value).map(|tensor| tensor.elements());
            let same = elements(operand) == elements(result);
            let source = if same { Source::Move } else { Source::Repeat };
            source(operand, op.kind.clone())
        }
        _ => return,
    };
    known.sources.insert(result, source);
}

fn is_bool(function: &Function, value: ValueId) -> bool {
    function.tensor(value).is_some_and(|tensor| tensor.element == ElementType::Bool)
}

/// A boolean, and how it is moved to be a mask: ops, and the shapes of their results.
struct Mask {
    boolean: ValueId,
    moves: Vec<(OpKind, Vec<i64>)>,
}

/// The other factor and the boolean, of a product with a mask.
fn factors(function: &Function, op: &Op, known: &Known) -> Option<(ValueId, Mask)> {
    let (&[a, b], &[result]) = (&op.operands[..], &op.results[..]) else { return None };
    let product = function.tensor(result)?;
    let applies = matches!(product.element, ElementType::F16 | ElementType::F32 | ElementType::F64 | ElementType::C64)
        && product.is_static()
        && is_elementwise_product(function, op);
    if !applies {
        return None;
    }
    let usable = |value: ValueId| function.ty(value) == function.ty(result);
    [(a, b), (b, a)].into_iter().find_map(|(factor, mask)| {
        let mask = boolean(function, known, factor, mask)?;
        usable(factor).then_some((factor, mask))
    })
}

/// Multiply, and the product of matrices whose dimensions are all of the batch.
fn is_elementwise_product(function: &Function, op: &Op) -> bool {
    match &op.kind {
        OpKind::Binary(Binary::Multiply) => true,
        OpKind::DotGeneral(dot) => {
            let ranks = op.operands.iter().map(|&operand| function.tensor(operand).map(|tensor| tensor.rank()));
            dot.algorithm.is_none()
                && dot.lhs_batching_dimensions == dot.rhs_batching_dimensions
                && ranks
                    .into_iter()
                    .all(|rank| rank.is_some_and(|rank| dot.lhs_batching_dimensions.iter().copied().eq(0..rank as i64)))
        }
        _ => false,
    }
}

/// The boolean that a factor is made of, where XLA sees it, given the other factor.
fn boolean(function: &Function, known: &Known, mut factor: ValueId, mut mask: ValueId) -> Option<Mask> {
    let mut moves = Vec::new();
    loop {
        match known.sources.get(&mask)? {
            Source::Convert(boolean) => {
                moves.reverse();
                return is_seen(function, known, factor, *boolean).then_some(Mask { boolean: *boolean, moves });
            }
            Source::Move(inner, kind) | Source::Repeat(inner, kind) => {
                moves.push((kind.clone(), shape(function, mask)?.to_vec()));
                factor = moved_alike(function, known, factor, *inner, kind)?;
                mask = *inner;
            }
            Source::Reverse(_) => return None,
        }
    }
}

/// What a factor is made of by the same op as a mask is of `inner`.
fn moved_alike(function: &Function, known: &Known, factor: ValueId, inner: ValueId, kind: &OpKind) -> Option<ValueId> {
    match known.sources.get(&factor)? {
        Source::Move(other, other_kind) | Source::Repeat(other, other_kind) => {
            (kind == other_kind && shape(function, inner) == shape(function, *other)).then_some(*other)
        }
        _ => None,
    }
}

/// Whether XLA converts this boolean where it stands.
fn is_seen(function: &Function, known: &Known, factor: ValueId, boolean: ValueId) -> bool {
    let mut inner = boolean;
    while let Some(Source::Move(operand, _) | Source::Reverse(operand)) = known.sources.get(&inner) {
        inner = *operand;
    }
    let whole = match known.sources.get(&inner) {
        Some(Source::Repeat(repeated, kind)) => {
            inner == boolean && moved_alike(function, known, factor, *repeated, kind).is_some()
        }
        _ => true,
    };
    whole && !known.constants.contains(&boolean)
}

fn shape(function: &Function, value: ValueId) -> Option<&[i64]> {
    function.tensor(value).map(|tensor| &tensor.shape[..])
}

fn add(
    function: &mut Function,
    ops: &mut Vec<Op>,
    kind: OpKind,
    operands: &[ValueId],
    ty: TensorType,
    location: &Location,
) -> ValueId {
    let result = function.add_value(Type::Tensor(ty));
    ops.push(Op {
        kind,
        operands: operands.to_vec(),
        results: vec![result],
        regions: Vec::new(),
        attributes: Default::default(),
        location: location.clone(),
    });
    result
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::program::DotGeneral;
    use crate::program::ElementType::*;
    use crate::program::testing::{Builder, bytes, tensor};

    /// The op kinds of @main after the pass.
    fn after(builder: Builder, results: &[ValueId]) -> Vec<String> {
        let mut function = builder.function;
        function.body.results = results.to_vec();
        let mut program = Program { functions: vec![function], ..Default::default() };
        run(&mut program).expect("never fails");
        crate::program::verify::verify(&program).expect("still valid");
        program.functions[0].body.ops.iter().map(|op| op.kind.name().to_owned()).collect()
    }

    const MULTIPLY: OpKind = OpKind::Binary(Binary::Multiply);

    fn product(element: ElementType, mask_first: bool) -> Vec<String> {
        let mut builder = Builder::default();
        let ty = tensor(element, &[3]);
        let (x, m) = (builder.argument(ty.clone()), builder.argument(tensor(Bool, &[3])));
        let k = builder.op(OpKind::Convert, &[m], vec![ty.clone()], vec![])[0];
        let operands = if mask_first { [k, x] } else { [x, k] };
        let results = builder.op(MULTIPLY, &operands, vec![ty], vec![]);
        after(builder, &results)
    }

    #[test]
    fn a_converted_boolean_chooses_in_either_order() {
        for element in [F16, F32, F64, C64] {
            for mask_first in [false, true] {
                assert_eq!(product(element, mask_first), ["convert", "constant", "select"], "{element}");
            }
        }
        for element in [BF16, I32, F8E5M2] {
            assert_eq!(product(element, false), ["convert", "multiply"], "{element}");
        }
    }

    /// `repeat_x`: the other factor is repeated as well; `converted`: before the mask is repeated.
    fn repeated(repeat_x: bool, converted: bool) -> Vec<String> {
        let mut builder = Builder::default();
        let (row, matrix) = (vec![tensor(F32, &[3])], vec![tensor(F32, &[2, 3])]);
        let broadcast = || OpKind::BroadcastInDim { broadcast_dimensions: vec![1] };
        let m = builder.argument(tensor(Bool, &[3]));
        let x = if repeat_x {
            let x = builder.argument(row[0].clone());
            builder.op(broadcast(), &[x], matrix.clone(), vec![])[0]
        } else {
            builder.argument(matrix[0].clone())
        };
        let k = if converted {
            let k = builder.op(OpKind::Convert, &[m], row, vec![]);
            builder.op(broadcast(), &k, matrix.clone(), vec![])
        } else {
            let m = builder.op(broadcast(), &[m], vec![tensor(Bool, &[2, 3])], vec![]);
            builder.op(OpKind::Convert, &m, matrix.clone(), vec![])
        };
        let results = builder.op(MULTIPLY, &[x, k[0]], matrix, vec![]);
        after(builder, &results)
    }

    #[test]
    fn a_repeated_boolean_chooses_among_what_is_repeated_alike() {
        for converted in [false, true] {
            assert!(repeated(false, converted).contains(&"multiply".to_owned()));
            assert!(repeated(true, converted).contains(&"select".to_owned()));
        }
    }

    /// `converted`: before the mask is reshaped; `alike`: the other factor is reshaped as well.
    fn reshaped(converted: bool, alike: bool) -> Vec<String> {
        let mut builder = Builder::default();
        let matrix = vec![tensor(F32, &[2, 3])];
        let m = builder.argument(tensor(Bool, &[6]));
        let x = if alike {
            let x = builder.argument(tensor(F32, &[6]));
            builder.op(OpKind::Reshape, &[x], matrix.clone(), vec![])[0]
        } else {
            builder.argument(matrix[0].clone())
        };
        let k = if converted {
            let k = builder.op(OpKind::Convert, &[m], vec![tensor(F32, &[6])], vec![]);
            builder.op(OpKind::Reshape, &k, matrix.clone(), vec![])
        } else {
            let m = builder.op(OpKind::Reshape, &[m], vec![tensor(Bool, &[2, 3])], vec![]);
            builder.op(OpKind::Convert, &m, matrix.clone(), vec![])
        };
        let results = builder.op(MULTIPLY, &[x, k[0]], matrix, vec![]);
        after(builder, &results)
    }

    #[test]
    fn moved_booleans_choose_and_moved_numbers_do_so_among_what_is_moved_alike() {
        assert!(reshaped(false, false).contains(&"select".to_owned()));
        assert!(reshaped(false, true).contains(&"select".to_owned()));
        assert!(reshaped(true, true).contains(&"select".to_owned()));
        assert!(reshaped(true, false).contains(&"multiply".to_owned()));
    }

    #[test]
    fn what_is_known_at_compile_time_is_a_number() {
        let mut builder = Builder::default();
        let ty = tensor(F32, &[2]);
        let x = builder.argument(ty.clone());
        let literal = Literal { ty: TensorType::new(Bool, [2]), data: bytes(&[false, true]), splat: false };
        let m = builder.op(OpKind::Constant(literal), &[], vec![tensor(Bool, &[2])], vec![]);
        let m = builder.op(OpKind::Unary(crate::program::Unary::Not), &m, vec![tensor(Bool, &[2])], vec![]);
        let k = builder.op(OpKind::Convert, &m, vec![ty.clone()], vec![])[0];
        let results = builder.op(MULTIPLY, &[x, k], vec![ty], vec![]);
        assert_eq!(after(builder, &results), ["constant", "not", "convert", "multiply"]);
    }

    #[test]
    fn a_product_over_the_batch_alone_is_elementwise() {
        for batch in [1, 2] {
            let mut builder = Builder::default();
            let ty = tensor(F32, &[2, 2]);
            let (x, m) = (builder.argument(ty.clone()), builder.argument(tensor(Bool, &[2, 2])));
            let k = builder.op(OpKind::Convert, &[m], vec![ty.clone()], vec![])[0];
            let dimensions: Vec<i64> = (0..batch).collect();
            let contracted = if batch == 1 { vec![1] } else { vec![] };
            let dot = OpKind::DotGeneral(DotGeneral {
                lhs_batching_dimensions: dimensions.clone(),
                rhs_batching_dimensions: dimensions,
                lhs_contracting_dimensions: contracted.clone(),
                rhs_contracting_dimensions: contracted,
                precision_config: vec![],
                algorithm: None,
            });
            let result = if batch == 1 { tensor(F32, &[2]) } else { ty };
            let results = builder.op(dot, &[x, k], vec![result], vec![]);
            assert_eq!(after(builder, &results).contains(&"select".to_owned()), batch == 2);
        }
    }
}
