//! How much memory a plan takes between its arguments and its results.
#![forbid(unsafe_code)]

use std::sync::Arc;

use super::steps::{Origin, Output, Plan, Slot};

/// What a plan takes.
#[derive(Clone, Default)]
pub struct Footprint {
    /// The most bytes that intermediate results take at any time if each dies after its last use, as MLX's do.
    pub temporary_bytes: usize,
    /// The largest array that a step makes, results included.
    pub largest: Option<(usize, Arc<Origin>)>,
}

impl Plan {
    /// An estimate: what kernels take inside counts as nothing, what is donated to them as if it were not.
    pub fn footprint(&self) -> Footprint {
        let mut footprint = Footprint::default();
        let mut alive: Vec<usize> = vec![0; self.slots as usize];
        let (mut now, mut peak) = (0_usize, 0_usize);
        for step in &self.steps {
            let mut inside = 0;
            for plan in &step.nested {
                let nested = plan.footprint();
                inside = inside.max(nested.temporary_bytes);
                footprint.consider(nested.largest);
            }
            if !step.is_view {
                for output in &step.outputs {
                    let bytes = bytes(output);
                    footprint.consider(Some((bytes, step.origin.clone())));
                    if !self.results.contains(&output.0) {
                        alive[slot(output.0)] = bytes;
                        now = now.saturating_add(bytes);
                    }
                }
            }
            peak = peak.max(now.saturating_add(inside));
            for &dead in &step.free {
                now -= std::mem::take(&mut alive[slot(dead)]);
            }
        }
        footprint.temporary_bytes = peak;
        footprint
    }
}

impl Footprint {
    fn consider(&mut self, array: Option<(usize, Arc<Origin>)>) {
        let known = self.largest.as_ref().map_or(0, |(bytes, _)| *bytes);
        if let Some((bytes, origin)) = array
            && bytes > known
        {
            self.largest = Some((bytes, origin));
        }
    }
}

fn slot(slot: Slot) -> usize {
    slot as usize
}

/// Scalar regions have no shapes: they are computed with those of their op.
fn bytes((_, dtype, shape): &Output) -> usize {
    let elements = shape.iter().flatten().map(|&size| usize::try_from(size).unwrap_or(0));
    elements.fold(dtype.size(), usize::saturating_mul)
}

#[cfg(test)]
mod tests {
    use super::super::{Placement, Step};
    use super::*;
    use crate::mlx::Dtype;

    fn step(name: &str, input: Slot, shape: &[i32]) -> Step {
        Step {
            origin: Arc::new(Origin { name: name.to_owned(), location: Default::default() }),
            kernel: Box::new(|_, _| unreachable!("the plan is not run")),
            placement: Placement::Device,
            inputs: smallvec::smallvec![input, input],
            outputs: smallvec::smallvec![(input + 1, Dtype::Float32, Some(shape.into()))],
            free: Box::new([input]),
            nested: vec![],
            blocking: false,
            is_view: name == "stablehlo.broadcast_in_dim",
            note: None,
        }
    }

    #[test]
    fn what_is_dead_gives_its_memory_back() {
        let mut steps: Vec<Step> = (0..5).map(|slot| step("stablehlo.add", slot, &[100])).collect();
        steps.push(step("stablehlo.broadcast_in_dim", 5, &[1000, 100]));
        let plan = Plan { slots: 7, arguments: vec![0], steps, results: vec![6], ..Plan::default() };
        let footprint = plan.footprint();
        // The operand and the result of an addition.
        assert_eq!(footprint.temporary_bytes, 800);
        let (bytes, origin) = footprint.largest.unwrap();
        assert_eq!((bytes, origin.name.as_str()), (400, "stablehlo.add"));
    }
}
