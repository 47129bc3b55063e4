//! Expressions as nodes of MLX's graph.
#![forbid(unsafe_code)]

use smallvec::SmallVec;

use super::{LowerError, Lowered, complex};
use crate::expression::small_types::value as small_float;
use crate::expression::{Binary, Expression, Node, NodeId, Scalar, Target, Term, Unary, Value};
use crate::mlx::{self, Array, Arrays, Backend, Capabilities, Dtype, Stream};
use crate::program::{Direction, ElementType};

/// An expression of terms of some element types.
pub fn expression<R: IntoIterator<Item = Term>>(
    target: &Target,
    elements: &[ElementType],
    definition: impl FnOnce(&[Term]) -> R,
) -> Option<Expression> {
    let scalars = elements.iter().map(|&element| Scalar::of(element)).collect::<Option<Vec<Scalar>>>()?;
    Some(Expression::define(target, &scalars, definition))
}

/// What a backend of MLX computes by itself.
pub fn target(capabilities: &Capabilities) -> Target {
    Target {
        complex_arithmetic: true,
        complex_functions: true,
        safe_complex: capabilities.safe_complex,
        negates_complex_zeros: capabilities.negates_complex_zeros,
        precise_complex_sqrt: capabilities.precise_complex_sqrt,
        // What the host has is expm1 and tan, which are precise.
        precise_single: !capabilities.precise_host_math,
        precise_double: false,
        single_functions: true,
        cube_root: false,
        c_powers: capabilities.c_powers,
        c_remainder: false,
        orders_zeros: false,
        // MLX's rounds once more, which costs a NaN its sign; CUDA's makes one NaN of all.
        negates_half_nan: false,
        negates_single_nan: capabilities.backend != Backend::Cuda,
        fast_select: capabilities.vector_select,
    }
}

/// MLX's dtype; None for complex128.
pub fn dtype(scalar: Scalar) -> Option<Dtype> {
    Some(match scalar {
        Scalar::Bool => Dtype::Bool,
        Scalar::I8 => Dtype::Int8,
        Scalar::I16 => Dtype::Int16,
        Scalar::I32 => Dtype::Int32,
        Scalar::I64 => Dtype::Int64,
        Scalar::U8 => Dtype::Uint8,
        Scalar::U16 => Dtype::Uint16,
        Scalar::U32 => Dtype::Uint32,
        Scalar::U64 => Dtype::Uint64,
        Scalar::F16 => Dtype::Float16,
        Scalar::BF16 => Dtype::Bfloat16,
        Scalar::F32 => Dtype::Float32,
        Scalar::F64 => Dtype::Float64,
        Scalar::C64 => Dtype::Complex64,
        Scalar::C128 => return None,
    })
}

/// A rank-0 array of a number.
///
/// # Errors
/// When memory is short, or MLX has no such type.
pub fn constant(value: Value, scalar: Scalar) -> mlx::Result<Array> {
    let dtype = dtype(scalar).ok_or_else(|| mlx::Error::new(format!("internal error: a constant of {scalar}")))?;
    let mut bytes = Vec::with_capacity(scalar.bytes());
    value.write(scalar, &mut bytes);
    Array::from_bytes(&bytes, &[], dtype)
}

/// The f32 value of every byte.
fn table(element: ElementType) -> mlx::Result<Array> {
    let bytes: Vec<u8> = (0..=255).flat_map(|code| small_float(element, code).to_le_bytes()).collect();
    Array::from_bytes(&bytes, &[256], Dtype::Float32)
}

type Map1 = fn(&Array, Stream) -> mlx::Result<Array>;
type Map2 = fn(&Array, &Array, Stream) -> mlx::Result<Array>;

/// What one step calls.
enum Call {
    One(Map1),
    Two(Map2),
    Select,
    Cast(Dtype),
    View(Dtype),
    /// Elements of the first constant at the bytes of the operand.
    Lookup,
}

/// Where an operand lies.
#[derive(Clone, Copy)]
enum Place {
    Input(u32),
    Constant(u32),
    Step(u32),
}

struct Step {
    call: Call,
    operands: SmallVec<[Place; 3]>,
    /// Whether arrays of f64 are touched: streams that hold none leave it to the host.
    double: bool,
}

/// An expression ready to be called: all that can be known is known.
pub struct Elementwise {
    steps: Vec<Step>,
    constants: Vec<Array>,
    results: SmallVec<[Place; 1]>,
}

