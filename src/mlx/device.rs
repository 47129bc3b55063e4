//! Kinds of devices.

use super::error;

/// Where a stream runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DeviceKind {
    /// The host's processor.
    Cpu,
    /// Metal or CUDA.
    Gpu,
}

impl DeviceKind {
    /// Whether MLX has a device of that kind.
    pub(crate) fn is_available(self) -> bool {
        error::install_handler();
        let raw_kind = match self {
            DeviceKind::Cpu => return true,
            DeviceKind::Gpu => mlx_sys::mlx_device_type__MLX_GPU,
        };
        let mut count = 0;
        // SAFETY: writes one integer.
        let status = unsafe { mlx_sys::mlx_device_count(&mut count, raw_kind) };
        status == 0 && count > 0
    }
}
