//! The typed program: what the reader makes of the bytes, and what the passes and the lowering work on.
//!
//! Plain data without references into the input and without MLX. Values are numbers into their function's table of
//! types, so that passes can copy and renumber freely.
#![forbid(unsafe_code)]

mod attribute;
mod convolution;
mod error;
mod facts;
mod location;
mod op;
pub mod print;
pub mod sharding;
#[cfg(test)]
pub mod testing;
mod types;
pub mod verify;

pub use attribute::{Attribute, Attributes, Literal};
pub use error::{CompileError, describe};
pub use facts::{Class, Work};
pub use location::Location;
pub use op::{
    Binary, Block, Channel, Collective, CompareType, Convolution, CustomCall, CustomCallApiVersion, Direction,
    DotAlgorithm, DotGeneral, FftType, Gather, HostTransfer, Op, OpKind, Precision, ReduceWindow, RngAlgorithm,
    RngDistribution, Scatter, SelectAndScatter, Transpose, Unary,
};
pub use types::{DYNAMIC, ElementType, Quantization, TensorType, Type};

/// A value of a function: index into [`Function::values`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ValueId(pub u32);

/// A function.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Function {
    /// Symbol name without `@`.
    pub name: String,
    /// Types of all values, block arguments and results of nested regions included.
    pub values: Vec<Type>,
    /// The body; its arguments are the function's, its results the operands of `return`.
    pub body: Block,
    /// Attributes of each argument (`tf.aliasing_output`, `jax.buffer_donor`, `mhlo.sharding`, `sdy.sharding` …).
    pub argument_attributes: Vec<Attributes>,
    /// Attributes of each result.
    pub result_attributes: Vec<Attributes>,
    /// Attributes of the function itself, its name, type and visibility left out.
    pub attributes: Attributes,
    /// True for `public` (the entry point is `main`).
    pub is_public: bool,
    /// Where it comes from.
    pub location: Location,
}

impl Function {
    /// The type of a value.
    pub fn ty(&self, value: ValueId) -> &Type {
        &self.values[value.0 as usize]
    }

    /// The tensor type of a value, None when it is a token, a tuple or the like.
    pub fn tensor(&self, value: ValueId) -> Option<&TensorType> {
        self.ty(value).tensor()
    }

    /// Adds a value.
    pub fn add_value(&mut self, ty: Type) -> ValueId {
        let id = ValueId(u32::try_from(self.values.len()).expect("fewer than 2^32 values: the input is smaller"));
        self.values.push(ty);
        id
    }
}

/// A module.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Program {
    /// Module name without `@`, empty when none.
    pub name: String,
    /// Attributes of the module (`mhlo.num_partitions`, `mhlo.num_replicas` …).
    pub attributes: Attributes,
    /// Meshes by symbol (`sdy.mesh`).
    pub meshes: Vec<(String, sharding::Mesh)>,
    /// Functions in their order.
    pub functions: Vec<Function>,
}

impl Program {
    /// The function of that name.
    pub fn function(&self, name: &str) -> Option<&Function> {
        self.functions.iter().find(|function| function.name == name)
    }

    /// The entry point: the function `main`, else the only public one.
    pub fn main(&self) -> Option<&Function> {
        self.function("main").or_else(|| {
            let mut public = self.functions.iter().filter(|function| function.is_public);
            public.next().filter(|_| public.next().is_none())
        })
    }
}
