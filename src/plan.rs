//! One request over many arrays: decided once, then emitted piece by piece, in any order and place.
//!
//! A plan is small: cuts, counts, streams and the few entries where a random mask differs from its coin
//! flips. So the masks of arrays larger than memory never exist whole.

use std::ops::Range;

use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::mask::{
    Grid, Mask, Output, PIECE, append_bits, count_kept, num_nonzero, read_packed, words_of_bytes,
};
use crate::parallel::{Context, for_each};
use crate::ratio::{Amount, NofM, Ratio};
use crate::sample::{Coin, Pattern, Stream, Words, correct};
use crate::select::{
    BLOCK, Cut, Nan, Piece, Ranking, Scope, Score, Step, Tuning, append_pieces, count_ties, cut_words,
    exclude, first_nan, keep_groups, keep_rows, keep_top,
};
use crate::simd::{Kernels, Key, Word, with_kernels};
use crate::source::{Bits, ReadBuffer, Source, for_bits};

/// Arrays of at most so many entries are worked on at the same time, larger ones one after another.
const SMALL: usize = 1 << 20;

/// How entries are chosen.
#[derive(Debug, Clone)]
pub enum Method {
    /// By score, with that place for NaN.
    Top(Score, Nan),
    /// At random, whatever the values are.
    Random {
        /// The seed of the draws that several arrays share.
        seed: u64,
        /// The stream of each array.
        streams: Vec<Stream>,
    },
}

/// How many entries are pruned, and out of what.
#[derive(Debug, Clone, Copy)]
pub enum Rule {
    /// So many of each scope.
    Amount(Amount, Scope),
    /// All but N of every M.
    Pattern(NofM),
}

/// What to prune.
#[derive(Debug, Clone)]
pub struct Request {
    /// How entries are chosen.
    pub method: Method,
    /// How many, out of what.
    pub rule: Rule,
}

/// What a request needs to know of an array's shape.
#[derive(Debug, Clone, Copy)]
pub struct Layout {
    /// Entries of a row of the matrix view.
    pub row_len: usize,
    /// Length of the axis that N:M groups divide.
    pub group_axis_len: usize,
    /// Entries from one index of that axis to the next.
    pub group_stride: usize,
}

impl Layout {
    /// The layout of a row-major array of that shape with groups along `group_axis`.
    ///
    /// The matrix view has `shape[0]` rows, or one where there are fewer than two dimensions. An array
    /// without dimensions counts as one of shape `[1]`.
    #[must_use]
    pub fn new(shape: &[usize], group_axis: usize) -> Self {
        let row = if shape.len() < 2 { shape } else { &shape[1..] };
        Self {
            row_len: row.iter().product(),
            group_axis_len: shape.get(group_axis).copied().unwrap_or(1),
            group_stride: shape.iter().skip(group_axis + 1).product(),
        }
    }
}

/// What a plan does to one array.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Summary {
    /// Entries of the array.
    pub num_entries: u64,
    /// Entries pruned.
    pub num_pruned: u64,
    /// The least score kept, where one threshold divides kept from pruned.
    pub threshold: Option<f64>,
    /// Entries with that score, kept or not, among all that compete.
    pub num_ties: u64,
}

/// A decided request.
#[derive(Debug)]
pub struct Plan {
    parts: Vec<Part>,
}

#[derive(Debug)]
struct Part {
    dtype: DType,
    len: usize,
    layout: Layout,
    choice: Choice,
    summary: Summary,
}

/// How the mask of one array is made.
#[derive(Debug, Clone)]
enum Choice {
    Cut { ranking: Ranking, cut: Cut, position: u64 },
    Rows { ranking: Ranking, num_kept: u64 },
    LongRows { ranking: Ranking, cuts: Vec<Cut> },
    Groups { ranking: Ranking, pattern: NofM },
    Coins { coin: Coin, flips: Vec<u64> },
    RandomRows { coin: Coin, stream: Stream, num_kept: u64 },
    RandomGroups { stream: Stream, pattern: Pattern },
}

/// Memory of one thread, to use again from piece to piece.
#[derive(Debug, Default)]
pub struct Scratch {
    keys: ReadBuffer,
    spare: ReadBuffer,
    kept: Vec<u64>,
}

/// Reads what it needs of the arrays, in bounded memory, and decides which entries are kept.
///
/// # Errors
/// Of bad amounts, of axes that do not divide, of NaN (the first, where it is an error), of files.
pub fn decide<S: Source + ?Sized>(
    source: &S,
    layouts: &[Layout],
    request: &Request,
    ctx: &Context<'_>,
) -> Result<Plan> {
    Planner { source, layouts, request, ctx }.decide()
}