impl Elementwise {
    /// Compiles an expression for arrays of the arguments' types.
    ///
    /// # Errors
    /// When MLX has no such types or functions.
    pub fn new(expression: &Expression) -> mlx::Result<Self> {
        let mut compiled = Self { steps: Vec::new(), constants: Vec::new(), results: SmallVec::new() };
        let mut places: Vec<Place> = Vec::with_capacity(expression.nodes.len());
        for &(node, scalar) in &expression.nodes {
            let place = match node {
                Node::Argument(index) => Place::Input(index),
                Node::Constant(value) => compiled.constant(constant(value, scalar)?),
                _ => {
                    let step = compiled.step(expression, node, scalar, &places)?;
                    compiled.steps.push(step);
                    Place::Step((compiled.steps.len() - 1) as u32)
                }
            };
            places.push(place);
        }
        compiled.results = expression.results.iter().map(|&id| places[id as usize]).collect();
        Ok(compiled)
    }

    fn constant(&mut self, array: Array) -> Place {
        self.constants.push(array);
        Place::Constant((self.constants.len() - 1) as u32)
    }

    fn step(&mut self, expression: &Expression, node: Node, scalar: Scalar, places: &[Place]) -> mlx::Result<Step> {
        let of = |id: NodeId| expression.nodes[id as usize].1;
        let held = || dtype(scalar).ok_or_else(|| mlx::Error::new(format!("internal error: mlx has no {scalar}")));
        let mut operands: SmallVec<[Place; 3]> = node.operands().map(|id| places[id as usize]).collect();
        let double = scalar.is_double() || node.operands().any(|id| of(id).is_double());
        let call = match node {
            Node::Unary(Unary::Convert, _) => Call::Cast(held()?),
            Node::Unary(Unary::Bitcast, _) => Call::View(held()?),
            Node::Unary(Unary::Decode(element), _) => {
                operands.insert(0, self.constant(table(element)?));
                Call::Lookup
            }
            Node::Unary(function, a) => Call::One(map1(function, of(a)).ok_or_else(|| none(&function, of(a)))?),
            Node::Binary(function, a, _) => Call::Two(map2(function, of(a)).ok_or_else(|| none(&function, of(a)))?),
            Node::Compare(direction, ..) => Call::Two(comparison(direction)),
            Node::Select(..) => Call::Select,
            Node::Argument(_) | Node::Constant(_) => return Err(mlx::Error::new("internal error: no step")),
        };
        Ok(Step { call, operands, double })
    }

    /// The results for some arrays, which broadcast.
    ///
    /// # Errors
    /// What MLX refuses.
    pub fn run(&self, inputs: &[&Array], stream: Stream) -> mlx::Result<Arrays> {
        let mut made: SmallVec<[Array; 8]> = SmallVec::with_capacity(self.steps.len());
        for step in &self.steps {
            let at = |index: usize| self.at(step.operands[index], inputs, &made);
            let stream = if step.double { stream.that_holds(Dtype::Float64)? } else { stream };
            let array = match &step.call {
                Call::One(function) => function(at(0), stream)?,
                Call::Two(function) => function(at(0), at(1), stream)?,
                Call::Select => mlx::select(at(0), at(1), at(2), stream)?,
                Call::Cast(dtype) => mlx::astype(at(0), *dtype, stream)?,
                Call::View(dtype) => mlx::view(at(0), *dtype, stream)?,
                Call::Lookup => mlx::take(at(0), at(1), 0, stream)?,
            };
            made.push(array);
        }
        Ok(self.results.iter().map(|&place| self.at(place, inputs, &made).clone()).collect())
    }

    /// The only result.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub fn one(&self, inputs: &[&Array], stream: Stream) -> mlx::Result<Array> {
        let mut results = self.run(inputs, stream)?;
        results.pop().ok_or_else(|| mlx::Error::new("internal error: an expression without results"))
    }

    fn at<'a>(&'a self, place: Place, inputs: &[&'a Array], made: &'a [Array]) -> &'a Array {
        match place {
            Place::Input(index) => inputs[index as usize],
            Place::Constant(index) => &self.constants[index as usize],
            Place::Step(index) => &made[index as usize],
        }
    }
}

