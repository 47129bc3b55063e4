//! Types.

use melior::ir::{Attribute, Type, TypeLike, ValueLike};
use mlir_sys::*;

use crate::bytes::type_text;
use crate::ffi::*;

/// A type, one level deep.
#[derive(Clone, Debug)]
pub enum TypeView<'c> {
    /// A tensor; unknown sizes are `i64::MIN`.
    Tensor {
        /// Sizes.
        shape: Vec<i64>,
        /// Element type.
        element: Type<'c>,
        /// Encoding.
        encoding: Option<Attribute<'c>>,
    },
    /// A memref in row-major order, in the default memory space.
    Buffer {
        /// Sizes.
        shape: Vec<i64>,
        /// Element type.
        element: Type<'c>,
    },
    /// A complex number of parts of a type.
    Complex(Type<'c>),
    /// A tuple.
    Tuple(Vec<Type<'c>>),
    /// Inputs and results.
    Function(Vec<Type<'c>>, Vec<Type<'c>>),
    /// `!stablehlo.token`.
    Token,
    /// `!stablehlo.future`.
    Future(Vec<Type<'c>>),
    /// A quantized element, per tensor or per slice along a dimension.
    Quantized {
        /// Integer type that is stored.
        storage: Type<'c>,
        /// Whether it is taken as signed.
        is_signed: bool,
        /// Float type that is expressed.
        expressed: Type<'c>,
        /// Least and greatest stored value.
        range: (i64, i64),
        /// One, or one per slice.
        scales: Vec<f64>,
        /// As many as scales.
        zero_points: Vec<i64>,
        /// Dimension of the slices.
        dimension: Option<i64>,
    },
    /// Any other, scalars among them, as its text: `f32`, `ui8`, `index`, `none`.
    Named(String),
}

/// Types of one context are equal when their keys are.
pub fn type_key(ty: Type<'_>) -> usize {
    ty.to_raw().ptr.addr()
}

/// Values of one module are the same when their keys are.
pub fn value_key<'c>(value: &impl ValueLike<'c>) -> usize {
    value.to_raw().ptr.addr()
}

fn shape(raw: MlirType) -> Option<Vec<i64>> {
    // SAFETY: the callers pass shaped types; dimensions stay below the rank.
    unsafe {
        mlirShapedTypeHasRank(raw).then(|| {
            (0..mlirShapedTypeGetRank(raw)).map(|index| mlirShapedTypeGetDimSize(raw, index as isize)).collect()
        })
    }
}

/// `count` types that `get` gives by position.
fn types<'c>(count: isize, get: impl Fn(isize) -> MlirType) -> Vec<Type<'c>> {
    // SAFETY: the callers' getters give types that the context owns, and none is null.
    (0..count).map(|position| unsafe { Type::from_raw(get(position)) }).collect()
}

/// Looks into a type.
pub fn view_type(ty: Type<'_>) -> TypeView<'_> {
    let raw = ty.to_raw();
    let named = || TypeView::Named(type_text(ty));
    // SAFETY: the type is valid, each getter is called on its own kind only, positions stay below the counts, and what
    // they give is owned by the context.
    unsafe {
        let element = || Type::from_raw(mlirShapedTypeGetElementType(raw));
        if mlirTypeIsARankedTensor(raw) {
            let Some(shape) = shape(raw) else { return named() };
            let encoding = Attribute::from_option_raw(mlirRankedTensorTypeGetEncoding(raw));
            TypeView::Tensor { shape, element: element(), encoding }
        } else if mlirTypeIsAMemRef(raw) {
            let Some(shape) = shape(raw) else { return named() };
            let is_plain = mlirAffineMapIsIdentity(mlirMemRefTypeGetAffineMap(raw))
                && mlirMemRefTypeGetMemorySpace(raw).ptr.is_null();
            if is_plain { TypeView::Buffer { shape, element: element() } } else { named() }
        } else if mlirTypeIsAComplex(raw) {
            TypeView::Complex(Type::from_raw(mlirComplexTypeGetElementType(raw)))
        } else if mlirTypeIsATuple(raw) {
            TypeView::Tuple(types(mlirTupleTypeGetNumTypes(raw), |position| mlirTupleTypeGetType(raw, position)))
        } else if mlirTypeIsAFunction(raw) {
            TypeView::Function(
                types(mlirFunctionTypeGetNumInputs(raw), |position| mlirFunctionTypeGetInput(raw, position)),
                types(mlirFunctionTypeGetNumResults(raw), |position| mlirFunctionTypeGetResult(raw, position)),
            )
        } else if stablehloTypeIsAToken(raw) {
            TypeView::Token
        } else if stablehloTypeIsAFuture(raw) {
            TypeView::Future(types(stablehloFutureTypeGetNumTypes(raw), |position| {
                stablehloFutureTypeGetType(raw, position)
            }))
        } else if mlirTypeIsAUniformQuantizedType(raw) {
            quantized(
                raw,
                vec![mlirUniformQuantizedTypeGetScale(raw)],
                vec![mlirUniformQuantizedTypeGetZeroPoint(raw)],
                None,
            )
        } else if mlirTypeIsAUniformQuantizedPerAxisType(raw) {
            let count = mlirUniformQuantizedPerAxisTypeGetNumDims(raw);
            quantized(
                raw,
                (0..count).map(|position| mlirUniformQuantizedPerAxisTypeGetScale(raw, position)).collect(),
                (0..count).map(|position| mlirUniformQuantizedPerAxisTypeGetZeroPoint(raw, position)).collect(),
                Some(mlirUniformQuantizedPerAxisTypeGetQuantizedDimension(raw).into()),
            )
        } else {
            named()
        }
    }
}

fn quantized<'c>(raw: MlirType, scales: Vec<f64>, zero_points: Vec<i64>, dimension: Option<i64>) -> TypeView<'c> {
    // SAFETY: the callers pass quantized types; the types they are made of are owned by the context.
    unsafe {
        TypeView::Quantized {
            storage: Type::from_raw(mlirQuantizedTypeGetStorageType(raw)),
            is_signed: mlirQuantizedTypeIsSigned(raw),
            expressed: Type::from_raw(mlirQuantizedTypeGetExpressedType(raw)),
            range: (mlirQuantizedTypeGetStorageTypeMin(raw), mlirQuantizedTypeGetStorageTypeMax(raw)),
            scales,
            zero_points,
            dimension,
        }
    }
}
