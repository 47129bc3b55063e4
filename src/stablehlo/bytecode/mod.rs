//! The MLIR bytecode container (llvm/llvm-project, mlir/docs/BytecodeFormat.md), versions 0 to 6.
//!
//! The result is a generic tree without knowledge of any dialect but builtin. It borrows from the input. The bytes are
//! untrusted: every length and index is checked, recursion is bounded, and nothing is reserved that the input's own
//! size does not justify.
#![forbid(unsafe_code)]

mod builtin;
mod cursor;
mod ir;
mod resources;
#[cfg(any(test, feature = "mlir"))]
mod rewrite;
mod tables;
mod text;

pub(crate) use builtin::{BuiltinAttribute, BuiltinType};
pub(crate) use cursor::Cursor;
pub(crate) use ir::{Block, Operation, Properties, Region, ValueIndex};
pub(crate) use resources::Resource;
#[cfg(feature = "mlir")]
pub(crate) use rewrite::with_texts;
pub(crate) use text::TextAttribute;

use super::ReadError;

/// First bytes of every file.
pub(crate) const MAGIC: [u8; 4] = *b"ML\xefR";

/// The newest version of the container that is read.
const NEWEST_VERSION: u64 = 6;

/// Container versions at which an encoding changed.
pub(crate) mod version {
    /// Dialects carry versions.
    pub const DIALECT_VERSIONING: u64 = 1;
    /// Isolated regions lie in sections of their own.
    pub const LAZY_LOADING: u64 = 2;
    /// Use-list orders follow values.
    pub const USE_LIST_ORDERING: u64 = 3;
    /// Block arguments may omit their location.
    pub const ELIDE_UNKNOWN_BLOCK_ARGUMENT_LOCATION: u64 = 4;
    /// Inherent attributes are properties.
    pub const NATIVE_PROPERTIES: u64 = 5;
}

/// Section codes.
mod section {
    pub const STRING: u8 = 0;
    pub const DIALECT: u8 = 1;
    pub const ATTRIBUTE_TYPE: u8 = 2;
    pub const ATTRIBUTE_TYPE_OFFSET: u8 = 3;
    pub const IR: u8 = 4;
    pub const RESOURCE: u8 = 5;
    pub const RESOURCE_OFFSET: u8 = 6;
    pub const DIALECT_VERSIONS: u8 = 7;
    pub const PROPERTIES: u8 = 8;
    pub const COUNT: usize = 9;
}

/// Index into [`Module::attributes`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct AttributeId(pub u32);

/// Index into [`Module::types`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct TypeId(pub u32);

/// A dialect.
#[derive(Clone, Debug)]
pub(crate) struct Dialect<'a> {
    /// Namespace.
    pub name: &'a str,
}

/// An op name.
#[derive(Clone, Debug)]
pub(crate) struct OpName<'a> {
    /// Index into [`Module::dialects`].
    pub dialect: usize,
    /// Name without dialect.
    pub name: &'a str,
    /// Whether the writer knew the op; None before version 5.
    pub is_registered: Option<bool>,
}

/// An attribute or type as it lies in the file.
#[derive(Clone, Debug)]
pub(crate) struct Entry<'a> {
    /// Index into [`Module::dialects`].
    pub dialect: usize,
    /// Encoded by the dialect; otherwise text.
    pub is_custom: bool,
    /// The encoding.
    pub contents: Cursor<'a>,
}

/// A decoded file.
#[derive(Debug)]
pub(crate) struct Module<'a> {
    /// Container version.
    pub version: u64,
    /// Producer: `StableHLO_v1.13.0`.
    pub producer: &'a str,
    /// String table; strings may hold any bytes.
    pub strings: Vec<&'a [u8]>,
    /// Dialects.
    pub dialects: Vec<Dialect<'a>>,
    /// Op names.
    pub op_names: Vec<OpName<'a>>,
    /// Attributes, undecoded.
    pub attributes: Vec<Entry<'a>>,
    /// Types, undecoded.
    pub types: Vec<Entry<'a>>,
    /// Resources that attributes refer to by number.
    pub resources: Vec<Resource<'a>>,
    /// Encoded properties.
    pub properties: Vec<Cursor<'a>>,
    /// Number of values in the whole file.
    pub values: usize,
    /// The top-level ops; one in practice.
    pub ops: Vec<Operation>,
}

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

/// Checks that bytes are UTF-8.
pub(crate) fn utf8<'a>(bytes: &'a [u8], offset: usize, what: &str) -> Result<&'a str, ReadError> {
    std::str::from_utf8(bytes).map_err(|_| ReadError::malformed(offset, format!("the {what} is not UTF-8")))
}
