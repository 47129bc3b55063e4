//! Contexts, modules and passes.

use std::sync::Once;

use melior::Context;
use melior::dialect::{DialectHandle, DialectRegistry};
use melior::ir::Module;
use mlir_sys::MlirStringRef;

use crate::bytes::printed;
use crate::ffi::*;

/// A context that knows StableHLO and, loaded when they are met, all dialects of MLIR itself (the inliner asks for
/// more than `func` alone has). It makes no threads, and it keeps ops of unknown dialects.
pub fn context() -> Context {
    let registry = DialectRegistry::new();
    melior::utility::register_all_dialects(&registry);
    // SAFETY: the function gives a handle to the dialect's static description.
    let stablehlo = unsafe { DialectHandle::from_raw(mlirGetDialectHandle__stablehlo__()) };
    stablehlo.insert_dialect(&registry);
    let context = Context::new_with_registry(&registry, false);
    context.set_allow_unregistered_dialects(true);
    // The deserializer takes what is loaded; it brings VHLO itself.
    stablehlo.load_dialect(&context);
    DialectHandle::func().load_dialect(&context);
    context
}

/// Reads a portable artifact: bytecode of VHLO of any version up to the library's own, which becomes StableHLO. None
/// after diagnostics.
pub fn deserialize<'c>(context: &'c Context, artifact: &[u8]) -> Option<Module<'c>> {
    // What lies in the file at a multiple of some power of two must lie so in memory.
    const ALIGNMENT: usize = 64;
    let mut aligned = vec![0u8; artifact.len() + ALIGNMENT];
    let start = aligned.as_ptr().align_offset(ALIGNMENT);
    let bytes = aligned.get_mut(start..start.checked_add(artifact.len())?)?;
    bytes.copy_from_slice(artifact);
    let string = MlirStringRef { data: bytes.as_ptr().cast(), length: bytes.len() };
    // SAFETY: the string outlives the call, which copies what it keeps; the module belongs to the context, which its
    // lifetime says, and is null on failure.
    unsafe { Module::from_option_raw(stablehloDeserializePortableArtifactNoError(string, context.to_raw())) }
}

/// Reads text. None after diagnostics.
pub fn parse<'c>(context: &'c Context, text: &str) -> Option<Module<'c>> {
    Module::parse(context, text)
}

/// Makes MLIR's general passes and StableHLO's known to the parser of pipelines, once in a process.
pub fn register_passes() {
    static ONCE: Once = Once::new();
    // SAFETY: the functions add to tables of the process; the lock of `Once` keeps them to one thread, and the only
    // other user of those tables, the parser of pipelines, is called after this.
    ONCE.call_once(|| unsafe {
        mlirRegisterTransformsPasses();
        mlirRegisterAllStablehloPasses();
        torchMlirRegisterAllPasses();
    });
}

/// The StableHLO version of the library.
pub fn library_version() -> String {
    // SAFETY: `printed` passes what its callback expects.
    printed(|callback, data| unsafe { stablehloGetCurrentVersion(callback, data) })
}
