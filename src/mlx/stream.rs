//! Devices, streams and evaluation.

use std::borrow::Borrow;
use std::cell::Cell;
use std::ffi::c_int;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use smallvec::SmallVec;

use super::array::{Array, Dtype};
use super::capabilities::{Backend, Capabilities};
use super::device::DeviceKind;
use super::error::{self, Result};
use super::failures::{self, Reach};
use super::launch::Launch;
use super::{exit, main_thread, thread};

/// Whether there is a stream of a GPU, or of one whose part is played, beside that of the host's processor.
static BESIDE_A_GPU: AtomicBool = AtomicBool::new(false);

thread_local! {
    /// Whether this thread's program has steps on the stream of the host's processor, beside a GPU's.
    static HOST_STEPS: Cell<bool> = const { Cell::new(false) };
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
        if self.kind == DeviceKind::Cpu && BESIDE_A_GPU.load(Ordering::Relaxed) {
            HOST_STEPS.set(true);
        }
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
        if kind == DeviceKind::Gpu {
            // The first of all, see `main_thread`.
            Self::cpu()?;
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
        Self::cpu()?;
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
        let stream = stream(raw);
        if stream.kind == DeviceKind::Gpu {
            BESIDE_A_GPU.store(true, Ordering::Relaxed);
        } else if !gpu_spins_for_the_host() {
            main_thread::occupy(stream);
        }
        exit::expect_work_of(stream);
        Ok(*cell.get_or_init(|| stream))
    }

    /// This stream, or the CPU's for arrays that may not appear on it.
    ///
    /// # Errors
    /// When MLX cannot make the CPU's stream.
    pub(crate) fn that_holds(self, dtype: Dtype) -> Result<Stream> {
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

    /// Schedules the evaluation of the arrays and returns at once; the launch tells when they are available.
    ///
    /// # Errors
    /// What MLX finds while scheduling: shapes or dtypes it refuses at evaluation, memory.
    pub fn evaluate_async(self, arrays: &[impl Borrow<Array>]) -> Result<Launch> {
        let host_steps = self.kind == DeviceKind::Cpu || HOST_STEPS.get();
        // Made before the lock is taken, which making it takes too.
        let host = if host_steps { Some(Self::cpu()?) } else { None };
        let awaited = host.filter(|_| gpu_spins_for_the_host());
        let _turn = awaited.map(|_| host_lock());
        let _guard = evaluation_lock();
        self.schedule(arrays, host, awaited)
    }

    /// Evaluates results of a function of the host by themselves and waits, on CUDA: nothing of the GPU's waits for them,
    /// so other threads may evaluate meanwhile. Elsewhere they may wait for whoever uses them.
    pub(super) fn finish_on_host(self, arrays: &[Array]) -> Result<()> {
        if !gpu_spins_for_the_host() {
            return Ok(());
        }
        let _turn = host_lock();
        let launch = {
            let _guard = evaluation_lock();
            self.schedule(arrays, Some(self), None)?
        };
        launch.wait()
    }

    /// Evaluates and waits.
    ///
    /// # Errors
    /// As [`Self::evaluate_async`], and errors of the computation itself.
    pub fn evaluate(self, arrays: &[impl Borrow<Array>]) -> Result<()> {
        self.evaluate_async(arrays)?.wait()
    }

    /// Evaluates and waits, to see whether MLX can: an error is that of the arrays, and concerns nothing else.
    ///
    /// # Errors
    /// As [`Self::evaluate`].
    pub(crate) fn attempt(self, arrays: &[impl Borrow<Array>]) -> Result<()> {
        ATTEMPTS.set(true);
        let launch = self.evaluate_async(arrays);
        ATTEMPTS.set(false);
        launch?.wait()
    }

    /// The caller holds the evaluation lock. `host`: the stream with the program's steps on the host's processor, if there
    /// may be any; `awaited`: the same, where they must be done before the lock is given back.
    fn schedule(self, arrays: &[impl Borrow<Array>], host: Option<Stream>, awaited: Option<Stream>) -> Result<Launch> {
        if thread::is_own() {
            self.become_default();
        }
        let handles: Handles = arrays.iter().map(|array| array.borrow().raw()).collect();
        let (mut number, mut reach) = failures::next_launch();
        let mut outcome = self.evaluate_together(arrays, &handles, awaited);
        if let Err(error) = &outcome
            && error.is_of_an_earlier_launch()
        {
            // What was to be scheduled had nothing to do with it. It was thrown before the first kernel of some step was
            // encoded, and MLX has finished the steps before that.
            failures::record_until(number, &error.message);
            (number, reach) = failures::next_launch();
            outcome = self.evaluate_together(arrays, &handles, awaited);
        } else if let Err(error) = &outcome
            && !ATTEMPTS.get()
            && main_thread::may_throw_errors_of_others(error)
        {
            failures::record_until(number, &error.message);
        }
        // Steps that no result's event tells of.
        let unseen: SmallVec<[mlx_sys::mlx_stream; 2]> = match (self.kind, host) {
            (DeviceKind::Cpu, _) if outcome.is_ok() => SmallVec::new(),
            _ => host.into_iter().chain(self.plays.then_some(self)).map(|stream| stream.raw).collect(),
        };
        if let Err(error) = outcome {
            // What had been scheduled of it may have left errors, which are not the next one's.
            drop(Launch::new(&[], &unseen, number, reach));
            return Err(error);
        }
        Launch::new(&handles, &unseen, number, reach)
    }

    fn evaluate_together(
        self,
        arrays: &[impl Borrow<Array>],
        handles: &[mlx_sys::mlx_array],
        awaited: Option<Stream>,
    ) -> Result<()> {
        let evaluate = |together: &[mlx_sys::mlx_array]| {
            // SAFETY: the handles are valid during the call, and the evaluation lock is held.
            error::check(unsafe { mlx_sys::jax_mps_evaluate(together.as_ptr(), together.len()) })?;
            awaited.map_or(Ok(()), Self::synchronize)
        };
        let is_held = |array: &&Array| self.capabilities.holds(array.dtype());
        if arrays.iter().map(Borrow::borrow).all(|array| is_held(&array)) {
            return evaluate(handles);
        }
        // MLX ties what is evaluated together with a node on the stream of the first, and makes no node on a GPU's
        // stream that has to do with f64.
        let (held, others): (Vec<&Array>, Vec<&Array>) = arrays.iter().map(Borrow::borrow).partition(is_held);
        for together in [others, held].into_iter().filter(|together| !together.is_empty()) {
            evaluate(&together.into_iter().map(Array::raw).collect::<Handles>())?;
        }
        Ok(())
    }

    /// Waits until all that was scheduled on the stream has run.
    pub(super) fn synchronize(self) -> Result<()> {
        // SAFETY: a live stream; the caller holds the evaluation lock.
        error::check(unsafe { mlx_sys::mlx_synchronize(self.raw) })
    }

    /// MLX looks up the calling thread's default stream at every evaluation, and makes one where there is none: on a GPU
    /// with a queue of its own. Threads of ours get this one instead. Threads of the user's keep what they have, since
    /// `mlx.core` beside us would encode into our stream without our lock.
    fn become_default(self) {
        thread_local! {
            static DEFAULT: Cell<bool> = const { Cell::new(false) };
        }
        if !DEFAULT.replace(true) {
            // SAFETY: sets a thread-local (index, device) pair.
            unsafe { mlx_sys::mlx_set_default_stream(self.raw) };
        }
    }
}

thread_local! {
    /// Whether this thread evaluates to see whether MLX can.
    static ATTEMPTS: Cell<bool> = const { Cell::new(false) };
}

/// Runs a program whose launches [reach](Reach) back as far as that.
pub fn run_program<R>(reach: Reach, program: impl FnOnce() -> R) -> R {
    struct Restore(bool);
    impl Drop for Restore {
        fn drop(&mut self) {
            HOST_STEPS.set(self.0 || HOST_STEPS.get());
        }
    }
    // What an enclosing program has built it may evaluate later.
    let _restore = Restore(HOST_STEPS.replace(false));
    failures::reaching_back(reach, program)
}

/// Whether a GPU that is to read what the host's processor has not finished would wait in a kernel that spins: MLX's CUDA
/// backend, 0.32.4. The host's signal is a kernel too, and neither can it be launched while another thread frees memory
/// of the device, nor does that end before all kernels have: the three wait for each other. MLX itself frees such memory
/// with each event of the host's stream, in `async_eval` even. So nothing of the host's may be unfinished when the next
/// evaluation begins.
fn gpu_spins_for_the_host() -> bool {
    static SPINS: OnceLock<bool> = OnceLock::new();
    *SPINS.get_or_init(|| Backend::of_gpu() == Backend::Cuda && DeviceKind::Gpu.is_available())
}

/// Serialises evaluation (not graph construction, and not waiting). One lock for the process: graphs of different
/// streams share arrays whose status evaluation writes.
pub(crate) fn evaluation_lock() -> MutexGuard<'static, ()> {
    static LOCK: Mutex<()> = Mutex::new(());
    LOCK.lock().unwrap_or_else(PoisonError::into_inner)
}

/// On CUDA, for those who wait for the host's processor: held before the evaluation lock, by one that waits outside of that
/// as well, so that no other waits inside.
fn host_lock() -> MutexGuard<'static, ()> {
    static LOCK: Mutex<()> = Mutex::new(());
    LOCK.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Waits for what has been scheduled on the stream of the host's processor so far, without the evaluation lock.
pub(super) fn wait_for_host() -> Result<()> {
    let stream = Stream::cpu()?;
    let launch = {
        let _guard = evaluation_lock();
        let (number, reach) = failures::next_launch();
        Launch::new(&[], &[stream.raw], number, reach)?
    };
    // Failures are not ours.
    let _ = launch.wait();
    Ok(())
}

type Handles = SmallVec<[mlx_sys::mlx_array; 8]>;
