//! The plugin's share of a cached call: what jaxlib's calls of the C interface take for one run of a program, less what
//! MLX takes for the same arrays through mlx-c. The two alternate; nothing waits for results in what is timed.
//!
//! `cargo bench --bench dispatch` prints a table; `make bench-dispatch` sets its environment.

use std::ffi::c_void;
use std::mem::MaybeUninit;
use std::ptr;
use std::time::{Duration, Instant};

use pjrt_sys::*;

const F32: PJRT_Buffer_Type = 11;
const ROUNDS: usize = 400;

/// A program that adds one to `count` arrays of `size` numbers.
struct Case {
    program: &'static [u8],
    count: usize,
    size: usize,
    /// Whether the plugin computes it itself: then all of the time is its share.
    on_host: bool,
    /// In microseconds: 3 for a call, half a microsecond for each of many buffers.
    bar: f64,
}

const CASES: [Case; 3] = [
    Case { program: include_bytes!("data/add_1_of_16.mlirbc"), count: 1, size: 16, on_host: true, bar: 3.0 },
    Case { program: include_bytes!("data/add_1_of_1000.mlirbc"), count: 1, size: 1000, on_host: false, bar: 3.0 },
    Case { program: include_bytes!("data/add_100_of_1000.mlirbc"), count: 100, size: 1000, on_host: false, bar: 100.0 },
];

fn api() -> &'static PJRT_Api {
    // SAFETY: the table lives as long as the process; that of `pjrt_sys` is its beginning.
    unsafe { &*jax_mps::GetPjrtApi().cast::<PJRT_Api>() }
}

/// Calls a function of the table with these arguments.
macro_rules! call {
    ($function:ident, $Args:ident { $($field:ident: $value:expr),* $(,)? }) => {{
        // SAFETY: arguments consist of numbers, pointers and optional functions, for which zeros are fine.
        let mut arguments: $Args = unsafe { MaybeUninit::zeroed().assume_init() };
        arguments.struct_size = size_of::<$Args>();
        $(arguments.$field = $value;)*
        // SAFETY: what the function expects; everything passed is alive.
        let error = unsafe { (api().$function.expect("the table is full"))(&mut arguments) };
        assert!(error.is_null(), stringify!($function));
        arguments
    }};
}

struct Program {
    executable: *mut PJRT_LoadedExecutable,
    arguments: Vec<*mut PJRT_Buffer>,
    results: Vec<*mut PJRT_Buffer>,
}

impl Program {
    fn new(client: *mut PJRT_Client, program: &[u8], count: usize, size: usize) -> Self {
        // SAFETY: as for arguments.
        let mut code: PJRT_Program = unsafe { MaybeUninit::zeroed().assume_init() };
        code.struct_size = size_of::<PJRT_Program>();
        code.code = program.as_ptr().cast_mut().cast();
        code.code_size = program.len();
        code.format = c"mlir".as_ptr();
        code.format_size = 4;
        let compiled =
            call!(PJRT_Client_Compile, PJRT_Client_Compile_Args { client: client, program: &raw const code });
        let (data, dims) = (vec![1f32; size], [i64::try_from(size).expect("small")]);
        let buffer = || {
            let made = call!(
                PJRT_Client_BufferFromHostBuffer,
                PJRT_Client_BufferFromHostBuffer_Args {
                    client: client,
                    data: data.as_ptr().cast::<c_void>(),
                    type_: F32,
                    dims: dims.as_ptr(),
                    num_dims: 1,
                    device: device(client),
                }
            );
            call!(PJRT_Event_Destroy, PJRT_Event_Destroy_Args { event: made.done_with_host_buffer });
            made.buffer
        };
        let arguments = (0..count).map(|_| buffer()).collect();
        Self { executable: compiled.executable, arguments, results: vec![ptr::null_mut(); count] }
    }

    /// What jaxlib does for a cached call (without effects, whose results nobody reads).
    fn run(&mut self) {
        // SAFETY: as for arguments.
        let mut options: PJRT_ExecuteOptions = unsafe { MaybeUninit::zeroed().assume_init() };
        options.struct_size = size_of::<PJRT_ExecuteOptions>();
        for &argument in &self.arguments {
            call!(PJRT_Buffer_IsDeleted, PJRT_Buffer_IsDeleted_Args { buffer: argument });
        }
        let arguments = self.arguments.as_ptr();
        let results = self.results.as_mut_ptr();
        let mut event = ptr::null_mut();
        call!(
            PJRT_LoadedExecutable_Execute,
            PJRT_LoadedExecutable_Execute_Args {
                executable: self.executable,
                options: &raw mut options,
                argument_lists: &raw const arguments,
                num_devices: 1,
                num_args: self.arguments.len(),
                output_lists: &raw const results,
                device_complete_events: &raw mut event,
            }
        );
        call!(PJRT_Event_IsReady, PJRT_Event_IsReady_Args { event: event });
        call!(PJRT_Event_Destroy, PJRT_Event_Destroy_Args { event: event });
        for &result in &self.results {
            call!(PJRT_Buffer_Device, PJRT_Buffer_Device_Args { buffer: result });
            call!(PJRT_Buffer_Memory, PJRT_Buffer_Memory_Args { buffer: result });
        }
    }

