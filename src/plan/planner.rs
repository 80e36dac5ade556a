//! From a request to a plan, or straight to masks.

use std::ops::Range;

use crate::error::{Error, Result};
use crate::mask::{Output, PIECE};
use crate::parallel::for_each;
use crate::plan::{Choice, Method, Part, Plan, Planner, Rule, Scratch, Summary};
use crate::sample::{Coin, Pattern};
use crate::select::{Buffers, Cut, Nan, Ranking, Tuning, append_pieces, keep_top};
use crate::source::{ReadBuffer, Source};

impl<S: Source + ?Sized> Planner<'_, S> {
    pub(super) fn decide(&self) -> Result<Plan> {
        let budgets = self.budgets()?;
        let mut plan = Plan { parts: Vec::new() };
        match (&self.request.method, &self.request.rule) {
            (&Method::Top(score, nan), rule) if rule.has_one_cut() => {
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
            (Method::Random { seed, streams }, rule) if rule.has_one_cut() => {
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

    pub(super) fn fill(&self, mut outputs: Vec<Output<'_>>, preserve: bool) -> Result<()> {
        let budgets = self.budgets()?;
        self.check_outputs(&outputs)?;
        if preserve && matches!(self.request.method, Method::Top(_, Nan::Raise)) {
            self.look_for_nan()?;
        }
        match (&self.request.method, &self.request.rule) {
            (&Method::Top(score, nan), rule) if rule.has_one_cut() => {
                let mut outputs = outputs.into_iter().map(Some).collect();
                let mut contests = self.contests(&budgets, &mut outputs);
                self.run(&mut contests, score, nan, false)?;
                contests.into_iter().try_for_each(|contest| contest.cut.map(drop))
            }
            (Method::Random { seed, streams }, rule) if rule.has_one_cut() => {
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
    /// The plan of a request whose rows or groups are each decided where they are emitted.
    pub(super) fn local(&self, budgets: &[u64]) -> Result<Plan> {
        let mut parts = Vec::new();
        for part in 0..self.source.num_parts() {
            let layout = self.layouts[part];
            let choice = match (&self.request.method, &self.request.rule) {
                (&Method::Top(score, nan), rule) => {
                    let ranking = Ranking::new(self.source, part..part + 1, score, nan);
                    match rule {
                        &Rule::Pattern(pattern) => Choice::Groups { ranking, pattern },
                        _ if layout.row_len > PIECE => {
                            let cuts = self.long_rows(part, ranking, budgets[part])?;
                            Choice::LongRows { ranking, cuts }
                        }
                        _ => Choice::Rows { ranking, num_kept: budgets[part] },
                    }
                }
                (Method::Random { streams, .. }, &Rule::Pattern(pattern)) => {
                    Choice::RandomGroups { stream: streams[part], pattern: Pattern::new(pattern) }
                }
                (Method::Random { streams, .. }, _) => {
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
    pub(super) fn long_rows(&self, part: usize, ranking: Ranking, num_kept: u64) -> Result<Vec<Cut>> {
        let row_len = self.layouts[part].row_len;
        (0..self.source.len(part))
            .step_by(row_len)
            .map(|start| {
                let mut pieces = Vec::new();
                append_pieces(&mut pieces, part, start..start + row_len, None);
                Ok(keep_top(
                    self.source,
                    &mut pieces,
                    ranking,
                    num_kept,
                    Tuning::default(),
                    &mut Buffers::default(),
                    self.ctx,
                )?
                .0)
            })
            .collect()
    }

    pub(super) fn part(
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

    pub(super) fn count_local(&self, plan: &Plan) -> Result<Vec<u64>> {
        let mut jobs = Vec::new();
        let mut counts = vec![0; plan.parts.len()];
        for (number, part) in plan.parts.iter().enumerate() {
            match part.choice {
                // Known without a look, unless an existing mask empties groups.
                Choice::Rows { num_kept, .. } | Choice::RandomRows { num_kept, .. } => {
                    counts[number] = num_kept * part.num_rows();
                }
                Choice::LongRows { .. } => {
                    let Rule::Amount(amount, _) = &self.request.rule else { continue };
                    let row_len = part.layout.row_len as u64;
                    counts[number] = (row_len - amount.num_pruned(row_len, "a row")?) * part.num_rows();
                }
                _ => match (self.source.kept(number), &self.request.rule) {
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
    pub(super) fn emit_all<T: Send>(
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

    pub(super) fn name_nan(&self, error: Error, part: usize) -> Error {
        match error {
            Error::Nan { index, .. } => Error::Nan { name: self.source.name(part), index },
            other => other,
        }
    }
}
