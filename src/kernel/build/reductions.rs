//! Many elements become one: reduce, reduce_window, dot_general, convolution.
#![forbid(unsafe_code)]

use super::elements::{at, position};
use super::lowering::{Lowering, Result, Stop, refused};
use super::regions::LONGEST_OF_DOUBLES;
use crate::expression::convert::convert;
use crate::expression::small_types::wrap;
use crate::expression::{Binary, Scalar, Term, Value};
use crate::kernel::ir::{Fold, Node, NodeId};
use crate::program::{DotGeneral, ElementType, Op, ReduceWindow};

/// Windows along one dimension.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Window {
    /// Elements of the operand.
    pub size: usize,
    /// Elements of a window.
    pub window: usize,
    /// Distance of windows.
    pub stride: usize,
    /// Distance of the operand's elements after dilation.
    pub base: usize,
    /// Distance of a window's elements.
    pub dilation: usize,
    /// Positions added in front; negative takes away.
    pub low: i64,
    /// Positions added behind; negative takes away.
    pub high: i64,
}

impl Window {
    /// Whether every window is one position and every position is a window.
    pub fn is_element(&self) -> bool {
        self.window == 1 && self.stride == 1 && self.base == 1
    }
}

impl<'a> Lowering<'a> {
    /// Begins a fold over loops of these sizes; their places.
    pub(super) fn fold(&mut self, sizes: &[usize], scalars: &[Scalar], inits: Vec<NodeId>) -> Result<Vec<NodeId>> {
        let nest = self.nest();
        if nest.scope != 0 {
            // Kept instead: it would be folded anew for each element of another.
            return refused("a reduction in a reduction");
        }
        let first = nest.nest.dimensions.len() as u32;
        nest.nest.dimensions.extend(sizes);
        let carried = nest.nest.accumulators.len() as u32;
        nest.nest.accumulators.extend(scalars);
        nest.nest.folds.push(Fold {
            dimensions: first..first + sizes.len() as u32,
            accumulators: carried..carried + scalars.len() as u32,
            inits,
            next: Vec::new(),
        });
        nest.scope = nest.nest.folds.len() as u32;
        Ok((0..sizes.len() as u32).map(|each| nest.add(Node::Index(first + each), Scalar::I64)).collect())
    }

    /// What the fold that is being built has so far.
    pub(super) fn accumulators(&mut self) -> Vec<NodeId> {
        let nest = self.nest();
        let range = nest.nest.folds[nest.scope as usize - 1].accumulators.clone();
        range
            .map(|accumulator| {
                let scalar = nest.nest.accumulators[accumulator as usize];
                nest.add(Node::Accumulator(accumulator), scalar)
            })
            .collect()
    }

    /// Ends the fold: what its accumulators become at each turn; its results.
    pub(super) fn folded(&mut self, next: Vec<NodeId>) -> Vec<NodeId> {
        let nest = self.nest();
        let number = nest.scope - 1;
        let range = nest.nest.folds[number as usize].accumulators.clone();
        nest.nest.folds[number as usize].next = next;
        nest.scope = 0;
        range
            .enumerate()
            .map(|(index, accumulator)| {
                let scalar = nest.nest.accumulators[accumulator as usize];
                nest.add(Node::Folded(number, index as u32), scalar)
            })
            .collect()
    }

    pub(super) fn reduced(
        &mut self,
        op: &'a Op,
        dimensions: &[i64],
        result: usize,
        index: &[NodeId],
    ) -> Result<NodeId> {
        let count = op.results.len();
        let [body] = &op.regions[..] else { return refused("a reduction without its region") };
        let combination = self.combination(body, &op.results)?;
        let shape = self.shape(op.operands[0])?;
        let sizes: Vec<usize> = dimensions.iter().map(|&each| shape[at(&[each], 0)]).collect();
        self.check_length(&combination, sizes.iter().product())?;
        let inner = |places: &[NodeId]| -> Result<Vec<NodeId>> {
            let mut rest = index.iter().copied();
            (0..shape.len())
                .map(|dimension| match position(dimensions, dimension) {
                    Some(place) => Ok(places[place]),
                    None => rest.next().ok_or(Stop::Refused("a reduction of another rank".to_owned())),
                })
                .collect()
        };
        if sizes.iter().all(|&size| size == 1) && self.inits_are_identities(&combination, &op.operands[count..]) {
            // As XLA has it: nothing is combined with anything, and -0 stays.
            let zero = self.nest().number(0);
            return self.element(op.operands[result], &inner(&vec![zero; sizes.len()])?);
        }
        let mut inits = Vec::with_capacity(count);
        for &init in &op.operands[count..] {
            inits.push(self.element(init, &[])?);
        }
        let inits = self.widened(&combination, &inits);
        let places = self.fold(&sizes, &combination.wide, inits)?;
        let inner = inner(&places)?;
        let mut elements = Vec::with_capacity(count);
        for &operand in &op.operands[..count] {
            elements.push(self.element(operand, &inner)?);
        }
        let accumulators = self.accumulators();
        let next = self.combined(&combination, &accumulators, &elements)?;
        let results = self.folded(next);
        Ok(self.narrowed(&combination, &results)[result])
    }

