//! The protobuf messages that cross the C API, generated from `proto/` by
//! prost: [`CompileOptionsProto`], [`DeviceAssignmentProto`], [`OpSharding`]
//! and their parts, all directly in this module.
#![forbid(unsafe_code)]

include!(concat!(env!("OUT_DIR"), "/xla.rs"));
