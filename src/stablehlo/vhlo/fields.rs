//! Typed access to the attributes of one op. What an op's row does not take is an error.
#![forbid(unsafe_code)]

use super::source::dictionary;
use super::{EnumKind, Field, Source};
use crate::program::{Attribute, Attributes, Channel, Collective, ElementType, Literal, Precision, Type};
use crate::stablehlo::ReadError;
use crate::stablehlo::bytecode::AttributeId;

/// Why an op could not be built.
pub(crate) enum Failure {
    /// An attribute could not be read.
    Read(ReadError),
    /// The op breaks a rule.
    Rule(String),
    /// The op is right but not supported.
    Unsupported(String),
}

impl Failure {
    /// The error of the op of that name and source line.
    pub fn of(self, op: String, location: String) -> ReadError {
        match self {
            // Errors of attributes and types do not know their op yet.
            Failure::Read(ReadError::Malformed { offset, message }) => {
                ReadError::Op { op, location, message: format!("{message} (byte {offset})") }
            }
            Failure::Read(ReadError::Unsupported { message }) | Failure::Unsupported(message) => {
                ReadError::UnsupportedOp { op, location, message }
            }
            Failure::Read(error) => error,
            Failure::Rule(message) => ReadError::Op { op, location, message },
        }
    }
}

impl From<ReadError> for Failure {
    fn from(error: ReadError) -> Self {
        Failure::Read(error)
    }
}

impl From<String> for Failure {
    fn from(message: String) -> Self {
        Failure::Rule(message)
    }
}

/// The attributes of one op.
pub(crate) struct Fields<'s> {
    pub source: &'s mut dyn Source,
    /// Inherent attributes that were not taken yet.
    inherent: Vec<(&'static str, AttributeId)>,
    /// Discardable attributes, and inherent ones that have no typed field.
    pub extra: Attributes,
    /// Number of operands.
    pub operands: usize,
}

