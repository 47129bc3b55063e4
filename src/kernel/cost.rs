//! Where a program runs: the one place that weighs native code against MLX.
//!
//! Constants are nanoseconds of a 2-core x86-64 machine with MLX 0.32.4; benches/placement.py measures them again, and prints
//! them beside these.
#![forbid(unsafe_code)]

use std::fmt;

/// A call of native code: to find the arguments, to make the results.
pub const NATIVE_CALL: f64 = 1_000.0;
/// One scalar operation of native code.
pub const NATIVE_STEP: f64 = 0.2;
/// A byte of arguments and results.
pub const NATIVE_BYTE: f64 = 0.08;
/// Native code in another thread: to hand it over, and to hear that it is done.
pub const NATIVE_HAND_OVER: f64 = 30_000.0;
/// A call through MLX, whatever it computes: to hand a graph over, and to hear that it is done.
pub const LIBRARY_CALL: f64 = 30_000.0;
/// A node of MLX's graph on the host: to build, to schedule, to run.
pub const LIBRARY_NODE: f64 = 3_000.0;
/// The same of a GPU.
pub const GPU_NODE: f64 = 7_000.0;
/// An element of such a node on the host's processor.
pub const LIBRARY_ELEMENT: f64 = 0.15;
/// The same of an exponential, a root and the like, more.
pub const LIBRARY_FUNCTION: f64 = 9.0;
/// A floating point operation of a product of matrices.
pub const LIBRARY_FLOP: f64 = 0.02;
/// An element of such a node on a GPU.
pub const GPU_ELEMENT: f64 = 0.01;
/// An argument or result that goes between the host's memory and a GPU's own.
pub const TRANSFER: f64 = 15_000.0;
/// A byte of such.
pub const TRANSFER_BYTE: f64 = 0.1;
/// What native code may take on the thread that calls a program: what it would take to hand it over.
pub const INLINE: f64 = 50_000.0;
/// The scalar operations of so long.
pub const INLINE_STEPS: u64 = (INLINE / NATIVE_STEP) as u64;
/// What a function of the host may take among MLX's own work, which waits for it meanwhile.
pub const AMONG_OTHERS: f64 = 20_000_000.0;

/// Who says where programs run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Place {
    /// The cost.
    #[default]
    Auto,
    /// The device, always.
    Device,
    /// The host, whenever it can.
    Host,
}

/// What the program would run on instead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Device {
    /// The host's own processor, through MLX.
    Cpu,
    /// A GPU that shares the host's memory.
    UnifiedGpu,
    /// A GPU with memory of its own.
    DiscreteGpu,
}

/// What a program, or a part of one, costs.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Cost {
    /// Scalar operations of native code.
    pub steps: f64,
    /// Nodes of MLX's graph.
    pub nodes: f64,
    /// Elements that these make, or reduce.
    pub elements: f64,
    /// Exponentials, roots and the like among them.
    pub functions: f64,
    /// Floating point operations of products of matrices.
    pub flops: f64,
    /// Arguments and results.
    pub transfers: f64,
    /// Their bytes.
    pub bytes: f64,
    /// Whether there are loops of unknown length, which count as one turn.
    pub open_ended: bool,
    /// Whether native code waits for other threads: for calls of MLX.
    pub waits: bool,
}

impl Cost {
    /// This, and then so many turns of a loop.
    pub fn and_turns(mut self, turn: Cost, trips: Option<u64>) -> Self {
        let turns = trips.unwrap_or(1) as f64;
        self.steps += turns * turn.steps;
        self.nodes += turns * turn.nodes;
        self.elements += turns * turn.elements;
        self.functions += turns * turn.functions;
        self.flops += turns * turn.flops;
        self
    }

    /// Nanoseconds of native code.
    pub fn native(&self, device: Device) -> f64 {
        let transfers = match device {
            Device::Cpu | Device::UnifiedGpu => 0.0,
            Device::DiscreteGpu => self.transfers * TRANSFER + self.bytes * TRANSFER_BYTE,
        };
        let hand_over = if self.is_short() { 0.0 } else { NATIVE_HAND_OVER };
        // Memory of large results is cleared first.
        NATIVE_CALL + hand_over + self.computation() + transfers + self.bytes * NATIVE_BYTE
    }

