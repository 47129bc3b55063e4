//! Names and versions.

use std::ffi::CStr;

use super::capabilities::Backend;
use super::error::{self, Result};

/// MLX's version.
pub fn version() -> String {
    // SAFETY: a fresh string, filled by the call, read and freed here.
    unsafe {
        let mut text = mlx_sys::mlx_string_new();
        let status = mlx_sys::mlx_version(&mut text);
        let version = if status == 0 {
            CStr::from_ptr(mlx_sys::mlx_string_data(text)).to_string_lossy().into_owned()
        } else {
            "unknown".to_owned()
        };
        mlx_sys::mlx_string_free(text);
        version
    }
}

/// The GPU's name as the user knows it: `Apple M4`, `NVIDIA H100 80GB HBM3 (MLX CUDA)`.
///
/// # Errors
/// When MLX has no GPU.
pub fn gpu_name() -> Result<String> {
    error::install_handler();
    // SAFETY: fresh handles, filled by the calls and freed here; the text lives as long as the info.
    unsafe {
        let device = mlx_sys::mlx_device_new_type(mlx_sys::mlx_device_type__MLX_GPU, 0);
        let mut info = mlx_sys::mlx_device_info_new();
        let status = mlx_sys::mlx_device_info_get(&mut info, device);
        mlx_sys::mlx_device_free(device);
        let mut name = Err(error::Error::new("mlx gives its gpu no name"));
        if status == 0 {
            let mut text = std::ptr::null();
            if mlx_sys::mlx_device_info_get_string(&mut text, info, c"device_name".as_ptr()) == 0 && !text.is_null() {
                name = Ok(CStr::from_ptr(text).to_string_lossy().into_owned());
            }
        }
        mlx_sys::mlx_device_info_free(info);
        error::check(status)?;
        let name = name?;
        Ok(match Backend::of_gpu() {
            Backend::Cuda => format!("{name} (MLX CUDA)"),
            Backend::Cpu | Backend::Metal => name,
        })
    }
}
