//! bitcast_convert between types of different sizes: elements are cut into parts, or joined of them.
#![forbid(unsafe_code)]

use super::lowering::{Lowering, Result, refused};
use crate::expression::convert::{extended, unextended, width};
use crate::expression::{Binary, Scalar, Unary};
use crate::kernel::ir::{Node, NodeId};
use crate::program::{ElementType, ValueId};

impl Lowering<'_> {
    /// Whether there is such a bitcast here.
    pub(super) fn check_bits(&self, operand: ValueId, result: ValueId) -> Result<()> {
        let (from, to) = (self.tensor(operand)?, self.tensor(result)?);
        let booleans = [from.element, to.element].contains(&ElementType::Bool);
        if from.rank() != to.rank() && booleans { refused("a bitcast of booleans") } else { Ok(()) }
    }

    /// The element of a bitcast that adds a last dimension, or takes it away.
    pub(super) fn bits(&mut self, operand: ValueId, result: ValueId, index: &[NodeId]) -> Result<NodeId> {
        let (from, to) = (self.tensor(operand)?.element, self.tensor(result)?.element);
        let (from_bits, to_bits) = (width(from), width(to));
        let (Some(from_scalar), Some(to_scalar)) = (Scalar::of(from), Scalar::of(to)) else {
            return refused("a bitcast of these types");
        };
        if from_bits > to_bits {
            let (&last, place) =
                index.split_last().ok_or_else(|| super::Stop::Refused("a bitcast of rank 0".into()))?;
            let element = self.element(operand, place)?;
            let word = self.word(element, from, from_scalar);
            let scale = self.nest().number(to_bits as i64);
            let shift = self.nest().index(Binary::Multiply, last, scale);
            let shift = self.nest().add(Node::Unary(Unary::Convert, shift), Scalar::U64);
            let moved = self.nest().add(Node::Binary(Binary::ShiftRight, word, shift), Scalar::U64);
            return Ok(self.of_word(moved, to, to_scalar, to_bits));
        }
        let mut joined = None;
        for part in 0..to_bits / from_bits {
            let number = self.nest().number(part as i64);
            let element = self.element(operand, &[index, &[number]].concat())?;
            let word = self.word(element, from, from_scalar);
            let moved = self.term(&[word], |terms| &terms[0] << (part * from_bits) as i128);
            joined = Some(joined.map_or(moved, |joined| self.term(&[joined, moved], |terms| &terms[0] | &terms[1])));
        }
        match joined {
            Some(word) => Ok(self.of_word(word, to, to_scalar, to_bits)),
            None => refused("a bitcast of nothing"),
        }
    }

    /// The significant bits of an element, as u64.
    fn word(&mut self, node: NodeId, from: ElementType, scalar: Scalar) -> NodeId {
        if scalar.is_complex() {
            return self.nest().add(Node::Unary(Unary::Bitcast, node), Scalar::U64);
        }
        self.term(&[node], |terms| unextended(&terms[0], from).cast(Scalar::U64))
    }

    /// The element of the low bits of u64.
    fn of_word(&mut self, word: NodeId, to: ElementType, scalar: Scalar, bits: usize) -> NodeId {
        if scalar.is_complex() {
            return self.nest().add(Node::Unary(Unary::Bitcast, word), scalar);
        }
        self.term(&[word], |terms| {
            let mask = if bits >= 64 { -1i128 } else { (1i128 << bits) - 1 };
            extended(&(&terms[0] & mask).cast(scalar.unsigned()), to)
        })
    }
}
