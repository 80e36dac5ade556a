//! Budgets of so few entries that their keys stay in cache: rows, and small arrays.

use crate::mask::append_bits;
use crate::simd::{Kernels, Key};

/// Sets the bits of the `num_kept` highest keys of each row of `row_len`, the earlier of equals; `words` is
/// zeroed first.
pub(crate) fn keep_rows<K: Key>(
    kernels: impl Kernels,
    keys: &[K],
    row_len: usize,
    num_kept: usize,
    words: &mut [u64],
) {
    words.fill(0);
    let mut row_words = vec![0; row_len.div_ceil(64)];
    for (number, row) in keys.chunks(row_len).enumerate() {
        keep_row(kernels, row, num_kept, &mut row_words);
        append_bits(words, number * row_len, &row_words);
    }
}

/// Sets the bits of the `num_kept` highest keys; returns the threshold and the boundary that split them off.
pub(crate) fn keep_row<K: Key>(
    kernels: impl Kernels,
    keys: &[K],
    num_kept: usize,
    words: &mut [u64],
) -> (K, usize) {
    let (key, boundary) = kernels.split_at(keys, num_kept);
    kernels.at_least(keys, key, words);
    // Equal keys from the boundary on are not kept.
    for (at, &other) in keys.iter().enumerate().skip(boundary) {
        if other == key {
            words[at / 64] &= !(1 << (at % 64));
        }
    }
    (key, boundary)
}
