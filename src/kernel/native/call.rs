//! Functions of the host, called by kernels.

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};

use cranelift_codegen::ir::{AbiParam, InstBuilder, Signature, StackSlotData, StackSlotKind, types};

use super::callee::Callee;
use super::emit::Function;
use crate::kernel::ir::Call;

/// What the code returns when a call has failed.
pub(super) const FAILED: u32 = 2;

thread_local! {
    /// Why the last call of this thread has failed.
    static FAILURE: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Takes the message of the last call that failed.
pub(super) fn failure() -> String {
    FAILURE.take().unwrap_or_else(|| "internal error: a failure without a message".to_owned())
}

/// Calls a function with pointers to its inputs and then its outputs; 0, or [`FAILED`].
///
/// # Safety
/// As many pointers as the callee has sizes, to as many bytes; outputs that nothing else points to.
unsafe extern "C" fn call(callee: *const Callee, pointers: *const *mut u8) -> u32 {
    // SAFETY: the code that calls lives in the same object as the callee.
    let callee = unsafe { &*callee };
    let (count, all) = (callee.inputs.len(), callee.inputs.len() + callee.outputs.len());
    // SAFETY: the caller has stored as many.
    let pointers = unsafe { std::slice::from_raw_parts(pointers, all) };
    let inputs: smallvec::SmallVec<[&[u8]; 4]> = pointers
        .iter()
        .zip(&callee.inputs)
        // SAFETY: the kernel's buffers are of these sizes; statements before this have written them.
        .map(|(&pointer, &bytes)| unsafe { std::slice::from_raw_parts(pointer.cast_const(), bytes) })
        .collect();
    let mut outputs: smallvec::SmallVec<[&mut [u8]; 4]> = pointers[count..]
        .iter()
        .zip(&callee.outputs)
        .map(|(&pointer, &bytes)| {
            // SAFETY: as above, and each output is a buffer of its own, which is initialised here.
            unsafe {
                pointer.write_bytes(0, bytes);
                std::slice::from_raw_parts_mut(pointer, bytes)
            }
        })
        .collect();
    let outcome = catch_unwind(AssertUnwindSafe(|| (callee.function)(&inputs, &mut outputs)));
    let why = match outcome {
        Ok(Ok(())) => return 0,
        Ok(Err(why)) => why,
        Err(_) => "internal error: a function of the host panicked".to_owned(),
    };
    FAILURE.set(Some(why));
    FAILED
}

impl Function<'_, '_> {
    /// Emits a call.
    pub(super) fn call(&mut self, call_of: &Call) {
        let bytes = |buffer: &u32| {
            let buffer = &self.kernel.buffers[*buffer as usize];
            buffer.elements * buffer.scalar.bytes()
        };
        let callee = Box::new(Callee {
            function: call_of.function.clone(),
            inputs: call_of.inputs.iter().map(bytes).collect(),
            outputs: call_of.outputs.iter().map(bytes).collect(),
        });
        let address = std::ptr::from_ref::<Callee>(&callee);
        self.callees.push(callee);
        let size = self.pointer.bytes();
        let count = (call_of.inputs.len() + call_of.outputs.len()) as u32;
        let slot = StackSlotData::new(StackSlotKind::ExplicitSlot, count * size, size.trailing_zeros() as u8);
        let slot = self.builder.create_sized_stack_slot(slot);
        for (number, &buffer) in call_of.inputs.iter().chain(&call_of.outputs).enumerate() {
            let base = self.bases[buffer as usize];
            self.builder.ins().stack_store(self.pointer, base, slot, number as i32 * size as i32);
        }
        let mut signature = Signature::new(self.convention());
        signature.params.extend([AbiParam::new(self.pointer); 2]);
        signature.returns.push(AbiParam::new(types::I32));
        let signature = self.builder.import_signature(signature);
        let function = call as unsafe extern "C" fn(*const Callee, *const *mut u8) -> u32 as usize;
        let function = self.builder.ins().iconst(self.pointer, function as i64);
        let callee = self.builder.ins().iconst(self.pointer, address as i64);
        let pointers = self.builder.ins().stack_addr(self.pointer, slot, 0);
        let called = self.builder.ins().call_indirect(signature, function, &[callee, pointers]);
        let status = self.builder.inst_results(called)[0];
        let (failed, after) = (self.builder.create_block(), self.builder.create_block());
        self.builder.ins().brif(status, failed, &[], after, &[]);
        self.builder.switch_to_block(failed);
        self.builder.set_cold_block(failed);
        self.builder.ins().return_(&[status]);
        self.builder.switch_to_block(after);
    }
}
