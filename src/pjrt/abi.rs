//! What minor 112 of the API has and `pjrt_sys`, which binds minor 54, has not.
//!
//! The API only ever appends: the structures of minor 54 are prefixes of those of minor 112. Structures are declared here
//! when the plugin reads or writes them; slots of functions that are not implemented take a plain pointer.
#![expect(non_camel_case_types, reason = "structures carry the names of the C header")]
#![expect(missing_docs, reason = "the header documents its fields")]

use std::ffi::{c_char, c_int, c_void};

use pjrt_sys::{
    PJRT_Buffer, PJRT_Buffer_MemoryLayout, PJRT_Buffer_Type, PJRT_Client, PJRT_Device, PJRT_Error, PJRT_Error_Code,
    PJRT_Event, PJRT_Executable, PJRT_Extension_Base, PJRT_LoadedExecutable, PJRT_Memory, PJRT_NamedValue,
    PJRT_TopologyDescription,
};

/// Version of the API that the table implements.
pub const PJRT_API_MAJOR: c_int = 0;
/// See [`PJRT_API_MAJOR`]. jaxlib calls the entry points that it knows up to this minor, and aborts when some of them
/// fail: it must not be more than what is implemented.
pub const PJRT_API_MINOR: c_int = 112;

/// Numbers of the extensions that the plugin has.
pub const EXTENSION_TYPE_PROFILER: pjrt_sys::PJRT_Extension_Type = 1;
/// See [`EXTENSION_TYPE_PROFILER`].
pub const EXTENSION_TYPE_LAYOUTS: pjrt_sys::PJRT_Extension_Type = 4;
/// See [`EXTENSION_TYPE_PROFILER`].
pub const EXTENSION_TYPE_MEMORY_DESCRIPTIONS: pjrt_sys::PJRT_Extension_Type = 6;
/// See [`EXTENSION_TYPE_PROFILER`].
pub const EXTENSION_TYPE_SHARDINGS: pjrt_sys::PJRT_Extension_Type = 19;

/// Makes several buffers, whose elements come later.
#[repr(C)]
#[derive(Debug)]
pub struct PJRT_AsyncHostToDeviceTransferManager {
    _opaque: [u8; 0],
}

/// The duty to bring the elements of an alias.
#[repr(C)]
#[derive(Debug)]
pub struct PJRT_FulfillAliasBufferCallback {
    _opaque: [u8; 0],
}

/// A function that takes a structure of arguments.
pub type Function<A> = Option<unsafe extern "C" fn(*mut A) -> *mut PJRT_Error>;
/// A function that is not implemented, whatever its arguments.
pub type Unspecified = Function<c_void>;

/// Declares structures that begin with `struct_size` and `extension_start`, as all arguments do, and end with the field
/// behind the semicolon.
macro_rules! structures {
    ($($name:ident { $($field:ident: $Type:ty,)* ; $last:ident: $Last:ty })*) => {$(
        #[repr(C)]
        #[derive(Debug, Clone, Copy)]
        pub struct $name {
            pub struct_size: usize,
            pub extension_start: *mut PJRT_Extension_Base,
            $(pub $field: $Type,)*
            pub $last: $Last,
        }

        impl $name {
            /// Up to the last field, without padding: what callers put into `struct_size`.
            pub const STRUCT_SIZE: usize = ::std::mem::offset_of!($name, $last) + ::std::mem::size_of::<$Last>();
        }
    )*};
}
pub(super) use structures;

/// Whether the caller's structure, behind a raw pointer, is long enough to have the field.
macro_rules! has_field {
    ($args:expr, $Args:ty, $field:ident: $Type:ty) => {
        // SAFETY: every structure begins with its size.
        unsafe { (*$args).struct_size } >= ::std::mem::offset_of!($Args, $field) + ::std::mem::size_of::<$Type>()
    };
}
pub(super) use has_field;

/// Calls back with each payload of an error: key, size, value, size, argument.
pub type PJRT_Error_PayloadVisitor =
    Option<unsafe extern "C" fn(*const c_char, usize, *const c_char, usize, *mut c_void)>;

