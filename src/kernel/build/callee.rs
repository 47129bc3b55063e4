//! Functions of the host for what kernels do not hold.
#![forbid(unsafe_code)]

use std::sync::Arc;

use crate::kernel::ir::HostFunction;
use crate::program::Op;

/// A function of the host in place of an op.
pub struct Callee {
    /// Of the bytes of all operands, row-major; writes those of all results.
    pub function: Arc<HostFunction>,
    /// What it costs, in scalar operations.
    pub steps: f64,
    /// Whether it waits for other threads.
    pub waits: bool,
}

/// Who has functions of the host for ops that kernels do not hold.
pub type Callees<'a> = dyn Fn(&Op) -> Option<Callee> + 'a;
