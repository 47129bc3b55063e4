//! What each elementwise op of StableHLO computes (spec section "Ops").
#![forbid(unsafe_code)]

use super::arithmetic::{self, Zeros, unary_in_single};
use super::convert::{convert, extended, reduce_precision, unextended, width};
use super::small_types::wrap;
use super::{Expression, Scalar, Target, Term, bitwise, complex, functions, special};
use crate::program::{Binary, CompareType, Direction, ElementType, OpKind, Unary};

/// Why an op has no expression.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It is not supported for these types.
    #[error("{0}")]
    Unsupported(String),
    /// The program is not valid.
    #[error("{0}")]
    Invalid(String),
}

fn unsupported<T>(why: impl Into<String>) -> Result<T, Refusal> {
    Err(Refusal::Unsupported(why.into()))
}

/// What is known of an operand.
#[derive(Clone, Copy, Debug)]
pub struct Known {
    /// Its element type.
    pub element: ElementType,
    /// The zeros that it can hold.
    pub zeros: Zeros,
    /// Whether all its elements are 0, all bits.
    pub is_zero: bool,
}

impl Known {
    /// Nothing but the type.
    pub fn of(element: ElementType) -> Self {
        Self { element, zeros: Zeros::Unknown, is_zero: false }
    }
}

/// The expression of an elementwise op; arguments and result have the storage types of the element types.
///
/// # Errors
/// When the op is not elementwise, or not defined or supported for the types.
pub fn elementwise(
    kind: &OpKind,
    operands: &[Known],
    result: ElementType,
    target: &Target,
) -> Result<Expression, Refusal> {
    let scalars = operands
        .iter()
        .map(|operand| Scalar::of(operand.element).ok_or_else(|| no_type(operand.element)))
        .collect::<Result<Vec<Scalar>, Refusal>>()?;
    if Scalar::of(result).is_none() {
        return Err(no_type(result));
    }
    let arity = match kind {
        OpKind::Binary(_) | OpKind::Compare { .. } => 2,
        OpKind::Select | OpKind::Clamp => 3,
        _ => 1,
    };
    if operands.len() != arity {
        return Err(Refusal::Invalid(format!("{arity} operands expected, {} came", operands.len())));
    }
    let moves = matches!(kind, OpKind::Convert | OpKind::BitcastConvert | OpKind::Select)
        || matches!(kind, OpKind::Unary(Unary::Real | Unary::Imag));
    if !moves && operands.iter().any(|operand| operand.element.is_small_float()) {
        return unsupported("small floats are only converted and moved");
    }
    let mut outcome = Ok(());
    let expression = Expression::define(target, &scalars, |terms| {
        let term = match kind {
            OpKind::Unary(op) => unary(*op, &terms[0], operands[0].element),
            OpKind::Binary(op) => binary(*op, [&terms[0], &terms[1]], [&operands[0], &operands[1]]),
            OpKind::Compare { direction, compare_type } => {
                Ok(compare(*direction, *compare_type, [&terms[0], &terms[1]], operands[0].element))
            }
            OpKind::Select => select([&terms[0], &terms[1], &terms[2]], operands),
            OpKind::Clamp => clamp([&terms[0], &terms[1], &terms[2]], [&operands[0], &operands[1], &operands[2]]),
            OpKind::Convert => Ok(convert(&terms[0], operands[0].element, result)),
            OpKind::BitcastConvert => bitcast(&terms[0], operands[0].element, result),
            OpKind::ReducePrecision { exponent_bits, mantissa_bits } => {
                reduced(&terms[0], operands[0].element, *exponent_bits, *mantissa_bits)
            }
            _ => unsupported("it is not elementwise"),
        };
        [term.unwrap_or_else(|refusal| {
            outcome = Err(refusal);
            terms[0].clone()
        })]
    });
    outcome.map(|()| expression)
}

fn no_type(element: ElementType) -> Refusal {
    Refusal::Unsupported(format!("there is no arithmetic of {element}"))
}

/// A real function and a complex one; f16 and bf16 go through f32.
fn either(
    x: &Term,
    element: ElementType,
    real: fn(&Term) -> Term,
    of_complex: fn(&Term) -> Term,
) -> Result<Term, Refusal> {
    if element.is_complex() {
        return Ok(of_complex(x));
    }
    if !element.is_float() {
        return Err(Refusal::Invalid(format!("a float or complex type expected, {element} came")));
    }
    Ok(unary_in_single(x, real))
}

