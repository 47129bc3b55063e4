//! Programs of a few numbers, computed on the host.
//!
//! A device takes longer to start than a scalar takes to compute: 10 µs on MLX's CPU backend, 100 µs on a GPU. Step
//! counters, learning rates and random keys therefore do not go there when their inputs are already in the host's reach.
//! Only operations whose result IEEE 754 or two's complement determines to the last bit are computed here, so that it
//! does not show which way a program went.
#![forbid(unsafe_code)]

use smallvec::SmallVec;

use crate::program::{
    Binary, CompareType, Direction, ElementType, Function, Literal, Op, OpKind, TensorType, Unary, ValueId,
};

/// Elements of a value beyond which a program goes to the device.
const MOST_ELEMENTS: usize = 16;
/// Operations beyond which a program goes to the device.
const MOST_OPERATIONS: usize = 128;

/// Values are 32-bit words: f32, i32 and u32 by their bits, booleans as 0 and 1.
type Word = u32;

/// An elementwise function of one operand.
type Map1 = fn(Word) -> Word;

/// An elementwise function of two operands.
type Map2 = fn(Word, Word) -> Word;

/// Words of one value in the frame.
#[derive(Clone, Copy)]
struct Span {
    start: usize,
    length: usize,
}

enum Kernel {
    Map1(Map1),
    Map2(Map2),
    Select,
    /// Result element i is element `indices[i]` of the operand.
    Pick(Box<[usize]>),
}

struct Step {
    kernel: Kernel,
    operands: SmallVec<[Span; 3]>,
    result: Span,
}

/// A program in the form that the host runs.
pub(super) struct HostProgram {
    /// The frame at the start: constants in their places, zero elsewhere.
    frame: Vec<Word>,
    parameters: Vec<(Span, ElementType)>,
    steps: Vec<Step>,
    results: Vec<(Span, ElementType)>,
}

/// Elements as little-endian bytes.
pub(super) type Bytes = SmallVec<[u8; 4 * MOST_ELEMENTS]>;

impl HostProgram {
    /// None when the program has other types, operations or sizes than those computed here.
    pub(super) fn new(function: &Function) -> Option<Self> {
        let body = &function.body;
        if body.ops.len() > MOST_OPERATIONS {
            return None;
        }
        let mut builder =
            Builder { function, spans: vec![None; function.values.len()], frame: Vec::new(), steps: Vec::new() };
        let mut parameters = Vec::with_capacity(body.arguments.len());
        for &argument in &body.arguments {
            parameters.push((builder.place(argument)?, builder.tensor(argument)?.element));
        }
        for op in &body.ops {
            builder.add(op)?;
        }
        let mut results = Vec::with_capacity(body.results.len());
        for &result in &body.results {
            results.push((builder.span(result)?, builder.tensor(result)?.element));
        }
        Some(Self { frame: builder.frame, parameters, steps: builder.steps, results })
    }

    /// Runs once: `read` hands the bytes of a parameter to its second argument. None when a read fails.
    pub(super) fn run(&self, mut read: impl FnMut(usize, &mut dyn FnMut(&[u8])) -> Option<()>) -> Option<Vec<Bytes>> {
        let mut frame: SmallVec<[Word; 16 * MOST_ELEMENTS]> = SmallVec::from_slice(&self.frame);
        for (index, &(span, element)) in self.parameters.iter().enumerate() {
            let words = &mut frame[span.start..span.start + span.length];
            read(index, &mut |bytes| decode(bytes, element, words))?;
        }
        for step in &self.steps {
            step.run(&mut frame);
        }
        Some(
            self.results
                .iter()
                .map(|&(span, element)| encode(&frame[span.start..span.start + span.length], element))
                .collect(),
        )
    }
}

impl Step {
    fn run(&self, frame: &mut [Word]) {
        // A value of one element stands for any number of equal ones (the predicate of select).
        let at = |frame: &[Word], operand: usize, index: usize| {
            let span = self.operands[operand];
            frame[span.start + if span.length == 1 { 0 } else { index }]
        };
        for index in 0..self.result.length {
            frame[self.result.start + index] = match &self.kernel {
                Kernel::Map1(map) => map(at(frame, 0, index)),
                Kernel::Map2(map) => map(at(frame, 0, index), at(frame, 1, index)),
                Kernel::Select => at(frame, if at(frame, 0, index) == 0 { 2 } else { 1 }, index),
                Kernel::Pick(indices) => frame[self.operands[0].start + indices[index]],
            };
        }
    }
}

