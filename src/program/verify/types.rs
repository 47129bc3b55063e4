//! Types of operands against types of results, op by op (StableHLO spec, the constraints of each op).
//!
//! Only static tensors are judged: what has a dynamic dimension or is quantized is left to the lowering.
#![forbid(unsafe_code)]

use super::{contraction, control, elementwise, indexing, reduction, shape};
use crate::program::{Block, ElementType, Function, Op, OpKind, Program, TensorType, Type, ValueId};

/// An op with its function, for the rules of one family.
#[derive(Clone, Copy)]
pub(super) struct Checked<'a> {
    pub program: &'a Program,
    pub function: &'a Function,
    pub op: &'a Op,
}

/// The result of a rule: what is wrong.
pub(super) type Rule = Result<(), String>;

/// Fails with a message unless the condition holds.
macro_rules! require {
    ($condition:expr, $($message:tt)+) => {
        if !$condition {
            return Err(format!($($message)+));
        }
    };
}
pub(super) use require;

impl<'a> Checked<'a> {
    /// Type of an operand.
    pub fn operand_type(&self, index: usize) -> Result<&'a Type, String> {
        let id = self.op.operands.get(index).ok_or_else(|| format!("operand {index} is missing"))?;
        Ok(self.function.ty(*id))
    }

    /// Type of a result.
    pub fn result_type(&self, index: usize) -> Result<&'a Type, String> {
        let id = self.op.results.get(index).ok_or_else(|| format!("result {index} is missing"))?;
        Ok(self.function.ty(*id))
    }

    /// Tensor type of an operand.
    pub fn operand(&self, index: usize) -> Result<&'a TensorType, String> {
        tensor(self.operand_type(index)?, "operand", index)
    }

    /// Tensor type of a result.
    pub fn result(&self, index: usize) -> Result<&'a TensorType, String> {
        tensor(self.result_type(index)?, "result", index)
    }

    /// Types of all operands.
    pub fn operand_types(&self) -> Vec<&'a Type> {
        self.types(&self.op.operands)
    }

    /// Types of all results.
    pub fn result_types(&self) -> Vec<&'a Type> {
        self.types(&self.op.results)
    }

    /// Types of some values.
    pub fn types(&self, values: &[ValueId]) -> Vec<&'a Type> {
        values.iter().map(|&value| self.function.ty(value)).collect()
    }

    /// A region, with the number of arguments it must have.
    pub fn region(&self, index: usize, arguments: usize) -> Result<&'a Block, String> {
        let block = self.op.regions.get(index).ok_or_else(|| format!("region {index} is missing"))?;
        require!(
            block.arguments.len() == arguments,
            "region {index} takes {} arguments instead of {arguments}",
            block.arguments.len()
        );
        Ok(block)
    }

    /// A region on two times `count` scalars, which gives one of each (or one of `gives`).
    pub fn combiner(&self, index: usize, count: usize, gives: Option<ElementType>) -> Rule {
        let block = self.region(index, 2 * count)?;
        for (argument, ty) in self.types(&block.arguments).into_iter().enumerate() {
            let ty = tensor(ty, "region argument", argument)?;
            // The element type is the region's own: reductions may promote.
            require!(ty.rank() == 0, "argument {argument} of region {index} is {ty}, not a scalar");
        }
        let results = self.types(&block.results);
        match gives {
            Some(element) => {
                let expected = Type::Tensor(TensorType::new(element, []));
                require!(results == [&expected], "region {index} does not give one {expected}");
            }
            None => {
                let arguments = self.types(&block.arguments);
                require!(
                    results == arguments[..count] && results == arguments[count..],
                    "the results of region {index} are not of its arguments' types"
                );
            }
        }
        Ok(())
    }
}

fn tensor<'a>(ty: &'a Type, what: &str, index: usize) -> Result<&'a TensorType, String> {
    ty.tensor().ok_or_else(|| format!("{what} {index} is {ty}, not a tensor"))
}

/// Whether a type is judged.
fn is_judged(ty: &Type) -> bool {
    match ty {
        Type::Tensor(tensor) => tensor.is_static(),
        Type::Quantized(..) | Type::Opaque(_) => false,
        Type::Tuple(elements) | Type::Future(elements) => elements.iter().all(is_judged),
        Type::Buffer(_) | Type::Token | Type::Function(..) => true,
    }
}

