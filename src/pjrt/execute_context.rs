//! `PJRT_ExecuteContext`: what a caller attaches to a call. Nothing can be attached yet.

use pjrt_sys::{PJRT_ExecuteContext, PJRT_ExecuteContext_Create_Args, PJRT_ExecuteContext_Destroy_Args};

use super::call::Handle;

/// What a `PJRT_ExecuteContext*` points to.
struct ExecuteContext {
    /// Gives each context an address of its own.
    _identity: u8,
}

// SAFETY: contexts are given out as `ExecuteContext` only.
unsafe impl Handle for ExecuteContext {
    type Opaque = PJRT_ExecuteContext;
    const NAME: &'static str = "PJRT_ExecuteContext";
}

entry! {
    /// A new context.
    PJRT_ExecuteContext_Create(args: PJRT_ExecuteContext_Create_Args) {
        args.context = ExecuteContext { _identity: 0 }.give();
        Ok(())
    }
}

entry! {
    /// Frees a context.
    PJRT_ExecuteContext_Destroy(args: PJRT_ExecuteContext_Destroy_Args) {
        // SAFETY: the caller owns the context.
        unsafe { ExecuteContext::destroy(args.context) };
        Ok(())
    }
}
