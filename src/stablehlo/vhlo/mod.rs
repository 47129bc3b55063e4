//! The ops of VHLO from [`OLDEST`] to [`NEWEST`] (openxla/stablehlo, stablehlo/dialect/VhloOps.td) as typed ops of the
//! program: one table row per op form, one file per op family.
//!
//! A version has exactly one form of each op: `exponential_v1` up to 1.8, `exponential_v2` from 1.9 on. Rows of older forms
//! give what their newer ones give with the values that VHLO's upgrade fills in (stablehlo/transforms/VhloToVersion.cpp and
//! VhloToVersionPatterns.td).
#![forbid(unsafe_code)]

mod collective;
mod contraction;
mod control;
mod dynamic;
mod elementwise;
mod encoding;
mod fields;
mod indexing;
mod misc;
mod reduction;
mod shape;
mod source;

pub(crate) use encoding::EnumKind;
pub(super) use encoding::{VhloAttribute, VhloType};
pub(crate) use fields::{Failure, Fields};
pub(crate) use source::{Field, Source};

use std::fmt;

use crate::program::{Attributes, Binary, OpKind, Unary};

/// A version of VHLO, which is one of StableHLO: major, minor, patch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version(pub [i64; 3]);

/// The oldest version whose programs are read: the first that VHLO guarantees.
pub const OLDEST: Version = Version([0, 9, 0]);
/// The newest version that is known in full. (From 1.16 on collectives name the axes of meshes instead of listing their
/// groups.)
pub const NEWEST: Version = Version([1, 15, 0]);

impl fmt::Display for Version {
    /// As versions of op forms are spoken of: without the patch, which changes no form.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self([major, minor, _]) = self;
        write!(formatter, "{major}.{minor}")
    }
}

/// A permitted number of operands, results or regions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Count {
    Exactly(usize),
    AtLeast(usize),
}

impl Count {
    /// Whether `count` is permitted.
    pub fn permits(self, count: usize) -> bool {
        match self {
            Count::Exactly(expected) => count == expected,
            Count::AtLeast(least) => count >= least,
        }
    }
}

impl fmt::Display for Count {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Count::Exactly(count) => write!(formatter, "{count}"),
            Count::AtLeast(count) => write!(formatter, "at least {count}"),
        }
    }
}

/// Makes the typed op from its attributes.
#[derive(Clone, Copy)]
pub(crate) enum Build {
    Unary(Unary),
    /// Takes `result_accuracy`.
    AccurateUnary(Unary),
    Binary(Binary),
    With(fn(&mut Fields<'_>) -> Result<OpKind, Failure>),
}

/// A form of an op.
#[derive(Clone, Copy)]
pub(crate) struct Form {
    /// Name without dialect, as in the bytecode.
    pub name: &'static str,
    /// Inherent attributes in the order in which they are encoded, which is alphabetical; optional ones end in `?`.
    pub attributes: &'static [&'static str],
    /// Number of operands.
    pub operands: Count,
    /// Number of results.
    pub results: Count,
    /// Number of regions.
    pub regions: Count,
    /// Makes the typed op.
    pub build: Build,
}

/// A form without regions.
const fn form(
    name: &'static str,
    operands: Count,
    results: Count,
    attributes: &'static [&'static str],
    build: fn(&mut Fields<'_>) -> Result<OpKind, Failure>,
) -> Form {
    with_regions(name, operands, results, Count::Exactly(0), attributes, build)
}

/// A form with regions.
pub(super) const fn with_regions(
    name: &'static str,
    operands: Count,
    results: Count,
    regions: Count,
    attributes: &'static [&'static str],
    build: fn(&mut Fields<'_>) -> Result<OpKind, Failure>,
) -> Form {
    Form { name, attributes, operands, results, regions, build: Build::With(build) }
}

const ONE: Count = Count::Exactly(1);
const TWO: Count = Count::Exactly(2);
const THREE: Count = Count::Exactly(3);
const ANY: Count = Count::AtLeast(0);
const SOME: Count = Count::AtLeast(1);

/// All forms, by family.
const FAMILIES: &[&[Form]] = &[
    elementwise::FORMS,
    shape::FORMS,
    indexing::FORMS,
    contraction::FORMS,
    reduction::FORMS,
    control::FORMS,
    collective::FORMS,
    dynamic::FORMS,
    misc::FORMS,
];

/// The form of that name (without dialect).
pub(super) fn find(name: &str) -> Option<&'static Form> {
    FAMILIES.iter().flat_map(|family| family.iter()).find(|form| form.name == name)
}

/// The newest form of the op of that name in StableHLO, which has one form of each.
pub(crate) fn find_unversioned(name: &str) -> Option<&'static Form> {
    let version = |form: &Form| {
        let (base, version) = form.name.rsplit_once("_v")?;
        (base == name).then(|| version.parse::<u32>().ok())?
    };
    let forms = FAMILIES.iter().flat_map(|family| family.iter());
    forms.filter_map(|form| Some((version(form)?, form))).max_by_key(|(version, _)| *version).map(|(_, form)| form)
}

/// All forms.
#[cfg(test)]
pub(super) fn forms() -> impl Iterator<Item = &'static Form> {
    FAMILIES.iter().flat_map(|family| family.iter())
}

/// Makes an op of its attributes, all of which must be taken. Gives those that have no typed field too.
pub(crate) fn build(build: Build, mut fields: Fields<'_>) -> Result<(OpKind, Attributes), Failure> {
    let kind = match build {
        Build::Unary(unary) => OpKind::Unary(unary),
        Build::AccurateUnary(unary) => {
            fields.result_accuracy()?;
            OpKind::Unary(unary)
        }
        Build::Binary(binary) => OpKind::Binary(binary),
        Build::With(build) => build(&mut fields)?,
    };
    Ok((kind, fields.finish()?))
}

/// Forms that end a block.
pub(super) fn is_terminator(name: &str) -> bool {
    name == "return_v1"
}

/// The attributes of a function, `func_v1`.
pub(super) const FUNCTION_ATTRIBUTES: &[&str] =
    &["arg_attrs", "function_type", "res_attrs", "sym_name", "sym_visibility"];

/// Why a form of a known op is not part of these versions, for messages.
pub(super) fn other_version(name: &str) -> Option<String> {
    let (base, _) = name.rsplit_once("_v")?;
    Some(format!("VHLO {NEWEST} has {}", find_unversioned(base)?.name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn names_are_unique_and_attributes_in_order() {
        let mut names = HashSet::new();
        for form in FAMILIES.iter().flat_map(|family| family.iter()) {
            assert!(names.insert(form.name), "{} stands twice", form.name);
            assert!(form.attributes.is_sorted(), "{}: {:?}", form.name, form.attributes);
        }
        // All op forms of 1.15 but func_v1 and return_v1, which the module conversion handles, and 23 older ones.
        assert_eq!(names.len(), 117 + 23);
    }

    #[test]
    fn stablehlo_has_the_newest_forms() {
        for (name, form) in [("composite", "composite_v2"), ("tan", "tan_v2"), ("abs", "abs_v1")] {
            assert_eq!(find_unversioned(name).map(|form| form.name), Some(form));
        }
        assert!(find_unversioned("collective_reduce").is_none());
    }

    #[test]
    fn other_versions_are_named() {
        assert!(find("custom_call_v2").is_none());
        assert_eq!(other_version("custom_call_v2").as_deref(), Some("VHLO 1.15 has custom_call_v1"));
        assert_eq!(other_version("exponential_v3").as_deref(), Some("VHLO 1.15 has exponential_v2"));
        assert_eq!(other_version("collective_reduce_v1"), None);
    }
}
