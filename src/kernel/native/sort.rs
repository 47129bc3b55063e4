//! Rows in order: a merge sort from run to run, or, of few elements, an insertion of one after the other.
#![forbid(unsafe_code)]

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{BlockArg, InstBuilder, Value, types};

use super::emit::Function;
use super::nest::Turns;
use super::steps::Number;
use crate::expression::{Scalar, Unary};
use crate::kernel::ir::{BufferId, Node, Sort, Sorted};

/// Rows are inserted into while so many elements, for each doubling of the row, are kept: shifting them costs no more than
/// merging then, whatever the elements are.
const INSERTED: usize = 8;

/// One row: where it begins in the operands and in the results.
struct Row<'a> {
    sort: &'a Sort,
    scalars: Vec<Scalar>,
    from: Value,
    to: Value,
}

impl Function<'_, '_> {
    pub(super) fn sort(&mut self, sort: &Sort) -> Result<(), String> {
        let [rows, size, lanes] = sort.sizes;
        let kept = sort.kept.min(size);
        if rows * lanes * kept == 0 {
            return Ok(());
        }
        let scalars = sort.to.iter().map(|&buffer| self.kernel.buffers[buffer as usize].scalar).collect();
        let row = self.begin(Turns::of(rows, 1), &[]);
        let lane = self.begin(Turns::of(lanes, 1), &[]);
        let mut start = |size: usize| {
            let first = self.builder.ins().imul_imm_s(row.index, (size * lanes) as i64);
            self.builder.ins().iadd(first, lane.index)
        };
        let (from, to) = (start(size), start(sort.kept));
        let each = Row { sort, scalars, from, to };
        let doublings = (usize::BITS - size.leading_zeros()) as usize;
        let sorted = if kept <= INSERTED * doublings {
            self.insert(&each, kept)?;
            self.scratch(&each, 0)
        } else {
            self.merge(&each)?
        };
        let copied = self.begin(Turns::of(kept, 1), &[]);
        let elements = self.elements(&each, &sorted, copied.index);
        let step = self.builder.ins().imul_imm_s(copied.index, lanes as i64);
        let place = self.builder.ins().iadd(each.to, step);
        for (&buffer, element) in sort.to.iter().zip(elements) {
            let address = self.element_of(buffer, place);
            self.emitter().store(element, address, 0);
        }
        for each in [copied, lane, row] {
            self.end(each, &[]);
        }
        Ok(())
    }

    fn element_of(&mut self, buffer: BufferId, index: Value) -> Value {
        let (base, scalar) = (self.bases[buffer as usize], self.kernel.buffers[buffer as usize].scalar);
        self.place(base, scalar, index)
    }

    /// Where the first or second buffers of a row begin.
    fn scratch(&self, row: &Row<'_>, number: usize) -> Vec<Value> {
        row.sort.scratch.iter().map(|pair| self.bases[pair[number] as usize]).collect()
    }

    /// An element of each operand.
    fn given(&mut self, row: &Row<'_>, index: Value) -> Result<Vec<Number>, String> {
        let step = self.builder.ins().imul_imm_s(index, row.sort.sizes[2] as i64);
        let place = self.builder.ins().iadd(row.from, step);
        row.sort
            .from
            .iter()
            .zip(&row.scalars)
            .map(|(from, &scalar)| match from {
                Sorted::Buffer(buffer) => {
                    let address = self.element_of(*buffer, place);
                    Ok(self.emitter().load(scalar, address, 0))
                }
                Sorted::Position => self.emitter().unary(Unary::Convert, Scalar::I64, scalar, Number::One(index)),
            })
            .collect()
    }

    fn place(&mut self, base: Value, scalar: Scalar, index: Value) -> Value {
        let offset = self.builder.ins().ishl_imm_u(index, scalar.bytes().trailing_zeros() as i64);
        self.builder.ins().iadd(base, offset)
    }

    /// An element of each buffer of a row.
    fn elements(&mut self, row: &Row<'_>, bases: &[Value], index: Value) -> Vec<Number> {
        bases
            .iter()
            .zip(&row.scalars)
            .map(|(&base, &scalar)| {
                let address = self.place(base, scalar, index);
                self.emitter().load(scalar, address, 0)
            })
            .collect()
    }

