//! AVX2.
//!
//! Kernels whose loops are vertical are the portable text compiled again for the instruction set; those that
//! gather comparisons into bits are written with intrinsics.
#![expect(unsafe_code, reason = "calls from a detected level, and vector loads and stores")]

use std::arch::x86_64::{
    __m256i, _MM_HINT_T0, _mm_prefetch, _mm256_add_epi16, _mm256_add_epi32, _mm256_and_si256,
    _mm256_cmpeq_epi8, _mm256_cmpgt_epi16, _mm256_cmpgt_epi32, _mm256_cmpgt_epi64, _mm256_loadu_si256,
    _mm256_movemask_epi8, _mm256_movemask_pd, _mm256_packs_epi16, _mm256_packs_epi32,
    _mm256_permute4x64_epi64, _mm256_permutevar8x32_epi32, _mm256_set1_epi8, _mm256_set1_epi16,
    _mm256_set1_epi32, _mm256_set1_epi64x, _mm256_setr_epi8, _mm256_setr_epi32, _mm256_shuffle_epi8,
    _mm256_shuffle_epi32, _mm256_storeu_si256,
};

use bytemuck::Pod;

use super::portable::Portable;
use super::{Kernels, Key, Recipe, Span, Word, split_words};
use crate::sample::Coin;

/// How far behind entries [`Kernels::fetch_behind`] looks, in bytes.
const BEHIND: usize = 4096;

/// Proof that this CPU has AVX2, POPCNT, BMI1, BMI2 and LZCNT.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Avx2(());

impl Avx2 {
    pub(super) fn detect() -> Option<Self> {
        let all = is_x86_feature_detected!("avx2")
            && is_x86_feature_detected!("popcnt")
            && is_x86_feature_detected!("bmi1")
            && is_x86_feature_detected!("bmi2")
            && is_x86_feature_detected!("lzcnt");
        all.then_some(Self(()))
    }
}

impl Kernels for Avx2 {
    fn keys<W: Word>(self, bits: &[W], recipe: Recipe<W::Key>, keys: &mut [W::Key]) -> bool {
        #[target_feature(enable = "avx2,popcnt,bmi1,bmi2,lzcnt")]
        fn kernel<W: Word>(bits: &[W], recipe: Recipe<W::Key>, keys: &mut [W::Key]) -> bool {
            Portable.keys(bits, recipe, keys)
        }
        // SAFETY: an `Avx2` is only made by `detect`, so this CPU has these features.
        unsafe { kernel(bits, recipe, keys) }
    }

    fn at_least<K: Key>(self, keys: &[K], threshold: K, words: &mut [u64]) {
        #[target_feature(enable = "avx2,popcnt,bmi1,bmi2,lzcnt")]
        fn kernel<K: Key>(keys: &[K], threshold: K, words: &mut [u64]) {
            let (blocks, tail) = keys.as_chunks();
            let (bulk, rest) = words.split_at_mut(blocks.len());
            for (word, block) in bulk.iter_mut().zip(blocks) {
                *word = at_least_64(block, threshold);
            }
            Portable.at_least(tail, threshold, rest);
        }
        // SAFETY: an `Avx2` is only made by `detect`, so this CPU has these features.
        unsafe { kernel(keys, threshold, words) }
    }

