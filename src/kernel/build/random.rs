//! Random bits in XLA's layouts: each counter gives several words, which are stored in one turn.
#![forbid(unsafe_code)]

use super::lowering::{Lowering, Result, Where, refused};
use crate::expression::{Binary, Scalar, Term, random};
use crate::kernel::ir::{BufferId, Node, NodeId, Store};
use crate::program::{Direction, ElementType, Op, RngAlgorithm, ValueId};

impl<'a> Lowering<'a> {
    pub(super) fn random_bits(&mut self, op: &'a Op, algorithm: RngAlgorithm) -> Result<()> {
        let (&[state], &[new_state, result]) = (&op.operands[..], &op.results[..]) else {
            return refused("random bits of other operands");
        };
        let (ty, element) = (self.tensor(state)?, self.tensor(result)?.element);
        let philox = algorithm != RngAlgorithm::ThreeFry;
        let words = ty.shape.first().copied().unwrap_or(0);
        let fits = ty.element == ElementType::U64
            && ty == self.tensor(new_state)?
            && ty.rank() == 1
            && (words == 2 || (philox && words == 3));
        if !fits || !element.is_integer() || element.is_small_integer() {
            return refused("random bits of this state or type");
        }
        let (shape, wide) = (self.shape(result)?, element.bits() == 64);
        let elements = shape.iter().product::<usize>();
        self.made(state)?;
        let bits = self.scratch(result)?;
        let counters = match (elements, philox) {
            (0, _) => 0,
            (_, true) => self.philox(state, words == 3, bits, elements, wide)?,
            _ => self.threefry(state, bits, &shape, wide)?,
        };
        let after = self.scratch(new_state)?;
        self.moved_on(state, after, words as usize, counters, philox)?;
        self.places.insert(result, Where::Buffer(bits));
        self.places.insert(new_state, Where::Buffer(after));
        Ok(())
    }

    /// A word of the state.
    fn word_of(&mut self, state: ValueId, number: usize) -> Result<NodeId> {
        let number = self.nest().number(number as i64);
        self.element(state, &[number])
    }

    /// The state after so many counters.
    fn moved_on(&mut self, state: ValueId, after: BufferId, words: usize, counters: usize, philox: bool) -> Result<()> {
        self.begin(&[], 0..0);
        let mut state_words = Vec::with_capacity(words);
        for number in 0..words {
            state_words.push(self.word_of(state, number)?);
        }
        if counters > 0 {
            let by = counters as i128;
            if philox {
                // A state of two words has the key for its upper half of the counter too.
                let high = *state_words.last().unwrap_or(&state_words[0]);
                let high = if words == 3 { high } else { state_words[0] };
                let moved = self.terms(&[state_words[1], high], |terms| {
                    let (low, high) = random::advance((&terms[0], &terms[1]), &terms[0].integer(by));
                    [low, high]
                });
                state_words[1] = moved[0];
                if words == 3 {
                    state_words[2] = moved[1];
                }
            } else {
                state_words[1] = self.term(&[state_words[1]], |terms| &terms[0] + by);
            }
        }
        let mut stores = Vec::with_capacity(words);
        for (number, value) in state_words.into_iter().enumerate() {
            let at = self.nest().number(number as i64);
            stores.push(Store { buffer: after, at, value });
        }
        self.end(stores);
        Ok(())
    }

    /// The words of a counter one after the other; how many counters there are.
    fn philox(&mut self, state: ValueId, upper: bool, to: BufferId, elements: usize, wide: bool) -> Result<usize> {
        let words = if wide { 2 } else { 4 };
        let counters = elements.div_ceil(words);
        let index = self.begin(&[counters], 0..0)[0];
        let (key, low) = (self.word_of(state, 0)?, self.word_of(state, 1)?);
        let high = if upper { self.word_of(state, 2)? } else { key };
        let bits = self.terms(&[index, low, high, key], |terms| {
            random::philox_bits(&terms[0].cast(Scalar::U32), (&terms[1], &terms[2]), &terms[3], wide)
        });
        let number = self.nest().number(words as i64);
        let first = self.nest().index(Binary::Multiply, index, number);
        let places: Vec<NodeId> = (0..words)
            .map(|word| {
                let word = self.nest().number(word as i64);
                self.nest().index(Binary::Add, first, word)
            })
            .collect();
        self.store_words(to, &bits, &places, elements - 1, (elements - 1) % words);
        Ok(counters)
    }

