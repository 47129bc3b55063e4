//! Devices, streams and evaluation.

use std::borrow::Borrow;
use std::cell::Cell;
use std::ffi::c_int;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use super::array::{Array, Dtype};
use super::capabilities::{Backend, Capabilities};
use super::error::{self, Result};
use super::failures::{self, LaunchNumber};

/// Where a stream runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DeviceKind {
    /// The host's processor.
    Cpu,
    /// Metal or CUDA.
    Gpu,
}

/// A queue of work on a device.
///
/// The underlying MLX stream is of the "thread unsafe" kind: any thread may build graphs on it, and may evaluate them
/// while it holds [`evaluation_lock`]. MLX's ordinary streams belong to the thread that made them, and cost one OS thread
/// per thread that evaluates (mlx issues 3727, 4506).
#[derive(Clone, Copy)]
pub struct Stream {
    raw: mlx_sys::mlx_stream,
    kind: DeviceKind,
    /// The host's processor plays the part of a GPU (see [`Stream::playing`]).
    plays: bool,
    capabilities: &'static Capabilities,
}

// SAFETY: the handle points to an immutable (index, device) pair that is never freed.
unsafe impl Send for Stream {}
// SAFETY: as above.
unsafe impl Sync for Stream {}

impl std::fmt::Debug for Stream {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Stream({:?})", self.capabilities.backend)
    }
}

impl Stream {
    pub(super) fn raw(self) -> mlx_sys::mlx_stream {
        self.raw
    }

    /// The device it runs on, or whose part it plays.
    pub fn kind(self) -> DeviceKind {
        self.kind
    }

