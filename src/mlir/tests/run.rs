//! The programs of both readers give equal results: native's as it is, MLIR's after MLIR's passes.

use super::{Passes, corpus, read};
use crate::mlx::{Array, Backend, Stream};
use crate::program::{Block, ElementType, Function, OpKind, Program, TensorType, Type};
use crate::stablehlo;

/// Programs with larger values are left to the tests of the ops.
const MOST_BYTES: usize = 4 << 20;

/// Results as bytes for made-up arguments, or why there are none.
pub(super) fn run(program: Program) -> Result<Vec<Vec<u8>>, String> {
    run_on(program, numbers)
}

fn run_on(
    mut program: Program,
    argument_bytes: impl Fn(&TensorType, usize) -> Vec<u8>,
) -> Result<Vec<Vec<u8>>, String> {
    crate::passes::run(&mut program, &Default::default(), |_, _, _| {}).map_err(|error| error.to_string())?;
    let main = program.main().ok_or("no main")?;
    let stream = Stream::playing(Backend::Cpu).map_err(|error| error.to_string())?;
    let plan = crate::lower::compile(&program, main, stream.capabilities(), Default::default())
        .map_err(|error| error.to_string())?
        .plan;
    let mut arrays = Vec::new();
    for (index, &argument) in main.body.arguments.iter().enumerate() {
        let ty = main.tensor(argument).ok_or_else(|| format!("argument {index} is no tensor"))?;
        let shape = crate::lower::shape_i32(&ty.shape).map_err(|error| error.to_string())?;
        let dtype = crate::lower::storage(ty.element).ok_or_else(|| format!("{} is not stored", ty.element))?;
        let array = Array::from_bytes(&argument_bytes(ty, index), &shape, dtype).map_err(|error| error.to_string())?;
        arrays.push(array);
    }
    let arguments: Vec<&Array> = arrays.iter().collect();
    let outputs = plan.run(&arguments, stream).map_err(|error| error.to_string())?;
    let mut results = Vec::new();
    for output in &outputs {
        let stream = stream.that_holds(output.dtype()).map_err(|error| error.to_string())?;
        let output = crate::mlx::contiguous(output, stream).map_err(|error| error.to_string())?;
        stream.evaluate(&[&output]).map_err(|error| error.to_string())?;
        results.push(output.as_bytes().map_err(|error| error.to_string())?.to_vec());
    }
    Ok(results)
}

/// Small numbers of both signs, the same for each call; integers from 0 to 6.
fn numbers(ty: &TensorType, seed: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15u64 ^ (seed as u64);
    let mut next = move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as u32
    };
    let mut bytes = Vec::new();
    for _ in 0..ty.elements() {
        let number = next();
        let real = f64::from(number) / f64::from(1u32 << 23) - 1.0;
        match ty.element {
            ElementType::F32 => bytes.extend((real as f32).to_le_bytes()),
            ElementType::F64 => bytes.extend(real.to_le_bytes()),
            ElementType::F16 => bytes.extend(half::f16::from_f64(real).to_le_bytes()),
            ElementType::BF16 => bytes.extend(half::bf16::from_f64(real).to_le_bytes()),
            ElementType::C64 => {
                bytes.extend((real as f32).to_le_bytes());
                bytes.extend((0.5 - real as f32).to_le_bytes());
            }
            ElementType::Bool => bytes.push((number & 1) as u8),
            element => {
                bytes.push((number % 7) as u8 & if element.is_small_integer() { 1 } else { 7 });
                bytes.extend(std::iter::repeat_n(0, element.bytes() - 1));
            }
        }
    }
    bytes
}

/// Whether a program can be run on made-up arguments: they are few enough, and no loop waits for what they may not hold.
pub(super) fn may_run(program: &Program) -> bool {
    fn has_loop(block: &Block) -> bool {
        block.ops.iter().any(|op| matches!(op.kind, OpKind::While) || op.regions.iter().any(has_loop))
    }
    let bytes = |ty: &TensorType| ty.elements().saturating_mul(ty.element.bytes());
    let is_small =
        |function: &Function| function.values.iter().filter_map(Type::tensor).map(bytes).max() <= Some(MOST_BYTES);
    program.functions.iter().all(|function| is_small(function) && !has_loop(&function.body))
}

