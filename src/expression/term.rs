//! Expressions in ordinary notation: `(x * x + 1.0).sqrt()`.
//!
//! Numbers become constants of the other side's type. Where the target has no complex arithmetic, what is written here of
//! complex terms becomes arithmetic of their parts.
#![forbid(unsafe_code)]

use std::cell::RefCell;
use std::fmt;
use std::ops::{Add, BitAnd, BitOr, BitXor, Div, Mul, Neg, Not, Shl, Shr, Sub};
use std::rc::Rc;

use super::node::{Binary, Expression, Node, NodeId, Nodes, Unary};
use super::{Scalar, Target, Value, single};
use crate::program::{Direction, ElementType};

struct Builder {
    target: Target,
    nodes: RefCell<Nodes>,
}

/// A part of an expression under construction.
#[derive(Clone)]
pub struct Term {
    builder: Rc<Builder>,
    id: NodeId,
    scalar: Scalar,
}

impl fmt::Debug for Term {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "%{}: {}", self.id, self.scalar)
    }
}

impl Expression {
    /// The expression that `definition` makes of arguments of some types, for a target.
    pub fn define<R: IntoIterator<Item = Term>>(
        target: &Target,
        arguments: &[Scalar],
        definition: impl FnOnce(&[Term]) -> R,
    ) -> Self {
        let builder = Rc::new(Builder { target: target.clone(), nodes: RefCell::default() });
        let terms: Vec<Term> = arguments
            .iter()
            .enumerate()
            .map(|(index, &scalar)| Term::new(&builder, Node::Argument(index as u32), scalar))
            .collect();
        let results: Vec<NodeId> = definition(&terms).into_iter().map(|term| term.id).collect();
        Self::new(arguments.to_vec(), &builder.nodes.borrow(), &results)
    }
}

/// What may stand on the right of an operator: another term, or a number in the left term's type.
pub trait Operand {
    /// The term, given the one on its left.
    fn term(self, left: &Term) -> Term;
}

impl Operand for Term {
    fn term(self, _left: &Term) -> Term {
        self
    }
}

impl Operand for &Term {
    fn term(self, _left: &Term) -> Term {
        self.clone()
    }
}

impl Operand for f64 {
    fn term(self, left: &Term) -> Term {
        left.constant(self)
    }
}

impl Operand for i128 {
    fn term(self, left: &Term) -> Term {
        left.integer(self)
    }
}

macro_rules! unary {
    ($($name:ident $function:ident $doc:literal),* $(,)?) => {
        $(
            #[doc = $doc]
            pub fn $name(&self) -> Term {
                self.apply(Unary::$function)
            }
        )*
    };
}

impl Term {
    fn new(builder: &Rc<Builder>, node: Node, scalar: Scalar) -> Self {
        let id = builder.nodes.borrow_mut().add(node, scalar);
        Self { builder: builder.clone(), id, scalar }
    }

    fn make(&self, node: Node, scalar: Scalar) -> Term {
        Self::new(&self.builder, node, scalar)
    }

    fn node(&self) -> Node {
        self.builder.nodes.borrow().get(self.id).0
    }

    fn at(&self, id: NodeId) -> Term {
        let scalar = self.builder.nodes.borrow().get(id).1;
        Self { builder: self.builder.clone(), id, scalar }
    }

    /// The target that the expression is for.
    pub fn target(&self) -> &Target {
        &self.builder.target
    }

    /// The term's type.
    pub fn scalar(&self) -> Scalar {
        self.scalar
    }

    /// Whether complex terms are written by their parts.
    fn in_parts(&self) -> bool {
        self.scalar.is_complex() && !self.target().complex_arithmetic
    }

    /// A number of this term's type.
    pub fn constant(&self, value: f64) -> Term {
        self.make(Node::Constant(Value::from_f64(self.scalar, value)), self.scalar)
    }

    /// An integer of this term's type (its low bits).
    pub fn integer(&self, value: i128) -> Term {
        self.make(Node::Constant(Value::from_i128(self.scalar, value)), self.scalar)
    }

    /// A function of this term that does not change the type: the target's own, or arithmetic where it has none.
    pub fn apply(&self, function: Unary) -> Term {
        let defined = if self.is_arithmetic() { single::unary(function, self) } else { None };
        defined.unwrap_or_else(|| self.library(function))
    }

    /// As [`Self::apply`], always as a function.
    pub fn library(&self, function: Unary) -> Term {
        self.make(Node::Unary(function, self.id), self.scalar)
    }

    /// A function of two terms that does not change the type.
    pub fn apply2(&self, function: Binary, other: impl Operand) -> Term {
        let other = other.term(self);
        debug_assert_eq!(self.scalar, other.scalar, "{function:?} of one type");
        let defined = if self.is_arithmetic() { single::binary(function, self, &other) } else { None };
        defined.unwrap_or_else(|| self.make(Node::Binary(function, self.id, other.id), self.scalar))
    }

    /// Whether its elementary functions are made of arithmetic.
    fn is_arithmetic(&self) -> bool {
        self.scalar == Scalar::F32 && !self.target().single_functions
    }

