//! Failures of functions of the host reach whoever waits. In a process of their own, since they reach all that runs beside
//! them too.

use std::sync::Arc;
use std::time::Duration;

use jax_mps::mlx::{Array, Dtype, HostFunction, Launch, Stream, add, host_call};

fn launch(function: &Arc<HostFunction>, stream: Stream) -> Launch {
    let results = host_call(function, &[], &[(&[1], Dtype::Float32)], stream).unwrap();
    stream.evaluate_async(&results).unwrap()
}

fn message(outcome: Result<impl Sized, jax_mps::mlx::Error>) -> String {
    outcome.err().expect("a failure").message
}

#[test]
fn failures_surface_in_time_or_late_and_the_stream_lives_on() {
    let stream = Stream::cpu().unwrap();
    let well: Arc<HostFunction> = Arc::new(|_, _| Ok(()));
    let failing: Arc<HostFunction> = Arc::new(|_, _| Err("no such matrix".to_owned()));
    let slow: Arc<HostFunction> = Arc::new(|_, _| {
        std::thread::sleep(Duration::from_millis(50));
        Err("no such matrix".to_owned())
    });
    let panicking: Arc<HostFunction> = Arc::new(|_, _| panic!("on purpose"));

    assert!(message(launch(&slow, stream).wait()).contains("no such matrix"));
    assert!(message(launch(&panicking, stream).wait()).contains("panicked"));

    // All are over before anybody asks; what came after a failure may have used its results.
    let before = launch(&well, stream);
    let (first, second, third) = (launch(&failing, stream), launch(&failing, stream), launch(&well, stream));
    std::thread::sleep(Duration::from_millis(200));
    assert!(before.wait().is_ok());
    assert!(message(second.wait()).contains("no such matrix"));
    assert!(message(first.is_ready()).contains("no such matrix"));
    assert!(message(third.wait()).contains("no such matrix"));
    assert!(message(first.wait()).contains("no such matrix"));

    // Whoever begins after that is not concerned.
    assert!(launch(&well, stream).wait().is_ok());
    let one = Array::scalar(1f32).unwrap();
    let two = add(&one, &one, stream).unwrap();
    stream.evaluate(&[&two]).unwrap();
    assert_eq!(two.as_bytes().unwrap(), 2f32.to_ne_bytes());
}
