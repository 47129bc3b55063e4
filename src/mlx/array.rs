//! The array handle.

use std::ffi::c_int;
use std::fmt;

use mlx_sys::mlx_array;

use super::error::{self, Result};

enumeration! {
    /// MLX's element types.
    #[expect(missing_docs, reason = "the variants are MLX's dtype names")]
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    pub enum Dtype: (usize, mlx_sys::mlx_dtype) {
        Bool: (1, mlx_sys::mlx_dtype__MLX_BOOL),
        Uint8: (1, mlx_sys::mlx_dtype__MLX_UINT8),
        Uint16: (2, mlx_sys::mlx_dtype__MLX_UINT16),
        Uint32: (4, mlx_sys::mlx_dtype__MLX_UINT32),
        Uint64: (8, mlx_sys::mlx_dtype__MLX_UINT64),
        Int8: (1, mlx_sys::mlx_dtype__MLX_INT8),
        Int16: (2, mlx_sys::mlx_dtype__MLX_INT16),
        Int32: (4, mlx_sys::mlx_dtype__MLX_INT32),
        Int64: (8, mlx_sys::mlx_dtype__MLX_INT64),
        Float16: (2, mlx_sys::mlx_dtype__MLX_FLOAT16),
        Float32: (4, mlx_sys::mlx_dtype__MLX_FLOAT32),
        Float64: (8, mlx_sys::mlx_dtype__MLX_FLOAT64),
        Bfloat16: (2, mlx_sys::mlx_dtype__MLX_BFLOAT16),
        Complex64: (8, mlx_sys::mlx_dtype__MLX_COMPLEX64),
    }
}

impl Dtype {
    /// Bytes of one element.
    pub fn size(self) -> usize {
        self.row().0
    }

    pub(super) fn raw(self) -> mlx_sys::mlx_dtype {
        self.row().1
    }

    fn from_raw(raw: mlx_sys::mlx_dtype) -> Self {
        Self::ALL.into_iter().find(|dtype| dtype.raw() == raw).expect("mlx has the fourteen dtypes listed")
    }
}

/// A handle to an immutable, possibly not yet evaluated array.
///
/// Cloning shares the array. Handles may cross threads: MLX counts references atomically, and what is not atomic in an
/// array (its status and event) is only touched by evaluation, which happens under the device's lock
/// ([`super::Stream::evaluate`]), never through a shared handle.
pub struct Array(mlx_rs::Array);

// SAFETY: see the type's documentation: handles are atomically counted, graph construction only copies handles and reads
// shapes and dtypes, which never change, and evaluation is serialised by the device's lock.
unsafe impl Sync for Array {}

impl Array {
    pub(super) fn raw(&self) -> mlx_array {
        self.0.as_ptr()
    }

    /// Takes a handle over.
    ///
    /// # Safety
    /// Nothing else owns the handle, which is not empty.
    pub(super) unsafe fn from_raw(raw: mlx_array) -> Self {
        // SAFETY: passed on to the caller.
        Array(unsafe { mlx_rs::Array::from_ptr(raw) })
    }

    /// Runs an mlx-c function that writes one array.
    pub(super) fn build(call: impl FnOnce(*mut mlx_array) -> c_int) -> Result<Array> {
        // SAFETY: an empty handle, filled by the call below or freed with the wrapper.
        let mut raw = unsafe { mlx_sys::mlx_array_new() };
        let status = call(&mut raw);
        // SAFETY: `raw` is a handle that nothing else owns.
        let array = Array(unsafe { mlx_rs::Array::from_ptr(raw) });
        error::check(status)?;
        Ok(array)
    }

    /// A rank-0 array of the value's bytes.
    ///
    /// # Errors
    /// When memory is short.
    pub fn scalar<T: Scalar>(value: T) -> Result<Array> {
        Array::from_bytes(value.bytes().as_ref(), &[], T::DTYPE)
    }

    /// Sizes of the dimensions.
    pub fn shape(&self) -> &[i32] {
        self.0.shape()
    }

    /// Number of dimensions.
    pub(crate) fn rank(&self) -> usize {
        self.shape().len()
    }

    /// Element type.
    pub fn dtype(&self) -> Dtype {
        // SAFETY: the handle is valid as long as self.
        Dtype::from_raw(unsafe { mlx_sys::mlx_array_dtype(self.raw()) })
    }

    /// Number of elements.
    pub fn size(&self) -> usize {
        self.0.size()
    }

