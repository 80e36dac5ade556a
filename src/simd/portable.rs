//! The definition of every kernel, in safe scalar code that the compiler vectorises where it can.

use super::{Kernels, Key, Recipe, Span, Word};
use crate::sample::Coin;

/// Needs nothing of the CPU.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Portable;

impl Kernels for Portable {
    #[inline(always)]
    fn keys<W: Word>(self, bits: &[W], recipe: Recipe<W::Key>, keys: &mut [W::Key]) -> bool {
        let mut any_nan = false;
        for (key, &word) in keys.iter_mut().zip(bits) {
            *key = recipe.key(word);
            any_nan |= word.magnitude() > recipe.limit;
        }
        any_nan
    }

    #[inline(always)]
    fn at_least<K: Key>(self, keys: &[K], threshold: K, words: &mut [u64]) {
        for (word, block) in words.iter_mut().zip(keys.chunks(64)) {
            *word = gather(block, |key| key >= threshold);
        }
    }

    #[inline(always)]
    fn classify<W: Word>(
        self,
        bits: &[W],
        recipe: Recipe<W::Key>,
        thresholds: [W::Key; 3],
        words: [&mut [u64]; 3],
    ) -> bool {
        let [high, middle, low] = words;
        let mut keys = [W::Key::MIN; 64];
        let mut any_nan = false;
        for (((block, high), middle), low) in bits.chunks(64).zip(high).zip(middle).zip(low) {
            let keys = &mut keys[..block.len()];
            any_nan |= self.keys(block, recipe, keys);
            [*high, *middle, *low] = thresholds.map(|threshold| gather(keys, |key| key >= threshold));
        }
        any_nan
    }

    #[inline(always)]
    fn between(self, high: &[u64], low: &[u64], start: u16, found: &mut [u16], len: &mut usize) -> u64 {
        let mut count = 0;
        for (number, (high, low)) in high.iter().zip(low).enumerate() {
            count += u64::from(high.count_ones());
            let first = start + number as u16 * 64;
            let mut between = low & !high;
            // Few words hold more than two: the first two are written without asking, so that whether they are
            // there is no branch to predict.
            for _ in 0..2 {
                found[*len] = first.wrapping_add(between.trailing_zeros() as u16);
                *len += usize::from(between != 0);
                between &= between.wrapping_sub(1);
            }
            while between != 0 {
                found[*len] = first + between.trailing_zeros() as u16;
                *len += 1;
                between &= between - 1;
            }
        }
        count
    }

    #[inline(always)]
    fn count_equal<K: Key>(self, keys: &[K], key: K) -> usize {
        let next = K::saturate(key.to_i64() + 1);
        let [above, reaching, _] = K::count_at_least(keys, [next, key, key]);
        reaching - above
    }

    #[inline(always)]
    fn narrow<K: Key>(self, keys: &[K], num_kept: usize) -> Span<K> {
        if num_kept == 0 {
            return Span { low: K::MAX, high: K::MAX, num_above: 0 };
        }
        // At least `num_kept` keys reach `low`, fewer reach `high`. Keys in cache are counted again faster than they
        // are moved about: a selection that partitions takes several times as long.
        let (mut low, mut high) = (K::MIN.to_i64() + 1, K::MAX.to_i64());
        let (mut reaching, mut num_above) = (keys.len(), 0);
        let mut next = sampled_thresholds(keys, num_kept);
        // So few are sorted faster than all are counted again.
        let few = (keys.len() / 64).clamp(4, 128);
        while high.wrapping_sub(low) as u64 > 1 && reaching - num_above > few {
            let before = high.wrapping_sub(low) as u64;
            let thresholds = next.map(K::saturate);
            let counts = K::count_at_least(keys, thresholds);
            for (threshold, count) in thresholds.into_iter().zip(counts) {
                if count == num_kept {
                    return Span { low: threshold, high: threshold, num_above: num_kept };
                }
                let threshold = threshold.to_i64();
                if count > num_kept && threshold > low {
                    (low, reaching) = (threshold, count);
                } else if count < num_kept && threshold < high {
                    (high, num_above) = (threshold, count);
                }
            }
            let width = high.wrapping_sub(low) as u64;
            next = if width < before / 4 {
                let (below, between) = ((reaching - num_kept) as f64, (reaching - num_above) as f64);
                interpolated_thresholds(low, width, below, between)
            } else {
                [1, 2, 3].map(|part| low.wrapping_add_unsigned((width / 4).max(1) * part))
            };
            next = next.map(|threshold| threshold.min(high.wrapping_sub(1)));
        }
        Span { low: K::saturate(low), high: K::saturate(high), num_above }
    }