/// Writes the mask of each array to its output. Where `preserve` is set, nothing is written if the request
/// is bad, at the price of one more pass that looks for NaN; otherwise the outputs of a failed call hold
/// anything.
///
/// # Errors
/// As [`decide`], and [`Error::LengthMismatch`] for an output of the wrong size.
pub fn fill<S: Source + ?Sized>(
    source: &S,
    layouts: &[Layout],
    outputs: Vec<Output<'_>>,
    request: &Request,
    preserve: bool,
    ctx: &Context<'_>,
) -> Result<()> {
    Planner { source, layouts, request, ctx }.fill(outputs, preserve)
}

/// Writes a mask whose entries are each pruned with probability `ratio`, independently: the count is random.
///
/// # Errors
/// [`Error::Interrupted`].
pub fn fill_bernoulli(
    stream: Stream,
    ratio: Ratio,
    len: usize,
    mut output: Output<'_>,
    ctx: &Context<'_>,
) -> Result<()> {
    let coin = Coin::for_density(stream, 1.0 - ratio.get());
    let mut jobs = Vec::new();
    for range in Grid::new(len, output.unit(len)).pieces() {
        jobs.push((range.clone(), output.take(range.len())));
    }
    for_each(&mut jobs, ctx, Vec::new, |words, (range, output)| {
        coin.bits(ctx.level, range.start, range.len(), words);
        output.write(ctx.level, 0, range.len(), words);
        Ok(())
    })
}

struct Planner<'a, S: ?Sized> {
    source: &'a S,
    layouts: &'a [Layout],
    request: &'a Request,
    ctx: &'a Context<'a>,
}

/// Pieces that compete for one budget.
struct Contest<'o> {
    pieces: Vec<Piece<'o>>,
    parts: Range<usize>,
    num_kept: u64,
    cut: Result<Cut>,
    num_ties: u64,
}

