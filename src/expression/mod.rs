//! The scalar language: what elementwise ops and the functions around them compute, once, as symbolic expressions whose
//! types are known.
//!
//! Definitions ([`elementwise`], [`arithmetic`], [`complex`], [`special`] …) are written with [`Term`] and become an
//! [`Expression`] for a [`Target`], which says what the evaluating side has of its own. Who evaluates needs the nodes of
//! [`Expression`] and nothing else: [`interpret`] on the host, `lower::expression` on MLX's graph.
#![forbid(unsafe_code)]

pub mod arithmetic;
mod bitwise;
pub mod complex;
pub mod convert;
mod elementwise;
mod functions;
mod interpret;
mod node;
mod print;
pub mod random;
mod scalar;
mod single;
pub mod small_types;
mod special;
mod target;
mod term;
mod value;

pub use elementwise::{Known, Refusal, elementwise, is_named, named};
pub use interpret::{holds, interpret};
pub use node::{Binary, Expression, Node, NodeId, Unary};
pub use scalar::Scalar;
pub use target::Target;
pub use term::{Operand, Term};
pub use value::Value;
