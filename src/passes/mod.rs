//! Program → program, one pass a file.
#![forbid(unsafe_code)]

mod buffers;
mod common_subexpressions;
mod dead_code;
mod fold;
mod identities;
mod inline;
mod masks;
mod sharding;
mod small_types;
mod visit;

use crate::program::{CompileError, Program};

type Pass = fn(&mut Program) -> Result<(), CompileError>;

/// Runs all passes in their order; `after` sees the program after each.
///
/// # Errors
/// A program that calls itself, or what a pass finds that cannot be supported.
pub fn run(program: &mut Program, mut after: impl FnMut(usize, &str, &Program)) -> Result<(), CompileError> {
    let passes: [(&str, Pass); 9] = [
        ("inline", inline::run),
        ("sharding", sharding::run),
        ("buffers", buffers::run),
        ("small-types", small_types::run),
        ("fold", fold::run),
        ("identities", identities::run),
        ("masks", masks::run),
        ("common-subexpressions", common_subexpressions::run),
        ("dead-code", dead_code::run),
    ];
    for (index, (name, pass)) in passes.into_iter().enumerate() {
        pass(program)?;
        after(index, name, program);
    }
    Ok(())
}
