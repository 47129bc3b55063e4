//! Buffers that share memory: with the caller, or with each other.

use std::ffi::c_void;
use std::ptr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use pjrt_sys::*;

use super::super::abi::*;
use super::executables::run;
use super::{Buffer, Client, Failure, call};
use crate::runtime::Code;

const PRED: PJRT_Buffer_Type = 1;
const S32: PJRT_Buffer_Type = 4;
const U8: PJRT_Buffer_Type = 6;
const F32: PJRT_Buffer_Type = 11;
const PAGE: usize = 16 << 10;
/// (tensor<3xf32>, donated, tensor<3xf32>) -> tensor<3xf32>: x + y.
const DONATE: &[u8] = include_bytes!("../../../tests/data/stablehlo-1.13/donate.mlirbc");

unsafe extern "C" fn count(memory: *mut c_void, calls: *mut c_void) {
    assert!(memory.addr().is_multiple_of(PAGE));
    // SAFETY: the test passes a counter that outlives the buffer.
    unsafe { &*calls.cast::<AtomicU32>() }.fetch_add(1, Ordering::Release);
}

fn view(client: &Client, memory: *mut u8, dims: &[i64], stream: isize, calls: &AtomicU32) -> Result<Buffer, Failure> {
    let args = call!(
        PJRT_Client_CreateViewOfDeviceBuffer,
        PJRT_Client_CreateViewOfDeviceBuffer_Args {
            client: client.0,
            device_buffer_ptr: memory.cast(),
            dims: dims.as_ptr(),
            num_dims: dims.len(),
            element_type: F32,
            device: client.device(),
            on_delete_callback: Some(count),
            on_delete_callback_arg: ptr::from_ref(calls).cast_mut().cast(),
            stream: stream,
        }
    );
    Ok(Buffer(args?.buffer))
}

/// Metal reads memory of others in place, which the CPU plays here in a process of its own; MLX's other backends do not.
#[test]
fn views_are_of_memory_that_the_device_reads() {
    const TEST: &str = "pjrt::tests::views::views_are_of_memory_that_the_device_reads";
    let layout = std::alloc::Layout::from_size_align(2 * PAGE, PAGE).unwrap();
    // SAFETY: the layout is not empty; the memory is freed at the end.
    let memory = unsafe { std::alloc::alloc_zeroed(layout) };
    // SAFETY: aligned memory of so many numbers, all of them set.
    unsafe { std::slice::from_raw_parts_mut(memory.cast::<f32>(), PAGE / 2).fill(3.) };
    let client = Client::new();
    let calls = AtomicU32::new(0);
    let dims = [i64::try_from(PAGE / 2).unwrap()];
    if std::env::var_os("JAX_MPS_CAPABILITIES").is_none() {
        let failure = view(&client, memory, &dims, 0, &calls).unwrap_err();
        assert!(failure.is(Code::Unimplemented), "{failure:?}");
        assert!(failure.message.starts_with("PJRT_Client_CreateViewOfDeviceBuffer: "), "{failure:?}");
        let mut played = std::process::Command::new(std::env::current_exe().unwrap());
        let ran = played.args([TEST, "--exact"]).env("JAX_MPS_CAPABILITIES", "metal").output().unwrap();
        let said = String::from_utf8_lossy(&ran.stdout);
        assert!(ran.status.success() && said.contains("1 passed"), "{said}");
    } else {
        let buffer = view(&client, memory, &dims, 0, &calls).unwrap();
        let address = call!(PJRT_Buffer_UnsafePointer, PJRT_Buffer_UnsafePointer_Args { buffer: buffer.0 }).unwrap();
        assert_eq!(address.buffer_pointer, memory.addr());
        assert!(buffer.read::<f32>().unwrap().iter().all(|&number| number == 3.));
        assert_eq!(calls.load(Ordering::Acquire), 0);
        drop(buffer);
        let deadline = Instant::now() + Duration::from_secs(20);
        while calls.load(Ordering::Acquire) == 0 {
            assert!(Instant::now() < deadline, "the memory is not given back");
            std::thread::sleep(Duration::from_millis(1));
        }
        for (start, dims, stream, code) in [
            (64, &[16_i64][..], 0, Code::InvalidArgument),
            (0, &[16], 0, Code::InvalidArgument),
            (0, &dims, 7, Code::Unimplemented),
        ] {
            // SAFETY: within the memory.
            let start = unsafe { memory.add(start) };
            let failure = view(&client, start, dims, stream, &calls).unwrap_err();
            assert!(failure.is(code), "{failure:?}");
        }
        // The memory of a refused view is still the caller's.
        assert_eq!(calls.load(Ordering::Acquire), 1);
    }
    assert!(view(&client, memory, &[-1], 0, &calls).unwrap_err().is(Code::InvalidArgument));
    drop(client);
    // SAFETY: allocated above, and nobody looks at it any more.
    unsafe { std::alloc::dealloc(memory, layout) };
}

