//! Where an op comes from in the user's source.
#![forbid(unsafe_code)]

use std::fmt;
use std::sync::Arc;

/// An MLIR location reduced to what messages need.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Location {
    /// Nothing known.
    #[default]
    Unknown,
    /// A source position; line and column count from 1, 0 when unknown.
    File {
        /// Path as recorded.
        file: Arc<str>,
        /// Line.
        line: u32,
        /// Column.
        column: u32,
    },
    /// A name (JAX: the primitive with its scopes) around another location.
    Name(Arc<str>, Arc<Location>),
    /// Callee location, then caller.
    CallSite(Arc<Location>, Arc<Location>),
    /// Several at once.
    Fused(Arc<[Location]>),
}

impl Location {
    /// The innermost source position: the user's own line when JAX recorded it.
    pub fn position(&self) -> Option<(&str, u32)> {
        match self {
            Location::Unknown => None,
            Location::File { file, line, .. } => Some((file, *line)),
            Location::Name(_, inner) => inner.position(),
            Location::CallSite(callee, caller) => callee.position().or_else(|| caller.position()),
            Location::Fused(parts) => parts.iter().find_map(Location::position),
        }
    }

    /// The name of the op: in JAX's programs the primitive with the scopes around it, such as `jit(f)/dot_general`.
    pub fn name(&self) -> Option<&str> {
        match self {
            Location::Name(name, _) => Some(name),
            Location::CallSite(callee, _) => callee.name(),
            _ => None,
        }
    }
}

impl fmt::Display for Location {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.position() {
            Some((file, line)) => write!(formatter, "{file}:{line}")?,
            None => formatter.write_str("unknown location")?,
        }
        match self.name() {
            Some(name) => write!(formatter, " ({name})"),
            None => Ok(()),
        }
    }
}
