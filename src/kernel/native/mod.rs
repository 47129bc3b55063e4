//! Machine code of the host for kernels, made by Cranelift.

mod at_once;
mod call;
mod callee;
#[cfg(test)]
mod edges;
mod emit;
mod functions;
mod nest;
#[cfg(test)]
mod op_tests;
mod registers;
mod sort;
mod steps;
#[cfg(test)]
mod tests;
mod vector;

pub(super) use at_once::at_once;

use std::mem::ManuallyDrop;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use cranelift_codegen::isa::OwnedTargetIsa;
use cranelift_codegen::settings::{self, Configurable};
use cranelift_frontend::{FunctionBuilder, FunctionBuilderContext};
use cranelift_jit::{JITBuilder, JITModule};
use cranelift_module::{Linkage, Module, default_libcall_names};

use super::ir::{Kernel, Place};

/// What a kernel is called with: pointers to the inputs and to the outputs, the arena, a byte that is not 0 when loops are
/// to end, and the number of steps that they may still take. Not 0 is returned when one did not come to its own end.
type Entry = unsafe extern "C" fn(*const *const u8, *const *mut u8, *mut u8, *const u8, *mut i64) -> u32;

/// A kernel as machine code.
pub struct Code {
    entry: Entry,
    module: ManuallyDrop<JITModule>,
    /// What the code reads: it holds the addresses of its constants.
    kernel: Kernel,
    /// What the code calls: it holds their addresses.
    _callees: callee::Callees,
    inputs: Vec<usize>,
    outputs: Vec<usize>,
}

/// Why the code has not come to its end.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Halt {
    /// Loops have ended because they were told to, or took too many steps.
    #[error("the program was interrupted")]
    Stopped,
    /// A function of the host that it calls has failed.
    #[error("{0}")]
    Failed(String),
}

// SAFETY: the module is not touched between its making and its end; what the code reads and writes is what it is called
// with, and constants that never change.
unsafe impl Send for Code {}
// SAFETY: as above.
unsafe impl Sync for Code {}

impl std::fmt::Debug for Code {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Code").field("inputs", &self.inputs).field("outputs", &self.outputs).finish()
    }
}

/// The processor that the code is for.
fn host() -> Result<OwnedTargetIsa, String> {
    static HOST: OnceLock<Result<OwnedTargetIsa, String>> = OnceLock::new();
    let look = || {
        let mut flags = settings::builder();
        for (name, value) in [
            ("use_colocated_libcalls", "false"),
            ("is_pic", "false"),
            ("opt_level", "speed"),
            ("enable_verifier", "false"),
        ] {
            flags.set(name, value).map_err(|error| error.to_string())?;
        }
        let builder = cranelift_native::builder().map_err(str::to_owned)?;
        builder.finish(settings::Flags::new(flags)).map_err(|error| error.to_string())
    };
    HOST.get_or_init(look).clone()
}

impl Code {
    /// Compiles a kernel.
    ///
    /// # Errors
    /// What Cranelift says; when it does not know the processor.
    pub fn new(kernel: Kernel) -> Result<Self, String> {
        let mut module = JITModule::new(JITBuilder::with_isa(host()?, default_libcall_names()));
        let mut context = module.make_context();
        context.func.signature = emit::signature(&module);
        let id = module
            .declare_function("kernel", Linkage::Local, &context.func.signature)
            .map_err(|error| error.to_string())?;
        let mut builder_context = FunctionBuilderContext::new();
        let builder = FunctionBuilder::new(&mut context.func, &mut builder_context);
        let callees = emit::kernel(&kernel, builder, module.target_config())?;
        module.define_function(id, &mut context).map_err(|error| format!("{error:?}"))?;
        module.clear_context(&mut context);
        module.finalize_definitions().map_err(|error| error.to_string())?;
        let address = module.get_finalized_function(id);
        // SAFETY: the function has been defined with this signature, and its memory lives as long as the module, which goes
        // with `self`.
        let entry = unsafe { std::mem::transmute::<*const u8, Entry>(address) };
        let bytes = |find: fn(&Place) -> Option<u32>| {
            let mut sizes = Vec::new();
            for buffer in &kernel.buffers {
                if let Some(index) = find(&buffer.place) {
                    let index = index as usize;
                    if sizes.len() <= index {
                        sizes.resize(index + 1, 0);
                    }
                    sizes[index] = buffer.elements * buffer.scalar.bytes();
                }
            }
            sizes
        };
        let inputs = bytes(|place| if let Place::Input(index) = place { Some(*index) } else { None });
        let outputs = bytes(|place| if let Place::Output(index) = place { Some(*index) } else { None });
        Ok(Self { entry, module: ManuallyDrop::new(module), kernel, _callees: callees, inputs, outputs })
    }

