//! Random bits by counters: Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", 2011.
#![forbid(unsafe_code)]

use super::{Scalar, Term};

/// Low and high half of u64 as u32.
pub fn split(words: &Term) -> (Term, Term) {
    (words.cast(Scalar::U32), (words >> 32i128).cast(Scalar::U32))
}

/// u64 of its halves.
pub fn join(low: &Term, high: &Term) -> Term {
    low.cast(Scalar::U64) | (high.cast(Scalar::U64) << 32i128)
}

/// Threefry-2x32, twenty rounds: two words (u32) under a key of two.
pub fn threefry((first, second): (Term, Term), key: (Term, Term)) -> (Term, Term) {
    const ROTATIONS: [[i128; 4]; 2] = [[13, 15, 26, 6], [17, 29, 16, 24]];
    const PARITY: i128 = 0x1BD1_1BDA;
    let parity = (&key.0 ^ &key.1) ^ PARITY;
    let keys = [key.0, key.1, parity];
    let (mut first, mut second) = (first + &keys[0], second + &keys[1]);
    for group in 0..5 {
        for rotation in ROTATIONS[group % 2] {
            first = first + &second;
            second = (&second << rotation) | (&second >> (32 - rotation));
            second = second ^ &first;
        }
        first = first + &keys[(group + 1) % 3];
        second = second + (&keys[(group + 2) % 3] + (group as i128 + 1));
    }
    (first, second)
}

/// A counter of 128 bits (two u64), moved on.
pub fn advance((low, high): (&Term, &Term), by: &Term) -> (Term, Term) {
    let moved = low + by;
    let carry = moved.less(low).cast(Scalar::U64);
    (moved, high + carry)
}

/// Philox-4x32, ten rounds: four words (u32) under a key of two.
pub fn philox(mut words: [Term; 4], mut key: (Term, Term)) -> [Term; 4] {
    const MULTIPLIERS: [i128; 2] = [0xD251_1F53, 0xCD9E_8D57];
    const WEYL: [i128; 2] = [0x9E37_79B9, 0xBB67_AE85];
    let product = |word: &Term, multiplier: i128| split(&(word.cast(Scalar::U64) * multiplier));
    for _ in 0..10 {
        let (low0, high0) = product(&words[0], MULTIPLIERS[0]);
        let (low1, high1) = product(&words[2], MULTIPLIERS[1]);
        words = [(high1 ^ &words[1]) ^ &key.0, low1, (high0 ^ &words[3]) ^ &key.1, low0];
        key = (key.0 + WEYL[0], key.1 + WEYL[1]);
    }
    words
}

/// What Threefry makes of counters (`counter` + `numbers`) under a key, all u64 but the numbers, which are u32: the two
/// words of each, or, when `wide`, one u64.
pub fn threefry_bits(numbers: &Term, counter: &Term, key: &Term, wide: bool) -> Vec<Term> {
    let (first, second) = threefry(split(&(numbers.cast(Scalar::U64) + counter)), split(key));
    if wide { vec![join(&first, &second)] } else { vec![first, second] }
}

/// What Philox makes of counters of 128 bits (`low` and `high` half, + `numbers`) under a key, all u64 but the numbers,
/// which are u32: the four words of each, or, when `wide`, two u64.
pub fn philox_bits(numbers: &Term, (low, high): (&Term, &Term), key: &Term, wide: bool) -> Vec<Term> {
    let (low, high) = advance((low, high), &numbers.cast(Scalar::U64));
    let ((word0, word1), (word2, word3)) = (split(&low), split(&high));
    let words = philox([word0, word1, word2, word3], split(key));
    if wide { vec![join(&words[0], &words[1]), join(&words[2], &words[3])] } else { words.into() }
}

/// Uniform numbers of `[0, 1)` in a float type, all bits of the significand random: of u64 for f64, else of u32.
pub fn unit(bits: &Term, scalar: Scalar) -> Term {
    let (width, kept) = match scalar {
        Scalar::F64 => (64, 53),
        Scalar::F32 => (32, 24),
        Scalar::F16 => (32, 11),
        _ => (32, 8),
    };
    // In f32 first: f16 cannot hold the scale.
    let work = if scalar == Scalar::F64 { scalar } else { Scalar::F32 };
    ((bits >> i128::from(width - kept)).cast(work) * 0.5f64.powi(kept)).cast(scalar)
}

/// Integers of `[low, high)` from u64.
pub fn uniform_integer(bits: &Term, low: &Term, high: &Term) -> Term {
    let scalar = low.scalar();
    let low = low.cast(Scalar::U64);
    let range = high.cast(Scalar::U64) - &low;
    // An empty range has no right answer; a division by zero would end the process.
    let range = range.equal(0i128).select(&range.integer(1), range.clone());
    (bits.remainder(range) + low).cast(scalar)
}

/// Numbers of the normal distribution of this mean and deviation, by Box and Muller's method, from two of [`unit`]'s bits.
pub fn normal([first, second]: [&Term; 2], mean: &Term, deviation: &Term) -> Term {
    let scalar = mean.scalar();
    let work = if scalar == Scalar::F64 { scalar } else { Scalar::F32 };
    // 1 - u is never zero.
    let radius = ((-unit(first, work) + 1.0).log() * -2.0).sqrt();
    let angle = unit(second, work) * std::f64::consts::TAU;
    (radius * angle.cos()).cast(scalar) * deviation + mean
}
