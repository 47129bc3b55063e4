//! The library without the feature `python` has no symbol of Python, so that clients in other languages can load it.
#![cfg(not(feature = "python"))]

use std::path::PathBuf;
use std::process::Command;

/// Beside this test: cargo builds all kinds of the library for it.
fn library() -> PathBuf {
    let name = if cfg!(target_os = "macos") { "libjax_mps.dylib" } else { "libjax_mps.so" };
    std::env::current_exe().unwrap().with_file_name(name)
}

/// Of the global symbols, those that are exported or looked for elsewhere.
fn symbols() -> Vec<String> {
    let option = if cfg!(target_os = "macos") { "-g" } else { "-D" };
    let listing = Command::new("nm").arg(option).arg(library()).output().expect("nm comes with the C compiler");
    assert!(listing.status.success(), "{}", String::from_utf8_lossy(&listing.stderr));
    let text = String::from_utf8(listing.stdout).unwrap();
    text.lines().filter_map(|line| line.split_whitespace().last()).map(str::to_owned).collect()
}

#[test]
fn no_symbol_is_of_python() {
    let symbols = symbols();
    // Mach-O has an underscore before every name of C.
    let plain = |name: &str| name.strip_prefix('_').unwrap_or(name).to_owned();
    assert!(symbols.iter().any(|name| name == "GetPjrtApi" || plain(name) == "GetPjrtApi"), "{symbols:?}");
    let of_python: Vec<_> = symbols.iter().filter(|name| name.trim_start_matches('_').starts_with("Py")).collect();
    // A library that was built with the feature, and that cargo has not built anew, is at the same place: remove it.
    assert!(of_python.is_empty(), "{}: {of_python:?}", library().display());
}
