//! custom_call, by target: the functions that jaxlib 0.9 sends as `mhlo.X`, approximate top-k, and annotations.
#![forbid(unsafe_code)]

use super::expression::{lowered, target};
use super::linear_algebra::{lapack, permutation};
use super::top_k::TopK;
use super::{Context, LowerError, Lowered, Row, rng, storage};
use crate::expression::{is_named, named};
use crate::mlx::{self, Arrays, Backend};
use crate::program::{Attribute, Attributes, CustomCall, Op, OpKind};

/// Rows of the op table.
pub static ROWS: &[Row] = &[Row {
    name: "custom_call",
    note: "targets: mhlo.{acos acosh asin asinh atan atanh cosh sinh erf erf_inv topk}, mps.{threefry2x32 next_after}, \
           ApproxTopK \
           (exact), lapack_{s d c}{getrf geqrf geqp3 orgqr ungqr ormqr unmqr gehrd sytrd hetrd gtsv gesdd gesvd syevd \
           heevd geev gees}_ffi, tridiagonal_solve_perturbed_ffi, cu_lu_pivots_to_permutation (all on the host), and \
           annotations of sharding and placement, which are identities on one device",
    lower: custom_call,
}];

fn custom_call(context: &mut Context<'_>, op: &Op) -> Result<Lowered, LowerError> {
    let OpKind::CustomCall(call) = &op.kind else {
        return Err(context.invalid(op, "custom_call expected"));
    };
    let target = call.call_target_name.as_str();
    let name = target.strip_prefix("mhlo.").or_else(|| target.strip_prefix("mps."));
    if let Some(name) = name.filter(|name| is_named(name)) {
        return function_of(context, op, name);
    }
    match target {
        "mhlo.topk" => largest(context, op),
        "mps.threefry2x32" => rng::threefry2x32(context, op),
        "ApproxTopK" | "stablehlo.dynamic_approx_top_k" => approximate_top_k(context, op, call),
        "Sharding"
        | "SPMDFullToShardShape"
        | "SPMDShardToFullShape"
        | "LayoutConstraint"
        | "MoveToDevice"
        | "MoveToHost"
        | "PinToDevice"
        | "annotate_device_placement" => identity(context, op),
        // Only keeps XLA from dropping what computes its operand.
        "dce_sink" => Ok(Lowered::new(|_, _| Ok(Arrays::new()))),
        _ if target.starts_with("xla.sdy.") => identity(context, op),
        "tridiagonal_solve_perturbed_ffi" => {
            lapack(context, op, "tridiagonal_solve_perturbed", &configuration(op, call))
        }
        "cu_lu_pivots_to_permutation" => permutation(context, op),
        _ if target.starts_with("lapack_") => {
            let routine = target["lapack_".len()..].trim_end_matches("_ffi");
            lapack(context, op, routine, &configuration(op, call))
        }
        _ => Err(context.unsupported(op, &format!("there is no implementation of the target \"{target}\""))),
    }
}

fn function_of(context: &Context<'_>, op: &Op, name: &str) -> Result<Lowered, LowerError> {
    let element = context.operand(op, 0)?.element;
    for index in 0..op.operands.len() {
        if context.operand(op, index)? != context.result(op, 0)? {
            return Err(context.invalid(op, "operands and a result of one type expected"));
        }
    }
    // Branch cuts and overflow are those of the host's library: GPU code has its own.
    let on_cpu = element.is_complex();
    let target = if on_cpu { target(Backend::Cpu.capabilities(false)) } else { context.target(op) };
    let expression =
        named(name, element, op.operands.len(), &target).map_err(|refusal| context.refused(op, &refusal))?;
    let kernel = lowered(&expression)?;
    Ok(if on_cpu { kernel.on_cpu() } else { kernel })
}

/// Annotations, which mean nothing on one device.
fn identity(context: &Context<'_>, op: &Op) -> Result<Lowered, LowerError> {
    if op.operands.len() != op.results.len() {
        return Err(context.unsupported(op, "as many results as operands expected"));
    }
    for index in 0..op.operands.len() {
        let (operand, result) = (context.operand(op, index)?, context.result(op, index)?);
        if operand.element != result.element || operand.shape != result.shape {
            return Err(context.unsupported(op, "it changes the shape, for which several devices are needed"));
        }
    }
    Ok(Lowered::new(|inputs, _| Ok(inputs.iter().map(|&input| input.clone()).collect())))
}

