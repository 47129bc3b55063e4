//! What all conversions from the container to the program share: the module, memory of what was converted already, and
//! a budget against inputs that unfold to more than they are.
#![forbid(unsafe_code)]

use super::ReadError;
use super::bytecode::{AttributeId, BuiltinAttribute, Entry, Module, TypeId, utf8};
use super::vhlo::VhloAttribute;
use crate::program::{Location, Type};

/// Work allowed for each byte of input, and the least that is allowed in all. Attributes and types are shared in the
/// file and copied in the program, so that an input of n bytes could otherwise ask for 2^n.
const BUDGET_PER_BYTE: usize = 64;
const LEAST_BUDGET: usize = 1 << 20;

/// Attributes nested deeper than this are refused.
const DEEPEST_ATTRIBUTE: usize = 64;

/// Dialects that have attributes or types that are understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DialectKind {
    Builtin,
    Vhlo,
    Sdy,
    Other,
}

/// An attribute, one level deep.
#[derive(Clone, Debug)]
pub(super) enum Shallow<'a> {
    Builtin(BuiltinAttribute<'a>),
    Vhlo(VhloAttribute<'a>),
    Sdy,
    /// In text form.
    Text(&'a str),
    /// Of a dialect that is not known: its name and length.
    Unknown(&'a str, usize),
}

/// State of a conversion.
pub(super) struct Context<'a> {
    /// The container.
    pub module: &'a Module<'a>,
    dialects: Vec<DialectKind>,
    budget: usize,
    depth: usize,
    pub(super) types: Vec<Option<(Type, usize)>>,
    pub(super) locations: Vec<Option<(Location, usize)>>,
}

impl<'a> Context<'a> {
    /// A context for a module that was read from `length` bytes.
    pub fn new(module: &'a Module<'a>, length: usize) -> Self {
        let dialects = module
            .dialects
            .iter()
            .map(|dialect| match dialect.name {
                "builtin" => DialectKind::Builtin,
                "vhlo" => DialectKind::Vhlo,
                "sdy" => DialectKind::Sdy,
                _ => DialectKind::Other,
            })
            .collect();
        Self {
            module,
            dialects,
            budget: length.saturating_mul(BUDGET_PER_BYTE).max(LEAST_BUDGET),
            depth: 0,
            types: vec![None; module.types.len()],
            locations: vec![None; module.attributes.len()],
        }
    }

    /// The dialect of that number.
    pub fn dialect(&self, dialect: usize) -> DialectKind {
        self.dialects[dialect]
    }

    /// Takes `amount` from the budget.
    pub fn charge(&mut self, amount: usize) -> Result<(), ReadError> {
        self.budget = self
            .budget
            .checked_sub(amount)
            .ok_or_else(|| ReadError::malformed(0, "the program unfolds to far more than its bytes"))?;
        Ok(())
    }

    /// Runs `work` one level deeper.
    pub fn nested<T>(&mut self, work: impl FnOnce(&mut Self) -> Result<T, ReadError>) -> Result<T, ReadError> {
        if self.depth == DEEPEST_ATTRIBUTE {
            return Err(ReadError::malformed(
                0,
                format!("attributes or types are nested more than {DEEPEST_ATTRIBUTE} deep"),
            ));
        }
        self.depth += 1;
        let result = work(self);
        self.depth -= 1;
        result
    }

    /// The text of an entry in text form.
    pub fn text(&self, entry: &Entry<'a>) -> Result<&'a str, ReadError> {
        let mut cursor = entry.contents.clone();
        let text = utf8(cursor.nul_terminated()?, entry.contents.offset(), "text of an attribute or type")?;
        cursor.finish("the text of an attribute or type")?;
        Ok(text)
    }

    /// Decodes an attribute one level deep.
    pub fn shallow(&mut self, id: AttributeId) -> Result<Shallow<'a>, ReadError> {
        let module = self.module;
        let entry = module.attribute(id);
        self.charge(1 + entry.contents.remaining())?;
        if !entry.is_custom {
            return Ok(Shallow::Text(self.text(entry)?));
        }
        Ok(match self.dialect(entry.dialect) {
            DialectKind::Builtin => Shallow::Builtin(BuiltinAttribute::decode(module, entry)?),
            DialectKind::Vhlo => Shallow::Vhlo(VhloAttribute::decode(self, entry)?),
            DialectKind::Sdy => Shallow::Sdy,
            DialectKind::Other => Shallow::Unknown(module.dialect_name(entry.dialect), entry.contents.remaining()),
        })
    }

    /// The position of an attribute in the input, for messages.
    pub fn attribute_offset(&self, id: AttributeId) -> usize {
        self.module.attribute(id).contents.offset()
    }

    /// The position of a type in the input, for messages.
    pub fn type_offset(&self, id: TypeId) -> usize {
        self.module.type_entry(id).contents.offset()
    }

    /// The bytes of a string attribute.
    pub fn string_bytes(&mut self, id: AttributeId) -> Result<&'a [u8], ReadError> {
        match self.shallow(id)? {
            Shallow::Builtin(BuiltinAttribute::String(text)) | Shallow::Vhlo(VhloAttribute::String(text)) => Ok(text),
            other => Err(ReadError::malformed(self.attribute_offset(id), format!("expected a string, came {other:?}"))),
        }
    }

    /// A string attribute as text.
    pub fn string(&mut self, id: AttributeId) -> Result<&'a str, ReadError> {
        let bytes = self.string_bytes(id)?;
        utf8(bytes, self.attribute_offset(id), "string")
    }
}
