#![forbid(unsafe_code)]

use super::Row;

/// Rows of the op table.
pub static ROWS: &[Row] = &[];
