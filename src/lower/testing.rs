//! For the tests of the op families: runs one-op programs on the CPU, and hands back bytes.
#![forbid(unsafe_code)]

use crate::kernel::cost::Place;
use crate::mlx::{Array, Backend, Stream};
use crate::program::{ElementType, OpKind, Program, ValueId};

pub use crate::program::testing::*;

impl Builder {
    /// Compiles and runs the function with these results; inputs and outputs are row-major little-endian bytes.
    pub fn run(self, results: &[ValueId], inputs: &[Vec<u8>]) -> Result<Vec<Vec<u8>>, String> {
        self.run_as(backend(), results, inputs)
    }

    /// As [`Self::run`], the CPU playing the part of a backend.
    pub fn run_as(mut self, backend: Backend, results: &[ValueId], inputs: &[Vec<u8>]) -> Result<Vec<Vec<u8>>, String> {
        self.function.body.results = results.to_vec();
        let program = Program { functions: vec![self.function], ..Default::default() };
        let function = &program.functions[0];
        crate::program::verify::verify(&program).map_err(|error| error.to_string())?;
        let stream = Stream::playing(backend).map_err(|error| error.to_string())?;
        // What MLX makes of it: native code is held against that.
        let plan = super::compile(&program, function, stream.capabilities(), Place::Device)
            .map_err(|error| error.to_string())?
            .plan;
        let arrays: Vec<Array> = function
            .body
            .arguments
            .iter()
            .zip(inputs)
            .map(|(&argument, bytes)| {
                let ty = function.tensor(argument).expect("tests pass tensors");
                let shape = super::shape_i32(&ty.shape).expect("small");
                let dtype = super::storage(ty.element).expect("stored");
                Array::from_bytes(bytes, &shape, dtype).expect("bytes fit the type")
            })
            .collect();
        let arguments: Vec<&Array> = arrays.iter().collect();
        let outputs = plan.run(&arguments, stream).map_err(|error| error.to_string())?;
        outputs
            .iter()
            .map(|output| {
                let stream = stream.that_holds(output.dtype()).map_err(|error| error.to_string())?;
                let output = crate::mlx::contiguous(output, stream).map_err(|error| error.to_string())?;
                stream.evaluate(&[&output]).map_err(|error| error.to_string())?;
                Ok(output.as_bytes().map_err(|error| error.to_string())?.to_vec())
            })
            .collect()
    }
}

/// What the CPU plays in tests: itself, or what `JAX_MPS_CAPABILITIES` names.
fn backend() -> Backend {
    let name = std::env::var("JAX_MPS_CAPABILITIES").ok();
    name.map_or(Backend::Cpu, |name| Backend::named(&name).expect("cpu, metal or cuda"))
}

/// Runs one elementwise op on vectors of one length, given as bytes.
pub fn elementwise(kind: OpKind, operands: &[(ElementType, Vec<u8>)], result: ElementType) -> Result<Vec<u8>, String> {
    let length = (operands[0].1.len() / operands[0].0.bytes()) as i64;
    let mut builder = Builder::default();
    let values: Vec<ValueId> =
        operands.iter().map(|(element, _)| builder.argument(tensor(*element, &[length]))).collect();
    let results = builder.op(kind, &values, vec![tensor(result, &[length])], Vec::new());
    let inputs: Vec<Vec<u8>> = operands.iter().map(|(_, bytes)| bytes.clone()).collect();
    Ok(builder.run(&results, &inputs)?.remove(0))
}