impl<S: Source + ?Sized> Planner<'_, S> {
    fn decide(&self) -> Result<Plan> {
        let budgets = self.budgets()?;
        let mut plan = Plan { parts: Vec::new() };
        match (&self.request.method, self.request.rule) {
            (&Method::Top(score, nan), Rule::Amount(_, scope)) if scope != Scope::Row => {
                let mut contests = self.contests(&budgets, &mut self.no_outputs());
                self.run(&mut contests, score, nan, true)?;
                for contest in contests {
                    let cut = contest.cut?;
                    let ranking = Ranking::new(self.source, contest.parts.clone(), score, nan);
                    for part in contest.parts.clone() {
                        let pieces = || contest.pieces.iter().filter(|piece| piece.part == part);
                        let position = pieces().next().map_or(0, |piece| piece.position);
                        let num_kept: u64 = pieces().map(|piece| piece.certain).sum();
                        let threshold =
                            (contest.num_kept > 0).then(|| ranking.value(self.source.dtype(part), cut.key));
                        let choice = Choice::Cut { ranking, cut, position };
                        plan.parts.push(self.part(part, choice, num_kept, threshold, contest.num_ties));
                    }
                }
            }
            (Method::Random { seed, streams }, Rule::Amount(_, scope)) if scope != Scope::Row => {
                let mut contests = self.contests(&budgets, &mut self.no_outputs());
                for contest in &mut contests {
                    for (part, coin, flips) in self.draw(contest, *seed, streams)? {
                        let pieces = contest.pieces.iter().filter(|piece| piece.part == part);
                        let num_kept = pieces.map(|piece| piece.certain).sum();
                        plan.parts.push(self.part(part, Choice::Coins { coin, flips }, num_kept, None, 0));
                    }
                }
            }
            (method, _) => {
                if matches!(method, Method::Top(_, Nan::Raise)) {
                    self.look_for_nan()?;
                }
                plan = self.local(&budgets)?;
                let counts = self.count_local(&plan)?;
                for (part, num_kept) in plan.parts.iter_mut().zip(counts) {
                    part.summary.num_pruned = part.len as u64 - num_kept;
                }
            }
        }
        Ok(plan)
    }

    fn fill(&self, mut outputs: Vec<Output<'_>>, preserve: bool) -> Result<()> {
        let budgets = self.budgets()?;
        self.check_outputs(&outputs)?;
        if preserve && matches!(self.request.method, Method::Top(_, Nan::Raise)) {
            self.look_for_nan()?;
        }
        match (&self.request.method, self.request.rule) {
            (&Method::Top(score, nan), Rule::Amount(_, scope)) if scope != Scope::Row => {
                let mut outputs = outputs.into_iter().map(Some).collect();
                let mut contests = self.contests(&budgets, &mut outputs);
                self.run(&mut contests, score, nan, false)?;
                contests.into_iter().try_for_each(|contest| contest.cut.map(drop))
            }
            (Method::Random { seed, streams }, Rule::Amount(_, scope)) if scope != Scope::Row => {
                let mut outputs = outputs.into_iter().map(Some).collect();
                let mut contests = self.contests(&budgets, &mut outputs);
                contests.iter_mut().try_for_each(|contest| self.draw(contest, *seed, streams).map(drop))
            }
            _ => {
                let plan = self.local(&budgets)?;
                let mut jobs = Vec::new();
                for (part, output) in outputs.iter_mut().enumerate() {
                    for range in plan.pieces_for(part, output.unit(plan.parts[part].len)) {
                        jobs.push((part, range.clone(), output.take(range.len())));
                    }
                }
                let emitted = self.emit_all(
                    &plan,
                    &mut jobs,
                    |(part, range, _)| (*part, range.clone()),
                    |job, words| {
                        let (_, range, output) = job;
                        output.write(self.ctx.level, 0, range.len(), words);
                    },
                );
                // The error met first in time need not be that of the first NaN.
                match emitted {
                    Err(Error::Nan { .. }) => self.look_for_nan(),
                    other => other,
                }
            }
        }
    }

    /// How many entries each contest keeps: of each row (the same for all rows), each array, or all.
    fn budgets(&self) -> Result<Vec<u64>> {
        let parts = 0..self.source.num_parts();
        for part in parts.clone() {
            if let Some(kept) = self.source.kept(part) {
                self.check_len(part, "entries of `where`", self.source.len(part), kept.len())?;
            }
        }
        match self.request.rule {
            Rule::Pattern(pattern) => {
                for part in parts {
                    let axis_len = self.layouts[part].group_axis_len;
                    if !axis_len.is_multiple_of(pattern.group()) {
                        let (name, group) = (self.source.name(part), pattern.group() as u32);
                        return Err(Error::NotDivisible { name, axis_len, group });
                    }
                }
                Ok(Vec::new())
            }
            Rule::Amount(amount, Scope::Global) => {
                let len: u64 = parts.clone().map(|part| self.source.len(part) as u64).sum();
                let num_pruned = amount.num_pruned(len, "all arrays together")?;
                let mut pruned = 0;
                for part in parts {
                    pruned += self.already_pruned(part)?;
                }
                check_where(|| "all arrays together".to_owned(), pruned, num_pruned)?;
                Ok(vec![len - num_pruned])
            }
            Rule::Amount(amount, Scope::Tensor) => parts
                .map(|part| {
                    let len = self.source.len(part) as u64;
                    let num_pruned = amount.num_pruned(len, "an array")?;
                    check_where(|| self.source.name(part), self.already_pruned(part)?, num_pruned)?;
                    Ok(len - num_pruned)
                })
                .collect(),
            Rule::Amount(amount, Scope::Row) => parts
                .map(|part| {
                    let row_len = self.layouts[part].row_len;
                    let num_pruned = amount.num_pruned(row_len as u64, "a row")?;
                    if let Some(kept) = self.source.kept(part) {
                        for (row, kept) in kept.chunks(row_len.max(1)).enumerate() {
                            let pruned = (kept.len() - num_nonzero(kept)) as u64;
                            check_where(
                                || format!("{}, row {row}", self.source.name(part)),
                                pruned,
                                num_pruned,
                            )?;
                        }
                    }
                    Ok(row_len as u64 - num_pruned)
                })
                .collect(),
        }
    }

    fn already_pruned(&self, part: usize) -> Result<u64> {
        match self.source.kept(part) {
            None => Ok(0),
            Some(kept) => Ok(kept.len() as u64 - count_kept(kept, self.ctx)?),
        }
    }

    fn check_len(&self, part: usize, what: &'static str, expected: usize, got: usize) -> Result<()> {
        if expected == got {
            return Ok(());
        }
        Err(Error::LengthMismatch { name: self.source.name(part), what, expected, got })
    }

    fn check_outputs(&self, outputs: &[Output<'_>]) -> Result<()> {
        outputs.iter().enumerate().try_for_each(|(part, output)| {
            let (expected, got) = output.sizes(self.source.len(part));
            self.check_len(part, "bytes of output", expected, got)
        })
    }

    fn no_outputs<'o>(&self) -> Vec<Option<Output<'o>>> {
        (0..self.source.num_parts()).map(|_| None).collect()
    }

    /// One contest for each array, or one for all.
    fn contests<'o>(&self, budgets: &[u64], outputs: &mut Vec<Option<Output<'o>>>) -> Vec<Contest<'o>> {
        let global = matches!(self.request.rule, Rule::Amount(_, Scope::Global));
        let mut contests: Vec<Contest<'o>> = Vec::new();
        for (part, output) in outputs.drain(..).enumerate() {
            if part == 0 || !global {
                let parts = if global { 0..self.source.num_parts() } else { part..part + 1 };
                let num_kept = budgets[part];
                contests.push(Contest {
                    pieces: Vec::new(),
                    parts,
                    num_kept,
                    cut: Ok(Cut::NONE),
                    num_ties: 0,
                });
            }
            if let Some(contest) = contests.last_mut() {
                append_pieces(&mut contest.pieces, part, 0..self.source.len(part), output);
            }
        }
        contests
    }

    /// Decides contests by score: small ones side by side, large ones one after another.
    fn run(&self, contests: &mut [Contest<'_>], score: Score, nan: Nan, ties: bool) -> Result<()> {
        let decide = |contest: &mut Contest<'_>| {
            let ranking = Ranking::new(self.source, contest.parts.clone(), score, nan);
            let (pieces, num_kept) = (&mut contest.pieces, contest.num_kept);
            contest.cut = keep_top(self.source, pieces, ranking, num_kept, Tuning::default(), self.ctx);
            if let (true, Ok(cut), true) = (ties, &contest.cut, num_kept > 0) {
                let counts: Vec<_> = pieces.iter().map(|piece| piece.certain).collect();
                contest.num_ties = count_ties(self.source, pieces, ranking, *cut, self.ctx)?;
                pieces.iter_mut().zip(counts).for_each(|(piece, count)| piece.certain = count);
            }
            Ok(())
        };
        let size =
            |contest: &Contest<'_>| contest.pieces.iter().map(|piece| piece.range.len()).sum::<usize>();
        let (mut small, large): (Vec<_>, Vec<_>) =
            contests.iter_mut().partition(|contest| size(contest) <= SMALL);
        for_each(&mut small, self.ctx, || (), |(), contest| decide(contest))?;
        large.into_iter().try_for_each(decide)
    }

    /// Decides a random contest: coin flips, then corrections. Returns the coin of each array and the entries
    /// where its mask differs from the flips; where there are outputs they hold the mask instead.
    fn draw(
        &self,
        contest: &mut Contest<'_>,
        seed: u64,
        streams: &[Stream],
    ) -> Result<Vec<(usize, Coin, Vec<u64>)>> {
        let len: u64 = contest.pieces.iter().map(|piece| piece.range.len() as u64).sum();
        let mut available = len;
        for part in contest.parts.clone() {
            available -= self.already_pruned(part)?;
        }
        let shared = match contest.parts.len() {
            1 => streams[contest.parts.start],
            _ => Stream::of_all(seed),
        };
        let fair = Coin::for_count(shared, contest.num_kept, available);
        let coin = |part: usize| fair.with_stream(streams[part]);
        let kept = |piece: &Piece<'_>| self.source.kept(piece.part).map(|kept| &kept[piece.range.clone()]);
        for_each(&mut contest.pieces, self.ctx, Scratch::default, |scratch, piece| {
            let words = &mut scratch.kept;
            coin(piece.part).bits(self.ctx.level, piece.range.start, piece.range.len(), words);
            if let Some(kept) = kept(piece) {
                and_kept(kept, words);
            }
            piece.certain = words.iter().map(|word| u64::from(word.count_ones())).sum();
            if let Some(output) = &mut piece.output {
                output.write(self.ctx.level, 0, piece.range.len(), words);
            }
            self.ctx.advance(piece.range.len());
            Ok(())
        })?;

        let count: u64 = contest.pieces.iter().map(|piece| piece.certain).sum();
        let pieces = &mut contest.pieces;
        let mut flips = std::collections::BTreeSet::new();
        let mut word = Vec::new();
        correct(shared, len, count, contest.num_kept, self.ctx, |position, from| {
            let at = pieces.partition_point(|piece| piece.position <= position) - 1;
            let piece = &mut pieces[at];
            let index = (position - piece.position) as usize;
            if kept(piece).is_some_and(|kept| kept[index] == 0) {
                return false;
            }
            let is = if let Some(output) = &piece.output {
                output.get(index)
            } else {
                coin(piece.part).bits(self.ctx.level, piece.range.start + index, 1, &mut word);
                (word[0] == 1) != flips.contains(&position)
            };
            if is != from {
                return false;
            }
            match &mut piece.output {
                Some(output) => output.set(index, !from),
                None => drop(flips.insert(position)),
            }
            piece.certain = if from { piece.certain - 1 } else { piece.certain + 1 };
            true
        })?;
        let mut start = 0;
        let drawn = contest.parts.clone().map(|part| {
            let end = start + self.source.len(part) as u64;
            let own = flips.range(start..end).map(|position| position - start).collect();
            start = end;
            (part, coin(part), own)
        });
        Ok(drawn.collect())
    }

    /// The plan of a request whose rows or groups are each decided where they are emitted.
    fn local(&self, budgets: &[u64]) -> Result<Plan> {
        let mut parts = Vec::new();
        for part in 0..self.source.num_parts() {
            let layout = self.layouts[part];
            let choice = match (&self.request.method, self.request.rule) {
                (&Method::Top(score, nan), rule) => {
                    let ranking = Ranking::new(self.source, part..part + 1, score, nan);
                    match rule {
                        Rule::Pattern(pattern) => Choice::Groups { ranking, pattern },
                        Rule::Amount(..) if layout.row_len > PIECE => {
                            let cuts = self.long_rows(part, ranking, budgets[part])?;
                            Choice::LongRows { ranking, cuts }
                        }
                        Rule::Amount(..) => Choice::Rows { ranking, num_kept: budgets[part] },
                    }
                }
                (Method::Random { streams, .. }, Rule::Pattern(pattern)) => {
                    Choice::RandomGroups { stream: streams[part], pattern: Pattern::new(pattern) }
                }
                (Method::Random { streams, .. }, Rule::Amount(..)) => {
                    let (stream, num_kept) = (streams[part], budgets[part]);
                    let coin = Coin::for_count(stream, num_kept, layout.row_len as u64);
                    Choice::RandomRows { coin, stream, num_kept }
                }
            };
            parts.push(self.part(part, choice, 0, None, 0));
        }
        Ok(Plan { parts })
    }

    /// The cut of each row of an array whose rows are large.
    fn long_rows(&self, part: usize, ranking: Ranking, num_kept: u64) -> Result<Vec<Cut>> {
        let row_len = self.layouts[part].row_len;
        (0..self.source.len(part))
            .step_by(row_len)
            .map(|start| {
                let mut pieces = Vec::new();
                append_pieces(&mut pieces, part, start..start + row_len, None);
                keep_top(self.source, &mut pieces, ranking, num_kept, Tuning::default(), self.ctx)
            })
            .collect()
    }

    fn part(
        &self,
        part: usize,
        choice: Choice,
        num_kept: u64,
        threshold: Option<f64>,
        num_ties: u64,
    ) -> Part {
        let len = self.source.len(part);
        let num_entries = len as u64;
        Part {
            dtype: self.source.dtype(part),
            len,
            layout: self.layouts[part],
            choice,
            summary: Summary { num_entries, num_pruned: num_entries - num_kept, threshold, num_ties },
        }
    }

    fn count_local(&self, plan: &Plan) -> Result<Vec<u64>> {
        let mut jobs = Vec::new();
        let mut counts = vec![0; plan.parts.len()];
        for (number, part) in plan.parts.iter().enumerate() {
            match part.choice {
                // Known without a look, unless an existing mask empties groups.
                Choice::Rows { num_kept, .. } | Choice::RandomRows { num_kept, .. } => {
                    counts[number] = num_kept * part.num_rows();
                }
                Choice::LongRows { .. } => {
                    let Rule::Amount(amount, _) = self.request.rule else { continue };
                    let row_len = part.layout.row_len as u64;
                    counts[number] = (row_len - amount.num_pruned(row_len, "a row")?) * part.num_rows();
                }
                _ => match (self.source.kept(number), self.request.rule) {
                    (None, Rule::Pattern(pattern)) => {
                        counts[number] = (part.len / pattern.group() * pattern.kept()) as u64;
                    }
                    _ => jobs.extend(plan.pieces(number).map(|range| (number, range, 0))),
                },
            }
        }
        self.emit_all(
            plan,
            &mut jobs,
            |(part, range, _)| (*part, range.clone()),
            |job, words| {
                job.2 = words.iter().map(|word| u64::from(word.count_ones())).sum();
            },
        )?;
        for (part, _, count) in jobs {
            counts[part] += count;
        }
        Ok(counts)
    }

    /// Emits the piece of every job and hands its bits on.
    fn emit_all<T: Send>(
        &self,
        plan: &Plan,
        jobs: &mut [T],
        place: impl Fn(&T) -> (usize, Range<usize>) + Sync + Send,
        take: impl Fn(&mut T, &[u64]) + Sync + Send,
    ) -> Result<()> {
        let state = || (ReadBuffer::default(), Scratch::default(), Vec::new());
        for_each(jobs, self.ctx, state, |(buffer, scratch, words), job| {
            let (part, range) = place(job);
            let bits = self.source.read(part, range.clone(), buffer)?;
            let kept = self.source.kept(part).map(|kept| &kept[range.clone()]);
            plan.emit(part, range.clone(), bits, kept, scratch, words, self.ctx)
                .map_err(|error| self.name_nan(error, part))?;
            take(job, words);
            self.ctx.advance(range.len());
            Ok(())
        })
    }

    fn name_nan(&self, error: Error, part: usize) -> Error {
        match error {
            Error::Nan { index, .. } => Error::Nan { name: self.source.name(part), index },
            other => other,
        }
    }

    /// The error of the first NaN, if there is one.
    fn look_for_nan(&self) -> Result<()> {
        let mut jobs = Vec::new();
        for part in 0..self.source.num_parts() {
            jobs.extend(Grid::new(self.source.len(part), 1).pieces().map(|range| (part, range, false)));
        }
        for_each(&mut jobs, self.ctx, ReadBuffer::default, |buffer, (part, range, found)| {
            let bits = self.source.read(*part, range.clone(), buffer)?;
            let kept = self.source.kept(*part).map(|kept| &kept[range.clone()]);
            let ranking = Ranking::new(self.source, *part..*part + 1, Score::Magnitude, Nan::Raise);
            let dtype = self.source.dtype(*part);
            *found = for_bits!(bits, words => with_kernels!(self.ctx.level, kernels =>
                any_nan(kernels, words, kept, ranking, dtype)));
            Ok(())
        })?;
        match jobs.into_iter().find(|(_, _, found)| *found) {
            None => Ok(()),
            Some((part, range, _)) => Err(first_nan(self.source, part, range)?),
        }
    }
}