fn decode(bytes: &[u8], element: ElementType, words: &mut [Word]) {
    if element == ElementType::Bool {
        words.iter_mut().zip(bytes).for_each(|(word, &byte)| *word = Word::from(byte != 0));
    } else {
        for (word, chunk) in words.iter_mut().zip(bytes.chunks_exact(4)) {
            *word = Word::from_le_bytes(chunk.try_into().expect("chunks of four"));
        }
    }
}

fn encode(words: &[Word], element: ElementType) -> Bytes {
    if element == ElementType::Bool {
        words.iter().map(|&word| u8::from(word != 0)).collect()
    } else {
        words.iter().flat_map(|word| word.to_le_bytes()).collect()
    }
}

struct Builder<'a> {
    function: &'a Function,
    spans: Vec<Option<Span>>,
    frame: Vec<Word>,
    steps: Vec<Step>,
}

impl<'a> Builder<'a> {
    fn tensor(&self, value: ValueId) -> Option<&'a TensorType> {
        use ElementType::{Bool, F32, I32, U32};
        self.function.tensor(value).filter(|ty| {
            matches!(ty.element, Bool | F32 | I32 | U32) && ty.is_static() && ty.elements() <= MOST_ELEMENTS
        })
    }

    fn span(&self, value: ValueId) -> Option<Span> {
        self.spans[value.0 as usize]
    }

    /// Room for a value.
    fn place(&mut self, value: ValueId) -> Option<Span> {
        let length = self.tensor(value)?.elements();
        let span = Span { start: self.frame.len(), length };
        self.frame.resize(span.start + length, 0);
        self.spans[value.0 as usize] = Some(span);
        Some(span)
    }

    fn add(&mut self, op: &Op) -> Option<()> {
        let &[result] = &op.results[..] else { return None };
        if !op.regions.is_empty() {
            return None;
        }
        let ty = self.tensor(result)?;
        let operand = |index: usize| op.operands.get(index).and_then(|&value| self.tensor(value));
        let kernel = match &op.kind {
            OpKind::Constant(literal) => return self.constant(result, literal),
            OpKind::Reshape => return self.alias(op, result),
            OpKind::Convert => match convert(operand(0)?.element, ty.element)? {
                Some(map) => Kernel::Map1(map),
                None => return self.alias(op, result),
            },
            OpKind::BitcastConvert if operand(0)?.element != ElementType::Bool && ty.element != ElementType::Bool => {
                return self.alias(op, result);
            }
            OpKind::Unary(kind) => Kernel::Map1(unary(*kind, ty.element)?),
            OpKind::Binary(kind) => Kernel::Map2(binary(*kind, ty.element)?),
            OpKind::Compare { direction, compare_type } => {
                Kernel::Map2(compare(*direction, *compare_type, operand(0)?.element)?)
            }
            OpKind::Select => Kernel::Select,
            OpKind::BroadcastInDim { broadcast_dimensions } => {
                Kernel::Pick(broadcast(operand(0)?, ty, broadcast_dimensions))
            }
            OpKind::Slice { start_indices, strides, .. } => {
                Kernel::Pick(slice(operand(0)?, ty, start_indices, strides))
            }
            _ => return None,
        };
        let operands = op.operands.iter().map(|&value| self.span(value)).collect::<Option<_>>()?;
        let result = self.place(result)?;
        self.steps.push(Step { kernel, operands, result });
        Some(())
    }

    /// The result is the operand under another type.
    fn alias(&mut self, op: &Op, result: ValueId) -> Option<()> {
        self.spans[result.0 as usize] = Some(self.span(*op.operands.first()?)?);
        Some(())
    }

    fn constant(&mut self, result: ValueId, literal: &Literal) -> Option<()> {
        let span = self.place(result)?;
        for index in 0..span.length {
            decode(literal.element(index), literal.ty.element, &mut self.frame[span.start + index..][..1]);
        }
        Some(())
    }
}

/// For each element of `result`, row-major: the operand's element at the position that `position` gives per dimension.
fn pick(operand: &TensorType, result: &TensorType, position: impl Fn(usize, &[i64]) -> i64) -> Box<[usize]> {
    let mut indices = Vec::with_capacity(result.elements());
    let mut at = vec![0i64; result.rank()];
    for _ in 0..result.elements() {
        let linear = operand
            .shape
            .iter()
            .enumerate()
            .fold(0, |linear, (dimension, &size)| linear * size + position(dimension, &at));
        indices.push(usize::try_from(linear).expect("positions lie in the operand: the program is verified"));
        for dimension in (0..at.len()).rev() {
            at[dimension] += 1;
            if at[dimension] < result.shape[dimension] {
                break;
            }
            at[dimension] = 0;
        }
    }
    indices.into()
}