    unary!(
        abs Abs "|x|, of what is not complex.",
        ceil Ceil "The least integer that is not less.",
        floor Floor "The greatest integer that is not greater.",
        round Round "The nearest integer, ties to even.",
        sqrt Sqrt "The square root.",
        cbrt Cbrt "The cube root, where the target has one.",
        rsqrt Rsqrt "1 / sqrt(x).",
        sign Sign "-1, 0 or 1; anything of these for zeros and NaN.",
        exp Exp "e^x.",
        expm1 Expm1 "e^x - 1.",
        log Log "The natural logarithm.",
        log1p Log1p "log(1 + x).",
        sin Sin "The sine.",
        cos Cos "The cosine.",
        tan Tan "The tangent.",
        sinh Sinh "The hyperbolic sine.",
        cosh Cosh "The hyperbolic cosine.",
        tanh Tanh "The hyperbolic tangent.",
    );

    fn classify(&self, function: Unary) -> Term {
        if self.in_parts() {
            let (real, imaginary) = (self.real().classify(function), self.imag().classify(function));
            return if function == Unary::IsFinite { real & imaginary } else { real | imaginary };
        }
        self.make(Node::Unary(function, self.id), Scalar::Bool)
    }

    /// Whether it, or a part of it, is NaN.
    pub fn is_nan(&self) -> Term {
        self.classify(Unary::IsNan)
    }

    /// Whether it, or a part of it, is infinite.
    pub fn is_inf(&self) -> Term {
        self.classify(Unary::IsInf)
    }

    /// Whether it is neither infinite nor NaN.
    pub fn is_finite(&self) -> Term {
        self.classify(Unary::IsFinite)
    }

    /// The real part.
    pub fn real(&self) -> Term {
        self.part(Unary::Real)
    }

    /// The imaginary part.
    pub fn imag(&self) -> Term {
        self.part(Unary::Imaginary)
    }

    fn part(&self, part: Unary) -> Term {
        let scalar = self.scalar.real();
        match self.node() {
            Node::Binary(Binary::Complex, real, imaginary) => {
                self.at(if part == Unary::Real { real } else { imaginary })
            }
            Node::Constant(value) => {
                let bits = if part == Unary::Real { value.bits } else { value.imaginary };
                self.make(Node::Constant(Value::from_bits(bits)), scalar)
            }
            _ => self.make(Node::Unary(part, self.id), scalar),
        }
    }

    /// The complex number of this real part and an imaginary one.
    pub fn complex(&self, imaginary: &Term) -> Term {
        let scalar = if self.scalar == Scalar::F64 { Scalar::C128 } else { Scalar::C64 };
        debug_assert_eq!(self.scalar, imaginary.scalar, "two parts of one type");
        self.make(Node::Binary(Binary::Complex, self.id, imaginary.id), scalar)
    }

    /// |z| of a complex number, where the target has it.
    pub fn magnitude(&self) -> Term {
        self.make(Node::Unary(Unary::Abs, self.id), self.scalar.real())
    }

    /// Whether the two are in a relation.
    pub fn compare(&self, direction: Direction, other: impl Operand) -> Term {
        let other = other.term(self);
        debug_assert_eq!(self.scalar, other.scalar, "{direction:?} of one type");
        if self.in_parts() {
            let real = self.real().compare(direction, other.real());
            let imaginary = self.imag().compare(direction, other.imag());
            return if direction == Direction::Ne { real | imaginary } else { real & imaginary };
        }
        self.make(Node::Compare(direction, self.id, other.id), Scalar::Bool)
    }

    /// self == other.
    pub fn equal(&self, other: impl Operand) -> Term {
        self.compare(Direction::Eq, other)
    }

    /// self != other.
    pub fn not_equal(&self, other: impl Operand) -> Term {
        self.compare(Direction::Ne, other)
    }

    /// self < other.
    pub fn less(&self, other: impl Operand) -> Term {
        self.compare(Direction::Lt, other)
    }

    /// self ≤ other.
    pub fn less_equal(&self, other: impl Operand) -> Term {
        self.compare(Direction::Le, other)
    }

    /// self > other.
    pub fn greater(&self, other: impl Operand) -> Term {
        self.compare(Direction::Gt, other)
    }

    /// self ≥ other.
    pub fn greater_equal(&self, other: impl Operand) -> Term {
        self.compare(Direction::Ge, other)
    }

    /// The greater, NaN if either is; of two zeros any.
    pub fn maximum(&self, other: impl Operand) -> Term {
        self.apply2(Binary::Maximum, other)
    }

    /// The lesser, NaN if either is; of two zeros any.
    pub fn minimum(&self, other: impl Operand) -> Term {
        self.apply2(Binary::Minimum, other)
    }

    /// self^other; integer exponents must not be negative.
    pub fn power(&self, other: impl Operand) -> Term {
        self.apply2(Binary::Power, other)
    }

    /// The angle of the point (other, self).
    pub fn arctan2(&self, other: impl Operand) -> Term {
        self.apply2(Binary::Atan2, other)
    }

