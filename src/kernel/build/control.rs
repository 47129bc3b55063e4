//! Loops, branches, and updates in place.
#![forbid(unsafe_code)]

use std::collections::HashSet;

use super::classes;
use super::lowering::{Lowering, Result, Where, refused};
use crate::expression::{Binary, Scalar};
use crate::kernel::estimate;
use crate::kernel::ir::{BufferId, Statement, Store};
use crate::program::{Block, Op, ValueId};

impl<'a> Lowering<'a> {
    /// Keeps the values of outside that regions use: they would be computed at each turn.
    pub(super) fn keep_captured(&mut self, regions: &'a [Block]) -> Result<()> {
        fn captured(block: &Block, inside: &mut HashSet<ValueId>, found: &mut Vec<ValueId>) {
            inside.extend(&block.arguments);
            for op in &block.ops {
                found.extend(op.operands.iter().filter(|operand| !inside.contains(*operand)));
                for region in &op.regions {
                    captured(region, inside, found);
                }
                inside.extend(&op.results);
            }
            found.extend(block.results.iter().filter(|result| !inside.contains(*result)));
        }
        for region in regions {
            let mut found = Vec::new();
            captured(region, &mut HashSet::new(), &mut found);
            for value in found {
                match self.places.get(&value) {
                    Some(Where::Virtual(op, _)) if !classes::is_number(op) => {
                        self.made(value)?;
                    }
                    Some(_) => {}
                    None => return refused("a value of outside"),
                }
            }
        }
        Ok(())
    }

    /// Lowers a region to statements of its own; `after` what follows its ops.
    fn region(&mut self, block: &'a Block, after: impl FnOnce(&mut Self) -> Result<()>) -> Result<Vec<Statement>> {
        self.close();
        let around = std::mem::take(&mut self.statements);
        // What is made in a region is there while that runs.
        let places = self.places.clone();
        self.block(&block.ops)?;
        after(self)?;
        self.close();
        self.places = places;
        Ok(std::mem::replace(&mut self.statements, around))
    }

    pub(super) fn lower_while(&mut self, op: &'a Op) -> Result<()> {
        let [condition, body] = &op.regions[..] else { return refused("a loop without its regions") };
        self.keep_captured(&op.regions)?;
        let mut carried = Vec::with_capacity(op.operands.len());
        for &operand in &op.operands {
            let state = self.scratch(operand)?;
            let known = self.places.get(&operand).copied();
            self.bring(operand, state)?;
            // The state changes: what it began with is no longer there.
            if let Some(place) = known {
                self.places.insert(operand, place);
            }
            carried.push(state);
        }
        self.close();
        let (trips, before) = (self.trips(op), std::mem::take(&mut self.cost));
        let bind = |lowering: &mut Self, block: &Block| {
            for (&argument, &state) in block.arguments.iter().zip(&carried) {
                lowering.places.insert(argument, Where::Buffer(state));
            }
        };
        bind(self, condition);
        let mut predicate: BufferId = 0;
        let condition_statements = self.region(condition, |lowering| {
            predicate = lowering.made(condition.results[0])?;
            Ok(())
        })?;
        bind(self, body);
        let body_statements = self.region(body, |lowering| lowering.next_state(body, &carried))?;
        let (condition, body) = (condition_statements, body_statements);
        let turn = [&condition, &body].map(|part| estimate::work(&self.kernel, part).outside_of_loops);
        let steps = turn.iter().sum::<f64>() as u32;
        self.statements.push(Statement::While { condition, predicate, body, trips, steps });
        self.cost = before.and_turns(self.cost, trips);
        for (&result, &state) in op.results.iter().zip(&carried) {
            self.places.insert(result, Where::Buffer(state));
        }
        Ok(())
    }

    /// What the body has computed becomes the state of the next turn.
    fn next_state(&mut self, body: &'a Block, carried: &[BufferId]) -> Result<()> {
        let mut moves = Vec::new();
        for (&result, &state) in body.results.iter().zip(carried) {
            let buffer = self.made(result)?;
            if buffer != state {
                moves.push((result, buffer, state));
            }
        }
        // One that becomes another is read before that is written.
        for (value, buffer, _) in &mut moves {
            if carried.contains(buffer) {
                let copy = self.scratch(*value)?;
                self.close();
                self.statements.push(Statement::Copy { from: *buffer, to: copy });
                *buffer = copy;
            }
        }
        self.close();
        for (_, from, to) in moves {
            self.statements.push(Statement::Copy { from, to });
        }
        Ok(())
    }

    pub(super) fn lower_case(&mut self, op: &'a Op) -> Result<()> {
        self.keep_captured(&op.regions)?;
        let index = self.made(op.operands[0])?;
        if !matches!(self.scalar(op.operands[0])?, Scalar::Bool | Scalar::I32) {
            return refused("an index of another type");
        }
        let results = op.results.iter().map(|&result| self.scratch(result)).collect::<Result<Vec<BufferId>>>()?;
        self.close();
        let mut arms = Vec::with_capacity(op.regions.len());
        for region in &op.regions {
            arms.push(self.region(region, |lowering| {
                for (&value, &to) in region.results.iter().zip(&results) {
                    let from = lowering.made(value)?;
                    lowering.close();
                    lowering.statements.push(Statement::Copy { from, to });
                }
                Ok(())
            })?);
        }
        // `if` has the branch for true first.
        if op.kind == crate::program::OpKind::If {
            arms.reverse();
        }
        self.statements.push(Statement::Case { index, arms });
        for (&result, &buffer) in op.results.iter().zip(&results) {
            self.places.insert(result, Where::Buffer(buffer));
        }
        Ok(())
    }

    /// dynamic_update_slice: in place where nobody else looks at the operand.
    pub(super) fn update_slice(&mut self, op: &'a Op) -> Result<()> {
        let (&[operand, update, ..], &[result]) = (&op.operands[..], &op.results[..]) else {
            return refused("an update without operands");
        };
        let (shape, sizes) = (self.shape(operand)?, self.shape(update)?);
        let (to, _) = self.updated(operand, result)?;
        // The update may be made of what it overwrites.
        self.made(update)?;
        let index = self.begin(&sizes, 0..0);
        let mut place = Vec::with_capacity(shape.len());
        for (dimension, &at) in index.iter().enumerate() {
            let start = self.start(op.operands[2 + dimension], shape[dimension] - sizes[dimension])?;
            place.push(self.nest().index(Binary::Add, start, at));
        }
        let value = self.element(update, &index)?;
        let at = self.nest().linear(&place, &shape);
        self.end(vec![Store { buffer: to, at, value }]);
        self.places.insert(result, Where::Buffer(to));
        Ok(())
    }
}
