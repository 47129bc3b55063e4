//! Regions of scalars: what reductions, scans and scatters do with two elements.
#![forbid(unsafe_code)]

use super::classes::is_inlined;
use super::lowering::{Lowering, Result, Where, refused};
use crate::expression::{Expression, Scalar, Target, Term, Value};
use crate::kernel::ir::NodeId;
use crate::program::{Binary, Block, ElementType, OpKind, Unary, ValueId};

/// What becomes of an accumulator and an element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Combiner {
    /// One function of the two, in any order.
    Binary(Binary),
    /// The logarithm of the sum of their exponentials.
    LogAddExp,
}

/// So many f64 are added or multiplied one after the other: there is no wider type, and errors add up.
pub(super) const LONGEST_OF_DOUBLES: usize = 4096;

/// A region that combines accumulators with elements, and the types that those have in the meantime.
pub(super) struct Combination<'a> {
    pub body: &'a Block,
    /// What it does with each pair, where that is known and the pairs do not mix.
    pub combiners: Option<Vec<Combiner>>,
    /// Types of the elements.
    pub narrow: Vec<Scalar>,
    /// Types of the accumulators.
    pub wide: Vec<Scalar>,
}

impl Combiner {
    /// The type that so many elements are combined in that their errors must not add up: sums and products in f64,
    /// what else rounds halves in f32.
    fn accumulator(self, scalar: Scalar) -> Scalar {
        match (self, scalar) {
            (Self::Binary(Binary::Add), Scalar::F32 | Scalar::F16 | Scalar::BF16) => Scalar::F64,
            (Self::Binary(Binary::Add), Scalar::C64) => Scalar::C128,
            (Self::Binary(Binary::Multiply) | Self::LogAddExp, Scalar::F16 | Scalar::BF16) => Scalar::F32,
            // In f32 the roundings of factors near one err to the same side.
            (Self::Binary(Binary::Multiply) | Self::LogAddExp, Scalar::F32) => Scalar::F64,
            _ => scalar,
        }
    }

    /// Whether a number changes nothing that it is combined with, zeros of other signs left aside.
    pub fn is_identity(self, element: ElementType, value: Value) -> bool {
        let Some(scalar) = Scalar::of(element) else { return false };
        let Self::Binary(binary) = self else { return value == Value::from_f64(scalar, f64::NEG_INFINITY) };
        let number = |number: i128| value == Value::from_i128(scalar, number);
        let (is_bool, bits) = (element == ElementType::Bool, element.bits() as u32);
        let (least, greatest) = match (is_bool, element.is_signed_integer()) {
            (true, _) => (0, 1),
            (_, true) => (-(1i128 << (bits - 1)), (1i128 << (bits - 1)) - 1),
            _ => (0, (1i128 << bits.min(64)) - 1),
        };
        let infinite = |infinity: f64| element.is_float() && value == Value::from_f64(scalar, infinity);
        let whole = is_bool || element.is_integer();
        match binary {
            Binary::Add => {
                number(0) || (!whole && value.to_f64(scalar) == 0.0 && value.imaginary_to_f64(scalar) == 0.0)
            }
            Binary::Or | Binary::Xor => number(0),
            Binary::Multiply => number(1),
            Binary::And => whole && number(if element.is_unsigned_integer() || is_bool { greatest } else { -1 }),
            Binary::Maximum => {
                if whole {
                    number(least)
                } else {
                    infinite(f64::NEG_INFINITY)
                }
            }
            Binary::Minimum => {
                if whole {
                    number(greatest)
                } else {
                    infinite(f64::INFINITY)
                }
            }
            _ => false,
        }
    }
}

/// The function that a region's result is of its two arguments.
fn binary(body: &Block, result: ValueId, pair: [ValueId; 2]) -> Option<Binary> {
    use Binary::*;
    let op = body.ops.iter().find(|op| op.results == [result])?;
    let OpKind::Binary(binary @ (Add | Multiply | Maximum | Minimum | And | Or | Xor)) = op.kind else { return None };
    let fits = op.operands == pair || op.operands == [pair[1], pair[0]];
    fits.then_some(binary)
}

