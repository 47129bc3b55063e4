//! `PJRT_Buffer_MemoryLayout`: how the elements of an array lie in memory.

use std::ptr;

use pjrt_sys::{
    PJRT_Buffer_MemoryLayout, PJRT_Buffer_MemoryLayout__bindgen_ty_1 as Union, PJRT_Buffer_MemoryLayout_Tiled as Tiled,
    PJRT_Buffer_MemoryLayout_Type_PJRT_Buffer_MemoryLayout_Type_Strides as STRIDES,
    PJRT_Buffer_MemoryLayout_Type_PJRT_Buffer_MemoryLayout_Type_Tiled as TILED,
};

use super::call::{Result, slice};
use super::copy::{Dims, dense_strides, is_row_major, row_major_strides};
use crate::runtime::{Code, Error};

/// The byte strides that a caller asks for: those of row-major order if `layout` is null.
///
/// # Safety
/// `layout` is null or a caller's layout whose pointers are valid.
///
/// # Errors
/// INVALID_ARGUMENT for a layout that does not fit the dimensions, UNIMPLEMENTED for tiles.
pub(super) unsafe fn strides(
    layout: *const PJRT_Buffer_MemoryLayout,
    dims: &[i64],
    element_bytes: usize,
) -> Result<Dims> {
    if layout.is_null() {
        return Ok(row_major_strides(dims, element_bytes));
    }
    // jaxlib leaves `struct_size` of layouts unset: it cannot be checked.
    // SAFETY: passed on to the caller.
    let layout = unsafe { &*layout };
    match layout.type_ {
        TILED => {
            // SAFETY: the type tells which field of the union is set.
            let tiled = unsafe { layout.__bindgen_anon_1.tiled };
            // SAFETY: the caller's pointer and length.
            let order = unsafe { slice(tiled.minor_to_major, tiled.minor_to_major_size) };
            from_tiled(&tiled, order, dims, element_bytes)
        }
        STRIDES => {
            // SAFETY: the type tells which field of the union is set.
            let strides = unsafe { layout.__bindgen_anon_1.strides };
            // SAFETY: the caller's pointer and length.
            let strides = unsafe { slice(strides.byte_strides, strides.num_byte_strides) };
            if strides.len() != dims.len() {
                let message = format!("expected {} strides, not {}", dims.len(), strides.len());
                return Err(Error::new(Code::InvalidArgument, message));
            }
            Ok(Dims::from_slice(strides))
        }
        other => Err(Error::new(Code::InvalidArgument, format!("memory layout type {other} does not exist"))),
    }
}

fn from_tiled(tiled: &Tiled, order: &[i64], dims: &[i64], element_bytes: usize) -> Result<Dims> {
    if tiled.num_tiles != 0 {
        return Err(Error::new(Code::Unimplemented, "memory layouts with tiles are not supported on mps"));
    }
    let mut sorted = Dims::from_slice(order);
    sorted.sort_unstable();
    if !(0..).take(dims.len()).eq(sorted) {
        let message = format!("minor-to-major order {order:?} is no permutation of {} dimensions", dims.len());
        return Err(Error::new(Code::InvalidArgument, message));
    }
    let order = order.iter().map(|dimension| usize::try_from(*dimension).expect("a permutation of small numbers"));
    Ok(dense_strides(dims, order, element_bytes))
}

/// Refuses every layout for a device but row-major order, which is how arrays lie there.
///
/// # Safety
/// As [`strides`].
pub(super) unsafe fn require_row_major(
    layout: *const PJRT_Buffer_MemoryLayout,
    dims: &[i64],
    element_bytes: usize,
) -> Result {
    // SAFETY: passed on to the caller.
    let strides = unsafe { strides(layout, dims, element_bytes) }?;
    if dims.contains(&0) || is_row_major(dims, &strides, element_bytes) {
        return Ok(());
    }
    Err(Error::new(Code::Unimplemented, "arrays on mps lie in row-major order; other layouts are not supported"))
}

/// `minor_to_major` of row-major arrays: the last `rank` entries serve rank `rank`.
static DESCENDING: [i64; 64] = {
    let mut order = [0; 64];
    let mut index = 0;
    while index < 64 {
        order[index] = 63 - index as i64;
        index += 1;
    }
    order
};

/// The row-major layout of that rank, for structures of results.
///
/// # Errors
/// UNIMPLEMENTED for more dimensions than JAX arrays have.
pub(super) fn row_major(rank: usize) -> Result<PJRT_Buffer_MemoryLayout> {
    let start = DESCENDING.len().checked_sub(rank).ok_or_else(|| {
        Error::new(Code::Unimplemented, format!("arrays of {rank} dimensions are not supported on mps"))
    })?;
    let tiled = Tiled {
        struct_size: Tiled::STRUCT_SIZE,
        extension_start: ptr::null_mut(),
        minor_to_major: DESCENDING[start..].as_ptr(),
        minor_to_major_size: rank,
        tile_dims: ptr::null(),
        tile_dim_sizes: ptr::null(),
        num_tiles: 0,
    };
    Ok(PJRT_Buffer_MemoryLayout {
        struct_size: PJRT_Buffer_MemoryLayout::STRUCT_SIZE,
        extension_start: ptr::null_mut(),
        __bindgen_anon_1: Union { tiled },
        type_: TILED,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tiled(order: &[i64], num_tiles: usize) -> PJRT_Buffer_MemoryLayout {
        let mut layout = row_major(0).unwrap();
        // SAFETY: `row_major` makes this kind.
        let fields = unsafe { &mut layout.__bindgen_anon_1.tiled };
        fields.minor_to_major = order.as_ptr();
        fields.minor_to_major_size = order.len();
        fields.num_tiles = num_tiles;
        layout
    }

    #[test]
    fn orders_become_strides() {
        // SAFETY: the layouts live through the calls.
        unsafe {
            assert_eq!(strides(&tiled(&[0, 1], 0), &[2, 3], 4).unwrap().as_slice(), [4, 8]);
            assert_eq!(strides(&row_major(2).unwrap(), &[2, 3], 4).unwrap().as_slice(), [12, 4]);
            assert_eq!(strides(ptr::null(), &[2, 3], 4).unwrap().as_slice(), [12, 4]);
        }
    }

    #[test]
    fn bad_layouts_are_refused() {
        let code = |order: &[i64], tiles| {
            // SAFETY: the layout lives through the call.
            unsafe { strides(&tiled(order, tiles), &[2, 3], 4) }.unwrap_err().code
        };
        assert_eq!(code(&[0, 1], 1), Code::Unimplemented);
        assert_eq!(code(&[0, 0], 0), Code::InvalidArgument);
        assert_eq!(code(&[0], 0), Code::InvalidArgument);
        assert_eq!(code(&[1, 2], 0), Code::InvalidArgument);
        // SAFETY: the layouts live through the calls.
        unsafe {
            assert_eq!(require_row_major(&tiled(&[0, 1], 0), &[2, 3], 4).unwrap_err().code, Code::Unimplemented);
            assert!(require_row_major(&tiled(&[0, 1], 0), &[1, 3], 4).is_ok());
        }
    }
}