    fn classify<W: Word>(
        self,
        bits: &[W],
        recipe: Recipe<W::Key>,
        thresholds: [W::Key; 3],
        words: [&mut [u64]; 3],
    ) -> bool {
        #[target_feature(enable = "avx2,popcnt,bmi1,bmi2,lzcnt")]
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
            for (((block, high), middle), low) in blocks.iter().zip(high).zip(middle).zip(low) {
                any_nan |= Portable.keys(block, recipe, &mut keys);
                *high = at_least_64(&keys, thresholds[0]);
                *middle = at_least_64(&keys, thresholds[1]);
                *low = at_least_64(&keys, thresholds[2]);
            }
            any_nan
        }
        // SAFETY: an `Avx2` is only made by `detect`, so this CPU has these features.
        unsafe { kernel(bits, recipe, thresholds, words) }
    }

    fn between(self, high: &[u64], low: &[u64], start: u16, found: &mut [u16], len: &mut usize) -> u64 {
        #[target_feature(enable = "avx2,popcnt,bmi1,bmi2,lzcnt")]
        fn kernel(high: &[u64], low: &[u64], start: u16, found: &mut [u16], len: &mut usize) -> u64 {
            Portable.between(high, low, start, found, len)
        }
        // SAFETY: an `Avx2` is only made by `detect`, so this CPU has these features.
        unsafe { kernel(high, low, start, found, len) }
    }

    fn count_equal<K: Key>(self, keys: &[K], key: K) -> usize {
        #[target_feature(enable = "avx2,popcnt,bmi1,bmi2,lzcnt")]
        fn kernel<K: Key>(keys: &[K], key: K) -> usize {
            Portable.count_equal(keys, key)
        }
        // SAFETY: an `Avx2` is only made by `detect`, so this CPU has these features.
        unsafe { kernel(keys, key) }
    }

    fn narrow<K: Key>(self, keys: &[K], num_kept: usize) -> Span<K> {
        #[target_feature(enable = "avx2,popcnt,bmi1,bmi2,lzcnt")]
        fn kernel<K: Key>(keys: &[K], num_kept: usize) -> Span<K> {
            Portable.narrow(keys, num_kept)
        }
        // SAFETY: an `Avx2` is only made by `detect`, so this CPU has these features.
        unsafe { kernel(keys, num_kept) }
    }

    fn n_of_m<K: Key>(self, keys: &[K], kept: usize, group: usize, words: &mut [u64]) {
        #[target_feature(enable = "avx2,popcnt,bmi1,bmi2,lzcnt")]
        fn kernel<K: Key>(keys: &[K], kept: usize, group: usize, words: &mut [u64]) {
            if group != 4 || size_of::<K>() == 8 {
                return Portable.n_of_m(keys, kept, group, words);
            }
            let (blocks, tail) = keys.as_chunks();
            let (bulk, rest) = words.split_at_mut(blocks.len());
            for (word, block) in bulk.iter_mut().zip(blocks) {
                *word = n_of_4(block, kept);
            }
            Portable.n_of_m(tail, kept, group, rest);
        }
        // SAFETY: an `Avx2` is only made by `detect`, so this CPU has these features.
        unsafe { kernel(keys, kept, group, words) }
    }

    fn expand(self, words: &[u64], bytes: &mut [u8]) {
        #[target_feature(enable = "avx2,popcnt,bmi1,bmi2,lzcnt")]
        fn kernel(words: &[u64], bytes: &mut [u8]) {
            let (blocks, tail) = bytes.as_chunks_mut();
            let (bulk, rest) = words.split_at(blocks.len());
            for (&word, block) in bulk.iter().zip(blocks) {
                expand_64(word, block);
            }
            Portable.expand(rest, tail);
        }
        // SAFETY: an `Avx2` is only made by `detect`, so this CPU has these features.
        unsafe { kernel(words, bytes) }
    }

    fn zero<W: Word>(self, words: &[u64], bits: &mut [W]) {
        #[target_feature(enable = "avx2,popcnt,bmi1,bmi2,lzcnt")]
        fn kernel<W: Word>(words: &[u64], bits: &mut [W]) {
            Portable.zero(words, bits);
        }
        // SAFETY: an `Avx2` is only made by `detect`, so this CPU has these features.
        unsafe { kernel(words, bits) }
    }

    fn bernoulli(self, coin: &Coin, first_group: u64, words: &mut [u64]) {
        #[target_feature(enable = "avx2,popcnt,bmi1,bmi2,lzcnt")]
        fn kernel(coin: &Coin, first_group: u64, words: &mut [u64]) {
            coin.fill::<8>(first_group, words);
        }
        // SAFETY: an `Avx2` is only made by `detect`, so this CPU has these features.
        unsafe { kernel(coin, first_group, words) }
    }

    fn fetch_behind<T: Pod>(self, entries: &[T]) {
        #[target_feature(enable = "avx2")]
        fn kernel(bytes: &[u8]) {
            for line in bytes.chunks(64) {
                _mm_prefetch::<_MM_HINT_T0>(line.as_ptr().cast::<i8>().wrapping_add(BEHIND));
            }
        }
        // SAFETY: an `Avx2` is only made by `detect`, so this CPU has these features.
        unsafe { kernel(bytemuck::cast_slice(entries)) }
    }

    fn vectorized<R>(self, work: impl FnOnce() -> R) -> R {
        #[target_feature(enable = "avx2,popcnt,bmi1,bmi2,lzcnt")]
        fn kernel<R>(work: impl FnOnce() -> R) -> R {
            work()
        }
        // SAFETY: an `Avx2` is only made by `detect`, so this CPU has these features.
        unsafe { kernel(work) }
    }
}

