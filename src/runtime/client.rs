//! The client and its devices.
#![forbid(unsafe_code)]

use std::sync::Arc;

use super::buffer::{Buffer, BufferType, MemoryKind};
use super::error::{Code, Error};
use super::executable::Executable;
use super::layout::Layout;
use super::memory_limit::Bounds;
use super::settings::{self, unexpected, variable};
use super::{apart, fork, timeline};
use crate::lower::storage;
use crate::mlx::{self, Backend, DeviceKind, HostBytes, Lent, Stream};
use crate::program::ElementType;

/// What a client is made with.
#[derive(Clone, Debug, Default)]
pub struct ClientOptions {
    /// `cpu` or `gpu`; None asks `JAX_MPS_DEVICE`, then takes the GPU where there is one.
    pub device: Option<String>,
}

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

    pub(super) fn stream(&self) -> Stream {
        self.stream
    }

    /// Whether the host can read the device's memory in place.
    pub(super) fn shares_memory(&self) -> bool {
        self.stream.capabilities().host_visible_memory
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

/// The client.
pub struct Client {
    platform_version: String,
    devices: Vec<Arc<Device>>,
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

/// Versions of the plugin and of MLX.
pub(super) fn platform_version() -> String {
    format!("jax-mps {} mlx {}", env!("CARGO_PKG_VERSION"), mlx::version())
}

/// The device that is asked for, here or by `JAX_MPS_DEVICE`; else the GPU where there is one.
pub(super) fn device_kind(asked: Option<String>) -> Result<DeviceKind, Error> {
    const VARIABLE: &str = "JAX_MPS_DEVICE";
    let asked = asked.filter(|name| !name.is_empty()).or_else(|| variable(VARIABLE));
    match asked.as_deref() {
        Some("cpu") => Ok(DeviceKind::Cpu),
        Some("gpu") if Stream::is_available(DeviceKind::Gpu) => Ok(DeviceKind::Gpu),
        Some("gpu") => Err(Error::new(Code::NotFound, "JAX_MPS_DEVICE=gpu, but mlx finds no gpu on this machine")),
        None if Stream::is_available(DeviceKind::Gpu) => Ok(DeviceKind::Gpu),
        None => Ok(DeviceKind::Cpu),
        Some(other) => Err(unexpected(VARIABLE, "cpu or gpu", other)),
    }
}

/// On macOS all memory of MLX's is Metal's, that of its CPU backend too, and MLX answers with no GPU where it finds no
/// usable one. Why, it says at the first allocation.
fn check_allocator() -> Result<(), Error> {
    mlx::Array::scalar(0_u8)
        .map(drop)
        .map_err(|error| Error::new(Code::NotFound, format!("mlx finds no device that it can use: {error}")))
}

/// What MLX says of the memory of the device that it allocates from.
#[derive(Clone, Copy, Debug)]
struct MemoryFacts {
    memory: Option<usize>,
    longest_buffer: usize,
}

fn memory_facts(kind: DeviceKind) -> Result<MemoryFacts, Error> {
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

/// On Macs of up to 16 GB a quarter of memory: MLX would keep up to 1.5 times what Metal recommends, and macOS swap the
/// programs beside us. Larger ones, and other systems, have MLX's own limit.
fn default_cache_limit(allocator: Backend, memory: Option<usize>) -> Option<usize> {
    memory.filter(|&memory| allocator == Backend::Metal && memory <= 16 << 30).map(|memory| memory / 4)
}

impl Client {
    /// Opens the device.
    ///
    /// # Errors
    /// NOT_FOUND when the device asked for is not there, or MLX has none at all; INVALID_ARGUMENT for an unknown name or
    /// another bad value of an environment variable; FAILED_PRECONDITION in a forked child, with another MLX than that of
    /// the build, and for traces that the device does not make.
    pub fn new(options: ClientOptions) -> Result<Arc<Self>, Error> {
        fork::check()?;
        mlx::watch_for_forks();
        mlx::interpreter::notice();
        // A GPU takes its time to begin, and does not bear that the process ends meanwhile.
        let _running = apart::begin();
        settings::check_mlx()?;
        check_allocator()?;
        mlx::shutdown::come_first();
        let kind = device_kind(options.device)?;
        let facts = memory_facts(kind)?;
        let asked = cache_limit(variable(CACHE_LIMIT).as_deref())?;
        if let Some(limit) = asked.or_else(|| default_cache_limit(Backend::of_allocator(), facts.memory)) {
            mlx::memory::set_cache_limit(limit)?;
        }
        let (stream, name) = match (played()?, kind) {
            (Some(Backend::Cpu), _) | (None, DeviceKind::Cpu) => (Stream::cpu()?, "MLX CPU".to_owned()),
            (Some(backend), _) => (Stream::playing(backend)?, format!("MLX CPU (in place of {backend:?})")),
            (None, DeviceKind::Gpu) => (Stream::get(kind)?, mlx::gpu_name()?),
        };
        settings::check(stream.capabilities().backend)?;
        tracing::info!("device: {name}");
        let borrows = stream.capabilities().borrows_host_memory && zero_copy(variable(ZERO_COPY).as_deref())?;
        let device = Device { id: 0, kind: name, stream, longest_buffer: facts.longest_buffer, borrows };
        Ok(Arc::new(Self { platform_version: platform_version(), devices: vec![Arc::new(device)] }))
    }

    /// Opens the device of that kind.
    ///
    /// # Errors
    /// NOT_FOUND when this machine has none.
    pub fn with_device_kind(kind: &str) -> Result<Arc<Self>, Error> {
        let devices = [(DeviceKind::Gpu, "gpu"), (DeviceKind::Cpu, "cpu")];
        for (_, name) in devices.into_iter().filter(|(device, _)| Stream::is_available(*device)) {
            let client = Self::new(ClientOptions { device: Some(name.to_owned()) })?;
            if client.devices[0].kind() == kind {
                return Ok(client);
            }
        }
        Err(Error::new(Code::NotFound, format!("this machine has no device {kind:?}")))
    }

    /// Versions of the plugin and of MLX: part of JAX's compilation cache key.
    pub fn platform_version(&self) -> &str {
        &self.platform_version
    }

    /// All devices; every one is addressable.
    pub fn devices(&self) -> &[Arc<Device>] {
        &self.devices
    }

    /// Compiles a program: MLIR bytecode and a serialized CompileOptionsProto.
    ///
    /// # Errors
    /// INVALID_ARGUMENT for bytes that are no program, UNIMPLEMENTED for what is not supported.
    pub fn compile(&self, program: &[u8], options: &[u8]) -> Result<Arc<Executable>, Error> {
        fork::check()?;
        Executable::compile(self.devices[0].clone(), program, options)
    }

    /// Copies the dense elements of an array of that layout to the device.
    ///
    /// # Errors
    /// UNIMPLEMENTED for element types that MLX has not, RESOURCE_EXHAUSTED when memory is short.
    pub fn buffer_from_host(
        &self,
        ty: BufferType,
        dims: &[i64],
        layout: Option<Layout>,
        bytes: &(impl HostBytes + ?Sized),
        device: &Arc<Device>,
        memory: MemoryKind,
    ) -> Result<Arc<Buffer>, Error> {
        fork::check()?;
        let _span = timeline::span("copy", || format!("{} bytes from the host", bytes.length()));
        Buffer::from_bytes(ty, dims, layout, bytes, device.clone(), memory)
    }

    /// Whether the device reads memory of the host in place, if it is [whole pages](Lent::fits), and the user allows that
    /// for arrays that are to be copied.
    pub fn borrows(&self, ty: BufferType, device: &Device) -> bool {
        device.borrows && self.views(ty, device)
    }

    /// Whether the device reads memory of others in place, if it is [whole pages](Lent::fits).
    pub fn views(&self, ty: BufferType, device: &Device) -> bool {
        let BufferType::Tensor(element) = ty else { return false };
        // Elements of other widths are not stored as they come.
        let as_it_is = element.bits() >= 8 && storage(element).is_some_and(|dtype| dtype.size() == element.bytes());
        as_it_is && device.stream().capabilities().borrows_host_memory
    }

    /// A buffer in memory of the host, without a copy where [`Self::borrows`] said so.
    ///
    /// # Errors
    /// As [`Self::buffer_from_host`].
    pub fn buffer_from_lent(
        &self,
        element: ElementType,
        dims: &[i64],
        layout: Option<Layout>,
        lent: Lent,
        device: &Arc<Device>,
        memory: MemoryKind,
    ) -> Result<Arc<Buffer>, Error> {
        fork::check()?;
        Buffer::from_lent(element, dims, layout, lent, device.clone(), memory)
    }

    /// A buffer that carries an error instead of elements.
    pub fn error_buffer(
        &self,
        error: Error,
        ty: BufferType,
        dims: &[i64],
        layout: Option<Layout>,
        device: &Arc<Device>,
        memory: MemoryKind,
    ) -> Arc<Buffer> {
        Buffer::new(ty, dims, layout, device.clone(), memory, None, super::Completion::failed(error))
    }
}

const CACHE_LIMIT: &str = "JAX_MPS_CACHE_LIMIT";
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

/// Bytes that `JAX_MPS_CACHE_LIMIT` says: a number, with K, M or G behind it for powers of 1024. None leaves it to MLX.
fn cache_limit(text: Option<&str>) -> Result<Option<usize>, Error> {
    let Some(text) = text.map(str::trim).filter(|text| !text.is_empty()) else { return Ok(None) };
    let (number, shift) = match text.char_indices().last() {
        Some((end, 'K' | 'k')) => (&text[..end], 10),
        Some((end, 'M' | 'm')) => (&text[..end], 20),
        Some((end, 'G' | 'g')) => (&text[..end], 30),
        _ => (text, 0),
    };
    let bytes = number.parse::<usize>().ok().and_then(|number| number.checked_mul(1 << shift));
    bytes.map(Some).ok_or_else(|| unexpected(CACHE_LIMIT, "bytes such as 0, 512M or 4G", text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_macs_keep_a_quarter_of_their_memory_for_reuse() {
        assert_eq!(default_cache_limit(Backend::Metal, Some(8 << 30)), Some(2 << 30));
        assert_eq!(default_cache_limit(Backend::Metal, Some(16 << 30)), Some(4 << 30));
        assert_eq!(default_cache_limit(Backend::Metal, Some(24 << 30)), None);
        assert_eq!(default_cache_limit(Backend::Metal, None), None);
        assert_eq!(default_cache_limit(Backend::Cpu, Some(8 << 30)), None);
        assert_eq!(default_cache_limit(Backend::Cuda, Some(8 << 30)), None);
    }

    #[test]
    fn cache_limits_have_units() {
        let read = |text| cache_limit(Some(text)).map_err(|error| error.code);
        assert_eq!(cache_limit(None), Ok(None));
        assert_eq!(read(""), Ok(None));
        assert_eq!(read("0"), Ok(Some(0)));
        assert_eq!(read("512M"), Ok(Some(512 << 20)));
        assert_eq!(read(" 4g "), Ok(Some(4 << 30)));
        for wrong in ["-1", "M", "1T", "4 GB", "99999999999G"] {
            assert_eq!(read(wrong), Err(Code::InvalidArgument), "{wrong}");
        }
    }
}
