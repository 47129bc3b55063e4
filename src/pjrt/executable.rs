//! `PJRT_Executable`: a compiled program, as far as it can be described.

use std::ffi::{c_char, c_void};
use std::ptr;
use std::sync::Arc;

use pjrt_sys::{
    PJRT_Buffer_Type, PJRT_Executable, PJRT_Executable_Destroy_Args, PJRT_Executable_Fingerprint_Args,
    PJRT_Executable_GetCompiledMemoryStats_Args, PJRT_Executable_GetCostAnalysis_Args, PJRT_Executable_Name_Args,
    PJRT_Executable_NumOutputs_Args, PJRT_Executable_NumPartitions_Args, PJRT_Executable_NumReplicas_Args,
    PJRT_Executable_OptimizedProgram_Args, PJRT_Executable_OutputDimensions_Args,
    PJRT_Executable_OutputElementTypes_Args, PJRT_Executable_OutputMemoryKinds_Args,
    PJRT_Executable_SizeOfGeneratedCodeInBytes_Args, PJRT_NamedValue,
};

use super::abi::{
    CompiledMemoryStatsArgs, PJRT_Executable_GetCompileOptions_Args, PJRT_Executable_ParameterMemoryKinds_Args,
    has_field,
};
use super::call::{Handle, check};
use super::memory_layout::{self, MemoryLayout};
use super::{named_value, types};
use crate::runtime::{self, Code, Error, Signature};

/// What a program is, in the form in which callers ask for it. Executables and loaded executables share it.
pub(super) struct Description {
    runtime: Arc<runtime::Executable>,
    /// The options that it was compiled with, as they came.
    options: Box<[u8]>,
    /// Versions of what compiled it.
    platform_version: Box<str>,
    output_types: Box<[PJRT_Buffer_Type]>,
    /// The sizes of all outputs, one after the other.
    output_dims: Box<[i64]>,
    output_ranks: Box<[usize]>,
    parameters: Values,
    outputs: Values,
    cost: [PJRT_NamedValue; 3],
}

/// Memory kinds and layouts of all parameters or outputs.
struct Values {
    memory_kinds: Box<[*const c_char]>,
    memory_kind_sizes: Box<[usize]>,
    layouts: Box<[*mut MemoryLayout]>,
}

impl Values {
    fn new(signatures: &[Signature]) -> Self {
        Self {
            memory_kinds: signatures.iter().map(|value| value.memory.name().as_ptr().cast()).collect(),
            memory_kind_sizes: signatures.iter().map(|value| value.memory.name().len()).collect(),
            layouts: signatures
                .iter()
                .map(|value| memory_layout::of(value.layout.as_ref(), value.dims.len()))
                .collect(),
        }
    }
}

// SAFETY: the pointers are to statics, to things that live as long as the process, and to what the description owns; none
// of it changes.
unsafe impl Send for Description {}
// SAFETY: as above.
unsafe impl Sync for Description {}

/// What a `PJRT_Executable*` points to.
pub(super) struct Executable(pub(super) Arc<Description>);

// SAFETY: executables are given out as `Executable` only.
unsafe impl Handle for Executable {
    type Opaque = PJRT_Executable;
    const NAME: &'static str = "PJRT_Executable";
}

impl Description {
    /// Describes a program of the runtime, compiled with these options by the platform of that version.
    pub(super) fn new(runtime: Arc<runtime::Executable>, options: &[u8], platform_version: &str) -> Arc<Self> {
        let outputs = runtime.results();
        #[expect(clippy::cast_possible_truncation, reason = "the API has only 32 bits for estimates")]
        let cost = [
            named_value::float(c"flops", runtime.flops() as f32),
            named_value::float(c"bytes accessed", runtime.bytes_accessed() as f32),
            named_value::float(c"transcendentals", runtime.transcendentals() as f32),
        ];
        Arc::new(Self {
            options: options.into(),
            platform_version: platform_version.into(),
            output_types: outputs.iter().map(|output| types::to_c(output.ty)).collect(),
            output_dims: outputs.iter().flat_map(|output| &output.dims).copied().collect(),
            output_ranks: outputs.iter().map(|output| output.dims.len()).collect(),
            parameters: Values::new(runtime.parameters()),
            outputs: Values::new(outputs),
            cost,
            runtime,
        })
    }

