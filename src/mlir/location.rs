//! Locations.
#![forbid(unsafe_code)]

use std::sync::Arc;

use stablehlo_c::melior::ir;
use stablehlo_c::{LocationView, view_location};

use crate::program::Location;

/// Locations nested deeper, or made of more parts, are cut off there: they only serve messages.
const DEEPEST: usize = 200;
const LARGEST: usize = 4096;

/// The location of an op or a diagnostic.
pub(super) fn location(location: ir::Location<'_>) -> Location {
    sized(location, 0).0
}

/// The location and the number of its parts.
fn sized(location: ir::Location<'_>, depth: usize) -> (Location, usize) {
    if depth == DEEPEST {
        return (Location::Unknown, 1);
    }
    let text = |bytes: &[u8]| -> Arc<str> { String::from_utf8_lossy(bytes).into() };
    let found = match view_location(location) {
        LocationView::File(file, line, column) => (Location::File { file: text(file), line, column }, 1),
        LocationView::Name(name, inner) => {
            let (inner, size) = sized(inner, depth + 1);
            (Location::Name(text(name), Arc::new(inner)), size + 1)
        }
        LocationView::CallSite(callee, caller) => {
            let (callee, callee_size) = sized(callee, depth + 1);
            let (caller, caller_size) = sized(caller, depth + 1);
            (Location::CallSite(Arc::new(callee), Arc::new(caller)), callee_size + caller_size + 1)
        }
        LocationView::Fused(parts) => {
            let mut size = 1;
            let mut locations = Vec::with_capacity(parts.len());
            for part in parts {
                let (location, part_size) = sized(part, depth + 1);
                size += part_size;
                locations.push(location);
            }
            (Location::Fused(locations.into()), size)
        }
        LocationView::Other => (Location::Unknown, 1),
    };
    if found.1 > LARGEST { (Location::Unknown, 1) } else { found }
}
