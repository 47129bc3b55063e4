//! Linear algebra, on the host's processor. Decompositions are LAPACK's; cholesky and triangular_solve are LAPACK's and
//! BLAS's where that is no slower than our own loops. MLX's Cholesky does not tell when it fails, its triangular solver
//! multiplies by an inverse, and neither knows complex numbers.
#![forbid(unsafe_code)]

mod factor;
mod field;
mod lapack;
mod matrices;
mod permutation;
#[cfg(test)]
mod tests;
mod tridiagonal;

use std::sync::Arc;

use mlx_lapack::Complex;

use self::factor::{System, factor, solve};
use self::field::Field;
pub(super) use self::lapack::lapack;
use self::matrices::{read_vector, write_vector};
pub(super) use self::permutation::permutation;
use super::{Context, LowerError, Lowered, Row, shape_i32, storage};
use crate::mlx::{self, Array, Dtype, HostFunction};
use crate::program::{ElementType, Op, OpKind, TensorType, Transpose};

/// Rows of the op table.
pub static ROWS: &[Row] = &[
    Row {
        name: "cholesky",
        note: "on the host; NaN where the matrix is not positive definite; zeros in the other triangle",
        lower: lower_cholesky,
    },
    Row { name: "triangular_solve", note: "on the host", lower: lower_triangular_solve },
];

/// The dtype that matrices of this type are factored in.
fn computed_in(context: &Context<'_>, op: &Op, element: ElementType) -> Result<Dtype, LowerError> {
    match element {
        ElementType::F32 | ElementType::BF16 | ElementType::F16 => Ok(Dtype::Float32),
        ElementType::F64 => Ok(Dtype::Float64),
        ElementType::C64 => Ok(Dtype::Complex64),
        _ => Err(context.unsupported(op, &format!("matrices of {element}"))),
    }
}

/// Rows and columns of the matrices of a batch.
fn matrix(context: &Context<'_>, op: &Op, ty: &TensorType) -> Result<(usize, usize), LowerError> {
    match ty.shape[..] {
        [.., rows, columns] => Ok((rows as usize, columns as usize)),
        _ => Err(context.invalid(op, &format!("{ty} is no matrix"))),
    }
}

/// A kernel that runs the function on its inputs in the dtype named, and whose result has the shape and type given.
fn on_host(
    context: &Context<'_>,
    op: &Op,
    dtype: Dtype,
    function: Arc<HostFunction>,
    result: &TensorType,
) -> Result<Lowered, LowerError> {
    let shape = shape_i32(&result.shape)?;
    let stored =
        storage(result.element).ok_or_else(|| context.unsupported(op, &format!("mlx has no {}", result.element)))?;
    if result.elements() == 0 {
        return Ok(Lowered::one(move |_, stream| mlx::zeros(&shape, stored, stream)));
    }
    let own = function.clone();
    let lowered = Lowered::one(move |inputs, stream| {
        let inputs = inputs
            .iter()
            .map(|input| if input.dtype() == dtype { Ok((*input).clone()) } else { mlx::astype(input, dtype, stream) })
            .collect::<mlx::Result<Vec<Array>>>()?;
        let inputs: Vec<&Array> = inputs.iter().collect();
        let result = mlx::host_call(&function, &inputs, &[(&shape, dtype)], stream)?.remove(0);
        if stored == dtype { Ok(result) } else { mlx::astype(&result, stored, stream) }
    })
    .on_cpu();
    Ok(if stored == dtype { lowered.with_host(own) } else { lowered })
}

/// A kernel that runs the function on the operands, and whose results are the op's, in the types that they are stored in.
fn results_on_host(context: &Context<'_>, op: &Op, function: Arc<HostFunction>) -> Result<Lowered, LowerError> {
    if context.scalar {
        return Err(context.unsupported(op, "it stands in a region that must be elementwise"));
    }
    let mut outputs: Vec<(Vec<i32>, Dtype)> = Vec::with_capacity(op.results.len());
    for index in 0..op.results.len() {
        let result = context.result(op, index)?;
        let stored = storage(result.element)
            .ok_or_else(|| context.unsupported(op, &format!("mlx has no {}", result.element)))?;
        outputs.push((shape_i32(&result.shape)?, stored));
    }
    if outputs.iter().all(|(shape, _)| shape.contains(&0)) {
        return Ok(Lowered::new(move |_, stream| {
            outputs.iter().map(|(shape, stored)| mlx::zeros(shape, *stored, stream)).collect()
        }));
    }
    let own = function.clone();
    Ok(Lowered::new(move |inputs, stream| {
        let outputs: Vec<(&[i32], Dtype)> = outputs.iter().map(|(shape, stored)| (&shape[..], *stored)).collect();
        mlx::host_call(&function, inputs, &outputs, stream)
    })
    .on_cpu()
    .with_host(own))
}