fn any_nan<W: Word>(
    kernels: impl Kernels,
    words: &[W],
    kept: Option<&[u8]>,
    ranking: Ranking,
    dtype: DType,
) -> bool {
    let mut keys = [W::Key::MIN; BLOCK];
    words.chunks(BLOCK).enumerate().any(|(number, block)| {
        let (recipe, keys) = (ranking.recipe(dtype), &mut keys[..block.len()]);
        let nan = kernels.keys(block, recipe, keys);
        if let (true, Some(kept)) = (nan, kept) {
            exclude(keys, &kept[number * BLOCK..][..block.len()]);
            return keys.contains(&recipe.nan);
        }
        nan
    })
}

fn check_where(name: impl Fn() -> String, pruned: u64, num_pruned: u64) -> Result<()> {
    if pruned > num_pruned {
        return Err(Error::FewerThanWhere { name: name(), pruned, got: num_pruned });
    }
    Ok(())
}

fn and_kept(kept: &[u8], words: &mut [u64]) {
    let mut mask = Vec::new();
    words_of_bytes(kept, &mut mask);
    words.iter_mut().zip(mask).for_each(|(word, mask)| *word &= mask);
}

impl Part {
    fn num_rows(&self) -> u64 {
        (self.len / self.layout.row_len.max(1)) as u64
    }
}

