//! Arrays on a device as PJRT buffers.
#![forbid(unsafe_code)]

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use smallvec::SmallVec;

use super::completion::Completion;
use super::definition_event::DefinitionEvent;
use super::device::Device;
use super::error::{Code, Error};
use super::fork;
use super::interrupts;
use super::layout::Layout;
use crate::lower::{array_from_host, shape_i32, storage, token_array};
use crate::mlx::{self, Array, BorrowedMemory, Dtype, HostBytes, Reach};
use crate::program::ElementType;

/// Where a buffer lies, by PJRT's names. All three are the same memory where host and device share it, and MLX manages
/// all of them; the kind is kept so that programs see what they asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MemoryKind {
    /// `device`.
    Device,
    /// `pinned_host`.
    PinnedHost,
    /// `unpinned_host`.
    UnpinnedHost,
}

impl MemoryKind {
    /// All kinds; the first is the default.
    pub const ALL: [MemoryKind; 3] = [MemoryKind::Device, MemoryKind::PinnedHost, MemoryKind::UnpinnedHost];

    /// JAX's name.
    pub fn name(self) -> &'static str {
        match self {
            MemoryKind::Device => "device",
            MemoryKind::PinnedHost => "pinned_host",
            MemoryKind::UnpinnedHost => "unpinned_host",
        }
    }
}

/// What a buffer holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BufferType {
    /// Elements.
    Tensor(ElementType),
    /// Nothing: it orders effects.
    Token,
}

/// An array that JAX holds.
pub struct Buffer {
    ty: BufferType,
    dims: SmallVec<[i64; 6]>,
    layout: Option<Layout>,
    device: Arc<Device>,
    memory: MemoryKind,
    completion: Completion,
    /// Of a buffer whose array is still to come.
    definition: Option<Arc<DefinitionEvent>>,
    deleted: AtomicBool,
    state: Mutex<State>,
}

struct State {
    /// The elements as they lie in memory: row-major, with the sizes of the layout. Gone once deleted, unless somebody
    /// outside still looks at the memory.
    array: Option<Array>,
    /// Where the host looks at the elements when it does not share the device's memory; made when it asks.
    view: Option<Array>,
    external: usize,
    /// Programs underway that will take the array, deleted or not.
    claims: usize,
}

impl State {
    /// Lets the array of a deleted buffer go when nobody needs it any more.
    fn release(&mut self) {
        if self.external == 0 && self.claims == 0 {
            self.array = None;
            self.view = None;
        }
    }
}

impl Buffer {
    /// An evaluated array, with the sizes that the layout has in memory; `completion` tells when its elements are there.
    pub(super) fn new(
        ty: BufferType,
        dims: &[i64],
        layout: Option<Layout>,
        device: Arc<Device>,
        memory: MemoryKind,
        array: Option<Array>,
        completion: Completion,
    ) -> Arc<Self> {
        Arc::new(Self {
            ty,
            dims: dims.into(),
            layout,
            device,
            memory,
            completion,
            definition: None,
            deleted: AtomicBool::new(false),
            state: Mutex::new(State { array, view: None, external: 0, claims: 0 }),
        })
    }

    /// A buffer whose array a program underway will bring, with [`Self::define`] and before it defines the event.
    pub(super) fn promised(
        ty: BufferType,
        dims: &[i64],
        layout: Option<Layout>,
        device: Arc<Device>,
        memory: MemoryKind,
        definition: Arc<DefinitionEvent>,
        completion: Completion,
    ) -> Arc<Self> {
        let mut buffer = Self::new(ty, dims, layout, device, memory, None, completion);
        Arc::get_mut(&mut buffer).expect("nobody else has it yet").definition = Some(definition);
        buffer
    }

    /// When the array will be defined, as long as it is not.
    pub(super) fn pending_definition(&self) -> Option<&Arc<DefinitionEvent>> {
        self.definition.as_ref().filter(|event| !event.is_defined())
    }

    /// Brings the array of a promised buffer.
    pub(super) fn define(&self, array: Array) {
        let mut state = self.lock();
        state.array = Some(array);
        if self.is_deleted() {
            state.release();
        }
    }

    /// Reserves the array for a program that will [`Self::take`] it, even if the buffer is deleted or donated before.
    pub(super) fn claim(&self) {
        self.lock().claims += 1;
    }

