//! Sizes and offsets against those that a C compiler gives for the header of minor 112.

use std::mem::{offset_of, size_of};

use super::super::abi::*;
use super::super::extensions::{layouts, memory_descriptions, profiler, shardings};

#[test]
fn sizes_are_those_of_the_header() {
    let sizes = [
        ("PJRT_Api", size_of::<PJRT_Api>(), 1144),
        ("PJRT_Error_FunctionTable", size_of::<PJRT_Error_FunctionTable>(), 56),
        ("PJRT_Memory_FunctionTable", size_of::<PJRT_Memory_FunctionTable>(), 40),
        ("PJRT_LogicalDeviceIds", size_of::<PJRT_LogicalDeviceIds>(), 8),
        ("CopyRawToHostFuture_Callback", size_of::<PJRT_Buffer_CopyRawToHostFuture_Callback_Args>(), 48),
        ("Error_ForEachPayload", PJRT_Error_ForEachPayload_Args::STRUCT_SIZE, 40),
        ("Event_Create", PJRT_Event_Create_Args::STRUCT_SIZE, 24),
        ("Event_Set", PJRT_Event_Set_Args::STRUCT_SIZE, 48),
        ("Client_UpdateGlobalProcessInfo", PJRT_Client_UpdateGlobalProcessInfo_Args::STRUCT_SIZE, 40),
        ("Client_Load", PJRT_Client_Load_Args::STRUCT_SIZE, 56),
        ("Client_CreateUninitializedBuffer", PJRT_Client_CreateUninitializedBuffer_Args::STRUCT_SIZE, 80),
        // 112 with the payload, which minor 82 had not.
        ("Client_CreateErrorBuffer", PJRT_Client_CreateErrorBuffer_Args::STRUCT_SIZE, 96),
        ("Device_GetAttributes", PJRT_Device_GetAttributes_Args::STRUCT_SIZE, 56),
        ("GetDeviceAssignment", PJRT_LoadedExecutable_GetDeviceAssignment_Args::STRUCT_SIZE, 56),
        ("AddressableDeviceLogicalIds", PJRT_LoadedExecutable_AddressableDeviceLogicalIds_Args::STRUCT_SIZE, 40),
        ("GetCompileOptions", PJRT_Executable_GetCompileOptions_Args::STRUCT_SIZE, 56),
        ("ParameterMemoryKinds", PJRT_Executable_ParameterMemoryKinds_Args::STRUCT_SIZE, 48),
        ("Buffer_CopyRawToHost", PJRT_Buffer_CopyRawToHost_Args::STRUCT_SIZE, 56),
        ("Buffer_CopyRawToHostFuture", PJRT_Buffer_CopyRawToHostFuture_Args::STRUCT_SIZE, 64),
        ("Topology_Fingerprint", PJRT_TopologyDescription_Fingerprint_Args::STRUCT_SIZE, 32),
        ("Topology_GetMemorySpaceKindIds", PJRT_TopologyDescription_GetMemorySpaceKindIds_Args::STRUCT_SIZE, 40),
        (
            "Client_CreateBuffersForAsyncHostToDevice",
            PJRT_Client_CreateBuffersForAsyncHostToDevice_Args::STRUCT_SIZE,
            72,
        ),
        ("TransferManager_Destroy", PJRT_AsyncHostToDeviceTransferManager_Destroy_Args::STRUCT_SIZE, 24),
        ("TransferManager_TransferData", PJRT_AsyncHostToDeviceTransferManager_TransferData_Args::STRUCT_SIZE, 72),
        (
            "TransferManager_TransferLiteral",
            PJRT_AsyncHostToDeviceTransferManager_TransferLiteral_Args::STRUCT_SIZE,
            80,
        ),
        ("TransferManager_RetrieveBuffer", PJRT_AsyncHostToDeviceTransferManager_RetrieveBuffer_Args::STRUCT_SIZE, 40),
        ("TransferManager_Device", PJRT_AsyncHostToDeviceTransferManager_Device_Args::STRUCT_SIZE, 32),
        ("TransferManager_BufferCount", PJRT_AsyncHostToDeviceTransferManager_BufferCount_Args::STRUCT_SIZE, 32),
        ("TransferManager_BufferSize", PJRT_AsyncHostToDeviceTransferManager_BufferSize_Args::STRUCT_SIZE, 40),
        ("TransferManager_SetBufferError", PJRT_AsyncHostToDeviceTransferManager_SetBufferError_Args::STRUCT_SIZE, 48),
        ("TransferManager_AddMetadata", PJRT_AsyncHostToDeviceTransferManager_AddMetadata_Args::STRUCT_SIZE, 40),
        ("Client_CreateAliasBuffer", PJRT_Client_CreateAliasBuffer_Args::STRUCT_SIZE, 80),
        ("Client_FulfillAliasBuffer", PJRT_Client_FulfillAliasBuffer_Args::STRUCT_SIZE, 64),
        ("Buffer_Bitcast", PJRT_Buffer_Bitcast_Args::STRUCT_SIZE, 64),
        ("Device_ClearMemoryStats", PJRT_Device_ClearMemoryStats_Args::STRUCT_SIZE, 24),
        ("ShapeSpec", PJRT_ShapeSpec::STRUCT_SIZE, 36),
        ("CreateViewOfDeviceBuffer", size_of::<ViewOfDeviceBufferArgs>(), 112),
        ("GetCompiledMemoryStats", size_of::<CompiledMemoryStatsArgs>(), 144),
        ("DeserializeAndLoad", size_of::<DeserializeAndLoadArgs>(), 72),
        ("Layouts_Extension", size_of::<layouts::LayoutsExtension>(), 80),
        ("Profiler_Extension", size_of::<profiler::ProfilerExtension>(), 40),
        ("PLUGIN_Profiler_Api", size_of::<profiler::ProfilerApi>(), 80),
        ("Shardings_Extension", size_of::<shardings::ShardingsExtension>(), 40),
        ("MemoryDescriptions_Extension", size_of::<memory_descriptions::MemoryDescriptionsExtension>(), 40),
        ("MemoryDescriptions", memory_descriptions::PJRT_DeviceDescription_MemoryDescriptions_Args::STRUCT_SIZE, 48),
        ("MemoryDescription_Kind", memory_descriptions::PJRT_MemoryDescription_Kind_Args::STRUCT_SIZE, 44),
        ("MemoryLayout_Serialize", layouts::PJRT_Layouts_MemoryLayout_Serialize_Args::STRUCT_SIZE, 56),
        ("GetDefaultLayout", layouts::PJRT_Layouts_PJRT_Client_GetDefaultLayout_Args::STRUCT_SIZE, 56),
        ("GetOutputLayouts", layouts::PJRT_Layouts_PJRT_Executable_GetOutputLayouts_Args::STRUCT_SIZE, 40),
        ("ParameterShardings", shardings::PJRT_Shardings_PJRT_Executable_ParameterShardings_Args::STRUCT_SIZE, 48),
    ];
    for (name, ours, header) in sizes {
        assert_eq!(ours, header, "{name}");
    }
}

