//! convolution.
#![forbid(unsafe_code)]

mod depthwise;
mod geometry;
mod library;
mod phases;
#[cfg(test)]
mod tests;
mod windows;
mod zeros;

use self::depthwise::Depthwise;
use self::geometry::Geometry;
use self::library::{Library, Runs};
use self::phases::Phases;
use self::windows::Windows;
use self::zeros::Zeros;
use super::dot_general::product::{Extent, MatrixProduct};
use super::{Context, LowerError, Lowered, Row, shape_i32, storage};
use crate::mlx::{self, Backend, Dtype, NativeConvolution};
use crate::plan::Placement;
use crate::program::{ElementType, Op, OpKind};

/// Rows of the op table.
pub static ROWS: &[Row] = &[Row {
    name: "convolution",
    note: "every rank and element type; on a GPU mlx's own kernels for 1 to 3 dimensions of real floats (on CUDA where cuDNN has a plan, and for operands without dilation), else windows and a product of matrices; precision_config is always the highest",
    lower: convolution,
}];

/// How it is computed where MLX's own function is not used.
enum Form {
    Depthwise(Depthwise),
    Phases(Phases),
    Windows(Windows),
}

fn convolution(context: &mut Context<'_>, op: &Op) -> Result<Lowered, LowerError> {
    lower(context, op, context.capabilities.native_convolution)
}

/// `native` says what is given to MLX's own function, on any device.
fn lower(context: &Context<'_>, op: &Op, native: NativeConvolution) -> Result<Lowered, LowerError> {
    let OpKind::Convolution(attributes) = &op.kind else {
        return Err(context.invalid(op, "attributes of convolution are missing"));
    };
    let (lhs, kernel, result) = (context.operand(op, 0)?, context.operand(op, 1)?, context.result(op, 0)?);
    let types = [lhs, kernel, result];
    let geometry = Geometry::new(context, op, attributes)?;
    for size in lhs.shape.iter().copied().chain(geometry.spatial.iter().map(|spatial| spatial.padded())) {
        shape_i32(&[size])?;
    }
    let positions: i64 = geometry.spatial.iter().map(|spatial| spatial.output).product();
    let extent = Extent {
        batch: geometry.groups as usize,
        m: (geometry.batch * positions) as usize,
        n: geometry.outputs as usize,
        k: geometry.sum() as usize,
    };
    let product =
        MatrixProduct::new(context, op, lhs.element, kernel.element, result.element, extent, None)?.of_convolution();
    let dtype = storage(result.element).expect("checked with the product");
    if result.elements() == 0 || lhs.elements() == 0 || geometry.only_padding() {
        let shape = shape_i32(&result.shape)?;
        let zeros = Zeros::new(&geometry, attributes, types, true).filter(|_| lhs.elements() > 0);
        return Ok(Lowered::one(move |inputs, stream| {
            let result = mlx::zeros(&shape, dtype, stream)?;
            Zeros::amend(zeros.as_ref(), result, inputs, stream)
        }));
    }
    let placement = product.placement();
    let computes = if placement == Placement::Cpu { Backend::Cpu.capabilities(false) } else { context.capabilities };
    let chunk = computes.convolution_windows;
    let form = if let Some(depthwise) = Depthwise::new(&geometry).filter(|_| product.is_elementwise()) {
        Form::Depthwise(depthwise)
    } else if let Some(phases) = Phases::new(&geometry, dtype, chunk) {
        Form::Phases(phases)
    } else {
        Form::Windows(Windows::new(&geometry, chunk))
    };
    // Real floats up to f32; their operands are widened to f32 unless all three types are the same.
    let real = [lhs.element, kernel.element, result.element]
        .iter()
        .all(|element| matches!(element, ElementType::F32 | ElementType::BF16 | ElementType::F16));
    let common = if lhs.element == kernel.element && lhs.element == result.element { dtype } else { Dtype::Float32 };
    let library = if real { Library::new(&geometry, common, native) } else { None };
    let library = match native {
        NativeConvolution::WherePlanned => library.map(Library::where_it_runs),
        NativeConvolution::Never | NativeConvolution::Always => library,
    };
    let zeros = Zeros::new(&geometry, attributes, types, matches!(form, Form::Phases(_)));
    let lowered = Lowered::one(move |inputs, stream| {
        if let Some(library) = &library {
            let runs = library.runs(stream)?;
            if runs != Runs::Never {
                let lhs = mlx::astype(inputs[0], common, stream)?;
                let kernel = mlx::astype(inputs[1], common, stream)?;
                return mlx::astype(&library.call(runs, &lhs, &kernel, stream)?, dtype, stream);
            }
        }
        let result = match &form {
            Form::Depthwise(depthwise) => depthwise.call(&product, inputs[0], inputs[1], stream),
            Form::Phases(phases) => phases.call(&product, inputs[0], inputs[1], stream),
            Form::Windows(windows) => windows.call(&product, inputs[0], inputs[1], stream),
        }?;
        Zeros::amend(zeros.as_ref(), result, inputs, stream)
    });
    Ok(if placement == Placement::Cpu { lowered.on_cpu() } else { lowered })
}
