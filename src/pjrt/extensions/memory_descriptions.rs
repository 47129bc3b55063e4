//! The MemoryDescriptions extension: the memories of devices without a client. Without it, programs that are compiled for a
//! topology know no memory kinds.

use std::ffi::{c_char, c_int};
use std::mem::size_of;
use std::ptr;

use pjrt_sys::{PJRT_DeviceDescription, PJRT_Extension_Base};

use super::super::abi::{EXTENSION_TYPE_MEMORY_DESCRIPTIONS, Function, structures};
use super::super::call::Handle;
use super::super::device_description::DeviceDescription;
use super::super::memory;
use super::extension::Extension;
use crate::runtime::MemoryKind;

/// What a `PJRT_MemoryDescription*` points to: a constant.
#[repr(transparent)]
pub(crate) struct MemoryDescription(MemoryKind);

// SAFETY: descriptions are given out as `MemoryDescription` only.
unsafe impl Handle for MemoryDescription {
    type Opaque = MemoryDescription;
    const NAME: &'static str = "PJRT_MemoryDescription";
}

/// The memories of every device, the default one first.
static DESCRIPTIONS: [&MemoryDescription; 3] = [
    &MemoryDescription(MemoryKind::ALL[0]),
    &MemoryDescription(MemoryKind::ALL[1]),
    &MemoryDescription(MemoryKind::ALL[2]),
];

structures! {
    PJRT_DeviceDescription_MemoryDescriptions_Args {
        device_description: *mut PJRT_DeviceDescription,
        memory_descriptions: *const *const MemoryDescription,
        num_memory_descriptions: usize,
        ; default_memory_index: usize
    }
    PJRT_MemoryDescription_Kind_Args {
        memory_description: *const MemoryDescription,
        kind: *const c_char,
        kind_size: usize,
        ; kind_id: c_int
    }
}

/// The functions of the extension, in the order of its header.
#[repr(C)]
pub(crate) struct MemoryDescriptionsExtension {
    base: PJRT_Extension_Base,
    device_description_memory_descriptions: Function<PJRT_DeviceDescription_MemoryDescriptions_Args>,
    memory_description_kind: Function<PJRT_MemoryDescription_Kind_Args>,
}

/// The extension.
pub(super) static EXTENSION: Extension<MemoryDescriptionsExtension> = Extension(MemoryDescriptionsExtension {
    base: PJRT_Extension_Base {
        struct_size: size_of::<MemoryDescriptionsExtension>(),
        type_: EXTENSION_TYPE_MEMORY_DESCRIPTIONS,
        next: ptr::null_mut(),
    },
    device_description_memory_descriptions: Some(PJRT_DeviceDescription_MemoryDescriptions),
    memory_description_kind: Some(PJRT_MemoryDescription_Kind),
});

entry! {
    /// All memories of a device. jaxlib aborts if this fails.
    PJRT_DeviceDescription_MemoryDescriptions(
        args: PJRT_DeviceDescription_MemoryDescriptions_Args, device_description: DeviceDescription
    ) {
        let _ = device_description;
        args.memory_descriptions = DESCRIPTIONS.as_ptr().cast();
        args.num_memory_descriptions = DESCRIPTIONS.len();
        args.default_memory_index = 0;
        Ok(())
    }
}

entry! {
    /// The kind of a memory. jaxlib aborts if this fails.
    PJRT_MemoryDescription_Kind(args: PJRT_MemoryDescription_Kind_Args, memory_description: MemoryDescription) {
        let kind = memory_description.0;
        args.kind = kind.name().as_ptr().cast();
        args.kind_size = kind.name().len();
        args.kind_id = memory::kind_id(kind);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memories_are_those_of_devices() {
        let description = DeviceDescription::new(0, "MLX CPU");
        let mut args = PJRT_DeviceDescription_MemoryDescriptions_Args {
            struct_size: PJRT_DeviceDescription_MemoryDescriptions_Args::STRUCT_SIZE,
            extension_start: ptr::null_mut(),
            device_description: description.handle(),
            memory_descriptions: ptr::null(),
            num_memory_descriptions: 0,
            default_memory_index: 9,
        };
        // SAFETY: the structures are whole, and what they point to lives.
        let kinds: Vec<(&str, c_int)> = unsafe {
            assert!(PJRT_DeviceDescription_MemoryDescriptions(&raw mut args).is_null());
            std::slice::from_raw_parts(args.memory_descriptions, args.num_memory_descriptions)
                .iter()
                .map(|memory_description| {
                    let mut args = PJRT_MemoryDescription_Kind_Args {
                        struct_size: PJRT_MemoryDescription_Kind_Args::STRUCT_SIZE,
                        extension_start: ptr::null_mut(),
                        memory_description: *memory_description,
                        kind: ptr::null(),
                        kind_size: 0,
                        kind_id: -1,
                    };
                    assert!(PJRT_MemoryDescription_Kind(&raw mut args).is_null());
                    let kind = std::slice::from_raw_parts(args.kind.cast::<u8>(), args.kind_size);
                    (std::str::from_utf8(kind).unwrap(), args.kind_id)
                })
                .collect()
        };
        assert_eq!(args.default_memory_index, 0);
        assert_eq!(kinds, [("device", 1), ("pinned_host", 2), ("unpinned_host", 3)]);
    }
}
