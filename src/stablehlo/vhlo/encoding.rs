//! Attributes and types of the VHLO dialect, one level deep (openxla/stablehlo, stablehlo/dialect/VhloBytecode.cpp).
#![forbid(unsafe_code)]

use super::NEWEST;
use crate::program::ElementType;
use crate::stablehlo::ReadError;
use crate::stablehlo::bytecode::{AttributeId, Entry, TypeId};
use crate::stablehlo::context::Context;
use crate::stablehlo::literal::float_value;
use crate::stablehlo::types::{QuantizedParameters, ShallowType, type_list};

/// An enum of VHLO.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EnumKind {
    ComparisonDirection,
    ComparisonType,
    CustomCallApiVersion,
    FftType,
    Precision,
    RngAlgorithm,
    RngDistribution,
    Transpose,
    ResultAccuracyMode,
}

impl EnumKind {
    /// The spellings in the order of the encoding; empty where it leaves a number out.
    fn cases(self) -> &'static [&'static str] {
        match self {
            EnumKind::ComparisonDirection => &["EQ", "NE", "GE", "GT", "LE", "LT"],
            EnumKind::ComparisonType => &["NOTYPE", "FLOAT", "TOTALORDER", "SIGNED", "UNSIGNED"],
            EnumKind::CustomCallApiVersion => &[
                "API_VERSION_UNSPECIFIED",
                "API_VERSION_ORIGINAL",
                "API_VERSION_STATUS_RETURNING",
                "API_VERSION_STATUS_RETURNING_UNIFIED",
                "API_VERSION_TYPED_FFI",
            ],
            EnumKind::FftType => &["FFT", "IFFT", "RFFT", "IRFFT"],
            EnumKind::Precision => &["DEFAULT", "HIGH", "HIGHEST"],
            EnumKind::RngAlgorithm => &["DEFAULT", "THREE_FRY", "PHILOX"],
            // This one counts from 1.
            EnumKind::RngDistribution => &["", "UNIFORM", "NORMAL"],
            EnumKind::Transpose => &["TRANSPOSE_INVALID", "NO_TRANSPOSE", "TRANSPOSE", "ADJOINT"],
            EnumKind::ResultAccuracyMode => &["DEFAULT", "HIGHEST", "TOLERANCE"],
        }
    }

    /// The spelling of a case; None for values that are none.
    pub fn case(self, value: u64) -> Option<&'static str> {
        self.cases().get(usize::try_from(value).ok()?).copied().filter(|case| !case.is_empty())
    }

    /// The number of a case by its spelling.
    pub fn number(self, spelling: &str) -> Option<usize> {
        self.cases().iter().position(|case| !case.is_empty() && *case == spelling)
    }
}

