//! A guess of the cut from a sample, and a bracket that holds the true one but for rare misses.
//!
//! Whole cache lines are read at hashed places, one in each of equal strata. The standard error of the
//! guessed rank comes from the differences between neighbouring strata, so that it widens for data whose
//! scale varies from row to row and narrows for sorted data. Ties need no case of their own: entries are
//! ordered by key *and position*, so a cut through equal entries is a position among them.

use crate::error::Result;
use crate::parallel::{Context, for_each};
use crate::select::order::{Counted, Keys, Nth};
use crate::select::rank::{Cut, Ranking};
use crate::select::scan::{Bracket, Piece, exclude};
use crate::simd::{Kernels, Key, with_kernels};
use crate::source::{ReadBuffer, Source, for_bits};

/// Entries read at each place: two cache lines of f32, which come at the price of one.
const LINE: usize = 32;

/// Strata that one thread samples at a time, at the least, and how often threads take some.
const STRATA: u64 = 256;
const SHARES: u64 = 16;

/// Sampled lines, in the order of their positions.
#[derive(Default)]
struct Sample {
    strata: std::ops::Range<u64>,
    keys: Vec<i64>,
    lines: Vec<Line>,
}

#[derive(Clone, Copy)]
struct Line {
    position: u64,
    len: u32,
}

impl Keys for Sample {
    type State = ();

    fn visit(&self, (): &mut (), visit: impl FnMut(i64), _: &Context<'_>) -> Result<()> {
        self.keys.iter().copied().for_each(visit);
        Ok(())
    }
}

/// A guess of the cut that keeps `num_kept` of the entries of `pieces`.
pub(crate) struct Guess {
    counted: Counted,
    samples: Vec<Sample>,
    size: f64,
    target: f64,
    middle: Cut,
    standard_error: f64,
}