    /// Outside of what is timed: waits for the results and lets them go.
    fn finish(&mut self) {
        for &result in &self.results {
            let ready = call!(PJRT_Buffer_ReadyEvent, PJRT_Buffer_ReadyEvent_Args { buffer: result });
            call!(PJRT_Event_Await, PJRT_Event_Await_Args { event: ready.event });
            call!(PJRT_Event_Destroy, PJRT_Event_Destroy_Args { event: ready.event });
            call!(PJRT_Buffer_Destroy, PJRT_Buffer_Destroy_Args { buffer: result });
        }
    }
}

fn device(client: *mut PJRT_Client) -> *mut PJRT_Device {
    let devices = call!(PJRT_Client_Devices, PJRT_Client_Devices_Args { client: client });
    // SAFETY: there is one.
    unsafe { *devices.devices }
}

/// The same arrays by hand: one sum each, and their asynchronous evaluation.
struct ByHand {
    stream: mlx_sys::mlx_stream,
    arguments: Vec<mlx_sys::mlx_array>,
    one: mlx_sys::mlx_array,
    results: Vec<mlx_sys::mlx_array>,
}

impl ByHand {
    fn new(count: usize, size: usize) -> Self {
        let (data, shape) = (vec![1f32; size], [i32::try_from(size).expect("small")]);
        // SAFETY: as many numbers as the shape says, which mlx-c copies; the stream is the default one of this thread.
        unsafe {
            let array = || {
                let dtype = mlx_sys::mlx_dtype__MLX_FLOAT32;
                mlx_sys::mlx_array_new_data(data.as_ptr().cast::<c_void>(), shape.as_ptr(), 1, dtype)
            };
            let mut device = mlx_sys::mlx_device_new();
            mlx_sys::mlx_get_default_device(&mut device);
            let mut stream = mlx_sys::mlx_stream_new();
            mlx_sys::mlx_get_default_stream(&mut stream, device);
            let (arguments, one) = ((0..count).map(|_| array()).collect(), array());
            Self { stream, arguments, one, results: Vec::new() }
        }
    }

    fn run(&mut self) {
        // SAFETY: all handles are alive; the vector holds its own.
        unsafe {
            for &argument in &self.arguments {
                let mut result = mlx_sys::mlx_array_new();
                mlx_sys::mlx_add(&mut result, argument, self.one, self.stream);
                self.results.push(result);
            }
            let vector = mlx_sys::mlx_vector_array_new_data(self.results.as_ptr(), self.results.len());
            assert_eq!(mlx_sys::mlx_async_eval(vector), 0);
            mlx_sys::mlx_vector_array_free(vector);
        }
    }

    fn finish(&mut self) {
        for result in self.results.drain(..) {
            // SAFETY: made in `run`, freed once.
            unsafe {
                assert_eq!(mlx_sys::mlx_array_eval(result), 0);
                mlx_sys::mlx_array_free(result);
            }
        }
    }
}

fn timed(run: impl FnOnce()) -> Duration {
    let start = Instant::now();
    run();
    start.elapsed()
}

fn microseconds(times: &mut [Duration]) -> f64 {
    times.sort_unstable();
    times[times.len() / 2].as_nanos() as f64 / 1e3
}

fn main() {
    let client = call!(PJRT_Client_Create, PJRT_Client_Create_Args {}).client;
    println!(
        "| arrays in and out | numbers in each | C interface, µs | MLX by hand, µs | plugin's share, µs | bar, µs |"
    );
    println!("|---|---|---|---|---|---|");
    for Case { program, count, size, on_host, bar } in CASES {
        let (mut program, mut by_hand) = (Program::new(client, program, count, size), ByHand::new(count, size));
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        for round in 0..2 * ROUNDS {
            let (one, other) = (timed(|| program.run()), {
                program.finish();
                timed(|| by_hand.run())
            });
            by_hand.finish();
            if round >= ROUNDS {
                ours.push(one);
                theirs.push(other);
            }
        }
        let (ours, theirs) = (microseconds(&mut ours), microseconds(&mut theirs));
        let share = if on_host { ours } else { ours - theirs };
        println!("| {count} | {size} | {ours:.2} | {theirs:.2} | {share:.2} | {bar:.0} |");
    }
}