    /// Both words of a counter make one element of 64 bits, or interleave along one dimension; how many counters there are.
    fn threefry(&mut self, state: ValueId, to: BufferId, shape: &[usize], wide: bool) -> Result<usize> {
        let mut half = shape.to_vec();
        // XLA cuts the first dimension of even size in halves, or else the first of the greatest size.
        let split = shape.iter().position(|size| size % 2 == 0).or_else(|| {
            let greatest = shape.iter().max();
            shape.iter().position(|size| Some(size) == greatest)
        });
        if let (Some(split), false) = (split, wide) {
            half[split] = half[split].div_ceil(2);
        }
        let index = self.begin(&half, 0..0);
        let (key, counter) = (self.word_of(state, 0)?, self.word_of(state, 1)?);
        let number = self.nest().linear(&index, &half);
        let bits = self.terms(&[number, counter, key], |terms| {
            random::threefry_bits(&terms[0].cast(Scalar::U32), &terms[1], &terms[2], wide)
        });
        let counters = half.iter().product();
        match split {
            Some(split) if !wide => {
                // The last word of an odd dimension is left over.
                let (two, last) = (self.nest().number(2), self.nest().number(shape[split] as i64 - 1));
                let first = self.nest().index(Binary::Multiply, index[split], two);
                let one = self.nest().number(1);
                let second = self.nest().index(Binary::Add, first, one);
                let mut place = index.clone();
                place[split] = first;
                let first_at = self.nest().linear(&place, shape);
                let (second_at, second_bits) = if shape[split] % 2 == 1 {
                    let within = self.nest().index(Binary::Minimum, second, last);
                    place[split] = within;
                    let there = self.nest().add(Node::Compare(Direction::Le, second, last), Scalar::Bool);
                    let value = self.term(&[there, bits[1], bits[0]], |terms| terms[0].select(&terms[1], &terms[2]));
                    (self.nest().linear(&place, shape), value)
                } else {
                    place[split] = second;
                    (self.nest().linear(&place, shape), bits[1])
                };
                let stores = [(first_at, bits[0]), (second_at, second_bits)];
                let stores = stores.into_iter().map(|(at, bits)| self.stored(to, at, bits)).collect();
                self.end(stores);
            }
            _ => {
                let at = self.nest().linear(&index, shape);
                let store = self.stored(to, at, bits[0]);
                self.end(vec![store]);
            }
        }
        Ok(counters)
    }

    fn stored(&mut self, to: BufferId, at: NodeId, bits: NodeId) -> Store {
        let scalar = self.kernel.buffers[to as usize].scalar;
        let value = self.term(&[bits], |terms: &[Term]| terms[0].cast(scalar.unsigned()).view(scalar));
        Store { buffer: to, at, value }
    }

    /// Words at their places: those behind the last place are left over, and that keeps its own, the `kept`-th word.
    fn store_words(&mut self, to: BufferId, bits: &[NodeId], places: &[NodeId], last: usize, kept: usize) {
        let end = self.nest().number(last as i64);
        let mut stores = Vec::with_capacity(bits.len());
        for (number, (&bits_of, &place)) in bits.iter().zip(places).enumerate() {
            if number <= kept {
                stores.push(self.stored(to, place, bits_of));
                continue;
            }
            let there = self.nest().add(Node::Compare(Direction::Le, place, end), Scalar::Bool);
            let value = self.term(&[there, bits_of, bits[kept]], |terms| terms[0].select(&terms[1], &terms[2]));
            let at = self.nest().index(Binary::Minimum, place, end);
            stores.push(self.stored(to, at, value));
        }
        self.end(stores);
    }
}
