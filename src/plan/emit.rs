//! The mask of one piece at a time.

use std::ops::Range;

use crate::error::{Error, Result};
use crate::mask::{Grid, words_of_bytes};
use crate::parallel::Context;
use crate::plan::{Choice, Layout, Part, Plan, Scratch, Summary};
use crate::ratio::NofM;
use crate::select::{BLOCK, Cut, Nan, Ranking, Step, cut_words, exclude, keep_groups, keep_rows};
use crate::simd::{Kernels, Word, with_kernels};
use crate::source::{Bits, for_bits};

impl Plan {
    /// What the plan does to an array.
    #[must_use]
    pub fn summary(&self, part: usize) -> Summary {
        self.parts[part].summary
    }

    /// The ranges in which an array can be emitted: each on its own, together all of it, in order.
    pub fn pieces(&self, part: usize) -> impl Iterator<Item = Range<usize>> + use<> {
        self.pieces_for(part, 1)
    }

    /// The same, with pieces that also hold whole units of an output.
    pub(super) fn pieces_for(&self, part: usize, unit: usize) -> impl Iterator<Item = Range<usize>> + use<> {
        let Part { len, layout, choice, .. } = &self.parts[part];
        match choice {
            Choice::Cut { .. } | Choice::Coins { .. } => Grid::new(*len, unit),
            Choice::LongRows { .. } => Grid::new(*len, layout.row_len),
            Choice::Rows { .. } | Choice::RandomRows { .. } => Grid::whole(*len, layout.row_len),
            Choice::Groups { pattern, .. } => Grid::whole(*len, layout.group_unit(*pattern, unit, *len)),
            Choice::RandomGroups { pattern, .. } => {
                Grid::whole(*len, layout.group_unit(pattern.shape(), unit, *len))
            }
        }
        .pieces()
    }

    /// Sets bit `i % 64` of `words[i / 64]` to whether entry `range.start + i` of an array is kept; bits past
    /// the last entry are zero. `range` is one of [`Plan::pieces`], `bits` its entries and `kept` its part of
    /// the existing mask.
    ///
    /// # Errors
    /// [`crate::Error::Nan`], with the name left empty, where a NaN appears that is an error and was not met before.
    #[expect(clippy::too_many_arguments, reason = "the place, what is there, and memory to use again")]
    pub fn emit(
        &self,
        part: usize,
        range: Range<usize>,
        bits: Bits<'_>,
        kept: Option<&[u8]>,
        scratch: &mut Scratch,
        words: &mut Vec<u64>,
        ctx: &Context<'_>,
    ) -> Result<()> {
        let part = &self.parts[part];
        words.clear();
        words.resize(range.len().div_ceil(64), 0);
        match &part.choice {
            Choice::Coins { coin, flips } => {
                coin.bits(ctx.level, range.start, range.len(), words);
                let own = |bound: usize| flips.partition_point(|&flip| flip < bound as u64);
                for flip in &flips[own(range.start)..own(range.end)] {
                    let at = *flip as usize - range.start;
                    words[at / 64] ^= 1 << (at % 64);
                }
            }
            Choice::RandomRows { coin, stream, num_kept } => {
                part.random_rows(*coin, *stream, *num_kept, &range, kept, words, ctx)?;
            }
            Choice::RandomGroups { stream, pattern } => {
                part.random_groups(*stream, pattern, &range, kept, words);
            }
            Choice::Cut { ranking, .. }
            | Choice::Rows { ranking, .. }
            | Choice::LongRows { ranking, .. }
            | Choice::Groups { ranking, .. } => {
                for_bits!(bits, entries => with_kernels!(ctx.level, kernels =>
                part.by_score(kernels, *ranking, &range, entries, kept, scratch, words)?));
            }
        }
        if let Some(kept) = kept {
            and_kept(kept, words);
        }
        Ok(())
    }
}

impl Layout {
    /// The entries that must stay together so that a piece holds whole groups, whole units of its output and,
    /// where it ends inside an output row, whole bytes.
    pub(super) fn group_unit(self, pattern: NofM, unit: usize, len: usize) -> usize {
        let block = pattern.group() * self.group_stride;
        if 1 < unit && unit < len {
            return if self.group_stride == 1 { unit } else { block };
        }
        block << (6 - block.trailing_zeros().min(6))
    }
}

impl Part {
    #[expect(clippy::too_many_arguments, reason = "one call, from the lines above")]
    pub(super) fn by_score<W: Word>(
        &self,
        kernels: impl Kernels,
        ranking: Ranking,
        range: &Range<usize>,
        entries: &[W],
        kept: Option<&[u8]>,
        scratch: &mut Scratch,
        words: &mut [u64],
    ) -> Result<()> {
        let recipe = ranking.recipe::<W::Key>(self.dtype);
        let keys = scratch.keys.values::<W::Key>(entries.len());
        let mut nan = kernels.keys(entries, recipe, keys);
        if let Some(kept) = kept {
            exclude(keys, kept);
        }
        nan = nan && ranking.nan == Nan::Raise;
        if nan && let Some(at) = keys.iter().position(|key| *key == recipe.nan) {
            return Err(Error::Nan { name: String::new(), index: range.start + at });
        }
        let mut cut_range = |cut: Cut, position: u64| {
            let step = Step::new(ranking, self.dtype, cut, position, keys.len());
            for (number, (keys, words)) in keys.chunks(BLOCK).zip(words.chunks_mut(BLOCK / 64)).enumerate() {
                cut_words(kernels, keys, step, number * BLOCK, words);
            }
        };
        match &self.choice {
            Choice::Cut { cut, position, .. } => cut_range(*cut, position + range.start as u64),
            Choice::LongRows { cuts, .. } => {
                let (row, column) = (range.start / self.layout.row_len, range.start % self.layout.row_len);
                cut_range(cuts[row], column as u64);
            }
            Choice::Groups { pattern, .. } => {
                let spare = scratch.spare.values(keys.len());
                keep_groups(kernels, keys, *pattern, self.layout.group_stride, spare, words);
            }
            Choice::Rows { num_kept, .. } => {
                keep_rows(kernels, keys, self.layout.row_len, *num_kept as usize, &mut scratch.rows, words);
            }
            _ => {}
        }
        Ok(())
    }
}

/// Clears the bits of entries that an existing mask prunes.
pub(super) fn and_kept(kept: &[u8], words: &mut [u64]) {
    let mut mask = Vec::new();
    words_of_bytes(kept, &mut mask);
    words.iter_mut().zip(mask).for_each(|(word, mask)| *word &= mask);
}
