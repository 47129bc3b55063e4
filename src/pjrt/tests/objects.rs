//! Client, topology, devices and memories.

use std::ffi::{CStr, c_void};
use std::ptr;

use pjrt_sys::*;

use super::super::abi::*;
use super::{Client, call, owned};
use crate::mlx::{self, DeviceKind};
use crate::runtime::Code;

#[test]
fn platform_is_mps() {
    let client = Client::new();
    let name = call!(PJRT_Client_PlatformName, PJRT_Client_PlatformName_Args { client: client.0 }).unwrap();
    assert_eq!(owned(name.platform_name, name.platform_name_size), "mps");
    let version = call!(PJRT_Client_PlatformVersion, PJRT_Client_PlatformVersion_Args { client: client.0 }).unwrap();
    let version = owned(version.platform_version, version.platform_version_size);
    assert!(version.contains("mlx"), "{version}");
    let index = call!(PJRT_Client_ProcessIndex, PJRT_Client_ProcessIndex_Args { client: client.0 }).unwrap();
    assert_eq!(index.process_index, 0);
}

#[test]
fn unknown_options_are_named() {
    let option = super::super::named_value::string(c"devise", c"cpu");
    let failure =
        call!(PJRT_Client_Create, PJRT_Client_Create_Args { create_options: &raw const option, num_options: 1 });
    let failure = failure.map(drop).unwrap_err();
    assert!(failure.is(Code::InvalidArgument) && failure.message.contains("devise"), "{failure:?}");
}

#[test]
fn devices_are_found_by_id() {
    let client = Client::new();
    let found = call!(PJRT_Client_LookupDevice, PJRT_Client_LookupDevice_Args { client: client.0, id: 0 }).unwrap();
    assert_eq!(found.device, client.device());
    let missing = call!(PJRT_Client_LookupDevice, PJRT_Client_LookupDevice_Args { client: client.0, id: 7 });
    assert!(missing.map(drop).unwrap_err().is(Code::InvalidArgument));
    let local = call!(PJRT_Device_LocalHardwareId, PJRT_Device_LocalHardwareId_Args { device: client.device() });
    assert_eq!(local.unwrap().local_hardware_id, 0);
}

#[test]
fn device_describes_itself() {
    let client = Client::new();
    let got = call!(PJRT_Device_GetDescription, PJRT_Device_GetDescription_Args { device: client.device() }).unwrap();
    let device_description = got.device_description;
    let kind =
        call!(PJRT_DeviceDescription_Kind, PJRT_DeviceDescription_Kind_Args { device_description: device_description });
    let kind = kind.unwrap();
    let kind = owned(kind.device_kind, kind.device_kind_size);
    let expected = if DeviceKind::Gpu.is_available() { mlx::gpu_name().unwrap() } else { "MLX CPU".to_owned() };
    assert!(kind.starts_with(&expected) || kind.starts_with("MLX CPU (in place of "), "{kind}");
    let text = call!(
        PJRT_DeviceDescription_ToString,
        PJRT_DeviceDescription_ToString_Args { device_description: device_description }
    );
    let text = text.unwrap();
    assert_eq!(owned(text.to_string, text.to_string_size), "MpsDevice(id=0)");
    let got = call!(PJRT_Device_GetAttributes, PJRT_Device_GetAttributes_Args { device: client.device() }).unwrap();
    assert_eq!(got.num_attributes, 0);
    // SAFETY: the deleter takes what came with it.
    unsafe { got.attributes_deleter.unwrap()(got.device_attributes) };
    let stats = call!(PJRT_Device_MemoryStats, PJRT_Device_MemoryStats_Args { device: client.device() }).unwrap();
    assert!(stats.bytes_limit_is_set && stats.bytes_limit > 0);
    assert!(stats.peak_bytes_in_use_is_set && stats.pool_bytes_is_set);
    // MLX counts none of these.
    assert!(!stats.num_allocs_is_set && !stats.largest_alloc_size_is_set && !stats.bytes_reserved_is_set);
    assert!(!stats.peak_bytes_reserved_is_set && !stats.bytes_reservable_limit_is_set);
    assert!(!stats.largest_free_block_bytes_is_set && !stats.peak_pool_bytes_is_set);
    call!(PJRT_Device_ClearMemoryStats, PJRT_Device_ClearMemoryStats_Args { device: client.device() }).unwrap();
}

#[test]
fn memories_are_three_and_the_first_is_the_default() {
    let client = Client::new();
    let memories = client.memories();
    let kinds: Vec<String> = memories
        .iter()
        .map(|memory| {
            let args = call!(PJRT_Memory_Kind, PJRT_Memory_Kind_Args { memory: *memory }).unwrap();
            owned(args.kind, args.kind_size)
        })
        .collect();
    assert_eq!(kinds, ["device", "pinned_host", "unpinned_host"]);
    for (index, memory) in (0..).zip(memories) {
        assert_eq!(call!(PJRT_Memory_Id, PJRT_Memory_Id_Args { memory: memory }).unwrap().id, index);
        let kind = call!(PJRT_Memory_Kind_Id, PJRT_Memory_Kind_Id_Args { memory: memory }).unwrap();
        assert_eq!(kind.kind_id, index + 1, "never zero, which callers may take for none");
        let by = call!(PJRT_Memory_AddressableByDevices, PJRT_Memory_AddressableByDevices_Args { memory: memory });
        let by = by.unwrap();
        assert_eq!(by.num_devices, 1);
        // SAFETY: there is one.
        assert_eq!(unsafe { *by.devices }, client.device());
    }
    let default = call!(PJRT_Device_DefaultMemory, PJRT_Device_DefaultMemory_Args { device: client.device() });
    assert_eq!(default.unwrap().memory, memories[0]);
}

