//! Programs whose arguments fail on their way, and programs for which memory is short.
#![forbid(unsafe_code)]

use std::sync::Arc;

use super::{Buffer, BufferType, Client, ClientOptions, Code, Completion, Executable, MemoryKind};
use crate::kernel::cost::Place;
use crate::mlx::faults::{fail_evaluations, throwing_copy};
use crate::mlx::{Array, Dtype, Stream};
use crate::program::ElementType;

/// tensor<4xf32> -> tensor<4xf32>: x + 1.
const ONE_OP: &[u8] = include_bytes!("../../tests/data/stablehlo-1.13/one_op.mlirbc");
/// (tensor<3xf32>, donated, tensor<3xf32>) -> tensor<3xf32>: x + y.
const DONATE: &[u8] = include_bytes!("../../tests/data/stablehlo-1.13/donate.mlirbc");

const TY: BufferType = BufferType::Tensor(ElementType::F32);

fn client() -> Arc<Client> {
    Client::new(ClientOptions { device: Some("cpu".to_owned()) }).expect("opened")
}

/// The program, which MLX shall compute.
fn compile(client: &Client, program: &[u8]) -> Arc<Executable> {
    super::compile::compile(client.devices()[0].clone(), program, &[], Place::Device).expect("compiled")
}

fn ones(count: i32) -> Array {
    let bytes: Vec<u8> = (0..count).flat_map(|_| 1f32.to_le_bytes()).collect();
    Array::from_bytes(&bytes, &[count], Dtype::Float32).expect("made")
}

fn buffer(client: &Client, array: Array, completion: Completion) -> Arc<Buffer> {
    let dims = [i64::from(array.shape()[0])];
    Buffer::new(TY, &dims, None, client.devices()[0].clone(), MemoryKind::Device, Some(array), completion)
}

fn run(executable: &Arc<Executable>, arguments: &[&Arc<Buffer>]) -> Arc<Buffer> {
    let (mut results, _) = executable.execute(arguments, &[], None).expect("runs");
    results.remove(0)
}

fn first(buffer: &Buffer) -> f32 {
    buffer.read(|bytes| f32::from_le_bytes(bytes[..4].try_into().expect("four"))).expect("computed")
}

#[test]
fn results_of_a_task_that_failed_are_not_computed_with() {
    let client = client();
    let stream = Stream::cpu().expect("made");
    let executable = compile(&client, ONE_OP);
    let good = buffer(&client, ones(4), Completion::ready());
    for milliseconds in [0, 30] {
        let wrong = throwing_copy(&ones(4), c"no such matrix", milliseconds, stream).expect("built");
        let launch = stream.evaluate_async(&[&wrong]).expect("scheduled");
        let argument = buffer(&client, wrong, Completion::of(launch));
        let (using, beside) = (run(&executable, &[&argument]), run(&executable, &[&good]));
        let later = run(&executable, &[&using]);
        assert_eq!(first(&beside), 2.);
        for failed in [&later, &using, &argument] {
            let error = failed.completion().wait().expect_err("failed");
            assert_eq!((error.code, error.message.as_str()), (Code::Internal, "no such matrix"));
        }
        // After the failure is known as well as before.
        let after = run(&executable, &[&using]);
        assert_eq!(after.completion().error().expect("failed").message, "no such matrix");
        assert_eq!(first(&run(&executable, &[&beside])), 3.);
    }
}

const REFUSED: &std::ffi::CStr = c"cudaMallocAsync(&data, size, stream) failed: out of memory";

#[test]
fn refused_memory_is_asked_for_again() {
    let client = client();
    let executable = compile(&client, ONE_OP);
    let argument = buffer(&client, ones(4), Completion::ready());
    fail_evaluations(1, REFUSED);
    assert_eq!(first(&run(&executable, &[&argument])), 2.);
    fail_evaluations(2, REFUSED);
    let error = run(&executable, &[&argument]).completion().error().expect("failed");
    assert_eq!(error.code, Code::ResourceExhausted);
    let expected = format!("out of memory: {}; arrays take ", REFUSED.to_str().expect("ASCII"));
    assert!(error.message.starts_with(&expected), "{error}");
    assert!(
        error.message.contains(" bytes, mlx keeps ") && error.message.contains(" for reuse and may allocate "),
        "{error}"
    );
    assert!(error.message.contains("; 16 bytes for stablehlo.add at "), "{error}");
    assert_eq!(first(&run(&executable, &[&argument])), 2.);
}

#[test]
fn programs_that_use_arguments_up_run_once() {
    let client = client();
    let executable = compile(&client, DONATE);
    let arguments = [(); 2].map(|()| buffer(&client, ones(3), Completion::ready()));
    fail_evaluations(1, REFUSED);
    let error = run(&executable, &[&arguments[0], &arguments[1]]).completion().error().expect("failed");
    assert_eq!(error.code, Code::ResourceExhausted);
    assert!(error.message.contains("; 12 bytes for stablehlo.add at "), "{error}");
}