    fn put(&mut self, row: &Row<'_>, bases: &[Value], index: Value, elements: &[Number]) {
        for ((&base, &scalar), &element) in bases.iter().zip(&row.scalars).zip(elements) {
            let address = self.place(base, scalar, index);
            self.emitter().store(element, address, 0);
        }
    }

    /// Whether the first elements come before the second.
    fn before(&mut self, row: &Row<'_>, first: &[Number], second: &[Number]) -> Result<Value, String> {
        let nest = &row.sort.comparator;
        let given: Vec<Number> = first.iter().zip(second).flat_map(|(&first, &second)| [first, second]).collect();
        let mut numbers: Vec<Number> = Vec::with_capacity(nest.steps.len());
        for step in &nest.steps {
            let of = |id: u32| nest.steps[id as usize].scalar;
            let at = |id: u32| numbers[id as usize];
            let number = match step.node {
                Node::Accumulator(number) => given[number as usize],
                Node::Constant(value) => self.emitter().constant(value, step.scalar),
                Node::Load(buffer, index) => {
                    let address = self.element_of(buffer, at(index).one());
                    self.emitter().load(step.scalar, address, 0)
                }
                Node::Unary(function, a) => self.emitter().unary(function, of(a), step.scalar, at(a))?,
                Node::Binary(function, a, b) => self.emitter().binary(function, of(a), at(a), at(b))?,
                Node::Compare(direction, a, b) => {
                    Number::One(self.emitter().compare(direction, of(a), at(a).one(), at(b).one()))
                }
                Node::Select(condition, yes, no) => self.emitter().select(at(condition).one(), at(yes), at(no)),
                Node::Index(_) | Node::Folded(..) => return Err("a loop in a comparator".to_owned()),
            };
            numbers.push(number);
        }
        Ok(numbers[row.sort.before as usize].one())
    }

    /// The first elements in order, in the first buffers.
    fn insert(&mut self, row: &Row<'_>, kept: usize) -> Result<(), String> {
        let list = self.scratch(row, 0);
        let each = self.begin(Turns::of(row.sort.sizes[1], 1), &[]);
        let element = self.given(row, each.index)?;
        let [full, shift, compare, move_on, place, done] = [(); 6].map(|()| self.builder.create_block());
        let position = self.builder.append_block_param(shift, types::I64);
        let free = self.builder.append_block_param(place, types::I64);
        let is_full = self.builder.ins().icmp_imm_s(IntCC::UnsignedGreaterThanOrEqual, each.index, kept as i64);
        self.builder.ins().brif(is_full, full, &[], shift, &[BlockArg::Value(each.index)]);
        // The last one is left out, or this.
        self.builder.switch_to_block(full);
        let last = self.builder.ins().iconst(types::I64, kept as i64 - 1);
        let least = self.elements(row, &list, last);
        let is_before = self.before(row, &element, &least)?;
        self.builder.ins().brif(is_before, shift, &[BlockArg::Value(last)], done, &[]);
        self.builder.switch_to_block(shift);
        self.builder.ins().brif(position, compare, &[], place, &[BlockArg::Value(position)]);
        self.builder.switch_to_block(compare);
        let previous = self.builder.ins().iadd_imm_s(position, -1);
        let other = self.elements(row, &list, previous);
        let is_before = self.before(row, &element, &other)?;
        self.builder.ins().brif(is_before, move_on, &[], place, &[BlockArg::Value(position)]);
        self.builder.switch_to_block(move_on);
        self.put(row, &list, position, &other);
        self.builder.ins().jump(shift, &[BlockArg::Value(previous)]);
        self.builder.switch_to_block(place);
        self.put(row, &list, free, &element);
        self.builder.ins().jump(done, &[]);
        self.builder.switch_to_block(done);
        self.end(each, &[]);
        Ok(())
    }

