//! Layer-adaptive magnitude pruning: one ranking of all entries by their share of what is left of their array.
//!
//! The score of an entry is its square over the sum of the squares of the entries of its array that are not below
//! it (Lee, Park, Mo, Ahn and Shin, "Layer-adaptive sparsity for the magnitude-based pruning", ICLR 2021). Along the
//! order of an array it never rises, in rounded arithmetic too, so a ranking by it keeps the largest of each array,
//! and all there is to find is how many.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use crate::allocate::scale::{Scale, fraction};
use crate::allocate::tally::{for_each_key, gather, scales, tally};
use crate::error::Result;
use crate::parallel::{Context, sort};
use crate::ratio::Amount;
use crate::source::{ReadBuffer, Source};

/// Neighbours in the order of one array: how many, and between which scores.
struct Span<T> {
    part: usize,
    count: u64,
    low: f64,
    high: f64,
    of: T,
}

/// A bin of an array: its number, that of the array's first, and the sum of the squares before it.
struct Bin {
    scale: Scale,
    number: usize,
    top: usize,
    sum: f64,
}

impl Bin {
    /// A sum of its squares, in the unit of all sums of the array.
    fn value(&self, squares: u128) -> f64 {
        self.scale.in_unit_of(self.top, self.number, squares)
    }
}

/// Equal magnitudes of a bin, and the sum of the squares before them in it.
struct Run<'a> {
    bin: &'a Bin,
    key: u64,
    before: u128,
}

impl Run<'_> {
    /// The score of the entry at that place among the equal ones; the first is 1.
    fn score(&self, place: u64) -> f64 {
        let square = self.bin.scale.square(self.key);
        let before = self.bin.value(self.before + square * u128::from(place));
        fraction(self.bin.value(square), self.bin.sum + before)
    }
}

impl Span<Run<'_>> {
    /// How many of its entries have a score for which `reaches` holds; it holds for all above one that it holds for.
    fn count(&self, reaches: impl Fn(f64) -> bool) -> u64 {
        let (mut reached, mut missed) = (0, self.count + 1);
        while reached + 1 < missed {
            let middle = u64::midpoint(reached, missed);
            if reaches(self.of.score(middle)) { reached = middle } else { missed = middle }
        }
        reached
    }
}

/// How many entries of each part are pruned when those of the highest scores are kept over all of them.
///
/// Of equal scores those of an earlier part are kept first. Two passes over the entries; memory follows the number
/// of different magnitudes near the threshold.
///
/// # Errors
/// [`crate::Error::CountOutOfRange`], [`crate::Error::NanEntry`] of the first NaN, errors of files.
pub fn lamp_counts<S: Source + ?Sized>(source: &S, amount: Amount, ctx: &Context<'_>) -> Result<Vec<u64>> {
    let lens: Vec<_> = (0..source.num_parts()).map(|part| source.len(part) as u64).collect();
    let len = lens.iter().sum();
    let num_kept = len - amount.num_pruned(len, "all arrays together")?;
    let scales = scales(source);
    let bins = bins(source, &scales, ctx)?;
    let mut kept = vec![0; lens.len()];
    if num_kept > 0 {
        let (bins, _, num_left) = undecided(bins, num_kept, &mut kept);
        let runs = runs(source, &scales, &bins, ctx)?;
        let (runs, [low, high], num_left) = undecided(runs, num_left, &mut kept);
        let threshold = threshold(&runs, low, high, num_left);
        let above: Vec<_> = runs.iter().map(|run| run.count(|score| score > threshold)).collect();
        let mut ties = num_left - above.iter().sum::<u64>();
        for (run, above) in runs.iter().zip(above) {
            let equal = ties.min(run.count(|score| score >= threshold) - above);
            kept[run.part] += above + equal;
            ties -= equal;
        }
    }
    Ok(lens.iter().zip(kept).map(|(len, kept)| len - kept).collect())
}

/// The bins of all parts, from the largest magnitudes of each down.
fn bins<S: Source + ?Sized>(source: &S, scales: &[Scale], ctx: &Context<'_>) -> Result<Vec<Span<Bin>>> {
    let tallies = tally(source, scales, ctx)?;
    let mut spans = Vec::with_capacity(tallies.iter().map(BTreeMap::len).sum());
    for (part, bins) in tallies.into_iter().enumerate() {
        let (scale, mut sum) = (scales[part], 0.0);
        let top = bins.last_key_value().map_or(0, |(&top, _)| top);
        for (&number, total) in bins.iter().rev() {
            let bin = Bin { scale, number, top, sum };
            let [least, largest] = scale.keys(number).map(|key| bin.value(scale.square(key)));
            let end = sum + bin.value(total.squares);
            let high = if sum > 0.0 { (largest / sum).min(1.0) } else { 1.0 };
            spans.push(Span { part, count: total.count, low: fraction(least, end), high, of: bin });
            sum = end;
        }
    }
    Ok(spans)
}

