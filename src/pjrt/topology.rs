//! `PJRT_TopologyDescription`: the devices that programs are compiled for.

use std::ffi::{c_int, c_void};
use std::ptr;

use pjrt_sys::{
    PJRT_DeviceDescription, PJRT_TopologyDescription, PJRT_TopologyDescription_Attributes_Args,
    PJRT_TopologyDescription_Destroy_Args, PJRT_TopologyDescription_GetDeviceDescriptions_Args,
    PJRT_TopologyDescription_PlatformName_Args, PJRT_TopologyDescription_PlatformVersion_Args,
    PJRT_TopologyDescription_Serialize_Args,
};

use super::abi::{PJRT_TopologyDescription_Fingerprint_Args, PJRT_TopologyDescription_GetMemorySpaceKindIds_Args};
use super::call::Handle;
use super::client::PLATFORM_NAME;
use super::device_description::DeviceDescription;

/// What a `PJRT_TopologyDescription*` points to.
pub(super) struct Topology {
    platform_version: String,
    /// Keeps what `handles` point to.
    _descriptions: Box<[DeviceDescription]>,
    handles: Box<[*mut PJRT_DeviceDescription]>,
    /// All that tells topologies apart, for cache keys.
    serialized: String,
}

// SAFETY: topologies are given out as `Topology` only.
unsafe impl Handle for Topology {
    type Opaque = PJRT_TopologyDescription;
    const NAME: &'static str = "PJRT_TopologyDescription";
}

/// Ids of the memory kinds, as `PJRT_Memory_Kind_Id` gives them.
static MEMORY_KIND_IDS: [c_int; 3] = [0, 1, 2];

impl Topology {
    /// The topology of the devices with those ids and kinds.
    pub(super) fn new<'a>(platform_version: &str, devices: impl Iterator<Item = (i32, &'a str)>) -> Self {
        let descriptions: Box<[DeviceDescription]> =
            devices.map(|(id, kind)| DeviceDescription::new(id, kind)).collect();
        let handles = descriptions.iter().map(DeviceDescription::handle).collect();
        let kinds: Vec<&str> = descriptions.iter().map(DeviceDescription::kind).collect();
        let serialized = format!("{PLATFORM_NAME}; {platform_version}; {}", kinds.join(", "));
        Self { platform_version: platform_version.to_owned(), _descriptions: descriptions, handles, serialized }
    }

    /// The handle.
    pub(super) fn handle(&self) -> *mut PJRT_TopologyDescription {
        ptr::from_ref(self).cast_mut().cast()
    }
}

/// The 64-bit FNV-1a hash: the same in every process and version.
fn fingerprint(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

entry! {
    /// Frees a topology that is not a client's.
    PJRT_TopologyDescription_Destroy(args: PJRT_TopologyDescription_Destroy_Args) {
        // The only topologies are those of clients, which own them.
        Ok(())
    }
}

entry! {
    /// `mps`.
    PJRT_TopologyDescription_PlatformName(args: PJRT_TopologyDescription_PlatformName_Args, topology: Topology) {
        let _ = topology;
        args.platform_name = PLATFORM_NAME.as_ptr().cast();
        args.platform_name_size = PLATFORM_NAME.len();
        Ok(())
    }
}

entry! {
    /// Versions of the plugin and of MLX.
    PJRT_TopologyDescription_PlatformVersion(args: PJRT_TopologyDescription_PlatformVersion_Args, topology: Topology) {
        args.platform_version = topology.platform_version.as_ptr().cast();
        args.platform_version_size = topology.platform_version.len();
        Ok(())
    }
}

entry! {
    /// All devices.
    PJRT_TopologyDescription_GetDeviceDescriptions(
        args: PJRT_TopologyDescription_GetDeviceDescriptions_Args, topology: Topology
    ) {
        args.descriptions = topology.handles.as_ptr();
        args.num_descriptions = topology.handles.len();
        Ok(())
    }
}

/// The text belongs to the topology.
unsafe extern "C" fn keep(_: *mut pjrt_sys::PJRT_SerializedTopology) {}

entry! {
    /// A text for cache keys.
    PJRT_TopologyDescription_Serialize(args: PJRT_TopologyDescription_Serialize_Args, topology: Topology) {
        args.serialized_bytes = topology.serialized.as_ptr().cast();
        args.serialized_bytes_size = topology.serialized.len();
        args.serialized_topology = ptr::null_mut::<c_void>().cast();
        args.serialized_topology_deleter = Some(keep);
        Ok(())
    }
}

entry! {
    /// Further attributes: none.
    PJRT_TopologyDescription_Attributes(args: PJRT_TopologyDescription_Attributes_Args, topology: Topology) {
        let _ = topology;
        args.attributes = ptr::null();
        args.num_attributes = 0;
        Ok(())
    }
}

entry! {
    /// A hash of the serialized form.
    PJRT_TopologyDescription_Fingerprint(args: PJRT_TopologyDescription_Fingerprint_Args, topology: Topology) {
        args.fingerprint = fingerprint(&topology.serialized);
        Ok(())
    }
}

entry! {
    /// Ids of the memory kinds.
    PJRT_TopologyDescription_GetMemorySpaceKindIds(
        args: PJRT_TopologyDescription_GetMemorySpaceKindIds_Args, topology: Topology
    ) {
        let _ = topology;
        args.memory_space_kind_ids = MEMORY_KIND_IDS.as_ptr();
        args.num_memory_space_kind_ids = MEMORY_KIND_IDS.len();
        Ok(())
    }
}
