//! What a checkpoint holds: zeros, N:M groups and magnitudes, tensor by tensor and in total.

use crate::checkpoint::order;
use crate::checkpoint::share::share;
use crate::checkpoint::targets::Targets;
use crate::error::Result;
use crate::mask::Grid;
use crate::parallel::Context;
use crate::plan::Layout;
use crate::simd::{Key, Word};
use crate::source::{ReadBuffer, Source, for_bits};

/// The patterns that are looked for: (kept, group).
pub const PATTERNS: [(usize, usize); 3] = [(1, 4), (2, 4), (4, 8)];

/// The quantiles that are reported, in percent.
pub const PERCENTS: [u8; 7] = [0, 1, 10, 50, 90, 99, 100];

/// Facts about the entries of one or more tensors.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Statistics {
    /// How many entries there are.
    pub num_entries: u64,
    /// How many are zero, of either sign.
    pub num_zeros: u64,
    /// How many are NaN.
    pub num_nan: u64,
    /// For each of [`PATTERNS`], how many of the groups have at most `kept` entries that are not zero, and how
    /// many groups there are: none where the groups do not divide the axis.
    pub groups: [(u64, u64); 3],
    /// For each of [`PERCENTS`] p, the magnitude of rank floor(p / 100 * (n - 1)) among the n entries that are
    /// not NaN, rank 0 the smallest; `None` where there is none.
    pub quantiles: Option<[f64; 7]>,
}

/// The statistics of each target, and of all of them together.
///
/// # Errors
/// [`crate::Error::Io`] when a file cannot be read.
pub fn inspect(targets: &Targets<'_>, ctx: &Context<'_>) -> Result<(Vec<Statistics>, Statistics)> {
    let mut all = Vec::with_capacity(targets.num_parts());
    let mut total = Statistics::default();
    for (part, layout) in targets.layouts().into_iter().enumerate() {
        let mut one = count(targets, part, layout, ctx)?;
        total.add(&one);
        one.quantiles = quantiles(targets, &[part], &one, ctx)?;
        all.push(one);
    }
    let parts: Vec<_> = (0..targets.num_parts()).collect();
    total.quantiles = quantiles(targets, &parts, &total, ctx)?;
    Ok((all, total))
}

/// How many entries [`inspect`] passes at most, counted each time.
#[must_use]
pub fn num_passed(targets: &Targets<'_>) -> u64 {
    let parts: Vec<_> = (0..targets.num_parts()).collect();
    let in_total = order::num_passes(targets, &parts);
    parts
        .iter()
        .map(|&part| targets.len(part) as u64 * (1 + in_total + order::num_passes(targets, &[part])))
        .sum()
}

impl Statistics {
    fn add(&mut self, other: &Self) {
        self.num_entries += other.num_entries;
        self.num_zeros += other.num_zeros;
        self.num_nan += other.num_nan;
        for (sum, groups) in self.groups.iter_mut().zip(other.groups) {
            *sum = (sum.0 + groups.0, sum.1 + groups.1);
        }
    }
}

fn quantiles(
    targets: &Targets<'_>,
    parts: &[usize],
    statistics: &Statistics,
    ctx: &Context<'_>,
) -> Result<Option<[f64; 7]>> {
    let Some(last) = (statistics.num_entries - statistics.num_nan).checked_sub(1) else { return Ok(None) };
    // floor(percent * last / 100), which may not overflow.
    let rank = |percent: u64| last / 100 * percent + last % 100 * percent / 100;
    let ranks = PERCENTS.map(|percent| rank(percent.into()));
    Ok(order::magnitudes(targets, parts, &ranks, ctx)?.try_into().ok())
}

/// What a thread counts.
#[derive(Debug, Default)]
struct Counts {
    buffer: ReadBuffer,
    statistics: Statistics,
}

fn count(targets: &Targets<'_>, part: usize, layout: Layout, ctx: &Context<'_>) -> Result<Statistics> {
    let (len, dtype) = (targets.len(part), targets.dtype(part));
    let divides = |group: usize| layout.group_axis_len.is_multiple_of(group);
    let patterns = PATTERNS.map(|(kept, group)| divides(group).then_some((kept, group)));
    let largest = patterns.iter().flatten().map(|(_, group)| *group).max();
    let pieces = Grid::whole(len, largest.map_or(1, |group| group * layout.group_stride)).pieces();
    let threads = share(pieces, ctx, |Counts { buffer, statistics }: &mut Counts, range| {
        statistics.num_entries += range.len() as u64;
        for_bits!(targets.read(part, range.clone(), buffer)?, bits => {
            statistics.num_zeros += count_if(bits, |magnitude| magnitude == 0);
            statistics.num_nan += count_if(bits, |magnitude| magnitude > dtype.limit());
            for (sum, pattern) in statistics.groups.iter_mut().zip(patterns) {
                if let Some((kept, group)) = pattern {
                    sum.0 += conforming(bits, kept, group, layout.group_stride);
                    sum.1 += (bits.len() / group) as u64;
                }
            }
        });
        ctx.advance(range.len());
        Ok(())
    })?;
    let mut sum = Statistics::default();
    for thread in threads {
        sum.add(&thread.statistics);
    }
    Ok(sum)
}

fn count_if<W: Word>(bits: &[W], is: impl Fn(i64) -> bool) -> u64 {
    bits.iter().filter(|bits| is(bits.magnitude().to_i64())).count() as u64
}

/// How many groups of `group` entries, `stride` apart, have at most `kept` that are not zero.
fn conforming<W: Word>(bits: &[W], kept: usize, group: usize, stride: usize) -> u64 {
    let nonzero = |bits: &W| usize::from(bits.magnitude().to_i64() != 0);
    let blocks = bits.chunks_exact(group * stride);
    let counts = blocks.flat_map(|block| {
        (0..stride).map(move |lane| block[lane..].iter().step_by(stride).map(nonzero).sum::<usize>())
    });
    counts.filter(|&count| count <= kept).count() as u64
}

#[cfg(test)]
mod tests;
