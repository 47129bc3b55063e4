//! `PJRT_Buffer_MemoryLayout`: how the elements of an array lie in memory.

use std::ptr;

use pjrt_sys::{
    PJRT_Buffer_MemoryLayout, PJRT_Buffer_MemoryLayout__bindgen_ty_1 as Union, PJRT_Buffer_MemoryLayout_Tiled as Tiled,
    PJRT_Buffer_MemoryLayout_Type_PJRT_Buffer_MemoryLayout_Type_Strides as STRIDES,
    PJRT_Buffer_MemoryLayout_Type_PJRT_Buffer_MemoryLayout_Type_Tiled as TILED,
};

use super::call::{Result, slice};
use super::copy::{Dims, dense_strides, row_major_strides, same_places};
use crate::runtime::{Code, Error, Layout};

/// The byte strides of a dense array of that layout.
pub(super) fn strides_of(layout: Option<&Layout>, dims: &[i64], element_bytes: usize) -> Dims {
    let Some(layout) = layout else { return row_major_strides(dims, element_bytes) };
    let order = layout.minor_to_major().iter();
    dense_strides(
        dims,
        order.map(|axis| usize::try_from(*axis).expect("a permutation of small numbers")),
        element_bytes,
    )
}

/// The byte strides that a caller asks for: those of the array's `own` layout if `layout` is null.
///
/// # Safety
/// `layout` is null or a caller's layout whose pointers are valid.
///
/// # Errors
/// INVALID_ARGUMENT for a layout that does not fit the dimensions, UNIMPLEMENTED for tiles.
pub(super) unsafe fn strides(
    layout: *const PJRT_Buffer_MemoryLayout,
    own: Option<&Layout>,
    dims: &[i64],
    element_bytes: usize,
) -> Result<Dims> {
    if layout.is_null() {
        return Ok(strides_of(own, dims, element_bytes));
    }
    // jaxlib leaves `struct_size` of layouts unset: it cannot be checked.
    // SAFETY: passed on to the caller.
    let layout = unsafe { &*layout };
    match layout.type_ {
        TILED => {
            // SAFETY: the type tells which field of the union is set; the pointers in it are the caller's.
            let layout = unsafe { from_tiled(&layout.__bindgen_anon_1.tiled, dims.len()) }?;
            Ok(strides_of(layout.as_ref(), dims, element_bytes))
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

/// # Safety
/// The pointer to the order is valid.
unsafe fn from_tiled(tiled: &Tiled, rank: usize) -> Result<Option<Layout>> {
    if tiled.num_tiles != 0 {
        return Err(Error::new(Code::Unimplemented, "memory layouts with tiles are not supported on mps"));
    }
    // SAFETY: passed on to the caller.
    Layout::new(unsafe { slice(tiled.minor_to_major, tiled.minor_to_major_size) }, rank)
}

/// The layout for an array on a device that a caller asks for: row-major order if `layout` is null.
///
/// # Safety
/// As [`strides`].
///
/// # Errors
/// As [`strides`]; UNIMPLEMENTED for strides that leave gaps between elements.
pub(super) unsafe fn on_device(
    layout: *const PJRT_Buffer_MemoryLayout,
    dims: &[i64],
    element_bytes: usize,
) -> Result<Option<Layout>> {
    if layout.is_null() {
        return Ok(None);
    }
    // SAFETY: passed on to the caller.
    unsafe {
        if (*layout).type_ == TILED {
            return from_tiled(&(*layout).__bindgen_anon_1.tiled, dims.len());
        }
    }
    // SAFETY: passed on to the caller.
    let strides = unsafe { strides(layout, None, dims, element_bytes) }?;
    if dims.contains(&0) {
        return Ok(None);
    }
    let mut order: Vec<i64> = (0..).take(dims.len()).collect();
    order.reverse();
    // Stable: where strides say nothing, the order is row-major.
    order.sort_by_key(|axis| strides[usize::try_from(*axis).expect("not negative")]);
    let layout = Layout::new(&order, dims.len())?;
    if same_places(dims, &strides, &strides_of(layout.as_ref(), dims, element_bytes)) {
        return Ok(layout);
    }
    let message = format!("an array of sizes {dims:?} with byte strides {strides:?} is not supported on mps");
    Err(Error::new(Code::Unimplemented, message))
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

/// The structure for a layout, for results. Its order lives as long as `layout`.
///
/// # Errors
/// UNIMPLEMENTED for more dimensions than JAX arrays have.
pub(super) fn to_c(layout: Option<&Layout>, rank: usize) -> Result<PJRT_Buffer_MemoryLayout> {
    let order = match layout {
        Some(layout) => layout.minor_to_major(),
        None => {
            let start = DESCENDING.len().checked_sub(rank).ok_or_else(|| {
                Error::new(Code::Unimplemented, format!("arrays of {rank} dimensions are not supported on mps"))
            })?;
            &DESCENDING[start..]
        }
    };
    let tiled = Tiled {
        struct_size: Tiled::STRUCT_SIZE,
        extension_start: ptr::null_mut(),
        minor_to_major: order.as_ptr(),
        minor_to_major_size: order.len(),
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
        let mut layout = to_c(None, 0).unwrap();
        // SAFETY: `to_c` makes this kind.
        let fields = unsafe { &mut layout.__bindgen_anon_1.tiled };
        fields.minor_to_major = order.as_ptr();
        fields.minor_to_major_size = order.len();
        fields.num_tiles = num_tiles;
        layout
    }

    fn with_strides(byte_strides: &[i64]) -> PJRT_Buffer_MemoryLayout {
        let mut layout = to_c(None, 0).unwrap();
        layout.type_ = STRIDES;
        layout.__bindgen_anon_1.strides = pjrt_sys::PJRT_Buffer_MemoryLayout_Strides {
            struct_size: pjrt_sys::PJRT_Buffer_MemoryLayout_Strides::STRUCT_SIZE,
            extension_start: ptr::null_mut(),
            byte_strides: byte_strides.as_ptr(),
            num_byte_strides: byte_strides.len(),
        };
        layout
    }

    #[test]
    fn orders_become_strides() {
        let own = Layout::new(&[0, 1], 2).unwrap();
        // SAFETY: the layouts live through the calls.
        unsafe {
            assert_eq!(strides(&tiled(&[0, 1], 0), None, &[2, 3], 4).unwrap().as_slice(), [4, 8]);
            assert_eq!(strides(&to_c(None, 2).unwrap(), own.as_ref(), &[2, 3], 4).unwrap().as_slice(), [12, 4]);
            assert_eq!(strides(ptr::null(), None, &[2, 3], 4).unwrap().as_slice(), [12, 4]);
            assert_eq!(strides(ptr::null(), own.as_ref(), &[2, 3], 4).unwrap().as_slice(), [4, 8]);
        }
    }

    #[test]
    fn strides_become_orders() {
        let order = |dims: &[i64], strides: &[i64]| {
            // SAFETY: the layout lives through the call.
            let layout = unsafe { on_device(&with_strides(strides), dims, 4) };
            layout.map(|layout| layout.map(|layout| layout.minor_to_major().to_vec()))
        };
        assert_eq!(order(&[2, 3], &[12, 4]), Ok(None));
        assert_eq!(order(&[2, 3], &[4, 8]), Ok(Some(vec![0, 1])));
        assert_eq!(order(&[2, 3, 4], &[4, 32, 8]), Ok(Some(vec![0, 2, 1])));
        assert_eq!(order(&[1, 3], &[4, 4]), Ok(None));
        assert_eq!(order(&[0, 3], &[4, 99]), Ok(None));
        assert_eq!(order(&[2, 3], &[16, 4]).unwrap_err().code, Code::Unimplemented);
        assert_eq!(order(&[2, 3], &[4]).unwrap_err().code, Code::InvalidArgument);
    }

    #[test]
    fn bad_layouts_are_refused() {
        for (order, tiles, expected) in [
            (&[0, 1][..], 1, Code::Unimplemented),
            (&[0, 0], 0, Code::InvalidArgument),
            (&[0], 0, Code::InvalidArgument),
            (&[1, 2], 0, Code::InvalidArgument),
        ] {
            // SAFETY: the layouts live through the calls.
            unsafe {
                assert_eq!(strides(&tiled(order, tiles), None, &[2, 3], 4).unwrap_err().code, expected);
                assert_eq!(on_device(&tiled(order, tiles), &[2, 3], 4).unwrap_err().code, expected);
            }
        }
    }
}
