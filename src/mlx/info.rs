//! Names and versions.

use std::ffi::CStr;

use super::capabilities::Backend;
use super::device::DeviceKind;
use super::error::{self, Result};

/// MLX's version.
pub(crate) fn version() -> String {
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
pub(crate) fn gpu_name() -> Result<String> {
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

/// What MLX says of a device under one name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fact {
    /// A name, such as that of the architecture.
    Text(String),
    /// A size, in bytes but for `resource_limit`, which counts allocations.
    Number(usize),
}

/// Everything that MLX says of its first device of that kind: name, architecture, limits of memory, in the order of
/// their names.
///
/// # Errors
/// When MLX has no such device.
pub(crate) fn device_facts(kind: DeviceKind) -> Result<Vec<(String, Fact)>> {
    error::install_handler();
    let raw_kind = match kind {
        DeviceKind::Cpu => mlx_sys::mlx_device_type__MLX_CPU,
        DeviceKind::Gpu => mlx_sys::mlx_device_type__MLX_GPU,
    };
    let mut facts = Vec::new();
    // SAFETY: fresh handles, filled by the calls and freed here; names and texts live as long as these, and are copied.
    unsafe {
        let device = mlx_sys::mlx_device_new_type(raw_kind, 0);
        let mut info = mlx_sys::mlx_device_info_new();
        let mut names = mlx_sys::mlx_vector_string_new();
        let mut status = mlx_sys::mlx_device_info_get(&mut info, device);
        mlx_sys::mlx_device_free(device);
        if status == 0 {
            status = mlx_sys::mlx_device_info_get_keys(&mut names, info);
        }
        let count = if status == 0 { mlx_sys::mlx_vector_string_size(names) } else { 0 };
        for index in 0..count {
            let (mut name, mut text, mut number) = (std::ptr::null_mut(), std::ptr::null(), 0);
            if mlx_sys::mlx_vector_string_get(&mut name, names, index) != 0 || name.is_null() {
                continue;
            }
            let fact = if mlx_sys::mlx_device_info_get_string(&mut text, info, name) == 0 && !text.is_null() {
                Fact::Text(CStr::from_ptr(text).to_string_lossy().into_owned())
            } else if mlx_sys::mlx_device_info_get_size(&mut number, info, name) == 0 {
                Fact::Number(number)
            } else {
                continue;
            };
            facts.push((CStr::from_ptr(name).to_string_lossy().into_owned(), fact));
        }
        mlx_sys::mlx_vector_string_free(names);
        mlx_sys::mlx_device_info_free(info);
        error::check(status)?;
    }
    facts.sort_by(|(one, _), (other, _)| one.cmp(other));
    Ok(facts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_processor_has_a_name_and_an_architecture() {
        let facts = device_facts(DeviceKind::Cpu).unwrap();
        for wanted in ["architecture", "device_name"] {
            let found = facts.iter().find(|(name, _)| name == wanted);
            assert!(matches!(found, Some((_, Fact::Text(text))) if !text.is_empty()), "{wanted}: {facts:?}");
        }
    }
}
