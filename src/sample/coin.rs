//! Independent bits of one probability, 128 at a time.

use super::philox::philox_many;
use super::{Purpose, Stream, halves};
use crate::simd::{Kernels, Level, with_kernels};

/// Bits of one counter.
const GROUP: usize = 128;

/// A coin that falls on 1 (kept) with probability `odds / 2^planes`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Coin {
    stream: Stream,
    odds: u64,
    planes: u32,
}

impl Coin {
    /// Planes for a coin whose probability is not rounded to a count.
    const FINE: u32 = 32;

    /// The coin for `kept` of `len` entries: so many planes that rounding moves the expected count by less
    /// than its standard deviation.
    pub fn for_count(stream: Stream, kept: u64, len: u64) -> Self {
        let bits = u64::BITS - len.saturating_sub(1).leading_zeros();
        let planes = bits.div_ceil(2) + 1;
        let odds =
            if len == 0 { 0 } else { ((u128::from(kept) << planes) + u128::from(len / 2)) / u128::from(len) };
        Self { stream, odds: odds as u64, planes }
    }

    /// The coin of that probability of 1, rounded to a multiple of 2^-32.
    pub fn for_density(stream: Stream, density: f64) -> Self {
        let odds = (density * (1_u64 << Self::FINE) as f64).round_ties_even() as u64;
        Self { stream, odds, planes: Self::FINE }
    }

    /// The same coin with another stream.
    pub fn with_stream(self, stream: Stream) -> Self {
        Self { stream, ..self }
    }

    /// Sets `words` to the bits `start..start + len`; bits past the last are zero.
    pub fn bits(&self, level: Level, start: usize, len: usize, words: &mut Vec<u64>) {
        let skipped = start % GROUP;
        words.clear();
        words.resize((skipped + len).div_ceil(64), 0);
        with_kernels!(level, kernels => kernels.bernoulli(self, (start / GROUP) as u64, words));
        if skipped > 0 {
            let (whole, shift) = (skipped / 64, skipped % 64);
            for at in 0..len.div_ceil(64) {
                let low = words[at + whole] >> shift;
                let high = words.get(at + whole + 1).map_or(0, |next| (next << 1) << (63 - shift));
                words[at] = low | high;
            }
            words.truncate(len.div_ceil(64));
        }
        crate::mask::clear_tail(words, len);
    }

    /// The definition of the coin flips, `N` counters at a time.
    #[inline(always)]
    pub fn fill<const N: usize>(&self, first_group: u64, words: &mut [u64]) {
        if self.odds == 0 || self.odds >> self.planes != 0 {
            words.fill(if self.odds == 0 { 0 } else { u64::MAX });
            return;
        }
        // A plane below the lowest set bit of the odds would be masked out again.
        let lowest = self.odds.trailing_zeros();
        for (batch, words) in words.chunks_mut(2 * N).enumerate() {
            let first = first_group + (batch * N) as u64;
            let groups: [[u32; 2]; N] = std::array::from_fn(|lane| halves(first + lane as u64));
            let (low, high) = (groups.map(|[low, _]| low), groups.map(|[_, high]| high));
            let mut bits = [[0; N]; 4];
            for plane in lowest..self.planes {
                let counters = [low, high, [plane; N], [Purpose::Coin as u32; N]];
                let random = philox_many(counters, self.stream.0);
                let set = self.odds >> plane & 1 == 1;
                for (bits, random) in bits.iter_mut().flatten().zip(random.iter().flatten()) {
                    *bits = if set { *bits | random } else { *bits & random };
                }
            }
            for (at, word) in words.iter_mut().enumerate() {
                let (lane, half) = (at / 2, at % 2 * 2);
                *word = u64::from(bits[half][lane]) | u64::from(bits[half + 1][lane]) << 32;
            }
        }
    }
}
