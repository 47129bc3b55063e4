//! rng_bit_generator, and the deprecated rng.
#![forbid(unsafe_code)]

mod hash;
mod philox;
mod threefry;

pub(super) use hash::threefry2x32;

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use super::expression::Elementwise;
use super::{Context, LowerError, Lowered, Row, shape_i32, storage};
use crate::expression::{Expression, Scalar, random};
use crate::mlx::{self, Array, Dtype, Stream};
use crate::program::{ElementType, Op, OpKind, RngAlgorithm, RngDistribution};

/// Rows of the op table.
pub static ROWS: &[Row] = &[
    Row { name: "rng_bit_generator", note: "the bits that XLA:CPU gives; DEFAULT is Philox", lower: rng_bit_generator },
    Row { name: "rng", note: "other numbers at every call", lower: rng },
];

fn rng_bit_generator(context: &mut Context<'_>, op: &Op) -> Result<Lowered, LowerError> {
    let OpKind::RngBitGenerator { rng_algorithm } = op.kind else {
        return Err(context.invalid(op, "attributes of rng_bit_generator are missing"));
    };
    let state = context.operand(op, 0)?;
    let (new_state, result) = (context.result(op, 0)?, context.result(op, 1)?);
    let philox = rng_algorithm != RngAlgorithm::ThreeFry;
    if state != new_state || state.rank() != 1 {
        return Err(context.invalid(op, "the state is a vector, before and after"));
    }
    let words = state.shape[0];
    if state.element != ElementType::U64 || !(words == 2 || (philox && words == 3)) {
        return Err(context.unsupported(op, "a state other than ui64[2] (or ui64[3] for Philox)"));
    }
    if !result.element.is_integer() || result.element.is_small_integer() {
        return Err(context.unsupported(op, "random bits other than integers of 8 to 64 bits"));
    }
    let shape = shape_i32(&result.shape)?;
    let dtype = storage(result.element).expect("integers of 8 to 64 bits");
    let wide = result.element.bits() == 64;
    let elements = i32::try_from(result.elements()).map_err(|_| context.unsupported(op, "more than 2^31 elements"))?;
    let target = context.target(op);
    let generator = if philox {
        Generator::Philox(philox::Words::new(elements, wide, &target)?)
    } else {
        Generator::Threefry(threefry::Layout::new(&shape, wide, &target)?)
    };
    let counters = Array::from_bytes(&u64::from(generator.counters()).to_le_bytes(), &[], Dtype::Uint64)?;
    Ok(Lowered::new(move |inputs, stream| {
        if elements == 0 {
            return Ok(smallvec::smallvec![inputs[0].clone(), mlx::zeros(&shape, dtype, stream)?]);
        }
        let word = |index: i32| mlx::slice(inputs[0], &[index], &[index + 1], &[1], stream);
        let (key, low) = (word(0)?, word(1)?);
        let (new_state, bits) = match &generator {
            Generator::Philox(generator) => {
                // A state of two words has the key for its upper half of the counter too.
                let high = if words == 3 { word(2)? } else { key.clone() };
                let bits = generator.bits(&key, (&low, &high), &shape, stream)?;
                let (low, high) = generator.advance((&low, &high), &counters, stream)?;
                (if words == 3 { vec![key, low, high] } else { vec![key, low] }, bits)
            }
            Generator::Threefry(layout) => {
                let bits = layout.bits(&key, &low, &shape, stream)?;
                (vec![key, mlx::add(&low, &counters, stream)?], bits)
            }
        };
        let new_state = mlx::concatenate(&new_state.iter().collect::<Vec<_>>(), 0, stream)?;
        let bits = if bits.dtype() == dtype { bits } else { mlx::astype(&bits, dtype, stream)? };
        Ok(smallvec::smallvec![new_state, bits])
    }))
}

enum Generator {
    Philox(philox::Words),
    Threefry(threefry::Layout),
}

impl Generator {
    /// How many counters the bits take.
    fn counters(&self) -> u32 {
        match self {
            Self::Philox(words) => words.counters.unsigned_abs(),
            Self::Threefry(layout) => layout.counters.unsigned_abs(),
        }
    }
}

