//! Diagnostics of a context.

use std::ffi::c_void;
use std::marker::PhantomData;

use melior::Context;
use melior::ir::Location;
use mlir_sys::*;

use crate::bytes::printed;

/// What MLIR has to say.
#[derive(Clone, Debug)]
pub struct Diagnostic<'c> {
    /// False for warnings and remarks.
    pub is_error: bool,
    /// Text; notes follow on lines of their own.
    pub message: String,
    /// Where.
    pub location: Location<'c>,
}

struct Collected<'c> {
    diagnostics: Vec<Diagnostic<'c>>,
    context: PhantomData<&'c Context>,
}

fn text(diagnostic: MlirDiagnostic) -> String {
    // SAFETY: the diagnostic is valid; `printed` passes what its callback expects.
    printed(|callback, data| unsafe { mlirDiagnosticPrint(diagnostic, callback, data) })
}

/// Keeps a diagnostic; nothing in here unwinds.
unsafe extern "C" fn keep(diagnostic: MlirDiagnostic, data: *mut c_void) -> MlirLogicalResult {
    // SAFETY: `data` is the collection that `with_diagnostics` attached, used by nobody else while a function of the
    // context runs; the diagnostic is valid during the call, and its location is owned by the context.
    unsafe {
        let mut message = text(diagnostic);
        for index in 0..mlirDiagnosticGetNumNotes(diagnostic) {
            message.push('\n');
            message.push_str(&text(mlirDiagnosticGetNote(diagnostic, index)));
        }
        (*data.cast::<Collected<'_>>()).diagnostics.push(Diagnostic {
            is_error: mlirDiagnosticGetSeverity(diagnostic) == MlirDiagnosticSeverity_MlirDiagnosticError,
            message,
            location: Location::from_raw(mlirDiagnosticGetLocation(diagnostic)),
        });
    }
    // Handled: not printed too.
    MlirLogicalResult { value: 1 }
}

/// Runs `work`; gives its result and what the context had to say meanwhile.
pub fn with_diagnostics<'c, T>(context: &'c Context, work: impl FnOnce() -> T) -> (T, Vec<Diagnostic<'c>>) {
    /// Detaches also when `work` unwinds.
    struct Attached(MlirContext, MlirDiagnosticHandlerID);
    impl Drop for Attached {
        fn drop(&mut self) {
            // SAFETY: the context outlives this, and the handler was attached to it.
            unsafe { mlirContextDetachDiagnosticHandler(self.0, self.1) }
        }
    }
    let mut collected: Box<Collected<'c>> = Box::new(Collected { diagnostics: Vec::new(), context: PhantomData });
    let data: *mut Collected<'c> = &raw mut *collected;
    // SAFETY: the collection outlives the handler, which is detached below; the context makes no threads.
    let id = unsafe { mlirContextAttachDiagnosticHandler(context.to_raw(), Some(keep), data.cast(), None) };
    let attached = Attached(context.to_raw(), id);
    let result = work();
    drop(attached);
    (result, collected.diagnostics)
}
