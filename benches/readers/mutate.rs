//! Broken copies of a file: one to five changes, the same for the same seed.

struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        // splitmix64
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound.max(1) as u64) as usize
    }
}

/// A copy of `bytes` with changes.
pub fn mutated(bytes: &[u8], seed: u64) -> Vec<u8> {
    let mut random = Random(seed);
    let mut bytes = bytes.to_vec();
    for _ in 0..1 + random.below(5) {
        if bytes.is_empty() {
            break;
        }
        let at = random.below(bytes.len());
        match random.below(8) {
            0 => bytes[at] = random.next() as u8,
            1 => bytes[at] ^= 1 << random.below(8),
            2 => {
                let count = 1 + random.below(7);
                bytes.drain(at..bytes.len().min(at + count));
            }
            3 => {
                let new: Vec<u8> = (0..1 + random.below(7)).map(|_| random.next() as u8).collect();
                bytes.splice(at..at, new);
            }
            // Most numbers are one byte with a flag in its low bit: this changes one and keeps its width.
            _ => bytes[at] = bytes[at].wrapping_add_signed(2 * (random.below(9) as i8 - 4)),
        }
    }
    bytes
}
