//! Types of the container to types of the program.
#![forbid(unsafe_code)]

use super::ReadError;
use super::bytecode::{AttributeId, BuiltinType, Cursor, Entry, TypeId};
use super::context::{Context, DialectKind, Shallow};
use super::vhlo::{VhloAttribute, VhloType};
use crate::program::{DYNAMIC, ElementType, Quantization, TensorType, Type};

/// A type, one level deep.
#[derive(Clone, Debug)]
pub(super) enum ShallowType {
    /// A type that tensors are made of.
    Element(ElementType),
    /// `index`: a 64-bit integer; only in attributes.
    Index,
    /// The type of no value.
    None,
    Complex(TypeId),
    Tensor {
        shape: Vec<i64>,
        element: TypeId,
        encoding: Option<AttributeId>,
    },
    Buffer {
        shape: Vec<i64>,
        element: TypeId,
    },
    Quantized {
        storage: TypeId,
        expressed: TypeId,
        parameters: QuantizedParameters,
    },
    Function(Vec<TypeId>, Vec<TypeId>),
    Tuple(Vec<TypeId>),
    Future(Vec<TypeId>),
    Token,
    /// Not understood; the text says which.
    Other(String),
}

/// The numbers of a quantized type.
#[derive(Clone, Debug)]
pub(super) struct QuantizedParameters {
    pub range: (i64, i64),
    pub scales: Vec<f64>,
    pub zero_points: Vec<i64>,
    pub dimension: Option<i64>,
}

/// What a tensor is made of.
enum Element {
    Plain(ElementType),
    Index,
    Quantized(Quantization),
}

