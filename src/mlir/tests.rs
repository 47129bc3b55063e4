//! Both readers on the same files.

use std::path::{Path, PathBuf};

use super::{Passes, read};
use crate::stablehlo;

/// All programs of the repository: what JAX sent, of three releases, and one with every op form.
fn corpus() -> Vec<PathBuf> {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data");
    let mut files: Vec<PathBuf> = ["stablehlo-1.13", "reader", "reader/jax-0.9.0", "reader/jax-0.12.0.1"]
        .iter()
        .flat_map(|folder| std::fs::read_dir(data.join(folder)).expect("the corpus is part of the repository"))
        .map(|entry| entry.expect("a readable folder").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "mlirbc"))
        .collect();
    files.sort();
    assert_eq!(files.len(), 31 + 1 + 2 * 19);
    files
}

#[test]
fn first_look() {
    for path in corpus() {
        let bytes = std::fs::read(&path).expect("a readable file");
        let native = stablehlo::read(&bytes).expect("read");
        match read(&bytes, Passes::None) {
            Ok(program) => println!("{}: {}", path.display(), program == native),
            Err(error) => println!("{}: {error}", path.display()),
        }
    }
}