impl Plan {
    /// What the plan does to an array.
    #[must_use]
    pub fn summary(&self, part: usize) -> Summary {
        self.parts[part].summary
    }

    /// The ranges in which an array can be emitted: each on its own, together all of it, in order.
    pub fn pieces(&self, part: usize) -> impl Iterator<Item = Range<usize>> + use<> {
        self.pieces_for(part, 1)
    }

    /// The same, with pieces that also hold whole units of an output.
    fn pieces_for(&self, part: usize, unit: usize) -> impl Iterator<Item = Range<usize>> + use<> {
        let Part { len, layout, choice, .. } = &self.parts[part];
        match choice {
            Choice::Cut { .. } | Choice::Coins { .. } => Grid::new(*len, unit),
            Choice::LongRows { .. } => Grid::new(*len, layout.row_len),
            Choice::Rows { .. } | Choice::RandomRows { .. } => Grid::whole(*len, layout.row_len),
            Choice::Groups { pattern, .. } => Grid::whole(*len, layout.group_unit(*pattern, unit, *len)),
            Choice::RandomGroups { pattern, .. } => {
                Grid::whole(*len, layout.group_unit(pattern.shape(), unit, *len))
            }
        }
        .pieces()
    }

    /// Sets bit `i % 64` of `words[i / 64]` to whether entry `range.start + i` of an array is kept; bits past
    /// the last entry are zero. `range` is one of [`Plan::pieces`], `bits` its entries and `kept` its part of
    /// the existing mask.
    ///
    /// # Errors
    /// [`Error::Nan`], with the name left empty, where a NaN appears that is an error and was not met before.
    #[expect(clippy::too_many_arguments, reason = "the place, what is there, and memory to use again")]
    pub fn emit(
        &self,
        part: usize,
        range: Range<usize>,
        bits: Bits<'_>,
        kept: Option<&[u8]>,
        scratch: &mut Scratch,
        words: &mut Vec<u64>,
        ctx: &Context<'_>,
    ) -> Result<()> {
        let part = &self.parts[part];
        words.clear();
        words.resize(range.len().div_ceil(64), 0);
        match &part.choice {
            Choice::Coins { coin, flips } => {
                coin.bits(ctx.level, range.start, range.len(), words);
                let own = |bound: usize| flips.partition_point(|&flip| flip < bound as u64);
                for flip in &flips[own(range.start)..own(range.end)] {
                    let at = *flip as usize - range.start;
                    words[at / 64] ^= 1 << (at % 64);
                }
            }
            Choice::RandomRows { coin, stream, num_kept } => {
                part.random_rows(*coin, *stream, *num_kept, &range, kept, words, ctx)?;
            }
            Choice::RandomGroups { stream, pattern } => {
                part.random_groups(*stream, pattern, &range, kept, words);
            }
            Choice::Cut { ranking, .. }
            | Choice::Rows { ranking, .. }
            | Choice::LongRows { ranking, .. }
            | Choice::Groups { ranking, .. } => {
                for_bits!(bits, entries => with_kernels!(ctx.level, kernels =>
                part.by_score(kernels, *ranking, &range, entries, kept, scratch, words)?));
            }
        }
        if let Some(kept) = kept {
            and_kept(kept, words);
        }
        Ok(())
    }
}