impl Context<'_> {
    /// Decodes a type one level deep.
    pub fn shallow_type(&mut self, id: TypeId) -> Result<ShallowType, ReadError> {
        let module = self.module;
        let entry = module.type_entry(id);
        self.charge(1 + entry.contents.remaining())?;
        let name = module.dialect_name(entry.dialect);
        if !entry.is_custom {
            return Ok(text_type(self.text(entry)?));
        }
        match self.dialect(entry.dialect) {
            DialectKind::Builtin => builtin_type(BuiltinType::decode(module, entry)?, entry),
            DialectKind::Vhlo => VhloType::decode(self, entry),
            DialectKind::Sdy | DialectKind::Other => {
                Ok(ShallowType::Other(format!("!{name}<{} bytes>", entry.contents.remaining())))
            }
        }
    }

    /// The type of an operand, result or argument.
    pub fn value_type(&mut self, id: TypeId) -> Result<Type, ReadError> {
        let ty = self.ty(id)?;
        let is_value = !matches!(ty, Type::Function(..) | Type::Opaque(_)) && !self.is_scalar(id)?;
        if is_value {
            return Ok(ty);
        }
        Err(ReadError::unsupported(format!("a value of type {ty} (type number {})", id.0)))
    }

    fn is_scalar(&mut self, id: TypeId) -> Result<bool, ReadError> {
        let Some((Type::Tensor(tensor), _)) = &self.types[id.0 as usize] else { return Ok(false) };
        if tensor.rank() != 0 {
            return Ok(false);
        }
        Ok(!matches!(self.shallow_type(id)?, ShallowType::Tensor { .. }))
    }

    /// The type. A scalar type (of an attribute: `f32`) is given as a tensor of rank 0.
    pub fn ty(&mut self, id: TypeId) -> Result<Type, ReadError> {
        if let Some((ty, size)) = &self.types[id.0 as usize] {
            let (ty, size) = (ty.clone(), *size);
            self.charge(size)?;
            return Ok(ty);
        }
        let ty = self.nested(|context| context.deep_type(id))?;
        let size = size(&ty);
        self.charge(size)?;
        self.types[id.0 as usize] = Some((ty.clone(), size));
        Ok(ty)
    }

    fn all(&mut self, ids: &[TypeId]) -> Result<Vec<Type>, ReadError> {
        ids.iter().map(|&id| self.ty(id)).collect()
    }

    fn deep_type(&mut self, id: TypeId) -> Result<Type, ReadError> {
        Ok(match self.shallow_type(id)? {
            ShallowType::Element(element) => Type::Tensor(TensorType::new(element, [])),
            ShallowType::Index => Type::Tensor(TensorType::new(ElementType::I64, [])),
            ShallowType::None => Type::Opaque("none".into()),
            ShallowType::Complex(_) => match self.element(id)? {
                Element::Plain(element) => Type::Tensor(TensorType::new(element, [])),
                _ => unreachable!("a complex type is made of complex elements"),
            },
            ShallowType::Tensor { shape, element, encoding } => {
                self.check_shape(&shape, id)?;
                match self.element(element)? {
                    Element::Plain(element) => {
                        let bounds = match encoding {
                            Some(encoding) => self.bounds(encoding, &shape)?,
                            None => Vec::new(),
                        };
                        Type::Tensor(TensorType { element, shape, bounds })
                    }
                    Element::Index => Type::Opaque("tensor<index>".into()),
                    Element::Quantized(parameters) => {
                        if encoding.is_some() {
                            return Err(ReadError::unsupported("a quantized tensor with an encoding"));
                        }
                        Type::Quantized(shape, parameters)
                    }
                }
            }
            ShallowType::Buffer { shape, element } => {
                self.check_shape(&shape, id)?;
                match self.element(element)? {
                    Element::Plain(element) => Type::Buffer(TensorType::new(element, shape)),
                    _ => return Err(ReadError::unsupported("a buffer of index or quantized elements")),
                }
            }
            ShallowType::Quantized { .. } => Type::Opaque("quantized element".into()),
            ShallowType::Function(inputs, outputs) => Type::Function(self.all(&inputs)?, self.all(&outputs)?),
            ShallowType::Tuple(elements) => Type::Tuple(self.all(&elements)?),
            ShallowType::Future(elements) => Type::Future(self.all(&elements)?),
            ShallowType::Token => Type::Token,
            ShallowType::Other(text) => Type::Opaque(text),
        })
    }

    /// The shape and element type of a dense attribute's type; `index` is I64.
    pub fn dense_type(&mut self, id: TypeId) -> Result<TensorType, ReadError> {
        let error = |context: &Self, message: String| ReadError::malformed(context.type_offset(id), message);
        let ShallowType::Tensor { shape, element, .. } = self.shallow_type(id)? else {
            return Err(error(self, "expected a ranked tensor as the type of dense elements".into()));
        };
        self.check_shape(&shape, id)?;
        if shape.contains(&DYNAMIC) {
            return Err(error(self, "dense elements of a dynamic shape".into()));
        }
        let element = match self.element(element)? {
            Element::Plain(element) => element,
            Element::Index => ElementType::I64,
            Element::Quantized(parameters) => parameters.storage,
        };
        Ok(TensorType::new(element, shape))
    }

    /// The element type of an attribute; `index` is I64.
    pub fn scalar_type(&mut self, id: TypeId) -> Result<ElementType, ReadError> {
        match self.element(id)? {
            Element::Plain(element) => Ok(element),
            Element::Index => Ok(ElementType::I64),
            Element::Quantized(_) => Err(ReadError::malformed(self.type_offset(id), "expected a plain element type")),
        }
    }

    fn element(&mut self, id: TypeId) -> Result<Element, ReadError> {
        let plain = |context: &mut Self, id: TypeId| match context.shallow_type(id)? {
            ShallowType::Element(element) => Ok(element),
            other => Err(ReadError::malformed(context.type_offset(id), format!("expected a scalar, came {other:?}"))),
        };
        match self.shallow_type(id)? {
            ShallowType::Index => Ok(Element::Index),
            ShallowType::Complex(part) => match plain(self, part)? {
                ElementType::F32 => Ok(Element::Plain(ElementType::C64)),
                ElementType::F64 => Ok(Element::Plain(ElementType::C128)),
                other => Err(ReadError::unsupported(format!("complex<{other}>"))),
            },
            ShallowType::Quantized { storage, expressed, parameters } => Ok(Element::Quantized(Quantization {
                storage: plain(self, storage)?,
                expressed: plain(self, expressed)?,
                range: parameters.range,
                scales: parameters.scales,
                zero_points: parameters.zero_points,
                dimension: parameters.dimension,
            })),
            _ => plain(self, id).map(Element::Plain),
        }
    }

    fn check_shape(&self, shape: &[i64], id: TypeId) -> Result<(), ReadError> {
        match shape.iter().find(|&&size| size < 0 && size != DYNAMIC) {
            None => Ok(()),
            Some(size) => Err(ReadError::malformed(self.type_offset(id), format!("dimension of size {size}"))),
        }
    }

    fn bounds(&mut self, encoding: AttributeId, shape: &[i64]) -> Result<Vec<i64>, ReadError> {
        match self.shallow(encoding)? {
            Shallow::Vhlo(VhloAttribute::TypeExtensions(bounds)) if bounds.len() == shape.len() => Ok(bounds),
            Shallow::Vhlo(VhloAttribute::TypeExtensions(bounds)) => Err(ReadError::malformed(
                self.attribute_offset(encoding),
                format!("{} bounds for {} dimensions", bounds.len(), shape.len()),
            )),
            other => Err(ReadError::unsupported(format!("tensor encoding {other:?}"))),
        }
    }
}