#[inline]
#[target_feature(enable = "avx2")]
fn load<T: bytemuck::Pod>(block: &[T]) -> __m256i {
    let bytes: &[u8; 32] = bytemuck::from_bytes(bytemuck::cast_slice(block));
    // SAFETY: `bytes` is readable for 32 bytes, and this load needs no alignment.
    unsafe { _mm256_loadu_si256(bytes.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx2")]
fn store(vector: __m256i, block: &mut [u8; 32]) {
    // SAFETY: `block` is writable for 32 bytes, and this store needs no alignment.
    unsafe { _mm256_storeu_si256(block.as_mut_ptr().cast(), vector) }
}

/// Bit i: `keys[i] >= threshold`, as the complement of `threshold > keys[i]`.
#[inline]
#[target_feature(enable = "avx2")]
fn at_least_64<K: Key>(keys: &[K; 64], threshold: K) -> u64 {
    !match size_of::<K>() {
        2 => below_16(bytemuck::cast_slice(keys), threshold.to_i64() as i16),
        4 => below_32(bytemuck::cast_slice(keys), threshold.to_i64() as i32),
        _ => below_64(bytemuck::cast_slice(keys), threshold.to_i64()),
    }
}

#[inline]
#[target_feature(enable = "avx2")]
fn below_16(keys: &[i16], threshold: i16) -> u64 {
    let thresholds = _mm256_set1_epi16(threshold);
    let half = |keys: &[i16]| {
        let low = _mm256_cmpgt_epi16(thresholds, load(&keys[..16]));
        let high = _mm256_cmpgt_epi16(thresholds, load(&keys[16..32]));
        bits_of_16(low, high)
    };
    u64::from(half(&keys[..32])) | u64::from(half(&keys[32..])) << 32
}

/// The 32 answers of two vectors of 16, in order.
#[inline]
#[target_feature(enable = "avx2")]
fn bits_of_16(low: __m256i, high: __m256i) -> u32 {
    let packed = _mm256_permute4x64_epi64::<0b11_01_10_00>(_mm256_packs_epi16(low, high));
    _mm256_movemask_epi8(packed).cast_unsigned()
}

#[inline]
#[target_feature(enable = "avx2")]
fn below_32(keys: &[i32], threshold: i32) -> u64 {
    let thresholds = _mm256_set1_epi32(threshold);
    let half = |keys: &[i32]| {
        let eight = |at: usize| _mm256_cmpgt_epi32(thresholds, load(&keys[at..at + 8]));
        bits_of_32(eight(0), eight(8), eight(16), eight(24))
    };
    u64::from(half(&keys[..32])) | u64::from(half(&keys[32..])) << 32
}

/// The 32 answers of four vectors of 8, in order.
#[inline]
#[target_feature(enable = "avx2")]
fn bits_of_32(a: __m256i, b: __m256i, c: __m256i, d: __m256i) -> u32 {
    let packed = _mm256_packs_epi16(_mm256_packs_epi32(a, b), _mm256_packs_epi32(c, d));
    let order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
    _mm256_movemask_epi8(_mm256_permutevar8x32_epi32(packed, order)).cast_unsigned()
}

#[inline]
#[target_feature(enable = "avx2")]
fn below_64(keys: &[i64], threshold: i64) -> u64 {
    let thresholds = _mm256_set1_epi64x(threshold);
    let mut word = 0;
    for (at, four) in keys.as_chunks::<4>().0.iter().enumerate() {
        let below = _mm256_cmpgt_epi64(thresholds, load(four));
        let bits = _mm256_movemask_pd(std::arch::x86_64::_mm256_castsi256_pd(below));
        word |= u64::from(bits.cast_unsigned()) << (4 * at);
    }
    word
}

/// Rank counting in a register: an entry is kept if fewer than `kept` of its group beat it.
#[inline]
#[target_feature(enable = "avx2")]
fn n_of_4<K: Key>(keys: &[K; 64], kept: usize) -> u64 {
    let half = |half: usize| {
        if size_of::<K>() == 2 {
            let keys: &[i16] = bytemuck::cast_slice(keys);
            let kept = _mm256_set1_epi16(kept as i16);
            let sixteen = |at: usize| _mm256_cmpgt_epi16(kept, beaten_16(load(&keys[at..at + 16])));
            bits_of_16(sixteen(32 * half), sixteen(32 * half + 16))
        } else {
            let keys: &[i32] = bytemuck::cast_slice(keys);
            let kept = _mm256_set1_epi32(kept as i32);
            let eight = |at: usize| {
                let at = 32 * half + at;
                _mm256_cmpgt_epi32(kept, beaten_32(load(&keys[at..at + 8])))
            };
            bits_of_32(eight(0), eight(8), eight(16), eight(24))
        }
    };
    u64::from(half(0)) | u64::from(half(1)) << 32
}

/// For each key of a group of four 32-bit ones, how many of the others beat it.
///
/// The neighbour at rotation r of entry i is entry (i + r) % 4; one that comes before it wins a tie, so it
/// counts with its key raised by one. No key is the largest integer, so nothing overflows.
#[inline]
#[target_feature(enable = "avx2")]
fn beaten_32(keys: __m256i) -> __m256i {
    let one = _mm256_shuffle_epi32::<0b00_11_10_01>(keys);
    let two = _mm256_shuffle_epi32::<0b01_00_11_10>(keys);
    let three = _mm256_shuffle_epi32::<0b10_01_00_11>(keys);
    let one = _mm256_add_epi32(one, _mm256_setr_epi32(0, 0, 0, 1, 0, 0, 0, 1));
    let two = _mm256_add_epi32(two, _mm256_setr_epi32(0, 0, 1, 1, 0, 0, 1, 1));
    let three = _mm256_add_epi32(three, _mm256_setr_epi32(0, 1, 1, 1, 0, 1, 1, 1));
    let zero = _mm256_set1_epi32(0);
    let count = _mm256_add_epi32(_mm256_cmpgt_epi32(one, keys), _mm256_cmpgt_epi32(two, keys));
    let count = _mm256_add_epi32(count, _mm256_cmpgt_epi32(three, keys));
    std::arch::x86_64::_mm256_sub_epi32(zero, count)
}

/// The same for groups of four 16-bit keys.
#[inline]
#[target_feature(enable = "avx2")]
fn beaten_16(keys: __m256i) -> __m256i {
    use std::arch::x86_64::{_mm256_shufflehi_epi16, _mm256_shufflelo_epi16};
    const R1: i32 = 0b00_11_10_01;
    const R2: i32 = 0b01_00_11_10;
    const R3: i32 = 0b10_01_00_11;
    let earlier = |mask: u64| _mm256_set1_epi64x(mask.cast_signed());
    let one = _mm256_shufflehi_epi16::<R1>(_mm256_shufflelo_epi16::<R1>(keys));
    let two = _mm256_shufflehi_epi16::<R2>(_mm256_shufflelo_epi16::<R2>(keys));
    let three = _mm256_shufflehi_epi16::<R3>(_mm256_shufflelo_epi16::<R3>(keys));
    let one = _mm256_add_epi16(one, earlier(0x0001_0000_0000_0000));
    let two = _mm256_add_epi16(two, earlier(0x0001_0001_0000_0000));
    let three = _mm256_add_epi16(three, earlier(0x0001_0001_0001_0000));
    let count = _mm256_add_epi16(_mm256_cmpgt_epi16(one, keys), _mm256_cmpgt_epi16(two, keys));
    let count = _mm256_add_epi16(count, _mm256_cmpgt_epi16(three, keys));
    std::arch::x86_64::_mm256_sub_epi16(_mm256_set1_epi16(0), count)
}

/// Byte i becomes bit i of `word`.
#[inline]
#[target_feature(enable = "avx2")]
fn expand_64(word: u64, bytes: &mut [u8; 64]) {
    let spread = _mm256_setr_epi8(
        0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 2, 2, 2, 3, 3, 3, 3, 3, 3, 3, 3,
    );
    let select = _mm256_set1_epi64x(0x8040_2010_0804_0201_u64.cast_signed());
    let half = |word: u32| {
        let bytes = _mm256_shuffle_epi8(_mm256_set1_epi32(word.cast_signed()), spread);
        let set = _mm256_cmpeq_epi8(_mm256_and_si256(bytes, select), select);
        _mm256_and_si256(set, _mm256_set1_epi8(1))
    };
    let (halves, _) = bytes.as_chunks_mut::<32>();
    store(half(word as u32), &mut halves[0]);
    store(half((word >> 32) as u32), &mut halves[1]);
}
