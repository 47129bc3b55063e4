//! Indices as sums of multiples of where the loops are: what addresses are made of.
#![forbid(unsafe_code)]

use crate::expression::{Binary, Scalar};
use crate::kernel::ir::{Nest, Node, NodeId};

/// Beyond that a sum costs more than what it replaces.
const MOST_TERMS: usize = 4;

/// `constant + Σ factors[d] · index[d] + Σ factor · step`, over the dimensions of a nest and steps that are no sums.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sum {
    /// What is added.
    pub constant: i64,
    /// One for each dimension.
    pub factors: Vec<i64>,
    /// Steps that are no sums themselves, in their order, and how often each is added.
    pub terms: Vec<(NodeId, i64)>,
}

impl Sum {
    fn number(constant: i64, rank: usize) -> Self {
        Self { constant, factors: vec![0; rank], terms: Vec::new() }
    }

    fn is_number(&self) -> bool {
        self.is_affine() && self.factors.iter().all(|&factor| factor == 0)
    }

    /// Whether it depends on nothing but where the loops are.
    pub fn is_affine(&self) -> bool {
        self.terms.is_empty()
    }

    /// None where numbers become too large, or terms too many.
    fn zip(&self, other: &Self, function: fn(i64, i64) -> Option<i64>) -> Option<Self> {
        let factors = self.factors.iter().zip(&other.factors).map(|(&a, &b)| function(a, b)).collect::<Option<_>>()?;
        let mut terms = Vec::new();
        let (mut left, mut right) = (self.terms.iter().peekable(), other.terms.iter().peekable());
        loop {
            let (id, factor) = match (left.peek(), right.peek()) {
                (None, None) => break,
                (Some(&&(a, x)), Some(&&(b, y))) if a == b => {
                    left.next();
                    right.next();
                    (a, function(x, y)?)
                }
                (Some(&&(a, x)), other) if other.is_none_or(|&&(b, _)| a < b) => {
                    left.next();
                    (a, function(x, 0)?)
                }
                (_, Some(&&(b, y))) => {
                    right.next();
                    (b, function(0, y)?)
                }
                (Some(_), None) => break,
            };
            if factor != 0 {
                terms.push((id, factor));
            }
        }
        (terms.len() <= MOST_TERMS).then_some(Self {
            constant: function(self.constant, other.constant)?,
            factors,
            terms,
        })
    }

    fn map(&self, function: impl Fn(i64) -> Option<i64>) -> Option<Self> {
        Some(Self {
            constant: function(self.constant)?,
            factors: self.factors.iter().map(|&factor| function(factor)).collect::<Option<_>>()?,
            terms: self
                .terms
                .iter()
                .map(|&(id, factor)| Some((id, function(factor)?)))
                .filter(|term| term.is_none_or(|(_, factor)| factor != 0))
                .collect::<Option<_>>()?,
        })
    }

    /// The least and the greatest value within the loops, where they are known.
    fn range(&self, dimensions: &[usize]) -> Option<(i64, i64)> {
        if !self.is_affine() {
            return None;
        }
        let (mut low, mut high) = (self.constant, self.constant);
        for (&factor, &size) in self.factors.iter().zip(dimensions) {
            let most = factor.checked_mul(i64::try_from(size.max(1)).ok()? - 1)?;
            (low, high) = (low.checked_add(most.min(0))?, high.checked_add(most.max(0))?);
        }
        Some((low, high))
    }

    /// Quotient and remainder by a positive number, of what is not negative, where the remainder is a sum too.
    fn divided(&self, by: i64, dimensions: &[usize]) -> Option<(Self, Self)> {
        let rest = self.map(|number| number.checked_rem_euclid(by))?;
        let quotient = self.map(|number| number.checked_div_euclid(by))?;
        let (low, high) = rest.range(dimensions)?;
        (low >= 0 && high < by).then_some((quotient, rest))
    }
}

