//! Failures inside of evaluations reach whoever waits, and nobody else: those of functions of the host, and of MLX's own
//! tasks, which MLX tells to the first who asks and forgets. In a process of their own, since the last of them concern all
//! that runs beside.

use std::ffi::CStr;
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Barrier, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jax_mps::mlx::faults::{fail_evaluations, throwing_copy};
use jax_mps::mlx::{Array, Backend, Dtype, HostFunction, Launch, Stream, add, host_call, run_program};

const TOLD: &CStr = c"[SVD::eval_cpu] failed with code 3";
const COMMAND_BUFFER: &CStr = c"[METAL] Command buffer execution failed: Insufficient Memory.";

/// One after the other: some fail all that is under way.
fn turn() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

fn launch(function: &Arc<HostFunction>, stream: Stream) -> Launch {
    let results = host_call(function, &[], &[(&[1], Dtype::Float32)], stream).unwrap();
    stream.evaluate_async(&results).unwrap()
}

/// One that is under way until it is told to end.
fn slow(stream: Stream) -> (Sender<()>, Launch) {
    let (end, ended) = channel::<()>();
    let ended = Mutex::new(ended);
    let function: Arc<HostFunction> = Arc::new(move |_, _| {
        let _ = ended.lock().unwrap().recv();
        Ok(())
    });
    (end, launch(&function, stream))
}

fn message(outcome: Result<impl Sized, jax_mps::mlx::Error>) -> String {
    outcome.err().expect("a failure").message
}

/// As those do who never wait.
fn poll(launch: &Launch) -> Result<(), jax_mps::mlx::Error> {
    while !launch.is_ready()? {
        std::thread::sleep(Duration::from_millis(1));
    }
    Ok(())
}

fn one() -> Array {
    Array::scalar(1f32).unwrap()
}

fn works(stream: Stream) {
    let two = add(&one(), &one(), stream).unwrap();
    stream.evaluate(&[&two]).unwrap();
    assert_eq!(two.as_bytes().unwrap(), 2f32.to_ne_bytes());
}

#[test]
fn failures_surface_in_time_or_late_and_the_stream_lives_on() {
    let _turn = turn();
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

    // All are over before anybody asks; only what may have used the results of one that failed fails with it.
    let before = launch(&well, stream);
    let (first, second, third) = (launch(&failing, stream), launch(&failing, stream), launch(&well, stream));
    let fourth = run_program(second.reach().unwrap(), || launch(&well, stream));
    std::thread::sleep(Duration::from_millis(200));
    assert!(before.wait().is_ok());
    assert!(message(second.wait()).contains("no such matrix"));
    assert!(message(first.is_ready()).contains("no such matrix"));
    assert!(third.wait().is_ok());
    assert!(message(fourth.wait()).contains("no such matrix"));
    assert!(message(first.wait()).contains("no such matrix"));

    // Whoever begins after that is not concerned.
    assert!(launch(&well, stream).wait().is_ok());
    works(stream);
}

#[test]
fn functions_that_fail_at_once_tell_their_own_launches() {
    let _turn = turn();
    let stream = Stream::cpu().unwrap();
    let barrier = Arc::new(Barrier::new(2));
    let both: Vec<_> = ["first matrix", "second matrix"]
        .into_iter()
        .map(|name| {
            let barrier = barrier.clone();
            std::thread::spawn(move || {
                for _ in 0..50 {
                    let failing: Arc<HostFunction> = Arc::new(move |_, _| Err(name.to_owned()));
                    barrier.wait();
                    let launch = launch(&failing, stream);
                    assert_eq!(message(poll(&launch)), name);
                    assert_eq!(message(launch.wait()), name);
                }
            })
        })
        .collect();
    for thread in both {
        thread.join().unwrap();
    }
    works(stream);
}

#[test]
fn errors_of_mlx_reach_their_own_launch_whoever_asks_first() {
    let _turn = turn();
    let stream = Stream::cpu().unwrap();
    for other_first in [false, true] {
        let wrong = throwing_copy(&one(), TOLD, 30, stream).unwrap();
        let failing = stream.evaluate_async(&[&wrong]).unwrap();
        let other = add(&one(), &one(), stream).unwrap();
        let beside = stream.evaluate_async(&[&other]).unwrap();
        let user = add(&wrong, &one(), stream).unwrap();
        let using = run_program(failing.reach().unwrap(), || stream.evaluate_async(&[&user]).unwrap());
        if other_first {
            assert!(beside.wait().is_ok());
        }
        assert_eq!(message(poll(&using)), TOLD.to_str().unwrap());
        assert_eq!(message(poll(&failing)), TOLD.to_str().unwrap());
        assert_eq!(message(failing.wait()), TOLD.to_str().unwrap());
        assert_eq!(message(using.wait()), TOLD.to_str().unwrap());
        assert!(poll(&beside).is_ok());
        assert_eq!(other.as_bytes().unwrap(), 2f32.to_ne_bytes());
    }
    works(stream);
}