fn integer(element: ElementType, booleans: bool) -> Result<ElementType, Refusal> {
    if element.is_integer() || (booleans && element == ElementType::Bool) {
        Ok(element)
    } else {
        Err(Refusal::Invalid(format!("an integer type expected, {element} came")))
    }
}

fn float(element: ElementType) -> Result<(), Refusal> {
    if element.is_float() { Ok(()) } else { Err(Refusal::Invalid(format!("a float type expected, {element} came"))) }
}

fn unary(op: Unary, x: &Term, element: ElementType) -> Result<Term, Refusal> {
    Ok(match op {
        Unary::Abs => match element {
            ElementType::Bool => x.clone(),
            _ if element.is_unsigned_integer() => x.clone(),
            _ if element.is_complex() => complex::abs(x),
            _ => wrap(x.abs(), element),
        },
        Unary::Cbrt => either(x, element, functions::cbrt, complex::cbrt)?,
        Unary::Ceil => float(element).map(|()| x.ceil())?,
        Unary::CountLeadingZeros => bitwise::count_leading_zeros(x, integer(element, false)?),
        Unary::Cosine => either(x, element, functions::cos, complex::cosine)?,
        Unary::Exponential => either(x, element, functions::exp, complex::exp)?,
        Unary::ExponentialMinusOne => either(x, element, Term::expm1, complex::expm1)?,
        Unary::Floor => float(element).map(|()| x.floor())?,
        Unary::Imag if element.is_complex() => x.imag(),
        Unary::Imag => x.integer(0),
        Unary::IsFinite if element.is_float() || element.is_complex() => x.is_finite(),
        // All of them are.
        Unary::IsFinite => x.equal(x),
        Unary::Log => either(x, element, Term::log, complex::log)?,
        Unary::LogPlusOne => either(x, element, Term::log1p, complex::log1p)?,
        Unary::Logistic => either(x, element, functions::logistic, complex::logistic)?,
        Unary::Negate => match element {
            ElementType::Bool => x.clone(),
            _ if element.is_complex() => complex::negate(x),
            _ if element.is_float() => arithmetic::negate(x),
            _ => wrap(-x, element),
        },
        Unary::Not => wrap(!x, integer(element, true)?),
        Unary::Popcnt => bitwise::popcnt(x, integer(element, false)?),
        Unary::Real if element.is_complex() => x.real(),
        Unary::Real => x.clone(),
        Unary::RoundNearestAfz => float(element).map(|()| arithmetic::round_away(x))?,
        Unary::RoundNearestEven => float(element).map(|()| x.round())?,
        Unary::Rsqrt => either(x, element, functions::rsqrt, complex::rsqrt)?,
        Unary::Sign => match element {
            ElementType::Bool => x.clone(),
            _ if element.is_complex() => complex::sign(x),
            _ if element.is_float() => arithmetic::sign_float(x),
            _ => x.sign(),
        },
        Unary::Sine => either(x, element, functions::sin, complex::sine)?,
        Unary::Sqrt => either(x, element, Term::sqrt, complex::sqrt)?,
        Unary::Tan => either(x, element, Term::tan, complex::tan)?,
        Unary::Tanh => either(x, element, Term::tanh, complex::tanh)?,
    })
}