fn largest(context: &Context<'_>, op: &Op) -> Result<Lowered, LowerError> {
    if context.scalar {
        return Err(context.unsupported(op, "it stands in a region that must be elementwise"));
    }
    let largest = match op.attributes.get("mhlo.attributes") {
        Some(Attribute::Dictionary(entries)) => !entries.contains(&("largest".to_owned(), Attribute::Bool(false))),
        _ => true,
    };
    let operand = context.operand(op, 0)?;
    let (values, indices) = (context.result(op, 0)?, context.result(op, 1)?);
    let Some(axis) = operand.rank().checked_sub(1) else {
        return Err(context.invalid(op, "an operand of rank 1 or more expected"));
    };
    if operand.element.is_complex() || operand.element.is_small_float() {
        return Err(context.unsupported(op, &format!("{} has no order here", operand.element)));
    }
    let shape = super::shape_i32(&values.shape)?;
    let (Some(dtype), Some(index_dtype)) = (storage(values.element), storage(indices.element)) else {
        return Err(context.unsupported(op, "mlx has no such type"));
    };
    let order = TopK::new(context, op, axis, shape[axis], largest)?;
    Ok(Lowered::new(move |inputs, stream| {
        if shape.contains(&0) {
            let empty = [mlx::zeros(&shape, dtype, stream)?, mlx::zeros(&shape, index_dtype, stream)?];
            return Ok(empty.into_iter().collect());
        }
        let order = order.indices(inputs[0], stream)?;
        let values = mlx::take_along_axis(inputs[0], &order, axis as i32, stream)?;
        Ok([values, mlx::astype(&order, index_dtype, stream)?].into_iter().collect())
    }))
}

/// Attributes of a custom call given as a dictionary: `mhlo.backend_config`, or the typed backend_config.
fn configuration<'a>(op: &'a Op, call: &'a CustomCall) -> Attributes {
    match op.attributes.get("mhlo.backend_config") {
        Some(Attribute::Dictionary(entries)) => Attributes(entries.clone()),
        _ => call.backend_attributes.clone(),
    }
}

