//! Looking for NaN before anything is written.

use crate::dtype::DType;
use crate::error::Result;
use crate::mask::Grid;
use crate::parallel::for_each;
use crate::plan::Planner;
use crate::select::{BLOCK, Nan, Ranking, Score, exclude, first_nan};
use crate::simd::{Kernels, Key, Word, with_kernels};
use crate::source::{ReadBuffer, Source, for_bits};

impl<S: Source + ?Sized> Planner<'_, S> {
    /// The error of the first NaN, if there is one.
    pub(super) fn look_for_nan(&self) -> Result<()> {
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