    /// The windows of reduce_window, in each dimension.
    pub(super) fn windows(&self, op: &Op, attributes: &ReduceWindow) -> Result<Vec<Window>> {
        let shape = self.shape(op.operands[0])?;
        let size = |list: &[i64], dimension: usize| if list.is_empty() { 1 } else { at(list, dimension) };
        Ok(shape
            .iter()
            .enumerate()
            .map(|(dimension, &elements)| {
                let (low, high) = attributes.padding.get(dimension).copied().unwrap_or_default();
                Window {
                    size: elements,
                    window: size(&attributes.window_dimensions, dimension),
                    stride: size(&attributes.window_strides, dimension),
                    base: size(&attributes.base_dilations, dimension),
                    dilation: size(&attributes.window_dilations, dimension),
                    low,
                    high,
                }
            })
            .collect())
    }

    /// Where an element of a window lies in the operand, and whether it does: between and around the elements is nothing.
    /// `window` and `place`: which window, and where in it.
    pub(super) fn within(&mut self, each: &Window, window: NodeId, place: NodeId) -> (NodeId, Option<NodeId>) {
        use crate::program::Direction;
        let nest = self.nest();
        let (stride, dilation) = (nest.number(each.stride as i64), nest.number(each.dilation as i64));
        let (start, offset) =
            (nest.index(Binary::Multiply, window, stride), nest.index(Binary::Multiply, place, dilation));
        let sum = nest.index(Binary::Add, start, offset);
        if each.is_element() && each.low == 0 && each.high == 0 {
            return (sum, None);
        }
        let (low, zero, base) = (nest.number(each.low), nest.number(0), nest.number(each.base as i64));
        let moved = nest.index(Binary::Subtract, sum, low);
        let mut conditions = Vec::new();
        if each.low > 0 {
            conditions.push(nest.add(Node::Compare(Direction::Ge, moved, zero), Scalar::Bool));
        }
        // Never negative, also where the padding is.
        let moved = if each.low > 0 { nest.index(Binary::Maximum, moved, zero) } else { moved };
        let (at, rest) = (nest.index(Binary::Divide, moved, base), nest.index(Binary::Remainder, moved, base));
        let last = nest.number(each.size as i64 - 1);
        conditions.push(nest.add(Node::Compare(Direction::Le, at, last), Scalar::Bool));
        if each.base > 1 {
            conditions.push(nest.add(Node::Compare(Direction::Eq, rest, zero), Scalar::Bool));
        }
        let at = nest.index(Binary::Minimum, at, last);
        let inside = conditions.into_iter().fold(None, |inside, condition| Some(self.both(inside, condition)));
        (at, inside)
    }

    pub(super) fn windowed(
        &mut self,
        op: &'a Op,
        attributes: &ReduceWindow,
        result: usize,
        index: &[NodeId],
    ) -> Result<NodeId> {
        let count = op.results.len();
        let [body] = &op.regions[..] else { return refused("a reduction without its region") };
        let combination = self.combination(body, &op.results)?;
        let windows = self.windows(op, attributes)?;
        self.check_length(&combination, windows.iter().map(|each| each.window).product())?;
        let mut inits = Vec::with_capacity(count);
        for &init in &op.operands[count..] {
            inits.push(self.element(init, &[])?);
        }
        if windows.iter().any(|each| each.size == 0) {
            return Ok(inits[result]);
        }
        // XLA leaves +0 out of sums of single elements, but for bf16; and a complex 1 makes NaN of infinities.
        let alone = windows.iter().all(Window::is_element)
            && !matches!(self.tensor(op.results[result])?.element, ElementType::BF16 | ElementType::C64)
            && self.inits_are_identities(&combination, &op.operands[count..]);
        let sizes: Vec<usize> = windows.iter().map(|each| each.window).collect();
        let inits = self.widened(&combination, &inits);
        let places = self.fold(&sizes, &combination.wide, inits)?;
        let (mut inside, mut inner) = (None, Vec::with_capacity(windows.len()));
        for (dimension, each) in windows.iter().enumerate() {
            let (at, there) = self.within(each, index[dimension], places[dimension]);
            inner.push(at);
            if let Some(there) = there {
                inside = Some(self.both(inside, there));
            }
        }
        let mut elements = Vec::with_capacity(count);
        for &operand in &op.operands[..count] {
            elements.push(self.element(operand, &inner)?);
        }
        let accumulators = self.accumulators();
        let next = if alone {
            self.widened(&combination, &elements)
        } else {
            self.combined(&combination, &accumulators, &elements)?
        };
        let next = match inside {
            None => next,
            Some(inside) => next
                .iter()
                .zip(&accumulators)
                .map(|(&next, &before)| {
                    self.term(&[inside, next, before], |terms| terms[0].select(&terms[1], &terms[2]))
                })
                .collect(),
        };
        let results = self.folded(next);
        Ok(self.narrowed(&combination, &results)[result])
    }