/// What a `PJRT_Error` begins with (since minor 107).
#[repr(C)]
#[derive(Debug)]
pub struct PJRT_Error_FunctionTable {
    pub struct_size: usize,
    pub instance_size: usize,
    pub extension_start: *mut PJRT_Extension_Base,
    pub destroy: Option<unsafe extern "C" fn(*mut PJRT_Error)>,
    pub message: Option<unsafe extern "C" fn(*const PJRT_Error, *mut *const c_char, *mut usize)>,
    pub get_code: Option<unsafe extern "C" fn(*const PJRT_Error) -> PJRT_Error_Code>,
    pub for_each_payload: Option<unsafe extern "C" fn(*const PJRT_Error, PJRT_Error_PayloadVisitor, *mut c_void)>,
}

/// Frees what a caller attached to a memory.
pub type Destructor = Option<unsafe extern "C" fn(*mut c_void)>;

/// What a `PJRT_Memory` begins with (since minor 105).
#[repr(C)]
#[derive(Debug)]
pub struct PJRT_Memory_FunctionTable {
    pub struct_size: usize,
    pub extension_start: *mut PJRT_Extension_Base,
    pub instance_struct_size: usize,
    pub get_user_data: Option<unsafe extern "C" fn(*mut PJRT_Memory, *const c_void) -> *mut c_void>,
    pub set_user_data: Option<unsafe extern "C" fn(*mut PJRT_Memory, *const c_void, *mut c_void, Destructor)>,
}

/// Replica and partition of a device of an executable.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PJRT_LogicalDeviceIds {
    pub replica: c_int,
    pub partition: c_int,
}

/// Completes a copy begun with `PJRT_Buffer_CopyRawToHostFuture`.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct PJRT_Buffer_CopyRawToHostFuture_Callback_Args {
    pub struct_size: usize,
    pub callback_data: *mut c_void,
    pub error_code: PJRT_Error_Code,
    pub error_message: *const c_char,
    pub error_message_size: usize,
    pub dst: *mut c_void,
}