/// The steps of a nest as sums: of all that are of i64; the others are None.
pub fn sums(nest: &Nest) -> Vec<Option<Sum>> {
    let rank = nest.dimensions.len();
    let mut known: Vec<Option<Sum>> = Vec::with_capacity(nest.steps.len());
    for (id, step) in nest.steps.iter().enumerate() {
        if step.scalar != Scalar::I64 {
            known.push(None);
            continue;
        }
        let of = |id: u32| known[id as usize].as_ref();
        let sum = match step.node {
            Node::Constant(value) => Some(Sum::number(value.bits as i64, rank)),
            Node::Index(dimension) => {
                let mut sum = Sum::number(0, rank);
                sum.factors[dimension as usize] = 1;
                Some(sum)
            }
            Node::Binary(function, a, b) => match (of(a), of(b)) {
                (Some(a), Some(b)) => binary(function, a, b, &nest.dimensions),
                _ => None,
            },
            _ => None,
        };
        known.push(Some(sum.unwrap_or_else(|| {
            let mut sum = Sum::number(0, rank);
            sum.terms.push((id as NodeId, 1));
            sum
        })));
    }
    known
}

fn binary(function: Binary, a: &Sum, b: &Sum, dimensions: &[usize]) -> Option<Sum> {
    match function {
        Binary::Add => a.zip(b, i64::checked_add),
        Binary::Subtract => a.zip(b, i64::checked_sub),
        Binary::Multiply if b.is_number() => a.map(|number| number.checked_mul(b.constant)),
        Binary::Multiply if a.is_number() => b.map(|number| number.checked_mul(a.constant)),
        Binary::Divide | Binary::Remainder if b.is_number() && b.constant > 0 && a.range(dimensions)?.0 >= 0 => {
            let (quotient, rest) = a.divided(b.constant, dimensions)?;
            Some(if function == Binary::Divide { quotient } else { rest })
        }
        // The one that is never on the other side.
        Binary::Maximum | Binary::Minimum => {
            let (low, high) = a.zip(b, i64::checked_sub)?.range(dimensions)?;
            let first = function == Binary::Maximum;
            if low >= 0 {
                Some(if first { a.clone() } else { b.clone() })
            } else if high <= 0 {
                Some(if first { b.clone() } else { a.clone() })
            } else {
                None
            }
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::ir::NestBuilder;

    #[test]
    fn places_of_linear_indices_are_found_again() {
        let mut builder = NestBuilder::new(&[5, 4, 6]);
        let index: Vec<u32> = (0..3).map(|each| builder.add(Node::Index(each), Scalar::I64)).collect();
        let linear = builder.linear(&index, &[5, 4, 6]);
        let whole = builder.place(linear, &[5, 24]);
        let split = builder.place(linear, &[5, 2, 12]);
        let across = builder.place(linear, &[6, 20]);
        let sums = sums(&builder.nest);
        let of = |id: u32| {
            let sum = sums[id as usize].as_ref().filter(|sum| sum.is_affine());
            sum.map(|sum| (sum.constant, sum.factors.clone()))
        };
        assert_eq!(of(linear), Some((0, vec![24, 6, 1])));
        assert_eq!(of(whole[0]), Some((0, vec![1, 0, 0])));
        assert_eq!(of(whole[1]), Some((0, vec![0, 6, 1])));
        // 12 is no multiple of what moves: two rows of 6 make one.
        assert_eq!(of(split[1]), None);
        assert_eq!(of(across[1]), None);
    }

    #[test]
    fn bounds_that_are_never_met_are_none() {
        let mut builder = NestBuilder::new(&[8]);
        let index = builder.add(Node::Index(0), Scalar::I64);
        let three = builder.number(3);
        let moved = builder.index(Binary::Add, index, three);
        let (low, high) = (builder.number(3), builder.number(10));
        let raised = builder.index(Binary::Maximum, moved, low);
        let bounded = builder.index(Binary::Minimum, raised, high);
        let nine = builder.number(9);
        let cut = builder.index(Binary::Minimum, raised, nine);
        let sums = sums(&builder.nest);
        assert_eq!(sums[bounded as usize], sums[moved as usize]);
        assert_eq!(sums[cut as usize].as_ref().map(|sum| sum.terms.clone()), Some(vec![(cut, 1)]));
    }
}
