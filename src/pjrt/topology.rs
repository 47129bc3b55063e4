//! `PJRT_TopologyDescription`: the devices that programs are compiled for.

use std::ffi::{c_int, c_void};
use std::ptr;
use std::sync::Arc;

use pjrt_sys::{
    PJRT_DeviceDescription, PJRT_NamedValue, PJRT_TopologyDescription, PJRT_TopologyDescription_Attributes_Args,
    PJRT_TopologyDescription_Create_Args, PJRT_TopologyDescription_Destroy_Args,
    PJRT_TopologyDescription_GetDeviceDescriptions_Args, PJRT_TopologyDescription_PlatformName_Args,
    PJRT_TopologyDescription_PlatformVersion_Args, PJRT_TopologyDescription_Serialize_Args,
};

use super::abi::{
    PJRT_TopologyDescription_Deserialize_Args, PJRT_TopologyDescription_Fingerprint_Args,
    PJRT_TopologyDescription_GetMemorySpaceKindIds_Args,
};
use super::call::{Handle, Result, slice, text};
use super::client_options::{PLATFORM_NAME, client_options};
use super::device_description::DeviceDescription;
use super::named_value::{self, Value};
use crate::runtime::{self, Code, Error};

/// What a `PJRT_TopologyDescription*` points to.
pub(super) struct Topology {
    /// Compiles for the devices.
    runtime: Arc<runtime::Client>,
    /// Whether the topology was made for the caller, and is not part of a client.
    owned_by_caller: bool,
    /// Keeps what `handles` point to.
    _descriptions: Box<[DeviceDescription]>,
    handles: Box<[*mut PJRT_DeviceDescription]>,
    /// All that tells topologies apart: platform, versions, kinds of the devices.
    serialized: Box<str>,
    /// `target_config`, as other platforms call what tells a compiler about a device that is not there: `serialized`.
    attributes: [PJRT_NamedValue; 1],
}

// SAFETY: the handles and the attributes point to what the topology owns and to statics; none of it changes.
unsafe impl Send for Topology {}
// SAFETY: as above.
unsafe impl Sync for Topology {}

// SAFETY: topologies are given out as `Topology` only.
unsafe impl Handle for Topology {
    type Opaque = PJRT_TopologyDescription;
    const NAME: &'static str = "PJRT_TopologyDescription";
}

/// Ids of the memory kinds, as `PJRT_Memory_Kind_Id` gives them.
static MEMORY_KIND_IDS: [c_int; 3] = [1, 2, 3];

impl Topology {
    /// The topology that is part of a client.
    pub(super) fn of_client(runtime: &Arc<runtime::Client>) -> Self {
        Self::new(runtime.clone(), false)
    }

    fn new(runtime: Arc<runtime::Client>, owned_by_caller: bool) -> Self {
        let descriptions: Box<[DeviceDescription]> =
            runtime.devices().iter().map(|device| DeviceDescription::new(device.id(), device.kind())).collect();
        let handles = descriptions.iter().map(DeviceDescription::handle).collect();
        let kinds: Vec<&str> = descriptions.iter().map(DeviceDescription::kind).collect();
        let serialized: Box<str> =
            format!("{PLATFORM_NAME}; {}; {}", runtime.platform_version(), kinds.join(", ")).into();
        let attributes = [named_value::text_of(c"target_config", &serialized)];
        Self { attributes, owned_by_caller, runtime, _descriptions: descriptions, handles, serialized }
    }

    /// The topology of the device of that kind; an empty name is any kind.
    fn named(name: &str, runtime: Arc<runtime::Client>) -> Result<Self> {
        let kind = runtime.devices()[0].kind();
        if name.is_empty() || name == kind {
            return Ok(Self::new(runtime, true));
        }
        let message = format!("topology {name}: expected the kind of this machine's device, {kind}, or no name");
        Err(Error::new(Code::InvalidArgument, message))
    }

    /// The topology that was serialized, if it is one of this machine.
    fn deserialize(bytes: &[u8]) -> Result<Self> {
        Ok(Self::new(Self::runtime_of(&String::from_utf8_lossy(bytes))?, true))
    }

