//! A client of the table, as jaxlib is one: through the C functions only.

mod abi;
mod async_transfers;
mod buffers;
mod errors;
mod events;
mod executables;
mod layouts;
mod misuse;
mod objects;
mod profiler;
mod topologies;
mod views;

use std::ffi::c_char;
use std::mem::MaybeUninit;
use std::ops::Deref;
use std::ptr;

use pjrt_sys::*;

use super::abi::PJRT_Api;
use crate::runtime::Code;

/// The first 100 functions are found like the others.
impl Deref for PJRT_Api {
    type Target = pjrt_sys::PJRT_Api;

    fn deref(&self) -> &pjrt_sys::PJRT_Api {
        &self.minor_54
    }
}

fn api() -> &'static PJRT_Api {
    // SAFETY: the table lives as long as the process.
    unsafe { &*super::table() }
}

/// What a call came back with.
#[derive(Debug, PartialEq)]
struct Failure {
    code: PJRT_Error_Code,
    message: String,
}

impl Failure {
    fn is(&self, code: Code) -> bool {
        self.code == code as PJRT_Error_Code
    }
}

/// An arguments structure as a caller makes it: zeros and the size.
fn zeroed<A>(size: usize) -> A {
    // SAFETY: arguments consist of numbers, pointers and optional functions, for which zeros are fine.
    let mut arguments: A = unsafe { MaybeUninit::zeroed().assume_init() };
    // SAFETY: every structure begins with its size.
    unsafe { ptr::from_mut(&mut arguments).cast::<usize>().write(size) };
    arguments
}

/// Reads and destroys the error of a call.
fn outcome(error: *mut PJRT_Error) -> Result<(), Failure> {
    if error.is_null() {
        return Ok(());
    }
    let mut message = zeroed::<PJRT_Error_Message_Args>(PJRT_Error_Message_Args::STRUCT_SIZE);
    message.error = error;
    let mut code = zeroed::<PJRT_Error_GetCode_Args>(PJRT_Error_GetCode_Args::STRUCT_SIZE);
    code.error = error;
    let mut destroy = zeroed::<PJRT_Error_Destroy_Args>(PJRT_Error_Destroy_Args::STRUCT_SIZE);
    destroy.error = error;
    // SAFETY: the error is ours until it is destroyed, once.
    let failure = unsafe {
        api().PJRT_Error_Message.unwrap()(&mut message);
        assert!(api().PJRT_Error_GetCode.unwrap()(&mut code).is_null());
        let failure = Failure { code: code.code, message: owned(message.message, message.message_size) };
        api().PJRT_Error_Destroy.unwrap()(&mut destroy);
        failure
    };
    Err(failure)
}

