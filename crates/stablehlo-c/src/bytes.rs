//! Strings of MLIR as bytes.

use std::ffi::c_void;

use melior::ir::operation::OperationLike;
use melior::ir::{Attribute, AttributeLike, Identifier, Type, TypeLike};
use mlir_sys::{MlirStringRef, mlirAttributePrint, mlirIdentifierStr, mlirTypePrint};

/// The bytes that a string of MLIR refers to.
///
/// # Safety
/// They live, unchanged, at least as long as `'a`; those that a context owns live as long as it does.
pub(crate) unsafe fn bytes<'a>(string: MlirStringRef) -> &'a [u8] {
    if string.length == 0 {
        return &[];
    }
    // SAFETY: MLIR's strings are `length` bytes at `data`, and the caller vouches for how long.
    unsafe { std::slice::from_raw_parts(string.data.cast::<u8>(), string.length) }
}

/// The bytes of a name.
pub fn identifier_bytes<'c>(identifier: Identifier<'c>) -> &'c [u8] {
    // SAFETY: identifiers are owned by the context, whose lifetime is `'c`.
    unsafe { bytes(mlirIdentifierStr(identifier.to_raw())) }
}

/// The full name of an op: `stablehlo.add`. Bytes that are no UTF-8 are replaced.
pub fn operation_name<'c: 'a, 'a>(operation: &impl OperationLike<'c, 'a>) -> String {
    String::from_utf8_lossy(identifier_bytes(operation.name())).into_owned()
}

/// Appends what MLIR prints.
unsafe extern "C" fn append(string: MlirStringRef, data: *mut c_void) {
    // SAFETY: `data` is the vector that `printed` passes, used by nobody else meanwhile; the string lives as long as the
    // call. Growing a vector aborts or succeeds, it does not unwind.
    unsafe { (*data.cast::<Vec<u8>>()).extend_from_slice(bytes(string)) }
}

/// What `print` prints; bytes that are no UTF-8 are replaced.
pub(crate) fn printed(print: impl FnOnce(mlir_sys::MlirStringCallback, *mut c_void)) -> String {
    let mut text: Vec<u8> = Vec::new();
    print(Some(append), (&raw mut text).cast());
    String::from_utf8(text).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}

/// The text of an attribute.
pub fn attribute_text(attribute: Attribute<'_>) -> String {
    // SAFETY: the attribute is valid and not null; `printed` passes what its callback expects.
    printed(|callback, data| unsafe { mlirAttributePrint(attribute.to_raw(), callback, data) })
}

/// The text of a type.
pub fn type_text(ty: Type<'_>) -> String {
    // SAFETY: as above.
    printed(|callback, data| unsafe { mlirTypePrint(ty.to_raw(), callback, data) })
}
