//! What a file consists of.
#![forbid(unsafe_code)]

use super::cursor::Cursor;
use super::resources::Resource;
use crate::stablehlo::ReadError;

/// First bytes of every file.
pub(crate) const MAGIC: [u8; 4] = *b"ML\xefR";

/// The newest version of the container that is read.
pub(super) const NEWEST_VERSION: u64 = 6;

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
pub(super) mod section {
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

/// A value: unique in the file, counted in the order of definition region by region.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct ValueIndex(pub u32);

/// Inherent attributes of an op.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Properties {
    /// None.
    None,
    /// Index into [`Module::properties`], encoded by the op.
    Encoded(usize),
    /// A dictionary attribute: what the writer gives an op that it does not know.
    Attribute(AttributeId),
}

/// An op.
#[derive(Debug)]
pub(crate) struct Operation {
    /// Index into [`Module::op_names`].
    pub name: usize,
    /// Location.
    pub location: AttributeId,
    /// Dictionary of attributes.
    pub attributes: Option<AttributeId>,
    /// Inherent attributes.
    pub properties: Properties,
    /// First result; the others follow.
    pub first_result: ValueIndex,
    /// Types of the results.
    pub result_types: Vec<TypeId>,
    /// Operands.
    pub operands: Vec<ValueIndex>,
    /// Number of successor blocks.
    pub successors: usize,
    /// Regions.
    pub regions: Vec<Region>,
}

/// A region.
#[derive(Debug)]
pub(crate) struct Region {
    /// Blocks.
    pub blocks: Vec<Block>,
}

/// A block.
#[derive(Debug)]
pub(crate) struct Block {
    /// First argument; the others follow.
    pub first_argument: ValueIndex,
    /// Types of the arguments.
    pub argument_types: Vec<TypeId>,
    /// Ops.
    pub ops: Vec<Operation>,
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

/// Checks that bytes are UTF-8.
pub(crate) fn utf8<'a>(bytes: &'a [u8], offset: usize, what: &str) -> Result<&'a str, ReadError> {
    std::str::from_utf8(bytes).map_err(|_| ReadError::malformed(offset, format!("the {what} is not UTF-8")))
}
