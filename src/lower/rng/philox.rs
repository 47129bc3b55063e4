//! Philox-4x32 with 10 rounds (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", 2011), in XLA's layout.
#![forbid(unsafe_code)]

use crate::expression::{Expression, Scalar, Target, random};
use crate::lower::expression::Elementwise;
use crate::mlx::{self, Array, Dtype, Stream};

/// What makes random words.
pub(super) struct Words {
    /// Counters needed: each gives 128 bits.
    pub counters: i32,
    /// (numbers, low and high half of the counter, key) to the words.
    words: Elementwise,
    /// (low and high half of the counter, by how much) to the counter moved on.
    advance: Elementwise,
}

impl Words {
    /// For so many elements of 64 bits, or of 32 and fewer.
    ///
    /// # Errors
    /// When memory is short.
    pub fn new(elements: i32, wide: bool, target: &Target) -> mlx::Result<Self> {
        let arguments = [Scalar::U32, Scalar::U64, Scalar::U64, Scalar::U64];
        let words = Expression::define(target, &arguments, |terms| {
            random::philox_bits(&terms[0], (&terms[1], &terms[2]), &terms[3], wide)
        });
        let advance = Expression::define(target, &[Scalar::U64; 3], |terms| {
            let (low, high) = random::advance((&terms[0], &terms[1]), &terms[2]);
            [low, high]
        });
        let counters = if wide { elements / 2 + elements % 2 } else { elements / 4 + i32::from(elements % 4 != 0) };
        Ok(Self { counters, words: Elementwise::new(&words)?, advance: Elementwise::new(&advance)? })
    }

    /// Random words from a state of (key, counter's low and high half), all u64[1], in the shape of the result (and its
    /// width, where that is 32 or 64 bits).
    ///
    /// # Errors
    /// What MLX refuses.
    pub fn bits(
        &self,
        key: &Array,
        (low, high): (&Array, &Array),
        shape: &[i32],
        stream: Stream,
    ) -> mlx::Result<Array> {
        let numbers = mlx::arange(self.counters, Dtype::Uint32, stream)?;
        let columns = self.words.run(&[&numbers, low, high, key], stream)?;
        // The words of one counter follow each other; the last few may be left over.
        let bits = mlx::stack(&columns.iter().collect::<Vec<_>>(), 1, stream)?;
        let bits = mlx::reshape(&bits, &[self.counters * columns.len() as i32], stream)?;
        let size: i32 = shape.iter().product();
        let bits = if bits.shape() == [size] { bits } else { mlx::slice(&bits, &[0], &[size], &[1], stream)? };
        mlx::reshape(&bits, shape, stream)
    }

    /// A counter of 128 bits, moved on.
    ///
    /// # Errors
    /// What MLX refuses.
    pub fn advance(&self, (low, high): (&Array, &Array), by: &Array, stream: Stream) -> mlx::Result<(Array, Array)> {
        let mut halves = self.advance.run(&[low, high, by], stream)?;
        let (high, low) = (halves.pop(), halves.pop());
        low.zip(high).ok_or_else(|| mlx::Error::new("internal error: a counter of two halves expected"))
    }
}
