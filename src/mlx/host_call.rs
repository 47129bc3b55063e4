//! Steps of MLX's graph that run Rust on the host: for what MLX has no function for.
//!
//! Nothing blocks, but on CUDA: the function runs when the graph is evaluated, on a thread of MLX's CPU stream.

use std::ffi::c_void;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::slice;
use std::sync::Arc;

use super::array::{Array, Dtype};
use super::error::Result;
use super::failures::{self, LaunchNumber};
use super::ops_shape::contiguous;
use super::vector::vector;
use super::{Arrays, Stream};

/// Reads the inputs' elements (row-major, native byte order) and writes all of the outputs'. An error surfaces when the
/// results are waited for.
pub type HostFunction = dyn Fn(&[&[u8]], &mut [&mut [u8]]) -> std::result::Result<(), String> + Send + Sync;

/// Builds a step on a CPU stream with outputs of these shapes and dtypes.
///
/// # Errors
/// What MLX refuses.
pub fn host_call(
    function: &Arc<HostFunction>,
    inputs: &[&Array],
    outputs: &[(&[i32], Dtype)],
    stream: Stream,
) -> Result<Arrays> {
    let data: *mut Arc<HostFunction> = Box::into_raw(Box::new(function.clone()));
    step(inputs, outputs, false, (run, data.cast(), release::<HostFunction>), stream)
}

/// Reads the inputs' elements and changes what is wrong with the array's, as [`HostFunction`].
pub type HostAmendment = dyn Fn(&[&[u8]], &mut [u8]) -> std::result::Result<(), String> + Send + Sync;

/// Builds a step on a CPU stream that changes elements of an array: in place, when the caller keeps no other handle.
///
/// # Errors
/// What MLX refuses.
pub(crate) fn host_amend(
    amendment: &Arc<HostAmendment>,
    amended: Array,
    inputs: &[&Array],
    stream: Stream,
) -> Result<Array> {
    let (shape, dtype) = (amended.shape().to_vec(), amended.dtype());
    // The function may not look at the array's own elements while it changes them.
    let all: Vec<&Array> = [&amended].into_iter().chain(inputs.iter().copied()).collect();
    let data: *mut Arc<HostAmendment> = Box::into_raw(Box::new(amendment.clone()));
    let call = (amend as Run, data.cast(), release::<HostAmendment> as Release);
    Ok(step(&all, &[(&shape, dtype)], true, call, stream)?.remove(0))
}

type Run = unsafe extern "C" fn(
    *const c_void,
    LaunchNumber,
    *const *const c_void,
    *const usize,
    usize,
    *const *mut c_void,
    *const usize,
    usize,
);
type Release = unsafe extern "C" fn(*mut c_void);

/// The step of a function; its data are released in any case.
fn step(
    inputs: &[&Array],
    outputs: &[(&[i32], Dtype)],
    amends: bool,
    (run, data, release): (Run, *mut c_void, Release),
    stream: Stream,
) -> Result<Arrays> {
    let prepared = stream
        .require(|can| can.host_functions, || "a function of the host".to_owned())
        .and_then(|()| inputs.iter().map(|input| contiguous(input, stream)).collect::<Result<Arrays>>());
    let inputs = match prepared {
        Ok(inputs) => inputs,
        Err(error) => {
            // SAFETY: `release` is that of `data`, which nothing else has taken over.
            unsafe { release(data) };
            return Err(error);
        }
    };
    let handles: Vec<mlx_sys::mlx_array> = inputs.iter().map(Array::raw).collect();
    let shapes: Vec<i32> = outputs.iter().flat_map(|(shape, _)| shape.iter().copied()).collect();
    let ranks: Vec<usize> = outputs.iter().map(|(shape, _)| shape.len()).collect();
    let dtypes: Vec<mlx_sys::mlx_dtype> = outputs.iter().map(|(_, dtype)| dtype.raw()).collect();
    // SAFETY: the slices live during the call and have the lengths that they are passed with; `data` is what `run` and
    // `release` expect, and the call takes it over.
    let results = vector(|results| unsafe {
        mlx_sys::jax_mps_host_call(
            results,
            handles.as_ptr(),
            handles.len(),
            shapes.as_ptr(),
            ranks.as_ptr(),
            dtypes.as_ptr(),
            outputs.len(),
            amends,
            Some(run),
            Some(launch),
            data,
            Some(release),
            stream.raw(),
        )
    })?;
    stream.finish_on_host(&results)?;
    Ok(results)
}

unsafe extern "C" fn release<F: ?Sized>(data: *mut c_void) {
    // SAFETY: `data` comes from Box::into_raw of such a function, and is released once.
    drop(unsafe { Box::from_raw(data.cast::<Arc<F>>()) });
}

unsafe extern "C" fn launch() -> LaunchNumber {
    failures::this_launch()
}

