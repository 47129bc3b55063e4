//! The element of a value at a place, by the op that makes it.
#![forbid(unsafe_code)]

use super::alone::is_zero;
use super::lowering::{Lowering, Result, Stop, Where, refused};
use crate::expression::{self, Binary, Expression, Known, Scalar, Target, Unary, Value};
use crate::kernel::ir::{Node, NodeId};
use crate::program::{Gather, Op, OpKind, ValueId};

fn function(target: &str) -> Option<&str> {
    let name = target.strip_prefix("mhlo.").or_else(|| target.strip_prefix("mps."))?;
    expression::is_named(name).then_some(name)
}

pub(super) fn at(list: &[i64], index: usize) -> usize {
    list.get(index).and_then(|&number| usize::try_from(number).ok()).unwrap_or(0)
}

pub(super) fn position(list: &[i64], number: usize) -> Option<usize> {
    list.iter().position(|&each| each == number as i64)
}

impl<'a> Lowering<'a> {
    /// Whether elements of the op's results can be given at all.
    pub(super) fn check(&self, op: &Op) -> Result<()> {
        for &value in op.operands.iter().chain(&op.results) {
            self.scalar(value)?;
        }
        match &op.kind {
            kind if is_zero(kind) => Ok(()),
            OpKind::UniformQuantize | OpKind::UniformDequantize => refused(format!("{} is not there", op.kind.name())),
            OpKind::DotGeneral(dot) => self.product_types(op, dot).map(|_| ()),
            OpKind::Convolution(attributes) => self.convolution_sum(op, attributes).map(|_| ()),
            OpKind::BitcastConvert => self.check_bits(op.operands[0], op.results[0]),
            OpKind::CustomCall(call) => match call.call_target_name.as_str() {
                "mps.threefry2x32" => Ok(()),
                target if function(target).is_some() => Ok(()),
                target => refused(format!("calls of {target}")),
            },
            OpKind::Unary(_)
            | OpKind::Binary(_)
            | OpKind::Compare { .. }
            | OpKind::Select
            | OpKind::Clamp
            | OpKind::Convert
            | OpKind::ReducePrecision { .. }
            | OpKind::Constant(_)
            | OpKind::Iota { .. }
            | OpKind::BroadcastInDim { .. }
            | OpKind::Reshape
            | OpKind::Transpose { .. }
            | OpKind::Reverse { .. }
            | OpKind::Slice { .. }
            | OpKind::Pad { .. }
            | OpKind::Concatenate { .. }
            | OpKind::DynamicSlice { .. }
            | OpKind::Gather(_)
            | OpKind::PartitionId
            | OpKind::ReplicaId
            | OpKind::ReduceWindow(_)
            | OpKind::Map { .. }
            | OpKind::Reduce { .. } => Ok(()),
            kind => refused(format!("{} is not there", kind.name())),
        }
    }

    /// The element of a value at a place.
    pub(super) fn element(&mut self, value: ValueId, index: &[NodeId]) -> Result<NodeId> {
        if let Some(open) = &self.open
            && let Some(&node) = open.stored.get(&value)
        {
            // At hand where the outer loops are, and nowhere else.
            let here = index.len() == open.sizes.len()
                && index.iter().enumerate().all(|(dimension, &node)| {
                    open.builder.nest.steps[node as usize].node == Node::Index(dimension as u32)
                });
            return if here { Ok(node) } else { Err(Stop::Conflict) };
        }
        match self.places.get(&value) {
            Some(&Where::Node(node)) => Ok(node),
            Some(&Where::Buffer(buffer)) => {
                if self.open.as_ref().is_some_and(|open| open.written.contains(&buffer)) {
                    return Err(Stop::Conflict);
                }
                let (shape, scalar) = (self.shape(value)?, self.scalar(value)?);
                let linear = self.nest().linear(index, &shape);
                Ok(self.nest().add(Node::Load(buffer, linear), scalar))
            }
            Some(&Where::Virtual(op, result)) => self.computed(op, result, index),
            None => refused("a value that nothing defines"),
        }
    }