structures! {
    PJRT_ShapeSpec {
        dims: *const i64,
        num_dims: usize,
        ; element_type: PJRT_Buffer_Type
    }
    PJRT_Client_CreateBuffersForAsyncHostToDevice_Args {
        client: *mut PJRT_Client,
        shape_specs: *const PJRT_ShapeSpec,
        num_shape_specs: usize,
        device_layouts: *const *mut PJRT_Buffer_MemoryLayout,
        num_device_layouts: usize,
        memory: *mut PJRT_Memory,
        ; transfer_manager: *mut PJRT_AsyncHostToDeviceTransferManager
    }
    PJRT_AsyncHostToDeviceTransferManager_Destroy_Args {
        ; transfer_manager: *mut PJRT_AsyncHostToDeviceTransferManager
    }
    PJRT_AsyncHostToDeviceTransferManager_TransferData_Args {
        transfer_manager: *mut PJRT_AsyncHostToDeviceTransferManager,
        buffer_index: c_int,
        data: *const c_void,
        offset: i64,
        transfer_size: i64,
        is_last_transfer: bool,
        ; done_with_h2d_transfer: *mut PJRT_Event
    }
    PJRT_AsyncHostToDeviceTransferManager_TransferLiteral_Args {
        transfer_manager: *mut PJRT_AsyncHostToDeviceTransferManager,
        buffer_index: c_int,
        data: *const c_void,
        shape_dims: *const i64,
        shape_num_dims: usize,
        shape_element_type: PJRT_Buffer_Type,
        shape_layout: *mut PJRT_Buffer_MemoryLayout,
        ; done_with_h2d_transfer: *mut PJRT_Event
    }
    PJRT_AsyncHostToDeviceTransferManager_RetrieveBuffer_Args {
        transfer_manager: *mut PJRT_AsyncHostToDeviceTransferManager,
        buffer_index: c_int,
        ; buffer_out: *mut PJRT_Buffer
    }
    PJRT_AsyncHostToDeviceTransferManager_Device_Args {
        transfer_manager: *mut PJRT_AsyncHostToDeviceTransferManager,
        ; device_out: *mut PJRT_Device
    }
    PJRT_AsyncHostToDeviceTransferManager_BufferCount_Args {
        transfer_manager: *mut PJRT_AsyncHostToDeviceTransferManager,
        ; buffer_count: usize
    }
    PJRT_AsyncHostToDeviceTransferManager_BufferSize_Args {
        transfer_manager: *mut PJRT_AsyncHostToDeviceTransferManager,
        buffer_index: c_int,
        ; buffer_size: usize
    }
    PJRT_AsyncHostToDeviceTransferManager_SetBufferError_Args {
        transfer_manager: *mut PJRT_AsyncHostToDeviceTransferManager,
        buffer_index: c_int,
        error_code: PJRT_Error_Code,
        error_message: *const c_char,
        ; error_message_size: usize
    }
    PJRT_AsyncHostToDeviceTransferManager_AddMetadata_Args {
        transfer_manager: *mut PJRT_AsyncHostToDeviceTransferManager,
        transfer_metadata: *const PJRT_NamedValue,
        ; num_metadata: usize
    }
    PJRT_Client_CreateAliasBuffer_Args {
        client: *mut PJRT_Client,
        memory: *mut PJRT_Memory,
        shape_dims: *const i64,
        shape_num_dims: usize,
        shape_element_type: PJRT_Buffer_Type,
        shape_layout: *mut PJRT_Buffer_MemoryLayout,
        alias_buffer: *mut PJRT_Buffer,
        ; fulfill_alias_buffer_cb: *mut PJRT_FulfillAliasBufferCallback
    }
    PJRT_Client_FulfillAliasBuffer_Args {
        client: *mut PJRT_Client,
        buffer: *mut PJRT_Buffer,
        status_code: PJRT_Error_Code,
        error_message: *const c_char,
        error_message_size: usize,
        ; fulfill_alias_buffer_cb: *mut PJRT_FulfillAliasBufferCallback
    }
    PJRT_Buffer_Bitcast_Args {
        buffer: *mut PJRT_Buffer,
        element_type: PJRT_Buffer_Type,
        dims: *const i64,
        num_dims: usize,
        device_layout: *mut PJRT_Buffer_MemoryLayout,
        ; out_buffer: *mut PJRT_Buffer
    }
    PJRT_Device_ClearMemoryStats_Args { ; device: *mut PJRT_Device }
    PJRT_Error_ForEachPayload_Args {
        error: *const PJRT_Error,
        visitor: PJRT_Error_PayloadVisitor,
        ; user_arg: *mut c_void
    }
    PJRT_Event_Create_Args { ; event: *mut PJRT_Event }
    PJRT_Event_Set_Args {
        event: *mut PJRT_Event,
        error_code: PJRT_Error_Code,
        error_message: *const c_char,
        ; error_message_size: usize
    }
    PJRT_Client_UpdateGlobalProcessInfo_Args {
        client: *mut PJRT_Client,
        process_infos: *mut c_void,
        ; num_process_infos: usize
    }
    PJRT_Client_Load_Args {
        client: *mut PJRT_Client,
        executable: *mut PJRT_Executable,
        compile_options: *const c_char,
        compile_options_size: usize,
        ; loaded_executable: *mut PJRT_LoadedExecutable
    }
    PJRT_Client_CreateUninitializedBuffer_Args {
        client: *mut PJRT_Client,
        shape_dims: *const i64,
        shape_num_dims: usize,
        shape_element_type: PJRT_Buffer_Type,
        shape_layout: *mut PJRT_Buffer_MemoryLayout,
        device: *mut PJRT_Device,
        memory: *mut PJRT_Memory,
        ; buffer: *mut PJRT_Buffer
    }
    // Later headers append the payload of the status, which is not kept.
    PJRT_Client_CreateErrorBuffer_Args {
        client: *mut PJRT_Client,
        error_code: PJRT_Error_Code,
        error_message: *const c_char,
        error_message_size: usize,
        shape_dims: *const i64,
        shape_num_dims: usize,
        shape_element_type: PJRT_Buffer_Type,
        shape_layout: *mut PJRT_Buffer_MemoryLayout,
        memory: *mut PJRT_Memory,
        ; buffer: *mut PJRT_Buffer
    }
    PJRT_Device_GetAttributes_Args {
        device: *mut PJRT_Device,
        attributes: *const PJRT_NamedValue,
        num_attributes: usize,
        device_attributes: *mut c_void,
        ; attributes_deleter: Option<unsafe extern "C" fn(*mut c_void)>
    }
    PJRT_LoadedExecutable_GetDeviceAssignment_Args {
        executable: *mut PJRT_LoadedExecutable,
        serialized_bytes: *const c_char,
        serialized_bytes_size: usize,
        serialized_device_assignment: *mut c_void,
        ; serialized_device_assignment_deleter: Option<unsafe extern "C" fn(*mut c_void)>
    }
    PJRT_LoadedExecutable_AddressableDeviceLogicalIds_Args {
        executable: *mut PJRT_LoadedExecutable,
        addressable_device_logical_ids: *const PJRT_LogicalDeviceIds,
        ; num_addressable_device_logical_ids: usize
    }
    PJRT_Executable_GetCompileOptions_Args {
        executable: *mut PJRT_Executable,
        serialized_bytes: *const c_char,
        serialized_bytes_size: usize,
        serialized_compile_options: *mut c_void,
        ; serialized_compile_options_deleter: Option<unsafe extern "C" fn(*mut c_void)>
    }
    PJRT_Executable_ParameterMemoryKinds_Args {
        executable: *mut PJRT_Executable,
        num_parameters: usize,
        memory_kinds: *const *const c_char,
        ; memory_kind_sizes: *const usize
    }
    PJRT_Buffer_CopyRawToHost_Args {
        buffer: *mut PJRT_Buffer,
        dst: *mut c_void,
        offset: i64,
        transfer_size: i64,
        ; event: *mut PJRT_Event
    }
    PJRT_Buffer_CopyRawToHostFuture_Args {
        buffer: *mut PJRT_Buffer,
        offset: i64,
        transfer_size: i64,
        event: *mut PJRT_Event,
        callback_data: *mut c_void,
        ; future_ready_callback: Option<unsafe extern "C" fn(*mut PJRT_Buffer_CopyRawToHostFuture_Callback_Args)>
    }
    PJRT_TopologyDescription_Deserialize_Args {
        serialized_topology: *const c_char,
        serialized_topology_size: usize,
        ; topology: *mut PJRT_TopologyDescription
    }
    PJRT_TopologyDescription_Fingerprint_Args {
        topology: *const PJRT_TopologyDescription,
        ; fingerprint: u64
    }
    PJRT_TopologyDescription_GetMemorySpaceKindIds_Args {
        topology: *const PJRT_TopologyDescription,
        memory_space_kind_ids: *const c_int,
        ; num_memory_space_kind_ids: usize
    }
}

