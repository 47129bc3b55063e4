//! The programs of both readers give equal results: native's as it is, MLIR's after MLIR's passes.

use super::{Passes, corpus, read};
use crate::mlx::{Array, Backend, Stream};
use crate::program::{ElementType, Program, TensorType};
use crate::stablehlo;

/// Programs with more bytes of arguments are left to the tests of the ops.
const MOST_BYTES: usize = 64 << 20;

/// Results as bytes, or why there are none.
pub(super) fn run(mut program: Program) -> Result<Vec<Vec<u8>>, String> {
    crate::passes::run(&mut program, |_, _, _| {}).map_err(|error| error.to_string())?;
    let main = program.main().ok_or("no main")?;
    let stream = Stream::playing(Backend::Cpu).map_err(|error| error.to_string())?;
    let plan = crate::lower::compile(&program, main, stream.capabilities()).map_err(|error| error.to_string())?;
    let mut arrays = Vec::new();
    for (index, &argument) in main.body.arguments.iter().enumerate() {
        let ty = main.tensor(argument).ok_or_else(|| format!("argument {index} is no tensor"))?;
        let shape = crate::lower::shape_i32(&ty.shape).map_err(|error| error.to_string())?;
        let dtype = crate::lower::storage(ty.element).ok_or_else(|| format!("{} is not stored", ty.element))?;
        let array = Array::from_bytes(&numbers(ty, index), &shape, dtype).map_err(|error| error.to_string())?;
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

/// Whether arguments are few enough to make them up.
pub(super) fn is_small(program: &Program) -> bool {
    program.main().is_some_and(|main| {
        let bytes = |ty: &TensorType| ty.elements().saturating_mul(ty.element.bytes());
        main.values.iter().filter_map(|ty| ty.tensor()).map(bytes).max().unwrap_or(0) <= MOST_BYTES
    })
}

/// Runs what both readers give. Gives whether there were results (and not equal errors), or how they differ.
pub(super) fn equal_results(bytes: &[u8]) -> Result<bool, String> {
    let native = stablehlo::read(bytes).map_err(|error| error.to_string())?;
    let simplified = read(bytes, Passes::Simplify).map_err(|error| format!("with passes: {error}"))?;
    match (run(native), run(simplified)) {
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
