//! A copy of a file in which some attributes are replaced by text: for readers that do not know their dialect.
//!
//! Only the section of attributes and types, and that of their lengths, are written anew; all others are copied, at the
//! alignment that they ask for.
#![forbid(unsafe_code)]

use super::format::section;
use super::{AttributeId, Cursor, Entry, MAGIC, Module};
use crate::stablehlo::ReadError;

/// Padding before aligned data.
const ALIGNMENT_BYTE: u8 = 0xCB;
/// Set in the head of a section that gives its alignment.
const HAS_ALIGNMENT: u8 = 0x80;

/// Copies the file that `module` was read from; attributes for which `text` gives text become that text.
pub(crate) fn with_texts(
    bytes: &[u8],
    module: &Module<'_>,
    text: impl Fn(AttributeId, &Entry<'_>) -> Option<String>,
) -> Result<Vec<u8>, ReadError> {
    let (offsets, data) = entries(module, text)?;
    let mut cursor = Cursor::new(bytes, 0);
    cursor.bytes(MAGIC.len())?;
    cursor.varint()?;
    cursor.nul_terminated()?;
    let mut out = bytes[..cursor.offset()].to_vec();
    while !cursor.is_empty() {
        let head = cursor.byte()?;
        let length = cursor.size()?;
        let alignment = if head & HAS_ALIGNMENT == 0 {
            None
        } else {
            let alignment = cursor.varint()?;
            cursor.align(alignment)?;
            Some(alignment)
        };
        let contents = cursor.bytes(length)?;
        let contents = match head & !HAS_ALIGNMENT {
            section::ATTRIBUTE_TYPE => &data,
            section::ATTRIBUTE_TYPE_OFFSET => &offsets,
            _ => contents,
        };
        out.push(head);
        write_varint(&mut out, contents.len() as u64);
        if let Some(alignment) = alignment {
            write_varint(&mut out, alignment);
            while !(out.len() as u64).is_multiple_of(alignment) {
                out.push(ALIGNMENT_BYTE);
            }
        }
        out.extend_from_slice(contents);
    }
    Ok(out)
}

/// The contents of the two sections: lengths, then data.
fn entries(
    module: &Module<'_>,
    text: impl Fn(AttributeId, &Entry<'_>) -> Option<String>,
) -> Result<(Vec<u8>, Vec<u8>), ReadError> {
    let mut offsets = Vec::new();
    let mut data = Vec::new();
    write_varint(&mut offsets, module.attributes.len() as u64);
    write_varint(&mut offsets, module.types.len() as u64);
    for (list, is_attributes) in [(&module.attributes, true), (&module.types, false)] {
        let mut index = 0u32;
        for group in list.chunk_by(|left, right| left.dialect == right.dialect) {
            write_varint(&mut offsets, group[0].dialect as u64);
            write_varint(&mut offsets, group.len() as u64);
            for entry in group {
                let replacement = if is_attributes { text(AttributeId(index), entry) } else { None };
                index += 1;
                let start = data.len();
                let is_custom = match replacement {
                    Some(text) => {
                        data.extend_from_slice(text.as_bytes());
                        data.push(0);
                        false
                    }
                    None => {
                        let mut contents = entry.contents.clone();
                        data.extend_from_slice(contents.bytes(contents.remaining())?);
                        entry.is_custom
                    }
                };
                write_varint(&mut offsets, ((data.len() - start) as u64) << 1 | u64::from(is_custom));
            }
        }
    }
    Ok((offsets, data))
}

/// A variable-width integer: the trailing zeros of the first byte count the bytes that follow it.
fn write_varint(out: &mut Vec<u8>, value: u64) {
    let bits = u64::BITS - value.leading_zeros();
    for extra in 0..8u32 {
        if bits <= 7 * (extra + 1) {
            let encoded = (u128::from(value) << 1 | 1) << extra;
            out.extend_from_slice(&encoded.to_le_bytes()[..=extra as usize]);
            return;
        }
    }
    out.push(0);
    out.extend_from_slice(&value.to_le_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn varints_are_read_back() {
        for bits in 0..64 {
            for value in [1u64 << bits, (1 << bits) - 1, u64::MAX >> bits] {
                let mut out = Vec::new();
                write_varint(&mut out, value);
                let mut cursor = Cursor::new(&out, 0);
                assert_eq!(cursor.varint().expect("well-formed"), value);
                assert!(cursor.is_empty());
            }
        }
    }

    #[test]
    fn without_a_replacement_a_file_says_the_same() {
        let data = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/stablehlo-1.13");
        for name in ["sharded_jit", "const_dense", "linalg_calls"] {
            let bytes = std::fs::read(data.join(name).with_extension("mlirbc")).expect("a readable file");
            let module = Module::parse(&bytes).expect("well-formed");
            let copy = with_texts(&bytes, &module, |_, _| None).expect("well-formed");
            let read = |bytes: &[u8]| crate::stablehlo::read(bytes).expect("well-formed");
            assert!(read(&bytes) == read(&copy), "{name}");
        }
    }
}
