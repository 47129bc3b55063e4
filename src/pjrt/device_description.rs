//! `PJRT_DeviceDescription`: what a device is.

use std::ptr;

use pjrt_sys::{
    PJRT_DeviceDescription, PJRT_DeviceDescription_Attributes_Args, PJRT_DeviceDescription_DebugString_Args,
    PJRT_DeviceDescription_Id_Args, PJRT_DeviceDescription_Kind_Args, PJRT_DeviceDescription_ProcessIndex_Args,
    PJRT_DeviceDescription_ToString_Args,
};

use super::call::Handle;

/// What a `PJRT_DeviceDescription*` points to.
pub(super) struct DeviceDescription {
    id: i32,
    kind: String,
    debug_string: String,
    to_string: String,
}

// SAFETY: descriptions are given out as `DeviceDescription` only.
unsafe impl Handle for DeviceDescription {
    type Opaque = PJRT_DeviceDescription;
    const NAME: &'static str = "PJRT_DeviceDescription";
}

impl DeviceDescription {
    /// Describes the device of that id and kind (`Apple M4`, `MLX CPU`).
    pub(super) fn new(id: i32, kind: &str) -> Self {
        Self { id, kind: kind.to_owned(), debug_string: format!("mps:{id}"), to_string: format!("MpsDevice(id={id})") }
    }

    /// Global id.
    pub(super) fn id(&self) -> i32 {
        self.id
    }

    /// What it is.
    pub(super) fn kind(&self) -> &str {
        &self.kind
    }

    /// The handle.
    pub(super) fn handle(&self) -> *mut PJRT_DeviceDescription {
        ptr::from_ref(self).cast_mut().cast()
    }
}

entry! {
    /// Global id.
    PJRT_DeviceDescription_Id(args: PJRT_DeviceDescription_Id_Args, device_description: DeviceDescription) {
        args.id = device_description.id;
        Ok(())
    }
}

entry! {
    /// The process that owns the device: there is one.
    PJRT_DeviceDescription_ProcessIndex(
        args: PJRT_DeviceDescription_ProcessIndex_Args, device_description: DeviceDescription
    ) {
        let _ = device_description;
        args.process_index = 0;
        Ok(())
    }
}

entry! {
    /// Further attributes: none.
    PJRT_DeviceDescription_Attributes(
        args: PJRT_DeviceDescription_Attributes_Args, device_description: DeviceDescription
    ) {
        let _ = device_description;
        args.attributes = ptr::null();
        args.num_attributes = 0;
        Ok(())
    }
}

entry! {
    /// What it is.
    PJRT_DeviceDescription_Kind(args: PJRT_DeviceDescription_Kind_Args, device_description: DeviceDescription) {
        args.device_kind = device_description.kind.as_ptr().cast();
        args.device_kind_size = device_description.kind.len();
        Ok(())
    }
}

entry! {
    /// `mps:0`.
    PJRT_DeviceDescription_DebugString(
        args: PJRT_DeviceDescription_DebugString_Args, device_description: DeviceDescription
    ) {
        args.debug_string = device_description.debug_string.as_ptr().cast();
        args.debug_string_size = device_description.debug_string.len();
        Ok(())
    }
}

entry! {
    /// `MpsDevice(id=0)`.
    PJRT_DeviceDescription_ToString(args: PJRT_DeviceDescription_ToString_Args, device_description: DeviceDescription) {
        args.to_string = device_description.to_string.as_ptr().cast();
        args.to_string_size = device_description.to_string.len();
        Ok(())
    }
}