fn bitcast(buffer: &Buffer, element_type: PJRT_Buffer_Type, dims: &[i64]) -> Result<Buffer, Failure> {
    let args = call!(
        PJRT_Buffer_Bitcast,
        PJRT_Buffer_Bitcast_Args {
            buffer: buffer.0,
            element_type: element_type,
            dims: dims.as_ptr(),
            num_dims: dims.len(),
        }
    );
    Ok(Buffer(args?.out_buffer))
}

#[test]
fn bitcasts_keep_the_bytes() {
    let client = Client::new();
    let numbers = client.buffer(F32, &[2, 2], &[1_f32, -2., f32::NAN, -0.]);
    let bits = [1_f32, -2., f32::NAN, -0.].map(f32::to_bits);
    let integers = bitcast(&numbers, S32, &[4]).unwrap();
    assert_eq!(integers.dims(), [4]);
    assert_eq!(integers.read::<u32>().unwrap(), bits);
    let bytes = bitcast(&integers, U8, &[2, 8]).unwrap();
    assert_eq!(bytes.read::<u8>().unwrap(), bits.map(u32::to_le_bytes).concat());
    let again = bitcast(&bytes, F32, &[4, 1]).unwrap();
    assert_eq!(again.read::<u32>().unwrap(), bits);
    let scalar = bitcast(&client.buffer(F32, &[1], &[1.5_f32]), S32, &[]).unwrap();
    assert_eq!(scalar.read::<f32>().unwrap(), [1.5]);
    let four = bitcast(&client.buffer(S32, &[], &[0x0403_0201]), U8, &[4]).unwrap();
    assert_eq!(four.read::<u8>().unwrap(), [1, 2, 3, 4]);
    let empty = bitcast(&client.buffer(F32, &[0, 3], &[0_f32; 0]), U8, &[5, 0]).unwrap();
    assert_eq!((empty.dims(), empty.read::<u8>().unwrap()), (vec![5, 0], vec![]));
    let bools = bitcast(&client.buffer(PRED, &[2, 1], &[true, false]), PRED, &[2]).unwrap();
    assert_eq!(bools.read::<u8>().unwrap(), [1, 0]);
    for (element_type, dims, code) in [
        (S32, &[3_i64][..], Code::InvalidArgument),
        (S32, &[-4], Code::InvalidArgument),
        (PRED, &[16], Code::Unimplemented),
        (15, &[1], Code::Unimplemented),
    ] {
        let failure = bitcast(&numbers, element_type, dims).unwrap_err();
        assert!(failure.is(code), "{element_type} {dims:?}: {failure:?}");
    }
    numbers.delete();
    assert!(bitcast(&numbers, S32, &[4]).unwrap_err().is(Code::InvalidArgument));
    assert_eq!(integers.read::<u32>().unwrap(), bits);
}

/// What a program writes over a donated argument does not show in the other views of its memory.
#[test]
fn bitcasts_survive_the_donation_of_their_source() {
    let client = Client::new();
    let loaded = client.compile(DONATE, &[], "mlir").unwrap();
    let x = client.buffer(F32, &[3], &[1_f32, 2., 3.]);
    let y = client.buffer(F32, &[3], &[10_f32, 20., 30.]);
    let seen = bitcast(&x, S32, &[3]).unwrap();
    let sum = run(&loaded, &[x.0, y.0], &[]).unwrap();
    assert_eq!(sum.read::<f32>().unwrap(), [11., 22., 33.]);
    assert_eq!(seen.read::<f32>().unwrap(), [1., 2., 3.]);
    let back = bitcast(&seen, F32, &[3]).unwrap();
    run(&loaded, &[back.0, y.0], &[]).unwrap().read::<f32>().unwrap();
    assert_eq!(seen.read::<f32>().unwrap(), [1., 2., 3.]);
}
