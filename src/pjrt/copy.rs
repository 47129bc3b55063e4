//! Copies between arrays of any byte strides.

use smallvec::SmallVec;

use super::call::Result;
use crate::runtime::{Code, Error};

/// Sizes or strides of the dimensions of an array.
pub(super) type Dims = SmallVec<[i64; 8]>;

/// Bytes of a dense array.
///
/// # Errors
/// INVALID_ARGUMENT for a negative size and for more bytes than there can be.
pub(super) fn dense_bytes(dims: &[i64], element_bytes: usize) -> Result<usize> {
    if let Some(negative) = dims.iter().find(|size| **size < 0) {
        return Err(Error::new(Code::InvalidArgument, format!("size {negative} in the dimensions {dims:?}")));
    }
    if dims.contains(&0) {
        return Ok(0);
    }
    let too_large = || Error::new(Code::InvalidArgument, format!("dimensions {dims:?} are too large"));
    let bytes = dims
        .iter()
        .try_fold(element_bytes, |bytes, size| usize::try_from(*size).ok().and_then(|size| bytes.checked_mul(size)));
    bytes.filter(|bytes| isize::try_from(*bytes).is_ok()).ok_or_else(too_large)
}

/// Byte strides of the dense array whose dimensions lie in memory in the given order, fastest first.
/// `minor_to_major` is a permutation; [`dense_bytes`] has accepted the sizes.
pub(super) fn dense_strides(dims: &[i64], minor_to_major: impl Iterator<Item = usize>, element_bytes: usize) -> Dims {
    let mut strides = Dims::from_elem(0, dims.len());
    let mut stride = i64::try_from(element_bytes).unwrap_or(i64::MAX);
    for dimension in minor_to_major {
        strides[dimension] = stride;
        stride = stride.saturating_mul(dims[dimension].max(1));
    }
    strides
}

/// Byte strides of the dense row-major array.
pub(super) fn row_major_strides(dims: &[i64], element_bytes: usize) -> Dims {
    dense_strides(dims, (0..dims.len()).rev(), element_bytes)
}

/// Whether elements with these strides lie at the same places; the stride of a dimension of size 1 does not matter.
pub(super) fn same_places(dims: &[i64], strides: &[i64], others: &[i64]) -> bool {
    dims.iter().zip(strides).zip(others).all(|((size, stride), other)| *size == 1 || stride == other)
}

/// One dimension of a copy.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Loop {
    size: usize,
    from: isize,
    to: isize,
}

/// The loops of a copy, the innermost last: dimensions of size 1 are gone, and neighbours that lie dense in both arrays
/// are one.
fn loops(dims: &[i64], from: &[i64], to: &[i64]) -> Result<SmallVec<[Loop; 8]>> {
    let mut loops = SmallVec::<[Loop; 8]>::new();
    let wide = || Error::new(Code::InvalidArgument, "strides are too large");
    for ((size, from), to) in dims.iter().zip(from).zip(to) {
        if *size == 1 {
            continue;
        }
        loops.push(Loop {
            size: usize::try_from(*size).map_err(|_| wide())?,
            from: isize::try_from(*from).map_err(|_| wide())?,
            to: isize::try_from(*to).map_err(|_| wide())?,
        });
    }
    // Writing in order of addresses is what memory likes.
    loops.sort_by_key(|dimension| std::cmp::Reverse(dimension.to.unsigned_abs()));
    let mut merged = SmallVec::<[Loop; 8]>::new();
    for inner in loops {
        let span = |stride: isize| isize::try_from(inner.size).ok().and_then(|size| stride.checked_mul(size));
        match merged.last_mut() {
            Some(outer) if Some(outer.from) == span(inner.from) && Some(outer.to) == span(inner.to) => {
                *outer = Loop { size: outer.size * inner.size, ..inner };
            }
            _ => merged.push(inner),
        }
    }
    Ok(merged)
}

/// Copies an array of `dims` from one place and layout to another. Elements need not be aligned.
///
/// # Safety
/// All elements of both arrays, as base, sizes and strides (in bytes, negative and 0 allowed in `from`) tell, can be read
/// and written, and the arrays do not overlap. If a size is 0 nothing is touched.
///
/// # Errors
/// INVALID_ARGUMENT for strides wider than an address.
pub(super) unsafe fn strided(
    dims: &[i64],
    element_bytes: usize,
    (from, from_strides): (*const u8, &[i64]),
    (to, to_strides): (*mut u8, &[i64]),
) -> Result {
    if dims.contains(&0) || element_bytes == 0 {
        return Ok(());
    }
    let loops = loops(dims, from_strides, to_strides)?;
    let bytes = element_bytes.cast_signed();
    // SAFETY: passed on to the caller in all of the calls below.
    unsafe {
        match loops.as_slice() {
            [] => std::ptr::copy_nonoverlapping(from, to, element_bytes),
            [outer @ .., inner] if inner.from == bytes && inner.to == bytes => {
                let length = inner.size * element_bytes;
                walk(outer, from, to, &|from, to| std::ptr::copy_nonoverlapping(from, to, length));
            }
            [outer @ .., first, second] => {
                walk(outer, from, to, &|from, to| tiles(element_bytes, *first, *second, from, to));
            }
            [only] => tiles(element_bytes, Loop { size: 1, from: 0, to: 0 }, *only, from, to),
        }
    }
    Ok(())
}

/// Runs the loops from the outermost on.
///
/// # Safety
/// `copy` may be called at every place that the loops reach.
unsafe fn walk(loops: &[Loop], from: *const u8, to: *mut u8, copy: &impl Fn(*const u8, *mut u8)) {
    let Some((outer, inner)) = loops.split_first() else { return copy(from, to) };
    for index in 0..outer.size.cast_signed() {
        // SAFETY: the place lies within the arrays, as the caller says.
        unsafe { walk(inner, from.offset(index * outer.from), to.offset(index * outer.to), copy) };
    }
}

