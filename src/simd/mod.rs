//! The kernels: what each computes, and which instruction set runs it.
//!
//! A level is a token that only its own file can make, so that holding one proves that the CPU has the
//! instructions. `portable` is the definition; every other level gives the same bits.

use std::sync::OnceLock;

use bytemuck::Pod;

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
pub(crate) mod portable;

/// Name of the environment variable that caps the level.
const CAP: &str = "RUSTPRUNE_SIMD";

/// The raw bits of one entry.
pub(crate) trait Word: Pod + PartialEq + Send + Sync {
    /// The integer that orders entries of this width.
    type Key: Key;

    /// The bits without the sign.
    fn magnitude(self) -> Self::Key;

    /// Whether the sign bit is set.
    fn is_negative(self) -> bool;

    /// The bits where `keep`, zero elsewhere.
    fn zero_unless(self, keep: bool) -> Self;
}

/// A signed integer that orders entries. Its least value is below every score, its largest above.
pub(crate) trait Key: Pod + Ord + Send + Sync + std::ops::Neg<Output = Self> {
    /// Below every score: no candidate.
    const MIN: Self;
    /// Above every score: the threshold that nothing reaches.
    const MAX: Self;

    /// The same integer.
    fn to_i64(self) -> i64;

    /// The nearest integer of this width.
    fn saturate(value: i64) -> Self;

    /// For each threshold, how many keys are at or above it.
    fn count_at_least(keys: &[Self], thresholds: [Self; 3]) -> [usize; 3];
}

macro_rules! key {
    ($key:ty) => {
        impl Key for $key {
            const MIN: Self = Self::MIN;
            const MAX: Self = Self::MAX;

            #[inline(always)]
            fn to_i64(self) -> i64 {
                i64::from(self)
            }

            fn saturate(value: i64) -> Self {
                Self::try_from(value).unwrap_or(if value < 0 { Self::MIN } else { Self::MAX })
            }

            #[inline(always)]
            fn count_at_least(keys: &[Self], thresholds: [Self; 3]) -> [usize; 3] {
                let [high, middle, low] = thresholds;
                let mut total = [0; 3];
                // Counts of the keys' own width fill a register's lanes; a chunk's count fits any width.
                for keys in keys.chunks(1 << 12) {
                    let (mut highs, mut middles, mut lows): (Self, Self, Self) = (0, 0, 0);
                    for &key in keys {
                        highs += Self::from(key >= high);
                        middles += Self::from(key >= middle);
                        lows += Self::from(key >= low);
                    }
                    total =
                        [total[0] + highs as usize, total[1] + middles as usize, total[2] + lows as usize];
                }
                total
            }
        }
    };
}
key!(i16);
key!(i32);
key!(i64);

macro_rules! word {
    ($word:ty, $key:ty) => {
        impl Word for $word {
            type Key = $key;

            #[inline(always)]
            fn magnitude(self) -> $key {
                <$key>::from((self & (<$word>::MAX >> 1)).cast_signed())
            }

            #[inline(always)]
            fn is_negative(self) -> bool {
                self.cast_signed() < 0
            }

            #[inline(always)]
            fn zero_unless(self, keep: bool) -> Self {
                if keep { self } else { 0 }
            }
        }
    };
}
word!(u8, i16);
word!(u16, i16);
word!(u32, i32);
word!(u64, i64);

/// How bits become keys.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Recipe<K> {
    /// Whether negative values rank below positive ones, rather than by magnitude.
    pub signed: bool,
    /// The largest magnitude that is not NaN.
    pub limit: K,
    /// The key of a NaN.
    pub nan: K,
}

impl<K: Key> Recipe<K> {
    /// The key of one entry.
    #[inline(always)]
    pub fn key<W: Word<Key = K>>(self, word: W) -> K {
        let magnitude = word.magnitude();
        let value = if self.signed && word.is_negative() { -magnitude } else { magnitude };
        if magnitude > self.limit { self.nan } else { value }
    }
}

/// At least as many keys as are wanted reach `low`, and `num_above` of them, not more than are wanted, reach
/// `high`. The keys between are none, if that is how many are wanted, or all equal, or few.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Span<K> {
    pub low: K,
    pub high: K,
    pub num_above: usize,
}

impl<K: Key> Span<K> {
    /// Whether all keys between are equal.
    pub fn is_one_key(&self) -> bool {
        self.high.to_i64().wrapping_sub(self.low.to_i64()) as u64 <= 1
    }
}

/// What every level computes. Slices of bits are 64 entries a word, entry `i` at bit `i % 64` of word
/// `i / 64`; bits past the last entry are zero.
pub(crate) trait Kernels: Copy {
    /// Writes the key of each entry; returns whether any is NaN.
    fn keys<W: Word>(self, bits: &[W], recipe: Recipe<W::Key>, keys: &mut [W::Key]) -> bool;

    /// Sets the bit of each key at or above `threshold`.
    fn at_least<K: Key>(self, keys: &[K], threshold: K, words: &mut [u64]);