    /// Nanoseconds of the computation alone.
    pub fn computation(&self) -> f64 {
        self.steps * NATIVE_STEP
    }

    /// Nanoseconds through MLX.
    pub fn library(&self, device: Device) -> f64 {
        match device {
            Device::Cpu => {
                let elements = self.elements * LIBRARY_ELEMENT + self.functions * LIBRARY_FUNCTION;
                LIBRARY_CALL + self.nodes * LIBRARY_NODE + elements + self.flops * LIBRARY_FLOP
            }
            Device::UnifiedGpu => LIBRARY_CALL + self.nodes * GPU_NODE + self.elements * GPU_ELEMENT,
            // Nobody waits for what stays there.
            Device::DiscreteGpu => self.nodes * GPU_NODE + self.elements * GPU_ELEMENT,
        }
    }

    /// Whether native code may run on the thread that calls the program, which it keeps for that long. What has loops of
    /// unknown length is given [`INLINE_STEPS`] there.
    pub fn is_short(&self) -> bool {
        !self.waits && self.computation() <= INLINE
    }

    /// Whether it may run among MLX's own work.
    pub fn is_bounded(&self) -> bool {
        !self.open_ended && !self.waits && self.computation() <= AMONG_OTHERS
    }
}

/// A choice, with its reason.
#[derive(Clone, Debug, PartialEq)]
pub struct Choice {
    /// Whether native code of the host runs.
    pub is_native: bool,
    /// Why.
    pub reason: String,
}

impl Choice {
    /// MLX runs it.
    pub fn library(reason: impl fmt::Display) -> Self {
        Self { is_native: false, reason: format!("mlx: {reason}") }
    }
}

impl Place {
    /// Where something of that cost runs.
    pub fn choose(self, cost: &Cost, device: Device) -> Choice {
        let (native, library) = (cost.native(device), cost.library(device));
        let is_native = match self {
            Self::Auto => native <= library,
            Self::Device => false,
            Self::Host => true,
        };
        let forced = match self {
            Self::Auto => "",
            Self::Device => ", the device is forced",
            Self::Host => ", the host is forced",
        };
        let turns = if cost.open_ended { " a turn" } else { "" };
        let reason = format!(
            "{}: {:.1} us{turns} native ({:.0} steps), {:.1} us through mlx ({:.0} nodes, {:.0} elements){forced}",
            if is_native { "native" } else { "mlx" },
            native / 1e3,
            cost.steps,
            library / 1e3,
            cost.nodes,
            cost.elements
        );
        Choice { is_native, reason }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A chain of elementwise ops.
    fn chain(elements: f64, ops: f64) -> Cost {
        Cost { steps: elements * (ops + 2.0), nodes: ops, elements: elements * ops, transfers: 2.0, ..Cost::default() }
    }

    #[test]
    fn small_programs_are_native_and_large_ones_are_not() {
        for device in [Device::Cpu, Device::UnifiedGpu] {
            assert!(Place::Auto.choose(&chain(1e3, 2.0), device).is_native);
            assert!(!Place::Auto.choose(&chain(1e6, 2.0), device).is_native);
        }
        // The copies cost more than a launch.
        assert!(!Place::Auto.choose(&chain(1e3, 1.0), Device::DiscreteGpu).is_native);
        assert!(Place::Auto.choose(&chain(1e3, 20.0), Device::DiscreteGpu).is_native);
    }

    #[test]
    fn who_is_forced_is_said() {
        let cost = chain(1e6, 2.0);
        let choice = Place::Host.choose(&cost, Device::Cpu);
        assert!(choice.is_native && choice.reason.contains("the host is forced"), "{}", choice.reason);
        let choice = Place::Device.choose(&chain(1.0, 1.0), Device::Cpu);
        assert!(!choice.is_native && choice.reason.contains("the device is forced"), "{}", choice.reason);
    }

    #[test]
    fn loops_of_unknown_length_keep_nobody_waiting() {
        let cost = Cost { open_ended: true, ..chain(1.0, 1.0) };
        assert!(cost.is_short() && !cost.is_bounded());
        assert!(chain(1e3, 2.0).is_short() && !chain(1e6, 2.0).is_short() && chain(1e6, 2.0).is_bounded());
    }
}
