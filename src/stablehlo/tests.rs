//! The reader on real programs.

use std::path::PathBuf;

use super::*;

fn corpus() -> Vec<PathBuf> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/stablehlo-1.13");
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)
        .expect("the corpus is part of the repository")
        .map(|entry| entry.expect("a readable folder").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "mlirbc"))
        .collect();
    files.sort();
    assert_eq!(files.len(), 31);
    files
}

#[test]
fn every_file_reads_verifies_and_prints() {
    let mut failures = Vec::new();
    for path in corpus() {
        let bytes = std::fs::read(&path).expect("a readable file");
        match read(&bytes) {
            Ok(program) => {
                let text = program.to_string();
                assert!(text.contains("@main"), "{}", path.display());
                if std::env::var_os("READER_PRINT").is_some() {
                    println!("{}\n{text}", path.display());
                }
            }
            Err(error) => failures.push(format!("{}: {error}", path.display())),
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}