    /// Sets the bits of the entries whose keys are at or above each threshold; returns whether any is NaN.
    fn classify<W: Word>(
        self,
        bits: &[W],
        recipe: Recipe<W::Key>,
        thresholds: [W::Key; 3],
        words: [&mut [u64]; 3],
    ) -> bool;

    /// Writes `start` plus the index of each bit that is set in `low` and not in `high` to `found` from `len` on,
    /// which has room for them and two more; returns how many bits are set in `high`.
    fn between(self, high: &[u64], low: &[u64], start: u16, found: &mut [u16], len: &mut usize) -> u64;

    /// How many keys equal `key`, which is not the largest of all integers.
    fn count_equal<K: Key>(self, keys: &[K], key: K) -> usize;

    /// A span around the last of the `num_kept` highest keys. There are at least `num_kept` keys that are not the
    /// least of all integers.
    fn narrow<K: Key>(self, keys: &[K], num_kept: usize) -> Span<K>;

    /// Sets the bits of the `kept` highest keys of every `group` consecutive ones, the earlier of equals.
    fn n_of_m<K: Key>(self, keys: &[K], kept: usize, group: usize, words: &mut [u64]);

    /// Writes a byte per bit, 1 or 0; `bytes` may end inside the last word.
    fn expand(self, words: &[u64], bytes: &mut [u8]);

    /// Zeroes the entries whose bit is 0; `bits` may end inside the last word. Memory in which they are zero
    /// already is not written: that would take as long again as reading it.
    fn zero<W: Word>(self, words: &[u64], bits: &mut [W]);

    /// Fills `words` with bits that are each 1 with probability `odds / 2^planes`, for the 128-bit groups
    /// from `first_group` on.
    fn bernoulli(self, coin: &crate::sample::Coin, first_group: u64, words: &mut [u64]);

    /// Hints that the entries which lie a page behind these will be read soon.
    fn fetch_behind<T: Pod>(self, entries: &[T]);

    /// Runs `work` compiled for this instruction set: for loops that the compiler vectorises, with a fixed order of
    /// every sum, so that all levels give the same bits. What `work` calls must be inlined.
    fn vectorized<R>(self, work: impl FnOnce() -> R) -> R;
}

/// Splits three rows of words at the same place.
fn split_words(words: [&mut [u64]; 3], at: usize) -> ([&mut [u64]; 3], [&mut [u64]; 3]) {
    let [high, middle, low] = words.map(|words| words.split_at_mut(at));
    ([high.0, middle.0, low.0], [high.1, middle.1, low.1])
}

/// The instruction set that the kernels use.
#[derive(Debug, Clone, Copy)]
pub struct Level(Token);

#[derive(Debug, Clone, Copy)]
pub(crate) enum Token {
    Portable(portable::Portable),
    #[cfg(target_arch = "x86_64")]
    Avx2(avx2::Avx2),
    #[cfg(target_arch = "x86_64")]
    Avx512(avx512::Avx512),
}

impl Level {
    /// Every level that this CPU has, the portable one first.
    #[must_use]
    pub fn available() -> Vec<Self> {
        let levels = [
            Some(Token::Portable(portable::Portable)),
            #[cfg(target_arch = "x86_64")]
            avx2::Avx2::detect().map(Token::Avx2),
            #[cfg(target_arch = "x86_64")]
            avx512::Avx512::detect().map(Token::Avx512),
        ];
        levels.into_iter().flatten().map(Self).collect()
    }

    /// The best level of this CPU, capped by the environment variable `RUSTPRUNE_SIMD` (the name of a
    /// level); read once per process. An unknown name caps nothing.
    #[must_use]
    pub fn current() -> Self {
        static LEVEL: OnceLock<Level> = OnceLock::new();
        *LEVEL.get_or_init(|| {
            let mut levels = Self::available();
            let cap = std::env::var(CAP).ok();
            if let Some(at) = levels.iter().position(|level| Some(level.name()) == cap.as_deref()) {
                levels.truncate(at + 1);
            }
            levels[levels.len() - 1]
        })
    }

    /// Its name: `portable`, `avx2` or `avx512`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self.0 {
            Token::Portable(_) => "portable",
            #[cfg(target_arch = "x86_64")]
            Token::Avx2(_) => "avx2",
            #[cfg(target_arch = "x86_64")]
            Token::Avx512(_) => "avx512",
        }
    }

    pub(crate) fn token(self) -> Token {
        self.0
    }
}

/// Runs the same expression with the kernels of whichever level it is.
macro_rules! with_kernels {
    ($level:expr, $kernels:ident => $body:expr) => {
        match $level.token() {
            $crate::simd::Token::Portable($kernels) => $body,
            #[cfg(target_arch = "x86_64")]
            $crate::simd::Token::Avx2($kernels) => $body,
            #[cfg(target_arch = "x86_64")]
            $crate::simd::Token::Avx512($kernels) => $body,
        }
    };
}
pub(crate) use with_kernels;

#[cfg(test)]
mod tests;
