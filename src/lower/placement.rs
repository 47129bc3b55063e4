//! Tests of where steps run on each backend, with the CPU in its place.
#![forbid(unsafe_code)]

use super::compile;
use super::testing::{Builder, bytes, tensor, values};
use crate::kernel::cost::Place;
use crate::mlx::{self, Array, Backend, Dtype, ScatterMode, Stream};
use crate::plan::Placement;
use crate::program::{Binary, ElementType, OpKind, Program, ValueId};

/// `a + a`, and the sum.
fn sum(element: ElementType) -> (Builder, Vec<ValueId>) {
    let mut builder = Builder::default();
    let ty = tensor(element, &[3]);
    let a = builder.argument(ty.clone());
    let results = builder.op(OpKind::Binary(Binary::Add), &[a, a], vec![ty], vec![]);
    (builder, results)
}

fn placement(element: ElementType, backend: Backend) -> Placement {
    let (mut builder, results) = sum(element);
    builder.function.body.results = results;
    let program = Program { functions: vec![builder.function], ..Default::default() };
    let plan = compile(&program, &program.functions[0], backend.capabilities(true), Place::Device).unwrap();
    plan.plan.steps[0].placement
}

#[test]
fn doubles_leave_gpus_only() {
    for backend in [Backend::Metal, Backend::Cuda] {
        assert_eq!(placement(ElementType::F64, backend), Placement::Cpu);
        assert_eq!(placement(ElementType::F32, backend), Placement::Device);
    }
    assert_eq!(placement(ElementType::F64, Backend::Cpu), Placement::Device);
}

#[test]
fn arrays_of_many_dimensions_leave_cuda() {
    let placed = |rank: usize, backend: Backend| {
        let mut builder = Builder::default();
        let ty = tensor(ElementType::F32, &vec![1; rank]);
        let a = builder.argument(ty.clone());
        builder.function.body.results = builder.op(OpKind::Binary(Binary::Add), &[a, a], vec![ty], vec![]);
        let program = Program { functions: vec![builder.function], ..Default::default() };
        compile(&program, &program.functions[0], backend.capabilities(true), Place::Device).unwrap().plan.steps[0]
            .placement
    };
    assert_eq!(placed(10, Backend::Cuda), Placement::Device);
    assert_eq!(placed(11, Backend::Cuda), Placement::Cpu);
    assert_eq!(placed(11, Backend::Metal), Placement::Device);
}

#[test]
fn what_left_the_gpu_is_computed() {
    let (builder, results) = sum(ElementType::F64);
    let outcome = builder.run_as(Backend::Metal, &results, &[bytes(&[1f64, 2.5, -4.])]).unwrap();
    assert_eq!(values::<f64>(&outcome[0]), [2., 5., -8.]);
}

#[test]
fn what_metal_refuses_is_refused_in_its_place() {
    let metal = Stream::playing(Backend::Metal).unwrap();
    let refused = |result: mlx::Result<Array>| {
        let error = result.unwrap_err().message;
        assert!(error.contains("not supported on Metal"), "{error}");
    };
    let single = Array::from_bytes(&bytes(&[1f32, 2.]), &[2], Dtype::Float32).unwrap();
    refused(mlx::astype(&single, Dtype::Float64, metal));
    let wide = Array::from_bytes(&bytes(&[1i64, 2]), &[2], Dtype::Int64).unwrap();
    let index = Array::from_bytes(&bytes(&[0i32]), &[1], Dtype::Int32).unwrap();
    let update = Array::from_bytes(&bytes(&[5i64]), &[1, 1], Dtype::Int64).unwrap();
    refused(mlx::scatter(ScatterMode::Add, &wide, &[&index], &update, &[0], metal));
    assert!(mlx::scatter(ScatterMode::Add, &wide, &[&index], &update, &[0], Stream::cpu().unwrap()).is_ok());
    // One index array more than Metal takes.
    let deep = Array::from_bytes(&bytes(&[1f32]), &[1; 12], Dtype::Float32).unwrap();
    let axes: Vec<i32> = (0..12).collect();
    refused(mlx::gather(&deep, &[&index; 12], &axes, &[1; 12], metal));
    assert!(mlx::gather(&deep, &[&index; 11], &axes[..11], &[1; 12], metal).is_ok());
    let update = Array::from_bytes(&bytes(&[2f32]), &[1; 13], Dtype::Float32).unwrap();
    refused(mlx::scatter(ScatterMode::Set, &deep, &[&index; 12], &update, &axes, metal));
    let flags = Array::from_bytes(&[1, 0], &[2], Dtype::Bool).unwrap();
    refused(mlx::sort(&flags, 0, metal));
    refused(mlx::argsort(&flags, 0, metal));
    let function: std::sync::Arc<mlx::HostFunction> = std::sync::Arc::new(|_, _| Ok(()));
    refused(mlx::host_call(&function, &[], &[(&[1], Dtype::Float32)], metal).map(|mut results| results.remove(0)));
}

#[test]
fn map_leaves_doubles_where_they_may_be() {
    let mut builder = Builder::default();
    let whole = tensor(ElementType::F64, &[3]);
    let a = builder.argument(whole.clone());
    let body = builder.reducer(OpKind::Binary(Binary::Add), ElementType::F64);
    let results = builder.op(OpKind::Map { dimensions: vec![0] }, &[a, a], vec![whole], vec![body]);
    let outcome = builder.run_as(Backend::Metal, &results, &[bytes(&[1f64, 2.5, -4.])]).unwrap();
    assert_eq!(values::<f64>(&outcome[0]), [2., 5., -8.]);
}