/// Uniform numbers of `[a, b)`, or normal ones of mean `a` and deviation `b`.
fn rng(context: &mut Context<'_>, op: &Op) -> Result<Lowered, LowerError> {
    let OpKind::Rng { rng_distribution } = op.kind else {
        return Err(context.invalid(op, "attributes of rng are missing"));
    };
    let result = context.result(op, 0)?;
    for index in 0..2 {
        let operand = context.operand(op, index)?;
        if operand.element != result.element || operand.rank() != 0 {
            return Err(context.invalid(op, "scalars of the result's type expected"));
        }
    }
    let shape = shape_i32(&result.shape)?;
    let Some(dtype) = storage(result.element) else {
        return Err(context.unsupported(op, &format!("mlx has no {}", result.element)));
    };
    let float = matches!(result.element, ElementType::F64 | ElementType::F32 | ElementType::F16 | ElementType::BF16);
    let integer = result.element.is_integer() && !result.element.is_small_integer();
    if !(float || integer && rng_distribution == RngDistribution::Uniform) {
        return Err(context.unsupported(op, "random numbers of this type and distribution"));
    }
    if result.elements() == 0 {
        return Ok(Lowered::one(move |_, stream| mlx::zeros(&shape, dtype, stream)));
    }
    i32::try_from(result.elements()).map_err(|_| context.unsupported(op, "more than 2^31 elements"))?;
    let target = context.target(op);
    let scalar = Scalar::of(result.element).ok_or_else(|| context.unsupported(op, "random numbers of this type"))?;
    let normal = !integer && rng_distribution == RngDistribution::Normal;
    let wide = integer || scalar == Scalar::F64;
    let bits = if wide { Scalar::U64 } else { Scalar::U32 };
    let expression = Expression::define(&target, &[scalar, scalar, bits, bits], |terms| {
        let [a, b, first, second] = [0, 1, 2, 3].map(|index: usize| &terms[index]);
        [match (integer, normal) {
            (true, _) => random::uniform_integer(first, a, b),
            (_, true) => random::normal([first, second], a, b),
            _ => random::unit(first, scalar) * (b - a) + a,
        }]
    });
    let numbers = Elementwise::new(&expression)?;
    let layout = threefry::Layout::new(&shape, wide, &target)?;
    Ok(Lowered::one(move |inputs, stream| {
        let first = fresh_bits(&layout, &shape, stream)?;
        let second = if normal { fresh_bits(&layout, &shape, stream)? } else { first.clone() };
        numbers.one(&[inputs[0], inputs[1], &first, &second], stream)
    }))
}

