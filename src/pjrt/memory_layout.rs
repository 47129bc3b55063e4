//! The objects that the Layouts extension gives out.

use std::ptr;
use std::sync::{PoisonError, RwLock};

use super::call::Handle;
use crate::runtime::{Layout, layout_text};

/// What a `PJRT_Layouts_MemoryLayout*` points to: made once for each order of dimensions, and never freed.
pub(in crate::pjrt) struct MemoryLayout {
    /// As `xla::Layout` is written: `{1,0}`.
    pub(super) text: String,
}

// SAFETY: layouts are given out as `MemoryLayout` only.
unsafe impl Handle for MemoryLayout {
    type Opaque = MemoryLayout;
    const NAME: &'static str = "PJRT_Layouts_MemoryLayout";
}

/// The layout of arrays of that rank; None is row-major order.
pub(super) fn of(layout: Option<&Layout>, rank: usize) -> *mut MemoryLayout {
    match layout {
        None => row_major(rank),
        Some(layout) => other(layout),
    }
}

pub(super) fn row_major(rank: usize) -> *mut MemoryLayout {
    static LAYOUTS: RwLock<Vec<&'static MemoryLayout>> = RwLock::new(Vec::new());
    let known = LAYOUTS.read().unwrap_or_else(PoisonError::into_inner).get(rank).copied();
    let layout = known.unwrap_or_else(|| {
        let mut layouts = LAYOUTS.write().unwrap_or_else(PoisonError::into_inner);
        for rank in layouts.len()..=rank {
            layouts.push(MemoryLayout::forever(layout_text(None, rank)));
        }
        layouts[rank]
    });
    ptr::from_ref(layout).cast_mut()
}

fn other(layout: &Layout) -> *mut MemoryLayout {
    static LAYOUTS: RwLock<Vec<(Layout, &'static MemoryLayout)>> = RwLock::new(Vec::new());
    let find = |layouts: &[(Layout, &'static MemoryLayout)]| {
        layouts.iter().find(|(known, _)| known == layout).map(|(_, memory_layout)| *memory_layout)
    };
    let known = find(&LAYOUTS.read().unwrap_or_else(PoisonError::into_inner));
    let memory_layout = known.unwrap_or_else(|| {
        let mut layouts = LAYOUTS.write().unwrap_or_else(PoisonError::into_inner);
        find(&layouts).unwrap_or_else(|| {
            let text = layout_text(Some(layout), layout.minor_to_major().len());
            let memory_layout = MemoryLayout::forever(text);
            layouts.push((layout.clone(), memory_layout));
            memory_layout
        })
    });
    ptr::from_ref(memory_layout).cast_mut()
}

impl MemoryLayout {
    fn forever(text: String) -> &'static Self {
        Box::leak(Box::new(Self { text }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_those_of_xla() {
        for (rank, text) in [(2, "{1,0}"), (0, "{}"), (1, "{0}"), (4, "{3,2,1,0}")] {
            // SAFETY: layouts live as long as the process.
            assert_eq!(unsafe { MemoryLayout::get(row_major(rank)) }.unwrap().text, text);
            assert_eq!(row_major(rank), row_major(rank));
        }
        let column_major = Layout::new(&[0, 1], 2).unwrap();
        let layout = of(column_major.as_ref(), 2);
        // SAFETY: as above.
        assert_eq!(unsafe { MemoryLayout::get(layout) }.unwrap().text, "{0,1}");
        assert_eq!(layout, of(Layout::new(&[0, 1], 2).unwrap().as_ref(), 2));
        assert_ne!(layout, of(None, 2));
    }
}
