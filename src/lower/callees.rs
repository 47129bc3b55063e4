//! Functions of the host for what native code does not compute itself: LAPACK's, or MLX's on the host's processor.
#![forbid(unsafe_code)]

use std::cell::OnceCell;
use std::collections::HashMap;
use std::sync::Arc;

use super::context::{CompileRegion, Context, FindRow};
use super::storage::{shape_i32, storage};
use crate::kernel::build::Callee;
use crate::kernel::cost::{LIBRARY_CALL, LIBRARY_ELEMENT, LIBRARY_NODE, NATIVE_STEP, Place};
use crate::mlx::{self, Array, Backend, Dtype, HostFunction, Stream};
use crate::plan::Kernel;
use crate::program::{Block, Class, Function, Literal, Op, OpKind, Program, ValueId};

/// What a call of LAPACK costs beside its work.
const ROUTINE_CALL: f64 = 1_000.0;

/// The functions for the ops of a program.
pub(super) struct Callees<'a> {
    program: &'a Program,
    function: &'a Function,
    constants: OnceCell<HashMap<ValueId, Literal>>,
    compile_region: CompileRegion,
    row: FindRow,
}

impl<'a> Callees<'a> {
    /// None is made yet.
    pub fn new(program: &'a Program, function: &'a Function, (compile_region, row): (CompileRegion, FindRow)) -> Self {
        Self { program, function, constants: OnceCell::new(), compile_region, row }
    }

    fn constants(&self) -> &HashMap<ValueId, Literal> {
        fn collect(block: &Block, found: &mut HashMap<ValueId, Literal>) {
            for op in &block.ops {
                if let (OpKind::Constant(literal), [result]) = (&op.kind, &op.results[..]) {
                    found.insert(*result, literal.clone());
                }
                op.regions.iter().for_each(|region| collect(region, found));
            }
        }
        self.constants.get_or_init(|| {
            let mut found = HashMap::new();
            collect(&self.function.body, &mut found);
            found
        })
    }

    /// The function of an op; None where it must be lowered with what surrounds it, or cannot be.
    pub fn of(&self, op: &Op) -> Option<Callee> {
        let types = |values: &[ValueId]| -> Option<Vec<(Vec<i32>, Dtype)>> {
            values
                .iter()
                .map(|&value| {
                    let tensor = self.function.tensor(value).filter(|tensor| tensor.is_static())?;
                    Some((shape_i32(&tensor.shape).ok()?, storage(tensor.element)?))
                })
                .collect()
        };
        let (operands, results) = (types(&op.operands)?, types(&op.results)?);
        let elements = |types: &[(Vec<i32>, Dtype)]| -> f64 {
            types.iter().map(|(shape, _)| shape.iter().map(|&size| f64::from(size)).product::<f64>()).sum()
        };
        // Many of MLX's kernels do not expect arrays without elements.
        let empty = !results.is_empty() && results.iter().all(|(shape, _)| shape.contains(&0));
        let apart = matches!(op.kind.class(), Class::Control | Class::Host | Class::Annotation | Class::Collective);
        if apart || empty || op.has_side_effect() {
            return None;
        }
        let mut context = Context {
            program: self.program,
            function: self.function,
            constants: self.constants(),
            captures: Vec::new(),
            capabilities: Backend::Cpu.capabilities(false),
            place: Place::Device,
            note: None,
            scalar: false,
            compile_region: self.compile_region,
            row: self.row,
        };
        let lowered = ((self.row)(op.kind.name())?.lower)(&mut context, op).ok()?;
        if !context.captures.is_empty() {
            return None;
        }
        if let Some(function) = lowered.host {
            let size = operands.first().and_then(|(shape, _)| shape.last()).copied().unwrap_or(1);
            let steps = ROUTINE_CALL + 2.0 * elements(&operands) * f64::from(size);
            return Some(Callee { function, steps, waits: false });
        }
        let moved = elements(&operands) + elements(&results);
        let steps = (LIBRARY_CALL + LIBRARY_NODE + LIBRARY_ELEMENT * moved) / NATIVE_STEP;
        Some(Callee { function: through_mlx(lowered.kernel, operands, results), steps, waits: true })
    }
}

/// A kernel as a function of bytes: it is evaluated on the host's processor, and waited for.
fn through_mlx(kernel: Kernel, operands: Vec<(Vec<i32>, Dtype)>, results: Vec<(Vec<i32>, Dtype)>) -> Arc<HostFunction> {
    let run = move |inputs: &[&[u8]], outputs: &mut [&mut [u8]]| -> mlx::Result<()> {
        let stream = Stream::cpu()?;
        let arrays = inputs
            .iter()
            .zip(&operands)
            .map(|(bytes, (shape, dtype))| Array::from_bytes(bytes, shape, *dtype))
            .collect::<mlx::Result<Vec<Array>>>()?;
        let made = kernel(&arrays.iter().collect::<Vec<&Array>>(), stream)?;
        for ((array, output), (shape, dtype)) in made.iter().zip(outputs).zip(&results) {
            let array = mlx::for_host(&mlx::contiguous(array, stream)?, stream)?;
            if array.dtype() != *dtype || array.shape() != shape {
                return Err(mlx::Error::new("internal error: a result of another type"));
            }
            output.copy_from_slice(array.as_bytes()?);
        }
        Ok(())
    };
    Arc::new(move |inputs, outputs| run(inputs, outputs).map_err(|error| error.to_string()))
}
