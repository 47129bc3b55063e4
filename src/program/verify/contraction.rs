//! Rules of products, convolutions, Fourier transforms and linear algebra.
#![forbid(unsafe_code)]

use super::types::{Checked, Rule, axes, expect, require, windowed};
use crate::program::{Convolution, DotGeneral, ElementType, FftType, OpKind, TensorType};

pub(super) fn check(checked: Checked<'_>) -> Rule {
    match &checked.op.kind {
        OpKind::DotGeneral(fields) => dot_general(checked, fields),
        OpKind::Convolution(fields) => convolution(checked, fields),
        OpKind::Fft { fft_type, fft_length } => fft(checked, *fft_type, fft_length),
        OpKind::Cholesky { .. } => {
            let operand = checked.operand(0)?;
            square(operand)?;
            expect(checked.result(0)?, operand.element, &operand.shape, "the result")
        }
        OpKind::TriangularSolve { left_side, .. } => {
            let (a, b) = (checked.operand(0)?, checked.operand(1)?);
            square(a)?;
            let rank = a.rank();
            let side = if *left_side { rank - 2 } else { rank - 1 };
            require!(
                b.rank() == rank
                    && b.element == a.element
                    && a.shape[..rank - 2] == b.shape[..rank - 2]
                    && b.shape[side] == a.shape[rank - 1],
                "operands of {a} and {b}"
            );
            expect(checked.result(0)?, b.element, &b.shape, "the result")
        }
        _ => Ok(()),
    }
}

/// Square in its last two dimensions.
fn square(ty: &TensorType) -> Rule {
    require!(ty.rank() >= 2 && ty.shape[ty.rank() - 1] == ty.shape[ty.rank() - 2], "{ty} holds no square matrices");
    Ok(())
}

fn dot_general(checked: Checked<'_>, fields: &DotGeneral) -> Rule {
    let (lhs, rhs, result) = (checked.operand(0)?, checked.operand(1)?, checked.result(0)?);
    let batching = |ty: &TensorType, batching: &[i64], contracting: &[i64]| {
        let all = axes(ty, &[batching, contracting].concat(), "dimension numbers")?;
        let (batching, contracting) = all.split_at(batching.len());
        let free: Vec<i64> = (0..ty.rank()).filter(|axis| !all.contains(axis)).map(|axis| ty.shape[axis]).collect();
        let sizes = |axes: &[usize]| axes.iter().map(|&axis| ty.shape[axis]).collect::<Vec<i64>>();
        Ok::<_, String>((sizes(batching), sizes(contracting), free))
    };
    let left = batching(lhs, &fields.lhs_batching_dimensions, &fields.lhs_contracting_dimensions)?;
    let right = batching(rhs, &fields.rhs_batching_dimensions, &fields.rhs_contracting_dimensions)?;
    require!(left.0 == right.0 && left.1 == right.1, "dimension numbers that do not fit {lhs} and {rhs}");
    expect(result, result.element, &[left.0, left.2, right.2].concat(), "the result")
}

fn convolution(checked: Checked<'_>, fields: &Convolution) -> Rule {
    let (lhs, rhs, result) = (checked.operand(0)?, checked.operand(1)?, checked.result(0)?);
    let spatial = fields.input_spatial_dimensions.len();
    let dimensions = |ty: &TensorType, first: i64, second: i64, spatial_dimensions: &[i64], what: &str| {
        let all = axes(ty, &[&[first, second], spatial_dimensions].concat(), what)?;
        require!(
            all.len() == ty.rank() && spatial_dimensions.len() == spatial,
            "{what}: {} dimensions for {ty}",
            all.len()
        );
        Ok(all)
    };
    let input = dimensions(
        lhs,
        fields.input_batch_dimension,
        fields.input_feature_dimension,
        &fields.input_spatial_dimensions,
        "dimensions of the input",
    )?;
    let kernel = dimensions(
        rhs,
        fields.kernel_input_feature_dimension,
        fields.kernel_output_feature_dimension,
        &fields.kernel_spatial_dimensions,
        "dimensions of the kernel",
    )?;
    let output = dimensions(
        result,
        fields.output_batch_dimension,
        fields.output_feature_dimension,
        &fields.output_spatial_dimensions,
        "dimensions of the output",
    )?;
    for (length, name) in [
        (fields.window_strides.len(), "window_strides"),
        (fields.padding.len(), "padding"),
        (fields.lhs_dilation.len(), "lhs_dilation"),
        (fields.rhs_dilation.len(), "rhs_dilation"),
        (fields.window_reversal.len(), "window_reversal"),
    ] {
        require!(length == spatial, "{name}: {length} for {spatial} spatial dimensions");
    }
    let (batch, features) = (lhs.shape[input[0]], lhs.shape[input[1]]);
    let (kernel_features, output_features) = (rhs.shape[kernel[0]], rhs.shape[kernel[1]]);
    let (groups, batch_groups) = (fields.feature_group_count, fields.batch_group_count);
    require!(
        groups >= 1 && batch_groups >= 1 && (groups == 1 || batch_groups == 1),
        "{groups} feature groups, {batch_groups} batch groups"
    );
    require!(
        features % groups == 0
            && features / groups == kernel_features
            && output_features % groups == 0
            && batch % batch_groups == 0
            && output_features % batch_groups == 0,
        "{groups} feature groups and {batch_groups} batch groups of {lhs} and {rhs}"
    );
    let mut shape = vec![0; result.rank()];
    shape[output[0]] = batch / batch_groups;
    shape[output[1]] = output_features;
    for index in 0..spatial {
        shape[output[2 + index]] = windowed(
            lhs.shape[input[2 + index]],
            fields.padding[index],
            fields.lhs_dilation[index],
            rhs.shape[kernel[2 + index]],
            fields.rhs_dilation[index],
            fields.window_strides[index],
        )?;
    }
    expect(result, result.element, &shape, "the result")
}

fn fft(checked: Checked<'_>, fft_type: FftType, fft_length: &[i64]) -> Rule {
    let (operand, result) = (checked.operand(0)?, checked.result(0)?);
    let count = fft_length.len();
    require!((1..=3).contains(&count) && count <= operand.rank(), "fft_length {fft_length:?} of {operand}");
    let (is_real_in, is_real_out) = (fft_type == FftType::Rfft, fft_type == FftType::Irfft);
    let parts = |ty: &TensorType, is_real: bool| match (is_real, ty.element) {
        (true, ElementType::F32) | (false, ElementType::C64) => Some(32),
        (true, ElementType::F64) | (false, ElementType::C128) => Some(64),
        _ => None,
    };
    require!(
        parts(operand, is_real_in).is_some() && parts(operand, is_real_in) == parts(result, is_real_out),
        "a transform of {operand} to {result}"
    );
    let mut input = operand.shape.clone();
    let rank = input.len();
    input[rank - count..].copy_from_slice(fft_length);
    let mut output = input.clone();
    let half = fft_length[count - 1] / 2 + 1;
    // A length of zero has no half.
    let half = if fft_length[count - 1] == 0 { 0 } else { half };
    if is_real_in {
        output[rank - 1] = half;
    }
    if is_real_out {
        // JAX asks for one bin's transform to a length of zero as well.
        let one_bin = half == 0 && operand.shape[rank - 1] == 1;
        input[rank - 1] = if one_bin { 1 } else { half };
    }
    require!(operand.shape == input, "fft_length {fft_length:?} of {operand}");
    expect(result, result.element, &output, "the result")
}
