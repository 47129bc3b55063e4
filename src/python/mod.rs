//! The Python module inside the library, behind the functions of `jax_plugins.mps`: `python/jax_plugins/mps/native.py` imports
//! it from the very file that jaxlib has loaded, so that both see the same MLX.
//!
//! Every function lets other threads of Python run: MLX's allocator may wait for the device, and Metal for the disk.
//! There is no `forbid(unsafe_code)` here because pyo3's macros write unsafe code; there is none besides.

mod interrupts;

use pyo3::PyErr;
use pyo3::exceptions::{PyFileExistsError, PyMemoryError, PyNotImplementedError, PyRuntimeError, PyValueError};

use crate::runtime::{Code, Error};

impl From<Error> for PyErr {
    fn from(error: Error) -> Self {
        let message = error.message;
        match error.code {
            Code::InvalidArgument | Code::OutOfRange => PyValueError::new_err(message),
            Code::AlreadyExists => PyFileExistsError::new_err(message),
            Code::ResourceExhausted => PyMemoryError::new_err(message),
            Code::Unimplemented => PyNotImplementedError::new_err(message),
            _ => PyRuntimeError::new_err(message),
        }
    }
}

/// Named for the file that CPython is told to load it from; the rest of the name is the package's.
#[pyo3::pymodule(name = "_native")]
mod native {
    use std::path::PathBuf;

    use pyo3::prelude::*;
    use pyo3::types::PyDict;

    #[pymodule_export]
    use super::interrupts::Interruptible;
    use crate::runtime::controls;
    use crate::runtime::controls::Fact;

    /// From now on signals are looked for while programs run.
    #[pymodule_init]
    fn initialize(_module: &Bound<'_, PyModule>) -> PyResult<()> {
        super::interrupts::enable();
        Ok(())
    }

    /// Versions, the backend, and what MLX says of its device.
    #[pyfunction]
    fn info(py: Python<'_>) -> PyResult<Bound<'_, PyDict>> {
        let (device, mlx) = py.detach(|| controls::device().map(|device| (device, controls::mlx_version())))?;
        let facts = PyDict::new(py);
        for (name, fact) in device.facts {
            match fact {
                Fact::Text(text) => facts.set_item(name, text)?,
                Fact::Number(number) => facts.set_item(name, number)?,
            }
        }
        let info = PyDict::new(py);
        info.set_item("jax-mps", env!("CARGO_PKG_VERSION"))?;
        info.set_item("mlx", mlx)?;
        info.set_item("backend", format!("{:?}", device.backend).to_lowercase())?;
        info.set_item("device", facts)?;
        Ok(info)
    }

    /// Bytes by use.
    #[pyfunction]
    fn memory_info(py: Python<'_>) -> PyResult<Bound<'_, PyDict>> {
        let stats = py.detach(controls::memory)?;
        let info = PyDict::new(py);
        info.set_item("in_use", stats.bytes_in_use)?;
        info.set_item("peak", stats.peak_bytes_in_use)?;
        info.set_item("cached", stats.pool_bytes - stats.bytes_in_use)?;
        info.set_item("limit", stats.bytes_limit)?;
        Ok(info)
    }

    #[pyfunction]
    fn clear_cache(py: Python<'_>) -> PyResult<()> {
        Ok(py.detach(controls::clear_cache)?)
    }

    #[pyfunction]
    fn reset_peak_memory(py: Python<'_>) -> PyResult<()> {
        Ok(py.detach(controls::reset_peak_memory)?)
    }

    #[pyfunction]
    fn set_cache_limit(py: Python<'_>, bytes: usize) -> PyResult<usize> {
        Ok(py.detach(|| controls::set_cache_limit(bytes))?)
    }

    #[pyfunction]
    fn set_memory_limit(py: Python<'_>, bytes: usize) -> PyResult<usize> {
        Ok(py.detach(|| controls::set_memory_limit(bytes))?)
    }

    #[pyfunction]
    fn start_capture(py: Python<'_>, path: PathBuf) -> PyResult<()> {
        Ok(py.detach(|| controls::start_capture(&path))?)
    }

    #[pyfunction]
    fn stop_capture(py: Python<'_>) -> PyResult<()> {
        Ok(py.detach(controls::stop_capture)?)
    }
}
