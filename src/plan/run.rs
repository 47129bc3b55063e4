//! Runs of a plan.
#![forbid(unsafe_code)]

use std::borrow::Cow;
use std::time::Instant;

use smallvec::SmallVec;

use super::observer;
use super::steps::{Placement, Plan};
use crate::mlx::{self, Array, Arrays, DeviceKind, Stream};

/// The arrays of a run, by slot. What the run does not own is not copied: a handle costs an allocation.
type Frame<'a> = Vec<Option<Cow<'a, Array>>>;

impl Plan {
    /// Builds the graph of one call. Nothing is evaluated, except by blocking steps.
    ///
    /// # Errors
    /// What MLX refuses, with the op and its source line.
    pub fn run(&self, arguments: &[&Array], stream: Stream) -> mlx::Result<Arrays> {
        self.run_frame(self.frame(arguments.iter().map(|&argument| Cow::Borrowed(argument)))?, stream)
    }

    /// As [`Self::run`], giving the arguments away: what is not used any more can be reused in place.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub fn run_owned(&self, arguments: Arrays, stream: Stream) -> mlx::Result<Arrays> {
        self.run_frame(self.frame(arguments.into_iter().map(Cow::Owned))?, stream)
    }

    /// The frame at the start of a run.
    fn frame<'a>(&'a self, arguments: impl ExactSizeIterator<Item = Cow<'a, Array>>) -> mlx::Result<Frame<'a>> {
        if arguments.len() != self.arguments.len() {
            return Err(mlx::Error::new(format!("{} arguments for {}", arguments.len(), self.arguments.len())));
        }
        let mut frame: Frame = Vec::new();
        frame.resize_with(self.slots as usize, || None);
        for (&slot, argument) in self.arguments.iter().zip(arguments) {
            frame[slot as usize] = Some(argument);
        }
        for (slot, array) in &self.constants {
            frame[*slot as usize] = Some(Cow::Borrowed(array));
        }
        Ok(frame)
    }

    fn run_frame(&self, mut frame: Frame, device: Stream) -> mlx::Result<Arrays> {
        let cpu = if device.kind() == DeviceKind::Cpu { device } else { Stream::get(DeviceKind::Cpu)? };
        let observer = observer::current();
        for step in &self.steps {
            let began = observer.as_ref().map(|_| Instant::now());
            let stream = match step.placement {
                Placement::Device | Placement::Regions => device,
                Placement::Cpu => cpu,
            };
            let results = {
                let inputs: SmallVec<[&Array; 8]> = step
                    .inputs
                    .iter()
                    .map(|&slot| frame[slot as usize].as_deref().expect("slots are freed after their last use"))
                    .collect();
                let run = |inputs: &[&Array]| (step.kernel)(inputs, stream).map_err(|error| step.explain(&error));
                if step.placement == Placement::Cpu && !device.capabilities().host_visible_memory {
                    let copies = for_the_host(&inputs, device)?;
                    run(&copies.iter().collect::<SmallVec<[&Array; 8]>>())?
                } else {
                    run(&inputs)?
                }
            };
            step.check(&results)?;
            for ((slot, _, _), result) in step.outputs.iter().zip(results) {
                frame[*slot as usize] = Some(Cow::Owned(result));
            }
            for &slot in &step.free {
                frame[slot as usize] = None;
            }
            // Only now: what has no other user any more can be reused in place when the observer evaluates.
            if let (Some(observer), Some(began)) = (&observer, began) {
                let results: SmallVec<[&Array; 2]> =
                    step.outputs.iter().filter_map(|(slot, _, _)| frame[*slot as usize].as_deref()).collect();
                observer.built(step, began, &results, stream).map_err(|error| step.explain(&error))?;
            }
        }
        let mut results = Arrays::with_capacity(self.results.len());
        for (index, slot) in self.results.iter().enumerate() {
            let result = frame[*slot as usize].take().map(Cow::into_owned);
            // One that was taken before is the result of the same slot.
            let again = || self.results[..index].iter().position(|earlier| earlier == slot);
            results.push(result.unwrap_or_else(|| results[again().expect("results are never freed")].clone()));
        }
        Ok(results)
    }
}

/// Copies that a step on the host's processor may read. Of the arrays that it reads MLX's CUDA backend moves those to the
/// host's memory in time that the same evaluation computes, and only those.
fn for_the_host(inputs: &[&Array], device: Stream) -> mlx::Result<SmallVec<[Array; 8]>> {
    inputs
        .iter()
        .map(|&input| {
            let is_there = input.size() == 0 || !device.capabilities().holds(input.dtype());
            if is_there { Ok(input.clone()) } else { mlx::duplicate(input, device) }
        })
        .collect()
}
