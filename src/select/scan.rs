//! One streaming pass over all entries against three cuts.

use std::ops::Range;
use std::sync::atomic::{AtomicI64, Ordering};

use crate::error::{Error, Result};
use crate::mask::{Grid, Output, PIECE, words_of_bytes};
use crate::parallel::{Context, for_each};
use crate::select::rank::{Cut, Ranking, Step};
use crate::select::rows::{RowBuffers, keep_row};
use crate::simd::{Kernels, Key, Word, with_kernels};
use crate::source::{ReadBuffer, Source, for_bits};

/// Entries whose keys are held at once: they stay in the first-level cache.
pub(crate) const BLOCK: usize = 512;

/// A run of entries of one part, and what a pass found there.
#[derive(Debug)]
pub(crate) struct Piece<'o> {
    pub part: usize,
    pub range: Range<usize>,
    /// Position of its first entry among all that compete.
    pub position: u64,
    /// Where its mask goes, if one is wanted.
    pub output: Option<Output<'o>>,
    /// How many entries the highest cut keeps.
    pub certain: u64,
    /// Index in the piece of each entry between the highest cut and the lowest, and its lifted key.
    pub candidates: Box<[u16]>,
    pub keys: Box<[i64]>,
    /// Whether a candidate for keeping is NaN.
    pub nan: bool,
}

/// Appends the pieces of the entries `range` of a part.
pub(crate) fn append_pieces<'o>(
    pieces: &mut Vec<Piece<'o>>,
    part: usize,
    range: Range<usize>,
    mut output: Option<Output<'o>>,
) {
    let first = pieces.last().map_or(0, |last| last.position + last.range.len() as u64);
    let unit = output.as_ref().map_or(1, |output| output.unit(range.len()));
    for piece in Grid::new(range.len(), unit).pieces() {
        pieces.push(Piece {
            part,
            position: first + piece.start as u64,
            output: output.as_mut().map(|output| output.take(piece.len())),
            range: range.start + piece.start..range.start + piece.end,
            certain: 0,
            candidates: Box::default(),
            keys: Box::default(),
            nan: false,
        });
    }
}

/// Three cuts, each keeping no fewer than the one before.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bracket {
    pub high: Cut,
    pub middle: Cut,
    pub low: Cut,
}

impl Bracket {
    /// The bracket without candidates.
    pub fn exact(cut: Cut) -> Self {
        Self { high: cut, middle: cut, low: cut }
    }
}