/// Copies two dimensions in squares that stay in the cache, whichever of the two arrays is the transposed one.
///
/// # Safety
/// As [`strided`].
unsafe fn tiles(element_bytes: usize, first: Loop, second: Loop, from: *const u8, to: *mut u8) {
    // SAFETY: passed on to the caller.
    unsafe {
        match element_bytes {
            1 => tiles_of::<u8>(first, second, from, to),
            2 => tiles_of::<u16>(first, second, from, to),
            4 => tiles_of::<u32>(first, second, from, to),
            8 => tiles_of::<u64>(first, second, from, to),
            16 => tiles_of::<u128>(first, second, from, to),
            _ => unreachable!("elements have 1, 2, 4, 8 or 16 bytes"),
        }
    }
}

/// See [`tiles`].
///
/// # Safety
/// As [`strided`].
unsafe fn tiles_of<T: Copy>(first: Loop, second: Loop, from: *const u8, to: *mut u8) {
    const EDGE: usize = 32;
    for first_start in (0..first.size).step_by(EDGE) {
        for second_start in (0..second.size).step_by(EDGE) {
            for row in first_start..first.size.min(first_start + EDGE) {
                for column in second_start..second.size.min(second_start + EDGE) {
                    let (row, column) = (row.cast_signed(), column.cast_signed());
                    // SAFETY: the element lies within the arrays, as the caller says.
                    unsafe {
                        let element = from.offset(row * first.from + column * second.from).cast::<T>().read_unaligned();
                        to.offset(row * first.to + column * second.to).cast::<T>().write_unaligned(element);
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Element by element, in the order of the indices.
    fn expected(dims: &[i64], source: &[u16], base: i64, strides: &[i64]) -> Vec<u16> {
        let count: i64 = dims.iter().product();
        (0..count)
            .map(|mut flat| {
                let mut offset = base;
                for (size, stride) in dims.iter().zip(strides).rev() {
                    offset += flat % size * stride;
                    flat /= size;
                }
                source[usize::try_from(offset).unwrap()]
            })
            .collect()
    }

    fn gathered(dims: &[i64], source: &[u16], base: i64, strides: &[i64]) -> Vec<u16> {
        let byte_strides: Vec<i64> = strides.iter().map(|stride| stride * 2).collect();
        let length = dense_bytes(dims, 2).unwrap();
        let mut bytes = vec![0; length];
        // SAFETY: the tests below stay within `source`.
        unsafe {
            let from = source.as_ptr().cast::<u8>().offset(isize::try_from(base * 2).unwrap());
            strided(dims, 2, (from, &byte_strides), (bytes.as_mut_ptr(), &row_major_strides(dims, 2))).unwrap();
        }
        bytes.chunks_exact(2).map(|pair| u16::from_ne_bytes([pair[0], pair[1]])).collect()
    }

    #[test]
    fn any_strides_are_gathered() {
        let source: Vec<u16> = (0..70 * 67).collect();
        let cases: &[(&[i64], i64, &[i64])] = &[
            (&[], 5, &[]),
            (&[7], 0, &[1]),
            (&[7], 6, &[-1]),
            (&[7], 3, &[0]),
            (&[70, 67], 0, &[67, 1]),
            (&[67, 70], 0, &[1, 67]),
            (&[70, 67], 70 * 67 - 1, &[-67, -1]),
            (&[3, 4, 5], 0, &[5, 15, 1]),
            (&[3, 4, 5], 2, &[0, 10, 0]),
            (&[5, 1, 6], 0, &[6, 1000, 1]),
            (&[2, 3, 2, 3], 35, &[-18, 6, -3, 1]),
            (&[1, 1], 9, &[123, 456]),
        ];
        for (dims, base, strides) in cases {
            assert_eq!(gathered(dims, &source, *base, strides), expected(dims, &source, *base, strides), "{dims:?}");
        }
    }

    #[test]
    fn empty_arrays_are_not_touched() {
        let nowhere = (std::ptr::null(), [0, 4].as_slice());
        // SAFETY: nothing is read or written.
        assert!(unsafe { strided(&[3, 0], 4, nowhere, (std::ptr::null_mut(), &[0, 4])) }.is_ok());
    }

    #[test]
    fn neighbours_merge() {
        let dense = loops(&[2, 3, 4], &[48, 16, 4], &[48, 16, 4]).unwrap();
        assert_eq!(dense.as_slice(), [Loop { size: 24, from: 4, to: 4 }]);
        assert!(same_places(&[2, 1, 4], &[16, 999, 4], &[16, 16, 4]));
        assert!(!same_places(&[2, 4], &[4, 8], &[16, 4]));
    }

    #[test]
    fn sizes_are_checked() {
        assert_eq!(dense_bytes(&[2, 3], 4).unwrap(), 24);
        assert_eq!(dense_bytes(&[i64::MAX, 0], 4).unwrap(), 0);
        assert_eq!(dense_bytes(&[i64::MAX, 2], 4).unwrap_err().code, Code::InvalidArgument);
        assert_eq!(dense_bytes(&[-1], 4).unwrap_err().code, Code::InvalidArgument);
    }

    #[test]
    fn column_major_strides() {
        assert_eq!(dense_strides(&[2, 3, 4], [0, 1, 2].into_iter(), 4).as_slice(), [4, 8, 24]);
        assert_eq!(row_major_strides(&[2, 3, 4], 4).as_slice(), [48, 16, 4]);
    }
}
