//! MLX used by another before us: its main thread is not ours, and throws errors of one program's tasks at the next that
//! schedules anything. In a process of its own.

use std::ffi::CStr;
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jax_mps::mlx::faults::throwing_copy;
use jax_mps::mlx::{Array, Dtype, HostFunction, Stream, add, host_call};

const TOLD: &CStr = c"[SVD::eval_cpu] failed with code 3";

#[test]
fn errors_that_mlx_throws_at_others_are_not_lost() {
    // SAFETY: the process's first use of MLX, on a stream of this thread.
    unsafe {
        let device = mlx_sys::mlx_device_new_type(mlx_sys::mlx_device_type__MLX_CPU, 0);
        let stream = mlx_sys::mlx_stream_new_device(device);
        assert_eq!(mlx_sys::mlx_synchronize(stream), 0);
        mlx_sys::mlx_stream_free(stream);
        mlx_sys::mlx_device_free(device);
    }
    let stream = Stream::cpu().unwrap();
    let one = Array::scalar(1f32).unwrap();
    let known = add(&one, &one, stream).unwrap();
    let known = stream.evaluate_async(&[&known]).unwrap();
    known.wait().unwrap();

    let (go, wait) = channel::<()>();
    let wait = Mutex::new(wait);
    let function: Arc<HostFunction> =
        Arc::new(move |_, _| wait.lock().unwrap().recv().map_err(|error| error.to_string()));
    // Not before all is scheduled, or it would be thrown there.
    let wrong = throwing_copy(&one, TOLD, 200, stream).unwrap();
    let last = host_call(&function, &[&wrong], &[(&[1], Dtype::Float32)], stream).unwrap();
    let failing = stream.evaluate_async(&last).unwrap();
    // The task has failed, and the launch's end, which would take the error, has not come.
    std::thread::sleep(Duration::from_millis(400));
    let two = add(&one, &one, stream).unwrap();
    let sender = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(50));
        go.send(()).unwrap();
    });
    let beside = stream.evaluate_async(&[&two]);
    sender.join().unwrap();
    // Whichever gets it, that which failed must not look well.
    assert_eq!(failing.wait().expect_err("failed").message, TOLD.to_str().unwrap());
    assert_eq!(beside.err().expect("thrown there").message, TOLD.to_str().unwrap());
    known.wait().unwrap();

    let two = add(&one, &one, stream).unwrap();
    stream.evaluate(&[&two]).unwrap();
    assert_eq!(two.as_bytes().unwrap(), 2f32.to_ne_bytes());
}
