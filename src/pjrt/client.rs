//! `PJRT_Client`: the platform, its devices and what is made on them.

use std::sync::Arc;

use pjrt_sys::{
    PJRT_Client, PJRT_Client_AddressableDevices_Args, PJRT_Client_AddressableMemories_Args, PJRT_Client_Create_Args,
    PJRT_Client_DefaultDeviceAssignment_Args, PJRT_Client_Destroy_Args, PJRT_Client_Devices_Args,
    PJRT_Client_LookupAddressableDevice_Args, PJRT_Client_LookupDevice_Args, PJRT_Client_PlatformName_Args,
    PJRT_Client_PlatformVersion_Args, PJRT_Client_ProcessIndex_Args, PJRT_Client_TopologyDescription_Args, PJRT_Device,
    PJRT_Memory,
};

use super::abi::PJRT_Client_UpdateGlobalProcessInfo_Args;
use super::call::{Handle, Rest, Result};
use super::client_options::{PLATFORM_NAME, client_options};
use super::device::Device;
use super::memory::Memory;
use super::named_value;
use super::topology::Topology;
use crate::runtime::{self, ClientOptions, Code, Error};

/// A client. Buffers and executables keep it alive, and with it the devices and memories that they point to.
pub(super) struct Client {
    runtime: Arc<runtime::Client>,
    devices: Box<[Arc<Device>]>,
    device_handles: Box<[*mut PJRT_Device]>,
    memory_handles: Box<[*mut PJRT_Memory]>,
    topology: Topology,
}

// SAFETY: the handles are to things that the client owns, that do not change, and that are made for sharing.
unsafe impl Send for Client {}
// SAFETY: as above.
unsafe impl Sync for Client {}

// SAFETY: clients are given out as `Arc<Client>` only.
unsafe impl Handle for Arc<Client> {
    type Opaque = PJRT_Client;
    const NAME: &'static str = "PJRT_Client";
}

impl Client {
    fn new(options: ClientOptions) -> Result<Arc<Self>> {
        let runtime = runtime::Client::new(options)?;
        let devices: Box<[Arc<Device>]> = runtime.devices().iter().map(Device::new).collect();
        let topology = Topology::of_client(&runtime);
        Ok(Arc::new(Self {
            device_handles: devices.iter().map(|device| device.handle()).collect(),
            memory_handles: devices.iter().flat_map(|device| device.memories()).copied().collect(),
            runtime,
            devices,
            topology,
        }))
    }

    /// The client of the runtime.
    pub(super) fn runtime(&self) -> &Arc<runtime::Client> {
        &self.runtime
    }

    /// The object of a device of the runtime.
    pub(super) fn device(&self, device: &Arc<runtime::Device>) -> &Arc<Device> {
        self.devices
            .iter()
            .find(|known| Arc::ptr_eq(known.runtime(), device))
            .expect("the runtime knows only the devices of its client")
    }

    /// The device and the memory that a caller names, as most functions do: `memory` counts, and without it the default
    /// memory of `device`.
    ///
    /// # Safety
    /// Both are null or alive.
    pub(super) unsafe fn place<'a>(
        device: *const PJRT_Device,
        memory: *const PJRT_Memory,
    ) -> Result<(&'a Device, runtime::MemoryKind)> {
        if memory.is_null() {
            // SAFETY: passed on to the caller.
            return Ok((unsafe { Device::get(device) }?, runtime::MemoryKind::Device));
        }
        // SAFETY: passed on to the caller.
        let memory = unsafe { Memory::get(memory) }?;
        // SAFETY: a memory lives as long as its device.
        Ok((unsafe { Device::get(memory.device()) }?, memory.kind()))
    }

    fn lookup(&self, id: i32) -> Result<*mut PJRT_Device> {
        let found = self.devices.iter().find(|device| device.description().id() == id);
        found.map(|device| device.handle()).ok_or_else(|| {
            Error::new(Code::InvalidArgument, format!("no device with id {id}; there are {}", self.devices.len()))
        })
    }
}

entry! {
    /// Opens the device. The key-value callbacks are not looked at: without jax.distributed they are garbage.
    PJRT_Client_Create(args: PJRT_Client_Create_Args) {
        let _rest = Rest;
        // SAFETY: the caller passes that many options.
        let options = unsafe { named_value::read(args.create_options, args.num_options) }?;
        args.client = Client::new(client_options(options)?)?.give();
        Ok(())
    }
}

