//! `PJRT_LoadedExecutable`: a program that is ready to run on its devices.

use std::ffi::{c_int, c_void};
use std::ptr;
use std::sync::Arc;

use prost::Message;

use pjrt_sys::{
    PJRT_Device, PJRT_LoadedExecutable, PJRT_LoadedExecutable_AddressableDevices_Args,
    PJRT_LoadedExecutable_Delete_Args, PJRT_LoadedExecutable_Destroy_Args, PJRT_LoadedExecutable_Fingerprint_Args,
    PJRT_LoadedExecutable_GetExecutable_Args, PJRT_LoadedExecutable_IsDeleted_Args,
};

use super::abi::{
    PJRT_Client_Load_Args, PJRT_LoadedExecutable_AddressableDeviceLogicalIds_Args,
    PJRT_LoadedExecutable_GetDeviceAssignment_Args, PJRT_LogicalDeviceIds,
};
use super::call::{Handle, Result};
use super::client::Client;
use super::executable::{Description, Executable};
use crate::proto::{CompileOptionsProto, DeviceAssignmentProto, device_assignment_proto::ComputationDevice};
use crate::runtime::{Code, Error};

/// What a `PJRT_LoadedExecutable*` points to.
pub(super) struct LoadedExecutable {
    description: Arc<Description>,
    devices: Box<[*mut PJRT_Device]>,
    logical_ids: Box<[PJRT_LogicalDeviceIds]>,
    /// DeviceAssignmentProto; empty for a program that runs on whichever device is named at the call.
    assignment: Vec<u8>,
    client: Arc<Client>,
}

// SAFETY: the handles are to devices, which are made for sharing and live as long as the client.
unsafe impl Send for LoadedExecutable {}
// SAFETY: as above.
unsafe impl Sync for LoadedExecutable {}

// SAFETY: loaded executables are given out as `LoadedExecutable` only.
unsafe impl Handle for LoadedExecutable {
    type Opaque = PJRT_LoadedExecutable;
    const NAME: &'static str = "PJRT_LoadedExecutable";
}

impl LoadedExecutable {
    /// Compiles MLIR with a serialized CompileOptionsProto.
    pub(super) fn compile(client: &Arc<Client>, program: &[u8], options: &[u8]) -> Result<Self> {
        let runtime = client.runtime().compile(program, options)?;
        Self::load(client, Description::new(runtime, options, client.runtime().platform_version()))
    }

    /// Makes a program of this client ready to run.
    fn load(client: &Arc<Client>, description: Arc<Description>) -> Result<Self> {
        let options = CompileOptionsProto::decode(description.options()).map_err(|error| {
            Error::new(Code::InvalidArgument, format!("expected a serialized CompileOptionsProto: {error}"))
        })?;
        let devices = description.runtime().devices();
        let computation_devices = devices
            .iter()
            .map(|device| ComputationDevice { replica_device_ids: vec![i64::from(device.id())] })
            .collect();
        let assignment = DeviceAssignmentProto {
            replica_count: 1,
            computation_count: i32::try_from(devices.len()).expect("few devices"),
            computation_devices,
        };
        Ok(Self {
            devices: devices.iter().map(|device| client.device(device).handle()).collect(),
            logical_ids: (0..c_int::try_from(devices.len()).expect("few devices"))
                .map(|partition| PJRT_LogicalDeviceIds { replica: 0, partition })
                .collect(),
            assignment: if options.compile_portable_executable { Vec::new() } else { assignment.encode_to_vec() },
            client: client.clone(),
            description,
        })
    }

    /// What the program is.
    pub(super) fn description(&self) -> &Arc<Description> {
        &self.description
    }

    /// The devices that it runs on.
    pub(super) fn devices(&self) -> &[*mut PJRT_Device] {
        &self.devices
    }

    /// The client.
    pub(super) fn client(&self) -> &Arc<Client> {
        &self.client
    }
}

entry! {
    /// Deletes and frees an executable.
    PJRT_LoadedExecutable_Destroy(args: PJRT_LoadedExecutable_Destroy_Args) {
        // SAFETY: the caller owns the executable.
        unsafe { LoadedExecutable::destroy(args.executable) };
        Ok(())
    }
}

entry! {
    /// The description of the program, which the caller destroys.
    PJRT_LoadedExecutable_GetExecutable(
        args: PJRT_LoadedExecutable_GetExecutable_Args, loaded_executable: LoadedExecutable
    ) {
        args.executable = Executable(loaded_executable.description.clone()).give();
        Ok(())
    }
}

entry! {
    /// The devices that it runs on.
    PJRT_LoadedExecutable_AddressableDevices(
        args: PJRT_LoadedExecutable_AddressableDevices_Args, executable: LoadedExecutable
    ) {
        args.addressable_devices = executable.devices.as_ptr();
        args.num_addressable_devices = executable.devices.len();
        Ok(())
    }
}

entry! {
    /// Replica and partition of each of its devices.
    PJRT_LoadedExecutable_AddressableDeviceLogicalIds(
        args: PJRT_LoadedExecutable_AddressableDeviceLogicalIds_Args, executable: LoadedExecutable
    ) {
        args.addressable_device_logical_ids = executable.logical_ids.as_ptr();
        args.num_addressable_device_logical_ids = executable.logical_ids.len();
        Ok(())
    }
}

/// The assignment belongs to the executable.
unsafe extern "C" fn keep(_: *mut c_void) {}

entry! {
    /// Which device runs which replica and partition, as a DeviceAssignmentProto.
    PJRT_LoadedExecutable_GetDeviceAssignment(
        args: PJRT_LoadedExecutable_GetDeviceAssignment_Args, executable: LoadedExecutable
    ) {
        args.serialized_bytes = executable.assignment.as_ptr().cast();
        args.serialized_bytes_size = executable.assignment.len();
        args.serialized_device_assignment = ptr::null_mut();
        args.serialized_device_assignment_deleter = Some(keep);
        Ok(())
    }
}

entry! {
    /// Makes further calls fail.
    PJRT_LoadedExecutable_Delete(args: PJRT_LoadedExecutable_Delete_Args, executable: LoadedExecutable) {
        executable.description.runtime().delete();
        Ok(())
    }
}

entry! {
    /// Whether it was deleted.
    PJRT_LoadedExecutable_IsDeleted(args: PJRT_LoadedExecutable_IsDeleted_Args, executable: LoadedExecutable) {
        args.is_deleted = executable.description.runtime().is_deleted();
        Ok(())
    }
}

entry! {
    /// Hash of the program and of what compiles it.
    PJRT_LoadedExecutable_Fingerprint(args: PJRT_LoadedExecutable_Fingerprint_Args, executable: LoadedExecutable) {
        let fingerprint = executable.description.runtime().fingerprint();
        args.executable_fingerprint = fingerprint.as_ptr().cast();
        args.executable_fingerprint_size = fingerprint.len();
        Ok(())
    }
}

entry! {
    /// Makes a program ready to run. Its options are those of its compilation. What was compiled for a topology or by
    /// another client is compiled again, for this client's device.
    PJRT_Client_Load(args: PJRT_Client_Load_Args, client: Arc<Client>, executable: Executable) {
        let description = &executable.0;
        let ours = |device| client.runtime().devices().iter().any(|known| Arc::ptr_eq(known, device));
        let loaded = if description.runtime().devices().iter().all(ours) {
            LoadedExecutable::load(client, description.clone())?
        } else {
            LoadedExecutable::compile(client, description.runtime().program_bytes(), description.options())?
        };
        args.loaded_executable = loaded.give();
        Ok(())
    }
}
