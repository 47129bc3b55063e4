//! Threefry-2x32 with 20 rounds (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", 2011), in XLA's layout.
#![forbid(unsafe_code)]

use super::{join, split};
use crate::lower::formula::Formula;
use crate::mlx::{self, Array, Dtype, Stream};

/// How the two words that each counter gives lie in the result.
pub(super) struct Layout {
    /// Counters needed, row-major.
    pub counters: i32,
    kind: Kind,
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
    pub fn new(shape: &[i32], wide: bool) -> Self {
        if wide {
            return Self { counters: shape.iter().product(), kind: Kind::Joined };
        }
        if shape.is_empty() {
            return Self { counters: 1, kind: Kind::First };
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
        Self { counters, kind: Kind::Interleaved { half, joined: split as i32 + 1, whole } }
    }

    /// Random words from a state of (key, counter), both u64[1], in the shape of the result (and its width, where that
    /// is 32 or 64 bits).
    ///
    /// # Errors
    /// What MLX refuses.
    pub fn bits(&self, key: &Formula, counter: &Formula, shape: &[i32], stream: Stream) -> mlx::Result<Array> {
        let numbers = Formula::new(mlx::arange(self.counters, Dtype::Uint32, stream), stream).cast(Dtype::Uint64);
        let (first, second) = block(split(&(numbers + counter)), split(key));
        match &self.kind {
            Kind::Joined => mlx::reshape(&join(&first, &second).finish()?, shape, stream),
            Kind::First => mlx::reshape(&first.finish()?, shape, stream),
            Kind::Interleaved { half, joined, whole } => {
                let first = mlx::reshape(&first.finish()?, half, stream)?;
                let second = mlx::reshape(&second.finish()?, half, stream)?;
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

/// Twenty rounds.
pub(super) fn block((first, second): (Formula, Formula), key: (Formula, Formula)) -> (Formula, Formula) {
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