fn binary(op: Binary, [a, b]: [&Term; 2], known: [&Known; 2]) -> Result<Term, Refusal> {
    let element = known[0].element;
    let (is_bool, is_complex, is_float) = (element == ElementType::Bool, element.is_complex(), element.is_float());
    let in_single = |function: fn(&Term, &Term) -> Term| arithmetic::in_single([a, b], |[a, b]| function(&a, &b));
    Ok(match op {
        Binary::Add if is_bool => a | b,
        Binary::Add => wrap(a + b, element),
        // Modulo 2, as XLA's i1 arithmetic.
        Binary::Subtract if is_bool => a ^ b,
        Binary::Subtract => wrap(a - b, element),
        Binary::Multiply if is_bool => a & b,
        Binary::Multiply => wrap(a * b, element),
        Binary::Divide if is_bool => return unsupported("there is no quotient of booleans"),
        Binary::Divide if is_complex => complex::divide(a, b),
        Binary::Divide if is_float => a / b,
        Binary::Divide if element.is_signed_integer() => wrap(arithmetic::divide_signed(a, b), element),
        Binary::Divide => wrap(arithmetic::divide_unsigned(a, b), element),
        Binary::Remainder if is_bool => return unsupported("there is no remainder of booleans"),
        Binary::Remainder if is_complex => return unsupported("there is no remainder of complex numbers"),
        Binary::Remainder if is_float => in_single(arithmetic::remainder_float),
        Binary::Remainder if element.is_signed_integer() => wrap(arithmetic::remainder_signed(a, b), element),
        Binary::Remainder => wrap(arithmetic::remainder_unsigned(a, b), element),
        Binary::Power if is_bool => return unsupported("there is no power of booleans"),
        Binary::Power if is_complex => complex::power(a, b),
        Binary::Power if is_float => in_single(arithmetic::power_float),
        Binary::Power if element.is_signed_integer() => wrap(arithmetic::power_signed(a, b), element),
        Binary::Power => wrap(a.power(b), element),
        Binary::Maximum if is_bool => a | b,
        Binary::Maximum if is_complex => complex::greater(a, b).select(a, b),
        Binary::Maximum if is_float => arithmetic::maximum(a, b, known.map(|known| known.zeros)),
        Binary::Maximum => a.maximum(b),
        Binary::Minimum if is_bool => a & b,
        Binary::Minimum if is_complex => complex::greater(b, a).select(a, b),
        Binary::Minimum if is_float => arithmetic::minimum(a, b, known.map(|known| known.zeros)),
        Binary::Minimum => a.minimum(b),
        Binary::Atan2 if is_complex => complex::atan2(a, b),
        Binary::Atan2 if is_float => in_single(|a, b| a.arctan2(b)),
        Binary::Atan2 => return unsupported("atan2 is of floats and complex numbers"),
        Binary::And => integer(element, true).map(|_| a & b)?,
        Binary::Or => integer(element, true).map(|_| a | b)?,
        Binary::Xor => integer(element, true).map(|_| a ^ b)?,
        Binary::ShiftLeft => bitwise::shift_left(a, b, integer(element, false)?),
        Binary::ShiftRightLogical => bitwise::shift_right_logical(a, b, integer(element, false)?),
        Binary::ShiftRightArithmetic => bitwise::shift_right_arithmetic(a, b, integer(element, false)?),
        Binary::Complex if matches!(element, ElementType::F32 | ElementType::F64) => a.complex(b),
        Binary::Complex => return Err(Refusal::Invalid(format!("complex numbers of {element}"))),
    })
}

fn compare(direction: Direction, compare_type: CompareType, [a, b]: [&Term; 2], element: ElementType) -> Term {
    if compare_type == CompareType::TotalOrder && element.is_float() {
        return arithmetic::total_order(a).compare(direction, arithmetic::total_order(b));
    }
    if !element.is_complex() {
        return a.compare(direction, b);
    }
    // Order is not in the spec; lexicographic, as NumPy has it.
    match direction {
        Direction::Eq | Direction::Ne => a.compare(direction, b),
        Direction::Gt => complex::greater(a, b),
        Direction::Lt => complex::greater(b, a),
        Direction::Ge => complex::greater(a, b) | a.equal(b),
        Direction::Le => complex::greater(b, a) | a.equal(b),
    }
}

fn select([predicate, yes, no]: [&Term; 3], known: &[Known]) -> Result<Term, Refusal> {
    if known[0].element != ElementType::Bool {
        return Err(Refusal::Invalid("a predicate of i1 expected".to_owned()));
    }
    if known[2].is_zero && known[1].element.bytes() > 1 && !predicate.target().fast_select {
        return Ok(arithmetic::or_zero(predicate, yes));
    }
    Ok(predicate.select(yes, no))
}

/// min(max(operand, low), high). A NaN in any is the result.
fn clamp([low, operand, high]: [&Term; 3], known: [&Known; 3]) -> Result<Term, Refusal> {
    let element = known[1].element;
    Ok(match element {
        ElementType::Bool => (operand | low) & high,
        _ if element.is_complex() => return unsupported("complex numbers have no order"),
        _ if element.is_float() => {
            let raised = arithmetic::maximum(operand, low, [known[1].zeros, known[0].zeros]);
            arithmetic::minimum(&raised, high, [Zeros::Unknown, known[2].zeros])
        }
        _ => operand.maximum(low).minimum(high),
    })
}

