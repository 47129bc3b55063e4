//! The Shardings extension. With it jaxlib does not look for shardings in the program's HLO, which it would have to make.

use std::ffi::c_char;
use std::mem::size_of;
use std::ptr;

use pjrt_sys::{PJRT_Executable, PJRT_Extension_Base};

use super::super::abi::{EXTENSION_TYPE_SHARDINGS, Function, structures};
use super::super::executable::Executable;
use super::extension::Extension;
use super::memory_descriptions;

structures! {
    PJRT_Shardings_PJRT_Executable_ParameterShardings_Args {
        executable: *mut PJRT_Executable,
        num_parameters: usize,
        shardings: *const *const c_char,
        ; sharding_sizes: *const usize
    }
    PJRT_Shardings_PJRT_Executable_OutputShardings_Args {
        executable: *mut PJRT_Executable,
        num_outputs: usize,
        shardings: *const *const c_char,
        ; sharding_sizes: *const usize
    }
}

/// The functions of the extension, in the order of its header.
#[repr(C)]
pub(crate) struct ShardingsExtension {
    base: PJRT_Extension_Base,
    executable_parameter_shardings: Function<PJRT_Shardings_PJRT_Executable_ParameterShardings_Args>,
    executable_output_shardings: Function<PJRT_Shardings_PJRT_Executable_OutputShardings_Args>,
}

/// The extension.
pub(super) static EXTENSION: Extension<ShardingsExtension> = Extension(ShardingsExtension {
    base: PJRT_Extension_Base {
        struct_size: size_of::<ShardingsExtension>(),
        type_: EXTENSION_TYPE_SHARDINGS,
        next: memory_descriptions::EXTENSION.handle(),
    },
    executable_parameter_shardings: Some(PJRT_Shardings_PJRT_Executable_ParameterShardings),
    executable_output_shardings: Some(PJRT_Shardings_PJRT_Executable_OutputShardings),
});

entry! {
    /// Shardings of the parameters: none on one device.
    PJRT_Shardings_PJRT_Executable_ParameterShardings(
        args: PJRT_Shardings_PJRT_Executable_ParameterShardings_Args, executable: Executable
    ) {
        args.num_parameters = executable.0.parameter_layouts().len();
        args.shardings = ptr::null();
        args.sharding_sizes = ptr::null();
        Ok(())
    }
}

entry! {
    /// Shardings of the outputs: none on one device.
    PJRT_Shardings_PJRT_Executable_OutputShardings(
        args: PJRT_Shardings_PJRT_Executable_OutputShardings_Args, executable: Executable
    ) {
        args.num_outputs = executable.0.output_layouts().len();
        args.shardings = ptr::null();
        args.sharding_sizes = ptr::null();
        Ok(())
    }
}
