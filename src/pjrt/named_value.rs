//! `PJRT_NamedValue`: options of the caller, attributes of the plugin.

use std::ffi::CStr;
use std::ptr;

use pjrt_sys::{
    PJRT_NamedValue, PJRT_NamedValue__bindgen_ty_1 as Union, PJRT_NamedValue_Type,
    PJRT_NamedValue_Type_PJRT_NamedValue_kBool as BOOL, PJRT_NamedValue_Type_PJRT_NamedValue_kFloat as FLOAT,
    PJRT_NamedValue_Type_PJRT_NamedValue_kInt64 as INT64,
    PJRT_NamedValue_Type_PJRT_NamedValue_kInt64List as INT64_LIST,
    PJRT_NamedValue_Type_PJRT_NamedValue_kString as STRING,
};

use super::call::{Result, slice, text};
use crate::runtime::{Code, Error};

const fn named(name: &'static CStr, type_: PJRT_NamedValue_Type, value: Union, value_size: usize) -> PJRT_NamedValue {
    PJRT_NamedValue {
        struct_size: PJRT_NamedValue::STRUCT_SIZE,
        extension_start: ptr::null_mut(),
        name: name.as_ptr(),
        name_size: name.count_bytes(),
        type_,
        __bindgen_anon_1: value,
        value_size,
    }
}

/// A list of integers.
pub(super) const fn int64_list(name: &'static CStr, values: &'static [i64]) -> PJRT_NamedValue {
    named(name, INT64_LIST, Union { int64_array_value: values.as_ptr() }, values.len())
}

/// A text that does not change.
#[cfg(test)]
pub(super) const fn string(name: &'static CStr, value: &'static CStr) -> PJRT_NamedValue {
    named(name, STRING, Union { string_value: value.as_ptr() }, value.count_bytes())
}

/// A text that lives as long as whoever gives the value says.
pub(super) const fn text_of(name: &'static CStr, value: &str) -> PJRT_NamedValue {
    named(name, STRING, Union { string_value: value.as_ptr().cast() }, value.len())
}

/// A real number.
pub(super) const fn float(name: &'static CStr, value: f32) -> PJRT_NamedValue {
    named(name, FLOAT, Union { float_value: value }, 1)
}

/// A value that a caller passes.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    String(String),
    Int64(i64),
    Int64List(Vec<i64>),
    Float(f32),
    Bool(bool),
}

/// The options that a caller passes, by name.
///
/// # Safety
/// `values` is null or points to `count` named values whose pointers are valid.
pub(super) unsafe fn read(values: *const PJRT_NamedValue, count: usize) -> Result<Vec<(String, Value)>> {
    // SAFETY: passed on to the caller.
    let values = unsafe { slice(values, count) };
    let mut read = Vec::with_capacity(count);
    for value in values {
        // SAFETY: passed on to the caller.
        let name = unsafe { text(value.name, value.name_size) };
        let union = &value.__bindgen_anon_1;
        // SAFETY: the type tells which field of the union is set; pointers and sizes are the caller's.
        let content = unsafe {
            match value.type_ {
                STRING => Value::String(text(union.string_value, value.value_size)),
                INT64 => Value::Int64(union.int64_value),
                INT64_LIST => Value::Int64List(slice(union.int64_array_value, value.value_size).to_vec()),
                FLOAT => Value::Float(union.float_value),
                BOOL => Value::Bool(union.bool_value),
                other => {
                    let message = format!("option {name}: PJRT_NamedValue_Type {other} does not exist");
                    return Err(Error::new(Code::InvalidArgument, message));
                }
            }
        };
        read.push((name, content));
    }
    Ok(read)
}

/// Values that do not change, for statics.
#[repr(transparent)]
pub(super) struct Constants<const N: usize>(pub [PJRT_NamedValue; N]);

// SAFETY: the pointers are to constants.
unsafe impl<const N: usize> Sync for Constants<N> {}