/// A kernel that evaluates an expression.
///
/// # Errors
/// As [`Elementwise::new`].
pub fn lowered(expression: &Expression) -> Result<Lowered, LowerError> {
    let compiled = Elementwise::new(expression)?;
    // Most ops are one call, and need no list of steps.
    if let [Step { call, operands, double: false }] = &compiled.steps[..]
        && let [Place::Step(0)] = compiled.results[..]
    {
        match (call, &operands[..]) {
            (Call::One(function), [Place::Input(0)]) => {
                let function = *function;
                return Ok(Lowered::one(move |inputs, stream| function(inputs[0], stream)));
            }
            (Call::Two(function), [Place::Input(0), Place::Input(1)]) => {
                let function = *function;
                return Ok(Lowered::one(move |inputs, stream| function(inputs[0], inputs[1], stream)));
            }
            _ => {}
        }
    }
    Ok(Lowered::new(move |inputs, stream| compiled.run(inputs, stream)))
}

fn none(function: &dyn std::fmt::Debug, scalar: Scalar) -> mlx::Error {
    mlx::Error::new(format!("internal error: mlx has no {function:?} of {scalar}"))
}

fn map1(function: Unary, scalar: Scalar) -> Option<Map1> {
    let is_complex = scalar.is_complex();
    Some(match function {
        Unary::Abs if is_complex => mlx::complex_abs,
        Unary::Abs => mlx::abs,
        Unary::Negate => mlx::negative,
        Unary::Not if scalar == Scalar::Bool => mlx::logical_not,
        Unary::Not => mlx::bitwise_invert,
        Unary::Sign => mlx::sign,
        Unary::Ceil => mlx::ceil,
        Unary::Floor => mlx::floor,
        Unary::Round => mlx::round,
        Unary::Sqrt => mlx::sqrt,
        Unary::Rsqrt => mlx::rsqrt,
        Unary::Exp => mlx::exp,
        Unary::Expm1 => mlx::expm1,
        Unary::Log => mlx::log,
        Unary::Log1p => mlx::log1p,
        Unary::Sin => mlx::sin,
        Unary::Cos => mlx::cos,
        Unary::Tan => mlx::tan,
        Unary::Sinh => mlx::sinh,
        Unary::Cosh => mlx::cosh,
        Unary::Tanh => mlx::tanh,
        Unary::Asin => mlx::arcsin,
        Unary::Acos => mlx::arccos,
        Unary::Atan => mlx::arctan,
        Unary::Asinh => mlx::arcsinh,
        Unary::Acosh => mlx::arccosh,
        Unary::Atanh => mlx::arctanh,
        Unary::IsNan => mlx::isnan,
        Unary::IsInf => mlx::isinf,
        Unary::IsFinite => mlx::isfinite,
        Unary::Real => mlx::real,
        Unary::Imaginary => mlx::imag,
        Unary::Cbrt | Unary::Decode(_) | Unary::Convert | Unary::Bitcast => return None,
    })
}

fn map2(function: Binary, scalar: Scalar) -> Option<Map2> {
    let (is_bool, is_bfloat) = (scalar == Scalar::Bool, scalar == Scalar::BF16);
    Some(match function {
        Binary::Add if is_bfloat => mlx::bfloat16_add,
        Binary::Subtract if is_bfloat => mlx::bfloat16_subtract,
        Binary::Multiply if is_bfloat => mlx::bfloat16_multiply,
        Binary::Divide if is_bfloat => mlx::bfloat16_divide,
        Binary::Add => mlx::add,
        Binary::Subtract => mlx::subtract,
        Binary::Multiply if scalar.is_complex() => complex::multiply,
        Binary::Multiply => mlx::multiply,
        Binary::Divide if scalar.is_complex() => mlx::complex_divide,
        Binary::Divide if scalar.is_integer() => mlx::floor_divide,
        Binary::Divide => mlx::divide,
        Binary::Remainder => mlx::remainder,
        Binary::Power => mlx::power,
        Binary::Maximum => mlx::maximum,
        Binary::Minimum => mlx::minimum,
        Binary::Atan2 => mlx::arctan2,
        Binary::And if is_bool => mlx::logical_and,
        Binary::Or if is_bool => mlx::logical_or,
        Binary::Xor if is_bool => mlx::not_equal,
        Binary::And => mlx::bitwise_and,
        Binary::Or => mlx::bitwise_or,
        Binary::Xor => mlx::bitwise_xor,
        Binary::ShiftLeft => mlx::left_shift,
        Binary::ShiftRight => mlx::right_shift,
        Binary::Complex => complex::of_parts,
    })
}

fn comparison(direction: Direction) -> Map2 {
    match direction {
        Direction::Eq => mlx::equal,
        Direction::Ne => mlx::not_equal,
        Direction::Ge => mlx::greater_equal,
        Direction::Gt => mlx::greater,
        Direction::Le => mlx::less_equal,
        Direction::Lt => mlx::less,
    }
}
