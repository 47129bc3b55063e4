//! What melior lacks to read StableHLO: loading portable artifacts, the attributes and types of the dialect, and views of
//! MLIR's own attributes, types and locations as plain enums.
//!
//! melior's accessors print or panic where a string is no UTF-8 (its `StringRef::as_str` also where it is empty), and a
//! panic inside one of its callbacks ends the process. Everything here hands out bytes instead.
//!
//! The library behind both is the one of the PyPI package `torch-mlir`; the functions in `ffi` are those of StableHLO's
//! C interface (openxla/stablehlo, stablehlo/integrations/c) that it exports.

mod attribute;
mod bytes;
mod diagnostics;
mod ffi;
mod load;
mod location;
mod numbers;
mod types;

pub use attribute::{AttributeView, Elements, view_attribute};
pub use bytes::{attribute_text, identifier_bytes, operation_name, type_text};
pub use diagnostics::{Diagnostic, with_diagnostics};
pub use load::{context, deserialize, library_version, parse, register_passes};
pub use location::{LocationView, view_location};
pub use melior;
pub use numbers::Number;
pub use types::{TypeView, type_key, value_key, view_type};
