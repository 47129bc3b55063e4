//! Stands in for the crate `tblgen`, which melior depends on for its macro `dialect!` alone. The real one compiles C++
//! against LLVM's TableGen headers and links LLVM's static libraries, which no package of the build has; jax-mps
//! does not use that macro. Only the names that the macro's source mentions are here: the parser fails, and since
//! nothing else makes the other types, nothing can be called on them.

use std::convert::Infallible;
use std::fmt::{self, Display, Formatter};
use std::marker::PhantomData;

use error::{SourceError, TableGenError};

/// The error of a parser.
pub type Error = SourceError<TableGenError>;

pub mod error {
    //! Errors.
    use super::*;

    /// Why TableGen cannot be read.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub enum TableGenError {
        /// This crate reads none.
        Unsupported,
        /// A value of another type.
        InitConversion {
            /// Type of the value.
            from: &'static str,
            /// Type that was asked for.
            to: &'static str,
        },
    }

    impl Display for TableGenError {
        fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
            formatter.write_str("the macro dialect! is not available: TableGen is not part of this build")
        }
    }

    impl std::error::Error for TableGenError {}

    /// An error with a place in a source.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct SourceError<E>(pub(crate) E);

    impl<E> SourceError<E> {
        /// The error itself.
        pub fn error(&self) -> &E {
            &self.0
        }

        /// Places are not kept.
        pub fn set_location<L>(self, _: L) -> Self {
            self
        }

        /// Places are not kept.
        pub fn add_source_info(self, _: SourceInfo<'_>) -> Self {
            self
        }
    }

    impl<E: Display> Display for SourceError<E> {
        fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
            self.0.fmt(formatter)
        }
    }

    impl<E: std::error::Error> std::error::Error for SourceError<E> {}

    /// Adds a place to an error.
    pub trait WithLocation: std::error::Error + Sized {
        /// Places are not kept.
        fn with_location<L>(self, _: L) -> SourceError<Self> {
            SourceError(self)
        }
    }

    impl<E: std::error::Error> WithLocation for E {}
}

/// Where a source comes from.
#[derive(Clone, Copy)]
pub struct SourceInfo<'a>(PhantomData<&'a ()>);

/// Always fails.
#[derive(Default)]
pub struct TableGenParser<'a>(PhantomData<&'a ()>);

impl<'a> TableGenParser<'a> {
    /// A parser.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes a folder, which is never looked at.
    pub fn add_include_directory(self, _: &str) -> Self {
        self
    }

    /// Fails.
    pub fn add_source(self, _: &str) -> Result<Self, Error> {
        Err(SourceError(TableGenError::Unsupported))
    }

    /// Fails.
    pub fn parse(self) -> Result<RecordKeeper<'a>, Error> {
        Err(SourceError(TableGenError::Unsupported))
    }
}

pub mod record {
    //! Records.
    pub use super::Record;
}

pub mod record_keeper {
    //! All records of a source.
    pub use super::RecordKeeper;
}

/// All records of a source; there is none.
pub struct RecordKeeper<'a>(Infallible, PhantomData<&'a ()>);

impl<'a> RecordKeeper<'a> {
    /// The records derived from a class.
    pub fn all_derived_definitions(&'a self, _: &str) -> std::iter::Empty<Record<'a>> {
        match self.0 {}
    }

    /// Where they come from.
    pub fn source_info(&self) -> SourceInfo<'_> {
        match self.0 {}
    }
}

/// A record; there is none.
#[derive(Clone, Copy, Debug)]
pub struct Record<'a>(Infallible, PhantomData<&'a ()>);

/// Accessors of fields, none of which can be called.
macro_rules! values {
    ($($name:ident -> $ty:ty),* $(,)?) => {
        $(
            #[doc = "A field."]
            pub fn $name(self, _: &str) -> Result<$ty, Error> {
                match self.0 {}
            }
        )*
    };
}

impl<'a> Record<'a> {
    values! {
        str_value -> &'a str,
        string_value -> String,
        bit_value -> bool,
        def_value -> Record<'a>,
        dag_value -> Dag<'a>,
        list_of_defs_value -> std::iter::Empty<Record<'a>>,
    }

    /// Its name.
    pub fn name(self) -> Result<&'a str, Error> {
        match self.0 {}
    }

    /// Whether it is derived from a class.
    pub fn subclass_of(self, _: &str) -> bool {
        match self.0 {}
    }

    /// All fields.
    pub fn values(self) -> std::iter::Empty<RecordValue<'a>> {
        match self.0 {}
    }
}

/// A graph as value of a field; there is none.
#[derive(Clone, Copy, Debug)]
pub struct Dag<'a>(Infallible, PhantomData<&'a ()>);

impl<'a> Dag<'a> {
    /// Names and values.
    pub fn args(self) -> std::iter::Empty<(Option<&'a str>, TypedInit<'a>)> {
        match self.0 {}
    }
}

/// A field; there is none.
#[derive(Clone, Copy, Debug)]
pub struct RecordValue<'a> {
    /// Its value.
    pub init: TypedInit<'a>,
}

/// The value of a field; there is none.
#[derive(Clone, Copy, Debug)]
pub enum TypedInit<'a> {
    /// A record.
    Def(Record<'a>),
}

impl<'a> TryFrom<TypedInit<'a>> for Record<'a> {
    type Error = Error;

    fn try_from(value: TypedInit<'a>) -> Result<Self, Error> {
        match value {
            TypedInit::Def(record) => match record.0 {},
        }
    }
}

impl<'a> TryFrom<RecordValue<'a>> for Record<'a> {
    type Error = Error;

    fn try_from(value: RecordValue<'a>) -> Result<Self, Error> {
        value.init.try_into()
    }
}
