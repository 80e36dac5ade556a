//! Two passes over the entries: what each bin holds, and which magnitudes some bins hold.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::sync::{Mutex, PoisonError};

use crate::allocate::scale::Scale;
use crate::error::{Error, Result};
use crate::mask::PIECE;
use crate::parallel::{Context, for_each, lock};
use crate::simd::{Key, Word};
use crate::source::{ReadBuffer, Source, for_bits};

/// Entries that one thread takes at a time.
const SHARE: usize = 1 << 20;

/// How many entries a bin holds, and the sum of their squares in its unit.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Total {
    pub count: u64,
    pub squares: u128,
}

/// The bins of one thread: plain integers, so that memory for those never touched is never given.
#[derive(Default)]
struct Bins {
    buffer: ReadBuffer,
    counts: Vec<u64>,
    squares: Vec<u128>,
}

/// The scale of each part.
pub(super) fn scales<S: Source + ?Sized>(source: &S) -> Vec<Scale> {
    (0..source.num_parts()).map(|part| Scale::new(source.dtype(part), source.len(part))).collect()
}

/// What the bins of each part hold, without the empty ones.
///
/// # Errors
/// [`Error::NanEntry`] of the first NaN.
pub(super) fn tally<S: Source + ?Sized>(
    source: &S,
    scales: &[Scale],
    ctx: &Context<'_>,
) -> Result<Vec<BTreeMap<usize, Total>>> {
    let all: Vec<_> = scales.iter().map(|_| Mutex::new(BTreeMap::<usize, Total>::new())).collect();
    let first_nan = Mutex::new(None::<(usize, usize)>);
    let mut jobs = shares(source, |_| true);
    for_each(&mut jobs, ctx, Bins::default, |bins, &mut (part, start, end)| {
        let scale = scales[part];
        let Bins { buffer, counts, squares } = bins;
        if counts.len() < scale.num_bins() {
            *counts = vec![0; scale.num_bins()];
            *squares = vec![0; scale.num_bins()];
        }
        let (mut low, mut high, mut nan) = (usize::MAX, 0, None);
        for_each_key(source, part, start..end, buffer, |at, key| {
            if scale.is_nan(key) {
                nan = nan.or(Some(at));
                return;
            }
            let bin = scale.bin(key);
            (low, high) = (low.min(bin), high.max(bin));
            counts[bin] += 1;
            squares[bin] += scale.square(key);
        })?;
        if let Some(at) = nan {
            let mut first = lock(&first_nan);
            *first = Some(first.map_or((part, at), |first| first.min((part, at))));
        }
        let mut all = lock(&all[part]);
        for bin in low..=high {
            if counts[bin] > 0 {
                let total = all.entry(bin).or_default();
                total.count += std::mem::take(&mut counts[bin]);
                total.squares += std::mem::take(&mut squares[bin]);
            }
        }
        ctx.advance(end - start);
        Ok(())
    })?;
    match *lock(&first_nan) {
        Some((part, index)) => Err(Error::NanEntry { name: source.name(part), index }),
        None => {
            Ok(all.into_iter().map(|it| it.into_inner().unwrap_or_else(PoisonError::into_inner)).collect())
        }
    }
}

/// The keys of each part in the bins that are asked for, the largest first, and how often each occurs.
pub(super) fn gather<S: Source + ?Sized>(
    source: &S,
    scales: &[Scale],
    wanted: &[Option<RangeInclusive<usize>>],
    ctx: &Context<'_>,
) -> Result<Vec<Vec<(u64, u64)>>> {
    let all: Vec<_> = scales.iter().map(|_| Mutex::new((Vec::new(), SHARE))).collect();
    let mut jobs = shares(source, |part| wanted[part].is_some());
    for_each(&mut jobs, ctx, ReadBuffer::default, |buffer, &mut (part, start, end)| {
        let Some(wanted) = &wanted[part] else { return Ok(()) };
        let keys = scales[part].keys(*wanted.start())[0]..=scales[part].keys(*wanted.end())[1];
        let mut own = Vec::new();
        for_each_key(source, part, start..end, buffer, |_, key| {
            if keys.contains(&key) {
                own.push((key, 1));
            }
        })?;
        merge_equal(&mut own);
        let (all, room) = &mut *lock(&all[part]);
        all.append(&mut own);
        // Memory follows the number of different magnitudes, not of entries.
        if all.len() > *room {
            merge_equal(all);
            *room = SHARE.max(2 * all.len());
        }
        ctx.advance(end - start);
        Ok(())
    })?;
    let merged = all.into_iter().map(|it| {
        let (mut all, _) = it.into_inner().unwrap_or_else(PoisonError::into_inner);
        merge_equal(&mut all);
        all
    });
    Ok(merged.collect())
}

/// Sorts keys, the largest first, and leaves each once.
fn merge_equal(keys: &mut Vec<(u64, u64)>) {
    keys.sort_unstable_by(|a, b| b.cmp(a));
    keys.dedup_by(|next, kept| {
        let equal = next.0 == kept.0;
        kept.1 += if equal { next.1 } else { 0 };
        equal
    });
}

fn shares<S: Source + ?Sized>(source: &S, choose: impl Fn(usize) -> bool) -> Vec<(usize, usize, usize)> {
    let parts = (0..source.num_parts()).filter(|&part| choose(part));
    parts
        .flat_map(|part| {
            let len = source.len(part);
            (0..len).step_by(SHARE).map(move |start| (part, start, len.min(start + SHARE)))
        })
        .collect()
}

/// Calls `visit` with the index and the magnitude key of every entry of a range.
pub(super) fn for_each_key<S: Source + ?Sized>(
    source: &S,
    part: usize,
    range: std::ops::Range<usize>,
    buffer: &mut ReadBuffer,
    mut visit: impl FnMut(usize, u64),
) -> Result<()> {
    for start in range.clone().step_by(PIECE) {
        let piece = start..range.end.min(start + PIECE);
        for_bits!(source.read(part, piece, buffer)?, words => {
            for (at, word) in words.iter().enumerate() {
                visit(start + at, word.magnitude().to_i64().unsigned_abs());
            }
        });
    }
    Ok(())
}
