//! From independent bits to an exact count.

use super::philox::philox;
use super::{Purpose, Stream, halves};
use crate::error::Result;
use crate::parallel::Context;

/// Flips uniformly drawn entries of the class that is too large until `num_kept` of `len` are 1.
///
/// `count` of them are 1 now. `flip(index, from)` flips the entry if its state is `from` and it may be
/// flipped, and returns whether it did. Independent bits of one probability are, given their number, uniform
/// over the subsets of that size, and adding or taking uniformly drawn members keeps them so.
///
/// # Errors
/// [`crate::Error::Interrupted`].
pub(crate) fn correct(
    stream: Stream,
    len: u64,
    count: u64,
    num_kept: u64,
    ctx: &Context<'_>,
    mut flip: impl FnMut(u64, bool) -> bool,
) -> Result<()> {
    let mut left = count.abs_diff(num_kept);
    let mut draws = Draws { stream, number: 0 };
    while left > 0 {
        if flip(draws.below(len), count > num_kept) {
            left -= 1;
        }
        // Where an existing mask leaves few entries, few draws hit one.
        if draws.number.is_multiple_of(1 << 16) {
            ctx.check()?;
        }
    }
    Ok(())
}

/// A sequence of 64-bit words: word i is half of the Philox block at counter i / 2.
struct Draws {
    stream: Stream,
    number: u64,
}

impl Draws {
    fn next(&mut self) -> u64 {
        let [low, high] = halves(self.number / 2);
        let words = philox([low, high, 0, Purpose::Correction as u32], self.stream.0);
        let half = (self.number % 2 * 2) as usize;
        self.number += 1;
        u64::from(words[half]) | u64::from(words[half + 1]) << 32
    }

    /// Uniform in `0..bound`: D. Lemire, "Fast random integer generation in an interval", ACM TOMACS 29(1),
    /// 2019, with 64-bit words.
    fn below(&mut self, bound: u64) -> u64 {
        loop {
            let product = u128::from(self.next()) * u128::from(bound);
            let low = product as u64;
            if low >= bound || low >= bound.wrapping_neg() % bound {
                return (product >> 64) as u64;
            }
        }
    }
}
