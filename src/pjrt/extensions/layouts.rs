//! The Layouts extension. With it jaxlib takes layouts from here and not from the program's HLO, which it would have to
//! make.

use std::ffi::{c_char, c_void};
use std::mem::size_of;
use std::ptr;
use std::sync::{Arc, PoisonError, RwLock};

use pjrt_sys::{
    PJRT_Buffer, PJRT_Buffer_Type, PJRT_Client, PJRT_Executable, PJRT_Extension_Base, PJRT_TopologyDescription,
};

use super::super::abi::{EXTENSION_TYPE_LAYOUTS, Function, structures};
use super::super::buffer::Buffer;
use super::super::call::Handle;
use super::super::client::Client;
use super::super::executable::Executable;
use super::super::topology::Topology;
use super::super::types;
use super::{Extension, shardings};
use crate::runtime::{Layout, layout_text};

/// What a `PJRT_Layouts_MemoryLayout*` points to: made once for each order of dimensions, and never freed.
pub(crate) struct MemoryLayout {
    /// As `xla::Layout` is written: `{1,0}`.
    text: String,
}

// SAFETY: layouts are given out as `MemoryLayout` only.
unsafe impl Handle for MemoryLayout {
    type Opaque = MemoryLayout;
    const NAME: &'static str = "PJRT_Layouts_MemoryLayout";
}

/// The layout of arrays of that rank; None is row-major order.
pub(crate) fn of(layout: Option<&Layout>, rank: usize) -> *mut MemoryLayout {
    match layout {
        None => row_major(rank),
        Some(layout) => other(layout),
    }
}

fn row_major(rank: usize) -> *mut MemoryLayout {
    static LAYOUTS: RwLock<Vec<&'static MemoryLayout>> = RwLock::new(Vec::new());
    let known = LAYOUTS.read().unwrap_or_else(PoisonError::into_inner).get(rank).copied();
    let layout = known.unwrap_or_else(|| {
        let mut layouts = LAYOUTS.write().unwrap_or_else(PoisonError::into_inner);
        for rank in layouts.len()..=rank {
            layouts.push(MemoryLayout::forever(layout_text(None, rank)));
        }
        layouts[rank]
    });
    ptr::from_ref(layout).cast_mut()
}

fn other(layout: &Layout) -> *mut MemoryLayout {
    static LAYOUTS: RwLock<Vec<(Layout, &'static MemoryLayout)>> = RwLock::new(Vec::new());
    let find = |layouts: &[(Layout, &'static MemoryLayout)]| {
        layouts.iter().find(|(known, _)| known == layout).map(|(_, memory_layout)| *memory_layout)
    };
    let known = find(&LAYOUTS.read().unwrap_or_else(PoisonError::into_inner));
    let memory_layout = known.unwrap_or_else(|| {
        let mut layouts = LAYOUTS.write().unwrap_or_else(PoisonError::into_inner);
        find(&layouts).unwrap_or_else(|| {
            let text = layout_text(Some(layout), layout.minor_to_major().len());
            let memory_layout = MemoryLayout::forever(text);
            layouts.push((layout.clone(), memory_layout));
            memory_layout
        })
    });
    ptr::from_ref(memory_layout).cast_mut()
}

impl MemoryLayout {
    fn forever(text: String) -> &'static Self {
        Box::leak(Box::new(Self { text }))
    }
}

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_those_of_xla() {
        for (rank, text) in [(2, "{1,0}"), (0, "{}"), (1, "{0}"), (4, "{3,2,1,0}")] {
            // SAFETY: layouts live as long as the process.
            assert_eq!(unsafe { MemoryLayout::get(row_major(rank)) }.unwrap().text, text);
            assert_eq!(row_major(rank), row_major(rank));
        }
        let column_major = Layout::new(&[0, 1], 2).unwrap();
        let layout = of(column_major.as_ref(), 2);
        // SAFETY: as above.
        assert_eq!(unsafe { MemoryLayout::get(layout) }.unwrap().text, "{0,1}");
        assert_eq!(layout, of(Layout::new(&[0, 1], 2).unwrap().as_ref(), 2));
        assert_ne!(layout, of(None, 2));
    }
}