impl Layout {
    /// The entries that must stay together so that a piece holds whole groups, whole units of its output and,
    /// where it ends inside an output row, whole bytes.
    fn group_unit(self, pattern: NofM, unit: usize, len: usize) -> usize {
        let block = pattern.group() * self.group_stride;
        if 1 < unit && unit < len {
            return if self.group_stride == 1 { unit } else { block };
        }
        block << (6 - block.trailing_zeros().min(6))
    }
}

impl Part {
    #[expect(clippy::too_many_arguments, reason = "one call, from the lines above")]
    fn by_score<W: Word>(
        &self,
        kernels: impl Kernels,
        ranking: Ranking,
        range: &Range<usize>,
        entries: &[W],
        kept: Option<&[u8]>,
        scratch: &mut Scratch,
        words: &mut [u64],
    ) -> Result<()> {
        let recipe = ranking.recipe::<W::Key>(self.dtype);
        let keys = scratch.keys.values::<W::Key>(entries.len());
        let mut nan = kernels.keys(entries, recipe, keys);
        if let Some(kept) = kept {
            exclude(keys, kept);
        }
        nan = nan && ranking.nan == Nan::Raise;
        if nan && let Some(at) = keys.iter().position(|key| *key == recipe.nan) {
            return Err(Error::Nan { name: String::new(), index: range.start + at });
        }
        let mut cut_range = |cut: Cut, position: u64| {
            let step = Step::new(ranking, self.dtype, cut, position, keys.len());
            for (number, (keys, words)) in keys.chunks(BLOCK).zip(words.chunks_mut(BLOCK / 64)).enumerate() {
                cut_words(kernels, keys, step, number * BLOCK, words);
            }
        };
        match &self.choice {
            Choice::Cut { cut, position, .. } => cut_range(*cut, position + range.start as u64),
            Choice::LongRows { cuts, .. } => {
                let (row, column) = (range.start / self.layout.row_len, range.start % self.layout.row_len);
                cut_range(cuts[row], column as u64);
            }
            Choice::Groups { pattern, .. } => {
                let spare = scratch.spare.values(keys.len());
                keep_groups(kernels, keys, *pattern, self.layout.group_stride, spare, words);
            }
            Choice::Rows { num_kept, .. } => {
                keep_rows(kernels, keys, self.layout.row_len, *num_kept as usize, words);
            }
            _ => {}
        }
        Ok(())
    }

