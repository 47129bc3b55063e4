//! How far the elementary functions that are made of arithmetic are from the truth.

use super::native;
use crate::expression::{Binary, Expression, Scalar, Target, Unary};
use crate::kernel::ir::{Buffer, Kernel, NestBuilder, Node, NodeId, Place, Statement, Store};

/// The nodes of an expression, in a nest.
pub(super) fn inlined(builder: &mut NestBuilder, expression: &Expression, arguments: &[NodeId]) -> NodeId {
    use crate::expression::Node as Each;
    let mut nodes: Vec<NodeId> = Vec::new();
    for &(node, scalar) in &expression.nodes {
        let of = |id: u32| nodes[id as usize];
        let node = match node {
            Each::Argument(number) => {
                nodes.push(arguments[number as usize]);
                continue;
            }
            Each::Constant(value) => Node::Constant(value),
            Each::Unary(function, a) => Node::Unary(function, of(a)),
            Each::Binary(function, a, b) => Node::Binary(function, of(a), of(b)),
            Each::Compare(direction, a, b) => Node::Compare(direction, of(a), of(b)),
            Each::Select(a, b, c) => Node::Select(of(a), of(b), of(c)),
        };
        nodes.push(builder.add(node, scalar));
    }
    nodes[expression.results[0] as usize]
}

/// A kernel of a function of so many numbers, element by element.
pub(super) fn elementwise(expression: &Expression, elements: usize) -> Kernel {
    let mut builder = NestBuilder::new(&[elements]);
    let at = builder.add(Node::Index(0), Scalar::I64);
    let mut kernel = Kernel::default();
    let mut arguments = Vec::new();
    for (index, &scalar) in expression.arguments.iter().enumerate() {
        kernel.buffers.push(Buffer { scalar, elements, place: Place::Input(index as u32) });
        arguments.push(builder.add(Node::Load(index as u32, at), scalar));
    }
    let value = inlined(&mut builder, expression, &arguments);
    let buffer = kernel.buffers.len() as u32;
    kernel.buffers.push(Buffer { scalar: expression.result(0), elements, place: Place::Output(0) });
    builder.nest.stores.push(Store { buffer, at, value });
    kernel.body.push(Statement::Nest(builder.nest));
    kernel
}

/// In units of the last digit of f32: how far it is from the truth. Infinities and NaN are right or infinitely far.
fn distance(result: f32, truth: f64) -> f64 {
    let nearest = truth as f32;
    if truth.is_nan() || result.is_nan() || nearest.is_infinite() || result.is_infinite() {
        let same = (truth.is_nan() && result.is_nan()) || result == nearest;
        // The greatest number is one unit from infinity.
        let next_to = result.abs() == f32::MAX && nearest.is_infinite() && truth.abs() < 3.4028236e38;
        let is_beyond = result.is_infinite() && truth.abs() > 3.40282e38 && result.is_sign_positive() == (truth > 0.0);
        return if same {
            0.0
        } else if next_to || is_beyond {
            1.0
        } else {
            f64::INFINITY
        };
    }
    if result == 0.0 && nearest == 0.0 && result.is_sign_negative() != nearest.is_sign_negative() {
        return f64::INFINITY;
    }
    let exponent = ((truth.abs().to_bits() >> 52) as i32 - 1023).max(-126);
    (f64::from(result) - truth).abs() / 2f64.powi(exponent - 23)
}

struct Function {
    name: &'static str,
    function: Unary,
    truth: fn(f64) -> f64,
    /// Units in the last place; docs/architecture.md has them too.
    most: f64,
}

const FUNCTIONS: [Function; 11] = [
    Function { name: "exp", function: Unary::Exp, truth: f64::exp, most: 1.0 },
    Function { name: "expm1", function: Unary::Expm1, truth: f64::exp_m1, most: 1.6 },
    Function { name: "log", function: Unary::Log, truth: f64::ln, most: 1.0 },
    Function { name: "log1p", function: Unary::Log1p, truth: f64::ln_1p, most: 1.6 },
    Function { name: "sin", function: Unary::Sin, truth: f64::sin, most: 1.6 },
    Function { name: "cos", function: Unary::Cos, truth: f64::cos, most: 1.6 },
    Function { name: "tan", function: Unary::Tan, truth: f64::tan, most: 1.5 },
    Function { name: "tanh", function: Unary::Tanh, truth: f64::tanh, most: 1.5 },
    Function { name: "sinh", function: Unary::Sinh, truth: f64::sinh, most: 1.2 },
    Function { name: "cosh", function: Unary::Cosh, truth: f64::cosh, most: 1.0 },
    Function { name: "cbrt", function: Unary::Cbrt, truth: f64::cbrt, most: 1.0 },
];

