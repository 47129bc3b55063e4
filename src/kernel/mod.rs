//! Kernels that are generated: loop nests over [`crate::expression`]'s functions, built from programs, and emitters that
//! make code of them.
//!
//! [`build`] makes one kernel of a whole program, or of a loop with all in it; [`native`] makes it machine code of the
//! host. What a kernel cannot hold it refuses, and MLX computes it.

mod affine;
pub mod build;
pub mod cost;
pub mod estimate;
pub mod interpret;
mod ir;
pub mod native;
mod node_cost;
mod schedule;
#[cfg(test)]
mod tests;

pub use ir::{
    Buffer, BufferId, Call, Fold, HostFunction, Kernel, Nest, Node, NodeId, Place, Sort, Sorted, Statement, Step, Store,
};