/// Bits that this process has not given before: Threefry under a key of the process's start.
fn fresh_bits(layout: &threefry::Layout, shape: &[i32], stream: Stream) -> mlx::Result<Array> {
    static KEY: OnceLock<u64> = OnceLock::new();
    static CALLS: AtomicU64 = AtomicU64::new(0);
    let key = *KEY.get_or_init(|| {
        SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |elapsed| elapsed.as_nanos() as u64)
    });
    // Each call has 2^32 counters of its own.
    let call = CALLS.fetch_add(1, Ordering::Relaxed) << 32;
    let vector = |value: u64| Array::from_bytes(&value.to_le_bytes(), &[1], Dtype::Uint64);
    layout.bits(&vector(key)?, &vector(call)?, shape, stream)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Builder, Number, bytes, f32s, i32s, tensor};
    use crate::program::{ElementType, OpKind, RngAlgorithm, RngDistribution};

    const KEY: u64 = 0x0123_4567_89ab_cdef;
    const COUNTER: u64 = 0xffff_ffff_ffff_fffe;

    fn check<T: Number>(
        algorithm: RngAlgorithm,
        element: ElementType,
        shape: &[i64],
        state: &[u64],
        new_state: &[u64],
        expected: &[T],
    ) {
        let mut builder = Builder::default();
        let ty = tensor(ElementType::U64, &[state.len() as i64]);
        let argument = builder.argument(ty.clone());
        let kind = OpKind::RngBitGenerator { rng_algorithm: algorithm };
        let results = builder.op(kind, &[argument], vec![ty, tensor(element, shape)], vec![]);
        let outcome = builder.run(&results, &[bytes(state)]).unwrap();
        assert_eq!(outcome[0], bytes(new_state), "{algorithm:?} {element} {shape:?}");
        assert_eq!(outcome[1], bytes(expected), "{algorithm:?} {element} {shape:?}");
    }

    // The numbers are those of XLA:CPU for this state.
    #[test]
    fn threefry() {
        let words: [u32; 15] = [
            0xb0f4215b, 0xe19a60b4, 0xb3d7494, 0xacf8c4dc, 0xaaa4d889, 0x75a52907, 0xd3dd8613, 0x35d0e5f1, 0x8ed17fe4,
            0x7c2f19d8, 0xde79bbbd, 0x1713fd18, 0xb09d029e, 0x7d84f441, 0x6ca3e732,
        ];
        let state = [KEY, COUNTER];
        let after = |count: u64| [KEY, COUNTER.wrapping_add(count)];
        let algorithm = RngAlgorithm::ThreeFry;
        check(algorithm, ElementType::U32, &[], &state, &after(1), &words[..1]);
        check(algorithm, ElementType::U32, &[5], &state, &after(3), &words[..5]);
        check(algorithm, ElementType::U32, &[3, 5], &state, &after(9), &words);
        check(algorithm, ElementType::U32, &[0], &state, &state, &words[..0]);
        let even = [0xb0f4215b, 0xe19a60b4, 0xb3d7494, 0xacf8c4dc, 0xaaa4d889, 0x6b35c4f4u32];
        check(algorithm, ElementType::U32, &[3, 2], &state, &after(3), &even);
        check(algorithm, ElementType::U8, &[3], &state, &after(2), &[0x5bu8, 0xb4, 0x94]);
        check(algorithm, ElementType::U16, &[3], &state, &after(2), &[0x215bu16, 0x60b4, 0x7494]);
        let wide = [0xe19a60b4b0f4215bu64, 0xacf8c4dc0b3d7494, 0x6b35c4f4aaa4d889];
        check(algorithm, ElementType::U64, &[1, 3], &state, &after(3), &wide);
    }

    #[test]
    fn philox() {
        let words: [u32; 15] = [
            0xa485194, 0x41c5f806, 0xd6822fee, 0x3885a3d4, 0x41eb59f3, 0x307385e0, 0x5b8b3389, 0xa262f67c, 0x7006d264,
            0xd71fd4de, 0x3aff468e, 0x40b5f768, 0x34da5d11, 0xa2a4e857, 0xfc81d5f9,
        ];
        let state = [KEY, COUNTER];
        let after = |count: u64| [KEY, COUNTER.wrapping_add(count)];
        let algorithm = RngAlgorithm::Philox;
        check(algorithm, ElementType::U32, &[], &state, &after(1), &words[..1]);
        check(RngAlgorithm::Default, ElementType::U32, &[5], &state, &after(2), &words[..5]);
        check(algorithm, ElementType::U32, &[3, 5], &state, &after(4), &words);
        check(algorithm, ElementType::U32, &[0], &state, &state, &words[..0]);
        check(algorithm, ElementType::U8, &[3], &state, &after(1), &[0x94u8, 0x06, 0xee]);
        check(algorithm, ElementType::U16, &[3], &state, &after(1), &[0x5194u16, 0xf806, 0x2fee]);
        let wide = [0x41c5f8060a485194u64, 0x3885a3d4d6822fee, 0x307385e041eb59f3];
        check(algorithm, ElementType::U64, &[1, 3], &state, &after(2), &wide);
        // Three words of state: the counter has 128 bits.
        let upper = 0x1122_3344_5566_7788;
        let words = [0xbcebe367u32, 0xfc8fde5e, 0x7276a366, 0x644b93f4, 0x4534f0b4];
        check(algorithm, ElementType::U32, &[5], &[KEY, COUNTER, upper], &[KEY, 0, upper + 1], &words);
    }

    fn draw(distribution: RngDistribution, element: ElementType, a: Vec<u8>, b: Vec<u8>) -> Vec<Vec<u8>> {
        let mut builder = Builder::default();
        let scalar = tensor(element, &[]);
        let operands = [builder.argument(scalar.clone()), builder.argument(scalar)];
        let kind = OpKind::Rng { rng_distribution: distribution };
        let shape = [1000i64, 10];
        let first = builder.op(kind.clone(), &operands, vec![tensor(element, &shape)], vec![])[0];
        let second = builder.op(kind, &operands, vec![tensor(element, &shape)], vec![])[0];
        builder.run(&[first, second], &[a, b]).unwrap()
    }

    #[test]
    fn uniform_fills_its_range() {
        let outcome = draw(RngDistribution::Uniform, ElementType::F32, bytes(&[-1f32]), bytes(&[3f32]));
        assert_ne!(outcome[0], outcome[1]);
        let values = f32s(&outcome[0]);
        assert!(values.iter().all(|value| (-1. ..3.).contains(value)));
        let mean = values.iter().sum::<f32>() / values.len() as f32;
        // Ten standard errors.
        assert!((mean - 1.).abs() < 10. * 4. / 12f32.sqrt() / 100., "{mean}");
        let outcome = draw(RngDistribution::Uniform, ElementType::I32, bytes(&[-3i32]), bytes(&[2i32]));
        let values = i32s(&outcome[0]);
        assert!((-3..2).all(|value| values.contains(&value)) && values.iter().all(|value| (-3..2).contains(value)));
    }

    #[test]
    fn normal_has_its_moments() {
        let outcome = draw(RngDistribution::Normal, ElementType::F32, bytes(&[5f32]), bytes(&[2f32]));
        let values = f32s(&outcome[0]);
        let count = values.len() as f32;
        let mean = values.iter().sum::<f32>() / count;
        let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f32>() / count;
        assert!((mean - 5.).abs() < 0.2 && (variance - 4.).abs() < 0.6, "{mean} {variance}");
    }
}
