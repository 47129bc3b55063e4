//! Compilation, with a client and without.

use std::sync::Arc;

use pjrt_sys::{PJRT_Client_Compile_Args, PJRT_Compile_Args, PJRT_Program};

use super::call::{Handle, Rest, Result, check, slice, text};
use super::client::Client;
use super::executable::{Description, Executable};
use super::loaded_executable::LoadedExecutable;
use super::topology::Topology;
use crate::runtime::{Code, Error};

/// The code of a program that a caller passes.
///
/// # Safety
/// `program` is null or a caller's structure, valid while the result is used.
///
/// # Errors
/// INVALID_ARGUMENT for any format but MLIR, as XLA says it; UNIMPLEMENTED for XLA's own, which XLA takes.
unsafe fn mlir<'a>(program: *const PJRT_Program) -> Result<&'a [u8]> {
    // SAFETY: passed on to the caller.
    unsafe { check("PJRT_Program", program, PJRT_Program::STRUCT_SIZE) }?;
    // SAFETY: checked.
    let program = unsafe { &*program };
    // SAFETY: format and code are as long as the caller says.
    let (format, code) = unsafe {
        (text(program.format, program.format_size), slice(program.code.cast::<u8>().cast_const(), program.code_size))
    };
    if format != "mlir" {
        let code = if format.starts_with("hlo") { Code::Unimplemented } else { Code::InvalidArgument };
        return Err(Error::new(code, format!("expected a program in the format mlir, not {format:?}")));
    }
    Ok(code)
}

entry! {
    /// Compiles StableHLO for the devices of a topology. A client is not needed: nothing is measured on its devices.
    PJRT_Compile(args: PJRT_Compile_Args, topology: Topology) {
        let _rest = Rest;
        // SAFETY: the caller's program and options, as long as it says.
        let (program, options) =
            unsafe { (mlir(args.program)?, slice(args.compile_options.cast::<u8>(), args.compile_options_size)) };
        let runtime = topology.runtime();
        let executable = runtime.compile(program, options)?;
        args.executable = Executable(Description::new(executable, options, runtime.platform_version())).give();
        Ok(())
    }
}

entry! {
    /// Compiles StableHLO for the devices of the options.
    PJRT_Client_Compile(args: PJRT_Client_Compile_Args, client: Arc<Client>) {
        let _rest = Rest;
        // SAFETY: the caller's program and options, as long as it says.
        let (program, options) = unsafe {
            (mlir(args.program)?, slice(args.compile_options.cast::<u8>(), args.compile_options_size))
        };
        args.executable = LoadedExecutable::compile(client, program, options)?.give();
        Ok(())
    }
}
