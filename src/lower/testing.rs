//! For the tests of the op families: builds one-op programs, runs them on the CPU, and hands back bytes.
#![forbid(unsafe_code)]

use crate::mlx::{Array, Backend, Stream};
use crate::program::{
    Attributes, Block, CustomCall, CustomCallApiVersion, ElementType, Function, Op, OpKind, Program, TensorType, Type,
    ValueId,
};

/// A function under construction.
#[derive(Default)]
pub struct Builder {
    /// The function.
    pub function: Function,
}

/// A tensor type.
pub fn tensor(element: ElementType, shape: &[i64]) -> Type {
    Type::Tensor(TensorType::new(element, shape))
}

/// A custom_call without attributes.
pub fn custom_call(target: &str) -> OpKind {
    OpKind::CustomCall(CustomCall {
        call_target_name: target.to_owned(),
        has_side_effect: false,
        backend_config: String::new(),
        backend_attributes: Attributes::default(),
        api_version: CustomCallApiVersion::Original,
        called_computations: vec![],
        operand_layouts: vec![],
        result_layouts: vec![],
        output_operand_aliases: vec![],
    })
}

impl Builder {
    /// Adds an argument.
    pub fn argument(&mut self, ty: Type) -> ValueId {
        let value = self.function.add_value(ty);
        self.function.body.arguments.push(value);
        value
    }

    /// Makes an op in no block yet.
    pub fn make(&mut self, kind: OpKind, operands: &[ValueId], results: Vec<Type>, regions: Vec<Block>) -> Op {
        let results = results.into_iter().map(|ty| self.function.add_value(ty)).collect();
        Op {
            kind,
            operands: operands.to_vec(),
            results,
            regions,
            attributes: Default::default(),
            location: Default::default(),
        }
    }

    /// Adds an op to the body, returns its results.
    pub fn op(&mut self, kind: OpKind, operands: &[ValueId], results: Vec<Type>, regions: Vec<Block>) -> Vec<ValueId> {
        let op = self.make(kind, operands, results, regions);
        let results = op.results.clone();
        self.function.body.ops.push(op);
        results
    }

    /// A block of scalar arguments whose ops the closure makes (it returns ops and results).
    pub fn block(
        &mut self,
        arguments: Vec<Type>,
        body: impl FnOnce(&mut Self, &[ValueId]) -> (Vec<Op>, Vec<ValueId>),
    ) -> Block {
        let arguments: Vec<ValueId> = arguments.into_iter().map(|ty| self.function.add_value(ty)).collect();
        let (ops, results) = body(self, &arguments);
        Block { arguments, ops, results }
    }

    /// A block of two scalars and one binary op: the usual reducer.
    pub fn reducer(&mut self, kind: OpKind, element: ElementType) -> Block {
        let scalar = tensor(element, &[]);
        self.block(vec![scalar.clone(), scalar.clone()], |builder, arguments| {
            let op = builder.make(kind, arguments, vec![scalar], Vec::new());
            let results = op.results.clone();
            (vec![op], results)
        })
    }

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
        let plan = super::compile(&program, function, stream.capabilities()).map_err(|error| error.to_string())?;
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

/// Little-endian bytes of numbers.
pub fn bytes<T: crate::mlx::Scalar>(values: &[T]) -> Vec<u8> {
    values.iter().flat_map(|value| value.bytes().as_ref().to_vec()).collect()
}

/// f32 values of bytes.
pub fn f32s(bytes: &[u8]) -> Vec<f32> {
    bytes.chunks_exact(4).map(|chunk| f32::from_le_bytes(chunk.try_into().expect("four bytes"))).collect()
}

/// i32 values of bytes.
pub fn i32s(bytes: &[u8]) -> Vec<i32> {
    bytes.chunks_exact(4).map(|chunk| i32::from_le_bytes(chunk.try_into().expect("four bytes"))).collect()
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

/// Numbers of little-endian bytes.
pub fn values<T: crate::mlx::Scalar + Number>(bytes: &[u8]) -> Vec<T> {
    bytes.chunks_exact(T::DTYPE.size()).map(T::of).collect()
}

/// Numbers that tests read back.
pub trait Number {
    /// From as many little-endian bytes as it has.
    fn of(bytes: &[u8]) -> Self;
}

macro_rules! numbers {
    ($($host:ty),* $(,)?) => {
        $(impl Number for $host {
            fn of(bytes: &[u8]) -> Self {
                Self::from_le_bytes(bytes.try_into().expect("as many bytes as the type has"))
            }
        })*
    };
}

numbers!(u8, u16, u32, u64, i8, i16, i32, i64, f32, f64, half::f16, half::bf16);