    /// Bytes of all elements.
    pub fn bytes(&self) -> usize {
        self.size() * self.dtype().size()
    }

    /// True when the elements lie in row-major order without gaps. Only meaningful once evaluated.
    ///
    /// # Errors
    /// When the array has not been evaluated.
    pub(crate) fn is_row_contiguous(&self) -> Result<bool> {
        let mut answer = false;
        // SAFETY: the handle is valid, the flag is a local.
        error::check(unsafe { mlx_sys::_mlx_array_is_row_contiguous(&mut answer, self.raw()) })?;
        Ok(answer)
    }

    /// Where the elements lie, as something to compare: arrays that share elements share it. The array must have been
    /// evaluated; it need not be available.
    ///
    /// # Errors
    /// When there is no data.
    pub fn buffer_slice(&self) -> Result<BufferSlice> {
        let (mut allocation, mut offset) = (std::ptr::null(), 0);
        // SAFETY: the handle is valid, the other two are locals.
        error::check(unsafe { mlx_sys::jax_mps_array_buffer_slice(self.raw(), &mut allocation, &mut offset) })?;
        Ok(BufferSlice { allocation: allocation.addr(), offset })
    }

    /// Address of the first element for the host. The array must be one that the host may look at: see
    /// [`super::for_host`]. The memory lives as long as some handle does.
    ///
    /// # Errors
    /// When there is no data.
    pub fn data(&self) -> Result<*const u8> {
        let mut data = std::ptr::null_mut();
        // SAFETY: the handle is valid, the pointer is a local.
        error::check(unsafe { mlx_sys::jax_mps_array_data(self.raw(), &mut data) })?;
        Ok(data.cast_const().cast())
    }

    /// The elements as bytes. The array must be row-contiguous, and one that the host may look at: see
    /// [`super::for_host`].
    ///
    /// # Errors
    /// When it is not evaluated or not row-contiguous.
    pub fn as_bytes(&self) -> Result<&[u8]> {
        if self.size() == 0 {
            return Ok(&[]);
        }
        if !self.is_row_contiguous()? {
            return Err(error::Error::new("array is not row-contiguous"));
        }
        let data = self.data()?;
        // SAFETY: the data of an evaluated row-contiguous array spans its size, never changes while a handle lives (MLX
        // reuses a buffer only when it holds the last reference), and self outlives the slice.
        Ok(unsafe { std::slice::from_raw_parts(data, self.bytes()) })
    }
}

impl Clone for Array {
    fn clone(&self) -> Self {
        // SAFETY: an empty handle, set to share the array; setting only fails when out of memory for a pointer.
        unsafe {
            let mut raw = mlx_sys::mlx_array_new();
            mlx_sys::mlx_array_set(&mut raw, self.raw());
            Array(mlx_rs::Array::from_ptr(raw))
        }
    }
}

impl fmt::Debug for Array {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Never the elements: printing them would evaluate.
        write!(formatter, "Array({:?}, {:?})", self.dtype(), self.shape())
    }
}

/// Where the elements of an array lie: an allocation of MLX's, and bytes from its start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct BufferSlice {
    allocation: usize,
    offset: i64,
}

/// A set of slices, made anew by each call: its hash is a fast one, since nobody outside chooses the addresses.
pub type BufferSlices = rustc_hash::FxHashSet<BufferSlice>;

/// Host types that become rank-0 arrays.
pub trait Scalar: Copy {
    /// MLX's type.
    const DTYPE: Dtype;
    /// Little-endian bytes.
    fn bytes(self) -> impl AsRef<[u8]>;
}

macro_rules! scalars {
    ($($host:ty => $dtype:ident),* $(,)?) => {
        $(impl Scalar for $host {
            const DTYPE: Dtype = Dtype::$dtype;
            fn bytes(self) -> impl AsRef<[u8]> {
                self.to_le_bytes()
            }
        })*
    };
}

scalars!(u8 => Uint8, u16 => Uint16, u32 => Uint32, u64 => Uint64, i8 => Int8, i16 => Int16, i32 => Int32,
    i64 => Int64, f32 => Float32, f64 => Float64, half::f16 => Float16, half::bf16 => Bfloat16);

impl Scalar for bool {
    const DTYPE: Dtype = Dtype::Bool;
    fn bytes(self) -> impl AsRef<[u8]> {
        [u8::from(self)]
    }
}