    pub(super) fn product(&mut self, op: &'a Op, dot: &DotGeneral, index: &[NodeId]) -> Result<NodeId> {
        let (lhs, rhs) = (op.operands[0], op.operands[1]);
        let (product, sum) = self.product_types(op, dot)?;
        let (left_shape, right_shape) = (self.shape(lhs)?, self.shape(rhs)?);
        let sizes: Vec<usize> = dot.lhs_contracting_dimensions.iter().map(|&each| left_shape[at(&[each], 0)]).collect();
        if product == ElementType::F64 && sizes.iter().product::<usize>() > LONGEST_OF_DOUBLES {
            return refused("long sums of doubles");
        }
        let alone = sizes.iter().all(|&size| size == 1);
        let places = if alone {
            vec![self.nest().number(0); sizes.len()]
        } else {
            let zero = self.constant(sum, Value::default());
            self.fold(&sizes, &[sum], vec![zero])?
        };
        // Batches first, then what is left of either side.
        let batches = dot.lhs_batching_dimensions.len();
        let mut next = batches;
        let mut side = |shape: &[usize], batching: &[i64], contracting: &[i64]| -> Vec<NodeId> {
            (0..shape.len())
                .map(|dimension| match (position(batching, dimension), position(contracting, dimension)) {
                    (Some(place), _) => index[place],
                    (_, Some(place)) => places[place],
                    _ => {
                        next += 1;
                        index[next - 1]
                    }
                })
                .collect()
        };
        let left_index = side(&left_shape, &dot.lhs_batching_dimensions, &dot.lhs_contracting_dimensions);
        let right_index = side(&right_shape, &dot.rhs_batching_dimensions, &dot.rhs_contracting_dimensions);
        let (a, b) = (self.element(lhs, &left_index)?, self.element(rhs, &right_index)?);
        let (left, right) = (self.tensor(lhs)?.element, self.tensor(rhs)?.element);
        let multiplied = self.term(&[a, b], |terms| {
            let factor = |term: &Term, element| {
                if product.is_integer() { convert(term, element, product) } else { term.cast(sum) }
            };
            factor(&terms[0], left) * factor(&terms[1], right)
        });
        // A product that is added to nothing keeps the sign of its zero.
        let result = if alone {
            multiplied
        } else {
            let so_far = self.accumulators()[0];
            let next = self.term(&[so_far, multiplied], |terms| &terms[0] + &terms[1]);
            self.folded(vec![next])[0]
        };
        let to = self.tensor(op.results[0])?.element;
        Ok(self.of_sum(result, product, to))
    }

    /// A sum of products of a type, as an element of another.
    pub(super) fn of_sum(&mut self, sum: NodeId, product: ElementType, to: ElementType) -> NodeId {
        self.term(&[sum], |terms| {
            let Some(narrow) = Scalar::of(product) else { return terms[0].clone() };
            // f64 becomes a half by way of f32.
            let single = if narrow.is_half() { terms[0].cast(Scalar::F32) } else { terms[0].clone() };
            convert(&wrap(single.cast(narrow), product), product, to)
        })
    }

    /// The type of a product's elements, and that in which they are added. Where the result's type cannot hold it (floats to
    /// integers, complex to real numbers) XLA multiplies in the operands' type, and converts.
    pub(super) fn product_types(&self, op: &Op, dot: &DotGeneral) -> Result<(ElementType, Scalar)> {
        let [lhs, rhs, result] = [op.operands[0], op.operands[1], op.results[0]];
        let all = [self.tensor(lhs)?.element, self.tensor(rhs)?.element, self.tensor(result)?.element];
        if dot.algorithm.is_some() { refused("a product by an algorithm") } else { self.product_types_of(all) }
    }

    /// The same for operands and a result of these types.
    pub(super) fn product_types_of(&self, all: [ElementType; 3]) -> Result<(ElementType, Scalar)> {
        let [lhs, rhs, to] = all;
        if all.iter().any(|element| element.is_small_float() || *element == ElementType::Bool) {
            return refused("a product of these types");
        }
        let product = ElementType::of_product(lhs, rhs, to);
        let sum = match Scalar::of(product) {
            Some(scalar) if scalar.is_complex() => Scalar::C128,
            Some(scalar) if scalar.is_float() => Scalar::F64,
            Some(scalar) => scalar,
            None => return refused("a product of these types"),
        };
        Ok((product, sum))
    }
}