    #[inline(always)]
    fn n_of_m<K: Key>(self, keys: &[K], kept: usize, group: usize, words: &mut [u64]) {
        words.fill(0);
        for (number, keys) in keys.chunks(group).enumerate() {
            for (at, &key) in keys.iter().enumerate() {
                let (before, after) = keys.split_at(at);
                let better = before.iter().filter(|&&other| other >= key).count()
                    + after.iter().filter(|&&other| other > key).count();
                let entry = number * group + at;
                words[entry / 64] |= u64::from(better < kept) << (entry % 64);
            }
        }
    }

    #[inline(always)]
    fn expand(self, words: &[u64], bytes: &mut [u8]) {
        for (&word, bytes) in words.iter().zip(bytes.chunks_mut(64)) {
            for (&eight, bytes) in word.to_le_bytes().iter().zip(bytes.chunks_mut(8)) {
                // Bit i of `eight` to the lowest bit of byte i: spread, select one bit a byte, normalise.
                let spread = (u64::from(eight) * 0x0101_0101_0101_0101) & 0x8040_2010_0804_0201;
                let ones = ((spread + 0x7f7f_7f7f_7f7f_7f7f) >> 7 & 0x0101_0101_0101_0101).to_le_bytes();
                bytes.copy_from_slice(&ones[..bytes.len()]);
            }
        }
    }

    #[inline(always)]
    fn zero<W: Word>(self, words: &[u64], bits: &mut [W]) {
        for (&word, block) in words.iter().zip(bits.chunks_mut(64)) {
            let pruned = block.iter().enumerate().map(|(at, entry)| entry.zero_unless(word >> at & 1 == 0));
            // Not `any`, whose early ends cost more than 64 looks.
            if pruned.fold(false, |found, entry| found | (entry != W::zeroed())) {
                for (at, entry) in block.iter_mut().enumerate() {
                    *entry = entry.zero_unless(word >> at & 1 == 1);
                }
            }
        }
    }

    #[inline(always)]
    fn bernoulli(self, coin: &Coin, first_group: u64, words: &mut [u64]) {
        coin.fill::<8>(first_group, words);
    }

    #[inline(always)]
    fn fetch_behind<T: bytemuck::Pod>(self, _: &[T]) {}

    #[inline(always)]
    fn vectorized<R>(self, work: impl FnOnce() -> R) -> R {
        work()
    }
}

/// A word of at most 64 answers, the first in the lowest bit.
#[inline(always)]
fn gather<K: Key>(keys: &[K], test: impl Fn(K) -> bool) -> u64 {
    keys.iter().enumerate().fold(0, |word, (at, &key)| word | u64::from(test(key)) << at)
}

/// Three thresholds of which the outer two lie to the sides of the last of the `num_kept` highest keys, more
/// often than not; found among a few keys.
#[inline(always)]
fn sampled_thresholds<K: Key>(keys: &[K], num_kept: usize) -> [i64; 3] {
    let mut sample = [K::MIN; 64];
    let step = keys.len().div_ceil((keys.len() / 16).clamp(8, sample.len()));
    let size = keys.len().div_ceil(step);
    sample.iter_mut().zip(keys.iter().step_by(step)).for_each(|(sample, &key)| *sample = key);
    let sample = &mut sample[..size];
    sample.sort_unstable();
    let place = (keys.len() - num_kept) * size / keys.len();
    let spread = size / 8;
    let at = |place: usize| sample[place.min(size - 1)].to_i64();
    [at(place.saturating_sub(spread)), at(place), at(place + spread)].map(|key| key.max(K::MIN.to_i64() + 1))
}

/// Three thresholds around the place that `below` of `between` keys lie below, if they are spread evenly over
/// `low..low + width`; as far from it as even keys stray at random.
#[inline(always)]
fn interpolated_thresholds(low: i64, width: u64, below: f64, between: f64) -> [i64; 3] {
    let (place, stray) = (below / between, 1.0 / between.sqrt());
    [place - stray, place, place + stray]
        .map(|place| low.wrapping_add_unsigned((place.clamp(0.0, 1.0) * width as f64) as u64).max(low + 1))
}
