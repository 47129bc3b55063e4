//! Locations of the container to locations of the program.
#![forbid(unsafe_code)]

use std::sync::Arc;

use super::bytecode::{AttributeId, BuiltinAttribute};
use super::context::{Context, Shallow};
use crate::program::Location;

/// Locations nested deeper, or made of more parts, are cut off there: they only serve messages.
const DEEPEST: usize = 200;
const LARGEST: usize = 4096;

impl Context<'_> {
    /// The location; unknown where it cannot be read, since no program is wrong for that.
    pub fn location(&mut self, id: AttributeId) -> Location {
        self.sized_location(id, 0).0
    }

    /// The location and the number of its parts when written out.
    fn sized_location(&mut self, id: AttributeId, depth: usize) -> (Location, usize) {
        let unknown = (Location::Unknown, 1);
        if let Some(known) = &self.locations[id.0 as usize] {
            return known.clone();
        }
        if depth == DEEPEST {
            return unknown;
        }
        let Ok(Shallow::Builtin(attribute)) = self.shallow(id) else { return unknown };
        let found = match attribute {
            BuiltinAttribute::File(file, line, column) => {
                let Ok(file) = self.string(file) else { return unknown };
                let narrow = |number: u64| u32::try_from(number).unwrap_or(0);
                (Location::File { file: file.into(), line: narrow(line), column: narrow(column) }, 1)
            }
            BuiltinAttribute::Name(name, inner) => {
                let Ok(name) = self.string(name) else { return unknown };
                let (inner, size) = self.sized_location(inner, depth + 1);
                (Location::Name(name.into(), Arc::new(inner)), size + 1)
            }
            BuiltinAttribute::CallSite(callee, caller) => {
                let (callee, callee_size) = self.sized_location(callee, depth + 1);
                let (caller, caller_size) = self.sized_location(caller, depth + 1);
                (Location::CallSite(Arc::new(callee), Arc::new(caller)), callee_size + caller_size + 1)
            }
            BuiltinAttribute::Fused(parts) => {
                let mut size = 1;
                let mut locations = Vec::with_capacity(parts.len());
                for part in parts {
                    let (location, part_size) = self.sized_location(part, depth + 1);
                    size += part_size;
                    locations.push(location);
                }
                (Location::Fused(locations.into()), size)
            }
            _ => unknown.clone(),
        };
        let found = if found.1 > LARGEST { unknown } else { found };
        self.locations[id.0 as usize] = Some(found.clone());
        found
    }
}