    /// What may be asked of it.
    pub fn capabilities(self) -> &'static Capabilities {
        self.capabilities
    }

    /// The process's CPU stream.
    ///
    /// # Errors
    /// When MLX cannot make it.
    pub fn cpu() -> Result<Stream> {
        Self::get(DeviceKind::Cpu)
    }

    /// The process's stream on that device, made at the first call.
    ///
    /// # Errors
    /// When MLX has no such device.
    pub fn get(kind: DeviceKind) -> Result<Stream> {
        static CPU: OnceLock<Stream> = OnceLock::new();
        static GPU: OnceLock<Stream> = OnceLock::new();
        let cell = match kind {
            DeviceKind::Cpu => &CPU,
            DeviceKind::Gpu => &GPU,
        };
        if let Some(stream) = cell.get() {
            return Ok(*stream);
        }
        let backend = if kind == DeviceKind::Cpu { Backend::Cpu } else { Backend::of_gpu() };
        Self::make(cell, kind, |raw| Stream { raw, kind, plays: false, capabilities: backend.capabilities(false) })
    }

    /// A stream of the host's processor that plays the part of a GPU, for tests on machines that have none: it answers for
    /// the GPU's capabilities, and refuses what the GPU would.
    ///
    /// # Errors
    /// When MLX cannot make it.
    pub fn playing(backend: Backend) -> Result<Stream> {
        static METAL: OnceLock<Stream> = OnceLock::new();
        static CUDA: OnceLock<Stream> = OnceLock::new();
        let cell = match backend {
            Backend::Cpu => return Self::cpu(),
            Backend::Metal => &METAL,
            Backend::Cuda => &CUDA,
        };
        Self::make(cell, DeviceKind::Cpu, |raw| Stream {
            raw,
            kind: DeviceKind::Gpu,
            plays: true,
            capabilities: backend.capabilities(true),
        })
    }

    fn make(
        cell: &OnceLock<Stream>,
        kind: DeviceKind,
        stream: impl FnOnce(mlx_sys::mlx_stream) -> Stream,
    ) -> Result<Stream> {
        if let Some(stream) = cell.get() {
            return Ok(*stream);
        }
        error::install_handler();
        let _guard = evaluation_lock();
        if let Some(stream) = cell.get() {
            return Ok(*stream);
        }
        let raw_kind = match kind {
            DeviceKind::Cpu => mlx_sys::mlx_device_type__MLX_CPU,
            DeviceKind::Gpu => mlx_sys::mlx_device_type__MLX_GPU,
        };
        // SAFETY: plain constructor calls; the device handle is freed after its one use.
        let raw = unsafe {
            let device = mlx_sys::mlx_device_new_type(raw_kind, 0);
            let raw = mlx_sys::mlx_stream_new_thread_unsafe(device);
            mlx_sys::mlx_device_free(device);
            raw
        };
        if raw.ctx.is_null() {
            return Err(error::last());
        }
        Ok(*cell.get_or_init(|| stream(raw)))
    }

    /// This stream, or the CPU's for arrays that may not appear on it.
    ///
    /// # Errors
    /// When MLX cannot make the CPU's stream.
    pub fn that_holds(self, dtype: Dtype) -> Result<Stream> {
        if self.capabilities.holds(dtype) { Ok(self) } else { Self::cpu() }
    }

    /// Runs an mlx-c function that writes one array on this stream.
    pub(super) fn build(self, call: impl FnOnce(*mut mlx_sys::mlx_array) -> c_int) -> Result<Array> {
        let array = Array::build(call)?;
        self.require(|capabilities| capabilities.holds(array.dtype()), || format!("{:?}", array.dtype()))?;
        Ok(array)
    }

    /// Refuses for the GPU whose part is played here; a GPU does so itself.
    pub(super) fn require(
        self,
        holds: impl FnOnce(&Capabilities) -> bool,
        what: impl FnOnce() -> String,
    ) -> Result<()> {
        if !self.plays || holds(self.capabilities) {
            return Ok(());
        }
        Err(error::Error::new(format!("{} is not supported on {:?}", what(), self.capabilities.backend)))
    }

    /// Whether MLX has a device of that kind.
    pub fn is_available(kind: DeviceKind) -> bool {
        error::install_handler();
        let raw_kind = match kind {
            DeviceKind::Cpu => return true,
            DeviceKind::Gpu => mlx_sys::mlx_device_type__MLX_GPU,
        };
        let mut count = 0;
        // SAFETY: writes one integer.
        let status = unsafe { mlx_sys::mlx_device_count(&mut count, raw_kind) };
        status == 0 && count > 0
    }

    /// Schedules the evaluation of the arrays and returns at once; the launch tells when they are available.
    ///
    /// # Errors
    /// What MLX finds while scheduling: shapes or dtypes it refuses at evaluation, memory.
    pub fn evaluate_async(self, arrays: &[impl Borrow<Array>]) -> Result<Launch> {
        let handles: Handles = arrays.iter().map(|array| array.borrow().raw()).collect();
        // Made before the lock is taken, which making it takes too.
        let awaited = if gpu_spins_for_the_host() { Some(Self::cpu()?) } else { None };
        let _guard = evaluation_lock();
        self.adopt_thread();
        let number = failures::next_launch();
        let schedule = |together: &[mlx_sys::mlx_array]| {
            // SAFETY: the handles are valid during the calls; the vector copies and frees its own.
            error::check(unsafe {
                let vector = mlx_sys::mlx_vector_array_new_data(together.as_ptr(), together.len());
                let status = mlx_sys::mlx_async_eval(vector);
                mlx_sys::mlx_vector_array_free(vector);
                status
            })?;
            awaited.map_or(Ok(()), Self::synchronize)
        };
        let is_held = |array: &&Array| self.capabilities.holds(array.dtype());
        if arrays.iter().map(Borrow::borrow).all(|array| is_held(&array)) {
            schedule(&handles)?;
        } else {
            // MLX ties what is evaluated together with a node on the stream of the first, and makes no node on a GPU's
            // stream that has to do with f64.
            let (held, others): (Vec<&Array>, Vec<&Array>) = arrays.iter().map(Borrow::borrow).partition(is_held);
            for together in [others, held].into_iter().filter(|together| !together.is_empty()) {
                schedule(&together.into_iter().map(Array::raw).collect::<Handles>())?;
            }
        }
        // SAFETY: the handles are valid during the call.
        let launch = unsafe { mlx_sys::jax_mps_launch_new(handles.as_ptr(), handles.len()) };
        if launch.is_null() {
            return Err(error::last());
        }
        Ok(Launch { raw: Arc::new(Mutex::new(Raw(launch))), number })
    }

    /// Evaluates and waits.
    ///
    /// # Errors
    /// As [`Self::evaluate_async`], and errors of the computation itself.
    pub fn evaluate(self, arrays: &[impl Borrow<Array>]) -> Result<()> {
        self.evaluate_async(arrays)?.wait()
    }

    /// Waits until all that was scheduled on the stream has run.
    fn synchronize(self) -> Result<()> {
        // SAFETY: a live stream; the caller holds the evaluation lock.
        error::check(unsafe { mlx_sys::mlx_synchronize(self.raw) })
    }

    /// MLX looks up the calling thread's default stream at every evaluation, and makes one, with an OS thread that is
    /// never freed, where there is none. Ours is given to each thread that evaluates instead.
    fn adopt_thread(self) {
        thread_local! {
            static ADOPTED: Cell<bool> = const { Cell::new(false) };
        }
        ADOPTED.with(|adopted| {
            if !adopted.replace(true) {
                // SAFETY: sets a thread-local (index, device) pair.
                unsafe { mlx_sys::mlx_set_default_stream(self.raw) };
            }
        });
    }
}

