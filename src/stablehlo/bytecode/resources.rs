//! Resource sections: blobs, bools and strings kept outside the attributes that refer to them.
#![forbid(unsafe_code)]

use super::Cursor;
use crate::stablehlo::ReadError;

/// A resource that attributes refer to.
#[derive(Clone, Debug)]
pub(crate) struct Resource<'a> {
    /// Key.
    pub key: &'a [u8],
    /// Contents, None for a declaration without data or for bools and strings, which no attribute uses.
    pub blob: Option<&'a [u8]>,
}

/// Kinds of resources.
const BLOB: u8 = 0;
const BOOL: u8 = 1;
const STRING: u8 = 2;

/// The resources of dialects, in the order in which handles count them. External resources are checked and dropped.
pub(super) fn read<'a>(
    mut offsets: Cursor<'a>,
    mut data: Cursor<'a>,
    strings: &[&'a [u8]],
    dialects: usize,
) -> Result<Vec<Resource<'a>>, ReadError> {
    let mut resources = Vec::new();
    for _ in 0..offsets.count("external resource groups")? {
        offsets.index(strings.len(), "string")?;
        group(&mut offsets, &mut data, strings, &mut Vec::new())?;
    }
    while !offsets.is_empty() {
        offsets.index(dialects, "dialect")?;
        group(&mut offsets, &mut data, strings, &mut resources)?;
    }
    data.finish("the resources")?;
    Ok(resources)
}

fn group<'a>(
    offsets: &mut Cursor<'a>,
    data: &mut Cursor<'a>,
    strings: &[&'a [u8]],
    resources: &mut Vec<Resource<'a>>,
) -> Result<(), ReadError> {
    for _ in 0..offsets.count("resources")? {
        let key = strings[offsets.index(strings.len(), "string")?];
        let length = offsets.size()?;
        let kind = offsets.byte()?;
        let mut contents = data.split(length)?;
        let blob = match kind {
            BLOB if length > 0 => {
                let alignment = contents.varint()?;
                let size = contents.size()?;
                contents.align(alignment)?;
                let blob = contents.bytes(size)?;
                contents.finish("a resource")?;
                Some(blob)
            }
            BLOB | BOOL | STRING => None,
            _ => return Err(offsets.error(format!("unknown resource kind {kind}"))),
        };
        resources.push(Resource { key, blob });
    }
    Ok(())
}