/// Whether a region is JAX's logaddexp of its two arguments.
fn is_log_add_exp(body: &Block) -> bool {
    let (&[a, b], &[result]) = (&body.arguments[..], &body.results[..]) else { return false };
    let made = |value: ValueId| body.ops.iter().find(|op| op.results == [value]);
    let unary = |value: ValueId, unary: Unary| {
        made(value).filter(|op| op.kind == OpKind::Unary(unary)).map(|op| op.operands[0])
    };
    let is = |value: ValueId, binary: Binary| {
        made(value).is_some_and(|op| op.kind == OpKind::Binary(binary) && op.operands == [a, b])
    };
    let select = made(result).filter(|op| op.kind == OpKind::Select);
    let Some(&[nan, sum, regular]) = select.map(|op| &op.operands[..]) else { return false };
    let difference = made(nan).filter(|op| {
        let not_equal = matches!(op.kind, OpKind::Compare { direction: crate::program::Direction::Ne, .. });
        not_equal && op.operands[0] == op.operands[1] && is(op.operands[0], Binary::Subtract)
    });
    let Some(difference) = difference.map(|op| op.operands[0]) else { return false };
    let parts = made(regular).filter(|op| op.kind == OpKind::Binary(Binary::Add)).map(|op| &op.operands[..]);
    let Some(&[greater, correction]) = parts else { return false };
    let distance = unary(correction, Unary::LogPlusOne)
        .and_then(|value| unary(value, Unary::Exponential))
        .and_then(|value| unary(value, Unary::Negate))
        .and_then(|value| unary(value, Unary::Abs));
    let same_difference = distance.is_some_and(|value| value == difference || is(value, Binary::Subtract));
    is(sum, Binary::Add) && is(greater, Binary::Maximum) && same_difference
}

fn log_add_exp(a: &Term, b: &Term) -> Term {
    let difference = a - b;
    let greater = a.greater(b).select(a, b);
    let regular = greater + (-difference.abs()).exp().log1p();
    difference.is_nan().select(&(a + b), regular)
}

