//! Entries that compete for one budget by score.

use crate::error::Result;
use crate::mask::Output;
use crate::parallel::for_each;
use crate::plan::{Contest, Planner, Rule};
use crate::select::{Buffers, Cut, Nan, Ranking, Scope, Score, Tuning, append_pieces, count_ties, keep_top};
use crate::source::Source;

/// Arrays of at most so many entries are worked on at the same time, larger ones one after another.
const SMALL: usize = 1 << 20;

impl<S: Source + ?Sized> Planner<'_, S> {
    pub(super) fn no_outputs<'o>(&self) -> Vec<Option<Output<'o>>> {
        (0..self.source.num_parts()).map(|_| None).collect()
    }

    /// One contest for each array, or one for all.
    pub(super) fn contests<'o>(
        &self,
        budgets: &[u64],
        outputs: &mut Vec<Option<Output<'o>>>,
    ) -> Vec<Contest<'o>> {
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
    pub(super) fn run(&self, contests: &mut [Contest<'_>], score: Score, nan: Nan, ties: bool) -> Result<()> {
        let decide = |buffers: &mut Buffers, contest: &mut Contest<'_>| {
            let ranking = Ranking::new(self.source, contest.parts.clone(), score, nan);
            let (pieces, num_kept) = (&mut contest.pieces, contest.num_kept);
            let kept = keep_top(self.source, pieces, ranking, num_kept, Tuning::default(), buffers, self.ctx);
            if let (true, Ok((cut, ties))) = (ties, &kept) {
                contest.num_ties = match ties {
                    Some(ties) => *ties,
                    None => count_ties(self.source, pieces, ranking, *cut, self.ctx)?,
                };
            }
            contest.cut = kept.map(|(cut, _)| cut);
            Ok(())
        };
        let size =
            |contest: &Contest<'_>| contest.pieces.iter().map(|piece| piece.range.len()).sum::<usize>();
        let (mut small, large): (Vec<_>, Vec<_>) =
            contests.iter_mut().partition(|contest| size(contest) <= SMALL);
        for_each(&mut small, self.ctx, Buffers::default, |buffers, contest| decide(buffers, contest))?;
        large.into_iter().try_for_each(|contest| decide(&mut Buffers::default(), contest))
    }
}