    /// All elements in order; which buffers hold them.
    fn merge(&mut self, row: &Row<'_>) -> Result<Vec<Value>, String> {
        let size = row.sort.sizes[1] as i64;
        let (first, second) = (self.scratch(row, 0), self.scratch(row, 1));
        let each = self.begin(Turns::of(row.sort.sizes[1], 1), &[]);
        let element = self.given(row, each.index)?;
        self.put(row, &first, each.index, &element);
        self.end(each, &[]);

        // Runs of `width` elements are in order.
        let [pass, runs, run, turn, next_run, swapped, done] = [(); 7].map(|()| self.builder.create_block());
        let width = self.builder.append_block_param(pass, types::I64);
        let count = first.len();
        let buffers: Vec<Value> = (0..2 * count).map(|_| self.builder.append_block_param(pass, self.pointer)).collect();
        let (source, target) = buffers.split_at(count);
        let one = self.builder.ins().iconst(types::I64, 1);
        let begin: Vec<BlockArg> = std::iter::once(one).chain(first).chain(second).map(BlockArg::Value).collect();
        self.builder.ins().jump(pass, &begin);
        self.builder.switch_to_block(pass);
        let more = self.builder.ins().icmp_imm_s(IntCC::UnsignedLessThan, width, size);
        self.builder.ins().brif(more, runs, &[], done, &[]);

        self.builder.switch_to_block(runs);
        let start = self.builder.append_block_param(run, types::I64);
        let zero = self.builder.ins().iconst(types::I64, 0);
        self.builder.ins().jump(run, &[BlockArg::Value(zero)]);
        self.builder.switch_to_block(run);
        let length = self.builder.ins().iconst(types::I64, size);
        let middle = self.builder.ins().iadd(start, width);
        let middle = self.builder.ins().umin(middle, length);
        let stop = self.builder.ins().iadd(middle, width);
        let stop = self.builder.ins().umin(stop, length);
        let [place, left, right] = [(); 3].map(|()| self.builder.append_block_param(turn, types::I64));
        self.builder.ins().jump(turn, &[start, start, middle].map(BlockArg::Value));

        // One turn an element, without branches: both heads are loaded, at places that are always there.
        self.builder.switch_to_block(turn);
        let last = self.builder.ins().iconst(types::I64, size - 1);
        let [left_place, right_place] = [left, right].map(|at| self.builder.ins().umin(at, last));
        let (lefts, rights) = (self.elements(row, source, left_place), self.elements(row, source, right_place));
        let is_before = self.before(row, &rights, &lefts)?;
        let left_over = self.builder.ins().icmp(IntCC::UnsignedGreaterThanOrEqual, left, middle);
        let right_there = self.builder.ins().icmp(IntCC::UnsignedLessThan, right, stop);
        let wanted = self.builder.ins().bor(is_before, left_over);
        let takes_right = self.builder.ins().band(wanted, right_there);
        let taken: Vec<Number> =
            lefts.iter().zip(&rights).map(|(&left, &right)| self.emitter().select(takes_right, right, left)).collect();
        self.put(row, target, place, &taken);
        let moved = self.builder.ins().uextend(types::I64, takes_right);
        let right = self.builder.ins().iadd(right, moved);
        let place = self.builder.ins().iadd_imm_s(place, 1);
        let left = self.builder.ins().iadd(left, one);
        let left = self.builder.ins().isub(left, moved);
        let more = self.builder.ins().icmp(IntCC::UnsignedLessThan, place, stop);
        self.builder.ins().brif(more, turn, &[place, left, right].map(BlockArg::Value), next_run, &[]);

        self.builder.switch_to_block(next_run);
        let more = self.builder.ins().icmp_imm_s(IntCC::UnsignedLessThan, stop, size);
        self.builder.ins().brif(more, run, &[BlockArg::Value(stop)], swapped, &[]);
        self.builder.switch_to_block(swapped);
        let twice = self.builder.ins().ishl_imm_u(width, 1);
        let again: Vec<BlockArg> =
            std::iter::once(&twice).chain(target).chain(source).map(|&value| BlockArg::Value(value)).collect();
        self.builder.ins().jump(pass, &again);
        self.builder.switch_to_block(done);
        Ok(source.to_vec())
    }
}