impl<'s> Fields<'s> {
    /// Fields of an op with these inherent and discardable attributes.
    pub fn new(
        source: &'s mut dyn Source,
        inherent: Vec<(&'static str, AttributeId)>,
        extra: Attributes,
        operands: usize,
    ) -> Self {
        Self { source, inherent, extra, operands }
    }

    /// Checks that every inherent attribute was taken.
    pub fn finish(self) -> Result<Attributes, Failure> {
        match self.inherent.first() {
            None => Ok(self.extra),
            Some((name, _)) => Err(format!("unknown attribute {name}").into()),
        }
    }

    /// Takes an attribute.
    pub fn take(&mut self, name: &str) -> Result<AttributeId, Failure> {
        self.take_optional(name).ok_or_else(|| Failure::Rule(format!("attribute {name} is missing")))
    }

    /// Whether an attribute is there.
    #[cfg_attr(not(feature = "mlir"), expect(dead_code, reason = "VHLO leaves no attribute of a function out"))]
    pub fn has(&self, name: &str) -> bool {
        self.inherent.iter().any(|(each, _)| *each == name)
    }

    /// Takes an attribute that may be missing.
    pub fn take_optional(&mut self, name: &str) -> Option<AttributeId> {
        let index = self.inherent.iter().position(|(each, _)| *each == name)?;
        Some(self.inherent.remove(index).1)
    }

    /// The error for an attribute of the wrong kind.
    fn wrong(&mut self, name: &str, expected: &str, id: AttributeId) -> Failure {
        match self.source.attribute(id) {
            Ok(attribute) => Failure::Rule(format!("attribute {name}: expected {expected}, came {attribute}")),
            Err(error) => Failure::Read(error),
        }
    }

    /// Takes an attribute and looks into it.
    pub fn open(&mut self, name: &str) -> Result<(AttributeId, Field), Failure> {
        let id = self.take(name)?;
        Ok((id, self.source.field(id)?))
    }

    /// An integer.
    pub fn integer(&mut self, name: &str) -> Result<i64, Failure> {
        match self.open(name)? {
            (_, Field::Integer(value)) => {
                i64::try_from(value).map_err(|_| format!("attribute {name}: {value} exceeds 64 bits").into())
            }
            (id, _) => Err(self.wrong(name, "an integer", id)),
        }
    }

    /// A dimension or count: an integer that is not negative.
    pub fn natural(&mut self, name: &str) -> Result<i64, Failure> {
        match self.integer(name)? {
            value if value >= 0 => Ok(value),
            value => Err(format!("attribute {name}: {value} is negative").into()),
        }
    }

    /// A bool.
    pub fn boolean(&mut self, name: &str) -> Result<bool, Failure> {
        match self.open(name)? {
            (_, Field::Bool(value)) => Ok(value),
            (id, _) => Err(self.wrong(name, "a bool", id)),
        }
    }

    /// A 32-bit float.
    pub fn float(&mut self, name: &str) -> Result<f32, Failure> {
        match self.open(name)? {
            (_, Field::Float(value)) => Ok(value),
            (id, _) => Err(self.wrong(name, "an f32", id)),
        }
    }

    /// A string.
    pub fn string(&mut self, name: &str) -> Result<String, Failure> {
        let id = self.take(name)?;
        self.string_of(name, id)
    }

    fn string_of(&mut self, name: &str, id: AttributeId) -> Result<String, Failure> {
        match self.source.field(id)? {
            Field::String(bytes) => {
                String::from_utf8(bytes).map_err(|_| format!("attribute {name}: the string is not UTF-8").into())
            }
            _ => Err(self.wrong(name, "a string", id)),
        }
    }

    /// A list of strings.
    pub fn strings(&mut self, name: &str) -> Result<Vec<String>, Failure> {
        self.array(name)?.into_iter().map(|id| self.string_of(name, id)).collect()
    }

    /// A tensor.
    pub fn literal(&mut self, name: &str) -> Result<Literal, Failure> {
        match self.open(name)? {
            (_, Field::Tensor(literal)) => Ok(literal),
            (id, _) => {
                // A constant may stand in the builtin dialect's encoding, also as a resource.
                match self.source.attribute(id)? {
                    Attribute::Dense(literal) => Ok(literal),
                    _ => Err(self.wrong(name, "a tensor", id)),
                }
            }
        }
    }

    /// Shape and elements of a tensor of integers or bools.
    fn tensor(&mut self, name: &str, element: ElementType) -> Result<(Vec<i64>, Vec<i64>), Failure> {
        let literal = self.literal(name)?;
        if literal.ty.element != element {
            return Err(format!("attribute {name}: expected elements of {element}, came {}", literal.ty).into());
        }
        let integers = self.source.integers_of(&literal)?;
        Ok((literal.ty.shape, integers))
    }

    fn tensor_of(&mut self, name: &str, element: ElementType, rank: usize) -> Result<(Vec<i64>, Vec<i64>), Failure> {
        match self.tensor(name, element)? {
            (shape, integers) if shape.len() == rank => Ok((shape, integers)),
            (shape, _) => Err(format!("attribute {name}: expected rank {rank}, came shape {shape:?}").into()),
        }
    }

    /// A list of integers.
    pub fn integers(&mut self, name: &str) -> Result<Vec<i64>, Failure> {
        Ok(self.tensor_of(name, ElementType::I64, 1)?.1)
    }

    /// A list of bools.
    pub fn booleans(&mut self, name: &str) -> Result<Vec<bool>, Failure> {
        Ok(self.tensor_of(name, ElementType::Bool, 1)?.1.into_iter().map(|value| value != 0).collect())
    }

    /// A list of lists of integers of one length. An empty one may be of any rank: `tensor<0xi64>`.
    pub fn matrix(&mut self, name: &str) -> Result<Vec<Vec<i64>>, Failure> {
        let (shape, integers) = match self.tensor(name, ElementType::I64)? {
            (_, integers) if integers.is_empty() => return Ok(Vec::new()),
            (shape, integers) if shape.len() == 2 => (shape, integers),
            (shape, _) => return Err(format!("attribute {name}: expected rank 2, came shape {shape:?}").into()),
        };
        let columns = usize::try_from(shape[1]).map_err(|_| format!("attribute {name}: shape {shape:?}"))?;
        Ok(integers.chunks_exact(columns).map(<[i64]>::to_vec).collect())
    }

    /// Pairs of integers: the low and high padding of each dimension.
    pub fn pairs(&mut self, name: &str) -> Result<Vec<(i64, i64)>, Failure> {
        let (shape, integers) = self.tensor_of(name, ElementType::I64, 2)?;
        if shape[1] != 2 {
            return Err(format!("attribute {name}: expected pairs, came rows of {}", shape[1]).into());
        }
        Ok(integers.chunks_exact(2).map(|pair| (pair[0], pair[1])).collect())
    }

    /// The elements of an array.
    pub fn array(&mut self, name: &str) -> Result<Vec<AttributeId>, Failure> {
        match self.open(name)? {
            (_, Field::Array(items)) => Ok(items),
            (id, _) => Err(self.wrong(name, "an array", id)),
        }
    }

    /// A dictionary.
    pub fn dictionary(&mut self, name: &str) -> Result<Attributes, Failure> {
        let id = self.take(name)?;
        match dictionary(self.source.attribute(id)?) {
            Some(entries) => Ok(entries),
            None => Err(self.wrong(name, "a dictionary", id)),
        }
    }

    /// A list of dictionaries.
    pub fn dictionaries(&mut self, name: &str) -> Result<Vec<Attributes>, Failure> {
        let mut dictionaries = Vec::new();
        for id in self.array(name)? {
            match dictionary(self.source.attribute(id)?) {
                Some(entries) => dictionaries.push(entries),
                None => return Err(self.wrong(name, "dictionaries", id)),
            }
        }
        Ok(dictionaries)
    }

    /// A type; None for `none`, the encoding of a missing one.
    pub fn optional_type(&mut self, name: &str) -> Result<Option<Type>, Failure> {
        match self.open(name)? {
            (_, Field::NoType) => Ok(None),
            (_, Field::Type(ty)) => Ok(Some(ty)),
            (id, _) => Err(self.wrong(name, "a type", id)),
        }
    }

    /// Takes an attribute when it is the type `none`.
    pub fn take_none(&mut self, name: &str) -> Result<bool, Failure> {
        let Some(&(_, id)) = self.inherent.iter().find(|(each, _)| *each == name) else { return Ok(false) };
        let is_none = matches!(self.source.field(id)?, Field::NoType);
        if is_none {
            self.take(name)?;
        }
        Ok(is_none)
    }

    /// A case of an enum, out of `cases` in the order of the encoding.
    pub fn case<T: Copy>(&mut self, name: &str, kind: EnumKind, cases: &[T]) -> Result<T, Failure> {
        let id = self.take(name)?;
        self.case_of(name, kind, cases, id)
    }

    fn case_of<T: Copy>(&mut self, name: &str, kind: EnumKind, cases: &[T], id: AttributeId) -> Result<T, Failure> {
        let number = match self.source.field(id)? {
            Field::Case(found, number) if found == kind => usize::try_from(number).ok(),
            Field::Spelled(text) => kind.number(&text),
            _ => None,
        };
        match number.and_then(|number| cases.get(number)) {
            Some(&case) => Ok(case),
            None => Err(self.wrong(name, &format!("{kind:?}"), id)),
        }
    }

    /// `precision_config`.
    pub fn precision_config(&mut self) -> Result<Vec<Precision>, Failure> {
        let name = "precision_config";
        let cases = [Precision::Default, Precision::High, Precision::Highest];
        let items = self.array(name)?;
        items.into_iter().map(|id| self.case_of(name, EnumKind::Precision, &cases, id)).collect()
    }

    /// `result_accuracy`: kept beside the discardable attributes unless it is the default.
    pub fn result_accuracy(&mut self) -> Result<(), Failure> {
        let name = "result_accuracy";
        let (id, field) = self.open(name)?;
        let Field::ResultAccuracy(atol, rtol, ulps, mode) = field else {
            return Err(self.wrong(name, "a result accuracy", id));
        };
        let modes = [true, false, false];
        let is_default_mode = self.case_of(name, EnumKind::ResultAccuracyMode, &modes, mode)?;
        if !(is_default_mode && atol == 0.0 && rtol == 0.0 && ulps == 0) {
            let attribute = self.source.attribute(id)?;
            self.extra.0.push((name.to_owned(), attribute));
        }
        Ok(())
    }

    /// The fields that collectives share; `groups` names the matrix of groups.
    pub fn collective(&mut self, groups: &str, has_global_ids: bool) -> Result<Collective, Failure> {
        let groups = self.matrix(groups)?;
        let id = self.integer("channel_id")?;
        // VHLO keeps no type for the channels of collectives.
        let channel = Channel { id, kind: 0 };
        let use_global_device_ids = if has_global_ids { self.boolean("use_global_device_ids")? } else { false };
        Ok(Collective { groups, channel, use_global_device_ids })
    }
}
