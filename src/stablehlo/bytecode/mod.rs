//! The MLIR bytecode container (llvm/llvm-project, mlir/docs/BytecodeFormat.md), versions 0 to 6.
//!
//! The result is a generic tree without knowledge of any dialect but builtin. It borrows from the input. The bytes are
//! untrusted: every length and index is checked, recursion is bounded, and nothing is reserved that the input's own
//! size does not justify.
#![forbid(unsafe_code)]

mod builtin;
mod cursor;
mod format;
mod ir;
mod resources;
#[cfg(any(test, feature = "mlir"))]
mod rewrite;
mod tables;
mod text;

pub(crate) use builtin::{BuiltinAttribute, BuiltinType};
pub(crate) use cursor::Cursor;
pub(crate) use format::{
    AttributeId, Block, Dialect, Entry, MAGIC, Module, OpName, Operation, Properties, Region, TypeId, ValueIndex, utf8,
    version,
};
pub(crate) use resources::Resource;
#[cfg(feature = "mlir")]
pub(crate) use rewrite::with_texts;
pub(crate) use text::TextAttribute;

use self::format::{NEWEST_VERSION, section};
use super::ReadError;

impl<'a> Module<'a> {
    /// Decodes the container.
    ///
    /// # Errors
    /// Bytes that are no MLIR bytecode, a version newer than 6, and every violation of the format.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, ReadError> {
        let mut cursor = Cursor::new(bytes, 0);
        if !bytes.starts_with(&MAGIC) {
            return Err(cursor.error(format!(
                "expected the magic bytes 4d 4c ef 52, came {:02x?}",
                &bytes[..bytes.len().min(MAGIC.len())]
            )));
        }
        cursor.bytes(MAGIC.len())?;
        let version = cursor.varint()?;
        if version > NEWEST_VERSION {
            return Err(ReadError::unsupported(format!("version {version}; versions 0 to {NEWEST_VERSION} are read")));
        }
        let offset = cursor.offset();
        let producer = utf8(cursor.nul_terminated()?, offset, "producer")?;

        let mut sections: [Option<Cursor<'a>>; section::COUNT] = Default::default();
        while !cursor.is_empty() {
            let offset = cursor.offset();
            let section = cursor.section()?;
            let slot = sections
                .get_mut(usize::from(section.code))
                .ok_or_else(|| ReadError::malformed(offset, format!("unknown section {}", section.code)))?;
            if slot.replace(section.contents).is_some() {
                return Err(ReadError::malformed(offset, format!("section {} comes twice", section.code)));
            }
        }
        let end = bytes.len();
        let mut take = |code: u8| sections[usize::from(code)].take();
        let need = |section: Option<Cursor<'a>>, name: &str| {
            section.ok_or_else(|| ReadError::malformed(end, format!("there is no {name} section")))
        };

        let strings = tables::strings(need(take(section::STRING), "string")?)?;
        let (dialects, op_names) = tables::dialects(need(take(section::DIALECT), "dialect")?, version, &strings)?;
        let (attributes, types) = tables::entries(
            need(take(section::ATTRIBUTE_TYPE_OFFSET), "attribute and type offset")?,
            need(take(section::ATTRIBUTE_TYPE), "attribute and type")?,
            dialects.len(),
        )?;
        let resources = match (take(section::RESOURCE_OFFSET), take(section::RESOURCE)) {
            (Some(offsets), data) => {
                resources::read(offsets, data.unwrap_or_else(|| Cursor::new(&[], end)), &strings, dialects.len())?
            }
            (None, _) => Vec::new(),
        };
        let properties = match take(section::PROPERTIES) {
            Some(section) => tables::properties(section)?,
            None => Vec::new(),
        };
        let mut module = Module {
            version,
            producer,
            strings,
            dialects,
            op_names,
            attributes,
            types,
            resources,
            properties,
            values: 0,
            ops: Vec::new(),
        };
        (module.ops, module.values) = ir::read(need(take(section::IR), "IR")?, &module)?;
        Ok(module)
    }

    /// The dialect's name.
    pub fn dialect_name(&self, dialect: usize) -> &'a str {
        self.dialects[dialect].name
    }

    /// Full name of an op.
    pub fn op_name(&self, op: &Operation) -> String {
        let name = &self.op_names[op.name];
        format!("{}.{}", self.dialect_name(name.dialect), name.name)
    }

    /// Reads an attribute's number.
    pub fn attribute_id(&self, cursor: &mut Cursor<'a>) -> Result<AttributeId, ReadError> {
        let index = cursor.index(self.attributes.len(), "attribute")?;
        Ok(AttributeId(index as u32))
    }

    /// Reads an attribute's number where there may be none.
    pub fn optional_attribute_id(&self, cursor: &mut Cursor<'a>) -> Result<Option<AttributeId>, ReadError> {
        let (index, is_there) = cursor.varint_with_flag()?;
        if !is_there {
            return Ok(None);
        }
        Ok(Some(AttributeId(cursor.check_index(index, self.attributes.len(), "attribute")? as u32)))
    }

    /// Reads a type's number.
    pub fn type_id(&self, cursor: &mut Cursor<'a>) -> Result<TypeId, ReadError> {
        let index = cursor.index(self.types.len(), "type")?;
        Ok(TypeId(index as u32))
    }

    /// Reads a string's number and gives its bytes.
    pub fn string(&self, cursor: &mut Cursor<'a>) -> Result<&'a [u8], ReadError> {
        let index = cursor.index(self.strings.len(), "string")?;
        Ok(self.strings[index])
    }

    /// The entry of an attribute.
    pub fn attribute(&self, id: AttributeId) -> &Entry<'a> {
        &self.attributes[id.0 as usize]
    }

    /// The entry of a type.
    pub fn type_entry(&self, id: TypeId) -> &Entry<'a> {
        &self.types[id.0 as usize]
    }
}
