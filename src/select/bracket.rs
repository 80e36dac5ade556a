//! A guess of the cut from a sample, and a bracket that holds the true one but for rare misses.
//!
//! Whole cache lines are read at hashed places, one in each of equal strata. The standard error of the
//! guessed rank comes from the differences between neighbouring strata, so that it widens for data whose
//! scale varies from row to row and narrows for sorted data. Ties need no case of their own: entries are
//! ordered by key *and position*, so a cut through equal entries is a position among them.

use crate::error::Result;
use crate::parallel::{Context, for_each};
use crate::select::Tuning;
use crate::select::rank::{Cut, Ranking};
use crate::select::scan::{Bracket, Piece, exclude};
use crate::simd::{Kernels, Key, with_kernels};
use crate::source::{ReadBuffer, Source, for_bits};

/// Entries read at each place: a cache line of f32.
const LINE: usize = 16;

/// Below this many entries every one is a candidate.
const ALL_CANDIDATES: u64 = 2048;

/// Strata of one piece of sampling work.
const STRATA: usize = 1024;

/// The sampled lines, in the order of their positions.
#[derive(Default)]
struct Sample {
    keys: Vec<i64>,
    lines: Vec<Line>,
}

struct Line {
    position: u64,
    len: u8,
}

/// A bracket around the cut that keeps `num_kept` of the entries of `pieces`.
pub(crate) fn bracket<S: Source + ?Sized>(
    source: &S,
    pieces: &[Piece<'_>],
    ranking: Ranking,
    num_kept: u64,
    tuning: Tuning,
    ctx: &Context<'_>,
) -> Result<Bracket> {
    let len = pieces.last().map_or(0, |last| last.position + last.range.len() as u64);
    let everything = Bracket { high: Cut::NONE, middle: Cut::NONE, low: Cut::ALL };
    if num_kept == 0 {
        return Ok(Bracket::exact(Cut::NONE));
    }
    if len <= ALL_CANDIDATES {
        return Ok(everything);
    }
    let sample = draw(source, pieces, ranking, len, ctx)?;
    let size = sample.keys.len();
    let target = (num_kept as f64 / len as f64 * size as f64 + tuning.shift * size as f64).max(0.0);
    let mut sorted = sample.keys.clone();
    let middle = sample.cut(&mut sorted, target as usize);
    let spread = tuning.spread * sample.standard_error(middle) + LINE as f64;
    let high = if target > spread { sample.cut(&mut sorted, (target - spread) as usize) } else { Cut::NONE };
    let low = sample.cut(&mut sorted, (target + spread).ceil() as usize);
    Ok(Bracket { high, middle, low })
}

fn draw<S: Source + ?Sized>(
    source: &S,
    pieces: &[Piece<'_>],
    ranking: Ranking,
    len: u64,
    ctx: &Context<'_>,
) -> Result<Sample> {
    // The time of the sample and that of the candidates it leaves are together least near this size.
    let strata = (0.1 * (len as f64).powf(2.0 / 3.0)).ceil() as u64;
    let width = len as f64 / strata as f64;
    let mut samples: Vec<_> =
        (0..strata).step_by(STRATA).map(|first| (first, Sample::default())).collect();
    for_each(&mut samples, ctx, ReadBuffer::default, |buffer, (first, sample)| {
        let mut at = 0;
        for stratum in *first..strata.min(*first + STRATA as u64) {
            let start = (stratum as f64 * width) as u64;
            let room = (width as u64).saturating_sub(LINE as u64).max(1);
            let position = (start + mix(stratum) % room).min(len - 1);
            // Strata ascend, so the piece is found by walking on.
            if at == 0 {
                at = pieces.partition_point(|piece| piece.position <= position) - 1;
            }
            while pieces.get(at + 1).is_some_and(|next| next.position <= position) {
                at += 1;
            }
            read_line(source, &pieces[at], ranking, position, buffer, sample, ctx)?;
        }
        Ok(())
    })?;
    let mut whole = Sample::default();
    for (_, sample) in samples {
        whole.keys.extend(sample.keys);
        whole.lines.extend(sample.lines);
    }
    Ok(whole)
}

fn read_line<S: Source + ?Sized>(
    source: &S,
    piece: &Piece<'_>,
    ranking: Ranking,
    position: u64,
    buffer: &mut ReadBuffer,
    sample: &mut Sample,
    ctx: &Context<'_>,
) -> Result<()> {
    let start = piece.range.start + (position - piece.position) as usize / LINE * LINE;
    let range = start..piece.range.end.min(start + LINE);
    let dtype = source.dtype(piece.part);
    let bits = source.read(piece.part, range.clone(), buffer)?;
    sample.lines.push(Line {
        position: piece.position + (start - piece.range.start) as u64,
        len: range.len() as u8,
    });
    for_bits!(bits, words => with_kernels!(ctx.level, kernels => {
        let mut keys = [Key::MIN; LINE];
        let keys = &mut keys[..words.len()];
        kernels.keys(words, ranking.recipe(dtype), keys);
        if let Some(kept) = source.kept(piece.part) {
            exclude(keys, &kept[range]);
        }
        push(sample, keys, |key| ranking.lift(dtype, key));
    }));
    Ok(())
}

fn push<K: Key>(sample: &mut Sample, keys: &[K], lift: impl Fn(i64) -> i64) {
    sample.keys.extend(keys.iter().map(|key| lift(key.to_i64())));
}

impl Sample {
    /// The cut that keeps `rank` of the sampled entries; `sorted` holds their keys in any order.
    fn cut(&self, sorted: &mut [i64], rank: usize) -> Cut {
        if rank >= sorted.len() {
            return Cut::ALL;
        }
        let (above, &mut key, _) = sorted.select_nth_unstable_by(rank, |a, b| b.cmp(a));
        let ties_before = rank - above.iter().filter(|&&other| other > key).count();
        let mut ties = self.entries().filter(|&(other, _)| other == key);
        let position = ties.nth(ties_before).map_or(0, |(_, position)| position);
        Cut { key, position }
    }

    /// Keys with their positions.
    fn entries(&self) -> impl Iterator<Item = (i64, u64)> {
        let positions = self.lines.iter().flat_map(|line| line.position..line.position + u64::from(line.len));
        self.keys.iter().copied().zip(positions)
    }

    /// The standard error of the number of sampled entries that `cut` keeps.
    fn standard_error(&self, cut: Cut) -> f64 {
        let mut keys = self.keys.as_slice();
        let mut last = None;
        let mut squares = 0.0;
        for line in &self.lines {
            let (these, rest) = keys.split_at(usize::from(line.len));
            keys = rest;
            let kept = these.iter().zip(line.position..).filter(|&(&key, position)| cut.keeps(key, position));
            let kept = kept.count() as f64;
            squares += last.map_or(0.0, |last: f64| (kept - last) * (kept - last));
            last = Some(kept);
        }
        (squares / 2.0).sqrt()
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