    #[expect(clippy::too_many_arguments, reason = "one call, from the lines above")]
    fn random_rows(
        &self,
        coin: Coin,
        stream: Stream,
        num_kept: u64,
        range: &Range<usize>,
        kept: Option<&[u8]>,
        words: &mut [u64],
        ctx: &Context<'_>,
    ) -> Result<()> {
        let row_len = self.layout.row_len;
        let mut row_words = Vec::new();
        for row in range.start / row_len..range.end / row_len {
            let stream = stream.of_row(row as u64);
            let start = row * row_len - range.start;
            let kept = kept.map(|kept| &kept[start..start + row_len]);
            let available = kept.map_or(row_len, num_nonzero);
            let coin = match kept {
                None => coin.with_stream(stream),
                Some(_) => Coin::for_count(stream, num_kept, available as u64),
            };
            coin.bits(ctx.level, 0, row_len, &mut row_words);
            if let Some(kept) = kept {
                and_kept(kept, &mut row_words);
            }
            let count = row_words.iter().map(|word| u64::from(word.count_ones())).sum();
            correct(stream, row_len as u64, count, num_kept, ctx, |at, from| {
                let at = at as usize;
                let is = row_words[at / 64] >> (at % 64) & 1 == 1;
                let flips = is == from && kept.is_none_or(|kept| kept[at] != 0);
                row_words[at / 64] ^= u64::from(flips) << (at % 64);
                flips
            })?;
            append_bits(words, start, &row_words);
        }
        Ok(())
    }

