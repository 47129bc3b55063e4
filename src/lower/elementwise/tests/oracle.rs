//! Each elementwise op, for each element type, on MLX's graph and as native code against the interpreter, at special values
//! and between.

use super::run;
use crate::lower::testing::{Builder, tensor};
use std::sync::atomic::AtomicBool;

use crate::expression::{Expression, Known, Scalar, Target, Value, elementwise};
use crate::lower::expression::target;
use crate::mlx::Backend;
use crate::program::{Binary, CompareType, Direction, ElementType, OpKind, Unary, ValueId};

const UNARY: [Unary; 25] = [
    Unary::Abs,
    Unary::Cbrt,
    Unary::Ceil,
    Unary::CountLeadingZeros,
    Unary::Cosine,
    Unary::Exponential,
    Unary::ExponentialMinusOne,
    Unary::Floor,
    Unary::Imag,
    Unary::IsFinite,
    Unary::Log,
    Unary::LogPlusOne,
    Unary::Logistic,
    Unary::Negate,
    Unary::Not,
    Unary::Popcnt,
    Unary::Real,
    Unary::RoundNearestAfz,
    Unary::RoundNearestEven,
    Unary::Rsqrt,
    Unary::Sign,
    Unary::Sine,
    Unary::Sqrt,
    Unary::Tan,
    Unary::Tanh,
];

const BINARY: [Binary; 16] = [
    Binary::Add,
    Binary::And,
    Binary::Atan2,
    Binary::Complex,
    Binary::Divide,
    Binary::Maximum,
    Binary::Minimum,
    Binary::Multiply,
    Binary::Or,
    Binary::Power,
    Binary::Remainder,
    Binary::ShiftLeft,
    Binary::ShiftRightArithmetic,
    Binary::ShiftRightLogical,
    Binary::Subtract,
    Binary::Xor,
];

/// All types that MLX holds.
fn elements() -> impl Iterator<Item = ElementType> {
    ElementType::ALL.into_iter().filter(|&element| !matches!(element, ElementType::TF32 | ElementType::C128))
}

/// Numbers at the edges of a type, and some between.
fn values(element: ElementType) -> Vec<Value> {
    let Some(scalar) = Scalar::of(element) else { return Vec::new() };
    if element.is_complex() {
        let parts = [0.0, -0.0, 1.0, -1.0, 0.5, -2.5, 1e-3, 20.0, f64::INFINITY, f64::NEG_INFINITY, f64::NAN];
        let part = |x: f64| Value::from_f64(scalar.real(), x).bits;
        let pairs = parts.into_iter().flat_map(|x| parts.map(|y| (x, y)));
        return pairs.map(|(x, y)| Value { bits: part(x), imaginary: part(y) }).collect();
    }
    if element.is_small_float() {
        return (0..1u64 << element.bits()).map(Value::from_bits).collect();
    }
    if element.is_float() {
        let bits = scalar.bits();
        let mantissa = match scalar {
            Scalar::F16 => 10,
            Scalar::BF16 => 7,
            Scalar::F32 => 23,
            _ => 52,
        };
        let infinity = ((1u64 << (bits - 1)) - 1) & !((1u64 << mantissa) - 1);
        let mut values: Vec<Value> =
            [0, 1, 1u64 << mantissa, (1u64 << mantissa) - 1, infinity, infinity - 1].map(Value::from_bits).to_vec();
        let numbers =
            [1.0, 0.5, 1.5, 2.5, 3.0, 0.1, 7.25, 1e-3, 1e-5, 20.0, 88.5, 1000.0, 12345.678, 1e7, 0.999, 1.001];
        values.extend(numbers.map(|number| Value::from_f64(scalar, number)));
        let negative: Vec<Value> =
            values.iter().map(|value| Value::from_bits(value.bits | 1u64 << (bits - 1))).collect();
        values.extend(negative);
        values.push(Value::from_f64(scalar, f64::NAN));
        return values;
    }
    if element == ElementType::Bool {
        return [0, 1].map(Value::from_bits).to_vec();
    }
    let (low, high) = match (element.is_signed_integer(), element.bits()) {
        (true, bits) => (-(1i128 << (bits - 1)), (1i128 << (bits - 1)) - 1),
        (false, bits) => (0, (1i128 << bits) - 1),
    };
    let numbers = [low, low + 1, -7, -2, -1, 0, 1, 2, 3, 5, 7, 31, 33, 64, 100, high / 2, high - 1, high];
    let numbers = numbers.into_iter().filter(|number| (low..=high).contains(number));
    numbers.map(|number| Value::from_i128(scalar, number)).collect()
}