    /// What compiles for the devices of a serialized topology.
    fn runtime_of(text: &str) -> Result<Arc<runtime::Client>> {
        let mut parts = text.split("; ");
        let (Some(PLATFORM_NAME), Some(version), Some(kind), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            let message = format!("expected a topology serialized by jax-mps, came {text:?}");
            return Err(Error::new(Code::InvalidArgument, message));
        };
        let runtime = runtime::Client::with_device_kind(kind)?;
        if version != runtime.platform_version() {
            let message = format!("the topology was serialized by {version}; this is {}", runtime.platform_version());
            return Err(Error::new(Code::FailedPrecondition, message));
        }
        Ok(runtime)
    }

    /// What compiles for the devices.
    pub(super) fn runtime(&self) -> &Arc<runtime::Client> {
        &self.runtime
    }

    /// The handle.
    pub(super) fn handle(&self) -> *mut PJRT_TopologyDescription {
        ptr::from_ref(self).cast_mut().cast()
    }
}

/// Takes the text of an option out of all.
fn take(options: &mut Vec<(String, Value)>, name: &str) -> Result<Option<String>> {
    let Some(index) = options.iter().position(|(known, _)| known == name) else { return Ok(None) };
    match options.swap_remove(index).1 {
        Value::String(text) => Ok(Some(text)),
        other => {
            let message = format!("option {name} of the topology: expected a text, not {other:?}");
            Err(Error::new(Code::InvalidArgument, message))
        }
    }
}

/// Refuses every number of devices but one, written as `1x1x1`.
fn one_device(shape: &str) -> Result {
    if shape.split('x').all(|size| size == "1") {
        return Ok(());
    }
    let message = format!("option topology: expected one device, as 1x1x1, not {shape:?}");
    Err(Error::new(Code::InvalidArgument, message))
}

/// The 64-bit FNV-1a hash: the same in every process and version.
fn fingerprint(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

entry! {
    /// The topology of this machine's device, without a client. The name is that of the device's kind, or empty. The
    /// options are those of a client, or `target_config` with a topology's attribute of that name; `topology` tells how
    /// many devices there are, as `1x1x1`.
    PJRT_TopologyDescription_Create(args: PJRT_TopologyDescription_Create_Args) {
        // SAFETY: the caller passes that many options, and a name of that length.
        let (mut options, name) = unsafe {
            (
                named_value::read(args.create_options, args.num_options)?,
                text(args.topology_name, args.topology_name_size),
            )
        };
        if let Some(shape) = take(&mut options, "topology")? {
            one_device(&shape)?;
        }
        let runtime = match take(&mut options, "target_config")? {
            Some(target) => Topology::runtime_of(&target)?,
            None => runtime::Client::new(client_options(options)?)?,
        };
        args.topology = Topology::named(&name, runtime)?.give();
        Ok(())
    }
}

entry! {
    /// Makes the topology that `PJRT_TopologyDescription_Serialize` wrote.
    PJRT_TopologyDescription_Deserialize(args: PJRT_TopologyDescription_Deserialize_Args) {
        // SAFETY: the caller's bytes.
        let bytes = unsafe { slice(args.serialized_topology.cast::<u8>(), args.serialized_topology_size) };
        args.topology = Topology::deserialize(bytes)?.give();
        Ok(())
    }
}

entry! {
    /// Frees a topology that was made for the caller; those of clients stay, as does null.
    PJRT_TopologyDescription_Destroy(args: PJRT_TopologyDescription_Destroy_Args) {
        if args.topology.is_null() {
            return Ok(());
        }
        // SAFETY: the topology is alive.
        if unsafe { Topology::get(args.topology) }?.owned_by_caller {
            // SAFETY: it came from `give`, and the caller ends it once.
            unsafe { Topology::destroy(args.topology) };
        }
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
        let version = topology.runtime.platform_version();
        args.platform_version = version.as_ptr().cast();
        args.platform_version_size = version.len();
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
    /// The topology as text.
    PJRT_TopologyDescription_Serialize(args: PJRT_TopologyDescription_Serialize_Args, topology: Topology) {
        args.serialized_bytes = topology.serialized.as_ptr().cast();
        args.serialized_bytes_size = topology.serialized.len();
        args.serialized_topology = ptr::null_mut::<c_void>().cast();
        args.serialized_topology_deleter = Some(keep);
        Ok(())
    }
}

entry! {
    /// Further attributes: `target_config`, which is an option for making the topology elsewhere.
    PJRT_TopologyDescription_Attributes(args: PJRT_TopologyDescription_Attributes_Args, topology: Topology) {
        args.attributes = topology.attributes.as_ptr();
        args.num_attributes = topology.attributes.len();
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
