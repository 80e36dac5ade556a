//! N:M groups along any axis.

use crate::ratio::NofM;
use crate::simd::{Kernels, Key};

/// Sets the bits of the N highest keys of each group, the earlier of equals. The entries of a group lie
/// `stride` apart; `keys` holds whole blocks of `group * stride`. `scratch` is as
/// long as `keys`.
pub(crate) fn keep_groups<K: Key>(
    kernels: impl Kernels,
    keys: &[K],
    pattern: NofM,
    stride: usize,
    scratch: &mut [K],
    words: &mut [u64],
) {
    let group = pattern.group();
    if stride == 1 {
        return kernels.n_of_m(keys, pattern.kept(), group, words);
    }
    // Each block is transposed, so that groups are consecutive, and its bits are put back.
    let origin = |at: usize| {
        let (block, at) = (at / (group * stride), at % (group * stride));
        block * group * stride + at % group * stride + at / group
    };
    for (at, key) in scratch.iter_mut().enumerate() {
        *key = keys[origin(at)];
    }
    let mut transposed = vec![0; words.len()];
    kernels.n_of_m(scratch, pattern.kept(), group, &mut transposed);
    words.fill(0);
    for at in 0..keys.len() {
        let to = origin(at);
        words[to / 64] |= (transposed[at / 64] >> (at % 64) & 1) << (to % 64);
    }
}
