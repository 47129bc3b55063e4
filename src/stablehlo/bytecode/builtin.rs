//! Attributes and types of the builtin dialect (mlir/include/mlir/IR/BuiltinDialectBytecode.td), one level deep: what
//! they are made of stays numbered.
#![forbid(unsafe_code)]

use super::{AttributeId, Cursor, Entry, Module, Resource, TypeId};
use crate::stablehlo::ReadError;

/// A builtin attribute.
#[derive(Clone, Debug)]
pub(crate) enum BuiltinAttribute<'a> {
    Array(Vec<AttributeId>),
    /// Names are string attributes.
    Dictionary(Vec<(AttributeId, AttributeId)>),
    String(&'a [u8]),
    /// Root and nested references; the root is a string attribute, the others are symbols.
    Symbol(AttributeId, Vec<AttributeId>),
    Type(TypeId),
    Unit,
    /// Type and value, sign-extended unless the type is unsigned.
    Integer(TypeId, i128),
    /// Type and bits, zero-extended.
    Float(TypeId, u64),
    /// Callee and caller.
    CallSite(AttributeId, AttributeId),
    /// File (a string attribute), line and column.
    File(AttributeId, u64, u64),
    Fused(Vec<AttributeId>),
    /// Name (a string attribute) and location.
    Name(AttributeId, AttributeId),
    UnknownLocation,
    Resource(TypeId, &'a Resource<'a>),
    /// Element type, number of elements, data.
    DenseArray(TypeId, usize, &'a [u8]),
    /// Type and data.
    DenseElements(TypeId, &'a [u8]),
    /// Known to exist, but without use here; the text says which.
    Other(&'static str),
}

/// A builtin type.
#[derive(Clone, Debug)]
pub(crate) enum BuiltinType {
    /// Width; true when unsigned.
    Integer(u32, bool),
    Index,
    Function(Vec<TypeId>, Vec<TypeId>),
    /// A float by its MLIR name.
    Float(&'static str),
    Complex(TypeId),
    /// Shape, element type, encoding.
    Tensor(Vec<i64>, TypeId, Option<AttributeId>),
    /// Shape and element type of a memory reference.
    Buffer(Vec<i64>, TypeId),
    Tuple(Vec<TypeId>),
    None,
    /// Known to exist, but without use here; the text says which.
    Other(&'static str),
}

impl<'a> BuiltinAttribute<'a> {
    /// Decodes an attribute in the builtin dialect's own encoding.
    pub fn decode(module: &'a Module<'a>, entry: &Entry<'a>) -> Result<Self, ReadError> {
        use BuiltinAttribute::*;
        let mut cursor = entry.contents.clone();
        let code = cursor.varint()?;
        let each = |cursor: &mut Cursor<'a>| module.attribute_id(cursor);
        let attribute = match code {
            0 => Array(cursor.list(each)?),
            1 => Dictionary(cursor.list(|cursor| Ok((module.attribute_id(cursor)?, module.attribute_id(cursor)?)))?),
            2 => String(module.string(&mut cursor)?),
            3 => {
                let text = module.string(&mut cursor)?;
                module.type_id(&mut cursor)?;
                String(text)
            }
            4 => Symbol(module.attribute_id(&mut cursor)?, Vec::new()),
            5 => Symbol(module.attribute_id(&mut cursor)?, cursor.list(each)?),
            6 => Type(module.type_id(&mut cursor)?),
            7 => Unit,
            8 => {
                let ty = module.type_id(&mut cursor)?;
                match scalar(module, ty)? {
                    Some(Scalar::Integer(width, is_unsigned)) if width <= 64 => {
                        let bits = cursor.integer_bits(width)?;
                        Integer(ty, extend(bits, width, is_unsigned || width == 1))
                    }
                    Some(Scalar::Integer(..)) => return Ok(Other("integer of more than 64 bits")),
                    _ => return Err(cursor.error("the type of an integer attribute is no integer type")),
                }
            }
            9 => {
                let ty = module.type_id(&mut cursor)?;
                match scalar(module, ty)? {
                    Some(Scalar::Float(width)) if width <= 64 => Float(ty, cursor.integer_bits(width)?),
                    Some(Scalar::Float(_)) => return Ok(Other("float of more than 64 bits")),
                    _ => return Err(cursor.error("the type of a float attribute is no float type")),
                }
            }
            10 => CallSite(module.attribute_id(&mut cursor)?, module.attribute_id(&mut cursor)?),
            11 => File(module.attribute_id(&mut cursor)?, cursor.varint()?, cursor.varint()?),
            12 => Fused(cursor.list(each)?),
            13 => {
                let locations = cursor.list(each)?;
                module.attribute_id(&mut cursor)?;
                Fused(locations)
            }
            14 => Name(module.attribute_id(&mut cursor)?, module.attribute_id(&mut cursor)?),
            15 => UnknownLocation,
            16 => {
                let ty = module.type_id(&mut cursor)?;
                let index = cursor.index(module.resources.len(), "resource")?;
                Resource(ty, &module.resources[index])
            }
            17 => {
                let ty = module.type_id(&mut cursor)?;
                let count = cursor.size()?;
                DenseArray(ty, count, cursor.blob()?)
            }
            18 => DenseElements(module.type_id(&mut cursor)?, cursor.blob()?),
            19 => return Ok(Other("dense string elements")),
            20 => return Ok(Other("sparse elements")),
            21 => return Ok(Other("distinct attribute")),
            22 => {
                let file = module.attribute_id(&mut cursor)?;
                // The numbers are one of: nothing known; line; line, column; line, column, end column; all four. The
                // start is all that is kept.
                let numbers = cursor.list(Cursor::varint)?;
                let at = |index: usize| numbers.get(index).copied().unwrap_or(0);
                File(file, at(0), at(1))
            }
            _ => return Err(ReadError::unsupported(format!("builtin attribute of kind {code}"))),
        };
        cursor.finish("a builtin attribute")?;
        Ok(attribute)
    }
}

/// Floats that got encodings late, from code 21 on.
const NARROW_FLOATS: [&str; 12] = [
    "tf32",
    "f8E5M2",
    "f8E4M3",
    "f8E4M3FN",
    "f8E5M2FNUZ",
    "f8E4M3FNUZ",
    "f8E4M3B11FNUZ",
    "f8E3M4",
    "f4E2M1FN",
    "f6E2M3FN",
    "f6E3M2FN",
    "f8E8M0FNU",
];

impl BuiltinType {
    /// Decodes a type in the builtin dialect's own encoding.
    pub fn decode<'a>(module: &'a Module<'a>, entry: &Entry<'a>) -> Result<Self, ReadError> {
        use BuiltinType::*;
        let mut cursor = entry.contents.clone();
        let code = cursor.varint()?;
        let types = |cursor: &mut Cursor<'a>| cursor.list(|cursor| module.type_id(cursor));
        let ty = match code {
            0 => {
                let packed = cursor.varint()?;
                let width = u32::try_from(packed >> 2).map_err(|_| cursor.error("an integer type is too wide"))?;
                match packed & 3 {
                    // Signless integers are signed in StableHLO.
                    0 | 1 => Integer(width, false),
                    2 => Integer(width, true),
                    _ => return Err(cursor.error("unknown signedness")),
                }
            }
            1 => Index,
            2 => Function(types(&mut cursor)?, types(&mut cursor)?),
            3 => Float("bf16"),
            4 => Float("f16"),
            5 => Float("f32"),
            6 => Float("f64"),
            7 => Float("f80"),
            8 => Float("f128"),
            9 => Complex(module.type_id(&mut cursor)?),
            10 => {
                let buffer = Buffer(cursor.signed_varints()?, module.type_id(&mut cursor)?);
                module.attribute_id(&mut cursor)?;
                buffer
            }
            11 => return Ok(Other("memref with memory space")),
            12 => None,
            13 => Tensor(cursor.signed_varints()?, module.type_id(&mut cursor)?, Option::None),
            14 => {
                let encoding = module.attribute_id(&mut cursor)?;
                Tensor(cursor.signed_varints()?, module.type_id(&mut cursor)?, Some(encoding))
            }
            15 => Tuple(types(&mut cursor)?),
            16 | 17 => return Ok(Other("unranked memref")),
            18 => return Ok(Other("unranked tensor")),
            19 | 20 => return Ok(Other("vector")),
            21..=32 => Float(NARROW_FLOATS[code as usize - 21]),
            _ => return Err(ReadError::unsupported(format!("builtin type of kind {code}"))),
        };
        cursor.finish("a builtin type")?;
        Ok(ty)
    }
}

/// What an integer or float attribute needs to know of its type.
enum Scalar {
    /// Width; true when unsigned.
    Integer(u32, bool),
    /// Width.
    Float(u32),
}

fn scalar<'a>(module: &'a Module<'a>, ty: TypeId) -> Result<Option<Scalar>, ReadError> {
    let entry = module.type_entry(ty);
    if module.dialect_name(entry.dialect) != "builtin" {
        return Ok(None);
    }
    if !entry.is_custom {
        // Older writers have no encoding for narrow floats: `f8E4M3FN`.
        let text = entry.contents.clone().nul_terminated()?;
        return Ok(std::str::from_utf8(text).ok().and_then(float_width).map(Scalar::Float));
    }
    Ok(match BuiltinType::decode(module, entry)? {
        BuiltinType::Integer(width, is_unsigned) => Some(Scalar::Integer(width, is_unsigned)),
        BuiltinType::Index => Some(Scalar::Integer(64, false)),
        BuiltinType::Float(name) => float_width(name).map(Scalar::Float),
        _ => None,
    })
}

/// The width of a float type by its name: `f32`, `f8E4M3FN`.
fn float_width(name: &str) -> Option<u32> {
    match name {
        "bf16" => return Some(16),
        "tf32" => return Some(19),
        _ => {}
    }
    let digits = name.strip_prefix('f')?.split('E').next()?;
    digits.parse().ok()
}

/// Extends `width` bits to a number.
pub(super) fn extend(bits: u64, width: u32, is_unsigned: bool) -> i128 {
    if is_unsigned || width == 0 {
        return i128::from(bits);
    }
    let shift = 128 - width;
    (i128::from(bits) << shift) >> shift
}