fn bitcast(a: &Term, from: ElementType, to: ElementType) -> Result<Term, Refusal> {
    if from == to {
        return Ok(a.clone());
    }
    if width(from) != width(to) {
        return unsupported("it changes the shape in a region that must be elementwise");
    }
    Ok(extended(&unextended(a, from), to))
}

fn reduced(x: &Term, element: ElementType, exponent_bits: i64, mantissa_bits: i64) -> Result<Term, Refusal> {
    let (exponent, mantissa) = match element {
        ElementType::F16 => (5, 10),
        ElementType::BF16 => (8, 7),
        ElementType::F32 => (8, 23),
        ElementType::F64 => (11, 52),
        _ => return unsupported("a float of 16, 32 or 64 bits expected"),
    };
    if exponent_bits < 1 || mantissa_bits < 0 {
        let why = "at least one exponent bit and no negative number of mantissa bits expected";
        return Err(Refusal::Invalid(why.to_owned()));
    }
    let exponent_bits = (exponent_bits < exponent).then_some(exponent_bits);
    let mantissa_bits = (mantissa_bits < mantissa).then_some(mantissa_bits);
    if exponent_bits.is_none() && mantissa_bits.is_none() {
        return Ok(x.clone());
    }
    Ok(reduce_precision(x, exponent_bits, mantissa_bits))
}

/// Functions that programs call by name instead of as ops (CHLO's, as jaxlib sends them).
struct Named {
    name: &'static str,
    real: Real,
    of_complex: Option<fn(&Term) -> Term>,
    /// Whether `real` is as precise in f64 as it should be.
    double: bool,
}

/// A function of floats.
enum Real {
    /// Of one; f16 and bf16 are computed in f32.
    One(fn(&Term) -> Term),
    /// Of two, in their own type.
    Two(fn(&Term, &Term) -> Term),
}

macro_rules! named {
    ($($name:literal $node:ident $function:path),* $(,)?) => {
        [$(Named {
            name: $name,
            real: Real::One(|x| x.apply(super::node::Unary::$node)),
            of_complex: Some($function),
            double: true,
        }),*]
    };
}

const NAMED: [Named; 8] = named!(
    "acos" Acos complex::acos, "acosh" Acosh complex::acosh, "asin" Asin complex::asin, "asinh" Asinh complex::asinh,
    "atan" Atan complex::atan, "atanh" Atanh complex::atanh, "cosh" Cosh complex::cosh, "sinh" Sinh complex::sinh,
);

const OTHERS: [Named; 3] = [
    Named { name: "erf", real: Real::One(special::erf), of_complex: None, double: true },
    Named { name: "erf_inv", real: Real::One(special::erf_inv), of_complex: None, double: false },
    Named { name: "next_after", real: Real::Two(arithmetic::next_after), of_complex: None, double: true },
];

fn find(name: &str) -> Option<&'static Named> {
    NAMED.iter().chain(&OTHERS).find(|function| function.name == name)
}

/// Whether there is a function of this name.
pub fn is_named(name: &str) -> bool {
    find(name).is_some()
}

/// The expression of a function by its name, of operands of one type.
///
/// # Errors
/// When there is none for the type and the number of operands.
pub fn named(name: &str, element: ElementType, operands: usize, target: &Target) -> Result<Expression, Refusal> {
    let function = match find(name) {
        Some(function) => function,
        None => return unsupported(format!("there is no function {name}")),
    };
    let scalar = match Scalar::of(element) {
        Some(scalar) if element.is_complex() || (element.is_float() && !element.is_small_float()) => scalar,
        _ => return unsupported(format!("it is not defined for {element}")),
    };
    let arity = if matches!(function.real, Real::Two(_)) { 2 } else { 1 };
    if operands != arity {
        return Err(Refusal::Invalid(format!("{arity} operands expected, {operands} came")));
    }
    if element == ElementType::F64 && !function.double {
        return unsupported("not in f64");
    }
    match (&function.real, function.of_complex) {
        (_, Some(definition)) if element.is_complex() => {
            Ok(Expression::define(target, &[scalar], |terms| [definition(&terms[0])]))
        }
        (Real::One(definition), _) if !element.is_complex() => {
            Ok(Expression::define(target, &[scalar], |terms| [unary_in_single(&terms[0], definition)]))
        }
        (Real::Two(definition), _) if !element.is_complex() => {
            Ok(Expression::define(target, &[scalar; 2], |terms| [definition(&terms[0], &terms[1])]))
        }
        _ => unsupported(format!("it is not defined for {element}")),
    }
}