    /// What is left of unsigned integers, or of floats that are not negative.
    pub fn remainder(&self, other: impl Operand) -> Term {
        self.apply2(Binary::Remainder, other)
    }

    /// `yes` where this (a bool) holds, else `no`, a number being of the type of `yes`.
    pub fn select(&self, yes: &Term, no: impl Operand) -> Term {
        let no = no.term(yes);
        debug_assert!(self.scalar == Scalar::Bool && yes.scalar == no.scalar, "a bool selects of one type");
        if yes.id == no.id {
            return no;
        }
        if yes.in_parts() {
            return self.select(&yes.real(), no.real()).complex(&self.select(&yes.imag(), no.imag()));
        }
        self.make(Node::Select(self.id, yes.id, no.id), yes.scalar)
    }

    /// `number` where the condition holds, else this.
    pub fn or_where(&self, condition: &Term, number: f64) -> Term {
        condition.select(&self.constant(number), self)
    }

    /// In another type; floats must fit the integers that they are to become.
    pub fn cast(&self, scalar: Scalar) -> Term {
        if self.scalar == scalar {
            return self.clone();
        }
        let by_parts = !self.target().complex_arithmetic;
        match (self.scalar.is_complex(), scalar.is_complex()) {
            (true, true) if by_parts => self.real().cast(scalar.real()).complex(&self.imag().cast(scalar.real())),
            (false, true) if by_parts => {
                let real = self.cast(scalar.real());
                real.complex(&real.constant(0.0))
            }
            (true, false) if by_parts && scalar == Scalar::Bool => self.not_equal(0.0),
            (true, false) if by_parts => self.real().cast(scalar),
            _ => self.make(Node::Unary(Unary::Convert, self.id), scalar),
        }
    }

    /// The bits as another type of the same size.
    pub fn view(&self, scalar: Scalar) -> Term {
        debug_assert_eq!(self.scalar.bytes(), scalar.bytes(), "as many bits");
        match self.node() {
            _ if self.scalar == scalar => self.clone(),
            Node::Unary(Unary::Bitcast, id) => self.at(id).view(scalar),
            _ => self.make(Node::Unary(Unary::Bitcast, self.id), scalar),
        }
    }

    /// The f32 that this code of a small float stands for.
    pub fn decode(&self, element: ElementType) -> Term {
        self.make(Node::Unary(Unary::Decode(element), self.id), Scalar::F32)
    }

    /// The bits as unsigned integers.
    pub fn bits(&self) -> Term {
        self.view(self.scalar.unsigned())
    }

    /// The magnitude of this with the sign bit of another float of the same type.
    pub fn copysign(&self, sign: &Term) -> Term {
        let mask = 1i128 << (self.scalar.bits() - 1);
        ((self.bits() & (mask - 1)) | (sign.bits() & mask)).view(self.scalar)
    }

    /// Value of the polynomial of these coefficients, the highest power's first.
    pub fn polynomial(&self, coefficients: &[f64]) -> Term {
        let (first, rest) = coefficients.split_first().expect("a polynomial has a coefficient");
        let mut sum = self.constant(*first);
        for &coefficient in rest {
            sum = sum * self + coefficient;
        }
        sum
    }

    fn arithmetic(&self, function: Binary, other: impl Operand) -> Term {
        let other = other.term(self);
        if !self.in_parts() {
            return self.apply2(function, other);
        }
        let ((a, b), (c, d)) = ((self.real(), self.imag()), (other.real(), other.imag()));
        match function {
            Binary::Multiply => (&a * &c - &b * &d).complex(&(a * d + b * c)),
            Binary::Divide => super::complex::divide(self, &other),
            _ => a.apply2(function, c).complex(&b.apply2(function, d)),
        }
    }
}

macro_rules! operators {
    ($($trait:ident $method:ident $function:ident),* $(,)?) => {
        $(
            impl<T: Operand> $trait<T> for Term {
                type Output = Term;
                fn $method(self, other: T) -> Term {
                    self.arithmetic(Binary::$function, other)
                }
            }
            impl<T: Operand> $trait<T> for &Term {
                type Output = Term;
                fn $method(self, other: T) -> Term {
                    self.arithmetic(Binary::$function, other)
                }
            }
        )*
    };
}

operators!(
    Add add Add, Sub sub Subtract, Mul mul Multiply, Div div Divide, BitAnd bitand And, BitOr bitor Or, BitXor bitxor Xor,
    Shl shl ShiftLeft, Shr shr ShiftRight,
);

impl Neg for Term {
    type Output = Term;
    fn neg(self) -> Term {
        -&self
    }
}

impl Neg for &Term {
    type Output = Term;
    fn neg(self) -> Term {
        if self.in_parts() { (-self.real()).complex(&-self.imag()) } else { self.apply(Unary::Negate) }
    }
}

/// Of bools, or bitwise.
impl Not for Term {
    type Output = Term;
    fn not(self) -> Term {
        self.apply(Unary::Not)
    }
}

impl Not for &Term {
    type Output = Term;
    fn not(self) -> Term {
        self.apply(Unary::Not)
    }
}
