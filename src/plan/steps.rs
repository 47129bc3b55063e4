//! What a plan consists of: steps over slots.
#![forbid(unsafe_code)]

use std::fmt;
use std::sync::Arc;

use smallvec::SmallVec;

use crate::mlx::{self, Array, Arrays, Dtype, Stream};
use crate::program::Location;

/// Index of an array during a run.
pub type Slot = u32;

/// A result's slot, with the dtype and (but in scalar regions) the shape that it has.
pub type Output = (Slot, Dtype, Option<Box<[i32]>>);

/// What runs for one op at every call: operands (then captured values) in, results out. It only builds MLX's graph;
/// blocking kernels (control flow on host values) evaluate through the stream.
///
/// Arrays have the dtype in which MLX stores elements of their type, and exactly the static shapes of the program, except
/// in scalar regions, whose steps take arrays of any one shape.
pub type Kernel = Box<dyn Fn(&[&Array], Stream) -> mlx::Result<Arrays> + Send + Sync>;

/// Which stream a step runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Placement {
    /// The client's device.
    Device,
    /// The host's processor: what the device's backend cannot do, as its capabilities say.
    Cpu,
    /// Each step of the regions where it belongs: control flow, which computes nothing itself.
    Regions,
}

/// Which op a step is, for messages, dumps and profiles.
pub struct Origin {
    /// Op name: `stablehlo.add`.
    pub name: String,
    /// Where it comes from.
    pub location: Location,
}

/// One op.
pub struct Step {
    /// Which one. Profiles keep it when the plan has gone.
    pub origin: Arc<Origin>,
    /// What runs.
    pub kernel: Kernel,
    /// Where.
    pub placement: Placement,
    /// Operands, then captured values.
    pub inputs: SmallVec<[Slot; 4]>,
    /// Results as promised.
    pub outputs: SmallVec<[Output; 2]>,
    /// Slots whose last use this is.
    pub free: Box<[Slot]>,
    /// Plans inside the kernel.
    pub nested: Vec<Arc<Plan>>,
    /// Whether the kernel waits for the device, or takes long for another reason.
    pub blocking: bool,
    /// Whether the results have no memory of their own (most of the time).
    pub is_view: bool,
    /// Why it runs where it does, where that was a question.
    pub note: Option<String>,
}

/// A compiled block.
#[derive(Default)]
pub struct Plan {
    /// Number of slots.
    pub slots: u32,
    /// Arguments' slots.
    pub arguments: Vec<Slot>,
    /// Arrays made at compile time.
    pub constants: Vec<(Slot, Array)>,
    /// Steps in order.
    pub steps: Vec<Step>,
    /// Results' slots.
    pub results: Vec<Slot>,
    /// Why it runs where it does, for dumps.
    pub note: String,
}

impl Plan {
    /// Whether a run may take long, because a step waits for the device.
    pub fn blocks(&self) -> bool {
        self.steps.iter().any(|step| step.blocking || step.nested.iter().any(|plan| plan.blocks()))
    }
}

impl Step {
    /// The error of a step, with the op and its source line.
    pub(super) fn explain(&self, error: &mlx::Error) -> mlx::Error {
        mlx::Error::new(format!("{} at {}: {}", self.origin.name, self.origin.location, error.message))
    }

    /// A kernel that breaks its promise would make a wrong answer look right: refused here, at the cost of a comparison.
    pub(super) fn check(&self, results: &[Array]) -> mlx::Result<()> {
        if results.len() != self.outputs.len() {
            return Err(self.explain(&mlx::Error::new(format!(
                "internal error: {} results instead of {}",
                results.len(),
                self.outputs.len()
            ))));
        }
        for ((_, dtype, shape), result) in self.outputs.iter().zip(results) {
            let wrong_shape = shape.as_ref().is_some_and(|shape| **shape != *result.shape());
            if wrong_shape || result.dtype() != *dtype {
                return Err(self.explain(&mlx::Error::new(format!(
                    "internal error: result {result:?} instead of {dtype:?} {shape:?}"
                ))));
            }
        }
        Ok(())
    }
}

impl Plan {
    fn print(&self, formatter: &mut fmt::Formatter<'_>, indent: usize) -> fmt::Result {
        if !self.note.is_empty() {
            writeln!(formatter, "{:indent$}// {}", "", self.note)?;
        }
        writeln!(formatter, "{:indent$}arguments {:?}", "", self.arguments)?;
        for (slot, array) in &self.constants {
            writeln!(formatter, "{:indent$}{slot} = constant {array:?}", "")?;
        }
        for step in &self.steps {
            let outputs: Vec<Slot> = step.outputs.iter().map(|(slot, _, _)| *slot).collect();
            let place = if step.placement == Placement::Cpu { " on cpu" } else { "" };
            writeln!(
                formatter,
                "{:indent$}{outputs:?} = {}{place} {:?} free {:?} // {}",
                "", step.origin.name, step.inputs, step.free, step.origin.location
            )?;
            if let Some(note) = &step.note {
                writeln!(formatter, "{:indent$}// {note}", "", indent = indent + 4)?;
            }
            for plan in &step.nested {
                plan.print(formatter, indent + 4)?;
            }
        }
        writeln!(formatter, "{:indent$}return {:?}", "", self.results)
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.print(formatter, 0)
    }
}
