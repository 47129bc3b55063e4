//! What a call of a function of the host needs, at a place that does not change.
#![forbid(unsafe_code)]

use std::sync::Arc;

use crate::kernel::ir::HostFunction;

/// A function with the sizes of what it is given, in bytes. The code holds its address.
pub(super) struct Callee {
    pub(super) function: Arc<HostFunction>,
    pub(super) inputs: Vec<usize>,
    pub(super) outputs: Vec<usize>,
}

/// Each at a place of its own: the code holds their addresses.
pub(super) type Callees = Vec<Box<Callee>>;
