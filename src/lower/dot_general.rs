//! dot_general and its deprecated form dot.
#![forbid(unsafe_code)]

mod long;
pub(super) mod product;

use self::product::{Extent, MatrixProduct, swap_last};
use super::expression::{Elementwise, expression};
use super::{Context, LowerError, Lowered, Row, shape_i32, storage};
use crate::expression::convert::convert;
use crate::mlx::{self, Array, Stream};
use crate::plan::Placement;
use crate::program::{DotGeneral, ElementType, Op, OpKind, TensorType};

/// Rows of the op table.
pub static ROWS: &[Row] = &[
    Row {
        name: "dot_general",
        note: "sums of bf16 and f16 are kept in f32; integers are exact and wrap; precision_config is always the highest",
        lower: dot_general,
    },
    Row { name: "dot", note: "as dot_general", lower: dot },
];

fn dot_general(context: &mut Context<'_>, op: &Op) -> Result<Lowered, LowerError> {
    let OpKind::DotGeneral(dot) = &op.kind else {
        return Err(context.invalid(op, "attributes of dot_general are missing"));
    };
    contract(context, op, dot)
}

/// Vectors or matrices: the last dimension of the left side with the first of the right.
fn dot(context: &mut Context<'_>, op: &Op) -> Result<Lowered, LowerError> {
    let rank = context.operand(op, 0)?.rank() as i64;
    if !(1..=2).contains(&rank) || !(1..=2).contains(&context.operand(op, 1)?.rank()) {
        return Err(context.invalid(op, "vectors or matrices expected"));
    }
    let dot = DotGeneral {
        lhs_batching_dimensions: Vec::new(),
        rhs_batching_dimensions: Vec::new(),
        lhs_contracting_dimensions: vec![rank - 1],
        rhs_contracting_dimensions: vec![0],
        precision_config: Vec::new(),
        algorithm: None,
    };
    contract(context, op, &dot)
}

/// How an operand becomes `[batch…, free, contracted]`.
struct Side {
    /// None for the identity.
    permutation: Option<Vec<i32>>,
    /// After the permutation: `[batch…, free, contracted]`, or with the last two exchanged.
    shape: Vec<i32>,
    /// Whether the last two are exchanged: so they come when the operand's last dimension is a free one, and a transposed
    /// matrix costs nothing.
    contracted_first: bool,
    free: Vec<i64>,
}

impl Side {
    fn new(operand: &TensorType, batching: &[usize], contracting: &[usize]) -> Result<Self, LowerError> {
        let rank = operand.rank();
        let free: Vec<usize> =
            (0..rank).filter(|axis| !batching.contains(axis) && !contracting.contains(axis)).collect();
        let contracted_first = free.last().is_some_and(|last| contracting.iter().all(|axis| axis < last));
        let (second, third) = if contracted_first { (contracting, &free[..]) } else { (&free[..], contracting) };
        let order: Vec<usize> = [batching, second, third].concat();
        let size = |axes: &[usize]| axes.iter().map(|&axis| operand.shape[axis]).product::<i64>();
        let mut shape: Vec<i64> = batching.iter().map(|&axis| operand.shape[axis]).collect();
        shape.extend([size(second), size(third)]);
        Ok(Self {
            permutation: (!order.iter().copied().eq(0..rank)).then(|| order.iter().map(|&axis| axis as i32).collect()),
            shape: shape_i32(&shape)?,
            contracted_first,
            free: free.iter().map(|&axis| operand.shape[axis]).collect(),
        })
    }

    /// The operand as a matrix; `contracted_first` as asked for.
    fn matrix(&self, a: &Array, contracted_first: bool, stream: Stream) -> mlx::Result<Array> {
        let mut a = match &self.permutation {
            Some(permutation) => mlx::transpose(a, permutation, stream)?,
            None => a.clone(),
        };
        if a.shape() != self.shape {
            a = mlx::reshape(&a, &self.shape, stream)?;
        }
        if self.contracted_first == contracted_first { Ok(a) } else { swap_last(&a, stream) }
    }
}