fn broadcast(operand: &TensorType, result: &TensorType, dimensions: &[i64]) -> Box<[usize]> {
    pick(
        operand,
        result,
        |dimension, at| {
            if operand.shape[dimension] == 1 { 0 } else { at[dimensions[dimension] as usize] }
        },
    )
}

fn slice(operand: &TensorType, result: &TensorType, starts: &[i64], strides: &[i64]) -> Box<[usize]> {
    pick(operand, result, |dimension, at| starts[dimension] + at[dimension] * strides[dimension])
}

fn float(map: impl Fn(f32) -> f32, a: Word) -> Word {
    map(f32::from_bits(a)).to_bits()
}

fn float2(map: impl Fn(f32, f32) -> f32, a: Word, b: Word) -> Word {
    map(f32::from_bits(a), f32::from_bits(b)).to_bits()
}

fn unary(kind: Unary, element: ElementType) -> Option<Map1> {
    use ElementType::{Bool, F32, I32, U32};
    Some(match (kind, element) {
        (Unary::Negate, F32) => |a| a ^ (1 << 31),
        (Unary::Negate, I32 | U32) => Word::wrapping_neg,
        (Unary::Abs, F32) => |a| a & !(1 << 31),
        (Unary::Abs, I32) => |a| (a as i32).wrapping_abs() as Word,
        (Unary::Not, Bool) => |a| a ^ 1,
        (Unary::Not, I32 | U32) => |a| !a,
        (Unary::Sqrt, F32) => |a| float(f32::sqrt, a),
        (Unary::Floor, F32) => |a| float(f32::floor, a),
        (Unary::Ceil, F32) => |a| float(f32::ceil, a),
        (Unary::RoundNearestEven, F32) => |a| float(f32::round_ties_even, a),
        _ => return None,
    })
}

fn binary(kind: Binary, element: ElementType) -> Option<Map2> {
    use ElementType::{Bool, F32, I32, U32};
    Some(match (kind, element) {
        (Binary::Add, F32) => |a, b| float2(|a, b| a + b, a, b),
        (Binary::Subtract, F32) => |a, b| float2(|a, b| a - b, a, b),
        (Binary::Multiply, F32) => |a, b| float2(|a, b| a * b, a, b),
        (Binary::Divide, F32) => |a, b| float2(|a, b| a / b, a, b),
        (Binary::Add, I32 | U32) => Word::wrapping_add,
        (Binary::Subtract, I32 | U32) => Word::wrapping_sub,
        (Binary::Multiply, I32 | U32) => Word::wrapping_mul,
        (Binary::Maximum, I32) => |a, b| (a as i32).max(b as i32) as Word,
        (Binary::Minimum, I32) => |a, b| (a as i32).min(b as i32) as Word,
        (Binary::Maximum, U32 | Bool) => |a, b| a.max(b),
        (Binary::Minimum, U32 | Bool) => |a, b| a.min(b),
        (Binary::And, Bool | I32 | U32) => |a, b| a & b,
        (Binary::Or, Bool | I32 | U32) => |a, b| a | b,
        (Binary::Xor, Bool | I32 | U32) => |a, b| a ^ b,
        // A shift by the width or more leaves no bit of the operand but its sign (spec, shift_left and following).
        (Binary::ShiftLeft, I32 | U32) => |a, b| a.checked_shl(b).unwrap_or(0),
        (Binary::ShiftRightLogical, I32 | U32) => |a, b| a.checked_shr(b).unwrap_or(0),
        (Binary::ShiftRightArithmetic, I32 | U32) => |a, b| ((a as i32) >> b.min(31)) as Word,
        _ => return None,
    })
}

fn compare(direction: Direction, kind: CompareType, element: ElementType) -> Option<Map2> {
    macro_rules! compare_as {
        ($of:expr) => {
            match direction {
                Direction::Eq => |a, b| Word::from($of(a) == $of(b)),
                Direction::Ne => |a, b| Word::from($of(a) != $of(b)),
                Direction::Ge => |a, b| Word::from($of(a) >= $of(b)),
                Direction::Gt => |a, b| Word::from($of(a) > $of(b)),
                Direction::Le => |a, b| Word::from($of(a) <= $of(b)),
                Direction::Lt => |a, b| Word::from($of(a) < $of(b)),
            }
        };
    }
    Some(match element {
        ElementType::F32 if kind == CompareType::TotalOrder => return None,
        ElementType::F32 => compare_as!(f32::from_bits),
        ElementType::I32 => compare_as!(Word::cast_signed),
        ElementType::U32 | ElementType::Bool => compare_as!(std::convert::identity),
        _ => return None,
    })
}

