//! The client and its devices.
#![forbid(unsafe_code)]

use std::sync::Arc;

use super::buffer::{Buffer, BufferType, MemoryKind};
use super::compile::compile;
use super::completion::Completion;
use super::device::{Device, device_kind, memory_facts, platform_version};
use super::error::{Code, Error};
use super::executable::Executable;
use super::layout::Layout;
use super::settings::{self, unexpected, variable};
use super::{apart, capture, dump, fork, timeline};
use crate::lower::storage;
use crate::mlx::{self, Backend, BorrowedMemory, DeviceKind, HostBytes};
use crate::program::ElementType;
use crate::reader;

/// What a client is made with.
#[derive(Clone, Debug, Default)]
pub struct ClientOptions {
    /// `cpu` or `gpu`; None asks `JAX_MPS_DEVICE`, then takes the GPU where there is one.
    pub device: Option<String>,
}

/// The client.
pub struct Client {
    platform_version: String,
    devices: Vec<Arc<Device>>,
}

/// Checks what is not read before the first program, and opens the timeline's file.
///
/// # Errors
/// INVALID_ARGUMENT for a bad value or a folder that cannot be written to; FAILED_PRECONDITION for what the backend does
/// not do.
fn check_settings(backend: Backend) -> Result<(), Error> {
    settings::passes()?;
    settings::place()?;
    reader::check().map_err(|error| Error::new(Code::InvalidArgument, error.to_string()))?;
    dump::check()?;
    timeline::open()?;
    capture::check(backend)
}

/// On macOS all memory of MLX's is Metal's, that of its CPU backend too, and MLX answers with no GPU where it finds no
/// usable one. Why, it says at the first allocation.
fn check_allocator() -> Result<(), Error> {
    mlx::Array::scalar(0_u8)
        .map(drop)
        .map_err(|error| Error::new(Code::NotFound, format!("mlx finds no device that it can use: {error}")))
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
        let device = Device::open(kind, facts.longest_buffer)?;
        check_settings(device.stream().capabilities().backend)?;
        tracing::info!("device: {}", device.kind());
        Ok(Arc::new(Self { platform_version: platform_version(), devices: vec![Arc::new(device)] }))
    }

    /// Opens the device of that kind.
    ///
    /// # Errors
    /// NOT_FOUND when this machine has none.
    pub fn with_device_kind(kind: &str) -> Result<Arc<Self>, Error> {
        let devices = [(DeviceKind::Gpu, "gpu"), (DeviceKind::Cpu, "cpu")];
        for (_, name) in devices.into_iter().filter(|(device, _)| device.is_available()) {
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
        compile(self.devices[0].clone(), program, options, settings::place()?)
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

    /// Whether the device reads memory of the host in place, if it is [whole pages](BorrowedMemory::fits), and the user
    /// allows that for arrays that are to be copied.
    pub fn borrows(&self, ty: BufferType, device: &Device) -> bool {
        device.borrows() && self.views(ty, device)
    }

    /// Whether the device reads memory of others in place, if it is [whole pages](BorrowedMemory::fits).
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
    pub fn buffer_from_borrowed(
        &self,
        element: ElementType,
        dims: &[i64],
        layout: Option<Layout>,
        borrowed: BorrowedMemory,
        device: &Arc<Device>,
        memory: MemoryKind,
    ) -> Result<Arc<Buffer>, Error> {
        fork::check()?;
        Buffer::from_borrowed(element, dims, layout, borrowed, device.clone(), memory)
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
        Buffer::new(ty, dims, layout, device.clone(), memory, None, Completion::failed(error))
    }
}

const CACHE_LIMIT: &str = "JAX_MPS_CACHE_LIMIT";

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
