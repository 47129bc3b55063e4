//! Broken input: an error or a valid program, never a panic, a hang or a huge allocation.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestError, TestRng, TestRunner};

use super::{corpus, older, read, walk};

/// Reads; a program that comes out of it must be fit to be walked, printed and compiled.
fn survive(bytes: &[u8]) {
    if let Ok(mut program) = read(bytes) {
        for function in &program.functions {
            walk(&function.body, function);
        }
        assert!(program.to_string().starts_with("module"));
        if crate::passes::run(&mut program, &Default::default(), |_, _, _| {}).is_ok()
            && let Some(main) = program.main()
        {
            // A plan or an error, but no panic.
            let _plan_or_error =
                crate::lower::compile(&program, main, crate::mlx::Backend::Cpu.capabilities(false), Default::default());
        }
    }
}

#[test]
fn every_prefix_is_an_error() {
    for path in corpus().into_iter().chain(older()) {
        let bytes = std::fs::read(&path).expect("a readable file");
        // All prefixes of small files, and of large ones those at a stride that is prime.
        let stride = if bytes.len() < 4096 { 1 } else { 97 };
        for length in (0..bytes.len()).step_by(stride) {
            assert!(read(&bytes[..length]).is_err(), "{} cut to {length} bytes", path.display());
        }
    }
}

#[test]
fn errors_are_of_the_right_kind() {
    for (bytes, is_unimplemented) in
        [(&b""[..], false), (b"MLIR", false), (b"ML\xefR", false), (b"ML\xefR\x0f\0", true), (b"ML\xefR\x0dx\0", false)]
    {
        let error = read(bytes).expect_err("no program");
        assert_eq!(error.is_unimplemented(), is_unimplemented, "{error}");
    }
}

/// A change to a file.
#[derive(Clone, Debug)]
enum Change {
    Set(prop::sample::Index, u8),
    Flip(prop::sample::Index, u8),
    /// Most numbers are one byte with a flag in its low bit: this changes one and keeps its width.
    Nudge(prop::sample::Index, i8),
    Remove(prop::sample::Index, usize),
    Insert(prop::sample::Index, Vec<u8>),
    Copy(prop::sample::Index, prop::sample::Index, usize),
}

fn change() -> impl Strategy<Value = Change> {
    use prop::sample::Index;
    prop_oneof![
        1 => (any::<Index>(), any::<u8>()).prop_map(|(at, byte)| Change::Set(at, byte)),
        1 => (any::<Index>(), 0..8u8).prop_map(|(at, bit)| Change::Flip(at, bit)),
        4 => (any::<Index>(), -4..5i8).prop_map(|(at, by)| Change::Nudge(at, by)),
        1 => (any::<Index>(), 1..8usize).prop_map(|(at, count)| Change::Remove(at, count)),
        1 => (any::<Index>(), prop::collection::vec(any::<u8>(), 1..8)).prop_map(|(at, bytes)| Change::Insert(at, bytes)),
        1 => (any::<Index>(), any::<Index>(), 1..16usize).prop_map(|(from, to, count)| Change::Copy(from, to, count)),
    ]
}

fn apply(bytes: &mut Vec<u8>, change: &Change) {
    if bytes.is_empty() {
        return;
    }
    match change {
        Change::Set(at, byte) => {
            let at = at.index(bytes.len());
            bytes[at] = *byte;
        }
        Change::Flip(at, bit) => {
            let at = at.index(bytes.len());
            bytes[at] ^= 1 << bit;
        }
        Change::Nudge(at, by) => {
            let at = at.index(bytes.len());
            bytes[at] = bytes[at].wrapping_add_signed(2 * by);
        }
        Change::Remove(at, count) => {
            let at = at.index(bytes.len());
            bytes.drain(at..bytes.len().min(at + count));
        }
        Change::Insert(at, new) => {
            let at = at.index(bytes.len());
            bytes.splice(at..at, new.iter().copied());
        }
        Change::Copy(from, to, count) => {
            let (from, to) = (from.index(bytes.len()), to.index(bytes.len()));
            let piece = bytes[from..bytes.len().min(from + count)].to_vec();
            for (offset, byte) in piece.into_iter().enumerate() {
                if let Some(slot) = bytes.get_mut(to + offset) {
                    *slot = byte;
                }
            }
        }
    }
}