/// `Some(None)` where the words stay as they are.
fn convert(from: ElementType, to: ElementType) -> Option<Option<Map1>> {
    use ElementType::{Bool, F32, I32, U32};
    let map: Map1 = match (from, to) {
        (Bool | I32 | U32, I32 | U32) | (F32, F32) | (Bool, Bool) => return Some(None),
        (I32 | U32, Bool) => |a| Word::from(a != 0),
        (F32, Bool) => |a| Word::from(f32::from_bits(a) != 0.0),
        (Bool | U32, F32) => |a| (a as f32).to_bits(),
        (I32, F32) => |a| (a.cast_signed() as f32).to_bits(),
        // Saturates, and NaN becomes zero, as in XLA.
        (F32, I32) => |a| (f32::from_bits(a) as i32).cast_unsigned(),
        _ => return None,
    };
    Some(Some(map))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::program::Type;
    use crate::program::testing::{self, bytes, tensor};

    use ElementType::{Bool, F32, I32, U32};

    /// Edge values of a type, as many for each type, as bytes.
    fn edges(element: ElementType, shift: usize) -> Vec<u8> {
        const COUNT: usize = 13;
        fn turned<T: testing::Number>(values: [T; COUNT], shift: usize) -> Vec<u8> {
            bytes(&(0..COUNT).map(|index| values[(index * (shift + 1)) % COUNT]).collect::<Vec<_>>())
        }
        match element {
            F32 => turned(
                [
                    0.0,
                    -0.0,
                    1.0,
                    -1.5,
                    2.5,
                    3.5,
                    f32::NAN,
                    f32::INFINITY,
                    f32::NEG_INFINITY,
                    3e9,
                    -3e9,
                    1e-40,
                    16777217.0f32,
                ],
                shift,
            ),
            I32 => turned([0, 1, -1, 5, -7, i32::MIN, i32::MAX, 31, 32, 33, 1 << 24, (1 << 24) + 1, -100], shift),
            U32 => {
                turned([0, 1, u32::MAX, 5, 7, 1 << 31, (1 << 31) - 1, 31, 32, 33, 1 << 24, (1 << 24) + 1, 100], shift)
            }
            _ => (0..COUNT).map(|index| u8::from((index * 7 + shift).is_multiple_of(3))).collect(),
        }
    }

    /// The bytes of the only result, on the host and on the device; None when the host refuses.
    fn both(kind: OpKind, operands: &[(Type, Vec<u8>)], result: Type) -> Option<(Vec<u8>, Vec<u8>)> {
        let mut builder = testing::Builder::default();
        let values: Vec<ValueId> = operands.iter().map(|(ty, _)| builder.argument(ty.clone())).collect();
        let results = builder.op(kind, &values, vec![result], Vec::new());
        builder.function.body.results = results.clone();
        let host = HostProgram::new(&builder.function)?;
        let outputs = host
            .run(|index, look| {
                look(&operands[index].1);
                Some(())
            })
            .expect("all reads succeed");
        let inputs: Vec<Vec<u8>> = operands.iter().map(|(_, bytes)| bytes.clone()).collect();
        let device = builder.run(&results, &inputs).expect("the device computes what the host computes").remove(0);
        Some((outputs[0].to_vec(), device))
    }

    /// Bytes with all NaN made one: their sign and payload are nobody's promise.
    fn canonical(bytes: &[u8], element: ElementType) -> Vec<u8> {
        if element != F32 {
            return bytes.to_vec();
        }
        let one = |value: f32| if value.is_nan() { f32::NAN } else { value };
        testing::f32s(bytes).into_iter().flat_map(|value| one(value).to_le_bytes()).collect()
    }

    fn agree(kind: OpKind, elements: &[ElementType], result: ElementType) -> bool {
        let mut computed = false;
        for shift in 0..6 {
            let operands: Vec<(Type, Vec<u8>)> = elements
                .iter()
                .enumerate()
                .map(|(index, &element)| (tensor(element, &[13]), edges(element, if index == 0 { 0 } else { shift })))
                .collect();
            let Some((host, device)) = both(kind.clone(), &operands, tensor(result, &[13])) else { return false };
            assert_eq!(canonical(&host, result), canonical(&device, result), "{kind:?} of {operands:?}");
            computed = true;
        }
        computed
    }

    #[test]
    fn unary_ops_agree_with_the_device() {
        use Unary::*;
        let kinds = [Negate, Abs, Not, Sqrt, Floor, Ceil, RoundNearestEven, Sine];
        let count = kinds
            .iter()
            .flat_map(|&kind| [F32, I32, U32, Bool].map(|element| (kind, element)))
            .filter(|&(kind, element)| {
                unary(kind, element).is_some() && agree(OpKind::Unary(kind), &[element], element)
            })
            .count();
        assert_eq!(count, 12);
    }

    #[test]
    fn binary_ops_agree_with_the_device() {
        use Binary::*;
        let kinds = [
            Add,
            Subtract,
            Multiply,
            Divide,
            Maximum,
            Minimum,
            And,
            Or,
            Xor,
            ShiftLeft,
            ShiftRightLogical,
            ShiftRightArithmetic,
            Power,
        ];
        let count = kinds
            .iter()
            .flat_map(|&kind| [F32, I32, U32, Bool].map(|element| (kind, element)))
            .filter(|&(kind, element)| {
                binary(kind, element).is_some() && agree(OpKind::Binary(kind), &[element, element], element)
            })
            .count();
        assert_eq!(count, 31);
    }

    #[test]
    fn comparisons_agree_with_the_device() {
        use Direction::*;
        for direction in [Eq, Ne, Ge, Gt, Le, Lt] {
            for (element, compare_type) in [
                (F32, CompareType::Float),
                (I32, CompareType::Signed),
                (U32, CompareType::Unsigned),
                (Bool, CompareType::Unsigned),
            ] {
                assert!(agree(OpKind::Compare { direction, compare_type }, &[element, element], Bool));
            }
            let total = OpKind::Compare { direction, compare_type: CompareType::TotalOrder };
            assert!(!agree(total, &[F32, F32], Bool), "total order goes to the device");
        }
    }

    #[test]
    fn conversions_and_select_agree_with_the_device() {
        for from in [F32, I32, U32, Bool] {
            for to in [F32, I32, U32, Bool] {
                assert_eq!(agree(OpKind::Convert, &[from], to), (from, to) != (F32, U32), "{from} to {to}");
            }
            assert!(agree(OpKind::Select, &[Bool, from, from], from));
        }
        assert!(agree(OpKind::BitcastConvert, &[F32], U32));
        assert!(agree(OpKind::BitcastConvert, &[I32], F32));
    }

    #[test]
    fn shapes_agree_with_the_device() {
        let matrix = (tensor(I32, &[2, 3]), bytes(&[1i32, 2, 3, 4, 5, 6]));
        let column = (tensor(I32, &[2, 1]), bytes(&[1i32, 2]));
        let cases = [
            (OpKind::Reshape, &matrix, tensor(I32, &[3, 2])),
            (OpKind::BroadcastInDim { broadcast_dimensions: vec![1, 2] }, &column, tensor(I32, &[2, 2, 3])),
            (OpKind::BroadcastInDim { broadcast_dimensions: vec![2, 0] }, &matrix, tensor(I32, &[3, 1, 2])),
            (
                OpKind::Slice { start_indices: vec![0, 0], limit_indices: vec![2, 3], strides: vec![1, 2] },
                &matrix,
                tensor(I32, &[2, 2]),
            ),
            (
                OpKind::Slice { start_indices: vec![1, 1], limit_indices: vec![1, 3], strides: vec![1, 1] },
                &matrix,
                tensor(I32, &[0, 2]),
            ),
        ];
        for (kind, operand, result) in cases {
            let (host, device) = both(kind.clone(), std::slice::from_ref(operand), result).expect("computed here");
            assert_eq!(host, device, "{kind:?}");
        }
    }

    #[test]
    fn scalar_predicate_selects_whole_operands() {
        let values = |offset: i32| (tensor(I32, &[4]), bytes(&[offset, offset + 1, offset + 2, offset + 3]));
        for predicate in [0u8, 1] {
            let operands = [(tensor(Bool, &[]), vec![predicate]), values(0), values(10)];
            let (host, device) = both(OpKind::Select, &operands, tensor(I32, &[4])).expect("computed here");
            assert_eq!(host, device);
        }
    }

    #[test]
    fn large_values_and_other_types_go_to_the_device() {
        let add = OpKind::Binary(Binary::Add);
        for ty in [tensor(F32, &[17]), tensor(ElementType::BF16, &[2]), tensor(ElementType::F64, &[])] {
            let mut builder = testing::Builder::default();
            let value = builder.argument(ty.clone());
            builder.function.body.results = builder.op(add.clone(), &[value, value], vec![ty], Vec::new());
            assert!(HostProgram::new(&builder.function).is_none());
        }
    }
}
