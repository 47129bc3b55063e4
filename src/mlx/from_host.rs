//! Arrays from memory of the host: written in place, or the host's own memory where MLX can take it.

use std::ffi::{c_int, c_void};
use std::mem::MaybeUninit;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::slice;
use std::sync::mpsc::{SendError, Sender, channel};
use std::sync::{Mutex, OnceLock, PoisonError};

use smallvec::SmallVec;

use super::array::{Array, Dtype};
use super::error::{self, Error, Result};
use super::{Arrays, Backend, autorelease_pool, memory};

/// Elements of the host that become an array's.
///
/// # Safety
/// `write` sets every byte that it is given, unless it fails.
pub unsafe trait HostBytes {
    /// How many bytes there are.
    fn length(&self) -> usize;

    /// Writes them, dense and in the order that the array has in memory.
    ///
    /// # Errors
    /// Why they cannot be written so.
    fn write(&self, to: &mut [MaybeUninit<u8>]) -> std::result::Result<(), String>;
}

// SAFETY: a slice has a value for every byte.
unsafe impl HostBytes for [u8] {
    fn length(&self) -> usize {
        self.len()
    }

    fn write(&self, to: &mut [MaybeUninit<u8>]) -> std::result::Result<(), String> {
        to.write_copy_of_slice(self);
        Ok(())
    }
}

/// Memory of the host that MLX may use as it is, until it lets go of it.
pub struct BorrowedMemory {
    data: *mut c_void,
    length: usize,
    release: Box<dyn FnOnce() + Send>,
}

impl BorrowedMemory {
    /// What a GPU maps: whole pages of the largest size that there is on Apple's processors.
    const PAGE: usize = 16 << 10;
    /// Less is copied sooner than mapped.
    const LEAST: usize = 1 << 20;

    /// `length` bytes at `data`; `release` is called once, on any thread, when nobody reads them any more.
    ///
    /// # Safety
    /// The bytes can be read and do not change until `release` is called.
    pub unsafe fn new(data: *const u8, length: usize, release: Box<dyn FnOnce() + Send>) -> Self {
        Self { data: data.cast_mut().cast(), length, release }
    }

    /// Whether such memory can be taken without a copy, and is worth it.
    pub(crate) fn fits(data: *const u8, length: usize) -> bool {
        length >= Self::LEAST && Self::is_whole_pages(data, length)
    }

    /// Whether such memory can be taken without a copy.
    pub(crate) fn is_whole_pages(data: *const u8, length: usize) -> bool {
        length > 0 && data.addr().is_multiple_of(Self::PAGE) && length.is_multiple_of(Self::PAGE)
    }
}

type Release = Box<dyn FnOnce() + Send>;

/// What MLX calls when it lets go of the memory: on any thread, inside of an evaluation even. What the owner does then may
/// want the evaluation lock, or Python's, so it is done elsewhere.
unsafe extern "C" fn release(payload: *mut c_void) {
    // SAFETY: the payload of `Array::from_borrowed`, which MLX hands back once.
    let release = unsafe { Box::from_raw(payload.cast::<Release>()) };
    if let Err(SendError(release)) = releases().send(*release) {
        call(release);
    }
}

fn call(release: Release) {
    if catch_unwind(AssertUnwindSafe(release)).is_err() {
        tracing::error!("a panic while memory of the host was given back");
    }
}

