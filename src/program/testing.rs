//! For tests: builds functions of a few ops, and the bytes of their numbers.
#![forbid(unsafe_code)]

use super::{
    Attributes, Block, CustomCall, CustomCallApiVersion, ElementType, Function, Op, OpKind, TensorType, Type, ValueId,
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
}

/// Little-endian bytes of numbers.
pub fn bytes<T: Number>(values: &[T]) -> Vec<u8> {
    values.iter().flat_map(|value| value.bytes()).collect()
}

/// f32 values of bytes.
pub fn f32s(bytes: &[u8]) -> Vec<f32> {
    bytes.chunks_exact(4).map(|chunk| f32::from_le_bytes(chunk.try_into().expect("four bytes"))).collect()
}

/// i32 values of bytes.
pub fn i32s(bytes: &[u8]) -> Vec<i32> {
    bytes.chunks_exact(4).map(|chunk| i32::from_le_bytes(chunk.try_into().expect("four bytes"))).collect()
}

/// Numbers of little-endian bytes.
pub fn values<T: Number>(bytes: &[u8]) -> Vec<T> {
    bytes.chunks_exact(size_of::<T>()).map(T::of).collect()
}

/// Numbers that tests write and read back.
pub trait Number: Copy {
    /// As many little-endian bytes as it has.
    fn bytes(self) -> Vec<u8>;

    /// From as many.
    fn of(bytes: &[u8]) -> Self;
}

macro_rules! numbers {
    ($($host:ty),* $(,)?) => {
        $(impl Number for $host {
            fn bytes(self) -> Vec<u8> {
                self.to_le_bytes().to_vec()
            }

            fn of(bytes: &[u8]) -> Self {
                Self::from_le_bytes(bytes.try_into().expect("as many bytes as the type has"))
            }
        })*
    };
}

numbers!(u8, u16, u32, u64, i8, i16, i32, i64, f32, f64, half::f16, half::bf16);

impl Number for bool {
    fn bytes(self) -> Vec<u8> {
        vec![u8::from(self)]
    }

    fn of(bytes: &[u8]) -> Self {
        bytes[0] != 0
    }
}
