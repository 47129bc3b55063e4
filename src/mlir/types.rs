//! Types.
#![forbid(unsafe_code)]

use std::collections::HashMap;

use stablehlo_c::melior::ir;
use stablehlo_c::{AttributeView, TypeView, type_key, type_text, view_attribute, view_type};

use crate::program::{ElementType, Quantization, TensorType, Type};
use crate::stablehlo::ReadError;
use crate::stablehlo::shared::element_of_name;

/// Types that were converted already.
#[derive(Default)]
pub(super) struct Types(HashMap<usize, Type>);

impl Types {
    /// The type of an operand, result or argument.
    pub fn value_type(&mut self, ty: ir::Type<'_>) -> Result<Type, ReadError> {
        let is_value = match view_type(ty) {
            TypeView::Tensor { .. }
            | TypeView::Buffer { .. }
            | TypeView::Tuple(_)
            | TypeView::Token
            | TypeView::Future(_) => true,
            TypeView::Complex(_) | TypeView::Function(..) | TypeView::Quantized { .. } | TypeView::Named(_) => false,
        };
        let converted = self.ty(ty)?;
        if is_value && !matches!(converted, Type::Opaque(_)) {
            return Ok(converted);
        }
        Err(ReadError::unsupported(format!("a value of type {}", type_text(ty))))
    }

    /// The type. A scalar type (of an attribute: `f32`) is given as a tensor of rank 0.
    pub fn ty(&mut self, ty: ir::Type<'_>) -> Result<Type, ReadError> {
        let key = type_key(ty);
        if let Some(known) = self.0.get(&key) {
            return Ok(known.clone());
        }
        let converted = self.convert(ty)?;
        self.0.insert(key, converted.clone());
        Ok(converted)
    }

    fn convert(&mut self, ty: ir::Type<'_>) -> Result<Type, ReadError> {
        let scalar = |element| Type::Tensor(TensorType::new(element, []));
        Ok(match view_type(ty) {
            TypeView::Tensor { shape, element, encoding } => {
                check_shape(&shape, ty)?;
                if let TypeView::Quantized { .. } = view_type(element) {
                    if encoding.is_some() {
                        return Err(ReadError::unsupported(format!(
                            "a quantized tensor with an encoding: {}",
                            type_text(ty)
                        )));
                    }
                    return Ok(Type::Quantized(shape, quantization(element)?));
                }
                if type_text(element) == "index" {
                    return Ok(Type::Opaque("tensor<index>".into()));
                }
                let bounds = match encoding.map(view_attribute) {
                    None => Vec::new(),
                    Some(AttributeView::Bounds(bounds)) if bounds.len() == shape.len() => bounds,
                    Some(_) => return Err(ReadError::unsupported(format!("the tensor encoding of {}", type_text(ty)))),
                };
                Type::Tensor(TensorType { element: element_type(element)?, shape, bounds })
            }
            TypeView::Buffer { shape, element } => {
                check_shape(&shape, ty)?;
                Type::Buffer(TensorType::new(element_type(element)?, shape))
            }
            TypeView::Complex(_) => scalar(element_type(ty)?),
            TypeView::Tuple(elements) => Type::Tuple(self.all(&elements)?),
            TypeView::Future(elements) => Type::Future(self.all(&elements)?),
            TypeView::Function(inputs, results) => Type::Function(self.all(&inputs)?, self.all(&results)?),
            TypeView::Token => Type::Token,
            TypeView::Quantized { .. } => Type::Opaque("quantized element".into()),
            TypeView::Named(name) if name == "index" => scalar(ElementType::I64),
            TypeView::Named(name) => match element_of_name(&signless(&name)) {
                Some(element) => scalar(element),
                None => Type::Opaque(name),
            },
        })
    }

    fn all(&mut self, types: &[ir::Type<'_>]) -> Result<Vec<Type>, ReadError> {
        types.iter().map(|&ty| self.ty(ty)).collect()
    }
}

/// `si8` is `i8`: integers without a sign are signed in StableHLO.
fn signless(name: &str) -> String {
    name.strip_prefix("si").map_or_else(|| name.to_owned(), |width| format!("i{width}"))
}

/// The element type of a tensor or of an attribute; `index` is I64.
pub(super) fn element_type(ty: ir::Type<'_>) -> Result<ElementType, ReadError> {
    let found = match view_type(ty) {
        TypeView::Complex(part) => match element_type(part)? {
            ElementType::F32 => Some(ElementType::C64),
            ElementType::F64 => Some(ElementType::C128),
            _ => None,
        },
        TypeView::Named(name) if name == "index" => Some(ElementType::I64),
        TypeView::Named(name) => element_of_name(&signless(&name)),
        _ => None,
    };
    found.ok_or_else(|| ReadError::unsupported(format!("the element type {}", type_text(ty))))
}

/// Type of the elements of a dense attribute, which is static.
pub(super) fn dense_type(ty: ir::Type<'_>) -> Result<TensorType, ReadError> {
    let TypeView::Tensor { shape, element, .. } = view_type(ty) else {
        return Err(ReadError::unsupported(format!("dense elements of type {}", type_text(ty))));
    };
    let element = match view_type(element) {
        TypeView::Quantized { .. } => quantization(element)?.storage,
        _ => element_type(element)?,
    };
    Ok(TensorType::new(element, shape))
}

fn quantization(ty: ir::Type<'_>) -> Result<Quantization, ReadError> {
    let TypeView::Quantized { storage, expressed, range, scales, zero_points, dimension, .. } = view_type(ty) else {
        return Err(ReadError::unsupported(format!("the quantized type {}", type_text(ty))));
    };
    // As in VHLO, the storage is an integer without a sign; `range` tells what it stands for.
    let (storage, expressed) = (element_type(storage)?, element_type(expressed)?);
    Ok(Quantization { storage, expressed, range, scales, zero_points, dimension })
}

fn check_shape(shape: &[i64], ty: ir::Type<'_>) -> Result<(), ReadError> {
    match shape.iter().find(|&&size| size < 0 && size != crate::program::DYNAMIC) {
        None => Ok(()),
        Some(size) => Err(ReadError::unsupported(format!("a dimension of size {size} in {}", type_text(ty)))),
    }
}