impl Guess {
    pub fn new<S: Source + ?Sized>(
        source: &S,
        pieces: &[Piece<'_>],
        ranking: Ranking,
        range: (i64, i64),
        num_kept: u64,
        shift: f64,
        ctx: &Context<'_>,
    ) -> Result<Self> {
        let len = pieces.last().map_or(0, |last| last.position + last.range.len() as u64);
        // Sampled entries that an existing mask prunes count, below all others.
        let range = (range.0 - 1, range.1);
        // The time of the sample and that of the candidates it leaves are together least near this size.
        let strata = 0.05 * (len as f64).powf(2.0 / 3.0);
        let guess = |strata: f64| {
            let mut samples = draw(source, pieces, ranking, range.0, len, strata.ceil() as u64, ctx)?;
            let size = samples.iter().map(|sample| sample.keys.len()).sum::<usize>() as f64;
            let target = (num_kept as f64 / len as f64 + shift) * size;
            let counted = Counted::new(&mut samples, range, ctx)?;
            let [middle] = cuts(&counted, &mut samples, size, [target], ctx)?;
            let squares: f64 = samples.iter().map(|sample| sample.squared_differences(middle)).sum();
            Ok(Self { counted, samples, size, target, middle, standard_error: (squares / 2.0).sqrt() })
        };
        let first = guess(strata)?;
        // Where neighbours are alike, as under scales that vary from row to row, a line tells little more than one
        // of its entries would, and more lines cost less than the candidates they save.
        if first.standard_error > 2.0 * first.size.sqrt() { guess(3.0 * strata) } else { Ok(first) }
    }

    /// The bracket that many standard errors to either side.
    pub fn bracket(&mut self, spread: f64, ctx: &Context<'_>) -> Result<Bracket> {
        let spread = spread * self.standard_error + LINE as f64;
        let targets = [self.target - spread, self.target + spread];
        let [high, low] = cuts(&self.counted, &mut self.samples, self.size, targets, ctx)?;
        Ok(Bracket { high, middle: self.middle, low })
    }
}

/// Reads the lines, a share of them at a time.
fn draw<S: Source + ?Sized>(
    source: &S,
    pieces: &[Piece<'_>],
    ranking: Ranking,
    lowest: i64,
    len: u64,
    strata: u64,
    ctx: &Context<'_>,
) -> Result<Vec<Sample>> {
    let width = len as f64 / strata as f64;
    let share = STRATA.max(strata.div_ceil(SHARES));
    let mut samples: Vec<_> = (0..strata)
        .step_by(share as usize)
        .map(|first| Sample { strata: first..strata.min(first + share), ..Sample::default() })
        .collect();
    for_each(&mut samples, ctx, ReadBuffer::default, |buffer, sample| {
        let mut places = Vec::with_capacity(share as usize);
        let mut number = 0;
        for stratum in sample.strata.clone() {
            let room = (width as u64).saturating_sub(LINE as u64).max(1);
            let position = ((stratum as f64 * width) as u64 + mix(stratum) % room).min(len - 1);
            // Strata ascend, so a piece is searched for once and then found by walking on.
            if places.is_empty() {
                number = pieces.partition_point(|piece| piece.position <= position) - 1;
            }
            while pieces.get(number + 1).is_some_and(|next| next.position <= position) {
                number += 1;
            }
            let piece = &pieces[number];
            let start = piece.range.start + (position - piece.position) as usize / LINE * LINE;
            source.prefetch(piece.part, start);
            places.push((piece, start));
        }
        sample.keys.reserve(places.len() * LINE);
        for (piece, start) in places {
            sample.read_line(source, piece, ranking, lowest, start, buffer, ctx)?;
        }
        Ok(())
    })?;
    Ok(samples)
}

/// The cuts that keep so many of the sampled entries.
fn cuts<const N: usize>(
    counted: &Counted,
    samples: &mut [Sample],
    size: f64,
    targets: [f64; N],
    ctx: &Context<'_>,
) -> Result<[Cut; N]> {
    // The entry at a cut is the first that it does not keep, hence the rank after the target.
    let ranks = targets.map(|target| target.clamp(0.0, size - 1.0) as u64 + 1);
    let mut found = counted.find(samples, ranks, ctx)?.map(|nth| {
        let position = if nth.ties == 1 { 0 } else { position_of(samples, nth) };
        Cut { key: nth.key, position }
    });
    for (cut, target) in found.iter_mut().zip(targets) {
        if target < 0.0 {
            *cut = Cut::NONE;
        } else if target >= size {
            *cut = Cut::ALL;
        }
    }
    Ok(found)
}

/// The position of that one of equal keys.
fn position_of(samples: &[Sample], nth: Nth) -> u64 {
    let lines = samples.iter().flat_map(|sample| {
        let positions =
            sample.lines.iter().flat_map(|line| line.position..line.position + u64::from(line.len));
        sample.keys.iter().zip(positions)
    });
    let mut ties = lines.filter(|&(&key, _)| key == nth.key);
    ties.nth(nth.place as usize - 1).map_or(0, |(_, position)| position)
}

impl Sample {
    #[expect(clippy::too_many_arguments, reason = "one call, from the loop above")]
    fn read_line<S: Source + ?Sized>(
        &mut self,
        source: &S,
        piece: &Piece<'_>,
        ranking: Ranking,
        lowest: i64,
        start: usize,
        buffer: &mut ReadBuffer,
        ctx: &Context<'_>,
    ) -> Result<()> {
        let range = start..piece.range.end.min(start + LINE);
        let dtype = source.dtype(piece.part);
        let bits = source.read(piece.part, range.clone(), buffer)?;
        let position = piece.position + (start - piece.range.start) as u64;
        self.lines.push(Line { position, len: range.len() as u32 });
        for_bits!(bits, words => with_kernels!(ctx.level, kernels => {
            let mut keys = [Key::MIN; LINE];
            let keys = &mut keys[..words.len()];
            kernels.keys(words, ranking.recipe(dtype), keys);
            if let Some(kept) = source.kept(piece.part) {
                exclude(keys, &kept[range]);
            }
            self.keys.extend(keys.iter().map(|key| ranking.lift(dtype, key.to_i64()).max(lowest)));
        }));
        Ok(())
    }

    /// The sum of the squared differences between neighbouring lines' numbers of entries that `cut` keeps: twice
    /// the variance of their total.
    fn squared_differences(&self, cut: Cut) -> f64 {
        let mut keys = self.keys.as_slice();
        let mut last = None;
        let mut squares = 0.0;
        for line in &self.lines {
            let (these, rest) = keys.split_at(line.len as usize);
            keys = rest;
            let threshold = if line.position < cut.position { cut.key } else { cut.key.saturating_add(1) };
            let kept = these.iter().filter(|&&key| key >= threshold).count() as f64;
            squares += last.map_or(0.0, |last: f64| (kept - last) * (kept - last));
            last = Some(kept);
        }
        squares
    }
}

/// A hash of the stratum's number (the finaliser of SplitMix64): the place in a stratum must not keep step
/// with the weights.
fn mix(number: u64) -> u64 {
    let mut z = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x6a09_e667_f3bc_c909;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
