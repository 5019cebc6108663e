//! Chance: everything random in a run follows from its seed.

/// A splitmix64 generator (Steele, Lea, Flood 2014).
#[derive(Debug, Clone)]
pub struct Chance(u64);

impl Chance {
    /// The generator of a seed. `purpose` keeps streams apart that share a seed, so that drawing more from one does not
    /// move the others.
    #[must_use]
    pub fn new(seed: u64, purpose: u64) -> Self {
        let mut chance = Self(seed ^ purpose.wrapping_mul(0xd6e8_feb8_6659_fd93));
        chance.word();
        chance
    }

    /// The next 64 bits.
    pub fn word(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^ (word >> 31)
    }

    /// A number below `end`; 0 if `end` is 0.
    pub fn below(&mut self, end: u64) -> u64 {
        if end == 0 { 0 } else { self.word() % end }
    }

    /// A number of the range, its end included.
    pub fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.below(high.saturating_sub(low) + 1)
    }

    /// True so many times in ten thousand.
    pub fn hits(&mut self, per_ten_thousand: u64) -> bool {
        self.below(10_000) < per_ten_thousand
    }

    /// One of the items.
    pub fn pick<'a, T>(&mut self, items: &'a [T]) -> Option<&'a T> {
        let place = usize::try_from(self.below(items.len() as u64)).unwrap_or(0);
        items.get(place)
    }

    /// Random bytes.
    pub fn bytes<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        for chunk in bytes.chunks_mut(8) {
            for (slot, byte) in chunk.iter_mut().zip(self.word().to_le_bytes()) {
                *slot = byte;
            }
        }
        bytes
    }

    /// How long until the next of something that happens once in `mean` on average: up to twice that, evenly.
    pub fn wait(&mut self, mean: u64) -> u64 {
        self.between(1, mean.saturating_mul(2).max(1))
    }
}