    /// The program of the runtime.
    pub(super) fn runtime(&self) -> &Arc<runtime::Executable> {
        &self.runtime
    }

    /// The options that it was compiled with, as they came.
    pub(super) fn options(&self) -> &[u8] {
        &self.options
    }

    /// Versions of what compiled it.
    pub(super) fn platform_version(&self) -> &str {
        &self.platform_version
    }

    /// Layouts of the parameters.
    pub(super) fn parameter_layouts(&self) -> &[*mut MemoryLayout] {
        &self.parameters.layouts
    }

    /// Layouts of the outputs.
    pub(super) fn output_layouts(&self) -> &[*mut MemoryLayout] {
        &self.outputs.layouts
    }
}

entry! {
    /// Frees an executable.
    PJRT_Executable_Destroy(args: PJRT_Executable_Destroy_Args) {
        // SAFETY: the caller owns the executable.
        unsafe { Executable::destroy(args.executable) };
        Ok(())
    }
}

entry! {
    /// Name of the module.
    PJRT_Executable_Name(args: PJRT_Executable_Name_Args, executable: Executable) {
        let name = executable.0.runtime.name();
        args.executable_name = name.as_ptr().cast();
        args.executable_name_size = name.len();
        Ok(())
    }
}

entry! {
    /// One replica: JAX sends no other programs, and the runtime compiles no other.
    PJRT_Executable_NumReplicas(args: PJRT_Executable_NumReplicas_Args, executable: Executable) {
        let _ = executable;
        args.num_replicas = 1;
        Ok(())
    }
}

entry! {
    /// One partition for each device.
    PJRT_Executable_NumPartitions(args: PJRT_Executable_NumPartitions_Args, executable: Executable) {
        args.num_partitions = executable.0.runtime.devices().len();
        Ok(())
    }
}

entry! {
    /// Number of outputs on each device.
    PJRT_Executable_NumOutputs(args: PJRT_Executable_NumOutputs_Args, executable: Executable) {
        args.num_outputs = executable.0.output_types.len();
        Ok(())
    }
}

entry! {
    /// Bytes of machine code.
    PJRT_Executable_SizeOfGeneratedCodeInBytes(
        args: PJRT_Executable_SizeOfGeneratedCodeInBytes_Args, executable: Executable
    ) {
        args.size_in_bytes = executable.0.runtime.code_size();
        Ok(())
    }
}

entry! {
    /// Hash of the program and of what compiles it.
    PJRT_Executable_Fingerprint(args: PJRT_Executable_Fingerprint_Args, executable: Executable) {
        let fingerprint = executable.0.runtime.fingerprint();
        args.executable_fingerprint = fingerprint.as_ptr().cast();
        args.executable_fingerprint_size = fingerprint.len();
        Ok(())
    }
}

entry! {
    /// Estimates: `flops`, `bytes accessed` and `transcendentals`.
    PJRT_Executable_GetCostAnalysis(args: PJRT_Executable_GetCostAnalysis_Args, executable: Executable) {
        args.properties = executable.0.cost.as_ptr();
        args.num_properties = executable.0.cost.len();
        Ok(())
    }
}

entry! {
    /// Bytes by use, all in the device's memory. What minors 90 and later appended is written only where the caller has it.
    raw PJRT_Executable_GetCompiledMemoryStats(args: PJRT_Executable_GetCompiledMemoryStats_Args) {
        // SAFETY: the structure was checked; the handle is null or alive.
        let stats = unsafe { Executable::get((*args).executable) }?.0.runtime.memory_stats();
        let bytes = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        // SAFETY: the structure was checked.
        unsafe {
            (*args).generated_code_size_in_bytes = bytes(stats.code_bytes);
            (*args).argument_size_in_bytes = bytes(stats.argument_bytes);
            (*args).output_size_in_bytes = bytes(stats.output_bytes);
            (*args).alias_size_in_bytes = bytes(stats.alias_bytes);
            (*args).temp_size_in_bytes = bytes(stats.temp_bytes);
            (*args).host_generated_code_size_in_bytes = 0;
            (*args).host_argument_size_in_bytes = 0;
            (*args).host_output_size_in_bytes = 0;
            (*args).host_alias_size_in_bytes = 0;
            (*args).host_temp_size_in_bytes = 0;
        }
        let total = bytes(
            (stats.argument_bytes + stats.output_bytes + stats.temp_bytes + stats.code_bytes)
                .saturating_sub(stats.alias_bytes),
        );
        let longer = args.cast::<CompiledMemoryStatsArgs>();
        macro_rules! append {
            ($field:ident = $value:expr) => {
                if has_field!(args, CompiledMemoryStatsArgs, $field: i64) {
                    // SAFETY: the caller's structure reaches so far.
                    unsafe { (*longer).$field = $value };
                }
            };
        }
        append!(peak_memory_in_bytes = total);
        append!(total_size_in_bytes = total);
        append!(total_allocation_bytes = total);
        append!(indefinite_allocations = 0);
        append!(peak_unpadded_heap_bytes = 0);
        Ok(())
    }
}

