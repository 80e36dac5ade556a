//! AVX-512 (F, BW, VL), where comparisons give bits at once.
//!
//! What is not here forwards to AVX2.
#![expect(unsafe_code, reason = "calls from a detected level, and vector loads and stores")]

use std::arch::x86_64::{
    __m512i, _MM_HINT_T0, _mm_prefetch, _mm512_and_si512, _mm512_cmpge_epi16_mask, _mm512_cmpge_epi32_mask,
    _mm512_cmpge_epi64_mask, _mm512_cmpgt_epi16_mask, _mm512_cmpgt_epi32_mask, _mm512_cmpneq_epi64_mask,
    _mm512_loadu_si512, _mm512_mask_mov_epi16, _mm512_mask_mov_epi32, _mm512_maskz_mov_epi8,
    _mm512_maskz_mov_epi16, _mm512_maskz_mov_epi32, _mm512_maskz_mov_epi64, _mm512_maskz_set1_epi8,
    _mm512_set1_epi16, _mm512_set1_epi32, _mm512_set1_epi64, _mm512_srai_epi16, _mm512_srai_epi32,
    _mm512_storeu_si512, _mm512_sub_epi16, _mm512_sub_epi32, _mm512_xor_si512,
};

use bytemuck::Pod;

use super::avx2::Avx2;
use super::portable::Portable;
use super::{Kernels, Key, Recipe, Span, Word, split_words};
use crate::sample::Coin;

/// Proof that this CPU has AVX-512 F, BW and VL, and what [`Avx2`] proves.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Avx512(Avx2);

impl Avx512 {
    pub(super) fn detect() -> Option<Self> {
        let all = is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512vl");
        Avx2::detect().filter(|_| all).map(Self)
    }
}

impl Kernels for Avx512 {
    fn keys<W: Word>(self, bits: &[W], recipe: Recipe<W::Key>, keys: &mut [W::Key]) -> bool {
        self.0.keys(bits, recipe, keys)
    }

    fn at_least<K: Key>(self, keys: &[K], threshold: K, words: &mut [u64]) {
        #[target_feature(enable = "avx512f,avx512bw,avx512vl,popcnt,bmi1,bmi2,lzcnt")]
        fn kernel<K: Key>(keys: &[K], threshold: K, words: &mut [u64]) {
            let (blocks, tail) = keys.as_chunks();
            let (bulk, rest) = words.split_at_mut(blocks.len());
            for (word, block) in bulk.iter_mut().zip(blocks) {
                [*word] = at_least_64(block, [threshold]);
            }
            Portable.at_least(tail, threshold, rest);
        }
        // SAFETY: an `Avx512` is only made by `detect`, so this CPU has these features.
        unsafe { kernel(keys, threshold, words) }
    }

    fn classify<W: Word>(
        self,
        bits: &[W],
        recipe: Recipe<W::Key>,
        thresholds: [W::Key; 3],
        words: [&mut [u64]; 3],
    ) -> bool {
        #[target_feature(enable = "avx512f,avx512bw,avx512vl,popcnt,bmi1,bmi2,lzcnt")]
        fn kernel<W: Word>(
            bits: &[W],
            recipe: Recipe<W::Key>,
            thresholds: [W::Key; 3],
            words: [&mut [u64]; 3],
        ) -> bool {
            let (blocks, tail) = bits.as_chunks::<64>();
            let ([high, middle, low], rest) = split_words(words, blocks.len());
            let mut any_nan = Portable.classify(tail, recipe, thresholds, rest);
            let mut keys = [W::Key::MIN; 64];
            let mut nans = 0;
            for (((block, high), middle), low) in blocks.iter().zip(high).zip(middle).zip(low) {
                prefetch(block);
                let (three, nan) = match size_of::<W>() {
                    2 => classify_16(bytemuck::cast_slice(block), recipe, thresholds),
                    4 => classify_32(bytemuck::cast_slice(block), recipe, thresholds),
                    _ => {
                        let nan = Portable.keys(block, recipe, &mut keys);
                        (at_least_64(&keys, thresholds), u64::from(nan))
                    }
                };
                [*high, *middle, *low] = three;
                nans |= nan;
            }
            any_nan |= nans != 0;
            any_nan
        }
        // SAFETY: an `Avx512` is only made by `detect`, so this CPU has these features.
        unsafe { kernel(bits, recipe, thresholds, words) }
    }

    fn between(self, high: &[u64], low: &[u64], start: u16, found: &mut [u16], len: &mut usize) -> u64 {
        self.0.between(high, low, start, found, len)
    }