impl<'a> Lowering<'a> {
    /// The region of a reduction with so many results.
    pub(super) fn combination(&self, body: &'a Block, results: &[ValueId]) -> Result<Combination<'a>> {
        let count = results.len();
        if body.arguments.len() != 2 * count || body.results.len() != count {
            return refused("a region of other arguments");
        }
        let narrow = results.iter().map(|&result| self.scalar(result)).collect::<Result<Vec<Scalar>>>()?;
        let combiners = (0..count)
            .map(|index| {
                let pair = [body.arguments[index], body.arguments[count + index]];
                binary(body, body.results[index], pair).map(Combiner::Binary)
            })
            .collect::<Option<Vec<Combiner>>>()
            .or_else(|| (narrow[0].is_float() && is_log_add_exp(body)).then(|| vec![Combiner::LogAddExp]));
        let wide = (0..count)
            .map(|index| combiners.as_ref().map_or(narrow[index], |list| list[index].accumulator(narrow[index])))
            .collect();
        Ok(Combination { body, combiners, narrow, wide })
    }

    /// What accumulators and elements become: each of the type that [`Combination::wide`] says, or of the elements' own.
    pub(super) fn combined(
        &mut self,
        combination: &Combination<'a>,
        left: &[NodeId],
        right: &[NodeId],
    ) -> Result<Vec<NodeId>> {
        let Some(combiners) = combination.combiners.as_ref().filter(|_| combination.wide != combination.narrow) else {
            return self.scalars(combination.body, left.iter().chain(right).copied());
        };
        self.bind(combination.body, left.iter().chain(right).copied())?;
        let mut results = Vec::with_capacity(left.len());
        for (index, &combiner) in combiners.iter().enumerate() {
            let wide = combination.wide[index];
            results.push(if wide == combination.narrow[index] {
                self.element(combination.body.results[index], &[])?
            } else {
                self.term(&[left[index], right[index]], |terms| {
                    let (a, b) = (terms[0].cast(wide), terms[1].cast(wide));
                    match combiner {
                        Combiner::Binary(Binary::Multiply) => a * b,
                        Combiner::Binary(_) => a + b,
                        Combiner::LogAddExp => log_add_exp(&a, &b),
                    }
                })
            });
        }
        Ok(results)
    }

    /// Elements as accumulators.
    pub(super) fn widened(&mut self, combination: &Combination<'a>, nodes: &[NodeId]) -> Vec<NodeId> {
        nodes
            .iter()
            .zip(&combination.wide)
            .map(|(&node, &wide)| self.term(&[node], |terms| terms[0].cast(wide)))
            .collect()
    }

    /// Accumulators as elements.
    pub(super) fn narrowed(&mut self, combination: &Combination<'a>, nodes: &[NodeId]) -> Vec<NodeId> {
        nodes
            .iter()
            .zip(&combination.narrow)
            .map(|(&node, &narrow)| {
                self.term(&[node], |terms| {
                    // f64 becomes a half by way of f32.
                    let halved = narrow.is_half() && terms[0].scalar() != narrow;
                    if halved { terms[0].cast(Scalar::F32).cast(narrow) } else { terms[0].cast(narrow) }
                })
            })
            .collect()
    }

    /// The node of an expression of some nodes.
    pub(super) fn term(&mut self, nodes: &[NodeId], definition: impl FnOnce(&[Term]) -> Term) -> NodeId {
        self.terms(nodes, |terms| [definition(terms)])[0]
    }

    /// The nodes of expressions of some nodes.
    pub(super) fn terms<R: IntoIterator<Item = Term>>(
        &mut self,
        nodes: &[NodeId],
        definition: impl FnOnce(&[Term]) -> R,
    ) -> Vec<NodeId> {
        let scalars: Vec<Scalar> = nodes.iter().map(|&node| self.nest().scalar(node)).collect();
        let expression = Expression::define(&Target::NATIVE, &scalars, definition);
        self.inlined(&expression, nodes)
    }

    /// Makes a region of scalars be of these arguments.
    fn bind(&mut self, body: &'a Block, arguments: impl Iterator<Item = NodeId>) -> Result<()> {
        for (&argument, node) in body.arguments.iter().zip(arguments) {
            self.places.insert(argument, Where::Node(node));
        }
        for op in &body.ops {
            self.check(op)?;
            if !is_inlined(&op.kind) {
                return refused(format!("{} in a region of scalars", op.kind.name()));
            }
            for (index, &result) in op.results.iter().enumerate() {
                self.places.insert(result, Where::Virtual(op, index));
            }
        }
        Ok(())
    }

    /// Refuses to combine so many elements one after the other where their errors would add up.
    pub(super) fn check_length(&self, combination: &Combination<'a>, length: usize) -> Result<()> {
        let double = combination.narrow.iter().any(|&scalar| matches!(scalar, Scalar::F64 | Scalar::C128));
        let rounds = combination.combiners.as_ref().is_none_or(|list| {
            list.iter()
                .any(|each| matches!(each, Combiner::Binary(Binary::Add | Binary::Multiply) | Combiner::LogAddExp))
        });
        if double && rounds && length > LONGEST_OF_DOUBLES {
            return refused("long sums of doubles");
        }
        Ok(())
    }

    /// The results of a region of scalars, for these arguments.
    pub(super) fn scalars(&mut self, body: &'a Block, arguments: impl Iterator<Item = NodeId>) -> Result<Vec<NodeId>> {
        self.bind(body, arguments)?;
        body.results.iter().map(|&result| self.element(result, &[])).collect()
    }

    /// Whether each initial value is known to change nothing, zeros of other signs left aside.
    pub(super) fn inits_are_identities(&self, combination: &Combination<'a>, inits: &[ValueId]) -> bool {
        let Some(combiners) = &combination.combiners else { return false };
        combiners.iter().zip(inits).all(|(combiner, &init)| {
            let element = self.function.tensor(init).map(|ty| ty.element);
            match (self.places.get(&init), element) {
                (Some(Where::Virtual(op, _)), Some(element)) => match &op.kind {
                    OpKind::Constant(literal) if literal.ty.elements() == 1 => {
                        Scalar::of(element).is_some_and(|scalar| {
                            combiner.is_identity(element, Value::from_bytes(scalar, literal.element(0)))
                        })
                    }
                    _ => false,
                },
                _ => false,
            }
        })
    }
}
