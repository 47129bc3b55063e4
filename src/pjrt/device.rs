//! `PJRT_Device`.

use std::ffi::c_void;
use std::ptr;
use std::sync::{Arc, OnceLock};

use pjrt_sys::{
    PJRT_Device, PJRT_Device_AddressableMemories_Args, PJRT_Device_DefaultMemory_Args, PJRT_Device_GetDescription_Args,
    PJRT_Device_IsAddressable_Args, PJRT_Device_LocalHardwareId_Args, PJRT_Device_MemoryStats_Args, PJRT_Memory,
};

use super::abi::{PJRT_Device_ClearMemoryStats_Args, PJRT_Device_GetAttributes_Args};
use super::call::Handle;
use super::device_description::DeviceDescription;
use super::memory::{self, Memory};
use crate::runtime::{self, MemoryKind};

/// What a `PJRT_Device*` points to. The client owns its devices.
pub(super) struct Device {
    runtime: Arc<runtime::Device>,
    description: DeviceDescription,
    /// Set right after the device has its address, which the memories know.
    memories: OnceLock<Memories>,
}

struct Memories {
    /// Keeps what `handles` point to.
    _owned: Box<[Memory]>,
    handles: Box<[*mut PJRT_Memory]>,
}

// SAFETY: the handles are to memories, which are made for sharing.
unsafe impl Send for Memories {}
// SAFETY: as above.
unsafe impl Sync for Memories {}

// SAFETY: devices are given out as `Device` only.
unsafe impl Handle for Device {
    type Opaque = PJRT_Device;
    const NAME: &'static str = "PJRT_Device";
}

impl Device {
    /// The device with its three memories.
    pub(super) fn new(runtime: &Arc<runtime::Device>) -> Arc<Self> {
        let description = DeviceDescription::new(runtime.id(), runtime.kind());
        let device = Arc::new(Self { runtime: runtime.clone(), description, memories: OnceLock::new() });
        let owned: Box<[Memory]> =
            MemoryKind::ALL.iter().map(|kind| Memory::new(*kind, runtime.id(), device.handle())).collect();
        let handles = owned.iter().map(|memory| ptr::from_ref(memory).cast_mut().cast()).collect();
        let set = device.memories.set(Memories { _owned: owned, handles });
        debug_assert!(set.is_ok(), "the device is new");
        device
    }

    /// The handle.
    pub(super) fn handle(&self) -> *mut PJRT_Device {
        ptr::from_ref(self).cast_mut().cast()
    }

    /// The device of the runtime.
    pub(super) fn runtime(&self) -> &Arc<runtime::Device> {
        &self.runtime
    }

    /// What it is.
    pub(super) fn description(&self) -> &DeviceDescription {
        &self.description
    }

    /// All its memories, the default one first.
    pub(super) fn memories(&self) -> &[*mut PJRT_Memory] {
        &self.memories.get().expect("set when the device was made").handles
    }

    /// Its memory of that kind.
    pub(super) fn memory(&self, kind: MemoryKind) -> *mut PJRT_Memory {
        self.memories()[memory::index(kind)]
    }
}

entry! {
    /// What it is.
    PJRT_Device_GetDescription(args: PJRT_Device_GetDescription_Args, device: Device) {
        args.device_description = device.description.handle();
        Ok(())
    }
}

entry! {
    /// Every device is addressable.
    PJRT_Device_IsAddressable(args: PJRT_Device_IsAddressable_Args, device: Device) {
        let _ = device;
        args.is_addressable = true;
        Ok(())
    }
}

entry! {
    /// The index of the device.
    PJRT_Device_LocalHardwareId(args: PJRT_Device_LocalHardwareId_Args, device: Device) {
        args.local_hardware_id = device.description.id();
        Ok(())
    }
}

entry! {
    /// All its memories.
    PJRT_Device_AddressableMemories(args: PJRT_Device_AddressableMemories_Args, device: Device) {
        args.memories = device.memories().as_ptr();
        args.num_memories = device.memories().len();
        Ok(())
    }
}

entry! {
    /// The memory of kind `device`.
    PJRT_Device_DefaultMemory(args: PJRT_Device_DefaultMemory_Args, device: Device) {
        args.memory = device.memory(MemoryKind::Device);
        Ok(())
    }
}

entry! {
    /// Counters of MLX's allocator.
    PJRT_Device_MemoryStats(args: PJRT_Device_MemoryStats_Args, device: Device) {
        let stats = device.runtime.memory_stats()?;
        let bytes = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        args.bytes_in_use = bytes(stats.bytes_in_use);
        args.peak_bytes_in_use = bytes(stats.peak_bytes_in_use);
        args.peak_bytes_in_use_is_set = true;
        args.bytes_limit = bytes(stats.bytes_limit);
        args.bytes_limit_is_set = true;
        args.pool_bytes = bytes(stats.pool_bytes);
        args.pool_bytes_is_set = true;
        args.num_allocs_is_set = false;
        args.largest_alloc_size_is_set = false;
        args.bytes_reserved_is_set = false;
        args.peak_bytes_reserved_is_set = false;
        args.bytes_reservable_limit_is_set = false;
        args.largest_free_block_bytes_is_set = false;
        args.peak_pool_bytes_is_set = false;
        Ok(())
    }
}

entry! {
    /// Begins the greatest number of bytes in use anew.
    PJRT_Device_ClearMemoryStats(args: PJRT_Device_ClearMemoryStats_Args, device: Device) {
        let _ = device;
        runtime::controls::reset_peak_memory()
    }
}

/// There is nothing to free behind the attributes.
unsafe extern "C" fn keep(_: *mut c_void) {}

entry! {
    /// Further attributes: none.
    PJRT_Device_GetAttributes(args: PJRT_Device_GetAttributes_Args, device: Device) {
        let _ = device;
        args.attributes = ptr::null();
        args.num_attributes = 0;
        args.device_attributes = ptr::null_mut();
        args.attributes_deleter = Some(keep);
        Ok(())
    }
}
