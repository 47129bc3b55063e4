//! The plan: a flat list of steps over slots, which `lower` makes of a program and `runtime` runs.
//!
//! A step is a kernel (a closure that makes MLX calls) and the slots that it reads and writes. Runs, an estimate of their
//! memory ([`Footprint`]), who watches them ([`StepObserver`]) and with whom they exchange data ([`HostTransfers`]) are here.
#![forbid(unsafe_code)]

mod footprint;
mod host_transfers;
mod observer;
mod run;
mod steps;

pub use footprint::Footprint;
pub use host_transfers::{HostTransfers, host_transfers, is_stopped, stop_flag, with_host_transfers};
pub use observer::{StepObserver, with_step_observer};
pub use steps::{Kernel, Origin, Output, Placement, Plan, Slot, Step};