/// To a thread that gives memory back. One sender for the process: where there is no thread, its receiver is gone.
fn releases() -> Sender<Release> {
    static SENDER: OnceLock<Mutex<Sender<Release>>> = OnceLock::new();
    let sender = SENDER.get_or_init(|| {
        let (sender, receiver) = channel::<Release>();
        let spawned = std::thread::Builder::new().name("jax-mps-releases".into()).spawn(move || {
            for release in receiver {
                autorelease_pool(|| call(release));
            }
        });
        if let Err(error) = spawned {
            tracing::error!("no thread to give memory of the host back: {error}");
        }
        Mutex::new(sender)
    });
    sender.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

/// Bytes of a shape; None when there are too many.
fn bytes_of(shape: &[i32], dtype: Dtype) -> Option<usize> {
    shape.iter().try_fold(dtype.size(), |product, &size| product.checked_mul(usize::try_from(size).ok()?))
}

fn check_length(length: usize, shape: &[i32], dtype: Dtype) -> Result<()> {
    if bytes_of(shape, dtype) == Some(length) {
        return Ok(());
    }
    Err(Error::new(format!("{length} bytes given for shape {shape:?} of {dtype:?}")))
}

impl Array {
    /// An array of the bytes' copy, the only one that is made. `then` may change the elements before anybody sees them.
    ///
    /// # Errors
    /// When the byte count is not that of the shape, when the bytes cannot be written, or memory is short.
    pub(crate) fn from_host(
        bytes: &(impl HostBytes + ?Sized),
        shape: &[i32],
        dtype: Dtype,
        then: impl FnOnce(&mut [u8]),
    ) -> Result<Array> {
        error::install_handler();
        let length = bytes.length();
        check_length(length, shape, dtype)?;
        let array = Array::allocated(shape, dtype)?;
        if length > 0 {
            let data = array.data()?.cast_mut();
            // SAFETY: fresh memory of that many bytes which nobody else knows of; it outlives the slices. The second one
            // is made when every byte is set, as `HostBytes` promises.
            let all = unsafe {
                bytes.write(slice::from_raw_parts_mut(data.cast::<MaybeUninit<u8>>(), length)).map_err(Error::new)?;
                slice::from_raw_parts_mut(data, length)
            };
            then(all);
        }
        Ok(array)
    }

    fn unwritten(shape: &[i32], dtype: Dtype) -> Result<Array> {
        Array::build(|raw| {
            // SAFETY: the shape is a slice; the empty handle is replaced by the new one, of which this is the owner.
            unsafe {
                let made = mlx_sys::jax_mps_array_new_unwritten(shape.as_ptr(), shape.len() as c_int, dtype.raw());
                let failed = made.ctx.is_null();
                *raw = made;
                c_int::from(failed)
            }
        })
    }

    /// Arrays of these shapes and dtypes whose elements a function of the host writes in place. All are zero before.
    ///
    /// # Errors
    /// What the function says; when memory is short.
    pub(crate) fn written<E: From<Error>>(
        forms: &[(Vec<i32>, Dtype)],
        write: impl FnOnce(&mut [&mut [u8]]) -> std::result::Result<(), E>,
    ) -> std::result::Result<Arrays, E> {
        error::install_handler();
        let mut arrays = Arrays::with_capacity(forms.len());
        for (shape, dtype) in forms {
            arrays.push(Array::allocated(shape, *dtype)?);
        }
        let mut elements = SmallVec::<[&mut [u8]; 4]>::with_capacity(forms.len());
        for array in &arrays {
            let length = array.bytes();
            if length == 0 {
                elements.push(&mut []);
                continue;
            }
            let data = array.data()?.cast_mut();
            // SAFETY: fresh memory of that many bytes which nobody else knows of; it outlives the slices. A slice may not
            // refer to memory that was never written.
            elements.push(unsafe {
                data.write_bytes(0, length);
                slice::from_raw_parts_mut(data, length)
            });
        }
        write(&mut elements)?;
        Ok(arrays)
    }

    /// An array whose elements are still to be written.
    fn allocated(shape: &[i32], dtype: Dtype) -> Result<Array> {
        Array::unwritten(shape, dtype).or_else(|error| {
            if !error.is_out_of_memory() {
                return Err(error);
            }
            memory::clear_cache()?;
            Array::unwritten(shape, dtype)
        })
    }

    /// An array of row-major little-endian bytes.
    ///
    /// # Errors
    /// As [`Self::from_host`].
    pub(crate) fn from_bytes(bytes: &[u8], shape: &[i32], dtype: Dtype) -> Result<Array> {
        Array::from_host(bytes, shape, dtype, |_| ())
    }

    /// An array in the host's own memory where MLX's device can read it in place (Metal; the host's processor, in its
    /// place), else of a copy; then the memory is given back at once. MLX writes its next result into an array that only it
    /// holds if it owns the memory, and it does not own this (`array::is_donatable`).
    ///
    /// # Errors
    /// When the byte count is not that of the shape, or memory is short.
    pub(crate) fn from_borrowed(borrowed: BorrowedMemory, shape: &[i32], dtype: Dtype) -> Result<Array> {
        error::install_handler();
        check_length(borrowed.length, shape, dtype)?;
        let payload = Box::into_raw(Box::new(borrowed.release)).cast::<c_void>();
        let in_place = match Backend::of_allocator() {
            Backend::Cpu => mlx_sys::jax_mps_array_new_borrowed,
            Backend::Metal | Backend::Cuda => mlx_sys::mlx_array_new_data_managed_payload,
        };
        // SAFETY: the memory stays as it is until the payload is given back, as the owner promised.
        let raw = unsafe {
            in_place(borrowed.data, shape.as_ptr(), shape.len() as c_int, dtype.raw(), payload, Some(release))
        };
        if raw.ctx.is_null() {
            return Err(error::last());
        }
        // SAFETY: a fresh handle that nothing else owns.
        Ok(unsafe { Array::from_raw(raw) })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::{Duration, Instant};

    use super::super::{Stream, add, evaluation_lock};
    use super::*;

    #[test]
    fn elements_are_written_once_and_changed_in_place() {
        let array = Array::from_host([1u8, 2, 3].as_slice(), &[3], Dtype::Uint8, |all| all[1] = 7).unwrap();
        assert_eq!(array.as_bytes().unwrap(), [1, 7, 3]);
        let unaligned = &[0u8, 1, 0, 0, 0, 2, 0, 0, 0][1..];
        assert_eq!(Array::from_bytes(unaligned, &[2], Dtype::Int32).unwrap().as_bytes().unwrap(), unaligned);
        assert!(Array::from_bytes(&[0; 3], &[2], Dtype::Int16).is_err());
        assert_eq!(Array::from_bytes(&[], &[0, 4], Dtype::Int16).unwrap().size(), 0);
    }

    #[test]
    fn several_arrays_are_written_at_once() {
        let forms = [(vec![2], Dtype::Uint8), (vec![0, 3], Dtype::Float32), (vec![], Dtype::Uint16)];
        let arrays = Array::written::<Error>(&forms, |elements| {
            assert_eq!(elements.iter().map(|bytes| bytes.len()).collect::<Vec<_>>(), [2, 0, 2]);
            elements[0].copy_from_slice(&[3, 4]);
            elements[2][1] = 1;
            Ok(())
        })
        .unwrap();
        assert_eq!((arrays[0].as_bytes().unwrap(), arrays[2].as_bytes().unwrap()), (&[3, 4][..], &[0, 1][..]));
        assert_eq!((arrays[1].shape(), arrays[1].size()), (&[0, 3][..], 0));
        let failed = Array::written(&forms, |_| Err(Error::new("no")));
        assert_eq!(failed.unwrap_err().to_string(), "no");
    }

    #[test]
    fn bytes_that_cannot_be_written_make_no_array() {
        struct Broken;
        // SAFETY: it fails.
        unsafe impl HostBytes for Broken {
            fn length(&self) -> usize {
                4
            }
            fn write(&self, _: &mut [MaybeUninit<u8>]) -> std::result::Result<(), String> {
                Err("no such memory".to_owned())
            }
        }
        let error = Array::from_host(&Broken, &[4], Dtype::Uint8, |_| unreachable!("nothing was written"));
        assert_eq!(error.unwrap_err().to_string(), "no such memory");
    }

    #[test]
    fn lent_memory_is_given_back_once() {
        let count = Arc::new(AtomicUsize::new(0));
        let memory = Arc::new(vec![5u8; 8]);
        let (held, counted) = (memory.clone(), count.clone());
        let release = Box::new(move || {
            drop(held);
            counted.fetch_add(1, Ordering::Relaxed);
        });
        // SAFETY: the memory lives until the release.
        let array =
            Array::from_borrowed(unsafe { BorrowedMemory::new(memory.as_ptr(), 8, release) }, &[8], Dtype::Uint8)
                .unwrap();
        assert_eq!(array.as_bytes().unwrap(), [5; 8]);
        assert!(std::ptr::eq(array.data().unwrap(), memory.as_ptr()));
        // Into memory of its own, even from an array that nobody else holds.
        let stream = Stream::cpu().unwrap();
        let sum = add(&array, &array, stream).unwrap();
        drop(array);
        stream.evaluate(&[&sum]).unwrap();
        assert_eq!((sum.as_bytes().unwrap(), memory.as_slice()), (&[10; 8][..], &[5; 8][..]));
        let deadline = Instant::now() + Duration::from_secs(20);
        while count.load(Ordering::Relaxed) == 0 && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(1));
        }
        assert_eq!(count.load(Ordering::Relaxed), 1);
        // SAFETY: as above.
        let borrowed = unsafe { BorrowedMemory::new(memory.as_ptr(), 8, Box::new(|| ())) };
        assert!(Array::from_borrowed(borrowed, &[9], Dtype::Uint8).is_err());
    }

    #[test]
    fn the_owner_may_evaluate_where_memory_is_given_back() {
        let (sender, receiver) = channel();
        let memory = Arc::new(vec![5u8; 8]);
        let held = memory.clone();
        let release = Box::new(move || {
            drop(evaluation_lock());
            drop(held);
            sender.send(std::thread::current().name().map(str::to_owned)).unwrap();
        });
        // SAFETY: the memory lives until the release.
        let array =
            Array::from_borrowed(unsafe { BorrowedMemory::new(memory.as_ptr(), 8, release) }, &[8], Dtype::Uint8)
                .unwrap();
        let guard = evaluation_lock();
        drop(array);
        drop(guard);
        let name = receiver.recv_timeout(Duration::from_secs(20)).unwrap();
        assert_eq!(name.as_deref(), Some("jax-mps-releases"));
    }

    #[test]
    fn only_many_whole_pages_are_borrowed() {
        let page = std::ptr::without_provenance::<u8>(BorrowedMemory::PAGE);
        assert!(BorrowedMemory::fits(page, BorrowedMemory::LEAST));
        assert!(!BorrowedMemory::fits(page, BorrowedMemory::LEAST - BorrowedMemory::PAGE));
        assert!(BorrowedMemory::is_whole_pages(page, BorrowedMemory::PAGE) && !BorrowedMemory::is_whole_pages(page, 0));
        assert!(!BorrowedMemory::fits(page, BorrowedMemory::LEAST + 4));
        assert!(!BorrowedMemory::fits(page.wrapping_add(64), BorrowedMemory::LEAST));
        assert!(!BorrowedMemory::fits(page, 0));
    }
}