/// `PJRT_Executable_GetCompiledMemoryStats_Args` with what was appended to it.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct CompiledMemoryStatsArgs {
    pub minor_54: pjrt_sys::PJRT_Executable_GetCompiledMemoryStats_Args,
    pub peak_memory_in_bytes: i64,
    pub total_size_in_bytes: i64,
    pub total_allocation_bytes: i64,
    pub indefinite_allocations: i64,
    pub peak_unpadded_heap_bytes: i64,
}

/// `PJRT_Client_CreateViewOfDeviceBuffer_Args` with what was appended to it.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct ViewOfDeviceBufferArgs {
    pub minor_54: pjrt_sys::PJRT_Client_CreateViewOfDeviceBuffer_Args,
    pub memory: *mut PJRT_Memory,
}

/// `PJRT_Executable_DeserializeAndLoad_Args` with what was appended to it.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct DeserializeAndLoadArgs {
    pub minor_54: pjrt_sys::PJRT_Executable_DeserializeAndLoad_Args,
    pub overridden_serialized_compile_options: *const c_char,
    pub overridden_serialized_compile_options_size: usize,
    pub load_options: *mut c_void,
}

/// The table of minor 112: that of minor 54 and 38 more slots.
#[repr(C)]
#[derive(Debug)]
pub struct PJRT_Api {
    /// The first 100 functions; its `struct_size` and version are those of the whole.
    pub minor_54: pjrt_sys::PJRT_Api,
    pub PJRT_Buffer_CopyRawToHost: Function<PJRT_Buffer_CopyRawToHost_Args>,
    pub PJRT_AsyncHostToDeviceTransferManager_Destroy: Function<PJRT_AsyncHostToDeviceTransferManager_Destroy_Args>,
    pub PJRT_AsyncHostToDeviceTransferManager_TransferData:
        Function<PJRT_AsyncHostToDeviceTransferManager_TransferData_Args>,
    pub PJRT_Client_CreateBuffersForAsyncHostToDevice: Function<PJRT_Client_CreateBuffersForAsyncHostToDevice_Args>,
    pub PJRT_AsyncHostToDeviceTransferManager_RetrieveBuffer:
        Function<PJRT_AsyncHostToDeviceTransferManager_RetrieveBuffer_Args>,
    pub PJRT_AsyncHostToDeviceTransferManager_Device: Function<PJRT_AsyncHostToDeviceTransferManager_Device_Args>,
    pub PJRT_AsyncHostToDeviceTransferManager_BufferCount:
        Function<PJRT_AsyncHostToDeviceTransferManager_BufferCount_Args>,
    pub PJRT_AsyncHostToDeviceTransferManager_BufferSize:
        Function<PJRT_AsyncHostToDeviceTransferManager_BufferSize_Args>,
    pub PJRT_AsyncHostToDeviceTransferManager_SetBufferError:
        Function<PJRT_AsyncHostToDeviceTransferManager_SetBufferError_Args>,
    pub PJRT_AsyncHostToDeviceTransferManager_AddMetadata:
        Function<PJRT_AsyncHostToDeviceTransferManager_AddMetadata_Args>,
    pub PJRT_Client_DmaMap: Unspecified,
    pub PJRT_Client_DmaUnmap: Unspecified,
    pub PJRT_Client_CreateUninitializedBuffer: Function<PJRT_Client_CreateUninitializedBuffer_Args>,
    pub PJRT_Client_UpdateGlobalProcessInfo: Function<PJRT_Client_UpdateGlobalProcessInfo_Args>,
    pub PJRT_TopologyDescription_Deserialize: Function<PJRT_TopologyDescription_Deserialize_Args>,
    pub PJRT_Client_CreateAliasBuffer: Function<PJRT_Client_CreateAliasBuffer_Args>,
    pub PJRT_Client_FulfillAliasBuffer: Function<PJRT_Client_FulfillAliasBuffer_Args>,
    pub PJRT_LoadedExecutable_GetDeviceAssignment: Function<PJRT_LoadedExecutable_GetDeviceAssignment_Args>,
    pub PJRT_Client_CreateErrorBuffer: Function<PJRT_Client_CreateErrorBuffer_Args>,
    pub PJRT_AsyncHostToDeviceTransferManager_TransferLiteral:
        Function<PJRT_AsyncHostToDeviceTransferManager_TransferLiteral_Args>,
    pub PJRT_Buffer_CopyRawToHostFuture: Function<PJRT_Buffer_CopyRawToHostFuture_Args>,
    pub PJRT_Device_PoisonExecution: Unspecified,
    pub PJRT_Device_CreateAsyncTrackingEvent: Unspecified,
    pub PJRT_AsyncTrackingEvent_Destroy: Unspecified,
    pub PJRT_Executable_GetCompileOptions: Function<PJRT_Executable_GetCompileOptions_Args>,
    pub PJRT_Buffer_DonateWithControlDependency: Unspecified,
    pub PJRT_Event_Create: Function<PJRT_Event_Create_Args>,
    pub PJRT_Event_Set: Function<PJRT_Event_Set_Args>,
    pub PJRT_Device_GetAttributes: Function<PJRT_Device_GetAttributes_Args>,
    pub PJRT_Client_Load: Function<PJRT_Client_Load_Args>,
    pub PJRT_LoadedExecutable_AddressableDeviceLogicalIds:
        Function<PJRT_LoadedExecutable_AddressableDeviceLogicalIds_Args>,
    pub PJRT_Buffer_Bitcast: Function<PJRT_Buffer_Bitcast_Args>,
    pub PJRT_Error_ForEachPayload: Function<PJRT_Error_ForEachPayload_Args>,
    pub PJRT_TopologyDescription_Fingerprint: Function<PJRT_TopologyDescription_Fingerprint_Args>,
    pub PJRT_Executable_ParameterMemoryKinds: Function<PJRT_Executable_ParameterMemoryKinds_Args>,
    pub PJRT_Device_ClearMemoryStats: Function<PJRT_Device_ClearMemoryStats_Args>,
    pub PJRT_TopologyDescription_MakeCanonicalShapeForMemorySpace: Unspecified,
    pub PJRT_TopologyDescription_GetMemorySpaceKindIds: Function<PJRT_TopologyDescription_GetMemorySpaceKindIds_Args>,
}