/// Writes the mask of the middle cut, counts what the highest keeps and collects the candidates, of which
/// at most `cap`; returns whether that was enough.
pub(crate) fn scan<S: Source + ?Sized>(
    source: &S,
    pieces: &mut [Piece<'_>],
    ranking: Ranking,
    bracket: Bracket,
    cap: i64,
    ctx: &Context<'_>,
) -> Result<bool> {
    let room = AtomicI64::new(cap);
    for_each(pieces, ctx, <(ReadBuffer, Vec<u16>)>::default, |(buffer, found), piece| {
        let bits = source.read(piece.part, piece.range.clone(), buffer)?;
        for_bits!(bits, words => with_kernels!(ctx.level, kernels =>
            scan_piece(kernels, source, words, piece, ranking, bracket, &room, found, ctx)));
        ctx.advance(piece.range.len());
        Ok(())
    })?;
    Ok(room.into_inner() >= 0)
}

#[expect(clippy::too_many_arguments, reason = "one call, from the lines above")]
fn scan_piece<W: Word, S: Source + ?Sized>(
    kernels: impl Kernels,
    source: &S,
    entries: &[W],
    piece: &mut Piece<'_>,
    ranking: Ranking,
    mut bracket: Bracket,
    room: &AtomicI64,
    found: &mut Vec<u16>,
    ctx: &Context<'_>,
) {
    let dtype = source.dtype(piece.part);
    let kept = source.kept(piece.part).map(|kept| &kept[piece.range.clone()]);
    let recipe = ranking.recipe::<W::Key>(dtype);
    if room.load(Ordering::Relaxed) < 0 {
        // Too many candidates elsewhere: the pass has failed, so none need be kept here.
        bracket.low = bracket.high;
    }
    let steps = [bracket.high, bracket.middle, bracket.low]
        .map(|cut| Step::<W::Key>::new(ranking, dtype, cut, piece.position, entries.len()));
    (piece.certain, piece.nan) = (0, false);
    found.resize(PIECE + 2, 0);
    let mut len = 0;

    let mut rows = [[0; BLOCK / 64]; 3];
    let mut other = [[0; BLOCK / 64]; 3];
    let mut words = Vec::new();
    for (number, block) in entries.chunks(BLOCK).enumerate() {
        let (start, end) = (number * BLOCK, number * BLOCK + block.len());
        let used = block.len().div_ceil(64);
        let mut nan =
            kernels.classify(block, recipe, steps.map(|step| step.threshold(end)), slices(&mut rows, used));
        if steps.iter().any(|step| step.is_inside(start, end)) {
            kernels.classify(block, recipe, steps.map(|step| step.at), slices(&mut other, used));
            for ((row, other), step) in rows.iter_mut().zip(&other).zip(steps) {
                blend(row, other, step.boundary.saturating_sub(start));
            }
        }
        if let Some(kept) = kept {
            words_of_bytes(&kept[start..end], &mut words);
            for row in &mut rows {
                row.iter_mut().zip(&words).for_each(|(row, kept)| *row &= kept);
            }
            nan = nan && (start..end).any(|at| kept[at] != 0 && entries[at].magnitude() > recipe.limit);
        }
        piece.nan |= nan;
        let [high, middle, low] = &rows;
        if let Some(output) = &mut piece.output {
            output.write(ctx.level, start, block.len(), &middle[..used]);
        }
        piece.certain += kernels.between(&high[..used], &low[..used], start as u16, found, &mut len);
    }
    let enough = room.fetch_sub(len as i64, Ordering::Relaxed) >= len as i64;
    let found = if enough { &found[..len] } else { &[] };
    piece.candidates = found.into();
    piece.keys =
        found.iter().map(|&at| ranking.lift(dtype, recipe.key(entries[usize::from(at)]).to_i64())).collect();
}

/// Memory of one thread, to use again from one small array to the next.
#[derive(Debug, Default)]
pub(crate) struct Buffers {
    buffer: ReadBuffer,
    keys: ReadBuffer,
    row: RowBuffers,
    words: Vec<u64>,
}

/// The same as a scan and all that follows it, for one piece whose keys fit in cache.
pub(crate) fn keep_top_of_piece<S: Source + ?Sized>(
    source: &S,
    piece: &mut Piece<'_>,
    ranking: Ranking,
    num_kept: usize,
    buffers: &mut Buffers,
    ctx: &Context<'_>,
) -> Result<Cut> {
    let Buffers { buffer, keys, row, words } = buffers;
    let dtype = source.dtype(piece.part);
    let bits = source.read(piece.part, piece.range.clone(), buffer)?;
    let cut = for_bits!(bits, entries => with_kernels!(ctx.level, kernels => {
        let keys = keys.values(entries.len());
        let recipe = ranking.recipe(dtype);
        piece.nan = kernels.keys(entries, recipe, keys);
        if let Some(kept) = source.kept(piece.part) {
            exclude(keys, &kept[piece.range.clone()]);
            piece.nan = piece.nan && keys.contains(&recipe.nan);
        }
        words.resize(keys.len().div_ceil(64), 0);
        let (key, boundary) = keep_row(kernels, keys, num_kept, row, words);
        if let Some(output) = &mut piece.output {
            output.write(ctx.level, 0, keys.len(), words);
        }
        // What is written needs no more; a plan tells the score of the last entry kept.
        let last = keys.iter().copied().filter(|&other| piece.output.is_none() && other >= key).min();
        Cut { key: ranking.lift(dtype, last.unwrap_or(key).to_i64()), position: piece.position + boundary as u64 }
    }));
    check_nan(source, std::slice::from_ref(piece), ranking)?;
    piece.certain = num_kept as u64;
    ctx.advance(piece.range.len());
    Ok(cut)
}

fn slices(rows: &mut [[u64; BLOCK / 64]; 3], used: usize) -> [&mut [u64]; 3] {
    rows.each_mut().map(|row| &mut row[..used])
}

/// Takes the bits before `boundary` from `before`.
fn blend(words: &mut [u64], before: &[u64], boundary: usize) {
    for (number, (word, before)) in words.iter_mut().zip(before).enumerate() {
        let bits = boundary.saturating_sub(number * 64).min(64) as u32;
        let mask = u64::MAX.checked_shr(64 - bits).unwrap_or(0);
        *word = before & mask | *word & !mask;
    }
}

/// The bits that a cut keeps of one block of a piece, `start` being the block's first entry.
pub(crate) fn cut_words<K: Key>(
    kernels: impl Kernels,
    keys: &[K],
    step: Step<K>,
    start: usize,
    words: &mut [u64],
) {
    let end = start + keys.len();
    kernels.at_least(keys, step.threshold(end), words);
    if step.is_inside(start, end) {
        let mut before = [0; BLOCK / 64];
        kernels.at_least(keys, step.at, &mut before);
        blend(words, &before, step.boundary - start);
    }
}

/// Gives entries that an existing mask prunes the key below all scores.
pub(crate) fn exclude<K: Key>(keys: &mut [K], kept: &[u8]) {
    for (key, &kept) in keys.iter_mut().zip(kept) {
        *key = if kept == 0 { K::MIN } else { *key };
    }
}

/// The error for the first NaN, if a pass saw one.
pub(crate) fn check_nan<S: Source + ?Sized>(
    source: &S,
    pieces: &[Piece<'_>],
    ranking: Ranking,
) -> Result<()> {
    if ranking.nan != crate::select::Nan::Raise {
        return Ok(());
    }
    match pieces.iter().find(|piece| piece.nan) {
        None => Ok(()),
        Some(piece) => Err(first_nan(source, piece.part, piece.range.clone())?),
    }
}

/// The error that names the first NaN among `range`, where there is one.
pub(crate) fn first_nan<S: Source + ?Sized>(source: &S, part: usize, range: Range<usize>) -> Result<Error> {
    let (mut buffer, limit) = (ReadBuffer::default(), source.dtype(part).limit());
    let bits = source.read(part, range.clone(), &mut buffer)?;
    let kept = source.kept(part).map(|kept| &kept[range.clone()]);
    let is_candidate = |at: usize| kept.is_none_or(|kept| kept[at] != 0);
    let at = for_bits!(bits, words =>
        words.iter().enumerate().position(|(at, word)| word.magnitude().to_i64() > limit && is_candidate(at)));
    Ok(Error::Nan { name: source.name(part), index: range.start + at.unwrap_or(0) })
}