/// An attribute of VHLO.
#[derive(Clone, Debug)]
pub(in crate::stablehlo) enum VhloAttribute<'a> {
    Array(Vec<AttributeId>),
    Bool(bool),
    /// Names are string attributes.
    Dictionary(Vec<(AttributeId, AttributeId)>),
    /// A case that exists.
    Enum(EnumKind, u64),
    /// Type and bits, zero-extended.
    Float(TypeId, u64),
    /// Type and value.
    Integer(TypeId, i128),
    OutputOperandAlias {
        output_tuple_indices: Vec<i64>,
        operand_index: i64,
        operand_tuple_indices: Vec<i64>,
    },
    String(&'a [u8]),
    /// Type and elements.
    Tensor(TypeId, &'a [u8]),
    Type(TypeId),
    /// Bounds of dynamic dimensions.
    TypeExtensions(Vec<i64>),
    ResultAccuracy {
        atol: f64,
        rtol: f64,
        ulps: i64,
        mode: AttributeId,
    },
}

impl<'a> VhloAttribute<'a> {
    /// Decodes an attribute.
    pub fn decode(context: &mut Context<'a>, entry: &Entry<'a>) -> Result<Self, ReadError> {
        let module = context.module;
        let mut cursor = entry.contents.clone();
        let code = cursor.varint()?;
        let kind = match code {
            3 => Some(EnumKind::ComparisonDirection),
            4 => Some(EnumKind::ComparisonType),
            5 => Some(EnumKind::CustomCallApiVersion),
            7 => Some(EnumKind::FftType),
            11 => Some(EnumKind::Precision),
            12 => Some(EnumKind::RngAlgorithm),
            13 => Some(EnumKind::RngDistribution),
            16 => Some(EnumKind::Transpose),
            19 => Some(EnumKind::ResultAccuracyMode),
            _ => None,
        };
        if let Some(kind) = kind {
            let value = cursor.varint()?;
            cursor.finish("a VHLO enum")?;
            if kind.case(value).is_none() {
                return Err(cursor.error(format!("{kind:?} has no case {value}")));
            }
            return Ok(VhloAttribute::Enum(kind, value));
        }
        let attribute = match code {
            1 => VhloAttribute::Array(cursor.list(|cursor| module.attribute_id(cursor))?),
            2 => match cursor.varint()? {
                value @ (0 | 1) => VhloAttribute::Bool(value == 1),
                value => return Err(cursor.error(format!("expected a bool, came {value}"))),
            },
            6 => VhloAttribute::Dictionary(
                cursor.list(|cursor| Ok((module.attribute_id(cursor)?, module.attribute_id(cursor)?)))?,
            ),
            8 => {
                let ty = module.type_id(&mut cursor)?;
                let element = context.scalar_type(ty)?;
                // Elements of 6 bits lie in a byte as those of 8 do; tf32 has 19 bits.
                let width = if element == ElementType::TF32 { 19 } else { element.bits() as u32 };
                if !element.is_float() {
                    return Err(cursor.error(format!("a float attribute of type {element}")));
                }
                VhloAttribute::Float(ty, cursor.integer_bits(width)?)
            }
            9 => {
                let ty = module.type_id(&mut cursor)?;
                let element = context.scalar_type(ty)?;
                if !element.is_integer() {
                    return Err(cursor.error(format!("an integer attribute of type {element}")));
                }
                let bits = cursor.integer_bits(element.bits() as u32)?;
                let unused = 128 - element.bits() as u32;
                let value =
                    if element.is_signed_integer() { (i128::from(bits) << unused) >> unused } else { i128::from(bits) };
                VhloAttribute::Integer(ty, value)
            }
            10 => VhloAttribute::OutputOperandAlias {
                output_tuple_indices: cursor.signed_varints()?,
                operand_index: cursor.signed_varint()?,
                operand_tuple_indices: cursor.signed_varints()?,
            },
            14 => VhloAttribute::String(module.string(&mut cursor)?),
            15 => VhloAttribute::Tensor(module.type_id(&mut cursor)?, cursor.blob()?),
            17 => VhloAttribute::Type(module.type_id(&mut cursor)?),
            18 => VhloAttribute::TypeExtensions(cursor.signed_varints()?),
            20 => VhloAttribute::ResultAccuracy {
                atol: f64::from_bits(cursor.integer_bits(64)?),
                rtol: f64::from_bits(cursor.integer_bits(64)?),
                ulps: cursor.signed_varint()?,
                mode: module.attribute_id(&mut cursor)?,
            },
            21..=25 => {
                let message = format!("VHLO attribute of kind {code}, newer than version {NEWEST}");
                return Err(ReadError::unsupported(message));
            }
            _ => return Err(ReadError::unsupported(format!("VHLO attribute of kind {code}"))),
        };
        cursor.finish("a VHLO attribute")?;
        Ok(attribute)
    }
}

/// Types of VHLO.
pub(in crate::stablehlo) struct VhloType;

impl VhloType {
    /// Decodes a type.
    pub fn decode<'a>(context: &mut Context<'a>, entry: &Entry<'a>) -> Result<ShallowType, ReadError> {
        let module = context.module;
        let mut cursor = entry.contents.clone();
        let code = cursor.varint()?;
        if let Some(element) = element_of_code(code) {
            cursor.finish("a VHLO type")?;
            return Ok(ShallowType::Element(element));
        }
        let double = |bits: u64| float_value(ElementType::F64, bits).unwrap_or(f64::NAN);
        let ty = match code {
            1 => ShallowType::Complex(module.type_id(&mut cursor)?),
            8 => ShallowType::Function(type_list(context, &mut cursor)?, type_list(context, &mut cursor)?),
            9 => ShallowType::Index,
            20 => ShallowType::Tensor {
                shape: cursor.signed_varints()?,
                element: module.type_id(&mut cursor)?,
                encoding: None,
            },
            21 => {
                let encoding = Some(module.attribute_id(&mut cursor)?);
                ShallowType::Tensor { shape: cursor.signed_varints()?, element: module.type_id(&mut cursor)?, encoding }
            }
            22 => ShallowType::Token,
            23 => ShallowType::Tuple(type_list(context, &mut cursor)?),
            24 => {
                cursor.varint()?;
                let (storage, expressed) = (module.type_id(&mut cursor)?, module.type_id(&mut cursor)?);
                let scales = vec![double(cursor.integer_bits(64)?)];
                let zero_points = vec![cursor.signed_varint()?];
                let range = (cursor.signed_varint()?, cursor.signed_varint()?);
                let parameters = QuantizedParameters { range, scales, zero_points, dimension: None };
                ShallowType::Quantized { storage, expressed, parameters }
            }
            25 => return Ok(ShallowType::Other("unranked tensor".into())),
            26 => ShallowType::Other("witness".into()),
            30 => {
                cursor.varint()?;
                let (storage, expressed) = (module.type_id(&mut cursor)?, module.type_id(&mut cursor)?);
                let dimension =
                    i64::try_from(cursor.varint()?).map_err(|_| cursor.error("a dimension is too large"))?;
                let range = (cursor.signed_varint()?, cursor.signed_varint()?);
                let scales = cursor.list(|cursor| Ok(double(cursor.integer_bits(64)?)))?;
                let zero_points = cursor.signed_varints()?;
                if scales.len() != zero_points.len() {
                    return Err(cursor.error(format!("{} scales, {} zero points", scales.len(), zero_points.len())));
                }
                let parameters = QuantizedParameters { range, scales, zero_points, dimension: Some(dimension) };
                ShallowType::Quantized { storage, expressed, parameters }
            }
            33 => ShallowType::None,
            41 => ShallowType::Buffer { shape: cursor.signed_varints()?, element: module.type_id(&mut cursor)? },
            42 => ShallowType::Future(type_list(context, &mut cursor)?),
            _ => return Err(ReadError::unsupported(format!("VHLO type of kind {code}"))),
        };
        cursor.finish("a VHLO type")?;
        Ok(ty)
    }
}

/// The real element type that is encoded as this kind of type.
fn element_of_code(code: u64) -> Option<ElementType> {
    use ElementType::*;
    Some(match code {
        0 => Bool,
        2 => BF16,
        3 => F16,
        4 => F32,
        5 => F64,
        6 => F8E4M3FN,
        7 => F8E5M2,
        10 => I4,
        11 => I8,
        12 => I16,
        13 => I32,
        14 => I64,
        15 => U4,
        16 => U8,
        17 => U16,
        18 => U32,
        19 => U64,
        27 => F8E4M3FNUZ,
        28 => F8E5M2FNUZ,
        29 => F8E4M3B11FNUZ,
        31 => I2,
        32 => U2,
        34 => TF32,
        35 => F8E4M3,
        36 => F8E3M4,
        37 => F4E2M1FN,
        38 => F6E2M3FN,
        39 => F6E3M2FN,
        40 => F8E8M0FNU,
        _ => return None,
    })
}