/// How many units in the last place results may be apart; 0 where all bits are determined.
fn tolerance(kind: &OpKind, element: ElementType) -> f64 {
    use Unary::{
        Cbrt, Cosine, Exponential, ExponentialMinusOne, Log, LogPlusOne, Logistic, Rsqrt, Sine, Sqrt, Tan, Tanh,
    };
    let inexact = match kind {
        OpKind::Unary(
            Cbrt | Cosine | Exponential | ExponentialMinusOne | Log | LogPlusOne | Logistic | Rsqrt | Sine | Sqrt | Tan
            | Tanh,
        ) => true,
        OpKind::Unary(Unary::Abs | Unary::Sign) | OpKind::Binary(Binary::Divide) => element.is_complex(),
        OpKind::Binary(Binary::Power | Binary::Atan2) => !element.is_integer(),
        _ => false,
    };
    match (inexact, element.is_complex()) {
        (false, _) => 0.0,
        (true, false) => 4.0,
        // By way of a logarithm near 1, whose digits the quotient has lost.
        (true, true) if matches!(kind, OpKind::Binary(Binary::Atan2)) => 1024.0,
        // Of the greater part: the other may have cancelled.
        (true, true) => 64.0,
    }
}

/// Whether two results are the same number of a real type, within units in the last place of `size`.
fn same(scalar: Scalar, came: u64, expected: u64, ulps: f64, size: f64) -> bool {
    if came == expected {
        return true;
    }
    if !scalar.is_float() {
        return false;
    }
    let (a, b) = (Value::from_bits(came).to_f64(scalar), Value::from_bits(expected).to_f64(scalar));
    if a.is_nan() || b.is_nan() {
        return a.is_nan() && b.is_nan();
    }
    let (epsilon, least) = match scalar {
        Scalar::F16 => (2f64.powi(-10), 2f64.powi(-24)),
        Scalar::BF16 => (2f64.powi(-7), 2f64.powi(-133)),
        Scalar::F32 => (f64::from(f32::EPSILON), f64::from(f32::from_bits(1))),
        _ => (f64::EPSILON, f64::from_bits(1)),
    };
    // One that rounds to infinity may stay below, or the other way round.
    let greatest = match scalar {
        Scalar::F16 => 65504.0,
        Scalar::F32 => f64::from(f32::MAX),
        Scalar::BF16 => half::bf16::MAX.to_f64(),
        _ => f64::MAX,
    };
    let clip = |x: f64| x.clamp(-greatest, greatest);
    ulps > 0.0 && (clip(a) - clip(b)).abs() <= ulps * (epsilon * size.max(b.abs()).min(greatest) + least)
}

/// Compares an op at all combinations of values, up to a few thousand; the number of them.
fn check(kind: &OpKind, operands: &[ElementType], result: ElementType, failures: &mut Vec<String>) -> usize {
    let known: Vec<Known> = operands.iter().map(|&element| Known::of(element)).collect();
    let mlx = target(Backend::Cpu.capabilities(false));
    let (Ok(graph), Ok(reference)) =
        (elementwise(kind, &known, result, &mlx), elementwise(kind, &known, result, &Target::HOST))
    else {
        let refusal = |target: &Target| elementwise(kind, &known, result, target).err();
        assert_eq!(refusal(&mlx), refusal(&Target::HOST), "{kind:?} of {operands:?}: both or neither");
        return 0;
    };
    let mut rows: Vec<Vec<Value>> = vec![Vec::new()];
    for &element in operands {
        let values = values(element);
        rows = rows
            .into_iter()
            .flat_map(|row| values.iter().map(move |&value| [row.clone(), vec![value]].concat()))
            .collect();
    }
    let arguments: Vec<Vec<u8>> = (0..operands.len())
        .map(|index| {
            let mut bytes = Vec::new();
            rows.iter().for_each(|row| row[index].write(graph.arguments[index], &mut bytes));
            bytes
        })
        .collect();
    let graph_result = run(&graph, &arguments).remove(0);
    for (came, by) in [(graph_result, "on the graph"), (natively(kind, operands, result, &arguments), "natively")] {
        judge(kind, operands, result, &reference, &rows, (&came, by), failures);
    }
    rows.len()
}

/// The result of one op as native code.
fn natively(kind: &OpKind, operands: &[ElementType], result: ElementType, arguments: &[Vec<u8>]) -> Vec<u8> {
    let size = Scalar::of(operands[0]).map_or(1, Scalar::bytes);
    let count = arguments[0].len() / size;
    let mut builder = Builder::default();
    let values: Vec<ValueId> =
        operands.iter().map(|&element| builder.argument(tensor(element, &[count as i64]))).collect();
    let results = builder.op(kind.clone(), &values, vec![tensor(result, &[count as i64])], vec![]);
    builder.function.body.results = results;
    let built = crate::kernel::build::program(&builder.function, &|_| None).unwrap();
    let code = crate::kernel::native::Code::new(built.kernel).unwrap();
    let mut output = vec![0; code.outputs()[0]];
    let inputs: Vec<&[u8]> = arguments.iter().map(Vec::as_slice).collect();
    code.run(&inputs, &mut [&mut output], &AtomicBool::new(false)).unwrap();
    output
}