fn lower_cholesky(context: &mut Context<'_>, op: &Op) -> Result<Lowered, LowerError> {
    let OpKind::Cholesky { lower } = op.kind else {
        return Err(context.invalid(op, "attributes of cholesky are missing"));
    };
    let (operand, result) = (context.operand(op, 0)?, context.result(op, 0)?);
    let (rows, columns) = matrix(context, op, operand)?;
    if rows != columns || operand.shape != result.shape {
        return Err(context.invalid(op, "square matrices expected, and as many results"));
    }
    fn each<T: Field>(n: usize, lower: bool, tuned: bool) -> Arc<HostFunction> {
        Arc::new(move |inputs, outputs| {
            let bytes = n * n * T::BYTES;
            for (input, output) in inputs[0].chunks_exact(bytes).zip(outputs[0].chunks_exact_mut(bytes)) {
                let mut a: Vec<T> = read_vector(input);
                factor(&mut a, n, lower, tuned);
                write_vector(&a, output);
            }
            Ok(())
        })
    }
    let tuned = context.capabilities.tuned_lapack;
    let dtype = computed_in(context, op, operand.element)?;
    let function = match dtype {
        Dtype::Float64 => each::<f64>(rows, lower, tuned),
        Dtype::Complex64 => each::<Complex<f32>>(rows, lower, tuned),
        _ => each::<f32>(rows, lower, tuned),
    };
    on_host(context, op, dtype, function, result)
}

fn lower_triangular_solve(context: &mut Context<'_>, op: &Op) -> Result<Lowered, LowerError> {
    let OpKind::TriangularSolve { left_side, lower, unit_diagonal, transpose_a } = op.kind else {
        return Err(context.invalid(op, "attributes of triangular_solve are missing"));
    };
    let (a, b, result) = (context.operand(op, 0)?, context.operand(op, 1)?, context.result(op, 0)?);
    let (n, width) = matrix(context, op, a)?;
    let (rows, columns) = matrix(context, op, b)?;
    if n != width
        || n != (if left_side { rows } else { columns })
        || a.rank() != b.rank()
        || a.shape[..a.rank() - 2] != b.shape[..b.rank() - 2]
        || b.shape != result.shape
        || a.element != b.element
    {
        return Err(context.invalid(op, "the shapes do not fit"));
    }
    let system = System {
        left: left_side,
        lower,
        unit_diagonal,
        transposed: matches!(transpose_a, Transpose::Transpose | Transpose::Adjoint),
        conjugated: transpose_a == Transpose::Adjoint,
    };
    if transpose_a == Transpose::Invalid {
        return Err(context.invalid(op, "transpose_a is not set"));
    }
    fn each<T: Field>(system: System, n: usize, size: (usize, usize), tuned: bool) -> Arc<HostFunction> {
        Arc::new(move |inputs, outputs| {
            let (a_bytes, b_bytes) = (n * n * T::BYTES, size.0 * size.1 * T::BYTES);
            let matrices = inputs[0].chunks_exact(a_bytes).zip(inputs[1].chunks_exact(b_bytes));
            for ((a, b), output) in matrices.zip(outputs[0].chunks_exact_mut(b_bytes)) {
                let x = solve::<T>(system, &read_vector(a), &read_vector(b), n, size, tuned);
                write_vector(&x, output);
            }
            Ok(())
        })
    }
    let (size, tuned) = ((rows, columns), context.capabilities.tuned_lapack);
    let dtype = computed_in(context, op, a.element)?;
    let function = match dtype {
        Dtype::Float64 => each::<f64>(system, n, size, tuned),
        Dtype::Complex64 => each::<Complex<f32>>(system, n, size, tuned),
        _ => each::<f32>(system, n, size, tuned),
    };
    on_host(context, op, dtype, function, result)
}