/// What a copy of a type costs.
fn size(ty: &Type) -> usize {
    match ty {
        Type::Tensor(tensor) | Type::Buffer(tensor) => 4 + tensor.shape.len() + tensor.bounds.len(),
        Type::Quantized(shape, parameters) => 4 + shape.len() + 2 * parameters.scales.len(),
        Type::Token => 1,
        Type::Tuple(elements) | Type::Future(elements) => 1 + elements.iter().map(size).sum::<usize>(),
        Type::Function(inputs, outputs) => 1 + inputs.iter().chain(outputs).map(size).sum::<usize>(),
        Type::Opaque(text) => 1 + text.len(),
    }
}

fn builtin_type(ty: BuiltinType, entry: &Entry<'_>) -> Result<ShallowType, ReadError> {
    Ok(match ty {
        BuiltinType::Integer(width, is_unsigned) => match integer(width, is_unsigned) {
            Some(element) => ShallowType::Element(element),
            None => ShallowType::Other(format!("i{width}")),
        },
        BuiltinType::Index => ShallowType::Index,
        BuiltinType::Function(inputs, outputs) => ShallowType::Function(inputs, outputs),
        BuiltinType::Float(name) => text_type(name),
        BuiltinType::Complex(element) => ShallowType::Complex(element),
        BuiltinType::Tensor(shape, element, encoding) => ShallowType::Tensor { shape, element, encoding },
        BuiltinType::Buffer(shape, element) => ShallowType::Buffer { shape, element },
        BuiltinType::Tuple(elements) => ShallowType::Tuple(elements),
        BuiltinType::None => ShallowType::None,
        BuiltinType::Other(name) => ShallowType::Other(format!("{name} at byte {}", entry.contents.offset())),
    })
}

fn integer(width: u32, is_unsigned: bool) -> Option<ElementType> {
    if width == 1 {
        return Some(ElementType::Bool);
    }
    ElementType::ALL.into_iter().find(|element| {
        (if is_unsigned { element.is_unsigned_integer() } else { element.is_signed_integer() })
            && element.bits() == width as usize
    })
}

/// A type in text form: scalars only, since tensors have an encoding.
fn text_type(text: &str) -> ShallowType {
    match text {
        "index" => ShallowType::Index,
        "none" => ShallowType::None,
        "!stablehlo.token" => ShallowType::Token,
        _ => match element_of_name(text) {
            Some(element) => ShallowType::Element(element),
            None => ShallowType::Other(text.to_owned()),
        },
    }
}

/// The real element type of that name in MLIR's text.
pub(crate) fn element_of_name(name: &str) -> Option<ElementType> {
    ElementType::ALL.into_iter().find(|element| !element.is_complex() && element.name() == name)
}

/// A helper for encodings of types: reads a list of types.
pub(super) fn type_list<'a>(context: &Context<'a>, cursor: &mut Cursor<'a>) -> Result<Vec<TypeId>, ReadError> {
    let module = context.module;
    cursor.list(|cursor| module.type_id(cursor))
}