/// Checks one op; its regions are checked by the caller.
pub(super) fn check(program: &Program, function: &Function, op: &Op) -> Rule {
    let checked = Checked { program, function, op };
    if matches!(op.kind, OpKind::Call { .. } | OpKind::Composite { .. }) {
        // Types that are not judged must still be one on both sides of a call.
        return control::check(checked);
    }
    if !checked.operand_types().into_iter().chain(checked.result_types()).all(is_judged) {
        return Ok(());
    }
    use OpKind::*;
    match &op.kind {
        Unary(_)
        | Binary(_)
        | Compare { .. }
        | Select
        | Clamp
        | Convert
        | BitcastConvert
        | ReducePrecision { .. }
        | RngBitGenerator { .. } => elementwise::check(checked),
        Constant(_)
        | Iota { .. }
        | BroadcastInDim { .. }
        | Broadcast { .. }
        | Reshape
        | Transpose { .. }
        | Reverse { .. }
        | Slice { .. }
        | Pad { .. }
        | Concatenate { .. }
        | GetDimensionSize { .. } => shape::check(checked),
        DynamicSlice { .. } | DynamicUpdateSlice | Gather(_) | Scatter(_) => indexing::check(checked),
        DotGeneral(_) | Convolution(_) | Fft { .. } | Cholesky { .. } | TriangularSolve { .. } => {
            contraction::check(checked)
        }
        Reduce { .. }
        | ReduceWindow(_)
        | SelectAndScatter(_)
        | Sort { .. }
        | Map { .. }
        | BatchNormTraining { .. }
        | BatchNormInference { .. }
        | BatchNormGrad { .. } => reduction::check(checked),
        While
        | If
        | Case
        | Call { .. }
        | Composite { .. }
        | Tuple
        | GetTupleElement { .. }
        | OptimizationBarrier
        | AllReduce { .. }
        | AsyncStart
        | AsyncDone
        | ManualComputation { .. }
        | ShardingConstraint { .. } => control::check(checked),
        _ => Ok(()),
    }
}

/// Size of a dimension, for arithmetic.
pub(super) fn axis(ty: &TensorType, dimension: i64, what: &str) -> Result<usize, String> {
    match usize::try_from(dimension) {
        Ok(axis) if axis < ty.rank() => Ok(axis),
        _ => Err(format!("{what}: {dimension} is no dimension of {ty}")),
    }
}

/// Dimensions of a tensor, none twice.
pub(super) fn axes(ty: &TensorType, dimensions: &[i64], what: &str) -> Result<Vec<usize>, String> {
    let mut axes: Vec<usize> = Vec::with_capacity(dimensions.len());
    for &dimension in dimensions {
        let axis = axis(ty, dimension, what)?;
        require!(!axes.contains(&axis), "{what}: dimension {dimension} stands twice");
        axes.push(axis);
    }
    Ok(axes)
}

/// One number per dimension.
pub(super) fn per_dimension(ty: &TensorType, length: usize, what: &str) -> Rule {
    require!(length == ty.rank(), "{what}: {length} numbers for {ty}");
    Ok(())
}

/// A result must have this shape and element type.
pub(super) fn expect(found: &TensorType, element: ElementType, shape: &[i64], what: &str) -> Rule {
    require!(
        found.element == element && found.shape == shape,
        "{what} is {found}, expected {}",
        TensorType::new(element, shape)
    );
    Ok(())
}

/// A window's effect on one dimension: `size` positions, padded, dilated, seen through the window.
pub(super) fn windowed(
    size: i64,
    (low, high): (i64, i64),
    base_dilation: i64,
    window: i64,
    window_dilation: i64,
    stride: i64,
) -> Result<i64, String> {
    require!(
        base_dilation >= 1 && window_dilation >= 1 && stride >= 1 && window >= 0,
        "a window of {window} with stride {stride} and dilations {base_dilation}, {window_dilation}"
    );
    let overflow = || "a window's numbers overflow".to_owned();
    let dilate = |size: i64, dilation: i64| {
        if size == 0 { Some(0) } else { (size - 1).checked_mul(dilation)?.checked_add(1) }
    };
    let base = dilate(size, base_dilation).ok_or_else(overflow)?;
    let padded = base.checked_add(low).and_then(|sum| sum.checked_add(high)).ok_or_else(overflow)?;
    let window = dilate(window, window_dilation).ok_or_else(overflow)?;
    if padded < window || padded <= 0 {
        return Ok(0);
    }
    Ok((padded - window) / stride + 1)
}