#[test]
fn memories_keep_what_is_attached() {
    unsafe extern "C" fn count(counter: *mut c_void) {
        // SAFETY: the test attaches a counter that outlives the client.
        unsafe { *counter.cast::<u32>() += 1 };
    }
    let mut first = 0_u32;
    let mut second = 0_u32;
    {
        let client = Client::new();
        let memory = client.memories()[0];
        let key = ptr::without_provenance::<c_void>(0x10);
        // SAFETY: since minor 105 a memory is a structure that begins with its table.
        unsafe {
            let vtable = &**memory.cast::<*const PJRT_Memory_FunctionTable>();
            assert_eq!(vtable.struct_size, 40);
            let (get, set) = (vtable.get_user_data.unwrap(), vtable.set_user_data.unwrap());
            assert!(get(memory, key).is_null());
            set(memory, key, (&raw mut first).cast(), Some(count));
            assert_eq!(get(memory, key), (&raw mut first).cast());
            set(memory, key, (&raw mut second).cast(), Some(count));
            assert_eq!(get(memory, key), (&raw mut second).cast());
        }
        assert_eq!((first, second), (1, 0));
    }
    assert_eq!((first, second), (1, 1));
}

#[test]
fn topology_is_that_of_the_client() {
    let client = Client::new();
    let args = call!(PJRT_Client_TopologyDescription, PJRT_Client_TopologyDescription_Args { client: client.0 });
    let topology = args.unwrap().topology;
    let devices = call!(
        PJRT_TopologyDescription_GetDeviceDescriptions,
        PJRT_TopologyDescription_GetDeviceDescriptions_Args { topology: topology }
    );
    assert_eq!(devices.unwrap().num_descriptions, 1);
    let print = || {
        let args = call!(
            PJRT_TopologyDescription_Fingerprint,
            PJRT_TopologyDescription_Fingerprint_Args { topology: topology }
        );
        args.unwrap().fingerprint
    };
    assert_eq!(print(), print());
    let serialized =
        call!(PJRT_TopologyDescription_Serialize, PJRT_TopologyDescription_Serialize_Args { topology: topology });
    let serialized = serialized.unwrap();
    assert!(owned(serialized.serialized_bytes, serialized.serialized_bytes_size).contains("MLX CPU"));
    call!(PJRT_TopologyDescription_Destroy, PJRT_TopologyDescription_Destroy_Args { topology: topology }).unwrap();
}

#[test]
fn default_assignment_is_in_order() {
    let client = Client::new();
    let mut ids = [-1_i32; 2];
    let mut ask = |replicas, partitions, size| {
        call!(
            PJRT_Client_DefaultDeviceAssignment,
            PJRT_Client_DefaultDeviceAssignment_Args {
                client: client.0,
                num_replicas: replicas,
                num_partitions: partitions,
                default_assignment: ids.as_mut_ptr(),
                default_assignment_size: size,
            }
        )
        .map(drop)
    };
    ask(1, 1, 2).unwrap();
    assert!(ask(1, 1, 0).unwrap_err().is(Code::InvalidArgument));
    assert!(ask(2, 1, 2).unwrap_err().is(Code::InvalidArgument));
    assert!(ask(-1, 1, 2).unwrap_err().is(Code::InvalidArgument));
    assert_eq!(ids, [0, -1]);
}

#[test]
fn plugin_reports_the_version_that_the_reader_knows() {
    let args = call!(PJRT_Plugin_Attributes, PJRT_Plugin_Attributes_Args {}).unwrap();
    // SAFETY: the plugin tells how many there are; they live as long as the process.
    let attributes = unsafe { std::slice::from_raw_parts(args.attributes, args.num_attributes) };
    let find =
        |name: &CStr| attributes.iter().find(|value| owned(value.name, value.name_size).as_bytes() == name.to_bytes());
    let current = find(c"stablehlo_current_version").unwrap();
    assert_eq!((current.type_, current.value_size), (2, 3));
    // SAFETY: the type says that it is a list, of that length.
    let version = unsafe { std::slice::from_raw_parts(current.__bindgen_anon_1.int64_array_value, 3) };
    assert_eq!(version, [1, 15, 0]);
    let minimum = find(c"stablehlo_minimum_version").unwrap();
    assert_eq!((minimum.type_, minimum.value_size), (2, 3));
    // SAFETY: as above.
    let version = unsafe { std::slice::from_raw_parts(minimum.__bindgen_anon_1.int64_array_value, 3) };
    assert_eq!(version, [0, 9, 0]);
    assert!(find(c"xla_version").is_none(), "JAX compares it with numbers");
}
