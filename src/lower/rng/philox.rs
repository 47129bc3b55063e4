//! Philox-4x32 with 10 rounds (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", 2011), in XLA's layout.
#![forbid(unsafe_code)]

use super::{join, split};
use crate::lower::formula::Formula;
use crate::mlx::{self, Array, Dtype, Stream};

/// Random words from a state of (key, counter's low and high half), all u64[1], in the shape of the result (and its
/// width, where that is 32 or 64 bits). `counters` is [`counters`] of the result's size.
///
/// # Errors
/// What MLX refuses.
pub(super) fn bits(
    key: &Formula,
    counter: (&Formula, &Formula),
    counters: i32,
    shape: &[i32],
    wide: bool,
    stream: Stream,
) -> mlx::Result<Array> {
    let numbers = Formula::new(mlx::arange(counters, Dtype::Uint32, stream), stream).cast(Dtype::Uint64);
    let (low, high) = advance(counter, &numbers);
    let ((word0, word1), (word2, word3)) = (split(&low), split(&high));
    let words = block([word0, word1, word2, word3], split(key));
    let columns = if wide {
        vec![join(&words[0], &words[1]).finish()?, join(&words[2], &words[3]).finish()?]
    } else {
        words.into_iter().map(Formula::finish).collect::<mlx::Result<Vec<Array>>>()?
    };
    // The words of one counter follow each other; the last few may be left over.
    let bits = mlx::stack(&columns.iter().collect::<Vec<_>>(), 1, stream)?;
    let bits = mlx::reshape(&bits, &[counters * columns.len() as i32], stream)?;
    let size: i32 = shape.iter().product();
    let bits = if bits.shape() == [size] { bits } else { mlx::slice(&bits, &[0], &[size], &[1], stream)? };
    mlx::reshape(&bits, shape, stream)
}

/// Counters that so many elements take: each gives 128 bits.
pub(super) fn counters(elements: i32, wide: bool) -> i32 {
    if wide { elements / 2 + elements % 2 } else { elements / 4 + i32::from(elements % 4 != 0) }
}

/// A counter of 128 bits, moved on.
pub(super) fn advance((low, high): (&Formula, &Formula), by: &Formula) -> (Formula, Formula) {
    let moved = low + by;
    let carry = moved.less(low).cast(Dtype::Uint64);
    (moved, high + carry)
}

/// Ten rounds.
fn block(mut words: [Formula; 4], mut key: (Formula, Formula)) -> [Formula; 4] {
    const MULTIPLIERS: [i128; 2] = [0xD251_1F53, 0xCD9E_8D57];
    const WEYL: [i128; 2] = [0x9E37_79B9, 0xBB67_AE85];
    let product = |word: &Formula, multiplier: i128| split(&(word.cast(Dtype::Uint64) * multiplier));
    for _ in 0..10 {
        let (low0, high0) = product(&words[0], MULTIPLIERS[0]);
        let (low1, high1) = product(&words[2], MULTIPLIERS[1]);
        words = [(high1 ^ &words[1]) ^ &key.0, low1, (high0 ^ &words[3]) ^ &key.1, low0];
        key = (key.0 + WEYL[0], key.1 + WEYL[1]);
    }
    words
}