unsafe extern "C" fn run(
    data: *const c_void,
    launch: LaunchNumber,
    inputs: *const *const c_void,
    input_bytes: *const usize,
    input_count: usize,
    outputs: *const *mut c_void,
    output_bytes: *const usize,
    output_count: usize,
) {
    // SAFETY: the primitive passes the live data of `host_call`, arrays of the counts given, and buffers of the bytes
    // given (null where there are none); the outputs are fresh allocations that nothing else refers to.
    let (function, inputs, mut outputs) = unsafe {
        let function = &*data.cast::<Arc<HostFunction>>();
        let inputs: Vec<&[u8]> = (0..input_count)
            .map(|index| match (*inputs.add(index)).cast::<u8>() {
                pointer if pointer.is_null() => &[][..],
                pointer => slice::from_raw_parts(pointer, *input_bytes.add(index)),
            })
            .collect();
        let outputs: Vec<&mut [u8]> = (0..output_count)
            .map(|index| match (*outputs.add(index)).cast::<u8>() {
                pointer if pointer.is_null() => &mut [][..],
                pointer => {
                    // A slice may not refer to memory that was never written.
                    pointer.write_bytes(0, *output_bytes.add(index));
                    slice::from_raw_parts_mut(pointer, *output_bytes.add(index))
                }
            })
            .collect();
        (function, inputs, outputs)
    };
    finish(launch, || function(&inputs, &mut outputs));
}

unsafe extern "C" fn amend(
    data: *const c_void,
    launch: LaunchNumber,
    inputs: *const *const c_void,
    input_bytes: *const usize,
    input_count: usize,
    outputs: *const *mut c_void,
    output_bytes: *const usize,
    _: usize,
) {
    // SAFETY: the primitive passes the live data of `host_amend`, arrays of the counts given, and buffers of the bytes
    // given (null where there are none). The one output was written as the first input, whose memory it may have: no
    // slice is made of this input, and nothing else refers to the output.
    let (amendment, inputs, output) = unsafe {
        let amendment = &*data.cast::<Arc<HostAmendment>>();
        let inputs: Vec<&[u8]> = (1..input_count)
            .map(|index| match (*inputs.add(index)).cast::<u8>() {
                pointer if pointer.is_null() => &[][..],
                pointer => slice::from_raw_parts(pointer, *input_bytes.add(index)),
            })
            .collect();
        let output = match (*outputs).cast::<u8>() {
            pointer if pointer.is_null() => &mut [][..],
            pointer => slice::from_raw_parts_mut(pointer, *output_bytes),
        };
        (amendment, inputs, output)
    };
    finish(launch, || amendment(&inputs, output));
}

fn finish(launch: LaunchNumber, function: impl FnOnce() -> std::result::Result<(), String>) {
    let text = match catch_unwind(AssertUnwindSafe(function)) {
        Ok(Ok(())) => return,
        Ok(Err(text)) => text,
        Err(_) => "internal error: a host function panicked".to_owned(),
    };
    failures::record(launch, text);
}

#[cfg(test)]
mod tests {
    use super::super::{DeviceKind, add, transpose};
    use super::*;

    #[test]
    fn reads_and_writes() {
        let stream = Stream::get(DeviceKind::Cpu).unwrap();
        let bytes: Vec<u8> = (0..6).collect();
        let matrix = Array::from_bytes(&bytes, &[2, 3], Dtype::Uint8).unwrap();
        // Lazy and strided on the way in, used lazily on the way out.
        let sum = transpose(&add(&matrix, &matrix, stream).unwrap(), &[1, 0], stream).unwrap();
        let function: Arc<HostFunction> = Arc::new(|inputs, outputs| {
            outputs[0].copy_from_slice(inputs[0]);
            outputs[1][0] = inputs[0].iter().sum();
            Ok(())
        });
        let outputs: [(&[i32], Dtype); 2] = [(&[3, 2], Dtype::Uint8), (&[], Dtype::Uint8)];
        let results = host_call(&function, &[&sum], &outputs, stream).unwrap();
        let total = add(&results[0], &results[1], stream).unwrap();
        drop(function);
        stream.evaluate(&[&total]).unwrap();
        assert_eq!(total.as_bytes().unwrap(), [30, 36, 32, 38, 34, 40]);
    }

    #[test]
    fn amends_a_result_and_leaves_what_others_hold() {
        let stream = Stream::get(DeviceKind::Cpu).unwrap();
        let input = Array::from_bytes(&[1, 2, 3], &[3], Dtype::Uint8).unwrap();
        let amendment: Arc<HostAmendment> = Arc::new(|inputs, amended| {
            amended[1] = inputs[0][2] + 10;
            Ok(())
        });
        let doubled = add(&input, &input, stream).unwrap();
        let amended = host_amend(&amendment, doubled, &[&input], stream).unwrap();
        let kept = host_amend(&amendment, input.clone(), &[&input], stream).unwrap();
        stream.evaluate(&[&amended, &kept]).unwrap();
        assert_eq!(amended.as_bytes().unwrap(), [2, 13, 6]);
        assert_eq!(kept.as_bytes().unwrap(), [1, 13, 3]);
        assert_eq!(input.as_bytes().unwrap(), [1, 2, 3]);
    }
}