    /// The element of an operand that is a scalar or has the shape of the place.
    fn operand(&mut self, value: ValueId, index: &[NodeId]) -> Result<NodeId> {
        if self.tensor(value)?.rank() == 0 { self.element(value, &[]) } else { self.element(value, index) }
    }

    /// An index given by a program, within 0 and `last`.
    pub(super) fn start(&mut self, value: ValueId, last: usize) -> Result<NodeId> {
        let (element, start) = (self.tensor(value)?.element, self.element(value, &[])?);
        self.bounded(start, element.is_unsigned_integer() && element.bits() == 64, last)
    }

    pub(super) fn bounded(&mut self, start: NodeId, is_u64: bool, last: usize) -> Result<NodeId> {
        let nest = self.nest();
        let mut start = start;
        if is_u64 {
            // Beyond 2^63 they would be negative.
            let most = nest.add(Node::Constant(Value::from_bits(last as u64)), Scalar::U64);
            start = nest.add(Node::Binary(Binary::Minimum, start, most), Scalar::U64);
        }
        if nest.scalar(start) != Scalar::I64 {
            start = nest.add(Node::Unary(Unary::Convert, start), Scalar::I64);
        }
        let (low, high) = (nest.number(0), nest.number(last as i64));
        let start = nest.index(Binary::Maximum, start, low);
        Ok(nest.index(Binary::Minimum, start, high))
    }

    /// The nodes of an expression's results.
    pub(super) fn inlined(&mut self, expression: &Expression, arguments: &[NodeId]) -> Vec<NodeId> {
        let mut nodes: Vec<NodeId> = Vec::with_capacity(expression.nodes.len());
        for &(node, scalar) in &expression.nodes {
            let of = |id: u32| nodes[id as usize];
            let node = match node {
                expression::Node::Argument(number) => {
                    nodes.push(arguments[number as usize]);
                    continue;
                }
                expression::Node::Constant(value) => Node::Constant(value),
                expression::Node::Unary(function, a) => Node::Unary(function, of(a)),
                expression::Node::Binary(function, a, b) => Node::Binary(function, of(a), of(b)),
                expression::Node::Compare(direction, a, b) => Node::Compare(direction, of(a), of(b)),
                expression::Node::Select(a, b, c) => Node::Select(of(a), of(b), of(c)),
            };
            nodes.push(self.nest().add(node, scalar));
        }
        expression.results.iter().map(|&id| nodes[id as usize]).collect()
    }

