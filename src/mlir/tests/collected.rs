//! Programs that were collected from the tests of the ops, by `make test-mlir`.

use std::path::PathBuf;

use super::run::{equal_results, is_small};
use super::{both, programs};

/// The folder that `JAX_MPS_COLLECTED` names must hold this many.
const LEAST: usize = 300;

#[test]
#[ignore = "make test-mlir collects the programs first and then runs it"]
fn collected_programs_are_equal_and_give_equal_results() {
    let folder = PathBuf::from(std::env::var_os("JAX_MPS_COLLECTED").expect("JAX_MPS_COLLECTED names a folder"));
    let mut contents = std::collections::HashSet::new();
    let mut wrong = Vec::new();
    let (mut ran, mut refused) = (0, 0);
    for path in programs(&folder) {
        let bytes = std::fs::read(&path).expect("a readable file");
        if !contents.insert(bytes.clone()) {
            continue;
        }
        let outcome =
            both(&bytes).and_then(|program| if is_small(&program) { equal_results(&bytes) } else { Ok(false) });
        match outcome {
            Ok(true) => ran += 1,
            Ok(false) => refused += 1,
            Err(error) => wrong.push(format!("{}: {error}", path.display())),
        }
    }
    println!("{} different programs: {ran} ran, {refused} refused by both, {} differ", contents.len(), wrong.len());
    assert!(contents.len() >= LEAST, "{} different programs", contents.len());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(ran * 10 >= contents.len() * 9, "{ran} of {} programs ran", contents.len());
}