    fn count_equal<K: Key>(self, keys: &[K], key: K) -> usize {
        #[target_feature(enable = "avx512f,avx512bw,avx512vl,popcnt,bmi1,bmi2,lzcnt")]
        fn kernel<K: Key>(keys: &[K], key: K) -> usize {
            Portable.count_equal(keys, key)
        }
        // SAFETY: an `Avx512` is only made by `detect`, so this CPU has these features.
        unsafe { kernel(keys, key) }
    }

    fn narrow<K: Key>(self, keys: &[K], num_kept: usize) -> Span<K> {
        #[target_feature(enable = "avx512f,avx512bw,avx512vl,popcnt,bmi1,bmi2,lzcnt")]
        fn kernel<K: Key>(keys: &[K], num_kept: usize) -> Span<K> {
            Portable.narrow(keys, num_kept)
        }
        // SAFETY: an `Avx512` is only made by `detect`, so this CPU has these features.
        unsafe { kernel(keys, num_kept) }
    }

    fn n_of_m<K: Key>(self, keys: &[K], kept: usize, group: usize, words: &mut [u64]) {
        self.0.n_of_m(keys, kept, group, words);
    }

    fn expand(self, words: &[u64], bytes: &mut [u8]) {
        #[target_feature(enable = "avx512f,avx512bw,avx512vl,popcnt,bmi1,bmi2,lzcnt")]
        fn kernel(words: &[u64], bytes: &mut [u8]) {
            let (blocks, tail) = bytes.as_chunks_mut();
            let (bulk, rest) = words.split_at(blocks.len());
            for (&word, block) in bulk.iter().zip(blocks) {
                store(_mm512_maskz_set1_epi8(word, 1), block);
            }
            Portable.expand(rest, tail);
        }
        // SAFETY: an `Avx512` is only made by `detect`, so this CPU has these features.
        unsafe { kernel(words, bytes) }
    }

    fn zero<W: Word>(self, words: &[u64], bits: &mut [W]) {
        #[target_feature(enable = "avx512f,avx512bw,avx512vl,popcnt,bmi1,bmi2,lzcnt")]
        fn kernel<W: Word>(words: &[u64], bits: &mut [W]) {
            let (blocks, tail) = bits.as_chunks_mut::<64>();
            let (bulk, rest) = words.split_at(blocks.len());
            for (&word, block) in bulk.iter().zip(blocks) {
                let lanes = 64 / size_of::<W>();
                for (part, block) in
                    bytemuck::cast_slice_mut(block).as_chunks_mut::<64>().0.iter_mut().enumerate()
                {
                    let (kept, vector) = (word >> (part * lanes), load(block));
                    let zeroed = match size_of::<W>() {
                        1 => _mm512_maskz_mov_epi8(kept, vector),
                        2 => _mm512_maskz_mov_epi16(kept as u32, vector),
                        4 => _mm512_maskz_mov_epi32(kept as u16, vector),
                        _ => _mm512_maskz_mov_epi64(kept as u8, vector),
                    };
                    if _mm512_cmpneq_epi64_mask(zeroed, vector) != 0 {
                        store(zeroed, block);
                    }
                }
            }
            Portable.zero(rest, tail);
        }
        // SAFETY: an `Avx512` is only made by `detect`, so this CPU has these features.
        unsafe { kernel(words, bits) }
    }

    fn bernoulli(self, coin: &Coin, first_group: u64, words: &mut [u64]) {
        #[target_feature(enable = "avx512f,avx512bw,avx512vl,popcnt,bmi1,bmi2,lzcnt")]
        fn kernel(coin: &Coin, first_group: u64, words: &mut [u64]) {
            coin.fill::<16>(first_group, words);
        }
        // SAFETY: an `Avx512` is only made by `detect`, so this CPU has these features.
        unsafe { kernel(coin, first_group, words) }
    }

    #[inline(always)]
    fn fetch_behind<T: Pod>(self, entries: &[T]) {
        self.0.fetch_behind(entries);
    }

