//! From candidates, or from everything, to the exact cut.

use crate::error::Result;
use crate::parallel::{Context, for_each};
use crate::select::rank::{Cut, Ranking};
use crate::select::scan::{BLOCK, Piece, exclude};
use crate::simd::{Kernels, Key, with_kernels};
use crate::source::{ReadBuffer, Source, for_bits};

/// Bins of a histogram, as a power of two.
const BIN_BITS: u32 = 12;

/// Keys in `low..=high`, counted in 2^12 equal ranges.
struct Histogram {
    low: i64,
    shift: u32,
    counts: Vec<u64>,
}

impl Histogram {
    fn new(low: i64, high: i64) -> Self {
        let shift = (u64::BITS - high.abs_diff(low).leading_zeros()).saturating_sub(BIN_BITS);
        Self { low, shift, counts: vec![0; 1 << BIN_BITS] }
    }

    #[inline]
    fn add(&mut self, key: i64) {
        self.counts[(key.abs_diff(self.low) >> self.shift) as usize] += 1;
    }

    /// The range of keys that holds the entry of that rank from the top (the first has rank 1), and its rank
    /// within the range.
    fn find(&self, rank: u64) -> (i64, i64, u64) {
        let mut rank = rank;
        for (bin, &count) in self.counts.iter().enumerate().rev() {
            if rank <= count {
                let low = self.low.wrapping_add_unsigned((bin as u64) << self.shift);
                return (low, low.saturating_add_unsigned((1 << self.shift) - 1), rank);
            }
            rank -= count;
        }
        unreachable!("the rank is at most the number of keys counted")
    }
}

/// The cut that keeps `rank` of the candidates, which number at least that many; `rank` is at least 1.
pub(crate) fn cut_of_candidates(pieces: &[Piece<'_>], rank: u64) -> Cut {
    let keys = || pieces.iter().flat_map(|piece| &piece.keys).copied();
    let (mut low, mut high) =
        keys().fold((i64::MAX, i64::MIN), |(low, high), key| (low.min(key), high.max(key)));
    let mut rank = rank;
    while low < high {
        let mut histogram = Histogram::new(low, high);
        keys().filter(|key| (low..=high).contains(key)).for_each(|key| histogram.add(key));
        let (bin_low, bin_high, bin_rank) = histogram.find(rank);
        (low, high, rank) = (bin_low, bin_high.min(high), bin_rank);
    }
    let positions = pieces.iter().flat_map(|piece| {
        let ties = piece.keys.iter().zip(&piece.candidates).filter(|&(&key, _)| key == low);
        ties.map(|(_, &at)| piece.position + u64::from(at))
    });
    let last = positions.skip(rank as usize - 1).next();
    Cut { key: low, position: last.map_or(u64::MAX, |position| position + 1) }
}

/// The cut that keeps `num_kept` (at least 1) of all entries, by histograms of every key: slower than a
/// bracket, and never wrong.
pub(crate) fn cut_of_everything<S: Source + ?Sized>(
    source: &S,
    pieces: &mut [Piece<'_>],
    ranking: Ranking,
    num_kept: u64,
    ctx: &Context<'_>,
) -> Result<Cut> {
    let Some(first) = pieces.first() else { return Ok(Cut::NONE) };
    let (mut low, mut high) = ranking.lifted_range(source.dtype(first.part));
    let mut rank = num_kept;
    while low < high {
        let total = std::sync::Mutex::new(Histogram::new(low, high));
        for_each(pieces, ctx, ReadBuffer::default, |buffer, piece| {
            let mut histogram = Histogram::new(low, high);
            for_each_key(source, piece, ranking, buffer, ctx, |_, key| {
                if (low..=high).contains(&key) {
                    histogram.add(key);
                }
            })?;
            let mut total = total.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            total.counts.iter_mut().zip(histogram.counts).for_each(|(sum, count)| *sum += count);
            Ok(())
        })?;
        let histogram = total.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
        let (bin_low, bin_high, bin_rank) = histogram.find(rank);
        (low, high, rank) = (bin_low, bin_high.min(high), bin_rank);
    }
    Ok(Cut { key: low, position: position_of_tie(source, pieces, ranking, low, rank, ctx)? })
}

/// One past the position of the entry that is number `rank` of those with that key.
fn position_of_tie<S: Source + ?Sized>(
    source: &S,
    pieces: &mut [Piece<'_>],
    ranking: Ranking,
    key: i64,
    rank: u64,
    ctx: &Context<'_>,
) -> Result<u64> {
    count_equal(source, pieces, ranking, key, ctx)?;
    let mut left = rank;
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
    Ok(position)
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
        let mut count = 0;
        for_each_key(source, piece, ranking, buffer, ctx, |_, other| count += u64::from(other == key))?;
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
    let kept = source.kept(piece.part).map(|kept| &kept[piece.range.clone()]);
    let bits = source.read(piece.part, piece.range.clone(), buffer)?;
    for_bits!(bits, words => with_kernels!(ctx.level, kernels => {
        let mut keys = [Key::MIN; BLOCK];
        for (number, block) in words.chunks(BLOCK).enumerate() {
            let (start, keys) = (number * BLOCK, &mut keys[..block.len()]);
            kernels.keys(block, ranking.recipe(dtype), keys);
            if let Some(kept) = kept {
                exclude(keys, &kept[start..start + block.len()]);
            }
            for (at, key) in keys.iter().enumerate() {
                visit(start + at, ranking.lift(dtype, key.to_i64()));
            }
        }
    }));
    Ok(())
}
