//! Numbers that look random and follow from a seed (SplitMix64).

use std::time::Duration;

/// The one source of chance in a simulation.
#[derive(Debug)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Random(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number from 0 up to `end`, without it.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    /// True in so many cases out of a hundred.
    pub(crate) fn percent(&mut self, chance: u64) -> bool {
        self.below(100) < chance
    }

    pub(crate) fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        let index = self.below(from.len() as u64);
        &from[index as usize]
    }

    /// A time up to `longest`.
    pub(crate) fn up_to(&mut self, longest: Duration) -> Duration {
        Duration::from_micros(self.below(longest.as_micros() as u64 + 1))
    }

    /// How long a call takes: mostly nothing to speak of, sometimes long, rarely longer than anybody waits for it.
    pub(crate) fn delay(&mut self) -> Duration {
        match self.below(100) {
            0..60 => Duration::ZERO,
            60..88 => self.up_to(Duration::from_millis(100)),
            88..96 => self.up_to(Duration::from_secs(8)),
            _ => Duration::from_secs(8) + self.up_to(Duration::from_secs(90)),
        }
    }
}
