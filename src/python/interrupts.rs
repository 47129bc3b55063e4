//! Signals while the plugin keeps the main thread from running Python, and exceptions that end a callback but are none of its
//! failures: both are raised when the call of the program returns.

use std::cell::RefCell;

use pending_exception::{raise_soon, with_lock};
use pyo3::exceptions::PyException;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};

use crate::runtime::interpreter;
use crate::runtime::interrupts::{Host, install};

thread_local! {
    /// The exception that is to be raised.
    static KEPT: RefCell<Option<PyErr>> = const { RefCell::new(None) };
}

/// Makes the runtime look for signals.
pub(super) fn enable() {
    install(Host { interrupted, raise, is_daemon });
}

fn interrupted() -> bool {
    let found = with_lock(|py| py.check_signals());
    let Some(Err(error)) = found else { return false };
    KEPT.set(Some(error));
    true
}

fn raise() -> bool {
    let Some(error) = KEPT.take() else { return false };
    let raised = with_lock(|py| raise_soon(py, error));
    matches!(raised, Some(Ok(())))
}

fn is_daemon() -> bool {
    let asked = with_lock(|py| -> PyResult<bool> {
        py.import("threading")?.call_method0("current_thread")?.getattr("daemon")?.extract()
    });
    matches!(asked, Some(Ok(true)))
}

/// A callback that keeps what is no `Exception` (`KeyboardInterrupt`, `SystemExit`) for the caller of the program.
#[pyclass(frozen, module = "jax_plugins.mps")]
pub(super) struct Interruptible {
    function: Py<PyAny>,
}

#[pymethods]
impl Interruptible {
    #[new]
    fn new(function: Py<PyAny>) -> Self {
        Self { function }
    }

    #[pyo3(signature = (*args, **kwargs))]
    fn __call__(
        &self,
        py: Python<'_>,
        args: &Bound<'_, PyTuple>,
        kwargs: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<Py<PyAny>> {
        self.function.call(py, args, kwargs).inspect_err(|error| {
            if !error.is_instance_of::<PyException>(py) && interpreter::on_main_thread() {
                KEPT.set(Some(error.clone_ref(py)));
            }
        })
    }
}
