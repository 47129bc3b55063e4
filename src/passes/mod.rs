//! Program → program, one pass a file.
#![forbid(unsafe_code)]

mod branches;
mod buffers;
mod common_subexpressions;
mod dead_code;
mod fold;
mod fold_elementwise;
mod identities;
mod inline;
mod loop_invariants;
mod loop_values;
mod masks;
mod movement;
mod sharding;
mod small_types;
#[cfg(test)]
mod tests;
mod visit;

use crate::program::{CompileError, Program};

type Pass = fn(&mut Program) -> Result<(), CompileError>;

/// The passes in their order, by the names that dumps give them.
const PASSES: [(&str, Pass); 14] = [
    ("inline", inline::run),
    ("sharding", sharding::run),
    ("buffers", buffers::run),
    ("small-types", small_types::run),
    ("fold", fold::run),
    ("fold-elementwise", fold_elementwise::run),
    ("branches", branches::run),
    ("identities", identities::run),
    ("masks", masks::run),
    ("movement", movement::run),
    ("loop-values", loop_values::run),
    ("loop-invariants", loop_invariants::run),
    ("common-subexpressions", common_subexpressions::run),
    ("dead-code", dead_code::run),
];

/// Without these a program may be one that cannot be lowered.
const NEEDED: [&str; 4] = ["inline", "sharding", "buffers", "small-types"];

/// Which passes are left out, to see what they do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Choice {
    off: Vec<&'static str>,
}

impl Choice {
    /// From a list like `-masks,-movement`.
    ///
    /// # Errors
    /// What was expected, where an entry is no pass that can be left out.
    pub fn parse(text: &str) -> Result<Self, String> {
        let optional = || PASSES.iter().map(|(name, _)| *name).filter(|name| !NEEDED.contains(name));
        let mut off = Vec::new();
        for entry in text.split(',') {
            let name = entry.trim().strip_prefix('-').and_then(|entry| optional().find(|name| *name == entry));
            let known = || optional().map(|name| format!("-{name}")).collect::<Vec<_>>().join(", ");
            off.push(name.ok_or_else(|| format!("a list of {}", known()))?);
        }
        Ok(Self { off })
    }
}

/// Runs the passes in their order; `after` sees the program after each.
///
/// # Errors
/// A program that calls itself, or what a pass finds that cannot be supported.
pub fn run(
    program: &mut Program,
    choice: &Choice,
    mut after: impl FnMut(usize, &str, &Program),
) -> Result<(), CompileError> {
    for (index, (name, pass)) in PASSES.into_iter().enumerate() {
        if choice.off.contains(&name) {
            continue;
        }
        pass(program)?;
        after(index, name, program);
    }
    Ok(())
}