    fn random_groups(
        &self,
        stream: Stream,
        pattern: &Pattern,
        range: &Range<usize>,
        kept: Option<&[u8]>,
        words: &mut [u64],
    ) {
        let (group, stride) = (pattern.shape().group(), self.layout.group_stride);
        let mut random = Words::new(stream);
        for number in range.start / group..range.end / group {
            // Groups are counted block by block, and within a block by their place across the axis.
            let first = number / stride * stride * group + number % stride - range.start;
            let available = kept.map_or(pattern.whole(), |kept| {
                (0..group).map(|at| u32::from(kept[first + at * stride] != 0) << at).sum()
            });
            let subset = pattern.draw(&mut random, number as u64, available);
            if stride == 1 {
                append_bits(words, first, &[u64::from(subset)]);
                continue;
            }
            for at in 0..group {
                let entry = first + at * stride;
                words[entry / 64] |= u64::from(subset >> at & 1) << (entry % 64);
            }
        }
    }
}

/// Zeroes the pruned entries of a piece, given the bits that [`Plan::emit`] made of it.
pub fn zero_pruned(words: &[u64], dtype: DType, bytes: &mut [u8], ctx: &Context<'_>) {
    with_kernels!(ctx.level, kernels => match dtype.size() {
        8 => kernels.zero::<u64>(words, bytemuck::cast_slice_mut(bytes)),
        4 => kernels.zero::<u32>(words, bytemuck::cast_slice_mut(bytes)),
        2 => kernels.zero::<u16>(words, bytemuck::cast_slice_mut(bytes)),
        _ => kernels.zero::<u8>(words, bytes),
    });
}

/// Zeroes the pruned entries of arrays in memory: `bytes` holds the entries of each, `kept` its existing mask.
///
/// # Errors
/// [`Error::Interrupted`], with some pieces done; the same plan then does the rest.
pub fn apply_plan(plan: &Plan, arrays: Vec<(&mut [u8], Option<&[u8]>)>, ctx: &Context<'_>) -> Result<()> {
    let mut jobs = Vec::new();
    for (part, (mut bytes, kept)) in arrays.into_iter().enumerate() {
        let size = plan.parts[part].dtype.size();
        for range in plan.pieces(part) {
            let own = bytes.split_off_mut(..range.len() * size).unwrap_or_default();
            jobs.push((part, range.clone(), own, kept.map(|kept| &kept[range])));
        }
    }
    let state = || (Scratch::default(), Vec::new());
    for_each(&mut jobs, ctx, state, |(scratch, words), (part, range, bytes, kept)| {
        let dtype = plan.parts[*part].dtype;
        plan.emit(*part, range.clone(), Bits::from_bytes(dtype, bytes), *kept, scratch, words, ctx)?;
        zero_pruned(words, dtype, bytes, ctx);
        ctx.advance(range.len());
        Ok(())
    })
}

/// Zeroes the entries of arrays in memory where their masks are false: the format of each, its entries, its mask.
///
/// # Errors
/// [`Error::Interrupted`], with some pieces done.
pub fn apply_masks(arrays: &mut [(DType, &mut [u8], Mask<'_>)], ctx: &Context<'_>) -> Result<()> {
    let mut jobs = Vec::new();
    for (dtype, bytes, mask) in arrays {
        for (number, bytes) in bytes.chunks_mut(PIECE * dtype.size()).enumerate() {
            jobs.push((*dtype, number * PIECE, bytes, *mask));
        }
    }
    for_each(&mut jobs, ctx, Vec::new, |words, (dtype, start, bytes, mask)| {
        let len = bytes.len() / dtype.size();
        match *mask {
            Mask::Bytes(mask) => words_of_bytes(&mask[*start..*start + len], words),
            Mask::Bits { bytes, row_len } => read_packed(bytes, row_len, *start, len, words),
        }
        zero_pruned(words, *dtype, bytes, ctx);
        ctx.advance(len);
        Ok(())
    })
}
