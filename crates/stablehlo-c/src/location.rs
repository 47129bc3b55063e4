//! Locations.

use melior::ir::Location;
use mlir_sys::*;

use crate::bytes::bytes;

/// A location, one level deep.
#[derive(Clone, Debug)]
pub enum LocationView<'c> {
    /// File, line and column.
    File(&'c [u8], u32, u32),
    /// Name and what it names.
    Name(&'c [u8], Location<'c>),
    /// Callee, then caller.
    CallSite(Location<'c>, Location<'c>),
    /// Several.
    Fused(Vec<Location<'c>>),
    /// Nothing known, or of a kind that is not looked at.
    Other,
}

/// Looks into a location.
pub fn view_location(location: Location<'_>) -> LocationView<'_> {
    let raw = location.to_raw();
    // SAFETY: the location is valid, each getter is called on its own kind only, and all that they give is owned by the
    // context and not null.
    unsafe {
        let child = |raw: MlirLocation| Location::from_raw(raw);
        let name = |identifier: MlirIdentifier| bytes(mlirIdentifierStr(identifier));
        if mlirLocationIsAFileLineColRange(raw) {
            let number = |value: std::ffi::c_int| u32::try_from(value).unwrap_or(0);
            LocationView::File(
                name(mlirLocationFileLineColRangeGetFilename(raw)),
                number(mlirLocationFileLineColRangeGetStartLine(raw)),
                number(mlirLocationFileLineColRangeGetStartColumn(raw)),
            )
        } else if mlirLocationIsAName(raw) {
            LocationView::Name(name(mlirLocationNameGetName(raw)), child(mlirLocationNameGetChildLoc(raw)))
        } else if mlirLocationIsACallSite(raw) {
            LocationView::CallSite(child(mlirLocationCallSiteGetCallee(raw)), child(mlirLocationCallSiteGetCaller(raw)))
        } else if mlirLocationIsAFused(raw) {
            let count = mlirLocationFusedGetNumLocations(raw) as usize;
            let mut parts = vec![MlirLocation { ptr: std::ptr::null() }; count];
            // The vector has room for as many as were counted.
            mlirLocationFusedGetLocations(raw, parts.as_mut_ptr());
            LocationView::Fused(parts.into_iter().map(child).collect())
        } else {
            LocationView::Other
        }
    }
}
