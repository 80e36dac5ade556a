//! Random choices: coin flips and their corrections, row by row and group by group.

use std::collections::BTreeSet;
use std::ops::Range;

use crate::error::Result;
use crate::mask::{Grid, Output, append_bits, num_nonzero};
use crate::parallel::{Context, for_each};
use crate::plan::emit::and_kept;
use crate::plan::{Contest, Part, Planner, Scratch};
use crate::ratio::Ratio;
use crate::sample::{Coin, Pattern, Stream, Words, correct};
use crate::select::Piece;
use crate::source::Source;

/// Writes a mask whose entries are each pruned with probability `ratio`, independently: the count is random.
///
/// # Errors
/// [`crate::Error::Interrupted`].
pub fn fill_bernoulli(
    stream: Stream,
    ratio: Ratio,
    len: usize,
    mut output: Output<'_>,
    ctx: &Context<'_>,
) -> Result<()> {
    let coin = Coin::for_density(stream, 1.0 - ratio.get());
    let mut jobs = Vec::new();
    for range in Grid::new(len, output.unit(len)).pieces() {
        jobs.push((range.clone(), output.take(range.len())));
    }
    for_each(&mut jobs, ctx, Vec::new, |words, (range, output)| {
        coin.bits(ctx.level, range.start, range.len(), words);
        output.write(ctx.level, 0, range.len(), words);
        Ok(())
    })
}

impl<S: Source + ?Sized> Planner<'_, S> {
    /// Decides a random contest: coin flips, then corrections. Returns the coin of each array and the entries
    /// where its mask differs from the flips; where there are outputs they hold the mask instead.
    pub(super) fn draw(
        &self,
        contest: &mut Contest<'_>,
        seed: u64,
        streams: &[Stream],
    ) -> Result<Vec<(usize, Coin, Vec<u64>)>> {
        let len: u64 = contest.pieces.iter().map(|piece| piece.range.len() as u64).sum();
        let mut available = len;
        for part in contest.parts.clone() {
            available -= self.already_pruned(part)?;
        }
        let shared = match contest.parts.len() {
            1 => streams[contest.parts.start],
            _ => Stream::of_all(seed),
        };
        let fair = Coin::for_count(shared, contest.num_kept, available);
        let coin = |part: usize| fair.with_stream(streams[part]);
        let kept = |piece: &Piece<'_>| self.source.kept(piece.part).map(|kept| &kept[piece.range.clone()]);
        for_each(&mut contest.pieces, self.ctx, Scratch::default, |scratch, piece| {
            let words = &mut scratch.kept;
            coin(piece.part).bits(self.ctx.level, piece.range.start, piece.range.len(), words);
            if let Some(kept) = kept(piece) {
                and_kept(kept, words);
            }
            piece.certain = words.iter().map(|word| u64::from(word.count_ones())).sum();
            if let Some(output) = &mut piece.output {
                output.write(self.ctx.level, 0, piece.range.len(), words);
            }
            self.ctx.advance(piece.range.len());
            Ok(())
        })?;

        let count: u64 = contest.pieces.iter().map(|piece| piece.certain).sum();
        let pieces = &mut contest.pieces;
        let mut flips = BTreeSet::new();
        let mut word = Vec::new();
        correct(shared, len, count, contest.num_kept, self.ctx, |position, from| {
            let at = pieces.partition_point(|piece| piece.position <= position) - 1;
            let piece = &mut pieces[at];
            let index = (position - piece.position) as usize;
            if kept(piece).is_some_and(|kept| kept[index] == 0) {
                return false;
            }
            let is = if let Some(output) = &piece.output {
                output.get(index)
            } else {
                coin(piece.part).bits(self.ctx.level, piece.range.start + index, 1, &mut word);
                (word[0] == 1) != flips.contains(&position)
            };
            if is != from {
                return false;
            }
            match &mut piece.output {
                Some(output) => output.set(index, !from),
                None => drop(flips.insert(position)),
            }
            piece.certain = if from { piece.certain - 1 } else { piece.certain + 1 };
            true
        })?;
        let mut start = 0;
        let drawn = contest.parts.clone().map(|part| {
            let end = start + self.source.len(part) as u64;
            let own = flips.range(start..end).map(|position| position - start).collect();
            start = end;
            (part, coin(part), own)
        });
        Ok(drawn.collect())
    }
}

impl Part {
    #[expect(clippy::too_many_arguments, reason = "one call, from the lines above")]
    pub(super) fn random_rows(
        &self,
        coin: Coin,
        stream: Stream,
        num_kept: u64,
        range: &Range<usize>,
        kept: Option<&[u8]>,
        words: &mut [u64],
        ctx: &Context<'_>,
    ) -> Result<()> {
        let row_len = self.layout.row_len;
        let mut row_words = Vec::new();
        for row in range.start / row_len..range.end / row_len {
            let stream = stream.of_row(row as u64);
            let start = row * row_len - range.start;
            let kept = kept.map(|kept| &kept[start..start + row_len]);
            let available = kept.map_or(row_len, num_nonzero);
            let coin = match kept {
                None => coin.with_stream(stream),
                Some(_) => Coin::for_count(stream, num_kept, available as u64),
            };
            coin.bits(ctx.level, 0, row_len, &mut row_words);
            if let Some(kept) = kept {
                and_kept(kept, &mut row_words);
            }
            let count = row_words.iter().map(|word| u64::from(word.count_ones())).sum();
            correct(stream, row_len as u64, count, num_kept, ctx, |at, from| {
                let at = at as usize;
                let is = row_words[at / 64] >> (at % 64) & 1 == 1;
                let flips = is == from && kept.is_none_or(|kept| kept[at] != 0);
                row_words[at / 64] ^= u64::from(flips) << (at % 64);
                flips
            })?;
            append_bits(words, start, &row_words);
        }
        Ok(())
    }

    pub(super) fn random_groups(
        &self,
        stream: Stream,
        pattern: &Pattern,
        range: &Range<usize>,
        kept: Option<&[u8]>,
        words: &mut [u64],
    ) {
        let (group, stride) = (pattern.shape().group(), self.layout.group_stride);
        let mut random = Words::new(stream);
        for number in range.start / group..range.end / group {
            // Groups are counted block by block, and within a block by their place across the axis.
            let first = number / stride * stride * group + number % stride - range.start;
            let available = kept.map_or(pattern.whole(), |kept| {
                (0..group).map(|at| u32::from(kept[first + at * stride] != 0) << at).sum()
            });
            let subset = pattern.draw(&mut random, number as u64, available);
            if stride == 1 {
                append_bits(words, first, &[u64::from(subset)]);
                continue;
            }
            for at in 0..group {
                let entry = first + at * stride;
                words[entry / 64] |= u64::from(subset >> at & 1) << (entry % 64);
            }
        }
    }
}