fn judge(
    kind: &OpKind,
    operands: &[ElementType],
    result: ElementType,
    reference: &Expression,
    rows: &[Vec<Value>],
    (came, by): (&[u8], &str),
    failures: &mut Vec<String>,
) {
    let scalar = reference.result(0);
    let mut values = Vec::new();
    let ulps = tolerance(kind, operands[0]);
    for (row, came) in rows.iter().zip(came.chunks_exact(scalar.bytes())) {
        let came = Value::from_bytes(scalar, came);
        reference.evaluate(row, &mut values);
        let expected = values[reference.results[0] as usize];
        let size = if scalar.is_complex() {
            expected.to_f64(scalar).abs().max(expected.imaginary_to_f64(scalar).abs())
        } else {
            0.0
        };
        let mut came = came;
        if scalar.is_complex() && matches!(kind, OpKind::Binary(Binary::Atan2)) {
            // On the cut of the logarithm the last digit decides about the sign.
            let (angle, other) = (came.to_f64(scalar), expected.to_f64(scalar));
            if (angle - other).abs() > 6.0 {
                came.bits = Value::from_f64(scalar, angle - std::f64::consts::TAU.copysign(angle)).bits;
            }
        }
        let fits = same(scalar.real(), came.bits, expected.bits, ulps, size)
            && same(scalar.real(), came.imaginary, expected.imaginary, ulps, size);
        if !fits {
            let show = |element: ElementType, value: &Value| {
                let scalar = Scalar::of(element).expect("held");
                format!("{:?}+{:?}i", value.to_f64(scalar), value.imaginary_to_f64(scalar))
            };
            let row: Vec<String> = row.iter().zip(operands).map(|(value, &element)| show(element, value)).collect();
            failures.push(format!(
                "{kind:?} {operands:?} {row:?}: {} {by}, {} interpreted",
                show(result, &came),
                show(result, &expected)
            ));
        }
    }
}

fn report(compared: usize, failures: &[String]) {
    assert!(compared > 1000, "{compared} results compared");
    let shown: Vec<&String> = failures.iter().take(40).collect();
    assert!(failures.is_empty(), "{} of {compared}: {shown:#?}", failures.len());
}

fn part(element: ElementType) -> ElementType {
    if element == ElementType::C64 { ElementType::F32 } else { element }
}

#[test]
fn functions_of_one() {
    let (mut compared, mut failures) = (0, Vec::new());
    for element in elements() {
        for op in UNARY {
            let result = match op {
                Unary::Abs | Unary::Real | Unary::Imag => part(element),
                Unary::IsFinite => ElementType::Bool,
                _ => element,
            };
            compared += check(&OpKind::Unary(op), &[element], result, &mut failures);
        }
    }
    report(compared, &failures);
}

#[test]
fn functions_of_two() {
    let (mut compared, mut failures) = (0, Vec::new());
    for element in elements().filter(|element| !element.is_small_float()) {
        for op in BINARY {
            let result = if op == Binary::Complex { ElementType::C64 } else { element };
            if op == Binary::Complex && element == ElementType::F64 {
                continue;
            }
            compared += check(&OpKind::Binary(op), &[element; 2], result, &mut failures);
        }
    }
    report(compared, &failures);
}

#[test]
fn comparisons_and_selections() {
    use Direction::{Eq, Ge, Gt, Le, Lt, Ne};
    let (mut compared, mut failures) = (0, Vec::new());
    for element in elements() {
        for direction in [Eq, Ne, Ge, Gt, Le, Lt] {
            for compare_type in [CompareType::None, CompareType::TotalOrder] {
                let kind = OpKind::Compare { direction, compare_type };
                compared += check(&kind, &[element; 2], ElementType::Bool, &mut failures);
            }
        }
        compared += check(&OpKind::Select, &[ElementType::Bool, element, element], element, &mut failures);
        if !element.is_complex() && element.bits() <= 32 {
            compared += check(&OpKind::Clamp, &[element; 3], element, &mut failures);
        }
    }
    report(compared, &failures);
}

#[test]
fn conversions() {
    let (mut compared, mut failures) = (0, Vec::new());
    for from in elements() {
        for to in elements() {
            compared += check(&OpKind::Convert, &[from], to, &mut failures);
            compared += check(&OpKind::BitcastConvert, &[from], to, &mut failures);
        }
        for (exponent_bits, mantissa_bits) in [(8, 7), (5, 10), (4, 3), (11, 52), (3, 0)] {
            let kind = OpKind::ReducePrecision { exponent_bits, mantissa_bits };
            compared += check(&kind, &[from], from, &mut failures);
        }
    }
    report(compared, &failures);
}
