//! The bytes of a buffer as elements of another type or of other sizes.
#![forbid(unsafe_code)]

use std::sync::Arc;

use super::buffer::{Buffer, BufferType};
use super::completion::Completion;
use super::error::{Code, Error};
use crate::lower::{shape_i32, storage};
use crate::mlx::{self, Reach, run_program};
use crate::program::ElementType;

impl Buffer {
    /// A row-major buffer of the same bytes, which shares the memory. Whoever donates one of the two leaves the other as
    /// it is: MLX writes only into memory that has one owner.
    ///
    /// # Errors
    /// INVALID_ARGUMENT when the bytes are not as many, and for a deleted buffer; UNIMPLEMENTED for other layouts than
    /// row-major order, and between types of which one is not stored as it is: bool and those of under 8 bits.
    pub fn bitcast(&self, element: ElementType, dims: &[i64]) -> Result<Arc<Self>, Error> {
        let BufferType::Tensor(own) = self.ty() else {
            return Err(Error::new(Code::InvalidArgument, "a token has no bytes"));
        };
        let as_it_is = |element: ElementType| element != ElementType::Bool && element.bits() >= 8;
        if self.layout().is_some() || (own != element && !(as_it_is(own) && as_it_is(element))) {
            let message = format!("a bitcast from {own}{:?} to {element}{dims:?} is not supported on mps", self.dims());
            return Err(Error::new(Code::Unimplemented, message));
        }
        let unstored = || Error::new(Code::Unimplemented, format!("arrays of {element} are not supported on mps"));
        let dtype = storage(element).ok_or_else(unstored)?;
        let shape = shape_i32(dims)?;
        let size = |dims: &[i64]| dims.iter().try_fold(1_i64, |product, size| product.checked_mul(*size));
        let bytes = size(dims).and_then(|size| usize::try_from(size).ok()?.checked_mul(element.bytes()));
        if bytes != Some(self.size_in_bytes()) {
            let (had, own_dims) = (self.size_in_bytes(), self.dims());
            let message = format!("a bitcast of the {had} bytes of {own}{own_dims:?} to {element}{dims:?}");
            return Err(Error::new(Code::InvalidArgument, message));
        }
        let ty = BufferType::Tensor(element);
        let (device, memory) = (self.device().clone(), self.memory());
        if self.size_in_bytes() == 0 {
            return Self::from_bytes(ty, dims, None, [].as_slice(), device, memory);
        }
        let array = self.array()?;
        let stream = device.stream().that_holds(array.dtype())?.that_holds(dtype)?;
        let count = i32::try_from(array.size()).map_err(|_| {
            Error::new(Code::Unimplemented, format!("a bitcast of {} elements is not supported on mps", array.size()))
        })?;
        // The elements may be underway, and fail later.
        let (result, launch) = run_program(self.reach(Reach::now()), || {
            let flat = mlx::reshape(&array, &[count], stream)?;
            let result = mlx::reshape(&mlx::view(&flat, dtype, stream)?, &shape, stream)?;
            let launch = stream.evaluate_async(std::slice::from_ref(&result))?;
            Ok::<_, Error>((result, launch))
        })?;
        Ok(Self::new(ty, dims, None, device, memory, Some(result), Completion::of(launch)))
    }
}
