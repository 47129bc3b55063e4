//! A device: its stream, and what MLX says of it.
#![forbid(unsafe_code)]

use super::error::{Code, Error};
use super::memory_limit::Bounds;
use super::settings::{unexpected, variable};
use crate::mlx::{self, Backend, DeviceKind, Stream};

/// A device.
#[derive(Debug)]
pub struct Device {
    id: i32,
    kind: String,
    stream: Stream,
    /// Bytes of the longest buffer.
    longest_buffer: usize,
    /// Whether it reads memory of the host in place.
    borrows: bool,
}

/// Bytes, as PJRT reports them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MemoryStats {
    /// Of live arrays.
    pub bytes_in_use: usize,
    /// Greatest so far.
    pub peak_bytes_in_use: usize,
    /// Beyond which MLX waits for memory.
    pub bytes_limit: usize,
    /// Kept by the allocator, in use or not.
    pub pool_bytes: usize,
}

impl MemoryStats {
    pub(super) fn now() -> Result<Self, Error> {
        let bytes_in_use = mlx::memory::active()?;
        Ok(Self {
            bytes_in_use,
            peak_bytes_in_use: mlx::memory::peak()?,
            bytes_limit: mlx::memory::limit()?,
            pool_bytes: bytes_in_use + mlx::memory::cached()?,
        })
    }
}

impl Device {
    /// Global id.
    pub fn id(&self) -> i32 {
        self.id
    }

    /// What it is: `Apple M4`, `NVIDIA H100 (MLX CUDA)`, `MLX CPU`.
    pub fn kind(&self) -> &str {
        &self.kind
    }

    /// Opens the device of a kind, or has the host's processor play the part that the environment asks for.
    ///
    /// # Errors
    /// INVALID_ARGUMENT for bad values of environment variables; what MLX refuses.
    pub(super) fn open(kind: DeviceKind, longest_buffer: usize) -> Result<Self, Error> {
        let (stream, name) = match (played()?, kind) {
            (Some(Backend::Cpu), _) | (None, DeviceKind::Cpu) => (Stream::cpu()?, "MLX CPU".to_owned()),
            (Some(backend), _) => (Stream::playing(backend)?, format!("MLX CPU (in place of {backend:?})")),
            (None, DeviceKind::Gpu) => (Stream::get(kind)?, mlx::gpu_name()?),
        };
        let borrows = stream.capabilities().borrows_host_memory && zero_copy(variable(ZERO_COPY).as_deref())?;
        Ok(Self { id: 0, kind: name, stream, longest_buffer, borrows })
    }

    pub(super) fn stream(&self) -> Stream {
        self.stream
    }

    /// Whether the host can read the device's memory in place.
    pub(super) fn shares_memory(&self) -> bool {
        self.stream.capabilities().host_visible_memory
    }

    /// Whether it reads memory of the host in place, and the user allows that.
    pub(super) fn borrows(&self) -> bool {
        self.borrows
    }

    /// What one array may take.
    pub(super) fn memory_bounds(&self) -> Result<Bounds, Error> {
        Ok(Bounds { memory: mlx::memory::limit()?, buffer: self.longest_buffer })
    }

    /// Counters of MLX's allocator.
    ///
    /// # Errors
    /// Never in practice.
    pub fn memory_stats(&self) -> Result<MemoryStats, Error> {
        MemoryStats::now()
    }
}

/// The backend whose part the host's processor is to play: `JAX_MPS_CAPABILITIES`, for tests of what a GPU would be
/// given on machines that have none.
fn played() -> Result<Option<Backend>, Error> {
    const VARIABLE: &str = "JAX_MPS_CAPABILITIES";
    let Some(name) = variable(VARIABLE) else { return Ok(None) };
    match Backend::named(&name) {
        Some(backend) => Ok(Some(backend)),
        None => Err(unexpected(VARIABLE, "cpu, metal or cuda", &name)),
    }
}

/// The device that is asked for, here or by `JAX_MPS_DEVICE`; else the GPU where there is one.
pub(super) fn device_kind(asked: Option<String>) -> Result<DeviceKind, Error> {
    const VARIABLE: &str = "JAX_MPS_DEVICE";
    let asked = asked.filter(|name| !name.is_empty()).or_else(|| variable(VARIABLE));
    match asked.as_deref() {
        Some("cpu") => Ok(DeviceKind::Cpu),
        Some("gpu") if DeviceKind::Gpu.is_available() => Ok(DeviceKind::Gpu),
        Some("gpu") => Err(Error::new(Code::NotFound, "JAX_MPS_DEVICE=gpu, but mlx finds no gpu on this machine")),
        None if DeviceKind::Gpu.is_available() => Ok(DeviceKind::Gpu),
        None => Ok(DeviceKind::Cpu),
        Some(other) => Err(unexpected(VARIABLE, "cpu or gpu", other)),
    }
}

/// What MLX says of the memory of the device that it allocates from.
#[derive(Clone, Copy, Debug)]
pub(super) struct MemoryFacts {
    pub(super) memory: Option<usize>,
    pub(super) longest_buffer: usize,
}

pub(super) fn memory_facts(kind: DeviceKind) -> Result<MemoryFacts, Error> {
    let allocates = if Backend::of_allocator() == Backend::Metal { DeviceKind::Gpu } else { kind };
    let facts = mlx::device_facts(allocates)?;
    let size = |wanted: &str| {
        facts.iter().find_map(|(name, fact)| match fact {
            mlx::Fact::Number(bytes) if name == wanted => Some(*bytes),
            _ => None,
        })
    };
    let longest_buffer = size("max_buffer_length").filter(|&bytes| bytes > 0).unwrap_or(usize::MAX);
    Ok(MemoryFacts { memory: size("memory_size"), longest_buffer })
}

/// Versions of the plugin and of MLX.
pub(super) fn platform_version() -> String {
    format!("jax-mps {} mlx {}", env!("CARGO_PKG_VERSION"), mlx::version())
}

const ZERO_COPY: &str = "JAX_MPS_ZERO_COPY";

/// Whether `JAX_MPS_ZERO_COPY` allows to use memory of the host in place. Not by default: jaxlib lends NumPy's arrays as if
/// they could not change, but only the user knows whether they do.
fn zero_copy(text: Option<&str>) -> Result<bool, Error> {
    match text {
        Some("on" | "1") => Ok(true),
        None | Some("off" | "0") => Ok(false),
        Some(other) => Err(unexpected(ZERO_COPY, "on or off", other)),
    }
}