#[test]
fn failures_that_nobody_asks_for_do_not_stick() {
    let _turn = turn();
    let stream = Stream::cpu().unwrap();
    let failing: Arc<HostFunction> = Arc::new(|_, _| Err("no such matrix".to_owned()));
    for _ in 0..3 {
        drop(stream.evaluate_async(&[throwing_copy(&one(), TOLD, 0, stream).unwrap()]).unwrap());
        drop(launch(&failing, stream));
        works(stream);
    }
}

#[test]
fn evaluations_beside_a_failing_task_are_not_disturbed() {
    let _turn = turn();
    let stream = Stream::cpu().unwrap();
    let (go, wait) = channel::<()>();
    let wait = Mutex::new(wait);
    // The launch's task has failed, and its end has not come.
    let function: Arc<HostFunction> =
        Arc::new(move |_, _| wait.lock().unwrap().recv().map_err(|error| error.to_string()));
    let wrong = throwing_copy(&one(), TOLD, 0, stream).unwrap();
    let last = host_call(&function, &[&wrong], &[(&[1], Dtype::Float32)], stream).unwrap();
    let failing = stream.evaluate_async(&last).unwrap();
    std::thread::sleep(Duration::from_millis(50));
    let two = add(&one(), &one(), stream).unwrap();
    let beside = stream.evaluate_async(&[&two]).unwrap();
    go.send(()).unwrap();
    assert!(beside.wait().is_ok());
    assert_eq!(message(failing.wait()), TOLD.to_str().unwrap());
}

#[test]
fn errors_of_another_streams_steps_reach_the_program() {
    let _turn = turn();
    let (stream, cpu) = (Stream::playing(Backend::Metal).unwrap(), Stream::cpu().unwrap());
    // Both a result on the way and one that is asked for, with an end on the other stream or on both.
    for (depth, both) in [(0, true), (1, false), (1, true), (3, false)] {
        let failing = run_program(jax_mps::mlx::Reach::now(), || {
            let wrong = throwing_copy(&one(), TOLD, 20, cpu).unwrap();
            let mut last = wrong.clone();
            for _ in 0..depth {
                last = add(&last, &one(), stream).unwrap();
            }
            if both { stream.evaluate_async(&[wrong, last]) } else { stream.evaluate_async(&[last]) }.unwrap()
        });
        let other = add(&one(), &one(), stream).unwrap();
        let beside = stream.evaluate_async(&[&other]).unwrap();
        assert_eq!(message(poll(&failing)), TOLD.to_str().unwrap(), "{depth} {both}");
        assert_eq!(message(failing.wait()), TOLD.to_str().unwrap());
        drop(beside.wait());
        works(stream);
        works(cpu);
    }
}

#[test]
fn command_buffers_that_fail_concern_all_that_is_under_way() {
    let _turn = turn();
    let stream = Stream::cpu().unwrap();
    let well: Arc<HostFunction> = Arc::new(|_, _| Ok(()));
    let before = launch(&well, stream);
    before.wait().unwrap();
    let (end, under_way) = slow(stream);
    let reach = under_way.reach().unwrap();
    fail_evaluations(1, COMMAND_BUFFER);
    // MLX throws the error in the next evaluation, which has nothing to do with it.
    let two = add(&one(), &one(), stream).unwrap();
    let next = stream.evaluate_async(&[&two]).unwrap();
    let using = run_program(reach, || launch(&well, stream));
    end.send(()).unwrap();
    next.wait().unwrap();
    assert_eq!(two.as_bytes().unwrap(), 2f32.to_ne_bytes());
    assert_eq!(message(under_way.wait()), COMMAND_BUFFER.to_str().unwrap());
    assert_eq!(message(poll(&using)), COMMAND_BUFFER.to_str().unwrap());
    before.wait().unwrap();
    assert!(before.is_ready().unwrap());
    works(stream);

    // Twice in a row, it is its own.
    fail_evaluations(2, COMMAND_BUFFER);
    let two = add(&one(), &one(), stream).unwrap();
    assert_eq!(message(stream.evaluate_async(&[&two])), COMMAND_BUFFER.to_str().unwrap());
    works(stream);
}

#[test]
fn what_an_evaluation_refuses_concerns_nobody_else() {
    let _turn = turn();
    let stream = Stream::cpu().unwrap();
    let (end, under_way) = slow(stream);
    fail_evaluations(1, c"[conv] no such shape");
    let two = add(&one(), &one(), stream).unwrap();
    assert_eq!(message(stream.evaluate_async(&[&two])), "[conv] no such shape");
    end.send(()).unwrap();
    under_way.wait().unwrap();
    works(stream);
}
