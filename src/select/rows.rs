//! Rows that each have a budget of their own, with their keys in cache.

use crate::mask::append_bits;
use crate::simd::{Kernels, Key};

/// Sets the bits of the `num_kept` highest keys of each row of `row_len`, the earlier of equals; `words` is
/// zeroed first. `scratch` holds at least a row.
pub(crate) fn keep_rows<K: Key>(
    kernels: impl Kernels,
    keys: &[K],
    row_len: usize,
    num_kept: usize,
    scratch: &mut [K],
    words: &mut [u64],
) {
    words.fill(0);
    let mut row_words = vec![0; row_len.div_ceil(64)];
    for (number, row) in keys.chunks(row_len).enumerate() {
        let (key, boundary) = row_cut(row, num_kept, scratch);
        // Before the boundary ties are kept, from it on they are not.
        let (before, after) = row.split_at(boundary);
        for (start, keys, next) in [(0, before, false), (boundary, after, true)] {
            let threshold = if next { K::saturate(key.to_i64().saturating_add(1)) } else { key };
            let row_words = &mut row_words[..keys.len().div_ceil(64)];
            kernels.at_least(keys, threshold, row_words);
            append_bits(words, number * row_len + start, row_words);
        }
    }
}

/// The key of the last entry kept, and one past its index.
fn row_cut<K: Key>(row: &[K], num_kept: usize, scratch: &mut [K]) -> (K, usize) {
    let Some(last) = num_kept.checked_sub(1) else { return (K::MAX, 0) };
    let sorted = &mut scratch[..row.len()];
    sorted.copy_from_slice(row);
    let (above, &mut key, _) = sorted.select_nth_unstable_by(last, |a, b| b.cmp(a));
    let ties = num_kept - above.iter().filter(|&&other| other > key).count();
    let boundary = row.iter().enumerate().filter(|&(_, &other)| other == key).nth(ties - 1);
    (key, boundary.map_or(row.len(), |(at, _)| at + 1))
}
