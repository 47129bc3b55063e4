//! The Layouts extension. With it jaxlib takes layouts from here and not from the program's HLO, which it would have to
//! make.

use std::ffi::{c_char, c_void};
use std::mem::size_of;
use std::ptr;
use std::sync::Arc;

use pjrt_sys::{
    PJRT_Buffer, PJRT_Buffer_Type, PJRT_Client, PJRT_Executable, PJRT_Extension_Base, PJRT_TopologyDescription,
};

use super::super::abi::{EXTENSION_TYPE_LAYOUTS, Function, structures};
use super::super::buffer::Buffer;
use super::super::client::Client;
use super::super::executable::Executable;
use super::super::memory_layout::{MemoryLayout, of, row_major};
use super::super::topology::Topology;
use super::super::types;
use super::extension::Extension;
use super::shardings;

structures! {
    PJRT_Layouts_MemoryLayout_Destroy_Args { ; layout: *mut MemoryLayout }
    PJRT_Layouts_MemoryLayout_Serialize_Args {
        layout: *mut MemoryLayout,
        serialized_bytes: *const c_char,
        serialized_bytes_size: usize,
        serialized_layout: *mut c_void,
        ; serialized_layout_deleter: Option<unsafe extern "C" fn(*mut c_void)>
    }
    PJRT_Layouts_PJRT_Buffer_MemoryLayout_Args {
        buffer: *mut PJRT_Buffer,
        ; layout: *mut MemoryLayout
    }
    PJRT_Layouts_PJRT_Client_GetDefaultLayout_Args {
        client: *mut PJRT_Client,
        type_: PJRT_Buffer_Type,
        dims: *const i64,
        num_dims: usize,
        ; layout: *mut MemoryLayout
    }
    PJRT_Layouts_PJRT_Topology_GetDefaultLayout_Args {
        topology_description: *mut PJRT_TopologyDescription,
        type_: PJRT_Buffer_Type,
        dims: *const i64,
        num_dims: usize,
        ; layout: *mut MemoryLayout
    }
    PJRT_Layouts_PJRT_Executable_GetOutputLayouts_Args {
        executable: *mut PJRT_Executable,
        num_outputs: usize,
        ; layouts: *const *mut MemoryLayout
    }
    PJRT_Layouts_PJRT_Executable_GetParameterLayouts_Args {
        executable: *mut PJRT_Executable,
        num_parameters: usize,
        ; layouts: *const *mut MemoryLayout
    }
}

/// The functions of the extension, in the order of its header.
#[repr(C)]
pub(crate) struct LayoutsExtension {
    base: PJRT_Extension_Base,
    memory_layout_destroy: Function<PJRT_Layouts_MemoryLayout_Destroy_Args>,
    pub(crate) memory_layout_serialize: Function<PJRT_Layouts_MemoryLayout_Serialize_Args>,
    client_get_default_layout: Function<PJRT_Layouts_PJRT_Client_GetDefaultLayout_Args>,
    buffer_memory_layout: Function<PJRT_Layouts_PJRT_Buffer_MemoryLayout_Args>,
    topology_get_default_layout: Function<PJRT_Layouts_PJRT_Topology_GetDefaultLayout_Args>,
    pub(crate) executable_get_output_layouts: Function<PJRT_Layouts_PJRT_Executable_GetOutputLayouts_Args>,
    pub(crate) executable_get_parameter_layouts: Function<PJRT_Layouts_PJRT_Executable_GetParameterLayouts_Args>,
}

/// The extension.
pub(super) static EXTENSION: Extension<LayoutsExtension> = Extension(LayoutsExtension {
    base: PJRT_Extension_Base {
        struct_size: size_of::<LayoutsExtension>(),
        type_: EXTENSION_TYPE_LAYOUTS,
        next: shardings::EXTENSION.handle(),
    },
    memory_layout_destroy: Some(PJRT_Layouts_MemoryLayout_Destroy),
    memory_layout_serialize: Some(PJRT_Layouts_MemoryLayout_Serialize),
    client_get_default_layout: Some(PJRT_Layouts_PJRT_Client_GetDefaultLayout),
    buffer_memory_layout: Some(PJRT_Layouts_PJRT_Buffer_MemoryLayout),
    topology_get_default_layout: Some(PJRT_Layouts_PJRT_Topology_GetDefaultLayout),
    executable_get_output_layouts: Some(PJRT_Layouts_PJRT_Executable_GetOutputLayouts),
    executable_get_parameter_layouts: Some(PJRT_Layouts_PJRT_Executable_GetParameterLayouts),
});

entry! {
    /// Lets a layout go: it stays for the next.
    PJRT_Layouts_MemoryLayout_Destroy(args: PJRT_Layouts_MemoryLayout_Destroy_Args) {
        Ok(())
    }
}

/// The text belongs to the layout.
unsafe extern "C" fn keep(_: *mut c_void) {}

entry! {
    /// A layout as text.
    PJRT_Layouts_MemoryLayout_Serialize(args: PJRT_Layouts_MemoryLayout_Serialize_Args, layout: MemoryLayout) {
        args.serialized_bytes = layout.text.as_ptr().cast();
        args.serialized_bytes_size = layout.text.len();
        args.serialized_layout = ptr::null_mut();
        args.serialized_layout_deleter = Some(keep);
        Ok(())
    }
}

entry! {
    /// The layout of a buffer.
    PJRT_Layouts_PJRT_Buffer_MemoryLayout(args: PJRT_Layouts_PJRT_Buffer_MemoryLayout_Args, buffer: Buffer) {
        args.layout = of(buffer.runtime().layout(), buffer.runtime().dims().len());
        Ok(())
    }
}

entry! {
    /// The layout of arrays of that type and size.
    PJRT_Layouts_PJRT_Client_GetDefaultLayout(
        args: PJRT_Layouts_PJRT_Client_GetDefaultLayout_Args, client: Arc<Client>
    ) {
        let _ = client;
        types::from_c(args.type_)?;
        args.layout = row_major(args.num_dims);
        Ok(())
    }
}

entry! {
    /// The layout of arrays of that type and size.
    PJRT_Layouts_PJRT_Topology_GetDefaultLayout(
        args: PJRT_Layouts_PJRT_Topology_GetDefaultLayout_Args, topology_description: Topology
    ) {
        let _ = topology_description;
        types::from_c(args.type_)?;
        args.layout = row_major(args.num_dims);
        Ok(())
    }
}

entry! {
    /// Layouts of the outputs.
    PJRT_Layouts_PJRT_Executable_GetOutputLayouts(
        args: PJRT_Layouts_PJRT_Executable_GetOutputLayouts_Args, executable: Executable
    ) {
        let layouts = executable.0.output_layouts();
        args.num_outputs = layouts.len();
        args.layouts = layouts.as_ptr();
        Ok(())
    }
}

entry! {
    /// Layouts of the parameters.
    PJRT_Layouts_PJRT_Executable_GetParameterLayouts(
        args: PJRT_Layouts_PJRT_Executable_GetParameterLayouts_Args, executable: Executable
    ) {
        let layouts = executable.0.parameter_layouts();
        args.num_parameters = layouts.len();
        args.layouts = layouts.as_ptr();
        Ok(())
    }
}
