//! What kernels do not compute themselves, and what only hands on its operands.
#![forbid(unsafe_code)]

use super::callee::Callee;
use super::lowering::{Lowering, Result, Where, refused};
use crate::kernel::ir::{Call, Statement};
use crate::program::Op;

impl<'a> Lowering<'a> {
    /// Results are their operands.
    pub(super) fn hand_on(&mut self, op: &'a Op) -> Result<()> {
        for (&operand, &result) in op.operands.iter().zip(&op.results) {
            if self.tensor(operand)? != self.tensor(result)? {
                return refused(format!("{} of several devices", op.kind.name()));
            }
            let buffer = self.made(operand)?;
            self.shared.insert(buffer);
            self.places.insert(result, Where::Buffer(buffer));
        }
        if op.operands.len() == op.results.len() { Ok(()) } else { refused("as many results as operands expected") }
    }

    /// Calls a function of the host.
    pub(super) fn call(&mut self, op: &'a Op, callee: Callee) -> Result<()> {
        let mut inputs = Vec::with_capacity(op.operands.len());
        for &operand in &op.operands {
            inputs.push(self.made(operand)?);
        }
        let mut outputs = Vec::with_capacity(op.results.len());
        for &result in &op.results {
            outputs.push(self.scratch(result)?);
        }
        self.close();
        for (&result, &buffer) in op.results.iter().zip(&outputs) {
            self.places.insert(result, Where::Buffer(buffer));
        }
        let (name, Callee { function, steps, waits }) = (op.kind.full_name(), callee);
        self.statements.push(Statement::Call(Call { name, function, steps, waits, inputs, outputs }));
        Ok(())
    }
}