/// Whether a GPU that is to read what the host's processor has not finished would wait in a kernel that spins: MLX's CUDA
/// backend, 0.32.4. The host's signal is a kernel too, and neither can it be launched while another thread frees memory
/// of the device, nor does that end before all kernels have: the three wait for each other. MLX itself frees such memory
/// with each event of the host's stream, in `async_eval` even. So nothing of the host's may be unfinished when the next
/// evaluation begins.
fn gpu_spins_for_the_host() -> bool {
    static SPINS: OnceLock<bool> = OnceLock::new();
    *SPINS.get_or_init(|| Backend::of_gpu() == Backend::Cuda && Stream::is_available(DeviceKind::Gpu))
}

/// Serialises evaluation (not graph construction, and not waiting). One lock for the process: graphs of different
/// streams share arrays whose status evaluation writes.
pub fn evaluation_lock() -> MutexGuard<'static, ()> {
    static LOCK: Mutex<()> = Mutex::new(());
    LOCK.lock().unwrap_or_else(PoisonError::into_inner)
}

type Handles = smallvec::SmallVec<[mlx_sys::mlx_array; 8]>;

struct Raw(*mut mlx_sys::jax_mps_launch);

// SAFETY: a launch owns its arrays alone and may be used by any one thread at a time; the mutex around it sees to that.
unsafe impl Send for Raw {}

impl Drop for Raw {
    fn drop(&mut self) {
        // SAFETY: made by jax_mps_launch_new, freed once.
        unsafe { mlx_sys::jax_mps_launch_free(self.0) };
    }
}

/// Scheduled work: tells when it is done. Any thread may ask.
#[derive(Clone)]
pub struct Launch {
    raw: Arc<Mutex<Raw>>,
    number: LaunchNumber,
}

impl Launch {
    /// Whether everything is available.
    ///
    /// # Errors
    /// An error of the computation.
    pub fn is_ready(&self) -> Result<bool> {
        // A thread that waits holds the lock: then it is not ready.
        let Ok(raw) = self.raw.try_lock() else { return Ok(false) };
        let mut ready = false;
        // SAFETY: a live launch, used by this thread alone under the mutex.
        error::check(unsafe { mlx_sys::jax_mps_launch_is_ready(raw.0, &mut ready) })?;
        if ready {
            failures::check(self.number)?;
        }
        Ok(ready)
    }

    /// Blocks until everything is available.
    ///
    /// # Errors
    /// An error of the computation.
    pub fn wait(&self) -> Result<()> {
        let raw = self.raw.lock().unwrap_or_else(PoisonError::into_inner);
        // SAFETY: a live launch, used by this thread alone under the mutex.
        error::check(unsafe { mlx_sys::jax_mps_launch_wait(raw.0) })?;
        failures::check(self.number)
    }
}
