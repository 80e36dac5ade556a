//! From candidates, or from everything, to the exact cut.

use crate::error::Result;
use crate::parallel::{Context, for_each};
use crate::select::order::{Counted, Keys, Nth};
use crate::select::rank::{Cut, Ranking};
use crate::select::scan::{BLOCK, Bracket, Piece, exclude};
use crate::simd::{Kernels, Key, with_kernels};
use crate::source::{ReadBuffer, Source, for_bits};

/// How often threads take some pieces to visit their candidates.
const SHARES: usize = 16;

/// Runs an expression on the keys of a piece, block by block.
macro_rules! for_each_block {
    ($source:expr, $piece:expr, $ranking:expr, $buffer:expr, $ctx:expr,
     |$kernels:ident, $start:ident, $keys:ident| $body:block) => {{
        let (part, range) = ($piece.part, $piece.range.clone());
        let kept = $source.kept(part).map(|kept| &kept[range.clone()]);
        let dtype = $source.dtype(part);
        let bits = $source.read(part, range, $buffer)?;
        for_bits!(bits, words => with_kernels!($ctx.level, $kernels => {
            let mut keys = [Key::MIN; BLOCK];
            for (number, block) in words.chunks(BLOCK).enumerate() {
                let ($start, $keys) = (number * BLOCK, &mut keys[..block.len()]);
                $kernels.keys(block, $ranking.recipe(dtype), $keys);
                if let Some(kept) = kept {
                    exclude($keys, &kept[$start..$start + block.len()]);
                }
                $body
            }
        }));
    }};
}

struct Candidates<'a, 'o>(&'a [Piece<'o>]);

impl Keys for Candidates<'_, '_> {
    type State = ();

    fn visit(&self, (): &mut (), visit: impl FnMut(i64), _: &Context<'_>) -> Result<()> {
        self.0.iter().flat_map(|piece| piece.keys.iter().copied()).for_each(visit);
        Ok(())
    }
}

/// The cut that keeps `rank` of the candidates of a bracket, which number at least that many; `rank` is at
/// least 1. With it comes how many of all entries have its key, if all of those are candidates.
pub(crate) fn cut_of_candidates(
    pieces: &[Piece<'_>],
    bracket: Bracket,
    everything: (i64, i64),
    rank: u64,
    ctx: &Context<'_>,
) -> Result<(Cut, Option<u64>)> {
    let range = (bracket.low.key.max(everything.0), bracket.high.key.min(everything.1));
    let mut groups: Vec<_> = pieces.chunks(pieces.len().div_ceil(SHARES).max(1)).map(Candidates).collect();
    let [Nth { key, place, ties }] = Counted::new(&mut groups, range, ctx)?.find(&mut groups, [rank], ctx)?;
    let all_ties = (bracket.low.key < key && key < bracket.high.key).then_some(ties);
    if all_ties == Some(1) {
        return Ok((Cut { key, position: u64::MAX }, all_ties));
    }
    let mut ties = pieces.iter().flat_map(|piece| {
        let ties = piece.keys.iter().zip(&piece.candidates).filter(move |&(&other, _)| other == key);
        ties.map(|(_, &at)| piece.position + u64::from(at))
    });
    let last = ties.nth(place as usize - 1);
    Ok((Cut { key, position: last.map_or(u64::MAX, |position| position + 1) }, all_ties))
}

struct Entries<'a, 'o, S: ?Sized> {
    source: &'a S,
    piece: &'a Piece<'o>,
    ranking: Ranking,
}

impl<S: Source + ?Sized> Keys for Entries<'_, '_, S> {
    type State = ReadBuffer;

    fn visit(&self, buffer: &mut ReadBuffer, visit: impl FnMut(i64), ctx: &Context<'_>) -> Result<()> {
        let Self { source, piece, ranking } = self;
        let mut visit = visit;
        for_each_key(*source, piece, *ranking, buffer, ctx, |_, key| visit(key))
    }
}

/// The cut that keeps `num_kept` (at least 1) of all entries, by histograms of every key: slower than a
/// bracket, and never wrong.
pub(crate) fn cut_of_everything<S: Source + ?Sized>(
    source: &S,
    pieces: &mut [Piece<'_>],
    ranking: Ranking,
    range: (i64, i64),
    num_kept: u64,
    ctx: &Context<'_>,
) -> Result<Cut> {
    let mut groups: Vec<_> = pieces.iter().map(|piece| Entries { source, piece, ranking }).collect();
    let [Nth { key, place, .. }] =
        Counted::new(&mut groups, range, ctx)?.find(&mut groups, [num_kept], ctx)?;
    count_equal(source, pieces, ranking, key, ctx)?;
    let mut left = place;
    let mut position = u64::MAX;
    for piece in pieces {
        if left <= piece.certain {
            for_each_key(source, piece, ranking, &mut ReadBuffer::default(), ctx, |at, other| {
                if other == key {
                    left = left.wrapping_sub(1);
                    if left == 0 {
                        position = piece.position + at as u64 + 1;
                    }
                }
            })?;
            break;
        }
        left -= piece.certain;
    }
    Ok(Cut { key, position })
}

/// Counts the entries with that key; each piece's own number is left in `certain`.
pub(crate) fn count_equal<S: Source + ?Sized>(
    source: &S,
    pieces: &mut [Piece<'_>],
    ranking: Ranking,
    key: i64,
    ctx: &Context<'_>,
) -> Result<()> {
    for_each(pieces, ctx, ReadBuffer::default, |buffer, piece| {
        let dtype = source.dtype(piece.part);
        let mut count = 0;
        for_each_block!(source, piece, ranking, buffer, ctx, |kernels, _start, keys| {
            let native = ranking.native(dtype, key);
            // Another format's key need not be one of this format's.
            if ranking.lift(dtype, Key::to_i64(native)) == key {
                count += kernels.count_equal(keys, native) as u64;
            }
        });
        piece.certain = count;
        Ok(())
    })
}

/// Calls `visit` with the index in the piece and the lifted key of every entry.
fn for_each_key<S: Source + ?Sized>(
    source: &S,
    piece: &Piece<'_>,
    ranking: Ranking,
    buffer: &mut ReadBuffer,
    ctx: &Context<'_>,
    mut visit: impl FnMut(usize, i64),
) -> Result<()> {
    let dtype = source.dtype(piece.part);
    for_each_block!(source, piece, ranking, buffer, ctx, |_kernels, start, keys| {
        for (at, key) in keys.iter().enumerate() {
            visit(start + at, ranking.lift(dtype, key.to_i64()));
        }
    });
    Ok(())
}
