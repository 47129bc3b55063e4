//! The table of functions.

use std::mem::size_of;
use std::ptr;
use std::sync::Once;

use tracing_subscriber::EnvFilter;

use super::abi::{PJRT_API_MAJOR, PJRT_API_MINOR, PJRT_Api};
use super::{
    alias, async_transfers, buffer, client, compile, device, device_description, error, event, executable, execute,
    execute_context, extensions, from_host, loaded_executable, memory, plugin, serialized, to_host, topology,
    transfers, unimplemented,
};

/// The table, which never changes.
#[repr(transparent)]
struct Table(PJRT_Api);

// SAFETY: the table and what it points to are constants.
unsafe impl Sync for Table {}

static TABLE: Table = Table(PJRT_Api {
    minor_54: pjrt_sys::PJRT_Api {
        struct_size: size_of::<PJRT_Api>(),
        extension_start: extensions::first(),
        pjrt_api_version: pjrt_sys::PJRT_Api_Version {
            struct_size: pjrt_sys::PJRT_Api_Version::STRUCT_SIZE,
            extension_start: ptr::null_mut(),
            major_version: PJRT_API_MAJOR,
            minor_version: PJRT_API_MINOR,
        },
        PJRT_Error_Destroy: Some(error::PJRT_Error_Destroy),
        PJRT_Error_Message: Some(error::PJRT_Error_Message),
        PJRT_Error_GetCode: Some(error::PJRT_Error_GetCode),
        PJRT_Plugin_Initialize: Some(plugin::PJRT_Plugin_Initialize),
        PJRT_Plugin_Attributes: Some(plugin::PJRT_Plugin_Attributes),
        PJRT_Event_Destroy: Some(event::PJRT_Event_Destroy),
        PJRT_Event_IsReady: Some(event::PJRT_Event_IsReady),
        PJRT_Event_Error: Some(event::PJRT_Event_Error),
        PJRT_Event_Await: Some(event::PJRT_Event_Await),
        PJRT_Event_OnReady: Some(event::PJRT_Event_OnReady),
        PJRT_Client_Create: Some(client::PJRT_Client_Create),
        PJRT_Client_Destroy: Some(client::PJRT_Client_Destroy),
        PJRT_Client_PlatformName: Some(client::PJRT_Client_PlatformName),
        PJRT_Client_ProcessIndex: Some(client::PJRT_Client_ProcessIndex),
        PJRT_Client_PlatformVersion: Some(client::PJRT_Client_PlatformVersion),
        PJRT_Client_Devices: Some(client::PJRT_Client_Devices),
        PJRT_Client_AddressableDevices: Some(client::PJRT_Client_AddressableDevices),
        PJRT_Client_LookupDevice: Some(client::PJRT_Client_LookupDevice),
        PJRT_Client_LookupAddressableDevice: Some(client::PJRT_Client_LookupAddressableDevice),
        PJRT_Client_AddressableMemories: Some(client::PJRT_Client_AddressableMemories),
        PJRT_Client_Compile: Some(compile::PJRT_Client_Compile),
        PJRT_Client_DefaultDeviceAssignment: Some(client::PJRT_Client_DefaultDeviceAssignment),
        PJRT_Client_BufferFromHostBuffer: Some(from_host::PJRT_Client_BufferFromHostBuffer),
        PJRT_DeviceDescription_Id: Some(device_description::PJRT_DeviceDescription_Id),
        PJRT_DeviceDescription_ProcessIndex: Some(device_description::PJRT_DeviceDescription_ProcessIndex),
        PJRT_DeviceDescription_Attributes: Some(device_description::PJRT_DeviceDescription_Attributes),
        PJRT_DeviceDescription_Kind: Some(device_description::PJRT_DeviceDescription_Kind),
        PJRT_DeviceDescription_DebugString: Some(device_description::PJRT_DeviceDescription_DebugString),
        PJRT_DeviceDescription_ToString: Some(device_description::PJRT_DeviceDescription_ToString),
        PJRT_Device_GetDescription: Some(device::PJRT_Device_GetDescription),
        PJRT_Device_IsAddressable: Some(device::PJRT_Device_IsAddressable),
        PJRT_Device_LocalHardwareId: Some(device::PJRT_Device_LocalHardwareId),
        PJRT_Device_AddressableMemories: Some(device::PJRT_Device_AddressableMemories),
        PJRT_Device_DefaultMemory: Some(device::PJRT_Device_DefaultMemory),
        PJRT_Device_MemoryStats: Some(device::PJRT_Device_MemoryStats),
        PJRT_Memory_Id: Some(memory::PJRT_Memory_Id),
        PJRT_Memory_Kind: Some(memory::PJRT_Memory_Kind),
        PJRT_Memory_DebugString: Some(memory::PJRT_Memory_DebugString),
        PJRT_Memory_ToString: Some(memory::PJRT_Memory_ToString),
        PJRT_Memory_AddressableByDevices: Some(memory::PJRT_Memory_AddressableByDevices),
        PJRT_Executable_Destroy: Some(executable::PJRT_Executable_Destroy),
        PJRT_Executable_Name: Some(executable::PJRT_Executable_Name),
        PJRT_Executable_NumReplicas: Some(executable::PJRT_Executable_NumReplicas),
        PJRT_Executable_NumPartitions: Some(executable::PJRT_Executable_NumPartitions),
        PJRT_Executable_NumOutputs: Some(executable::PJRT_Executable_NumOutputs),
        PJRT_Executable_SizeOfGeneratedCodeInBytes: Some(executable::PJRT_Executable_SizeOfGeneratedCodeInBytes),
        PJRT_Executable_GetCostAnalysis: Some(executable::PJRT_Executable_GetCostAnalysis),
        PJRT_Executable_OutputMemoryKinds: Some(executable::PJRT_Executable_OutputMemoryKinds),
        PJRT_Executable_OptimizedProgram: Some(executable::PJRT_Executable_OptimizedProgram),
        PJRT_Executable_Serialize: Some(serialized::PJRT_Executable_Serialize),
        PJRT_LoadedExecutable_Destroy: Some(loaded_executable::PJRT_LoadedExecutable_Destroy),
        PJRT_LoadedExecutable_GetExecutable: Some(loaded_executable::PJRT_LoadedExecutable_GetExecutable),
        PJRT_LoadedExecutable_AddressableDevices: Some(loaded_executable::PJRT_LoadedExecutable_AddressableDevices),
        PJRT_LoadedExecutable_Delete: Some(loaded_executable::PJRT_LoadedExecutable_Delete),
        PJRT_LoadedExecutable_IsDeleted: Some(loaded_executable::PJRT_LoadedExecutable_IsDeleted),
        PJRT_LoadedExecutable_Execute: Some(execute::PJRT_LoadedExecutable_Execute),
        PJRT_Executable_DeserializeAndLoad: Some(serialized::PJRT_Executable_DeserializeAndLoad),
        PJRT_LoadedExecutable_Fingerprint: Some(loaded_executable::PJRT_LoadedExecutable_Fingerprint),
        PJRT_Buffer_Destroy: Some(buffer::PJRT_Buffer_Destroy),
        PJRT_Buffer_ElementType: Some(buffer::PJRT_Buffer_ElementType),
        PJRT_Buffer_Dimensions: Some(buffer::PJRT_Buffer_Dimensions),
        PJRT_Buffer_UnpaddedDimensions: Some(buffer::PJRT_Buffer_UnpaddedDimensions),
        PJRT_Buffer_DynamicDimensionIndices: Some(buffer::PJRT_Buffer_DynamicDimensionIndices),
        PJRT_Buffer_GetMemoryLayout: Some(buffer::PJRT_Buffer_GetMemoryLayout),
        PJRT_Buffer_OnDeviceSizeInBytes: Some(buffer::PJRT_Buffer_OnDeviceSizeInBytes),
        PJRT_Buffer_Device: Some(buffer::PJRT_Buffer_Device),
        PJRT_Buffer_Memory: Some(buffer::PJRT_Buffer_Memory),
        PJRT_Buffer_Delete: Some(buffer::PJRT_Buffer_Delete),
        PJRT_Buffer_IsDeleted: Some(buffer::PJRT_Buffer_IsDeleted),
        PJRT_Buffer_CopyToDevice: Some(buffer::PJRT_Buffer_CopyToDevice),
        PJRT_Buffer_ToHostBuffer: Some(to_host::PJRT_Buffer_ToHostBuffer),
        PJRT_Buffer_IsOnCpu: Some(buffer::PJRT_Buffer_IsOnCpu),
        PJRT_Buffer_ReadyEvent: Some(buffer::PJRT_Buffer_ReadyEvent),
        PJRT_Buffer_UnsafePointer: Some(buffer::PJRT_Buffer_UnsafePointer),
        PJRT_Buffer_IncreaseExternalReferenceCount: Some(buffer::PJRT_Buffer_IncreaseExternalReferenceCount),
        PJRT_Buffer_DecreaseExternalReferenceCount: Some(buffer::PJRT_Buffer_DecreaseExternalReferenceCount),
        PJRT_Buffer_OpaqueDeviceMemoryDataPointer: Some(buffer::PJRT_Buffer_OpaqueDeviceMemoryDataPointer),
        PJRT_CopyToDeviceStream_Destroy: Some(transfers::PJRT_CopyToDeviceStream_Destroy),
        PJRT_CopyToDeviceStream_AddChunk: Some(transfers::PJRT_CopyToDeviceStream_AddChunk),
        PJRT_CopyToDeviceStream_TotalBytes: Some(transfers::PJRT_CopyToDeviceStream_TotalBytes),
        PJRT_CopyToDeviceStream_GranuleSize: Some(transfers::PJRT_CopyToDeviceStream_GranuleSize),
        PJRT_CopyToDeviceStream_CurrentBytes: Some(transfers::PJRT_CopyToDeviceStream_CurrentBytes),
        PJRT_TopologyDescription_Create: Some(topology::PJRT_TopologyDescription_Create),
        PJRT_TopologyDescription_Destroy: Some(topology::PJRT_TopologyDescription_Destroy),
        PJRT_TopologyDescription_PlatformName: Some(topology::PJRT_TopologyDescription_PlatformName),
        PJRT_TopologyDescription_PlatformVersion: Some(topology::PJRT_TopologyDescription_PlatformVersion),
        PJRT_TopologyDescription_GetDeviceDescriptions: Some(topology::PJRT_TopologyDescription_GetDeviceDescriptions),
        PJRT_TopologyDescription_Serialize: Some(topology::PJRT_TopologyDescription_Serialize),
        PJRT_TopologyDescription_Attributes: Some(topology::PJRT_TopologyDescription_Attributes),
        PJRT_Compile: Some(compile::PJRT_Compile),
        PJRT_Executable_OutputElementTypes: Some(executable::PJRT_Executable_OutputElementTypes),
        PJRT_Executable_OutputDimensions: Some(executable::PJRT_Executable_OutputDimensions),
        PJRT_Buffer_CopyToMemory: Some(buffer::PJRT_Buffer_CopyToMemory),
        PJRT_Client_CreateViewOfDeviceBuffer: Some(from_host::PJRT_Client_CreateViewOfDeviceBuffer),
        PJRT_Executable_Fingerprint: Some(executable::PJRT_Executable_Fingerprint),
        PJRT_Client_TopologyDescription: Some(client::PJRT_Client_TopologyDescription),
        PJRT_Executable_GetCompiledMemoryStats: Some(executable::PJRT_Executable_GetCompiledMemoryStats),
        PJRT_Memory_Kind_Id: Some(memory::PJRT_Memory_Kind_Id),
        PJRT_ExecuteContext_Create: Some(execute_context::PJRT_ExecuteContext_Create),
        PJRT_ExecuteContext_Destroy: Some(execute_context::PJRT_ExecuteContext_Destroy),
    },
    PJRT_Buffer_CopyRawToHost: Some(to_host::PJRT_Buffer_CopyRawToHost),
    PJRT_AsyncHostToDeviceTransferManager_Destroy: Some(async_transfers::PJRT_AsyncHostToDeviceTransferManager_Destroy),
    PJRT_AsyncHostToDeviceTransferManager_TransferData: Some(
        async_transfers::PJRT_AsyncHostToDeviceTransferManager_TransferData,
    ),
    PJRT_Client_CreateBuffersForAsyncHostToDevice: Some(async_transfers::PJRT_Client_CreateBuffersForAsyncHostToDevice),
    PJRT_AsyncHostToDeviceTransferManager_RetrieveBuffer: Some(
        async_transfers::PJRT_AsyncHostToDeviceTransferManager_RetrieveBuffer,
    ),
    PJRT_AsyncHostToDeviceTransferManager_Device: Some(async_transfers::PJRT_AsyncHostToDeviceTransferManager_Device),
    PJRT_AsyncHostToDeviceTransferManager_BufferCount: Some(
        async_transfers::PJRT_AsyncHostToDeviceTransferManager_BufferCount,
    ),
    PJRT_AsyncHostToDeviceTransferManager_BufferSize: Some(
        async_transfers::PJRT_AsyncHostToDeviceTransferManager_BufferSize,
    ),
    PJRT_AsyncHostToDeviceTransferManager_SetBufferError: Some(
        async_transfers::PJRT_AsyncHostToDeviceTransferManager_SetBufferError,
    ),
    PJRT_AsyncHostToDeviceTransferManager_AddMetadata: Some(
        async_transfers::PJRT_AsyncHostToDeviceTransferManager_AddMetadata,
    ),
    PJRT_Client_DmaMap: Some(unimplemented::PJRT_Client_DmaMap),
    PJRT_Client_DmaUnmap: Some(unimplemented::PJRT_Client_DmaUnmap),
    PJRT_Client_CreateUninitializedBuffer: Some(from_host::PJRT_Client_CreateUninitializedBuffer),
    PJRT_Client_UpdateGlobalProcessInfo: Some(client::PJRT_Client_UpdateGlobalProcessInfo),
    PJRT_TopologyDescription_Deserialize: Some(topology::PJRT_TopologyDescription_Deserialize),
    PJRT_Client_CreateAliasBuffer: Some(alias::PJRT_Client_CreateAliasBuffer),
    PJRT_Client_FulfillAliasBuffer: Some(alias::PJRT_Client_FulfillAliasBuffer),
    PJRT_LoadedExecutable_GetDeviceAssignment: Some(loaded_executable::PJRT_LoadedExecutable_GetDeviceAssignment),
    PJRT_Client_CreateErrorBuffer: Some(from_host::PJRT_Client_CreateErrorBuffer),
    PJRT_AsyncHostToDeviceTransferManager_TransferLiteral: Some(
        async_transfers::PJRT_AsyncHostToDeviceTransferManager_TransferLiteral,
    ),
    PJRT_Buffer_CopyRawToHostFuture: Some(to_host::PJRT_Buffer_CopyRawToHostFuture),
    PJRT_Device_PoisonExecution: Some(unimplemented::PJRT_Device_PoisonExecution),
    PJRT_Device_CreateAsyncTrackingEvent: Some(unimplemented::PJRT_Device_CreateAsyncTrackingEvent),
    PJRT_AsyncTrackingEvent_Destroy: Some(unimplemented::PJRT_AsyncTrackingEvent_Destroy),
    PJRT_Executable_GetCompileOptions: Some(executable::PJRT_Executable_GetCompileOptions),
    PJRT_Buffer_DonateWithControlDependency: Some(unimplemented::PJRT_Buffer_DonateWithControlDependency),
    PJRT_Event_Create: Some(event::PJRT_Event_Create),
    PJRT_Event_Set: Some(event::PJRT_Event_Set),
    PJRT_Device_GetAttributes: Some(device::PJRT_Device_GetAttributes),
    PJRT_Client_Load: Some(loaded_executable::PJRT_Client_Load),
    PJRT_LoadedExecutable_AddressableDeviceLogicalIds: Some(
        loaded_executable::PJRT_LoadedExecutable_AddressableDeviceLogicalIds,
    ),
    PJRT_Buffer_Bitcast: Some(buffer::PJRT_Buffer_Bitcast),
    PJRT_Error_ForEachPayload: Some(error::PJRT_Error_ForEachPayload),
    PJRT_TopologyDescription_Fingerprint: Some(topology::PJRT_TopologyDescription_Fingerprint),
    PJRT_Executable_ParameterMemoryKinds: Some(executable::PJRT_Executable_ParameterMemoryKinds),
    PJRT_Device_ClearMemoryStats: Some(device::PJRT_Device_ClearMemoryStats),
    PJRT_TopologyDescription_MakeCanonicalShapeForMemorySpace: Some(
        unimplemented::PJRT_TopologyDescription_MakeCanonicalShapeForMemorySpace,
    ),
    PJRT_TopologyDescription_GetMemorySpaceKindIds: Some(topology::PJRT_TopologyDescription_GetMemorySpaceKindIds),
});

/// The table, for `GetPjrtApi`. The first call starts logging.
pub fn table() -> *const PJRT_Api {
    start_logging();
    &raw const TABLE.0
}

/// Logs to the standard error stream what `JAX_MPS_LOG` asks for (`debug`, `jax_mps::lower=trace`); warnings and errors
/// without it.
fn start_logging() {
    static STARTED: Once = Once::new();
    STARTED.call_once(|| {
        let directives = std::env::var_os("JAX_MPS_LOG").filter(|directives| !directives.is_empty());
        let directives = directives.map_or_else(|| "jax_mps=warn".into(), |text| text.to_string_lossy().into_owned());
        let filter = EnvFilter::builder().parse_lossy(directives);
        let subscriber = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
        // Whoever links the crate may have a subscriber of his own: then it stays.
        let _ = subscriber.try_init();
    });
}