/// The runs of equal magnitudes in some bins.
fn runs<'a, S: Source + ?Sized>(
    source: &S,
    scales: &[Scale],
    bins: &'a [Span<Bin>],
    ctx: &Context<'_>,
) -> Result<Vec<Span<Run<'a>>>> {
    let mut wanted: Vec<Option<RangeInclusive<usize>>> = vec![None; scales.len()];
    for bin in bins {
        let number = bin.of.number;
        let last = wanted[bin.part].as_ref().map_or(number, |range| *range.end());
        wanted[bin.part] = Some(number..=last);
    }
    let gathered = gather(source, scales, &wanted, ctx)?;
    let mut rest: Vec<_> = gathered.iter().map(Vec::as_slice).collect();
    let mut spans = Vec::new();
    for &Span { part, of: ref bin, .. } in bins {
        let mut before = 0;
        let (own, others) =
            rest[part].split_at(rest[part].partition_point(|&(key, _)| bin.scale.bin(key) >= bin.number));
        rest[part] = others;
        for &(key, count) in own {
            let run = Run { bin, key, before };
            before += bin.scale.square(key) * u128::from(count);
            spans.push(Span { part, count, low: run.score(count), high: run.score(1), of: run });
        }
    }
    Ok(spans)
}

/// Counts the entries of spans that are certainly among the first `num_kept`, and returns the spans that may be
/// partly, scores between which the last one kept lies, and how many of those spans' entries are kept.
fn undecided<T>(spans: Vec<Span<T>>, num_kept: u64, kept: &mut [u64]) -> (Vec<Span<T>>, [f64; 2], u64) {
    let bounds: [fn(&Span<T>) -> f64; 2] = [|span| span.low, |span| span.high];
    let [low, high] = bounds.map(|bound| {
        let mut ranked: Vec<_> = spans.iter().map(|span| (bound(span), span.count)).collect();
        ranked.sort_unstable_by(|a, b| b.0.total_cmp(&a.0));
        let mut left = num_kept;
        let last = ranked.into_iter().find(|&(_, count)| {
            let reached = left <= count;
            left = left.saturating_sub(count);
            reached
        });
        last.map_or(0.0, |(score, _)| score)
    });
    let mut left = num_kept;
    let open = spans.into_iter().filter(|span| {
        if span.low > high {
            kept[span.part] += span.count;
            left -= span.count;
        }
        span.low <= high && span.high >= low
    });
    let open = open.collect();
    (open, [low, high], left)
}

/// The score of rank `num_kept` in some runs, which lies in `low..=high`: the largest that so many reach.
fn threshold(runs: &[Span<Run<'_>>], low: f64, high: f64, num_kept: u64) -> f64 {
    // Scores are not negative: their bits are ordered as they are.
    let (mut reached, mut missed) = (low.to_bits(), high.to_bits() + 1);
    while reached + 1 < missed {
        let middle = u64::midpoint(reached, missed);
        let count: u64 = runs.iter().map(|run| run.count(|score| score.to_bits() >= middle)).sum();
        if count >= num_kept { reached = middle } else { missed = middle }
    }
    f64::from_bits(reached)
}

/// Writes the score of each entry of a part. Of equal magnitudes the one at the lower index counts as the larger.
///
/// # Errors
/// As [`lamp_counts`].
///
/// # Panics
/// If `scores` is not as long as the part.
pub fn lamp_scores<S: Source + ?Sized>(
    source: &S,
    part: usize,
    scores: &mut [f64],
    ctx: &Context<'_>,
) -> Result<()> {
    let (len, name) = (source.len(part), source.name(part));
    assert_eq!(scores.len(), len, "a score for each entry");
    let scale = Scale::new(source.dtype(part), len);
    let (mut order, mut nan) = (Vec::with_capacity(len), None);
    for_each_key(source, part, 0..len, &mut ReadBuffer::default(), |at, key| {
        nan = nan.or(scale.is_nan(key).then_some(at));
        order.push((!key, at));
    })?;
    if let Some(index) = nan {
        return Err(crate::Error::NanEntry { name, index });
    }
    ctx.check()?;
    sort(&mut order);
    let top = order.first().map_or(0, |&(key, _)| scale.bin(!key));
    let (mut bin, mut sum, mut before) = (top, 0.0, 0);
    for (key, at) in order {
        let (own, square) = (scale.bin(!key), scale.square(!key));
        if own != bin {
            sum += scale.in_unit_of(top, bin, before);
            (bin, before) = (own, 0);
        }
        before += square;
        let value = |squares| scale.in_unit_of(top, bin, squares);
        scores[at] = fraction(value(square), sum + value(before));
    }
    ctx.advance(len);
    Ok(())
}