    fn vectorized<R>(self, work: impl FnOnce() -> R) -> R {
        #[target_feature(enable = "avx512f,avx512bw,avx512vl,popcnt,bmi1,bmi2,lzcnt")]
        fn kernel<R>(work: impl FnOnce() -> R) -> R {
            work()
        }
        // SAFETY: an `Avx512` is only made by `detect`, so this CPU has these features.
        unsafe { kernel(work) }
    }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn load(block: &[u8; 64]) -> __m512i {
    // SAFETY: `block` is readable for 64 bytes, and this load needs no alignment.
    unsafe { _mm512_loadu_si512(block.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn store(vector: __m512i, block: &mut [u8; 64]) {
    // SAFETY: `block` is writable for 64 bytes, and this store needs no alignment.
    unsafe { _mm512_storeu_si512(block.as_mut_ptr().cast(), vector) }
}

/// How far ahead of the block at hand the next ones are fetched, in bytes. The hardware's own prefetching stalls
/// while a block's bits are written out; on one thread this saves 6 % of a selection, 1 to 8 KiB alike.
const AHEAD: usize = 2048;

#[inline]
#[target_feature(enable = "avx512f")]
fn prefetch<W: Word>(block: &[W; 64]) {
    let ahead = block.as_ptr().cast::<i8>().wrapping_add(AHEAD);
    for line in 0..size_of::<W>() {
        _mm_prefetch::<_MM_HINT_T0>(ahead.wrapping_add(64 * line));
    }
}

/// The bits at or above each threshold, and the bits that are NaN, of 64 entries of 32 bits.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn classify_32<K: Key>(block: &[u32], recipe: Recipe<K>, thresholds: [K; 3]) -> ([u64; 3], u64) {
    let narrow = |key: K| _mm512_set1_epi32(key.to_i64() as i32);
    let (limit, nan_key) = (narrow(recipe.limit), narrow(recipe.nan));
    let thresholds = thresholds.map(narrow);
    let (mut words, mut nans) = ([0; 3], 0);
    for (part, vector) in bytemuck::cast_slice::<u32, u8>(block).as_chunks::<64>().0.iter().enumerate() {
        let vector = load(vector);
        let magnitude = _mm512_and_si512(vector, _mm512_set1_epi32(i32::MAX));
        let nan = _mm512_cmpgt_epi32_mask(magnitude, limit);
        let key = if recipe.signed {
            let sign = _mm512_srai_epi32::<31>(vector);
            _mm512_sub_epi32(_mm512_xor_si512(magnitude, sign), sign)
        } else {
            magnitude
        };
        let key = _mm512_mask_mov_epi32(key, nan, nan_key);
        for (word, threshold) in words.iter_mut().zip(thresholds) {
            *word |= u64::from(_mm512_cmpge_epi32_mask(key, threshold)) << (16 * part);
        }
        nans |= u64::from(nan);
    }
    (words, nans)
}

/// The same of 64 entries of 16 bits.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn classify_16<K: Key>(block: &[u16], recipe: Recipe<K>, thresholds: [K; 3]) -> ([u64; 3], u64) {
    let narrow = |key: K| _mm512_set1_epi16(key.to_i64() as i16);
    let (limit, nan_key) = (narrow(recipe.limit), narrow(recipe.nan));
    let thresholds = thresholds.map(narrow);
    let (mut words, mut nans) = ([0; 3], 0);
    for (part, vector) in bytemuck::cast_slice::<u16, u8>(block).as_chunks::<64>().0.iter().enumerate() {
        let vector = load(vector);
        let magnitude = _mm512_and_si512(vector, _mm512_set1_epi16(i16::MAX));
        let nan = _mm512_cmpgt_epi16_mask(magnitude, limit);
        let key = if recipe.signed {
            let sign = _mm512_srai_epi16::<15>(vector);
            _mm512_sub_epi16(_mm512_xor_si512(magnitude, sign), sign)
        } else {
            magnitude
        };
        let key = _mm512_mask_mov_epi16(key, nan, nan_key);
        for (word, threshold) in words.iter_mut().zip(thresholds) {
            *word |= u64::from(_mm512_cmpge_epi16_mask(key, threshold)) << (32 * part);
        }
        nans |= u64::from(nan);
    }
    (words, nans)
}

/// For each threshold, bit i: `keys[i] >= threshold`.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn at_least_64<K: Key, const N: usize>(keys: &[K; 64], thresholds: [K; N]) -> [u64; N] {
    let vectors = bytemuck::cast_slice::<K, u8>(keys).as_chunks::<64>().0;
    thresholds.map(|threshold| {
        let threshold = threshold.to_i64();
        let mut word = 0;
        for (part, vector) in vectors.iter().enumerate() {
            let vector = load(vector);
            word |= match size_of::<K>() {
                2 => {
                    u64::from(_mm512_cmpge_epi16_mask(vector, _mm512_set1_epi16(threshold as i16)))
                        << (32 * part)
                }
                4 => {
                    u64::from(_mm512_cmpge_epi32_mask(vector, _mm512_set1_epi32(threshold as i32)))
                        << (16 * part)
                }
                _ => u64::from(_mm512_cmpge_epi64_mask(vector, _mm512_set1_epi64(threshold))) << (8 * part),
            };
        }
        word
    })
}