    fn computed(&mut self, op: &'a Op, result: usize, index: &[NodeId]) -> Result<NodeId> {
        let operands = &op.operands;
        match &op.kind {
            OpKind::Constant(literal) => {
                let scalar = self.scalar(op.results[0])?;
                Ok(self.constant(scalar, Value::from_bytes(scalar, literal.element(0))))
            }
            kind if matches!(kind, OpKind::PartitionId | OpKind::ReplicaId) || is_zero(kind) => {
                let scalar = self.scalar(op.results[0])?;
                Ok(self.constant(scalar, Value::default()))
            }
            OpKind::Iota { iota_dimension } => {
                let (scalar, element) = (self.scalar(op.results[0])?, self.tensor(op.results[0])?.element);
                let place = index[at(&[*iota_dimension], 0)];
                self.converted(place, scalar, element)
            }
            OpKind::BroadcastInDim { broadcast_dimensions } => {
                let shape = self.shape(operands[0])?;
                let zero = self.nest().number(0);
                let inner: Vec<NodeId> = (0..shape.len())
                    .map(
                        |dimension| {
                            if shape[dimension] == 1 { zero } else { index[at(broadcast_dimensions, dimension)] }
                        },
                    )
                    .collect();
                self.element(operands[0], &inner)
            }
            OpKind::Reshape => self.reshaped(operands[0], op.results[0], index),
            OpKind::Transpose { permutation } => {
                let inner: Vec<NodeId> = (0..index.len())
                    .map(|dimension| position(permutation, dimension).map_or(0, |place| index[place]))
                    .collect();
                self.element(operands[0], &inner)
            }
            OpKind::Reverse { dimensions } => {
                let shape = self.shape(operands[0])?;
                let mut inner = index.to_vec();
                for dimension in dimensions.iter().filter_map(|&each| usize::try_from(each).ok()) {
                    let last = self.nest().number(shape[dimension] as i64 - 1);
                    inner[dimension] = self.nest().index(Binary::Subtract, last, index[dimension]);
                }
                self.element(operands[0], &inner)
            }
            OpKind::Slice { start_indices, strides, .. } => {
                let mut inner = Vec::with_capacity(index.len());
                for (dimension, &place) in index.iter().enumerate() {
                    let nest = self.nest();
                    let (start, stride) = (nest.number(start_indices[dimension]), nest.number(strides[dimension]));
                    let scaled = nest.index(Binary::Multiply, place, stride);
                    inner.push(nest.index(Binary::Add, scaled, start));
                }
                self.element(operands[0], &inner)
            }
            OpKind::DynamicSlice { slice_sizes } => {
                let shape = self.shape(operands[0])?;
                let mut inner = Vec::with_capacity(index.len());
                for (dimension, &place) in index.iter().enumerate() {
                    let start = self.start(operands[1 + dimension], shape[dimension] - at(slice_sizes, dimension))?;
                    inner.push(self.nest().index(Binary::Add, start, place));
                }
                self.element(operands[0], &inner)
            }
            OpKind::Pad { edge_padding_low, interior_padding, .. } => {
                self.padded(op, index, edge_padding_low, interior_padding)
            }
            OpKind::Concatenate { dimension } => self.concatenated(op, index, at(&[*dimension], 0)),
            OpKind::Gather(gather) => self.gathered(op, gather, index),
            OpKind::Reduce { dimensions } => self.reduced(op, dimensions, result, index),
            OpKind::ReduceWindow(attributes) => self.windowed(op, attributes, result, index),
            OpKind::Convolution(attributes) => self.convolved(op, attributes, index),
            OpKind::Map { .. } => {
                let [body] = &op.regions[..] else { return refused("a map without its region") };
                let arguments =
                    operands.iter().map(|&operand| self.element(operand, index)).collect::<Result<Vec<NodeId>>>()?;
                Ok(self.scalars(body, arguments.into_iter())?[result])
            }
            OpKind::BitcastConvert if self.tensor(operands[0])?.rank() != self.tensor(op.results[0])?.rank() => {
                self.bits(operands[0], op.results[0], index)
            }
            OpKind::DotGeneral(dot) => self.product(op, dot, index),
            OpKind::CustomCall(call) if call.call_target_name == "mps.threefry2x32" => {
                let expression = Expression::define(&Target::NATIVE, &[Scalar::U32; 4], |terms| {
                    let [key0, key1, word0, word1] = [0, 1, 2, 3].map(|index: usize| terms[index].clone());
                    let (first, second) = expression::random::threefry((word0, word1), (key0, key1));
                    [first, second]
                });
                let shape = self.shape(op.results[0])?;
                let zero = self.nest().number(0);
                let mut arguments = Vec::with_capacity(4);
                for &operand in operands {
                    // Operands of one element stand for any number.
                    let own = self.shape(operand)?;
                    let place = if own == shape { index.to_vec() } else { vec![zero; own.len()] };
                    arguments.push(self.element(operand, &place)?);
                }
                Ok(self.inlined(&expression, &arguments)[result])
            }
            _ => {
                let known = operands
                    .iter()
                    .map(|&operand| Ok(Known::of(self.tensor(operand)?.element)))
                    .collect::<Result<Vec<Known>>>()?;
                let to = self.tensor(op.results[0])?.element;
                let expression = match &op.kind {
                    OpKind::CustomCall(call) => match function(&call.call_target_name) {
                        Some(name) => expression::named(name, to, operands.len(), &Target::NATIVE),
                        None => return refused(format!("calls of {}", call.call_target_name)),
                    },
                    kind => expression::elementwise(kind, &known, to, &Target::NATIVE),
                };
                let expression = expression.map_err(|refusal| Stop::Refused(refusal.to_string()))?;
                let arguments =
                    operands.iter().map(|&operand| self.operand(operand, index)).collect::<Result<Vec<NodeId>>>()?;
                Ok(self.inlined(&expression, &arguments)[0])
            }
        }
    }

