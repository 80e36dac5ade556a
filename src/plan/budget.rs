//! How many entries each budget keeps, and what can be wrong with that.

use crate::error::{Error, Result};
use crate::mask::{Output, count_kept, num_nonzero};
use crate::plan::{Planner, Rule};
use crate::ratio::Amount;
use crate::select::Scope;
use crate::source::Source;

impl<S: Source + ?Sized> Planner<'_, S> {
    /// How many entries each contest keeps: of each row (the same for all rows), each array, or all.
    pub(super) fn budgets(&self) -> Result<Vec<u64>> {
        let parts = 0..self.source.num_parts();
        for part in parts.clone() {
            if let Some(kept) = self.source.kept(part) {
                self.check_len(part, "entries of `where`", self.source.len(part), kept.len())?;
            }
        }
        match &self.request.rule {
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
            Rule::Amount(amount, Scope::Tensor) => {
                parts.map(|part| self.budget_of_part(part, *amount, "an array")).collect()
            }
            Rule::Counts(counts) => counts
                .iter()
                .zip(parts)
                .map(|(&count, part)| self.budget_of_part(part, Amount::Count(count), self.source.name(part)))
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

    fn budget_of_part(&self, part: usize, amount: Amount, group: impl Into<String>) -> Result<u64> {
        let len = self.source.len(part) as u64;
        let num_pruned = amount.num_pruned(len, group)?;
        check_where(|| self.source.name(part), self.already_pruned(part)?, num_pruned)?;
        Ok(len - num_pruned)
    }

    pub(super) fn already_pruned(&self, part: usize) -> Result<u64> {
        match self.source.kept(part) {
            None => Ok(0),
            Some(kept) => Ok(kept.len() as u64 - count_kept(kept, self.ctx)?),
        }
    }

    pub(super) fn check_len(
        &self,
        part: usize,
        what: &'static str,
        expected: usize,
        got: usize,
    ) -> Result<()> {
        if expected == got {
            return Ok(());
        }
        Err(Error::LengthMismatch { name: self.source.name(part), what, expected, got })
    }

    pub(super) fn check_outputs(&self, outputs: &[Output<'_>]) -> Result<()> {
        outputs.iter().enumerate().try_for_each(|(part, output)| {
            let (expected, got) = output.sizes(self.source.len(part));
            self.check_len(part, "bytes of output", expected, got)
        })
    }
}

fn check_where(name: impl Fn() -> String, pruned: u64, num_pruned: u64) -> Result<()> {
    if pruned > num_pruned {
        return Err(Error::FewerThanWhere { name: name(), pruned, got: num_pruned });
    }
    Ok(())
}
