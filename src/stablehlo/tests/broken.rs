//! Broken input: an error or a valid program, never a panic, a hang or a huge allocation.

use std::time::{Duration, Instant};

use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use super::{corpus, older, read, walk};

/// Reads; a program that comes out of it must be fit to be walked, printed and compiled.
fn survive(bytes: &[u8]) {
    if let Ok(mut program) = read(bytes) {
        for function in &program.functions {
            walk(&function.body, function);
        }
        assert!(program.to_string().starts_with("module"));
        if crate::passes::run(&mut program, |_, _, _| {}).is_ok()
            && let Some(main) = program.main()
        {
            // A plan or an error, but no panic.
            let _plan_or_error = crate::lower::compile(&program, main, crate::mlx::Backend::Cpu.capabilities(false));
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

fn mutations(seed: u8, cases: u32, until: Option<Instant>) {
    let files: Vec<Vec<u8>> =
        corpus().iter().chain(&older()).map(|path| std::fs::read(path).expect("a readable file")).collect();
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    let mut runner = TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &[seed; 32]));
    let strategy = (any::<prop::sample::Index>(), prop::collection::vec(change(), 1..6));
    runner
        .run(&strategy, |(file, changes)| {
            if until.is_some_and(|until| Instant::now() > until) {
                return Ok(());
            }
            let mut bytes = file.get(&files).clone();
            for change in &changes {
                apply(&mut bytes, change);
            }
            let begin = Instant::now();
            survive(&bytes);
            let took = begin.elapsed();
            prop_assert!(took < Duration::from_secs(5), "{took:?}");
            Ok(())
        })
        .unwrap_or_else(|error| panic!("{error}"));
}

#[test]
fn mutations_of_a_fixed_seed() {
    mutations(7, 2000, None);
}

/// As long as `READER_FUZZ_SECONDS` says (20 unless it is set), with a seed of the day's time.
#[test]
fn mutations_for_some_time() {
    let seconds = std::env::var("READER_FUZZ_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(20);
    let until = Instant::now() + Duration::from_secs(seconds);
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("a clock after 1970");
    let mut seed = now.subsec_nanos() as u8;
    while Instant::now() < until {
        println!("seed {seed}");
        mutations(seed, 2000, Some(until));
        seed = seed.wrapping_add(1);
    }
}
