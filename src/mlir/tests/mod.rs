//! Both readers on the same programs, and what MLIR's alone reads: text.

mod broken;
mod collected;
mod normal;
mod run;
mod text;

use std::path::{Path, PathBuf};

use super::{Passes, read};
use crate::program::Program;
use crate::stablehlo;
use normal::normalised;

/// All programs of the repository: what JAX sent, of three releases, and those with every op form.
fn corpus() -> Vec<PathBuf> {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data");
    let folders = ["stablehlo-1.13", "reader", "reader/jax-0.9.0", "reader/jax-0.12.0.1"];
    let files: Vec<PathBuf> = folders.iter().flat_map(|folder| programs(&data.join(folder))).collect();
    assert_eq!(files.len(), 31 + 2 + 2 * 19);
    files
}

/// The files of bytecode in a folder.
fn programs(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .map(|entry| entry.expect("a readable folder").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "mlirbc"))
        .collect();
    files.sort();
    files
}

/// What both readers make of a file, before any pass. An error when they differ.
fn both(bytes: &[u8]) -> Result<Program, String> {
    let native = normalised(stablehlo::read(bytes).map_err(|error| format!("native: {error}"))?);
    let other = normalised(read(bytes, Passes::None).map_err(|error| format!("mlir: {error}"))?);
    if native == other {
        return Ok(native);
    }
    let (native, other) = (native.to_string(), other.to_string());
    let lines = native.lines().zip(other.lines());
    let different: Vec<String> = lines
        .filter(|(left, right)| left != right)
        .take(3)
        .map(|(left, right)| format!("  native {left}\n    mlir {right}"))
        .collect();
    Err(format!("the programs differ:\n{}", different.join("\n")))
}

#[test]
fn both_readers_give_equal_programs() {
    let mut wrong = Vec::new();
    for path in corpus() {
        if let Err(error) = both(&std::fs::read(&path).expect("a readable file")) {
            wrong.push(format!("{}: {error}", path.display()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The comparison sees what it should: one field of one op, one element of a constant, one attribute, one sharding.
#[test]
fn differences_are_seen() {
    use crate::program::OpKind;
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/stablehlo-1.13");
    let program = |name: &str| {
        let bytes = std::fs::read(data.join(name).with_extension("mlirbc")).expect("a readable file");
        normalised(read(&bytes, Passes::None).expect("a program"))
    };
    let constants = program("const_dense");
    let mut changed = constants.clone();
    let op = changed.functions[0].body.ops.iter_mut().find(|op| matches!(op.kind, OpKind::Constant(_)));
    if let Some(OpKind::Constant(literal)) = op.map(|op| &mut op.kind) {
        literal.data[0] ^= 1;
    }
    assert!(constants != normalised(changed));

    let sharded = program("sharded_jit");
    assert!(!sharded.meshes.is_empty());
    let mut changed = sharded.clone();
    changed.meshes[0].1.axes[0].size += 1;
    assert!(sharded != normalised(changed));
    let mut changed = sharded.clone();
    let attributes = changed.functions[0].argument_attributes.iter_mut().find(|attributes| !attributes.is_empty());
    attributes.expect("an argument with a sharding").0.pop();
    assert!(sharded != normalised(changed));

    let mut changed = sharded.clone();
    changed.functions[0].body.ops[0].location = crate::program::Location::Unknown;
    assert!(sharded != normalised(changed), "locations are compared");
}