/// operand, companion (indices), their initial values → the first k of each in order. The answer is exact, which every
/// recall target allows.
fn approximate_top_k(context: &Context<'_>, op: &Op, call: &CustomCall) -> Result<Lowered, LowerError> {
    if context.scalar {
        return Err(context.unsupported(op, "it stands in a region that must be elementwise"));
    }
    let operand = context.operand(op, 0)?;
    let (values, companions) = (context.result(op, 0)?, context.result(op, 1)?);
    if op.operands.len() != 4 || op.results.len() != 2 {
        return Err(context.unsupported(op, "one operand with its indices expected"));
    }
    let configuration = configuration(op, call);
    let Some(axis) = configuration.integer("reduction_dim").and_then(|axis| usize::try_from(axis).ok()) else {
        return Err(context.invalid(op, "reduction_dim expected"));
    };
    if axis >= operand.rank() || values.shape[axis] > operand.shape[axis] || operand.element.is_complex() {
        return Err(context.invalid(op, "reduction_dim or the result's size does not fit the operand"));
    }
    // The comparator is known by JAX's name for it.
    let comparator = call.called_computations.first().map_or("", String::as_str);
    let largest = match comparator {
        _ if comparator.starts_with("top_k_gt_") => true,
        _ if comparator.starts_with("top_k_lt_") => false,
        _ => return Err(context.unsupported(op, &format!("unknown comparator @{comparator}"))),
    };
    let shape = super::shape_i32(&values.shape)?;
    let (Some(dtype), Some(companion_dtype)) = (storage(values.element), storage(companions.element)) else {
        return Err(context.unsupported(op, "mlx has no such type"));
    };
    let order = TopK::new(context, op, axis, shape[axis], largest)?;
    Ok(Lowered::new(move |inputs, stream| {
        if shape.contains(&0) {
            let empty = [mlx::zeros(&shape, dtype, stream)?, mlx::zeros(&shape, companion_dtype, stream)?];
            return Ok(empty.into_iter().collect());
        }
        let order = order.indices(inputs[0], stream)?;
        let values = mlx::take_along_axis(inputs[0], &order, axis as i32, stream)?;
        let companions = mlx::take_along_axis(inputs[1], &order, axis as i32, stream)?;
        Ok([values, companions].into_iter().collect())
    }))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Builder, bytes, custom_call, elementwise, f32s, i32s, tensor, values};
    use crate::program::ElementType::*;
    use crate::program::{Attribute, Attributes, OpKind};

    #[test]
    fn functions_are_those_of_the_host() {
        let x = [0.3f32, -0.7, 0.999, -0.];
        for (name, reference) in [
            ("acos", f32::acos as fn(f32) -> f32),
            ("asin", f32::asin),
            ("atan", f32::atan),
            ("atanh", f32::atanh),
            ("sinh", f32::sinh),
            ("cosh", f32::cosh),
            ("asinh", f32::asinh),
        ] {
            let kind = custom_call(&format!("mhlo.{name}"));
            let came = f32s(&elementwise(kind, &[(F32, bytes(&x))], F32).unwrap());
            for (came, expected) in came.iter().zip(x.map(reference)) {
                assert!((came - expected).abs() <= 3e-7 * expected.abs().max(0.01), "{name} {came} {expected}");
            }
        }
        let kind = custom_call("mhlo.acosh");
        let came = f32s(&elementwise(kind, &[(F32, bytes(&[1f32, 3., 1e30, 0.5]))], F32).unwrap());
        assert!(came[0] == 0. && (came[1] - 3f32.acosh()).abs() < 1e-6 && (came[2] - 69.770_7).abs() < 1e-4);
        assert!(came[3].is_nan());
        let kind = custom_call("mhlo.asin");
        let came = f32s(&elementwise(kind, &[(C64, bytes(&[2f32, -0.]))], C64).unwrap());
        assert!((came[0] - std::f32::consts::FRAC_PI_2).abs() < 1e-6 && (came[1] + 1.316_958).abs() < 1e-6, "{came:?}");
    }

    #[test]
    fn annotations_hand_on_their_operand() {
        for target in ["Sharding", "xla.sdy.PropagationBarrier", "annotate_device_placement"] {
            let came = elementwise(custom_call(target), &[(I32, bytes(&[1, 2]))], I32).unwrap();
            assert_eq!(i32s(&came), [1, 2]);
        }
    }

    #[test]
    fn unknown_targets_are_named() {
        let error = elementwise(custom_call("my_kernel"), &[(I32, bytes(&[1]))], I32).unwrap_err();
        assert!(error.contains("my_kernel") && error.contains("not supported"), "{error}");
    }

    #[test]
    fn top_k_is_stable_and_puts_nan_first() {
        let mut builder = Builder::default();
        let x = builder.argument(tensor(F32, &[2, 4]));
        let results = [tensor(F32, &[2, 3]), tensor(I32, &[2, 3])];
        let results = builder.op(custom_call("mhlo.topk"), &[x], results.to_vec(), vec![]);
        let data = [1f32, 3., 3., 2., -0., 0., f32::NAN, f32::NEG_INFINITY];
        let outputs = builder.run(&results, &[bytes(&data)]).unwrap();
        let came = f32s(&outputs[0]);
        assert_eq!(came[..3], [3., 3., 2.]);
        assert!(came[3].is_nan() && came[4].to_bits() == 0 && came[5].to_bits() == 1 << 31, "{came:?}");
        assert_eq!(i32s(&outputs[1]), [1, 2, 3, 2, 1, 0]);
    }

    #[test]
    fn top_k_of_integers() {
        let mut builder = Builder::default();
        let x = builder.argument(tensor(U8, &[4]));
        let results = [tensor(U8, &[4]), tensor(I32, &[4])];
        let results = builder.op(custom_call("mhlo.topk"), &[x], results.to_vec(), vec![]);
        let outputs = builder.run(&results, &[vec![0, 255, 7, 255]]).unwrap();
        assert_eq!((outputs[0].as_slice(), i32s(&outputs[1])), (&[255, 255, 7, 0][..], vec![1, 3, 2, 0]));
    }

    #[test]
    fn approximate_top_k_is_exact_along_any_dimension() {
        for (comparator, expected, places) in [
            ("top_k_gt_f32_comparator", [5f32, 9., 3., 4.], [2, 0, 0, 2]),
            ("top_k_lt_f32_comparator", [1., 2., 3., 4.], [1, 1, 0, 2]),
        ] {
            let mut builder = Builder::default();
            let (matrix, places_type) = (tensor(F32, &[3, 2]), tensor(I32, &[3, 2]));
            let arguments = [matrix, places_type, tensor(F32, &[]), tensor(I32, &[])].map(|ty| builder.argument(ty));
            let OpKind::CustomCall(mut call) = custom_call("ApproxTopK") else { unreachable!("it makes such") };
            call.called_computations = vec![comparator.to_owned()];
            call.backend_attributes =
                Attributes(vec![("reduction_dim".to_owned(), Attribute::Integer(0, crate::program::ElementType::I64))]);
            let results = [tensor(F32, &[2, 2]), tensor(I32, &[2, 2])];
            let results = builder.op(OpKind::CustomCall(call), &arguments, results.to_vec(), vec![]);
            let data = [bytes(&[3f32, 9., 1., 2., 5., 4.]), bytes(&[0, 0, 1, 1, 2, 2]), bytes(&[0f32]), bytes(&[-1])];
            let outputs = builder.run(&results, &data).unwrap();
            assert_eq!(f32s(&outputs[0]), expected);
            assert_eq!(values::<i32>(&outputs[1]), places);
        }
    }
}
