//! Where a program runs: the one place that weighs native code against the library.
//!
//! Constants are rough nanoseconds of a 2-core x86-64 machine with MLX 0.32.4; what they decide is measured by
//! benches/run.py.
#![forbid(unsafe_code)]

/// One scalar operation of native code.
const NATIVE_STEP: f64 = 0.8;
/// A node of MLX's graph on the host: to build, to hand over, to run.
const LIBRARY_NODE: f64 = 4_000.0;
/// An element of such a node on the host's processor.
const LIBRARY_ELEMENT: f64 = 0.4;
/// An element of such a node on a GPU.
const GPU_ELEMENT: f64 = 0.01;

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

/// What a part of a program costs; loops of unknown length count as one turn.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Cost {
    /// Scalar operations of native code.
    pub steps: f64,
    /// Nodes of MLX's graph.
    pub nodes: f64,
    /// Elements that these make.
    pub elements: f64,
}

impl Cost {
    /// Nanoseconds of native code.
    pub fn native(&self) -> f64 {
        self.steps * NATIVE_STEP
    }

    /// Nanoseconds through MLX.
    pub fn library(&self, gpu: bool) -> f64 {
        self.nodes * LIBRARY_NODE + self.elements * if gpu { GPU_ELEMENT } else { LIBRARY_ELEMENT }
    }
}

impl Place {
    /// Whether native code is the choice.
    pub fn is_native(self, cost: &Cost, gpu: bool) -> bool {
        match self {
            Self::Auto => cost.native() <= cost.library(gpu),
            Self::Device => false,
            Self::Host => true,
        }
    }
}