    /// Bytes of each input.
    pub fn inputs(&self) -> &[usize] {
        &self.inputs
    }

    /// Bytes of each output.
    pub fn outputs(&self) -> &[usize] {
        &self.outputs
    }

    /// Runs once, with arguments of [`Self::inputs`]'s and results of [`Self::outputs`]'s sizes.
    ///
    /// # Errors
    /// When a loop was told to end, or a function of the host fails.
    ///
    /// # Panics
    /// When the sizes are others.
    pub fn run(&self, inputs: &[&[u8]], outputs: &mut [&mut [u8]], stop: &AtomicBool) -> Result<(), Halt> {
        self.run_within(u64::MAX, inputs, outputs, stop)
    }

    /// As [`Self::run`], the loops taking so many scalar operations at most, as [`super::cost`] counts them.
    ///
    /// # Errors
    /// When a loop was told to end, or took more, or a function of the host fails.
    ///
    /// # Panics
    /// As [`Self::run`].
    pub fn run_within(
        &self,
        steps: u64,
        inputs: &[&[u8]],
        outputs: &mut [&mut [u8]],
        stop: &AtomicBool,
    ) -> Result<(), Halt> {
        assert!(
            inputs.iter().map(|bytes| bytes.len()).eq(self.inputs.iter().copied()),
            "inputs of {:?} bytes",
            self.inputs
        );
        assert!(
            outputs.iter().map(|bytes| bytes.len()).eq(self.outputs.iter().copied()),
            "outputs of {:?} bytes",
            self.outputs
        );
        if stop.load(Ordering::Relaxed) {
            return Err(Halt::Stopped);
        }
        let read: smallvec::SmallVec<[*const u8; 16]> = inputs.iter().map(|bytes| bytes.as_ptr()).collect();
        let written: smallvec::SmallVec<[*mut u8; 16]> = outputs.iter_mut().map(|bytes| bytes.as_mut_ptr()).collect();
        // Words: what the code keeps there is aligned as it was laid out.
        let mut small = [const { std::mem::MaybeUninit::<u64>::uninit() }; 256];
        let mut large: Vec<std::mem::MaybeUninit<u64>> = Vec::new();
        let words = self.kernel.arena.div_ceil(8);
        let arena = if words <= small.len() {
            small.as_mut_ptr()
        } else {
            large.reserve_exact(words);
            large.as_mut_ptr()
        };
        let mut left = i64::try_from(steps).unwrap_or(i64::MAX);
        // SAFETY: the code reads and writes what the kernel says: within the inputs, the outputs and the arena, whose sizes
        // are as it expects, at places that `kernel::build` keeps within the bounds; of the arena and the outputs it reads
        // only what it has written. The flag is one byte, and read as one; the number of steps is one word.
        let status =
            unsafe { (self.entry)(read.as_ptr(), written.as_ptr(), arena.cast(), stop.as_ptr().cast(), &mut left) };
        match status {
            0 => Ok(()),
            call::FAILED => Err(Halt::Failed(call::failure())),
            _ => Err(Halt::Stopped),
        }
    }
}

impl Drop for Code {
    fn drop(&mut self) {
        // SAFETY: taken once, here.
        let module = unsafe { ManuallyDrop::take(&mut self.module) };
        // SAFETY: nobody runs the code any more: running it borrows `self`.
        unsafe { module.free_memory() };
    }
}
