//! Keeping entries by score: exact cuts through one order of all entries, rows and N:M groups.
//!
//! A cut is found from a sample, one streaming pass and the few candidates between two guesses
//! (`bracket`, `scan`, `resolve`); where the guesses miss it, from histograms of everything. The mask is
//! written in the same pass and mended afterwards.

mod bracket;
mod groups;
mod order;
mod rank;
mod resolve;
mod rows;
mod scan;

pub(crate) use groups::keep_groups;
pub(crate) use rank::{Cut, Ranking, Step};
pub(crate) use rows::{RowBuffers, keep_rows};
pub(crate) use scan::{BLOCK, Buffers, Piece, append_pieces, cut_words, exclude, first_nan};

use bracket::Guess;
use scan::Bracket;

use crate::error::Result;
use crate::mask::PIECE;
use crate::parallel::{Context, for_each};
use crate::source::Source;

/// What ranks an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Score {
    /// Its absolute value.
    Magnitude,
    /// Its value: larger = kept first.
    Value,
}

/// Where NaN stands in the order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Nan {
    /// Nowhere: it is an error.
    Raise,
    /// Above infinity.
    Keep,
    /// Below everything.
    Prune,
}

/// What competes for one budget.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// The entries of a row of the matrix view.
    Row,
    /// The entries of an array.
    Tensor,
    /// The entries of all arrays.
    Global,
}

/// How the cut is guessed. Tests turn it to force every way a guess can fail; the answer is the same.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Tuning {
    /// Half the width of the bracket in standard errors, at each attempt.
    pub spreads: [f64; 2],
    /// What is added to the guessed rank, as a fraction of the sample.
    pub shift: f64,
    /// At most one candidate for so many entries.
    pub entries_per_candidate: u64,
    /// Arrays of at most so many entries are decided in cache, without a guess.
    pub in_cache: usize,
}

impl Default for Tuning {
    fn default() -> Self {
        // The first misses once in 370 times, which costs less than the candidates of a wider one.
        Self { spreads: [3.0, 9.0], shift: 0.0, entries_per_candidate: 16, in_cache: PIECE }
    }
}

/// Keeps the highest `num_kept` entries of `pieces`: writes their outputs, leaves in `certain` how many of
/// each piece are kept, and returns the cut, whose key is that of the last entry kept, and how many entries have
/// that key where it has come to light.
pub(crate) fn keep_top<S: Source + ?Sized>(
    source: &S,
    pieces: &mut [Piece<'_>],
    ranking: Ranking,
    num_kept: u64,
    tuning: Tuning,
    buffers: &mut Buffers,
    ctx: &Context<'_>,
) -> Result<(Cut, Option<u64>)> {
    let len = pieces.last().map_or(0, |last| last.position + last.range.len() as u64);
    let Some(first) = pieces.first() else { return Ok((Cut::NONE, Some(0))) };
    if num_kept == 0 {
        scan::scan(source, pieces, ranking, Bracket::exact(Cut::NONE), 0, ctx)?;
        scan::check_nan(source, pieces, ranking)?;
        return Ok((Cut::NONE, Some(0)));
    }
    let range = ranking.lifted_range(source.dtype(first.part));
    if let [piece] = pieces
        && piece.range.len() <= tuning.in_cache
    {
        return Ok((scan::keep_top_of_piece(source, piece, ranking, num_kept as usize, buffers, ctx)?, None));
    }
    let cap = (len / tuning.entries_per_candidate + 4096) as i64;
    let mut guess = Guess::new(source, pieces, ranking, range, num_kept, tuning.shift, ctx)?;
    for spread in tuning.spreads {
        let bracket = guess.bracket(spread, ctx)?;
        let complete = scan::scan(source, pieces, ranking, bracket, cap, ctx)?;
        scan::check_nan(source, pieces, ranking)?;
        let certain: u64 = pieces.iter().map(|piece| piece.certain).sum();
        let candidates: u64 = pieces.iter().map(|piece| piece.keys.len() as u64).sum();
        if complete && certain < num_kept && num_kept <= certain + candidates {
            let (cut, ties) = resolve::cut_of_candidates(pieces, bracket, range, num_kept - certain, ctx)?;
            mend(pieces, bracket.middle, cut, ctx)?;
            return Ok((cut, ties));
        }
    }
    let cut = resolve::cut_of_everything(source, pieces, ranking, range, num_kept, ctx)?;
    scan::scan(source, pieces, ranking, Bracket::exact(cut), 0, ctx)?;
    Ok((cut, None))
}

/// Turns the mask of the guess into that of the cut.
fn mend(pieces: &mut [Piece<'_>], guess: Cut, cut: Cut, ctx: &Context<'_>) -> Result<()> {
    for_each(pieces, ctx, Vec::new, |flips, piece| {
        let (candidates, keys) = (std::mem::take(&mut piece.candidates), std::mem::take(&mut piece.keys));
        flips.clear();
        for (&at, &key) in candidates.iter().zip(&keys) {
            let position = piece.position + u64::from(at);
            let kept = cut.keeps(key, position);
            piece.certain += u64::from(kept);
            if kept != guess.keeps(key, position) {
                flips.push((usize::from(at), kept));
            }
        }
        if let Some(output) = &mut piece.output {
            // The mask has left the cache: all loads are under way before the first store needs one.
            for &(at, _) in &*flips {
                std::hint::black_box(output.get(at));
            }
            for &(at, kept) in &*flips {
                output.set(at, kept);
            }
        }
        Ok(())
    })
}

/// How many entries of all pieces have the key of the cut; what `certain` holds stays.
pub(crate) fn count_ties<S: Source + ?Sized>(
    source: &S,
    pieces: &mut [Piece<'_>],
    ranking: Ranking,
    cut: Cut,
    ctx: &Context<'_>,
) -> Result<u64> {
    let kept: Vec<_> = pieces.iter().map(|piece| piece.certain).collect();
    resolve::count_equal(source, pieces, ranking, cut.key, ctx)?;
    let ties = pieces.iter().map(|piece| piece.certain).sum();
    pieces.iter_mut().zip(kept).for_each(|(piece, kept)| piece.certain = kept);
    Ok(ties)
}

#[cfg(test)]
mod tests;