/// The greatest distance over every so many of all floats, and where it is.
fn worst(function: &Function, stride: u64) -> (f64, f32) {
    const CHUNK: usize = 1 << 14;
    let expression = Expression::define(&Target::NATIVE, &[Scalar::F32], |x| [x[0].apply(function.function)]);
    let code = super::Code::new(elementwise(&expression, CHUNK)).expect("native code");
    let mut worst = (0.0, 0.0);
    let mut next = 0u64;
    while next < 1 << 32 {
        let numbers: Vec<f32> = (0..CHUNK as u64)
            .map(|index| f32::from_bits((next + index * stride).min(u64::from(u32::MAX)) as u32))
            .collect();
        next += CHUNK as u64 * stride;
        let bytes: Vec<u8> = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
        let mut written = vec![0u8; CHUNK * 4];
        code.run(&[&bytes], &mut [&mut written], &std::sync::atomic::AtomicBool::new(false)).expect("not stopped");
        for (&number, result) in numbers.iter().zip(written.chunks(4)) {
            let result = f32::from_le_bytes([result[0], result[1], result[2], result[3]]);
            let far = distance(result, (function.truth)(f64::from(number)));
            if far > worst.0 {
                worst = (far, number);
            }
        }
    }
    worst
}

#[test]
fn functions_made_of_arithmetic_are_near_the_truth() {
    for function in &FUNCTIONS {
        // A prime: all exponents, and mantissas of all kinds.
        let (far, at) = worst(function, 8191);
        println!("{}: {far:.3} at {at:e}", function.name);
        assert!(far <= function.most, "{} of {at:e} is {far} units off", function.name);
    }
}

/// Every 61st of all floats. What it prints is what docs/architecture.md says.
#[test]
#[ignore = "takes a minute; run it when a definition changes"]
fn functions_of_a_dense_sample() {
    for function in &FUNCTIONS {
        let (far, at) = worst(function, 61);
        println!("{}: {far:.3} at {at:e}", function.name);
        assert!(far <= function.most, "{} of {at:e} is {far} units off", function.name);
    }
}

#[test]
fn powers_follow_c() {
    let special = [
        0.0f32,
        -0.0,
        1.0,
        -1.0,
        0.5,
        -0.5,
        2.0,
        -2.0,
        3.0,
        -3.0,
        1.5,
        2.5,
        -2.5,
        1e-40,
        -1e-40,
        1e10,
        1e38,
        -1e38,
        16777216.0,
        16777217.0,
        0.99999994,
        1.0000001,
        f32::INFINITY,
        f32::NEG_INFINITY,
        f32::NAN,
        f32::MAX,
        f32::MIN_POSITIVE,
    ];
    let mut pairs: Vec<(f32, f32)> = special.iter().flat_map(|&x| special.iter().map(move |&y| (x, y))).collect();
    let mut state = 1u64;
    while pairs.len() < 1 << 17 {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        let x = f32::from_bits((state >> 32) as u32).abs();
        // Powers that are numbers: x^y within the range.
        let reach = 130.0 / x.log2().abs().max(1e-3);
        pairs.push((x, ((state & 0xffff_ffff) as f32 / 4294967296.0 * 2.0 - 1.0) * reach));
    }
    let expression = Expression::define(&Target::NATIVE, &[Scalar::F32; 2], |x| [x[0].apply2(Binary::Power, &x[1])]);
    let bytes =
        |get: fn(&(f32, f32)) -> f32| pairs.iter().flat_map(|pair| get(pair).to_le_bytes()).collect::<Vec<u8>>();
    let (x, y) = (bytes(|pair| pair.0), bytes(|pair| pair.1));
    let written = native(&elementwise(&expression, pairs.len()), &[&x, &y]);
    let mut worst = 0f64;
    for (&(x, y), result) in pairs.iter().zip(written[0].chunks(4)) {
        let result = f32::from_le_bytes([result[0], result[1], result[2], result[3]]);
        let far = distance(result, f64::from(x).powf(f64::from(y)));
        assert!(far <= 1.0, "{x:e}^{y:e} is {result:e}, {far} units off");
        worst = worst.max(far);
    }
    println!("power: {worst:.3}");
}