fn contract(context: &Context<'_>, op: &Op, dot: &DotGeneral) -> Result<Lowered, LowerError> {
    let (lhs, rhs, result) = (context.operand(op, 0)?, context.operand(op, 1)?, context.result(op, 0)?);
    let axes = |dimensions: &[i64], ty: &TensorType| -> Result<Vec<usize>, LowerError> {
        let axes: Option<Vec<usize>> =
            dimensions.iter().map(|&axis| usize::try_from(axis).ok().filter(|&axis| axis < ty.rank())).collect();
        axes.ok_or_else(|| context.invalid(op, &format!("dimensions {dimensions:?} of {ty}")))
    };
    let lhs_batching = axes(&dot.lhs_batching_dimensions, lhs)?;
    let rhs_batching = axes(&dot.rhs_batching_dimensions, rhs)?;
    let mut lhs_contracting = axes(&dot.lhs_contracting_dimensions, lhs)?;
    let mut rhs_contracting = axes(&dot.rhs_contracting_dimensions, rhs)?;
    let sizes = |axes: &[usize], ty: &TensorType| axes.iter().map(|&axis| ty.shape[axis]).collect::<Vec<i64>>();
    let distinct = |first: &[usize], second: &[usize]| {
        let mut all = [first, second].concat();
        all.sort_unstable();
        all.windows(2).all(|pair| pair[0] != pair[1])
    };
    if sizes(&lhs_batching, lhs) != sizes(&rhs_batching, rhs)
        || sizes(&lhs_contracting, lhs) != sizes(&rhs_contracting, rhs)
        || !distinct(&lhs_batching, &lhs_contracting)
        || !distinct(&rhs_batching, &rhs_contracting)
    {
        return Err(context.invalid(op, "the batching or contracting dimensions do not fit"));
    }
    // The order of the contracted dimensions is free: that of the greater operand saves its copy.
    let mut pairs: Vec<(usize, usize)> = lhs_contracting.iter().copied().zip(rhs_contracting.iter().copied()).collect();
    pairs.sort_unstable_by_key(|&(left, right)| if lhs.elements() >= rhs.elements() { left } else { right });
    (lhs_contracting, rhs_contracting) = pairs.into_iter().unzip();

    let left = Side::new(lhs, &lhs_batching, &lhs_contracting)?;
    let right = Side::new(rhs, &rhs_batching, &rhs_contracting)?;
    let mut expected = sizes(&lhs_batching, lhs);
    expected.extend(left.free.iter().chain(&right.free));
    if expected != result.shape {
        return Err(context.invalid(op, &format!("the result's shape is not {expected:?}")));
    }
    let product_of = |sizes: &[i64]| sizes.iter().map(|&size| size as usize).product::<usize>();
    let extent = Extent {
        batch: product_of(&sizes(&lhs_batching, lhs)),
        m: product_of(&left.free),
        n: product_of(&right.free),
        k: product_of(&sizes(&lhs_contracting, lhs)),
    };
    let shape = shape_i32(&result.shape)?;
    let (from, to) = (ElementType::of_product(lhs.element, rhs.element, result.element), result.element);
    let product = MatrixProduct::new(context, op, lhs.element, rhs.element, from, extent, dot.algorithm.as_ref())?;
    let dtype = storage(to).ok_or_else(|| context.unsupported(op, &format!("mlx has no {to}")))?;
    if result.elements() == 0 || extent.k == 0 {
        return Ok(Lowered::one(move |_, stream| mlx::zeros(&shape, dtype, stream)));
    }
    let converted = match expression(&context.target(op), &[from], |terms| [convert(&terms[0], from, to)]) {
        Some(expression) if from != to => Some(Elementwise::new(&expression)?),
        _ => None,
    };
    let placement = product.placement();
    let lowered = Lowered::one(move |inputs, stream| {
        let a = left.matrix(&product.prepare_lhs(inputs[0], stream)?, false, stream)?;
        let b = right.matrix(&product.prepare_rhs(inputs[1], stream)?, true, stream)?;
        let mut product = product.multiply(&a, &b, stream)?;
        if let Some(converted) = &converted {
            product = converted.one(&[&product], stream)?;
        }
        if product.shape() == shape { Ok(product) } else { mlx::reshape(&product, &shape, stream) }
    });
    Ok(match placement {
        Placement::Cpu => lowered.on_cpu(),
        Placement::Device | Placement::Regions => lowered,
    })
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Builder, Number, bytes, f32s, i32s, tensor};
    use crate::program::{DotAlgorithm, DotGeneral, ElementType, OpKind};

    fn dimensions(batching: [&[i64]; 2], contracting: [&[i64]; 2]) -> DotGeneral {
        DotGeneral {
            lhs_batching_dimensions: batching[0].to_vec(),
            rhs_batching_dimensions: batching[1].to_vec(),
            lhs_contracting_dimensions: contracting[0].to_vec(),
            rhs_contracting_dimensions: contracting[1].to_vec(),
            precision_config: vec![],
            algorithm: None,
        }
    }

    fn run(dot: DotGeneral, types: [(ElementType, &[i64]); 3], lhs: Vec<u8>, rhs: Vec<u8>) -> Result<Vec<u8>, String> {
        let mut builder = Builder::default();
        let a = builder.argument(tensor(types[0].0, types[0].1));
        let b = builder.argument(tensor(types[1].0, types[1].1));
        let result = builder.op(OpKind::DotGeneral(dot), &[a, b], vec![tensor(types[2].0, types[2].1)], vec![]);
        Ok(builder.run(&result, &[lhs, rhs])?.remove(0))
    }

    /// A matrix product mod 2^64, whose low bits are those of every narrower type.
    fn reference(a: &[i64], b: &[i64], (m, n, k): (usize, usize, usize)) -> Vec<i64> {
        let mut result = vec![0i64; m * n];
        for row in 0..m {
            for column in 0..n {
                for index in 0..k {
                    let product = a[row * k + index].wrapping_mul(b[index * n + column]);
                    result[row * n + column] = result[row * n + column].wrapping_add(product);
                }
            }
        }
        result
    }

    /// Numbers that fill the width of the type (a linear congruential generator's high bits).
    fn noise(count: usize, seed: u64) -> Vec<i64> {
        let mut state = seed;
        (0..count)
            .map(|_| {
                state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
                state.rotate_left(29) as i64
            })
            .collect()
    }

    fn check_integers<A: Number, R: Number + PartialEq + std::fmt::Debug>(
        operand: ElementType,
        result: ElementType,
        (m, n, k): (usize, usize, usize),
        narrow: fn(i64) -> A,
        widen: fn(A) -> i64,
        cast: fn(i64) -> R,
    ) {
        let a: Vec<A> = noise(m * k, 1).into_iter().map(narrow).collect();
        let b: Vec<A> = noise(k * n, 2).into_iter().map(narrow).collect();
        let wide = |values: &[A]| values.iter().map(|&value| widen(value)).collect::<Vec<i64>>();
        let expected: Vec<R> = reference(&wide(&a), &wide(&b), (m, n, k)).into_iter().map(cast).collect();
        let shapes = [[m as i64, k as i64], [k as i64, n as i64], [m as i64, n as i64]];
        let outcome = run(
            dimensions([&[], &[]], [&[1], &[0]]),
            [(operand, &shapes[0]), (operand, &shapes[1]), (result, &shapes[2])],
            bytes(&a),
            bytes(&b),
        )
        .unwrap();
        assert_eq!(outcome, bytes(&expected), "{operand} {result} {m} {n} {k}");
    }

    #[test]
    fn integers_wrap_exactly() {
        // One shape per method: multiply and sum, f32, f64, limbs.
        for size in [(3, 4, 5), (40, 30, 50), (40, 30, 1500)] {
            check_integers::<i8, i32>(ElementType::I8, ElementType::I32, size, |x| x as i8, i64::from, |x| x as i32);
            check_integers::<i8, i8>(ElementType::I8, ElementType::I8, size, |x| x as i8, i64::from, |x| x as i8);
            check_integers::<u8, u8>(ElementType::U8, ElementType::U8, size, |x| x as u8, i64::from, |x| x as u8);
            check_integers::<u16, u32>(ElementType::U16, ElementType::U32, size, |x| x as u16, i64::from, |x| x as u32);
            check_integers::<i32, i32>(ElementType::I32, ElementType::I32, size, |x| x as i32, i64::from, |x| x as i32);
            check_integers::<u32, u32>(ElementType::U32, ElementType::U32, size, |x| x as u32, i64::from, |x| x as u32);
            check_integers::<i64, i64>(ElementType::I64, ElementType::I64, size, |x| x, |x| x, |x| x);
            check_integers::<u64, u64>(
                ElementType::U64,
                ElementType::U64,
                size,
                |x| x as u64,
                |x| x as i64,
                |x| x as u64,
            );
        }
    }

    #[test]
    fn four_bit_results_wrap() {
        let dot = dimensions([&[], &[]], [&[0], &[0]]);
        let types: [(ElementType, &[i64]); 3] =
            [(ElementType::I4, &[2]), (ElementType::I4, &[2]), (ElementType::I4, &[])];
        // 7·7 + 3·1 = 52 = 4 mod 16; 7·1 + 2·1 = 9 = -7 mod 16.
        assert_eq!(run(dot.clone(), types, bytes(&[7i8, 3]), bytes(&[7i8, 1])).unwrap(), bytes(&[4i8]));
        assert_eq!(run(dot, types, bytes(&[7i8, 2]), bytes(&[1i8, 1])).unwrap(), bytes(&[-7i8]));
    }

    #[test]
    fn products_of_floats_become_integers() {
        let dot = || dimensions([&[], &[]], [&[0], &[0]]);
        let outcome = |from: ElementType, to: ElementType, lhs: Vec<u8>, rhs: Vec<u8>| {
            run(dot(), [(from, &[2]), (from, &[2]), (to, &[])], lhs, rhs).unwrap()
        };
        let single = |values: [f32; 2]| bytes(&values);
        assert_eq!(
            outcome(ElementType::F32, ElementType::I32, single([0.5, -2.75]), single([1., 3.])),
            bytes(&[-7i32])
        );
        assert_eq!(outcome(ElementType::F32, ElementType::U8, single([300., 2.]), single([1., 1.])), [255]);
        assert_eq!(outcome(ElementType::F32, ElementType::Bool, single([1., -1.]), single([1., 1.])), [0]);
        assert_eq!(
            outcome(ElementType::F32, ElementType::I32, single([f32::NAN, 2.]), single([1., 1.])),
            bytes(&[0i32])
        );
        // 257 is no bf16: the product is rounded first.
        let half = |values: [f32; 2]| bytes(&values.map(half::bf16::from_f32));
        assert_eq!(outcome(ElementType::BF16, ElementType::I32, half([256., 1.]), half([1., 1.])), bytes(&[256i32]));
        assert_eq!(
            outcome(ElementType::F64, ElementType::I64, bytes(&[1e12, 0.]), bytes(&[3., 1.])),
            bytes(&[3e12 as i64])
        );
        // (1 + 2i) i + 3.5 = 1.5 + i.
        let (lhs, rhs) = (bytes(&[1f32, 2., 3.5, 0.]), bytes(&[0f32, 1., 1., 0.]));
        assert_eq!(outcome(ElementType::C64, ElementType::F32, lhs.clone(), rhs.clone()), bytes(&[1.5f32]));
        assert_eq!(outcome(ElementType::C64, ElementType::I32, lhs, rhs), bytes(&[1i32]));
    }

    #[test]
    fn bools_are_or_of_and() {
        let outcome = run(
            dimensions([&[], &[]], [&[1], &[1]]),
            [(ElementType::Bool, &[2, 2]), (ElementType::Bool, &[2, 2]), (ElementType::Bool, &[2, 2])],
            vec![1, 0, 1, 1],
            vec![0, 1, 1, 1],
        );
        assert_eq!(outcome.unwrap(), [0, 1, 1, 1]);
    }

    #[test]
    fn any_dimension_numbers() {
        // lhs [k1=2, b=2, m=3, k2=2], rhs [n=2, k2=2, b=2, k1=2]: result [b, m, n].
        let (lhs_shape, rhs_shape) = ([2usize, 2, 3, 2], [2usize, 2, 2, 2]);
        let lhs: Vec<f32> = (0..24).map(|x| x as f32 - 11.).collect();
        let rhs: Vec<f32> = (0..16).map(|x| (x * 7 % 5) as f32 - 2.).collect();
        let at = |shape: &[usize; 4], index: [usize; 4]| index.iter().zip(shape).fold(0, |at, (i, size)| at * size + i);
        let mut expected = Vec::new();
        for b in 0..2 {
            for m in 0..3 {
                for n in 0..2 {
                    let mut sum = 0.;
                    for k1 in 0..2 {
                        for k2 in 0..2 {
                            sum += lhs[at(&lhs_shape, [k1, b, m, k2])] * rhs[at(&rhs_shape, [n, k2, b, k1])];
                        }
                    }
                    expected.push(sum);
                }
            }
        }
        let types: [(ElementType, &[i64]); 3] =
            [(ElementType::F32, &[2, 2, 3, 2]), (ElementType::F32, &[2, 2, 2, 2]), (ElementType::F32, &[2, 3, 2])];
        for order in [([0, 3], [3, 1]), ([3, 0], [1, 3])] {
            let dot = dimensions([&[1], &[2]], [&order.0, &order.1]);
            assert_eq!(f32s(&run(dot, types, bytes(&lhs), bytes(&rhs)).unwrap()), expected);
        }
    }

    #[test]
    fn nothing_to_contract() {
        let outer = run(
            dimensions([&[], &[]], [&[], &[]]),
            [(ElementType::F32, &[2]), (ElementType::F32, &[2]), (ElementType::F32, &[2, 2])],
            bytes(&[1f32, 2.]),
            bytes(&[3f32, -5.]),
        );
        assert_eq!(f32s(&outer.unwrap()), [3., -5., 6., -10.]);
        let scalars = run(
            dimensions([&[], &[]], [&[], &[]]),
            [(ElementType::I32, &[]), (ElementType::I32, &[]), (ElementType::I32, &[])],
            bytes(&[6i32]),
            bytes(&[-7i32]),
        );
        assert_eq!(i32s(&scalars.unwrap()), [-42]);
    }

    #[test]
    fn empty_sums_are_zero() {
        for (element, one) in [(ElementType::F32, 4), (ElementType::I32, 4), (ElementType::C64, 8)] {
            let outcome = run(
                dimensions([&[], &[]], [&[1], &[0]]),
                [(element, &[2, 0]), (element, &[0, 3]), (element, &[2, 3])],
                vec![],
                vec![],
            );
            assert_eq!(outcome.unwrap(), vec![0; 6 * one]);
        }
        let outcome = run(
            dimensions([&[0], &[0]], [&[2], &[1]]),
            [(ElementType::F32, &[0, 2, 3]), (ElementType::F32, &[0, 3, 2]), (ElementType::F32, &[0, 2, 2])],
            vec![],
            vec![],
        );
        assert_eq!(outcome.unwrap(), Vec::<u8>::new());
    }

    #[test]
    fn halves_are_summed_in_single() {
        // In bf16, 256 + 1 is 256: only a wider sum gives 512 here.
        let ones = vec![half::bf16::ONE; 512];
        for (element, expected) in
            [(ElementType::BF16, bytes(&[half::bf16::from_f32(512.)])), (ElementType::F32, bytes(&[512f32]))]
        {
            let outcome = run(
                dimensions([&[], &[]], [&[0], &[0]]),
                [(ElementType::BF16, &[512]), (ElementType::BF16, &[512]), (element, &[])],
                bytes(&ones),
                bytes(&ones),
            );
            assert_eq!(outcome.unwrap(), expected);
        }
    }

    #[test]
    fn complex_products() {
        // (1 + 2i)(3 - i) + (0 + i)(2 + 0i) = 5 + 7i.
        let outcome = run(
            dimensions([&[], &[]], [&[1], &[0]]),
            [(ElementType::C64, &[1, 2]), (ElementType::C64, &[2, 1]), (ElementType::C64, &[1, 1])],
            bytes(&[1f32, 2., 0., 1.]),
            bytes(&[3f32, -1., 2., 0.]),
        );
        assert_eq!(f32s(&outcome.unwrap()), [5., 7.]);
    }

    #[test]
    fn algorithms_round_their_operands() {
        let with = |precision, operations| {
            let mut dot = dimensions([&[], &[]], [&[0], &[0]]);
            dot.algorithm = Some(DotAlgorithm {
                lhs_precision_type: tensor(precision, &[]),
                rhs_precision_type: tensor(precision, &[]),
                accumulation_type: tensor(ElementType::F32, &[]),
                lhs_component_count: 1,
                rhs_component_count: 1,
                num_primitive_operations: operations,
                allow_imprecise_accumulation: false,
            });
            let types: [(ElementType, &[i64]); 3] =
                [(ElementType::F32, &[2]), (ElementType::F32, &[2]), (ElementType::F32, &[])];
            run(dot, types, bytes(&[1.001f32, 0.]), bytes(&[1f32, 0.])).map(|outcome| f32s(&outcome)[0])
        };
        assert_eq!(with(ElementType::BF16, 1).unwrap(), 1.);
        assert_eq!(with(ElementType::BF16, 3).unwrap(), 1.001);
        assert_eq!(with(ElementType::F32, 1).unwrap(), 1.001);
        assert!(with(ElementType::F8E4M3FN, 1).unwrap_err().contains("not supported"));
    }
}
