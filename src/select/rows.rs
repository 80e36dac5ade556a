//! Budgets of so few entries that their keys stay in cache: rows, and small arrays.

use std::cmp::Reverse;

use crate::mask::append_bits;
use crate::simd::{Kernels, Key};

/// Memory to use again from row to row.
#[derive(Debug, Default)]
pub(crate) struct RowBuffers {
    row: Vec<u64>,
    low: Vec<u64>,
    found: Vec<u16>,
}

/// Sets the bits of the `num_kept` highest keys of each row of `row_len`, the earlier of equals; `words` is
/// zeroed first.
pub(crate) fn keep_rows<K: Key>(
    kernels: impl Kernels,
    keys: &[K],
    row_len: usize,
    num_kept: usize,
    buffers: &mut RowBuffers,
    words: &mut [u64],
) {
    words.fill(0);
    let mut row_words = std::mem::take(&mut buffers.row);
    row_words.resize(row_len.div_ceil(64), 0);
    for (number, row) in keys.chunks(row_len).enumerate() {
        keep_row(kernels, row, num_kept, buffers, &mut row_words);
        append_bits(words, number * row_len, &row_words);
    }
    buffers.row = row_words;
}

/// Sets the bits of the `num_kept` highest keys, at most 2^16 keys in all, the earlier of equals first; returns a
/// threshold and a boundary: kept are the keys above it, and those equal to it before the boundary.
pub(crate) fn keep_row<K: Key>(
    kernels: impl Kernels,
    keys: &[K],
    num_kept: usize,
    buffers: &mut RowBuffers,
    words: &mut [u64],
) -> (K, usize) {
    let span = kernels.narrow(keys, num_kept);
    kernels.at_least(keys, span.high, words);
    let wanted = num_kept - span.num_above;
    if wanted == 0 {
        return (span.high, keys.len());
    }
    let RowBuffers { low, found, .. } = buffers;
    low.resize(words.len(), 0);
    kernels.at_least(keys, span.low, low);
    if span.is_one_key() {
        return (span.low, add_first(words, low, wanted));
    }
    found.resize(keys.len() + 2, 0);
    let mut len = 0;
    kernels.between(words, low, 0, found, &mut len);
    let key = |&at: &u16| keys[usize::from(at)];
    let (kept, &mut last, _) =
        found[..len].select_nth_unstable_by_key(wanted - 1, |at| (Reverse(key(at)), *at));
    for &at in kept.iter().chain([&last]) {
        words[usize::from(at) / 64] |= 1 << (at % 64);
    }
    (key(&last), usize::from(last) + 1)
}

/// Sets the first `wanted` bits of `more` that are not yet set in `words`; returns the index after the last.
fn add_first(words: &mut [u64], more: &[u64], mut wanted: usize) -> usize {
    for (number, (word, more)) in words.iter_mut().zip(more).enumerate() {
        let mut new = more & !*word;
        let count = new.count_ones() as usize;
        if count < wanted {
            *word |= new;
            wanted -= count;
            continue;
        }
        for _ in 1..wanted {
            *word |= new & new.wrapping_neg();
            new &= new - 1;
        }
        *word |= new & new.wrapping_neg();
        return number * 64 + new.trailing_zeros() as usize + 1;
    }
    words.len() * 64
}
