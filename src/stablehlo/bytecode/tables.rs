//! The tables of the container: strings, dialects and op names, attributes and types, properties.
#![forbid(unsafe_code)]

use super::format::{section, utf8};
use super::{Cursor, Dialect, Entry, OpName, version};
use crate::stablehlo::ReadError;

/// The string section: lengths (NUL included) in reverse order, then the strings.
pub(super) fn strings(mut cursor: Cursor<'_>) -> Result<Vec<&[u8]>, ReadError> {
    let count = cursor.count("strings")?;
    let mut lengths = Vec::with_capacity(count);
    for _ in 0..count {
        lengths.push(cursor.size()?);
    }
    let mut strings = Vec::with_capacity(count);
    for &length in lengths.iter().rev() {
        match cursor.bytes(length)? {
            [text @ .., 0] => strings.push(text),
            _ => return Err(cursor.error("a string does not end in NUL")),
        }
    }
    cursor.finish("the strings")?;
    Ok(strings)
}

/// The dialect section: dialects with their versions, then op names by dialect.
pub(super) fn dialects<'a>(
    mut cursor: Cursor<'a>,
    version: u64,
    strings: &[&'a [u8]],
) -> Result<(Vec<Dialect<'a>>, Vec<OpName<'a>>), ReadError> {
    let name = |cursor: &Cursor<'a>, index: u64, what: &str| {
        let text = strings[cursor.check_index(index, strings.len(), "string")?];
        utf8(text, cursor.offset(), what)
    };
    let count = cursor.count("dialects")?;
    let mut dialects = Vec::with_capacity(count);
    for _ in 0..count {
        if version < version::DIALECT_VERSIONING {
            let index = cursor.varint()?;
            dialects.push(Dialect { name: name(&cursor, index, "dialect name")? });
            continue;
        }
        let (index, has_version) = cursor.varint_with_flag()?;
        let name = name(&cursor, index, "dialect name")?;
        if has_version {
            // VHLO has no version here but in its op names; no other dialect's version changes what is read.
            let section = cursor.section()?;
            if section.code != section::DIALECT_VERSIONS {
                return Err(cursor.error(format!("expected a dialect version section, came {}", section.code)));
            }
        }
        dialects.push(Dialect { name });
    }
    let mut op_names = Vec::new();
    if version >= version::ELIDE_UNKNOWN_BLOCK_ARGUMENT_LOCATION {
        op_names.reserve(cursor.count("op names")?);
    }
    while !cursor.is_empty() {
        let dialect = cursor.index(dialects.len(), "dialect")?;
        for _ in 0..cursor.count("op names")? {
            let (index, is_registered) = if version < version::NATIVE_PROPERTIES {
                (cursor.varint()?, None)
            } else {
                let (index, is_registered) = cursor.varint_with_flag()?;
                (index, Some(is_registered))
            };
            op_names.push(OpName { dialect, name: name(&cursor, index, "op name")?, is_registered });
        }
    }
    Ok((dialects, op_names))
}

/// Attributes and types: the offset section gives dialect, length and encoding of each.
pub(super) fn entries<'a>(
    mut offsets: Cursor<'a>,
    mut data: Cursor<'a>,
    dialects: usize,
) -> Result<(Vec<Entry<'a>>, Vec<Entry<'a>>), ReadError> {
    let attributes = offsets.count("attributes")?;
    let types = offsets.count("types")?;
    let mut read = |count: usize| {
        let mut entries = Vec::with_capacity(count);
        while entries.len() < count {
            let dialect = offsets.index(dialects, "dialect")?;
            let group = offsets.count("attributes or types of a dialect")?;
            if group > count - entries.len() {
                return Err(offsets.error("more attributes or types than announced"));
            }
            for _ in 0..group {
                let (length, is_custom) = offsets.varint_with_flag()?;
                let length = data.bounded(length, "bytes of an attribute or type")?;
                entries.push(Entry { dialect, is_custom, contents: data.split(length)? });
            }
        }
        Ok(entries)
    };
    let attributes = read(attributes)?;
    let types = read(types)?;
    offsets.finish("the attribute and type offsets")?;
    data.finish("the attributes and types")?;
    Ok((attributes, types))
}

/// The properties section: a count, then for each its length and bytes.
pub(super) fn properties(mut cursor: Cursor<'_>) -> Result<Vec<Cursor<'_>>, ReadError> {
    if cursor.is_empty() {
        return Ok(Vec::new());
    }
    let properties = cursor.list(|cursor| {
        let length = cursor.size()?;
        cursor.split(length)
    })?;
    cursor.finish("the properties")?;
    Ok(properties)
}