    /// A place as a number of a type.
    fn converted(&mut self, place: NodeId, scalar: Scalar, element: crate::program::ElementType) -> Result<NodeId> {
        let expression = Expression::define(&Target::NATIVE, &[Scalar::I64], |terms| {
            [expression::convert::convert(&terms[0], crate::program::ElementType::I64, element)]
        });
        if expression.result(0) != scalar {
            return refused("an iota of another type");
        }
        Ok(self.inlined(&expression, &[place])[0])
    }

    fn reshaped(&mut self, operand: ValueId, result: ValueId, index: &[NodeId]) -> Result<NodeId> {
        let (from, to) = (self.shape(operand)?, self.shape(result)?);
        // Only dimensions of size 1 come or go.
        let wide = |shape: &[usize]| shape.iter().copied().filter(|&size| size != 1).collect::<Vec<usize>>();
        if wide(&from) == wide(&to) {
            let zero = self.nest().number(0);
            let mut kept = index.iter().zip(&to).filter(|(_, size)| **size != 1).map(|(&place, _)| place);
            let inner: Vec<NodeId> =
                from.iter().map(|&size| if size == 1 { zero } else { kept.next().unwrap_or(zero) }).collect();
            return self.element(operand, &inner);
        }
        let linear = self.nest().linear(index, &to);
        if let Some(&Where::Buffer(buffer)) = self.places.get(&operand)
            && self.open.as_ref().is_none_or(|open| !open.written.contains(&buffer))
        {
            let scalar = self.scalar(operand)?;
            return Ok(self.nest().add(Node::Load(buffer, linear), scalar));
        }
        let inner = self.nest().place(linear, &from);
        self.element(operand, &inner)
    }

    pub(super) fn both(&mut self, a: Option<NodeId>, b: NodeId) -> NodeId {
        match a {
            Some(a) => self.nest().add(Node::Binary(Binary::And, a, b), Scalar::Bool),
            None => b,
        }
    }

    fn padded(&mut self, op: &'a Op, index: &[NodeId], low: &[i64], interior: &[i64]) -> Result<NodeId> {
        use crate::program::Direction;
        let shape = self.shape(op.operands[0])?;
        let outside = self.element(op.operands[1], &[])?;
        if shape.contains(&0) {
            return Ok(outside);
        }
        let (mut inside, mut inner) = (None, Vec::with_capacity(index.len()));
        for (dimension, &place) in index.iter().enumerate() {
            let nest = self.nest();
            let (low, step) = (nest.number(low[dimension]), nest.number(interior[dimension] + 1));
            let zero = nest.number(0);
            let moved = nest.index(Binary::Subtract, place, low);
            let not_before = nest.add(Node::Compare(Direction::Ge, moved, zero), Scalar::Bool);
            // Never negative, also where the padding is.
            let moved = nest.index(Binary::Maximum, moved, zero);
            let (at, rest) = (nest.index(Binary::Divide, moved, step), nest.index(Binary::Remainder, moved, step));
            let last = nest.number(shape[dimension] as i64 - 1);
            let not_behind = nest.add(Node::Compare(Direction::Le, at, last), Scalar::Bool);
            let on = nest.add(Node::Compare(Direction::Eq, rest, zero), Scalar::Bool);
            inner.push(nest.index(Binary::Minimum, at, last));
            for condition in [not_before, not_behind, on] {
                inside = Some(self.both(inside, condition));
            }
        }
        let element = self.element(op.operands[0], &inner)?;
        let scalar = self.nest().scalar(element);
        Ok(match inside {
            Some(inside) => self.nest().add(Node::Select(inside, element, outside), scalar),
            None => element,
        })
    }

