//! Attributes.

use melior::ir::{Attribute, AttributeLike, Type};
use mlir_sys::*;

use crate::bytes::{attribute_text, bytes};
use crate::ffi::*;
use crate::numbers::{Number, list, numbers};

/// The values of a dense attribute, little-endian and row-major, each in as many whole bytes as its type needs (complex
/// numbers: real, imaginary; i1: one byte, 0 or 1).
#[derive(Clone, Debug, PartialEq)]
pub enum Elements {
    /// One value that every position repeats.
    Splat(Vec<u8>),
    /// One value per position.
    Each(Vec<u8>),
}

/// An attribute, one level deep.
#[derive(Clone, Debug)]
pub enum AttributeView<'c> {
    /// `unit`.
    Unit,
    /// `true` or `false`: an integer of type i1.
    Bool(bool),
    /// An integer of up to 64 bits, sign-extended unless its type is unsigned.
    Integer(Type<'c>, i128),
    /// A float of up to 64 bits, as f64.
    Float(Type<'c>, f64),
    /// A string; any bytes.
    String(&'c [u8]),
    /// Root and nested references.
    Symbol(Vec<&'c [u8]>),
    /// A type.
    Type(Type<'c>),
    /// A list.
    Array(Vec<Attribute<'c>>),
    /// Names and values, by name.
    Dictionary(Vec<(&'c [u8], Attribute<'c>)>),
    /// Values of a tensor type, which is static.
    Dense(Type<'c>, Elements),
    /// `array<i1: ...>`.
    Booleans(Vec<bool>),
    /// `array<i64: ...>` and its kin of 8, 16 and 32 bits.
    Integers(Vec<i64>),
    /// `array<f32: ...>`, `array<f64: ...>`.
    Floats(Vec<f64>),
    /// A case of one of StableHLO's enums.
    Enum(&'c [u8]),
    /// Dimension numbers or a channel, in parts.
    Numbers(Vec<(&'static str, Number)>),
    /// `#stablehlo.bounds`; unknown ones are `i64::MIN`.
    Bounds(Vec<i64>),
    /// `#stablehlo.output_operand_alias`: output_tuple_indices, operand_index, operand_tuple_indices.
    Alias(Vec<i64>, i64, Vec<i64>),
    /// `#stablehlo.dot_algorithm`.
    DotAlgorithm {
        /// lhs_precision_type, rhs_precision_type, accumulation_type.
        types: [Type<'c>; 3],
        /// lhs_component_count, rhs_component_count, num_primitive_operations.
        counts: [i64; 3],
        /// allow_imprecise_accumulation.
        allow_imprecise_accumulation: bool,
    },
    /// `#stablehlo.result_accuracy`: atol, rtol, ulps and mode, which is an enum.
    ResultAccuracy(f64, f64, i64, Attribute<'c>),
    /// Any other, as its text.
    Other(String),
}

/// An enum of StableHLO: how it is recognised, and its case.
type Enum = (unsafe extern "C" fn(MlirAttribute) -> bool, unsafe extern "C" fn(MlirAttribute) -> MlirStringRef);

const ENUMS: [Enum; 8] = [
    (stablehloAttributeIsAPrecisionAttr, stablehloPrecisionAttrGetValue),
    (stablehloAttributeIsAComparisonDirectionAttr, stablehloComparisonDirectionAttrGetValue),
    (stablehloAttributeIsAComparisonTypeAttr, stablehloComparisonTypeAttrGetValue),
    (stablehloAttributeIsAFftTypeAttr, stablehloFftTypeAttrGetValue),
    (stablehloAttributeIsATransposeAttr, stablehloTransposeAttrGetValue),
    (stablehloAttributeIsARngAlgorithmAttr, stablehloRngAlgorithmAttrGetValue),
    (stablehloAttributeIsARngDistributionAttr, stablehloRngDistributionAttrGetValue),
    (stablehloAttributeIsAResultAccuracyModeAttr, stablehloResultAccuracyModeAttrGetValue),
];

/// Looks into an attribute.
pub fn view_attribute(attribute: Attribute<'_>) -> AttributeView<'_> {
    let raw = attribute.to_raw();
    builtin(raw)
        .or_else(|| array(raw))
        .or_else(|| stablehlo(raw))
        .unwrap_or_else(|| AttributeView::Other(attribute_text(attribute)))
}

fn builtin<'c>(raw: MlirAttribute) -> Option<AttributeView<'c>> {
    // SAFETY: the attribute is valid, each getter is called on its own kind only, positions stay below the counts, and
    // what they give is owned by the context.
    Some(unsafe {
        if mlirAttributeIsAUnit(raw) {
            AttributeView::Unit
        } else if mlirAttributeIsABool(raw) {
            AttributeView::Bool(mlirBoolAttrGetValue(raw))
        } else if mlirAttributeIsAInteger(raw) {
            let ty = mlirAttributeGetType(raw);
            let value = if mlirTypeIsAIndex(ty) || mlirIntegerTypeIsSignless(ty) {
                // Wider ones have no getter that holds them.
                if !mlirTypeIsAIndex(ty) && mlirIntegerTypeGetWidth(ty) > 64 {
                    return None;
                }
                i128::from(mlirIntegerAttrGetValueInt(raw))
            } else if mlirIntegerTypeGetWidth(ty) > 64 {
                return None;
            } else if mlirIntegerTypeIsUnsigned(ty) {
                i128::from(mlirIntegerAttrGetValueUInt(raw))
            } else {
                i128::from(mlirIntegerAttrGetValueSInt(raw))
            };
            AttributeView::Integer(Type::from_raw(ty), value)
        } else if mlirAttributeIsAFloat(raw) {
            let ty = mlirAttributeGetType(raw);
            if mlirFloatTypeGetWidth(ty) > 64 {
                return None;
            }
            AttributeView::Float(Type::from_raw(ty), mlirFloatAttrGetValueDouble(raw))
        } else if mlirAttributeIsAString(raw) {
            AttributeView::String(bytes(mlirStringAttrGetValue(raw)))
        } else if mlirAttributeIsASymbolRef(raw) {
            let mut path = vec![bytes(mlirSymbolRefAttrGetRootReference(raw))];
            for position in 0..mlirSymbolRefAttrGetNumNestedReferences(raw) {
                let nested = mlirSymbolRefAttrGetNestedReference(raw, position);
                path.push(bytes(mlirSymbolRefAttrGetRootReference(nested)));
            }
            AttributeView::Symbol(path)
        } else if mlirAttributeIsAType(raw) {
            AttributeView::Type(Type::from_raw(mlirTypeAttrGetValue(raw)))
        } else if mlirAttributeIsAArray(raw) {
            let item = |position| Attribute::from_raw(mlirArrayAttrGetElement(raw, position));
            AttributeView::Array((0..mlirArrayAttrGetNumElements(raw)).map(item).collect())
        } else if mlirAttributeIsADictionary(raw) {
            let entry = |position| {
                let named = mlirDictionaryAttrGetElement(raw, position);
                (bytes(mlirIdentifierStr(named.name)), Attribute::from_raw(named.attribute))
            };
            AttributeView::Dictionary((0..mlirDictionaryAttrGetNumElements(raw)).map(entry).collect())
        } else if mlirAttributeIsADenseElements(raw) {
            return dense(raw);
        } else {
            return None;
        }
    })
}

/// Bytes of one element; None for what is no number.
fn element_bytes(ty: MlirType) -> Option<usize> {
    // SAFETY: the type is valid, each getter is called on its own kind only.
    let bits = unsafe {
        if mlirTypeIsAIndex(ty) {
            64
        } else if mlirTypeIsAInteger(ty) {
            mlirIntegerTypeGetWidth(ty)
        } else if mlirTypeIsAFloat(ty) {
            mlirFloatTypeGetWidth(ty)
        } else if mlirTypeIsAComplex(ty) {
            return Some(2 * element_bytes(mlirComplexTypeGetElementType(ty))?);
        } else {
            return None;
        }
    };
    Some((bits as usize).div_ceil(8))
}

fn dense<'c>(raw: MlirAttribute) -> Option<AttributeView<'c>> {
    // SAFETY: the attribute is one of dense elements of numbers: MLIR keeps every element in whole bytes, but for i1,
    // which is read one by one; a splat is kept once.
    unsafe {
        let ty = mlirAttributeGetType(raw);
        if !mlirTypeIsARankedTensor(ty) || !mlirShapedTypeHasStaticShape(ty) {
            return None;
        }
        let element = mlirShapedTypeGetElementType(ty);
        let width = element_bytes(element)?;
        let count = usize::try_from(mlirElementsAttrGetNumElements(raw)).ok()?;
        let is_splat = mlirDenseElementsAttrIsSplat(raw) && count > 1;
        let stored = if is_splat { 1 } else { count };
        let data = if stored == 0 {
            Vec::new()
        } else if mlirTypeIsAInteger(element) && mlirIntegerTypeGetWidth(element) == 1 {
            (0..stored).map(|index| u8::from(mlirDenseElementsAttrGetBoolValue(raw, index as isize))).collect()
        } else {
            let data = mlirDenseElementsAttrGetRawData(raw).cast::<u8>();
            std::slice::from_raw_parts(data, stored.checked_mul(width)?).to_vec()
        };
        let elements = if is_splat { Elements::Splat(data) } else { Elements::Each(data) };
        Some(AttributeView::Dense(Type::from_raw(ty), elements))
    }
}

fn array<'c>(raw: MlirAttribute) -> Option<AttributeView<'c>> {
    // SAFETY: the attribute is valid, each getter is called on its own kind only, positions stay below the count.
    unsafe {
        let integers = |get: &dyn Fn(isize) -> i64| {
            AttributeView::Integers((0..mlirDenseArrayGetNumElements(raw)).map(get).collect())
        };
        let floats = |get: &dyn Fn(isize) -> f64| {
            AttributeView::Floats((0..mlirDenseArrayGetNumElements(raw)).map(get).collect())
        };
        Some(if mlirAttributeIsADenseI64Array(raw) {
            integers(&|position| mlirDenseI64ArrayGetElement(raw, position))
        } else if mlirAttributeIsADenseBoolArray(raw) {
            let each = |position| mlirDenseBoolArrayGetElement(raw, position);
            AttributeView::Booleans((0..mlirDenseArrayGetNumElements(raw)).map(each).collect())
        } else if mlirAttributeIsADenseI32Array(raw) {
            integers(&|position| mlirDenseI32ArrayGetElement(raw, position).into())
        } else if mlirAttributeIsADenseI16Array(raw) {
            integers(&|position| mlirDenseI16ArrayGetElement(raw, position).into())
        } else if mlirAttributeIsADenseI8Array(raw) {
            integers(&|position| mlirDenseI8ArrayGetElement(raw, position).into())
        } else if mlirAttributeIsADenseF32Array(raw) {
            floats(&|position| mlirDenseF32ArrayGetElement(raw, position).into())
        } else if mlirAttributeIsADenseF64Array(raw) {
            floats(&|position| mlirDenseF64ArrayGetElement(raw, position))
        } else {
            return None;
        })
    }
}

fn stablehlo<'c>(raw: MlirAttribute) -> Option<AttributeView<'c>> {
    // SAFETY: the attribute is valid, each getter is called on its own kind only, and what they give is owned by the
    // context, or static as the names of cases are.
    unsafe {
        if let Some((_, case)) = ENUMS.iter().find(|(is_kind, _)| is_kind(raw)) {
            return Some(AttributeView::Enum(bytes(case(raw))));
        }
        if let Some(parts) = numbers(raw) {
            return Some(AttributeView::Numbers(parts));
        }
        Some(if stablehloAttributeIsTypeExtensions(raw) {
            let getters = (stablehloTypeExtensionsGetBoundsSize as _, stablehloTypeExtensionsGetBoundsElem as _);
            AttributeView::Bounds(list(getters, raw))
        } else if stablehloAttributeIsAOutputOperandAlias(raw) {
            AttributeView::Alias(
                list(
                    (
                        stablehloOutputOperandAliasGetOutputTupleIndicesSize as _,
                        stablehloOutputOperandAliasGetOutputTupleIndicesElem as _,
                    ),
                    raw,
                ),
                stablehloOutputOperandAliasGetOperandIndex(raw),
                list(
                    (
                        stablehloOutputOperandAliasGetOperandTupleIndicesSize as _,
                        stablehloOutputOperandAliasGetOperandTupleIndicesElem as _,
                    ),
                    raw,
                ),
            )
        } else if stablehloAttributeIsADotAlgorithm(raw) {
            AttributeView::DotAlgorithm {
                types: [
                    stablehloDotAlgorithmGetLhsPrecisionType(raw),
                    stablehloDotAlgorithmGetRhsPrecisionType(raw),
                    stablehloDotAlgorithmGetAccumulationType(raw),
                ]
                .map(|ty| Type::from_raw(ty)),
                counts: [
                    stablehloDotAlgorithmGetLhsComponentCount(raw),
                    stablehloDotAlgorithmGetRhsComponentCount(raw),
                    stablehloDotAlgorithmGetNumPrimitiveOperations(raw),
                ],
                allow_imprecise_accumulation: stablehloDotAlgorithmGetAllowImpreciseAccumulation(raw),
            }
        } else if stablehloAttributeIsAResultAccuracyAttr(raw) {
            AttributeView::ResultAccuracy(
                stablehloResultAccuracyAttrGetAtol(raw),
                stablehloResultAccuracyAttrGetRtol(raw),
                stablehloResultAccuracyAttrGetUlps(raw),
                Attribute::from_raw(stablehloResultAccuracyAttrGetMode(raw)),
            )
        } else {
            return None;
        })
    }
}
