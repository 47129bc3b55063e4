//! The protobuf messages that cross the C API, generated from `proto/` by
//! prost: [`CompileOptionsProto`], [`DeviceAssignmentProto`], [`OpSharding`]
//! and their parts, all directly in this module; and those of profiles in
//! [`profile`].
#![forbid(unsafe_code)]

include!(concat!(env!("OUT_DIR"), "/xla.rs"));

/// What a profile consists of: [`XSpace`](profile::XSpace) and its parts.
pub mod profile {
    include!(concat!(env!("OUT_DIR"), "/tensorflow.profiler.rs"));
}
