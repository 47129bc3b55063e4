//! Compiled programs and their execution.
#![forbid(unsafe_code)]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use super::buffer::{Buffer, BufferType, MemoryKind};
use super::capture::Trace;
use super::cost::Cost;
use super::device::Device;
use super::layout::Layout;
use super::memory_limit::Reservation;
use crate::lower::Native;
use crate::mlx::BufferSlices;
use crate::plan::{Origin, Plan};
use crate::program::ElementType;

/// Type of a parameter or result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signature {
    /// Element type or token.
    pub ty: BufferType,
    /// Sizes.
    pub dims: Vec<i64>,
    /// Order of the dimensions in memory; None is row-major.
    pub layout: Option<Layout>,
    /// Where it lies.
    pub memory: MemoryKind,
}

impl Signature {
    /// JAX passes arrays of no booleans for tokens.
    pub(super) fn accepts(&self, buffer: &Buffer) -> bool {
        let stands_for_token = || {
            self.ty == BufferType::Token
                && buffer.ty() == BufferType::Tensor(ElementType::Bool)
                && *buffer.dims() == [0]
        };
        (buffer.ty() == self.ty && *buffer.dims() == *self.dims) || stands_for_token()
    }

    fn bytes(&self) -> usize {
        match self.ty {
            BufferType::Token => 0,
            BufferType::Tensor(element) => {
                self.dims.iter().map(|&size| usize::try_from(size).unwrap_or(0)).product::<usize>() * element.bytes()
            }
        }
    }
}

/// Bytes for `Compiled.memory_analysis()`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CompiledMemoryStats {
    /// Of all arguments.
    pub argument_bytes: usize,
    /// Of all results.
    pub output_bytes: usize,
    /// Of donated arguments.
    pub alias_bytes: usize,
    /// Of intermediate results, an estimate: MLX allocates as it goes.
    pub temp_bytes: usize,
    /// There is no generated code.
    pub code_bytes: usize,
}

/// A compiled program on its device.
pub struct Executable {
    pub(super) name: String,
    pub(super) fingerprint: String,
    pub(super) program_bytes: Vec<u8>,
    pub(super) devices: Vec<Arc<Device>>,
    pub(super) parameters: Vec<Signature>,
    pub(super) results: Vec<Signature>,
    /// Parameters that a call may use up, in order.
    pub(super) donated: Vec<usize>,
    pub(super) plan: Plan,
    /// See [`CompiledMemoryStats::temp_bytes`].
    pub(super) temporary_bytes: usize,
    /// The largest array that a run makes, in bytes.
    pub(super) largest: Option<(usize, Arc<Origin>)>,
    pub(super) reservation: Option<Reservation>,
    /// Whether a run may have to wait for the device on its way.
    pub(super) blocks: bool,
    /// What the plan runs, where that is native code which the caller may wait for.
    pub(super) native: Option<Arc<Native>>,
    /// Whether a caller waits for that again.
    pub(super) patience: Patience,
    /// Where the plan's constants lie, which no result may share.
    pub(super) constants: BufferSlices,
    pub(super) cost: Cost,
    pub(super) trace: Trace,
    pub(super) deleted: AtomicBool,
}

/// Programs whose loops took too long for their callers begin anew on other threads. Those that did so last time are not
/// begun by the next callers.
#[derive(Default)]
pub(super) struct Patience(AtomicU32);

impl Patience {
    /// Calls that do not try.
    const CALLS: u32 = 32;

    /// Whether the caller begins it.
    pub(super) fn tries(&self) -> bool {
        // Calls that count at once may count one call less.
        let left = self.0.load(Ordering::Relaxed);
        if left > 0 {
            self.0.store(left - 1, Ordering::Relaxed);
        }
        left == 0
    }

    /// It took too long.
    pub(super) fn exhausted(&self) {
        self.0.store(Self::CALLS, Ordering::Relaxed);
    }
}

impl Executable {
    /// Module name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Hash of the program, its options and what compiles it, as text.
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    /// The bytes that were compiled.
    pub fn program_bytes(&self) -> &[u8] {
        &self.program_bytes
    }

    /// Devices that it runs on.
    pub fn devices(&self) -> &[Arc<Device>] {
        &self.devices
    }

    /// Types of the arguments.
    pub fn parameters(&self) -> &[Signature] {
        &self.parameters
    }

    /// Types of the results.
    pub fn results(&self) -> &[Signature] {
        &self.results
    }

    /// Estimated floating point operations of a run.
    pub fn flops(&self) -> f64 {
        self.cost.flops
    }

    /// Estimated bytes read and written in a run.
    pub fn bytes_accessed(&self) -> f64 {
        self.cost.bytes_accessed
    }

    /// Estimated exponentials, roots and the like of a run.
    pub fn transcendentals(&self) -> f64 {
        self.cost.transcendentals
    }

    /// Bytes of generated code: none.
    pub fn code_size(&self) -> i64 {
        0
    }

    /// Bytes by use.
    pub fn memory_stats(&self) -> CompiledMemoryStats {
        CompiledMemoryStats {
            argument_bytes: self.parameters.iter().map(Signature::bytes).sum(),
            output_bytes: self.results.iter().map(Signature::bytes).sum(),
            alias_bytes: self.donated.iter().map(|&index| self.parameters[index].bytes()).sum(),
            temp_bytes: self.temporary_bytes,
            code_bytes: 0,
        }
    }

    /// Makes further calls fail.
    pub fn delete(&self) {
        self.deleted.store(true, Ordering::Release);
    }

    /// Whether [`Self::delete`] was called.
    pub fn is_deleted(&self) -> bool {
        self.deleted.load(Ordering::Acquire)
    }
}