    /// The array of a buffer that was claimed.
    pub(super) fn take(&self) -> Result<Array, Error> {
        // Before the lock, which callbacks of the completion may take.
        let error = self.completion.known_error();
        let mut state = self.lock();
        state.claims = state.claims.saturating_sub(1);
        let array = state.array.clone();
        if self.is_deleted() {
            state.release();
        }
        drop(state);
        if let Some(error) = error {
            return Err(error);
        }
        array.ok_or_else(|| self.completion.error().unwrap_or_else(|| self.gone()))
    }

    /// A copy of the bytes of an array of that layout.
    pub(super) fn from_bytes(
        ty: BufferType,
        dims: &[i64],
        layout: Option<Layout>,
        bytes: &(impl HostBytes + ?Sized),
        device: Arc<Device>,
        memory: MemoryKind,
    ) -> Result<Arc<Self>, Error> {
        let array = match ty {
            BufferType::Token => token_array()?,
            BufferType::Tensor(element) => {
                let (shape, dtype) = form(element, dims, layout.as_ref())?;
                array_from_host(element, bytes, &shape, dtype)?
            }
        };
        Ok(Self::new(ty, dims, layout, device, memory, Some(array), Completion::ready()))
    }

    /// An array in memory of the host, if the device can read it there; else a copy of it.
    pub(super) fn from_borrowed(
        element: ElementType,
        dims: &[i64],
        layout: Option<Layout>,
        borrowed: BorrowedMemory,
        device: Arc<Device>,
        memory: MemoryKind,
    ) -> Result<Arc<Self>, Error> {
        let (shape, dtype) = form(element, dims, layout.as_ref())?;
        let array = Array::from_borrowed(borrowed, &shape, dtype)?;
        let ty = BufferType::Tensor(element);
        Ok(Self::new(ty, dims, layout, device, memory, Some(array), Completion::ready()))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Element type.
    pub fn ty(&self) -> BufferType {
        self.ty
    }

    /// Sizes.
    pub fn dims(&self) -> &[i64] {
        &self.dims
    }

    /// Order of the dimensions in memory; None is row-major.
    pub fn layout(&self) -> Option<&Layout> {
        self.layout.as_ref()
    }

    /// Device.
    pub fn device(&self) -> &Arc<Device> {
        &self.device
    }

    /// Memory.
    pub fn memory(&self) -> MemoryKind {
        self.memory
    }

    /// Bytes of the elements (sub-byte types take one byte each).
    pub fn size_in_bytes(&self) -> usize {
        match self.ty {
            BufferType::Token => 0,
            BufferType::Tensor(element) => {
                self.dims.iter().map(|&size| usize::try_from(size).unwrap_or(0)).product::<usize>() * element.bytes()
            }
        }
    }

    /// Where a program with this argument reaches back to, if that is before now.
    pub(super) fn reach(&self, now: Reach) -> Reach {
        self.completion.reach().map_or(now, |reach| reach.min(now))
    }

    /// When the elements are there.
    pub fn completion(&self) -> Completion {
        self.completion.clone()
    }

    /// Whether [`Self::delete`] was called or the buffer donated.
    pub fn is_deleted(&self) -> bool {
        self.deleted.load(Ordering::Acquire)
    }

    /// Lets the memory go (after outside views of it have gone).
    pub fn delete(&self) {
        let mut state = self.lock();
        self.deleted.store(true, Ordering::Release);
        state.release();
    }

    /// Whether the host can read the memory in place. jaxlib takes it for row-major then.
    pub fn is_on_cpu(&self) -> bool {
        self.device.shares_memory()
            && self.layout.is_none()
            && match self.ty {
                BufferType::Token => false,
                BufferType::Tensor(element) => element.bits() >= 8,
            }
    }

    /// The array as it lies in memory, to compute with. A failed buffer passes its error on.
    pub(super) fn array(&self) -> Result<Array, Error> {
        if self.is_deleted() {
            return Err(self.gone());
        }
        if let Some(event) = self.pending_definition() {
            event.wait();
        }
        if let Some(error) = self.completion.known_error() {
            return Err(error);
        }
        match &self.lock().array {
            Some(array) => Ok(array.clone()),
            None => Err(self.completion.error().unwrap_or_else(|| self.gone())),
        }
    }

    /// The array, if its elements are there already and the host may look at them in place.
    pub(super) fn at_hand(&self) -> Option<Array> {
        if self.is_deleted() || !self.completion.is_ready() || self.completion.error().is_some() {
            return None;
        }
        self.lock().array.clone()
    }

    fn gone(&self) -> Error {
        Error::new(Code::InvalidArgument, "buffer has been deleted or donated")
    }

    fn available(&self) -> Result<Array, Error> {
        fork::check()?;
        let completion = &self.completion;
        if !completion.is_ready() {
            interrupts::wait(|| completion.is_ready(), |done| completion.on_ready(Box::new(move |_| done())), || ())?;
        }
        completion.wait()?;
        match &self.lock().array {
            Some(array) => Ok(array.clone()),
            None => Err(self.gone()),
        }
    }

    /// Waits, and shows the bytes as they lie in memory.
    ///
    /// # Errors
    /// The failure of the computation; a deleted buffer.
    pub fn read<R>(&self, look: impl FnOnce(&[u8]) -> R) -> Result<R, Error> {
        let array = self.available()?;
        if self.device.shares_memory() {
            return Ok(look(array.as_bytes()?));
        }
        Ok(look(mlx::for_host(&array, self.device.stream())?.as_bytes()?))
    }

    /// Waits, and tells the address of the elements. Valid until deleted, or while an external reference is held.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub fn pointer(&self) -> Result<*const u8, Error> {
        let array = self.available()?;
        if array.size() == 0 {
            return Ok(std::ptr::null());
        }
        if self.device.shares_memory() {
            return Ok(array.data()?);
        }
        let view = match self.lock().view.clone() {
            Some(view) => view,
            None => mlx::for_host(&array, self.device.stream())?,
        };
        // Another thread may have been first: its copy stays.
        Ok(self.lock().view.get_or_insert(view).data()?)
    }