/// Runs what both readers give. Gives whether there were results (and not equal errors), or how they differ.
pub(super) fn equal_results(bytes: &[u8]) -> Result<bool, String> {
    let native = stablehlo::read(bytes).map_err(|error| error.to_string())?;
    // A program that nobody can run may also be one that the passes refuse.
    let simplified = read(bytes, Passes::Simplify).map_err(|error| format!("with passes: {error}"));
    match (run(native), simplified.and_then(run)) {
        (Ok(native), Ok(other)) if native == other => Ok(true),
        (Ok(native), Ok(other)) => {
            let different = native.iter().zip(&other).filter(|(left, right)| left != right).count();
            Err(format!("{different} of {} results differ", native.len()))
        }
        // Messages name values and lines, which passes may change: the op that is refused is the same.
        (Err(_), Err(_)) => Ok(false),
        (Ok(_), Err(error)) => Err(format!("only the native reader's program runs; mlir: {error}")),
        (Err(error), Ok(_)) => Err(format!("only the mlir reader's program runs; native: {error}")),
    }
}

#[test]
fn both_programs_give_equal_results() {
    let mut wrong = Vec::new();
    let mut ran = 0;
    for path in corpus() {
        let bytes = std::fs::read(&path).expect("a readable file");
        match equal_results(&bytes) {
            Ok(has_results) => ran += usize::from(has_results),
            Err(error) => wrong.push(format!("{}: {error}", path.display())),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    // The others have callbacks, need several devices, or are of ops that are refused.
    assert!(ran >= 45, "{ran} programs ran");
}

const VALUES: [f32; 8] = [-0.0, 0.0, 1.0, -1.5, f32::INFINITY, f32::NEG_INFINITY, f32::NAN, f32::MIN_POSITIVE];

/// Where a simplification would be wrong: infinities, NaN, zeros with a sign, indices out of range.
fn delicate() -> Vec<String> {
    let constant = |value: &str| format!("%c = stablehlo.constant dense<{value}> : tensor<8xf32>\n");
    let with = |value: &str, op: &str| format!("{}%r = {op} : tensor<8xf32>", constant(value));
    vec![
        with("0.0", "stablehlo.add %x, %c"),
        with("-0.0", "stablehlo.add %x, %c"),
        with("0.0", "stablehlo.add %c, %x"),
        with("0.0", "stablehlo.subtract %x, %c"),
        with("0.0", "stablehlo.subtract %c, %x"),
        with("0.0", "stablehlo.multiply %x, %c"),
        with("1.0", "stablehlo.multiply %x, %c"),
        with("-1.0", "stablehlo.multiply %x, %c"),
        with("1.0", "stablehlo.divide %x, %c"),
        with("0.0", "stablehlo.divide %c, %x"),
        with("0.0", "stablehlo.maximum %x, %c"),
        with("0.0", "stablehlo.minimum %c, %x"),
        with("1.0", "stablehlo.power %x, %c"),
        with("0.0", "stablehlo.power %x, %c"),
        "%r = stablehlo.subtract %x, %x : tensor<8xf32>".to_owned(),
        "%r = stablehlo.divide %x, %x : tensor<8xf32>".to_owned(),
        "%r = stablehlo.maximum %x, %x : tensor<8xf32>".to_owned(),
        "%n = stablehlo.negate %x : tensor<8xf32>\n%r = stablehlo.negate %n : tensor<8xf32>".to_owned(),
        "%n = stablehlo.negate %x : tensor<8xf32>\n%r = stablehlo.add %x, %n : tensor<8xf32>".to_owned(),
        "%b = stablehlo.compare EQ, %x, %x : (tensor<8xf32>, tensor<8xf32>) -> tensor<8xi1>\n\
         %r = stablehlo.convert %b : (tensor<8xi1>) -> tensor<8xf32>"
            .to_owned(),
        "%b = stablehlo.compare LE, %x, %x : (tensor<8xf32>, tensor<8xf32>) -> tensor<8xi1>\n\
         %r = stablehlo.convert %b : (tensor<8xi1>) -> tensor<8xf32>"
            .to_owned(),
        "%h = stablehlo.convert %x : (tensor<8xf32>) -> tensor<8xf16>\n\
         %r = stablehlo.convert %h : (tensor<8xf16>) -> tensor<8xf32>"
            .to_owned(),
        "%h = stablehlo.convert %x : (tensor<8xf32>) -> tensor<8xi8>\n\
         %r = stablehlo.convert %h : (tensor<8xi8>) -> tensor<8xf32>"
            .to_owned(),
        "%z = stablehlo.complex %x, %x : tensor<8xcomplex<f32>>\n\
         %w = stablehlo.multiply %z, %z : tensor<8xcomplex<f32>>\n\
         %r = stablehlo.real %w : (tensor<8xcomplex<f32>>) -> tensor<8xf32>"
            .to_owned(),
        // Starts are clamped so that the slice lies inside.
        "%s = stablehlo.constant dense<7> : tensor<i32>\n\
         %p = stablehlo.dynamic_slice %x, %s, sizes = [4] : (tensor<8xf32>, tensor<i32>) -> tensor<4xf32>\n\
         %r = stablehlo.concatenate %p, %p, dim = 0 : (tensor<4xf32>, tensor<4xf32>) -> tensor<8xf32>"
            .to_owned(),
        "%s = stablehlo.constant dense<-3> : tensor<i32>\n\
         %p = stablehlo.dynamic_slice %x, %s, sizes = [4] : (tensor<8xf32>, tensor<i32>) -> tensor<4xf32>\n\
         %r = stablehlo.dynamic_update_slice %x, %p, %s : (tensor<8xf32>, tensor<4xf32>, tensor<i32>) -> tensor<8xf32>"
            .to_owned(),
        "%s = stablehlo.constant dense<6> : tensor<i32>\n\
         %p = stablehlo.slice %x [2:6] : (tensor<8xf32>) -> tensor<4xf32>\n\
         %r = stablehlo.dynamic_update_slice %x, %p, %s : (tensor<8xf32>, tensor<4xf32>, tensor<i32>) -> tensor<8xf32>"
            .to_owned(),
        "%z = stablehlo.constant dense<2.0> : tensor<f32>\n\
         %p = stablehlo.pad %x, %z, low = [-3], high = [2], interior = [0] : (tensor<8xf32>, tensor<f32>) -> tensor<7xf32>\n\
         %r = stablehlo.pad %p, %z, low = [0], high = [1], interior = [0] : (tensor<7xf32>, tensor<f32>) -> tensor<8xf32>"
            .to_owned(),
        "%r = stablehlo.reduce_precision %x, format = e5m2 : tensor<8xf32>".to_owned(),
        "%r = stablehlo.optimization_barrier %x : tensor<8xf32>".to_owned(),
    ]
}

/// The function of one of the bodies above.
fn delicate_text(body: &str) -> String {
    format!("func.func @main(%x: tensor<8xf32>) -> tensor<8xf32> {{\n{body}\nreturn %r : tensor<8xf32>\n}}")
}

/// Bits of the results for `VALUES`, one NaN being as good as another.
fn delicate_bits(program: Program) -> Vec<u32> {
    let values = |_: &TensorType, _: usize| VALUES.iter().flat_map(|value| value.to_le_bytes()).collect();
    let results = run_on(program, values).expect("a program that runs");
    let float = |bytes: &[u8]| f32::from_le_bytes(bytes.try_into().expect("four bytes"));
    let bits = |value: f32| if value.is_nan() { f32::NAN.to_bits() } else { value.to_bits() };
    results[0].chunks_exact(4).map(|bytes| bits(float(bytes))).collect()
}

#[test]
fn passes_keep_what_is_easily_lost() {
    let mut wrong = Vec::new();
    for body in delicate() {
        let text = delicate_text(&body);
        let bits =
            |passes| delicate_bits(read(text.as_bytes(), passes).unwrap_or_else(|error| panic!("{text}: {error}")));
        let (plain, simplified) = (bits(Passes::None), bits(Passes::Simplify));
        if plain != simplified {
            let shown = |bits: Vec<u32>| bits.into_iter().map(f32::from_bits).collect::<Vec<_>>();
            wrong.push(format!("{body}\n  {:?}\n  {:?} with passes", shown(plain), shown(simplified)));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
