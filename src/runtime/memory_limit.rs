//! Programs with an array that no memory can hold are refused when compiled, and runs of programs with a large one that
//! the system refuses before they begin: MLX's CPU allocator answers with a null pointer instead of an error, and its
//! threads then write there.
#![forbid(unsafe_code)]

use std::sync::Arc;

use super::error::{Code, Error};
use crate::mlx::Capabilities;
use crate::plan::{Footprint, Origin};
use crate::program::describe;
use crate::program::{Block, Function, OpKind, Type, ValueId};

/// What one array may take, in bytes.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// All that MLX may allocate.
    pub memory: usize,
    /// The longest buffer of the device: on a Mac less than its memory.
    pub buffer: usize,
}

/// Checks every array that a function computes, one by one, against the bytes that MLX may allocate.
///
/// # Errors
/// RESOURCE_EXHAUSTED, naming the op.
pub fn check(function: &Function, bounds: &Bounds) -> Result<(), Error> {
    block(function, &function.body, bounds)?;
    for &result in &function.body.results {
        if let Some(bytes) = beyond(function, result, bounds) {
            let ty = function.ty(result);
            return Err(exhausted(&format!("result {ty} of @{}", function.name), bytes, bounds));
        }
    }
    Ok(())
}

fn block(function: &Function, body: &Block, bounds: &Bounds) -> Result<(), Error> {
    for op in &body.ops {
        for region in &op.regions {
            block(function, region, bounds)?;
        }
        // A broadcast repeats its operand without a copy.
        if matches!(op.kind, OpKind::BroadcastInDim { .. }) {
            continue;
        }
        for &result in &op.results {
            if let Some(bytes) = beyond(function, result, bounds) {
                return Err(exhausted(&describe(function, op), bytes, bounds));
            }
        }
    }
    Ok(())
}

/// Bytes of an array that is beyond the limit.
fn beyond(function: &Function, value: ValueId, bounds: &Bounds) -> Option<u128> {
    let Type::Tensor(tensor) = function.ty(value) else { return None };
    let elements = tensor.shape.iter().map(|&size| u128::try_from(size).unwrap_or(0));
    let bytes = elements.fold(tensor.element.bytes() as u128, u128::saturating_mul);
    (bytes > bounds.memory.min(bounds.buffer) as u128).then_some(bytes)
}

/// The largest array of a program, which the system must be asked for before each run.
pub struct Reservation {
    bytes: usize,
    origin: Arc<Origin>,
}

/// Below this the system refuses nothing while the process lives.
const LARGE: usize = 64 << 20;

impl Reservation {
    /// None where MLX reports refusals itself, and for programs without large arrays.
    pub fn new(footprint: &Footprint, capabilities: &Capabilities) -> Option<Self> {
        let (bytes, origin) = footprint.largest.clone()?;
        (bytes >= LARGE && !capabilities.reports_refused_memory).then_some(Self { bytes, origin })
    }

    /// Asks, and gives back at once: memory that nobody has written to costs nothing.
    ///
    /// # Errors
    /// RESOURCE_EXHAUSTED, naming the op.
    pub fn check(&self) -> Result<(), Error> {
        let mut memory: Vec<u8> = Vec::new();
        let granted = memory.try_reserve_exact(self.bytes).is_ok();
        // Or the request would be optimized away with its answer.
        std::hint::black_box(&memory);
        if granted {
            return Ok(());
        }
        let Origin { name, location } = &*self.origin;
        let message =
            format!("out of memory: {name} at {location} needs {} bytes, which the system refuses", self.bytes);
        Err(Error::new(Code::ResourceExhausted, message))
    }
}

fn exhausted(what: &str, bytes: u128, &Bounds { memory, buffer }: &Bounds) -> Error {
    let limit = if bytes > memory as u128 {
        format!("mlx may allocate {memory}")
    } else {
        format!("the longest buffer of the device has {buffer}")
    };
    let message = format!("out of memory: {what} needs {bytes} bytes, and {limit}");
    Error::new(Code::ResourceExhausted, message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::program::{Attributes, ElementType, Location, Op, TensorType};

    fn function(kind: OpKind, shape: Vec<i64>, returned: bool) -> Function {
        let mut function = Function { name: "main".into(), ..Function::default() };
        let value = function.add_value(Type::Tensor(TensorType::new(ElementType::F32, shape)));
        function.body.ops.push(Op {
            kind,
            operands: Vec::new(),
            results: vec![value],
            regions: Vec::new(),
            attributes: Attributes::default(),
            location: Location::default(),
        });
        if returned {
            function.body.results.push(value);
        }
        function
    }

    fn check(function: &Function, memory: usize) -> Result<(), Error> {
        super::check(function, &Bounds { memory, buffer: usize::MAX })
    }

    #[test]
    fn arrays_beyond_the_longest_buffer_are_refused() {
        let function = function(OpKind::Iota { iota_dimension: 0 }, vec![26], false);
        let error = super::check(&function, &Bounds { memory: 1000, buffer: 103 }).unwrap_err();
        assert_eq!(error.code, Code::ResourceExhausted);
        assert!(error.message.ends_with("needs 104 bytes, and the longest buffer of the device has 103"), "{error}");
        assert!(super::check(&function, &Bounds { memory: 1000, buffer: 104 }).is_ok());
    }

    #[test]
    fn arrays_beyond_the_limit_are_refused() {
        let iota = || OpKind::Iota { iota_dimension: 0 };
        assert!(check(&function(iota(), vec![25], false), 100).is_ok());
        let error = check(&function(iota(), vec![26], false), 100).unwrap_err();
        assert_eq!(error.code, Code::ResourceExhausted);
        assert!(error.message.contains("iota") && error.message.contains("104 bytes"), "{}", error.message);
        let overflow = vec![i64::MAX, i64::MAX, i64::MAX];
        assert!(check(&function(iota(), overflow.clone(), false), usize::MAX).is_err());
        assert!(check(&function(iota(), [overflow, vec![0]].concat(), false), 100).is_ok());
    }

    #[test]
    fn what_the_system_refuses_names_its_op() {
        use crate::mlx::Backend;
        let origin = Arc::new(Origin { name: "stablehlo.sort".into(), location: Location::default() });
        let reservation = |bytes, backend: Backend| {
            let footprint = Footprint { temporary_bytes: bytes, largest: Some((bytes, origin.clone())) };
            Reservation::new(&footprint, backend.capabilities(false))
        };
        assert!(reservation(LARGE, Backend::Metal).is_none());
        assert!(reservation(LARGE - 1, Backend::Cpu).is_none());
        reservation(LARGE, Backend::Cpu).expect("large").check().expect("there is as much");
        let error = reservation(isize::MAX as usize, Backend::Cpu).expect("large").check().unwrap_err();
        assert_eq!(error.code, Code::ResourceExhausted);
        assert!(error.message.contains("stablehlo.sort at unknown location needs"), "{}", error.message);
    }

    #[test]
    fn broadcasts_count_only_as_results() {
        let broadcast = || OpKind::BroadcastInDim { broadcast_dimensions: vec![] };
        assert!(check(&function(broadcast(), vec![26], false), 100).is_ok());
        assert!(check(&function(broadcast(), vec![26], true), 100).is_err());
    }
}
