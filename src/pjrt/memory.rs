//! `PJRT_Memory`: where the buffers of a device lie.

use std::ffi::{c_int, c_void};
use std::mem::size_of;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;
use std::sync::{PoisonError, RwLock};

use pjrt_sys::{
    PJRT_Device, PJRT_Memory, PJRT_Memory_AddressableByDevices_Args, PJRT_Memory_DebugString_Args, PJRT_Memory_Id_Args,
    PJRT_Memory_Kind_Args, PJRT_Memory_Kind_Id_Args, PJRT_Memory_ToString_Args,
};
use smallvec::SmallVec;

use super::abi::{Destructor, PJRT_Memory_FunctionTable};
use super::call::Handle;
use super::error::contain;
use crate::runtime::MemoryKind;

/// What a `PJRT_Memory*` points to. Since minor 105 callers read the function table themselves.
#[repr(C)]
pub(super) struct Memory {
    vtable: &'static PJRT_Memory_FunctionTable,
    id: c_int,
    kind: MemoryKind,
    kind_name: &'static str,
    text: String,
    devices: [*mut PJRT_Device; 1],
    attached: RwLock<SmallVec<[Attached; 4]>>,
}

/// Something that the caller attached, found by its key.
struct Attached {
    key: *const c_void,
    data: *mut c_void,
    destructor: Destructor,
}

// SAFETY: the plugin does not look behind key and data, and the API lets callers attach, ask and be called back on any
// thread.
unsafe impl Send for Attached {}
// SAFETY: as above.
unsafe impl Sync for Attached {}

// SAFETY: the handle is to the device that owns the memory; devices are made for sharing.
unsafe impl Send for Memory {}
// SAFETY: as above.
unsafe impl Sync for Memory {}

// SAFETY: memories are given out as `Memory` only.
unsafe impl Handle for Memory {
    type Opaque = PJRT_Memory;
    const NAME: &'static str = "PJRT_Memory";
}

static VTABLE: PJRT_Memory_FunctionTable = PJRT_Memory_FunctionTable {
    struct_size: size_of::<PJRT_Memory_FunctionTable>(),
    extension_start: ptr::null_mut(),
    instance_struct_size: size_of::<*const PJRT_Memory_FunctionTable>(),
    get_user_data: Some(get_user_data),
    set_user_data: Some(set_user_data),
};

// SAFETY: the table is immutable and its only pointer is null.
unsafe impl Sync for PJRT_Memory_FunctionTable {}

/// Number of a kind. Never zero, which callers may take for none.
pub(super) fn kind_id(kind: MemoryKind) -> c_int {
    c_int::try_from(index(kind)).expect("less than three") + 1
}

/// Place of a kind among a device's memories.
pub(super) fn index(kind: MemoryKind) -> usize {
    match kind {
        MemoryKind::Device => 0,
        MemoryKind::PinnedHost => 1,
        MemoryKind::UnpinnedHost => 2,
    }
}

impl Memory {
    /// The memory of that kind of the device with the given id.
    pub(super) fn new(kind: MemoryKind, device_id: i32, device: *mut PJRT_Device) -> Self {
        let kinds = c_int::try_from(MemoryKind::ALL.len()).expect("three");
        Self {
            vtable: &VTABLE,
            id: device_id * kinds + c_int::try_from(index(kind)).expect("less than three"),
            kind,
            kind_name: kind.name(),
            text: format!("{} memory of mps:{device_id}", kind.name()),
            devices: [device],
            attached: RwLock::default(),
        }
    }

    /// The kind.
    pub(super) fn kind(&self) -> MemoryKind {
        self.kind
    }

    /// The device that it belongs to.
    pub(super) fn device(&self) -> *mut PJRT_Device {
        self.devices[0]
    }

    fn attached(&self, key: *const c_void) -> *mut c_void {
        let attached = self.attached.read().unwrap_or_else(PoisonError::into_inner);
        attached.iter().find(|entry| entry.key == key).map_or(ptr::null_mut(), |entry| entry.data)
    }

    fn attach(&self, entry: Attached) {
        let mut attached = self.attached.write().unwrap_or_else(PoisonError::into_inner);
        let before = match attached.iter_mut().find(|known| known.key == entry.key) {
            Some(known) => Some(std::mem::replace(known, entry)),
            None => {
                attached.push(entry);
                None
            }
        };
        // The destructor is the caller's code: it must not find the lock taken.
        drop(attached);
        drop(before);
    }
}

impl Drop for Attached {
    fn drop(&mut self) {
        if let Some(destructor) = self.destructor {
            // SAFETY: the caller gave the destructor for this data.
            unsafe { destructor(self.data) };
        }
    }
}

unsafe extern "C" fn get_user_data(memory: *mut PJRT_Memory, key: *const c_void) -> *mut c_void {
    // SAFETY: the caller passes a live memory.
    let memory = unsafe { Memory::get(memory) };
    catch_unwind(AssertUnwindSafe(|| memory.map_or(ptr::null_mut(), |memory| memory.attached(key))))
        .unwrap_or(ptr::null_mut())
}

unsafe extern "C" fn set_user_data(memory: *mut PJRT_Memory, key: *const c_void, data: *mut c_void, dtor: Destructor) {
    // SAFETY: the caller passes a live memory.
    if let Ok(memory) = unsafe { Memory::get(memory) } {
        contain(|| memory.attach(Attached { key, data, destructor: dtor }));
    }
}

entry! {
    /// Id among all memories of the client.
    PJRT_Memory_Id(args: PJRT_Memory_Id_Args, memory: Memory) {
        args.id = memory.id;
        Ok(())
    }
}

entry! {
    /// `device`, `pinned_host` or `unpinned_host`.
    PJRT_Memory_Kind(args: PJRT_Memory_Kind_Args, memory: Memory) {
        args.kind = memory.kind_name.as_ptr().cast();
        args.kind_size = memory.kind_name.len();
        Ok(())
    }
}

entry! {
    /// Number of the kind.
    PJRT_Memory_Kind_Id(args: PJRT_Memory_Kind_Id_Args, memory: Memory) {
        args.kind_id = kind_id(memory.kind);
        Ok(())
    }
}

entry! {
    /// For messages.
    PJRT_Memory_DebugString(args: PJRT_Memory_DebugString_Args, memory: Memory) {
        args.debug_string = memory.text.as_ptr().cast();
        args.debug_string_size = memory.text.len();
        Ok(())
    }
}

entry! {
    /// For people.
    PJRT_Memory_ToString(args: PJRT_Memory_ToString_Args, memory: Memory) {
        args.to_string = memory.text.as_ptr().cast();
        args.to_string_size = memory.text.len();
        Ok(())
    }
}

entry! {
    /// The devices that reach it: its own.
    PJRT_Memory_AddressableByDevices(args: PJRT_Memory_AddressableByDevices_Args, memory: Memory) {
        args.devices = memory.devices.as_ptr();
        args.num_devices = memory.devices.len();
        Ok(())
    }
}
