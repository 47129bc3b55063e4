//! Threefry-2x32 with 20 rounds (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", 2011), in XLA's layout.
#![forbid(unsafe_code)]

use crate::expression::{Expression, Scalar, Target, random};
use crate::lower::expression::Elementwise;
use crate::mlx::{self, Array, Dtype, Stream};

/// How the two words that each counter gives lie in the result.
pub(super) struct Layout {
    /// Counters needed, row-major.
    pub counters: i32,
    kind: Kind,
    /// (numbers, counter, key) to the words.
    words: Elementwise,
}

enum Kind {
    /// Both words of one counter make one element of 64 bits.
    Joined,
    /// First words only: the result is a scalar.
    First,
    /// The words interleave along one dimension, of which the last may be left over.
    Interleaved {
        /// Counters' shape with a last 1, where the two words join.
        half: Vec<i32>,
        joined: i32,
        /// The dimension rounded up to an even size.
        whole: Vec<i32>,
    },
}

impl Layout {
    /// For a result of this shape, of elements of 64 bits or of 32 and fewer.
    ///
    /// # Errors
    /// When memory is short.
    pub fn new(shape: &[i32], wide: bool, target: &Target) -> mlx::Result<Self> {
        let arguments = [Scalar::U32, Scalar::U64, Scalar::U64];
        let words = Expression::define(target, &arguments, |terms| {
            random::threefry_bits(&terms[0], &terms[1], &terms[2], wide)
        });
        let words = Elementwise::new(&words)?;
        if wide {
            return Ok(Self { counters: shape.iter().product(), kind: Kind::Joined, words });
        }
        if shape.is_empty() {
            return Ok(Self { counters: 1, kind: Kind::First, words });
        }
        // XLA cuts the first dimension of even size in halves, or else the first of the greatest size.
        let split = shape.iter().position(|size| size % 2 == 0).unwrap_or_else(|| {
            let greatest = *shape.iter().max().expect("not empty");
            shape.iter().position(|&size| size == greatest).expect("it is one of them")
        });
        let mut half = shape.to_vec();
        half[split] = (half[split] + 1) / 2;
        let counters = half.iter().product();
        let mut whole = shape.to_vec();
        whole[split] = half[split] * 2;
        half.insert(split + 1, 1);
        Ok(Self { counters, kind: Kind::Interleaved { half, joined: split as i32 + 1, whole }, words })
    }

    /// Random words from a state of (key, counter), both u64[1], in the shape of the result (and its width, where that
    /// is 32 or 64 bits).
    ///
    /// # Errors
    /// What MLX refuses.
    pub fn bits(&self, key: &Array, counter: &Array, shape: &[i32], stream: Stream) -> mlx::Result<Array> {
        let numbers = mlx::arange(self.counters, Dtype::Uint32, stream)?;
        let words = self.words.run(&[&numbers, counter, key], stream)?;
        match &self.kind {
            Kind::Joined | Kind::First => mlx::reshape(&words[0], shape, stream),
            Kind::Interleaved { half, joined, whole } => {
                let first = mlx::reshape(&words[0], half, stream)?;
                let second = mlx::reshape(&words[1], half, stream)?;
                let bits = mlx::concatenate(&[&first, &second], *joined, stream)?;
                let bits = mlx::reshape(&bits, whole, stream)?;
                if whole == shape {
                    return Ok(bits);
                }
                mlx::slice(&bits, &vec![0; shape.len()], shape, &vec![1; shape.len()], stream)
            }
        }
    }
}