#[test]
fn offsets_are_those_of_the_header() {
    let offsets = [
        ("PJRT_Buffer_CopyRawToHost", offset_of!(PJRT_Api, PJRT_Buffer_CopyRawToHost), 840),
        ("PJRT_Client_CreateErrorBuffer", offset_of!(PJRT_Api, PJRT_Client_CreateErrorBuffer), 984),
        ("PJRT_Buffer_CopyRawToHostFuture", offset_of!(PJRT_Api, PJRT_Buffer_CopyRawToHostFuture), 1000),
        ("PJRT_Event_Create", offset_of!(PJRT_Api, PJRT_Event_Create), 1048),
        ("PJRT_Client_Load", offset_of!(PJRT_Api, PJRT_Client_Load), 1072),
        ("PJRT_Error_ForEachPayload", offset_of!(PJRT_Api, PJRT_Error_ForEachPayload), 1096),
        ("PJRT_Executable_ParameterMemoryKinds", offset_of!(PJRT_Api, PJRT_Executable_ParameterMemoryKinds), 1112),
        ("GetMemorySpaceKindIds", offset_of!(PJRT_Api, PJRT_TopologyDescription_GetMemorySpaceKindIds), 1136),
        ("peak_memory_in_bytes", offset_of!(CompiledMemoryStatsArgs, peak_memory_in_bytes), 104),
        ("total_allocation_bytes", offset_of!(CompiledMemoryStatsArgs, total_allocation_bytes), 120),
        ("peak_unpadded_heap_bytes", offset_of!(CompiledMemoryStatsArgs, peak_unpadded_heap_bytes), 136),
    ];
    for (name, ours, header) in offsets {
        assert_eq!(ours, header, "{name}");
    }
}

#[test]
fn table_says_what_it_is() {
    let api = super::api();
    assert_eq!(api.minor_54.struct_size, 1144);
    assert_eq!(api.minor_54.pjrt_api_version.major_version, 0);
    assert_eq!(api.minor_54.pjrt_api_version.minor_version, 112);
    let mut types = Vec::new();
    let mut extension = api.minor_54.extension_start;
    // SAFETY: the chain ends with null.
    while let Some(base) = unsafe { extension.as_ref() } {
        types.push((base.type_, base.struct_size));
        extension = base.next;
    }
    assert_eq!(types, [(1, 40), (4, 80), (19, 40), (6, 40)]);
}

#[test]
fn no_slot_is_empty() {
    for (index, slot) in super::misuse::slots().iter().enumerate() {
        assert!(!slot.is_null(), "slot {index}");
    }
}
