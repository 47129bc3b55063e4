//! Estimates for `Compiled.cost_analysis()`.
#![forbid(unsafe_code)]

use crate::program::{Binary, Block, Function, OpKind, Unary};

/// What one run costs, loops counted once.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Cost {
    /// Floating point operations.
    pub flops: f64,
    /// Bytes read and written, op by op.
    pub bytes_accessed: f64,
    /// Exponentials, roots and the like, which are not among the floating point operations.
    pub transcendentals: f64,
}

/// The cost of a function after the passes.
pub fn estimate(function: &Function) -> Cost {
    let mut cost = Cost::default();
    block(function, &function.body, &mut cost);
    cost
}

fn block(function: &Function, block: &Block, cost: &mut Cost) {
    for op in &block.ops {
        let tensor = |value| function.tensor(value);
        let elements = |value| tensor(value).map_or(0., |ty| ty.elements() as f64);
        for &value in op.operands.iter().chain(&op.results) {
            cost.bytes_accessed += elements(value) * tensor(value).map_or(0., |ty| ty.element.bytes() as f64);
        }
        let results: f64 = op.results.iter().map(|&value| elements(value)).sum();
        if is_transcendental(&op.kind) {
            cost.transcendentals += results;
            continue;
        }
        cost.flops += match &op.kind {
            OpKind::DotGeneral(dot) => {
                let contracted: f64 = op.operands.first().and_then(|&lhs| tensor(lhs)).map_or(0., |lhs| {
                    dot.lhs_contracting_dimensions
                        .iter()
                        .filter_map(|&axis| lhs.shape.get(usize::try_from(axis).ok()?))
                        .map(|&size| size as f64)
                        .product()
                });
                2. * results * contracted
            }
            OpKind::Convolution(convolution) => {
                let kernel = op.operands.get(1).and_then(|&kernel| tensor(kernel));
                let per_output = kernel.map_or(0., |kernel| {
                    let outputs = usize::try_from(convolution.kernel_output_feature_dimension)
                        .ok()
                        .and_then(|axis| kernel.shape.get(axis))
                        .map_or(1., |&size| (size as f64).max(1.));
                    kernel.elements() as f64 / outputs
                });
                2. * results * per_output
            }
            OpKind::Unary(_) | OpKind::Binary(_) | OpKind::Compare { .. } | OpKind::Select | OpKind::Clamp => results,
            OpKind::Reduce { .. } | OpKind::ReduceWindow(_) => {
                op.operands.iter().map(|&value| elements(value)).sum::<f64>()
            }
            _ => 0.,
        };
        if !matches!(
            op.kind,
            OpKind::Reduce { .. } | OpKind::ReduceWindow(_) | OpKind::Scatter(_) | OpKind::Sort { .. }
        ) {
            for region in &op.regions {
                self::block(function, region, cost);
            }
        }
    }
}

fn is_transcendental(kind: &OpKind) -> bool {
    use Unary::*;
    match kind {
        OpKind::Unary(unary) => matches!(
            unary,
            Cbrt | Cosine
                | Exponential
                | ExponentialMinusOne
                | Log
                | LogPlusOne
                | Logistic
                | Rsqrt
                | Sine
                | Sqrt
                | Tan
                | Tanh
        ),
        OpKind::Binary(binary) => matches!(binary, Binary::Atan2 | Binary::Power),
        _ => false,
    }
}
