//! Functions of the API that are not implemented. Each says so by its name.

use std::ffi::c_void;

use pjrt_sys::PJRT_Error;

use super::error;
use crate::runtime::{Code, Error};

macro_rules! unimplemented_entries {
    ($($function:ident($Args:ty))*) => {$(
        /// Not implemented.
        pub(super) unsafe extern "C" fn $function(_: *mut $Args) -> *mut PJRT_Error {
            let message = concat!(stringify!($function), " is not implemented by jax-mps");
            error::give(Error::new(Code::Unimplemented, message))
        }
    )*};
}

unimplemented_entries! {
    PJRT_Client_DmaMap(c_void)
    PJRT_Client_DmaUnmap(c_void)
    PJRT_Device_PoisonExecution(c_void)
    PJRT_Device_CreateAsyncTrackingEvent(c_void)
    PJRT_AsyncTrackingEvent_Destroy(c_void)
    PJRT_Buffer_DonateWithControlDependency(c_void)
    PJRT_TopologyDescription_MakeCanonicalShapeForMemorySpace(c_void)
}
