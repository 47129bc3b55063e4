//! Somebody who watches the steps of runs: a profile.
#![forbid(unsafe_code)]

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Instant;

use super::steps::Step;
use crate::mlx::{self, Array, Stream};

/// Watches the steps of the runs of one thread, those of regions among them.
pub trait StepObserver {
    /// A step has been added to the graph since `began`, on that stream. `results` are those of its results that are used
    /// later on; whether and when they are evaluated is the observer's choice.
    ///
    /// # Errors
    /// Those of an evaluation. They fail the run.
    fn built(&self, step: &Step, began: Instant, results: &[&Array], stream: Stream) -> mlx::Result<()>;
}

thread_local! {
    static CURRENT: RefCell<Option<Rc<dyn StepObserver>>> = const { RefCell::new(None) };
}

/// Runs `body`; the plans that it runs on this thread are watched by the observer, and by no other.
pub fn with_step_observer<R>(observer: Option<Rc<dyn StepObserver>>, body: impl FnOnce() -> R) -> R {
    struct Restore(Option<Rc<dyn StepObserver>>);
    impl Drop for Restore {
        fn drop(&mut self) {
            CURRENT.set(self.0.take());
        }
    }
    let _restore = Restore(CURRENT.replace(observer));
    body()
}

pub(super) fn current() -> Option<Rc<dyn StepObserver>> {
    CURRENT.with_borrow(Clone::clone)
}
