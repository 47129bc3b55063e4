//! Executables as bytes, for caches on disk. Compilation is quick: the bytes are the program and its options, and reading
//! them compiles again.

use std::sync::Arc;

use pjrt_sys::{PJRT_Executable_DeserializeAndLoad_Args, PJRT_Executable_Serialize_Args, PJRT_SerializedExecutable};

use super::abi::{DeserializeAndLoadArgs, has_field};
use super::call::{Handle, Rest, Result, slice};
use super::client::Client;
use super::error::contain;
use super::executable::Executable;
use super::loaded_executable::LoadedExecutable;
use crate::runtime::{Code, Error};

/// What the bytes begin with; then come, each behind its length, the versions that wrote them, the options, the program.
const MAGIC: &[u8] = b"jax-mps executable 1\n";

/// What a `PJRT_SerializedExecutable*` points to.
struct Serialized {
    _bytes: Vec<u8>,
}

// SAFETY: serialized executables are given out as `Serialized` only.
unsafe impl Handle for Serialized {
    type Opaque = PJRT_SerializedExecutable;
    const NAME: &'static str = "PJRT_SerializedExecutable";
}

fn write(version: &str, options: &[u8], program: &[u8]) -> Vec<u8> {
    let mut bytes = MAGIC.to_vec();
    for part in [version.as_bytes(), options, program] {
        bytes.extend_from_slice(&(part.len() as u64).to_le_bytes());
        bytes.extend_from_slice(part);
    }
    bytes
}

/// Versions, options and program.
fn read(bytes: &[u8]) -> Result<[&[u8]; 3]> {
    fn part<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
        let (length, after) = rest.split_first_chunk::<8>()?;
        let (part, after) = after.split_at_checked(usize::try_from(u64::from_le_bytes(*length)).ok()?)?;
        *rest = after;
        Some(part)
    }
    let parts = bytes.strip_prefix(MAGIC).and_then(|mut rest| {
        let parts = [part(&mut rest)?, part(&mut rest)?, part(&mut rest)?];
        rest.is_empty().then_some(parts)
    });
    parts.ok_or_else(|| {
        Error::new(
            Code::InvalidArgument,
            format!("expected an executable serialized by jax-mps, came {} bytes", bytes.len()),
        )
    })
}

unsafe extern "C" fn destroy(serialized: *mut PJRT_SerializedExecutable) {
    // SAFETY: the caller owns the bytes.
    contain(|| unsafe { Serialized::destroy(serialized) });
}

entry! {
    /// The program and its options as bytes.
    PJRT_Executable_Serialize(args: PJRT_Executable_Serialize_Args, executable: Executable) {
        let description = &executable.0;
        let bytes = write(description.platform_version(), description.options(), description.runtime().program_bytes());
        args.serialized_bytes = bytes.as_ptr().cast();
        args.serialized_bytes_size = bytes.len();
        args.serialized_executable = Serialized { _bytes: bytes }.give();
        args.serialized_executable_deleter = Some(destroy);
        Ok(())
    }
}

entry! {
    /// Compiles what `PJRT_Executable_Serialize` wrote, with its options or with the caller's.
    raw PJRT_Executable_DeserializeAndLoad(args: PJRT_Executable_DeserializeAndLoad_Args, client: Arc<Client>) {
        let _rest = Rest;
        // SAFETY: the structure was checked; the bytes are the caller's.
        let bytes = unsafe { slice((*args).serialized_executable.cast::<u8>(), (*args).serialized_executable_size) };
        let [version, mut options, program] = read(bytes)?;
        let ours = client.runtime().platform_version();
        if version != ours.as_bytes() {
            let theirs = String::from_utf8_lossy(version);
            let message = format!("the executable was serialized by {theirs}; this is {ours}");
            return Err(Error::new(Code::FailedPrecondition, message));
        }
        if has_field!(args, DeserializeAndLoadArgs, overridden_serialized_compile_options_size: usize) {
            let longer = args.cast::<DeserializeAndLoadArgs>();
            // SAFETY: the caller's structure reaches so far; the options are the caller's.
            let overridden = unsafe {
                slice(
                    (*longer).overridden_serialized_compile_options.cast::<u8>(),
                    (*longer).overridden_serialized_compile_options_size,
                )
            };
            if !overridden.is_empty() {
                options = overridden;
            }
        }
        let executable = LoadedExecutable::compile(client, program, options)?;
        // SAFETY: the structure was checked.
        unsafe { (*args).loaded_executable = executable.give() };
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let bytes = write("v", b"options", b"program");
        assert_eq!(read(&bytes).unwrap(), [b"v".as_slice(), b"options", b"program"]);
        for length in 0..bytes.len() {
            assert_eq!(read(&bytes[..length]).unwrap_err().code, Code::InvalidArgument);
        }
        let longer = [bytes.as_slice(), b"x"].concat();
        assert!(read(&longer).is_err());
    }
}