fn owned(text: *const c_char, size: usize) -> String {
    // SAFETY: the plugin gives valid text.
    let bytes = unsafe { std::slice::from_raw_parts(text.cast::<u8>(), size) };
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// Calls a function of the table: `call!(PJRT_Event_Await, PJRT_Event_Await_Args { event: event })` gives the arguments
/// after the call, or its failure.
macro_rules! call {
    ($function:ident, $Args:ident { $($field:ident: $value:expr),* $(,)? }) => {{
        let mut arguments = $crate::pjrt::tests::zeroed::<$Args>(<$Args>::STRUCT_SIZE);
        $(arguments.$field = $value;)*
        // SAFETY: the tests pass what the functions expect, or nulls, which they must withstand.
        let error = unsafe { ($crate::pjrt::tests::api().$function.unwrap())(&mut arguments) };
        $crate::pjrt::tests::outcome(error).map(|()| arguments)
    }};
}
use call;

/// A client on the CPU, destroyed in the end.
struct Client(*mut PJRT_Client);

impl Client {
    fn new() -> Self {
        let option = super::named_value::string(c"device", c"cpu");
        let made = call!(
            PJRT_Client_Create,
            PJRT_Client_Create_Args {
                create_options: &raw const option,
                num_options: 1,
                // What jaxlib leaves there without jax.distributed.
                kv_get_user_arg: ptr::without_provenance_mut(0xdead),
                kv_put_user_arg: ptr::without_provenance_mut(0xbeef),
            }
        );
        Self(made.unwrap().client)
    }

    fn device(&self) -> *mut PJRT_Device {
        let args = call!(PJRT_Client_Devices, PJRT_Client_Devices_Args { client: self.0 }).unwrap();
        assert_eq!(args.num_devices, 1);
        // SAFETY: there is one.
        unsafe { *args.devices }
    }

    fn memories(&self) -> [*mut PJRT_Memory; 3] {
        let args = call!(PJRT_Client_AddressableMemories, PJRT_Client_AddressableMemories_Args { client: self.0 });
        let args = args.unwrap();
        assert_eq!(args.num_addressable_memories, 3);
        // SAFETY: there are three.
        unsafe { args.addressable_memories.cast::<[*mut PJRT_Memory; 3]>().read() }
    }

    /// A buffer of dense data.
    fn buffer<T: Copy>(&self, type_: PJRT_Buffer_Type, dims: &[i64], data: &[T]) -> Buffer {
        self.strided(type_, dims, data.as_ptr(), &[]).unwrap()
    }

    fn strided<T>(
        &self,
        type_: PJRT_Buffer_Type,
        dims: &[i64],
        data: *const T,
        strides: &[i64],
    ) -> Result<Buffer, Failure> {
        let args = call!(
            PJRT_Client_BufferFromHostBuffer,
            PJRT_Client_BufferFromHostBuffer_Args {
                client: self.0,
                data: data.cast(),
                type_: type_,
                dims: dims.as_ptr(),
                num_dims: dims.len(),
                byte_strides: strides.as_ptr(),
                num_byte_strides: strides.len(),
                memory: self.memories()[0],
            }
        )?;
        assert!(is_ready(args.done_with_host_buffer));
        destroy_event(args.done_with_host_buffer);
        Ok(Buffer(args.buffer))
    }

    fn compile(&self, program: &[u8], options: &[u8], format: &str) -> Result<Loaded, Failure> {
        let mut code = zeroed::<PJRT_Program>(PJRT_Program::STRUCT_SIZE);
        code.code = program.as_ptr().cast_mut().cast();
        code.code_size = program.len();
        code.format = format.as_ptr().cast();
        code.format_size = format.len();
        let args = call!(
            PJRT_Client_Compile,
            PJRT_Client_Compile_Args {
                client: self.0,
                program: &raw const code,
                compile_options: options.as_ptr().cast(),
                compile_options_size: options.len(),
            }
        )?;
        Ok(Loaded(args.executable))
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        call!(PJRT_Client_Destroy, PJRT_Client_Destroy_Args { client: self.0 }).unwrap();
    }
}

/// A buffer, destroyed in the end.
#[derive(Debug)]
struct Buffer(*mut PJRT_Buffer);

impl Buffer {
    fn dims(&self) -> Vec<i64> {
        let args = call!(PJRT_Buffer_Dimensions, PJRT_Buffer_Dimensions_Args { buffer: self.0 }).unwrap();
        // SAFETY: the plugin tells the length.
        unsafe { super::call::slice(args.dims, args.num_dims) }.to_vec()
    }

    /// The elements in row-major order.
    fn read<T: Copy + Default>(&self) -> Result<Vec<T>, Failure> {
        self.read_in(ptr::null_mut())
    }

    fn read_in<T: Copy + Default>(&self, host_layout: *mut PJRT_Buffer_MemoryLayout) -> Result<Vec<T>, Failure> {
        let asked =
            call!(PJRT_Buffer_ToHostBuffer, PJRT_Buffer_ToHostBuffer_Args { src: self.0, host_layout: host_layout })?;
        assert_eq!(asked.dst_size % size_of::<T>(), 0);
        let mut elements = vec![T::default(); asked.dst_size / size_of::<T>()];
        let args = call!(
            PJRT_Buffer_ToHostBuffer,
            PJRT_Buffer_ToHostBuffer_Args {
                src: self.0,
                host_layout: host_layout,
                dst: elements.as_mut_ptr().cast(),
                dst_size: asked.dst_size,
            }
        )?;
        let awaited = call!(PJRT_Event_Await, PJRT_Event_Await_Args { event: args.event }).map(drop);
        destroy_event(args.event);
        awaited.map(|()| elements)
    }

    fn is_deleted(&self) -> bool {
        call!(PJRT_Buffer_IsDeleted, PJRT_Buffer_IsDeleted_Args { buffer: self.0 }).unwrap().is_deleted
    }

    fn delete(&self) {
        call!(PJRT_Buffer_Delete, PJRT_Buffer_Delete_Args { buffer: self.0 }).unwrap();
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        call!(PJRT_Buffer_Destroy, PJRT_Buffer_Destroy_Args { buffer: self.0 }).unwrap();
    }
}

/// A loaded executable, destroyed in the end.
#[derive(Debug)]
struct Loaded(*mut PJRT_LoadedExecutable);

impl Drop for Loaded {
    fn drop(&mut self) {
        call!(PJRT_LoadedExecutable_Destroy, PJRT_LoadedExecutable_Destroy_Args { executable: self.0 }).unwrap();
    }
}

fn is_ready(event: *mut PJRT_Event) -> bool {
    call!(PJRT_Event_IsReady, PJRT_Event_IsReady_Args { event: event }).unwrap().is_ready
}

fn destroy_event(event: *mut PJRT_Event) {
    call!(PJRT_Event_Destroy, PJRT_Event_Destroy_Args { event: event }).unwrap();
}