entry! {
    /// Lets the client go.
    PJRT_Client_Destroy(args: PJRT_Client_Destroy_Args) {
        // SAFETY: the caller owns the client.
        unsafe { <Arc<Client>>::destroy(args.client) };
        Ok(())
    }
}

entry! {
    /// `mps`.
    PJRT_Client_PlatformName(args: PJRT_Client_PlatformName_Args, client: Arc<Client>) {
        let _ = client;
        args.platform_name = PLATFORM_NAME.as_ptr().cast();
        args.platform_name_size = PLATFORM_NAME.len();
        Ok(())
    }
}

entry! {
    /// There is one process.
    PJRT_Client_ProcessIndex(args: PJRT_Client_ProcessIndex_Args, client: Arc<Client>) {
        let _ = client;
        args.process_index = 0;
        Ok(())
    }
}

entry! {
    /// Versions of the plugin and of MLX.
    PJRT_Client_PlatformVersion(args: PJRT_Client_PlatformVersion_Args, client: Arc<Client>) {
        let version = client.runtime.platform_version();
        args.platform_version = version.as_ptr().cast();
        args.platform_version_size = version.len();
        Ok(())
    }
}

entry! {
    /// The topology, which belongs to the client.
    PJRT_Client_TopologyDescription(args: PJRT_Client_TopologyDescription_Args, client: Arc<Client>) {
        args.topology = client.topology.handle();
        Ok(())
    }
}

entry! {
    /// All devices.
    PJRT_Client_Devices(args: PJRT_Client_Devices_Args, client: Arc<Client>) {
        args.devices = client.device_handles.as_ptr();
        args.num_devices = client.device_handles.len();
        Ok(())
    }
}

entry! {
    /// All devices: each is addressable.
    PJRT_Client_AddressableDevices(args: PJRT_Client_AddressableDevices_Args, client: Arc<Client>) {
        args.addressable_devices = client.device_handles.as_ptr();
        args.num_addressable_devices = client.device_handles.len();
        Ok(())
    }
}

entry! {
    /// The device with that id.
    PJRT_Client_LookupDevice(args: PJRT_Client_LookupDevice_Args, client: Arc<Client>) {
        args.device = client.lookup(args.id)?;
        Ok(())
    }
}

entry! {
    /// The device with that local hardware id, which is its id.
    PJRT_Client_LookupAddressableDevice(args: PJRT_Client_LookupAddressableDevice_Args, client: Arc<Client>) {
        args.addressable_device = client.lookup(args.local_hardware_id)?;
        Ok(())
    }
}

entry! {
    /// The memories of all devices.
    PJRT_Client_AddressableMemories(args: PJRT_Client_AddressableMemories_Args, client: Arc<Client>) {
        args.addressable_memories = client.memory_handles.as_ptr();
        args.num_addressable_memories = client.memory_handles.len();
        Ok(())
    }
}

entry! {
    /// News about other processes, of which there are none. jaxlib aborts if this fails.
    PJRT_Client_UpdateGlobalProcessInfo(args: PJRT_Client_UpdateGlobalProcessInfo_Args, client: Arc<Client>) {
        let _ = client;
        Ok(())
    }
}

entry! {
    /// Ids of devices in order.
    PJRT_Client_DefaultDeviceAssignment(args: PJRT_Client_DefaultDeviceAssignment_Args, client: Arc<Client>) {
        let asked = usize::try_from(args.num_replicas)
            .ok()
            .zip(usize::try_from(args.num_partitions).ok())
            .and_then(|(replicas, partitions)| replicas.checked_mul(partitions));
        let count = asked.filter(|count| *count <= client.devices.len()).ok_or_else(|| {
            let message = format!(
                "{} replicas of {} partitions need more than the {} devices that there are",
                args.num_replicas, args.num_partitions, client.devices.len()
            );
            Error::new(Code::InvalidArgument, message)
        })?;
        if args.default_assignment_size < count || (args.default_assignment.is_null() && count > 0) {
            let message = format!("expected room for {count} device ids, not {}", args.default_assignment_size);
            return Err(Error::new(Code::InvalidArgument, message));
        }
        for (index, device) in client.devices.iter().take(count).enumerate() {
            // SAFETY: the caller has room for as many, as was checked.
            unsafe { args.default_assignment.add(index).write(device.description().id()) };
        }
        Ok(())
    }
}