type Mutation = (prop::sample::Index, Vec<Change>);

fn mutated(files: &[Vec<u8>], (file, changes): &Mutation) -> Vec<u8> {
    let mut bytes = file.get(files).clone();
    for change in changes {
        apply(&mut bytes, change);
    }
    bytes
}

/// Where failing inputs are kept.
fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("target/reader-fuzz")
}

/// Tries `cases` changed files. A failure names its seed and the file with the smallest input found that fails.
///
/// An abort leaves no time for that: with `READER_FUZZ_KEEP` set each input is written to `last` before it is tried.
fn mutations(seed: u64, cases: u32, until: Option<Instant>, tried: impl Fn(&[u8])) -> Result<(), (PathBuf, String)> {
    let files: Vec<Vec<u8>> =
        corpus().iter().chain(&older()).map(|path| std::fs::read(path).expect("a readable file")).collect();
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &seed.to_le_bytes().repeat(4));
    let strategy = (any::<prop::sample::Index>(), prop::collection::vec(change(), 1..6));
    let keep = |name: &str, bytes: &[u8]| {
        std::fs::create_dir_all(folder()).expect("a folder for failing inputs");
        let path = folder().join(name);
        std::fs::write(&path, bytes).expect("a file for the failing input");
        path
    };
    let keep_all = std::env::var_os("READER_FUZZ_KEEP").is_some();
    let result = TestRunner::new_with_rng(config, rng).run(&strategy, |mutation| {
        if until.is_some_and(|until| Instant::now() > until) {
            return Ok(());
        }
        let bytes = mutated(&files, &mutation);
        if keep_all {
            keep("last", &bytes);
        }
        let begin = Instant::now();
        tried(&bytes);
        let took = begin.elapsed();
        prop_assert!(took < Duration::from_secs(5), "{took:?}");
        Ok(())
    });
    match result {
        Ok(()) => Ok(()),
        Err(TestError::Fail(reason, mutation)) => {
            let path = keep(&format!("seed-{seed}"), &mutated(&files, &mutation));
            Err((path.clone(), format!("READER_FUZZ_SEED={seed}: {reason}; the input is {}", path.display())))
        }
        Err(error) => panic!("READER_FUZZ_SEED={seed}: {error}"),
    }
}

fn survive_mutations(seed: u64, until: Option<Instant>) {
    if let Err((_, failure)) = mutations(seed, 2000, until, survive) {
        panic!("{failure}");
    }
}

#[test]
fn mutations_of_a_fixed_seed() {
    survive_mutations(7, None);
}

/// As long as `READER_FUZZ_SECONDS` says (20 unless it is set), from the seed `READER_FUZZ_SEED` (the time unless it is
/// set) and on.
#[test]
fn mutations_for_some_time() {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().expect("a whole number"));
    let until = Instant::now() + Duration::from_secs(number("READER_FUZZ_SECONDS").unwrap_or(20));
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("a clock after 1970");
    let mut seed = number("READER_FUZZ_SEED").unwrap_or(now.as_nanos() as u64);
    while Instant::now() < until {
        println!("READER_FUZZ_SEED={seed}");
        survive_mutations(seed, Some(until));
        seed = seed.wrapping_add(1);
    }
}

#[test]
fn a_failing_input_is_kept() {
    let fails = |bytes: &[u8]| bytes.len() % 7 == 3;
    let tried = |bytes: &[u8]| assert!(!fails(bytes), "provoked");
    let (path, failure) = mutations(11, 2000, None, tried).expect_err("a failure");
    assert!(failure.starts_with("READER_FUZZ_SEED=11: provoked; the input is "), "{failure}");
    assert!(fails(&std::fs::read(&path).expect("the kept input")));
    let (again, _) = mutations(11, 2000, None, tried).expect_err("the same failure");
    assert_eq!(again, path);
    std::fs::remove_file(path).expect("the kept input");
}