entry! {
    /// Element types of the outputs.
    PJRT_Executable_OutputElementTypes(args: PJRT_Executable_OutputElementTypes_Args, executable: Executable) {
        args.output_types = executable.0.output_types.as_ptr().cast_mut();
        args.num_output_types = executable.0.output_types.len();
        Ok(())
    }
}

entry! {
    /// Sizes of the outputs.
    PJRT_Executable_OutputDimensions(args: PJRT_Executable_OutputDimensions_Args, executable: Executable) {
        args.num_outputs = executable.0.output_ranks.len();
        args.dims = executable.0.output_dims.as_ptr();
        args.dim_sizes = executable.0.output_ranks.as_ptr();
        Ok(())
    }
}

entry! {
    /// Memory kinds of the parameters.
    PJRT_Executable_ParameterMemoryKinds(args: PJRT_Executable_ParameterMemoryKinds_Args, executable: Executable) {
        let values = &executable.0.parameters;
        args.num_parameters = values.memory_kinds.len();
        args.memory_kinds = values.memory_kinds.as_ptr();
        args.memory_kind_sizes = values.memory_kind_sizes.as_ptr();
        Ok(())
    }
}

entry! {
    /// Memory kinds of the outputs.
    PJRT_Executable_OutputMemoryKinds(args: PJRT_Executable_OutputMemoryKinds_Args, executable: Executable) {
        let values = &executable.0.outputs;
        args.num_outputs = values.memory_kinds.len();
        args.memory_kinds = values.memory_kinds.as_ptr();
        args.memory_kind_sizes = values.memory_kind_sizes.as_ptr();
        Ok(())
    }
}

entry! {
    /// The program as it came, in the format `mlir`. Without a buffer for it, tells the size.
    PJRT_Executable_OptimizedProgram(args: PJRT_Executable_OptimizedProgram_Args, executable: Executable) {
        // SAFETY: the caller's structure, checked before use.
        unsafe { check("PJRT_Program", args.program, pjrt_sys::PJRT_Program::STRUCT_SIZE) }?;
        // SAFETY: checked, and the caller's for this call.
        let program = unsafe { &mut *args.program };
        let bytes = executable.0.runtime.program_bytes();
        program.format = c"mlir".as_ptr();
        program.format_size = 4;
        if program.code.is_null() {
            program.code_size = bytes.len();
            return Ok(());
        }
        if program.code_size < bytes.len() {
            let message = format!("expected room for a program of {} bytes, not {}", bytes.len(), program.code_size);
            return Err(Error::new(Code::InvalidArgument, message));
        }
        // SAFETY: the caller's buffer has room for the program, as was checked.
        unsafe { ptr::copy_nonoverlapping(bytes.as_ptr(), program.code.cast(), bytes.len()) };
        program.code_size = bytes.len();
        Ok(())
    }
}

/// The options belong to the executable.
unsafe extern "C" fn keep(_: *mut c_void) {}

entry! {
    /// The options that it was compiled with.
    PJRT_Executable_GetCompileOptions(args: PJRT_Executable_GetCompileOptions_Args, executable: Executable) {
        args.serialized_bytes = executable.0.options.as_ptr().cast();
        args.serialized_bytes_size = executable.0.options.len();
        args.serialized_compile_options = ptr::null_mut();
        args.serialized_compile_options_deleter = Some(keep);
        Ok(())
    }
}