    /// A copy with memory of its own, of the same layout.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub fn copy_to(&self, device: &Arc<Device>, memory: MemoryKind) -> Result<Arc<Buffer>, Error> {
        self.read(|bytes| Self::from_bytes(self.ty, &self.dims, self.layout.clone(), bytes, device.clone(), memory))?
    }

    /// Keeps the memory alive for a view outside.
    ///
    /// # Errors
    /// When the buffer is deleted.
    pub fn acquire_external(&self) -> Result<(), Error> {
        fork::check()?;
        if let Some(event) = self.pending_definition() {
            interrupts::wait(|| event.is_defined(), |done| event.on_defined(done), || event.wait())?;
        }
        let mut state = self.lock();
        if state.array.is_none() {
            return Err(self.completion.error().unwrap_or_else(|| self.gone()));
        }
        state.external += 1;
        Ok(())
    }

    /// Ends what [`Self::acquire_external`] began.
    ///
    /// # Errors
    /// When there is no external reference.
    pub fn release_external(&self) -> Result<(), Error> {
        let mut state = self.lock();
        state.external = state
            .external
            .checked_sub(1)
            .ok_or_else(|| Error::new(Code::InvalidArgument, "external reference count is zero already"))?;
        if self.is_deleted() {
            state.release();
        }
        Ok(())
    }
}

/// Sizes and type of the array that holds elements of that type and layout.
fn form(element: ElementType, dims: &[i64], layout: Option<&Layout>) -> Result<(Vec<i32>, Dtype), Error> {
    let shape = match layout {
        None => shape_i32(dims)?,
        Some(layout) => shape_i32(&layout.physical(dims))?,
    };
    let dtype = storage(element)
        .ok_or_else(|| Error::new(Code::Unimplemented, format!("arrays of {element} are not supported on mps")))?;
    Ok((shape, dtype))
}

#[cfg(test)]
mod tests {
    use super::super::Client;
    use super::*;

    #[test]
    fn what_a_failed_run_left_behind_is_not_computed_with() {
        let client = Client::new(Default::default()).expect("opened");
        let array = Array::scalar(1f32).expect("made");
        let failed = Completion::failed(Error::new(Code::Internal, "no such matrix"));
        let ty = BufferType::Tensor(ElementType::F32);
        let buffer = Buffer::new(ty, &[], None, client.devices()[0].clone(), MemoryKind::Device, Some(array), failed);
        assert_eq!(buffer.array().expect_err("failed").message, "no such matrix");
    }
}
