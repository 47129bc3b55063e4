//! Buffers whose elements the client brings later: with transfers of its own, or with another buffer.
#![forbid(unsafe_code)]

use std::sync::Arc;

use super::buffer::{Buffer, BufferType, MemoryKind};
use super::completion::{Completer, Completion};
use super::definition_event::DefinitionEvent;
use super::device::Device;
use super::error::{Code, Error};
use super::fork;
use super::layout::Layout;

/// The duty to bring the elements of a buffer. Dropped without that, it fails the buffer.
pub struct BufferPromise {
    buffer: Arc<Buffer>,
    definition: Arc<DefinitionEvent>,
    completer: Option<Completer>,
}

impl BufferPromise {
    /// A buffer without elements, and the duty to bring them.
    ///
    /// # Errors
    /// FAILED_PRECONDITION in a forked child.
    pub fn new(
        ty: BufferType,
        dims: &[i64],
        layout: Option<Layout>,
        device: &Arc<Device>,
        memory: MemoryKind,
    ) -> Result<Self, Error> {
        fork::check()?;
        let definition = DefinitionEvent::new();
        let (completion, completer) = Completion::manual();
        let buffer = Buffer::promised(ty, dims, layout, device.clone(), memory, definition.clone(), completion);
        Ok(Self { buffer, definition, completer: Some(completer) })
    }

    /// The buffer.
    pub fn buffer(&self) -> &Arc<Buffer> {
        &self.buffer
    }

    /// Brings the elements, dense in the buffer's layout. When that fails so does the buffer.
    ///
    /// # Errors
    /// RESOURCE_EXHAUSTED when memory is short.
    pub fn fulfil(self, bytes: &[u8]) -> Result<(), Error> {
        let buffer = &self.buffer;
        let (device, layout) = (buffer.device().clone(), buffer.layout().cloned());
        let made = Buffer::from_bytes(buffer.ty(), buffer.dims(), layout, bytes, device, buffer.memory());
        let outcome = made.and_then(|made| made.array()).map(|array| self.buffer.define(array));
        self.end(outcome.clone());
        outcome
    }

    /// Makes the buffer share the elements of another one of its type, sizes and layout, when they are there.
    ///
    /// # Errors
    /// INVALID_ARGUMENT for a buffer that is deleted or differs; then this one fails too.
    pub fn fulfil_with(self, source: &Arc<Buffer>) -> Result<(), Error> {
        let form = |buffer: &Buffer| (buffer.ty(), buffer.dims().to_vec(), buffer.layout().cloned());
        let (expected, came) = (form(&self.buffer), form(source));
        let same_device = Arc::ptr_eq(self.buffer.device(), source.device());
        let problem = if source.is_deleted() {
            Some("the buffer that an alias stands for has been deleted or donated".to_owned())
        } else if expected != came || !same_device {
            Some(format!("an alias of {expected:?} cannot stand for a buffer of {came:?}"))
        } else {
            None
        };
        if let Some(message) = problem {
            let error = Error::new(Code::InvalidArgument, message);
            self.fail(error.clone());
            return Err(error);
        }
        // The source may be deleted before its elements are there.
        source.claim();
        let claimed = source.clone();
        source.completion().on_ready(Box::new(move |outcome| {
            let taken = claimed.take();
            let outcome = outcome.and(taken).map(|array| self.buffer.define(array));
            self.end(outcome);
        }));
        Ok(())
    }

    /// Fails the buffer.
    pub fn fail(self, error: Error) {
        self.end(Err(error));
    }

    /// Who waits for the elements finds the outcome when the array is defined.
    fn end(mut self, outcome: Result<(), Error>) {
        if let Some(completer) = self.completer.take() {
            completer.complete(outcome);
        }
    }
}

impl Drop for BufferPromise {
    fn drop(&mut self) {
        // Dropped before the array is defined: a completion that nobody completed has failed then.
        drop(self.completer.take());
        self.definition.define();
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Client, ClientOptions};
    use super::*;
    use crate::program::ElementType;

    fn promise(client: &Client) -> BufferPromise {
        let ty = BufferType::Tensor(ElementType::I32);
        BufferPromise::new(ty, &[2], None, &client.devices()[0], MemoryKind::Device).expect("made")
    }

    #[test]
    fn elements_come_later_or_never() {
        let client = Client::new(ClientOptions { device: Some("cpu".into()) }).expect("opened");
        let promised = promise(&client);
        let buffer = promised.buffer().clone();
        assert!(!buffer.completion().is_ready());
        promised.fulfil(&[1, 0, 0, 0, 2, 0, 0, 0]).expect("fits");
        assert_eq!(buffer.read(<[u8]>::to_vec), Ok(vec![1, 0, 0, 0, 2, 0, 0, 0]));

        let forgotten = promise(&client);
        let buffer = forgotten.buffer().clone();
        drop(forgotten);
        assert_eq!(buffer.read(|_| ()).map_err(|error| error.code), Err(Code::Aborted));

        let failed = promise(&client);
        let buffer = failed.buffer().clone();
        failed.fail(Error::new(Code::DataLoss, "the wire broke"));
        assert_eq!(buffer.read(|_| ()).map_err(|error| error.code), Err(Code::DataLoss));
        let wrong = promise(&client);
        let buffer = wrong.buffer().clone();
        assert!(wrong.fulfil(&[1, 2, 3]).is_err());
        assert!(buffer.read(|_| ()).is_err());
    }

    #[test]
    fn an_alias_outlives_what_it_stands_for() {
        let client = Client::new(ClientOptions { device: Some("cpu".into()) }).expect("opened");
        let (source, alias) = (promise(&client), promise(&client));
        let (brought, seen) = (source.buffer().clone(), alias.buffer().clone());
        alias.fulfil_with(&brought).expect("of one form");
        brought.delete();
        assert!(!seen.completion().is_ready());
        source.fulfil(&[7; 8]).expect("fits");
        assert_eq!(seen.read(<[u8]>::to_vec), Ok(vec![7; 8]));

        let (alias, other) = (promise(&client), promise(&client));
        let seen = alias.buffer().clone();
        let error = alias.fulfil_with(&brought).expect_err("deleted");
        assert_eq!(error.code, Code::InvalidArgument);
        assert_eq!(seen.read(|_| ()), Err(error));
        let (alias, source) = (other, promise(&client));
        let (seen, brought) = (alias.buffer().clone(), source.buffer().clone());
        alias.fulfil_with(&brought).expect("of one form");
        source.fail(Error::new(Code::DataLoss, "the wire broke"));
        assert_eq!(seen.read(|_| ()).map_err(|error| error.code), Err(Code::DataLoss));
    }
}
