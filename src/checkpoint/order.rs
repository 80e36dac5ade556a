//! Exact order statistics of magnitudes, from histograms of ever finer digits: memory is the same for any size.

use crate::checkpoint::share::share;
use crate::checkpoint::targets::Targets;
use crate::dtype::DType;
use crate::error::Result;
use crate::mask::Grid;
use crate::parallel::Context;
use crate::simd::{Key, Word};
use crate::source::{ReadBuffer, Source, for_bits};

/// Bits of the keys that one pass over the entries resolves: few for few entries, where the histograms would
/// cost more than the passes.
fn digit_bits(len: usize) -> u32 {
    if len < 1 << 20 { 11 } else { 16 }
}

/// How magnitudes of several formats are compared: by their own keys where there is one format, else by
/// those of the same values as f64.
#[derive(Debug, Clone, Copy)]
enum Keys {
    Of(DType),
    Mixed,
}

impl Keys {
    fn bits(self) -> u32 {
        match self {
            Self::Of(dtype) => i64::BITS - dtype.limit().leading_zeros(),
            Self::Mixed => 63,
        }
    }

    fn key(self, dtype: DType, magnitude: i64) -> i64 {
        match self {
            Self::Of(_) => magnitude,
            Self::Mixed => dtype.widen(magnitude),
        }
    }

    fn value(self, key: i64) -> f64 {
        DType::value_of_wide(match self {
            Self::Of(dtype) => dtype.widen(key),
            Self::Mixed => key,
        })
    }
}

/// A statistic that is looked for: the leading digits of its key, and its rank among the keys that share them.
#[derive(Debug, Clone, Copy)]
struct Wanted {
    prefix: i64,
    rank: u64,
}

/// The magnitudes of the given ascending ranks, 0 the smallest, among the entries of `parts` that are not NaN.
///
/// # Panics
/// If a rank is not below the number of these entries.
pub(super) fn magnitudes(
    targets: &Targets<'_>,
    parts: &[usize],
    ranks: &[u64],
    ctx: &Context<'_>,
) -> Result<Vec<f64>> {
    let (keys, digit_bits) = (keys(targets, parts), digit_bits(num_entries(targets, parts)));
    let mut wanted: Vec<_> = ranks.iter().map(|&rank| Wanted { prefix: 0, rank }).collect();
    let mut left = keys.bits();
    while left > 0 {
        let digit = left.min(digit_bits);
        left -= digit;
        let mut prefixes: Vec<_> = wanted.iter().map(|wanted| wanted.prefix).collect();
        prefixes.dedup();
        let counts =
            count(targets, parts, keys, &Digit { prefixes: &prefixes, bits: digit, shift: left }, ctx)?;
        for wanted in &mut wanted {
            let row = prefixes.partition_point(|&prefix| prefix < wanted.prefix);
            let digits = (0..).zip(&counts[row << digit..(row + 1) << digit]);
            let found = digits.into_iter().find(|(_, count)| {
                let found = wanted.rank < **count;
                wanted.rank -= if found { 0 } else { **count };
                found
            });
            wanted.prefix = wanted.prefix << digit | found.expect("a rank below the number of entries").0;
        }
    }
    Ok(wanted.into_iter().map(|wanted| keys.value(wanted.prefix)).collect())
}

/// How many passes [`magnitudes`] makes over the entries.
pub(super) fn num_passes(targets: &Targets<'_>, parts: &[usize]) -> u64 {
    u64::from(keys(targets, parts).bits().div_ceil(digit_bits(num_entries(targets, parts))))
}

fn num_entries(targets: &Targets<'_>, parts: &[usize]) -> usize {
    parts.iter().map(|&part| targets.len(part)).sum()
}

fn keys(targets: &Targets<'_>, parts: &[usize]) -> Keys {
    let mut dtypes = parts.iter().map(|&part| targets.dtype(part));
    match dtypes.next() {
        Some(first) if dtypes.all(|dtype| dtype == first) => Keys::Of(first),
        _ => Keys::Mixed,
    }
}

/// What one pass looks at: a digit of the keys whose higher digits are one of `prefixes`, which ascend.
#[derive(Debug, Clone, Copy)]
struct Digit<'a> {
    prefixes: &'a [i64],
    bits: u32,
    shift: u32,
}

/// What a thread counts: a row of `2^bits` numbers for each prefix.
#[derive(Debug, Default)]
struct Counts {
    buffer: ReadBuffer,
    rows: Vec<u64>,
}

fn count(
    targets: &Targets<'_>,
    parts: &[usize],
    keys: Keys,
    digit: &Digit<'_>,
    ctx: &Context<'_>,
) -> Result<Vec<u64>> {
    let size = digit.prefixes.len() << digit.bits;
    let pieces = parts
        .iter()
        .flat_map(|&part| Grid::new(targets.len(part), 1).pieces().map(move |range| (part, range)));
    let threads = share(pieces, ctx, |Counts { buffer, rows }: &mut Counts, (part, range)| {
        rows.resize(size, 0);
        let (dtype, len) = (targets.dtype(part), range.len());
        for_bits!(targets.read(part, range, buffer)?, bits => add(bits, dtype, keys, digit, rows));
        ctx.advance(len);
        Ok(())
    })?;
    let mut sum = vec![0; size];
    for thread in threads {
        sum.iter_mut().zip(thread.rows).for_each(|(sum, count)| *sum += count);
    }
    Ok(sum)
}

fn add<W: Word>(bits: &[W], dtype: DType, keys: Keys, digit: &Digit<'_>, rows: &mut [u64]) {
    let low = (1 << digit.bits) - 1;
    for magnitude in bits.iter().map(|bits| bits.magnitude().to_i64()).filter(|&it| it <= dtype.limit()) {
        let key = keys.key(dtype, magnitude) >> digit.shift;
        if let Some(row) = digit.prefixes.iter().position(|&prefix| prefix == key >> digit.bits) {
            rows[row << digit.bits | usize::try_from(key & low).unwrap_or_default()] += 1;
        }
    }
}
