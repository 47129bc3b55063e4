//! Element types of the API and of the program.

use pjrt_sys::PJRT_Buffer_Type;

use super::call::{Result, slice};
use super::copy::dense_bytes;
use crate::program::ElementType;
use crate::runtime::{BufferType, Code, Error};

/// `PJRT_Buffer_Type_TOKEN`.
const TOKEN: PJRT_Buffer_Type = 23;

/// Number of each element type in `PJRT_Buffer_Type`. The numbers of 26 and above are younger than `pjrt_sys`.
const ELEMENTS: [(PJRT_Buffer_Type, ElementType); 30] = [
    (1, ElementType::Bool),
    (2, ElementType::I8),
    (3, ElementType::I16),
    (4, ElementType::I32),
    (5, ElementType::I64),
    (6, ElementType::U8),
    (7, ElementType::U16),
    (8, ElementType::U32),
    (9, ElementType::U64),
    (10, ElementType::F16),
    (11, ElementType::F32),
    (12, ElementType::F64),
    (13, ElementType::BF16),
    (14, ElementType::C64),
    (15, ElementType::C128),
    (16, ElementType::F8E5M2),
    (17, ElementType::F8E4M3FN),
    (18, ElementType::F8E4M3B11FNUZ),
    (19, ElementType::F8E5M2FNUZ),
    (20, ElementType::F8E4M3FNUZ),
    (21, ElementType::I4),
    (22, ElementType::U4),
    (24, ElementType::I2),
    (25, ElementType::U2),
    (26, ElementType::F8E4M3),
    (27, ElementType::F8E3M4),
    (28, ElementType::F8E8M0FNU),
    (29, ElementType::F4E2M1FN),
    (32, ElementType::F6E2M3FN),
    (33, ElementType::F6E3M2FN),
];

/// The type of that number.
///
/// # Errors
/// INVALID_ARGUMENT for a number without a type, UNIMPLEMENTED for the one-bit integers.
pub(super) fn from_c(number: PJRT_Buffer_Type) -> Result<BufferType> {
    if number == TOKEN {
        return Ok(BufferType::Token);
    }
    if let Some((_, element)) = ELEMENTS.iter().find(|(known, _)| *known == number) {
        return Ok(BufferType::Tensor(*element));
    }
    Err(match number {
        30 => Error::new(Code::Unimplemented, "arrays of s1 are not supported on mps"),
        31 => Error::new(Code::Unimplemented, "arrays of u1 are not supported on mps"),
        _ => Error::new(Code::InvalidArgument, format!("PJRT_Buffer_Type {number} does not exist")),
    })
}

/// The number of a type; 0 (`INVALID`) for element types that cannot cross the API.
pub(super) fn to_c(ty: BufferType) -> PJRT_Buffer_Type {
    match ty {
        BufferType::Token => TOKEN,
        BufferType::Tensor(element) => {
            ELEMENTS.iter().find(|(_, known)| *known == element).map_or(0, |(number, _)| *number)
        }
    }
}

/// Bytes of one element as they cross the API (types of less than 8 bits take a byte each); none for tokens.
pub(super) fn element_bytes(ty: BufferType) -> usize {
    match ty {
        BufferType::Token => 0,
        BufferType::Tensor(element) => element.bytes(),
    }
}

/// The type and sizes that a caller names.
///
/// # Safety
/// `dims` is null or points to `count` sizes.
pub(super) unsafe fn shape<'a>(
    number: PJRT_Buffer_Type,
    dims: *const i64,
    count: usize,
) -> Result<(BufferType, &'a [i64], usize)> {
    let ty = from_c(number)?;
    // SAFETY: passed on to the caller.
    let dims = unsafe { slice(dims, count) };
    Ok((ty, dims, dense_bytes(dims, element_bytes(ty))?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_those_of_the_header() {
        use ElementType::*;
        // The names that `pjrt_sys` knows.
        let named = [
            (pjrt_sys::PJRT_Buffer_Type_PJRT_Buffer_Type_PRED, Bool),
            (pjrt_sys::PJRT_Buffer_Type_PJRT_Buffer_Type_S64, I64),
            (pjrt_sys::PJRT_Buffer_Type_PJRT_Buffer_Type_U8, U8),
            (pjrt_sys::PJRT_Buffer_Type_PJRT_Buffer_Type_F16, F16),
            (pjrt_sys::PJRT_Buffer_Type_PJRT_Buffer_Type_BF16, BF16),
            (pjrt_sys::PJRT_Buffer_Type_PJRT_Buffer_Type_C128, C128),
            (pjrt_sys::PJRT_Buffer_Type_PJRT_Buffer_Type_F8E4M3B11FNUZ, F8E4M3B11FNUZ),
            (pjrt_sys::PJRT_Buffer_Type_PJRT_Buffer_Type_F8E5M2FNUZ, F8E5M2FNUZ),
            (pjrt_sys::PJRT_Buffer_Type_PJRT_Buffer_Type_S4, I4),
            (pjrt_sys::PJRT_Buffer_Type_PJRT_Buffer_Type_U2, U2),
        ];
        for (number, element) in named {
            assert_eq!(to_c(BufferType::Tensor(element)), number, "{element}");
        }
        assert_eq!(to_c(BufferType::Token), pjrt_sys::PJRT_Buffer_Type_PJRT_Buffer_Type_TOKEN);
    }

    #[test]
    fn every_number_comes_back() {
        for number in (1..=29).chain(32..=33) {
            assert_eq!(to_c(from_c(number).unwrap()), number);
        }
        assert_eq!(from_c(0).unwrap_err().code, Code::InvalidArgument);
        assert_eq!(from_c(30).unwrap_err().code, Code::Unimplemented);
        assert_eq!(from_c(34).unwrap_err().code, Code::InvalidArgument);
    }
}