    fn concatenated(&mut self, op: &'a Op, index: &[NodeId], dimension: usize) -> Result<NodeId> {
        use crate::program::Direction;
        let mut result = None;
        let mut start = 0;
        for &operand in &op.operands {
            let size = self.shape(operand)?[dimension];
            if size == 0 {
                continue;
            }
            let nest = self.nest();
            let (first, zero, last) = (nest.number(start), nest.number(0), nest.number(size as i64 - 1));
            let moved = nest.index(Binary::Subtract, index[dimension], first);
            let moved = nest.index(Binary::Maximum, moved, zero);
            let mut inner = index.to_vec();
            inner[dimension] = nest.index(Binary::Minimum, moved, last);
            let element = self.element(operand, &inner)?;
            let nest = self.nest();
            result = Some(match result {
                None => element,
                Some(before) => {
                    let here = nest.add(Node::Compare(Direction::Ge, index[dimension], first), Scalar::Bool);
                    let scalar = nest.scalar(element);
                    nest.add(Node::Select(here, element, before), scalar)
                }
            });
            start += size as i64;
        }
        result.map_or_else(|| refused("a concatenation of nothing"), Ok)
    }

    fn gathered(&mut self, op: &'a Op, gather: &Gather, index: &[NodeId]) -> Result<NodeId> {
        let (operand, indices) = (op.operands[0], op.operands[1]);
        let shape = self.shape(operand)?;
        let index_rank = self.tensor(indices)?.rank();
        let vector = at(&[gather.index_vector_dim], 0);
        let offsets: Vec<NodeId> = (0..index.len())
            .filter(|&each| position(&gather.offset_dims, each).is_some())
            .map(|each| index[each])
            .collect();
        let batch: Vec<NodeId> = (0..index.len())
            .filter(|&each| position(&gather.offset_dims, each).is_none())
            .map(|each| index[each])
            .collect();
        let zero = self.nest().number(0);
        let mut place = vec![zero; shape.len()];
        // Where the slice begins.
        for (number, &dimension) in gather.start_index_map.iter().enumerate() {
            let dimension = at(&[dimension], 0);
            let mut inner = batch.clone();
            if vector < index_rank {
                let number = self.nest().number(number as i64);
                inner.insert(vector, number);
            }
            let element = self.tensor(indices)?.element;
            let start = self.element(indices, &inner)?;
            let last = shape[dimension].saturating_sub(at(&gather.slice_sizes, dimension));
            place[dimension] = self.bounded(start, element.is_unsigned_integer() && element.bits() == 64, last)?;
        }
        // Batches of the operand go with those of the indices.
        for (&dimension, &of_indices) in gather.operand_batching_dims.iter().zip(&gather.start_indices_batching_dims) {
            let number = at(&[of_indices], 0);
            let number = if number > vector { number - 1 } else { number };
            place[at(&[dimension], 0)] = batch[number];
        }
        let dropped = |dimension: usize| {
            position(&gather.collapsed_slice_dims, dimension)
                .or(position(&gather.operand_batching_dims, dimension))
                .is_some()
        };
        let mut offsets = offsets.into_iter();
        for dimension in (0..shape.len()).filter(|&dimension| !dropped(dimension)) {
            let offset = offsets.next().unwrap_or(zero);
            place[dimension] = self.nest().index(Binary::Add, place[dimension], offset);
        }
        self.element(operand, &place)
    }
}
