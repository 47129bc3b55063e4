//! Programs of a few numbers, computed on the host.
//!
//! A device takes longer to start than a scalar takes to compute: 10 µs on MLX's CPU backend, 100 µs on a GPU. Step
//! counters, learning rates and random keys therefore do not go there when their inputs are already in the host's reach.
//! Only operations whose result IEEE 754 or two's complement determines to the last bit are computed here, so that it
//! does not show which way a program went.
#![forbid(unsafe_code)]

use smallvec::SmallVec;

use crate::expression::{Expression, Known, Scalar, Target, Value, elementwise};
use crate::program::{ElementType, Function, Literal, Op, OpKind, TensorType, ValueId};

/// Elements of a value beyond which a program goes to the device.
const MOST_ELEMENTS: usize = 16;
/// Operations beyond which a program goes to the device.
const MOST_OPERATIONS: usize = 128;

/// Elements of one value in the frame.
#[derive(Clone, Copy)]
struct Span {
    start: usize,
    length: usize,
    scalar: Scalar,
}

enum Kernel {
    /// A function of elements.
    Map(Expression),
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
    frame: Vec<Value>,
    parameters: Vec<Span>,
    steps: Vec<Step>,
    results: Vec<Span>,
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
        let parameters = body.arguments.iter().map(|&value| builder.place(value)).collect::<Option<_>>()?;
        for op in &body.ops {
            builder.add(op)?;
        }
        let results = body.results.iter().map(|&value| builder.span(value)).collect::<Option<_>>()?;
        Some(Self { frame: builder.frame, parameters, steps: builder.steps, results })
    }

    /// Runs once: `read` hands the bytes of a parameter to its second argument. None when a read fails.
    pub(super) fn run(&self, mut read: impl FnMut(usize, &mut dyn FnMut(&[u8])) -> Option<()>) -> Option<Vec<Bytes>> {
        let mut frame: SmallVec<[Value; 8 * MOST_ELEMENTS]> = SmallVec::from_slice(&self.frame);
        for (index, span) in self.parameters.iter().enumerate() {
            let values = &mut frame[span.start..span.start + span.length];
            read(index, &mut |bytes| {
                for (value, bytes) in values.iter_mut().zip(bytes.chunks_exact(span.scalar.bytes())) {
                    *value = Value::from_bytes(span.scalar, bytes);
                }
            })?;
        }
        let mut scratch = Vec::new();
        for step in &self.steps {
            step.run(&mut frame, &mut scratch);
        }
        Some(
            self.results
                .iter()
                .map(|span| {
                    let mut bytes = Bytes::new();
                    for value in &frame[span.start..span.start + span.length] {
                        value.write(span.scalar, &mut bytes);
                    }
                    bytes
                })
                .collect(),
        )
    }
}

impl Step {
    fn run(&self, frame: &mut [Value], scratch: &mut Vec<Value>) {
        match &self.kernel {
            Kernel::Map(expression) => {
                for index in 0..self.result.length {
                    // A value of one element stands for any number of equal ones (the predicate of select).
                    let arguments: SmallVec<[Value; 3]> = self
                        .operands
                        .iter()
                        .map(|span| frame[span.start + if span.length == 1 { 0 } else { index }])
                        .collect();
                    expression.evaluate(&arguments, scratch);
                    frame[self.result.start + index] = scratch[expression.results[0] as usize];
                }
            }
            Kernel::Pick(indices) => {
                for (index, &from) in indices.iter().enumerate() {
                    frame[self.result.start + index] = frame[self.operands[0].start + from];
                }
            }
        }
    }
}

struct Builder<'a> {
    function: &'a Function,
    spans: Vec<Option<Span>>,
    frame: Vec<Value>,
    steps: Vec<Step>,
}

impl<'a> Builder<'a> {
    /// Small integers are left out: the host's bytes of them differ from the device's.
    fn tensor(&self, value: ValueId) -> Option<&'a TensorType> {
        self.function.tensor(value).filter(|ty| {
            let held =
                !ty.element.is_small_integer() && !ty.element.is_small_float() && ty.element != ElementType::TF32;
            held && ty.is_static() && ty.elements() <= MOST_ELEMENTS
        })
    }

    fn span(&self, value: ValueId) -> Option<Span> {
        self.spans[value.0 as usize]
    }

    /// Room for a value.
    fn place(&mut self, value: ValueId) -> Option<Span> {
        let ty = self.tensor(value)?;
        let span = Span { start: self.frame.len(), length: ty.elements(), scalar: Scalar::of(ty.element)? };
        self.frame.resize(span.start + span.length, Value::default());
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
            OpKind::BroadcastInDim { broadcast_dimensions } => {
                Kernel::Pick(broadcast(operand(0)?, ty, broadcast_dimensions))
            }
            OpKind::Slice { start_indices, strides, .. } => {
                Kernel::Pick(slice(operand(0)?, ty, start_indices, strides))
            }
            // A bitcast may change the shape.
            kind if kind.is_exact(operand(0)?.element) && operand(op.operands.len() - 1)?.shape.len() <= ty.rank() => {
                let known = (0..op.operands.len())
                    .map(|index| operand(index).map(|ty| Known::of(ty.element)))
                    .collect::<Option<Vec<Known>>>()?;
                Kernel::Map(elementwise(kind, &known, ty.element, &Target::HOST).ok()?)
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
            self.frame[span.start + index] = Value::from_bytes(span.scalar, literal.element(index));
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::program::testing::{self, bytes, tensor};
    use crate::program::{Binary, CompareType, Direction, Type, Unary};

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
            .filter(|&(kind, element)| agree(OpKind::Unary(kind), &[element], element))
            .count();
        assert_eq!(count, 15);
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
            .filter(|&(kind, element)| agree(OpKind::Binary(kind), &[element, element], element))
            .count();
        assert_eq!(count, 40);
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
            assert!(agree(total, &[F32, F32], Bool));
        }
    }

    #[test]
    fn conversions_and_select_agree_with_the_device() {
        for from in [F32, I32, U32, Bool] {
            for to in [F32, I32, U32, Bool] {
                assert!(agree(OpKind::Convert, &[from], to), "{from} to {to}");
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
        for ty in [tensor(F32, &[17]), tensor(ElementType::I4, &[2]), tensor(ElementType::F8E5M2, &[])] {
            let mut builder = testing::Builder::default();
            let value = builder.argument(ty.clone());
            builder.function.body.results = builder.op(add.clone(), &[value, value], vec![ty], Vec::new());
            assert!(HostProgram::new(&builder.function).is_none());
        }
    }
}
