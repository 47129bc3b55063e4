//! Programs that were collected from the tests of the ops, by `make test-mlir`.

use std::path::PathBuf;

use super::run::{equal_results, may_run};
use super::{both, programs};

/// The folder that `JAX_MPS_COLLECTED` names must hold this many.
const LEAST: usize = 300;

#[test]
#[ignore = "make test-mlir collects the programs first and then runs it"]
fn collected_programs_are_equal_and_give_equal_results() {
    let folder = PathBuf::from(std::env::var_os("JAX_MPS_COLLECTED").expect("JAX_MPS_COLLECTED names a folder"));
    let mut contents = std::collections::HashSet::new();
    let mut wrong = Vec::new();
    let (mut ran, mut refused, mut left) = (0, 0, 0);
    for path in programs(&folder) {
        let bytes = std::fs::read(&path).expect("a readable file");
        if !contents.insert(bytes.clone()) {
            continue;
        }
        let outcome = match both(&bytes) {
            Ok(program) if may_run(&program) => equal_results(&bytes),
            Ok(_) => {
                left += 1;
                continue;
            }
            Err(error) => Err(error),
        };
        match outcome {
            Ok(true) => ran += 1,
            Ok(false) => refused += 1,
            Err(error) => wrong.push(format!("{}: {error}", path.display())),
        }
    }
    println!(
        "{} different programs: {} differ; of the others {ran} ran, {refused} are refused by both, {left} have loops or \
         large values and are compared only",
        contents.len(),
        wrong.len()
    );
    assert!(contents.len() >= LEAST, "{} different programs", contents.len());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(ran >= LEAST, "{ran} programs ran");
}
