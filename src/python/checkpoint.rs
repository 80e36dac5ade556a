//! Checkpoints: opened once, pruned and inspected.

use std::collections::BTreeMap;
use std::path::PathBuf;

use pyo3::prelude::*;

use super::call::run;
use super::select::Words;
use crate::checkpoint::{
    self, MaskFile, Outputs, PATTERNS, PERCENTS, Shard, Statistics, Targets, float_format,
};
use crate::source::Source;

/// A tensor of a file: name, format, shape, and the name of its float format if it can be pruned.
type Tensor = (String, String, Vec<usize>, Option<&'static str>);

/// A `Summary` of the package: entries, pruned entries, threshold, ties.
type Summary = (u64, u64, Option<f64>, u64);

/// Statistics as Python takes them: entries, zeros, NaN, (kept, group, groups that conform, groups) by
/// pattern, (percent, magnitude) by quantile.
type Facts = (u64, u64, u64, Vec<(usize, usize, u64, u64)>, Vec<(u8, f64)>);

/// See `rustprune._checkpoint`.
#[pyclass(frozen, module = "rustprune._rustprune")]
pub(super) struct Checkpoint {
    shards: Vec<Shard>,
}

#[expect(clippy::needless_pass_by_value, reason = "Python hands over values")]
#[pymethods]
impl Checkpoint {
    #[new]
    fn new(paths: Vec<PathBuf>) -> PyResult<Self> {
        let shards = paths.iter().map(|path| Shard::open(path)).collect::<crate::Result<_>>()?;
        Ok(Self { shards })
    }

    /// The tensors of each file in the order of their data.
    fn tensors(&self) -> Vec<Vec<Tensor>> {
        let tensors = |shard: &Shard| {
            let tensors = shard.tensors().iter().map(|tensor| {
                let format = float_format(tensor.dtype).map(crate::dtype::DType::name);
                (tensor.name.clone(), tensor.dtype.to_string(), tensor.shape.clone(), format)
            });
            tensors.collect()
        };
        self.shards.iter().map(tensors).collect()
    }

    /// See `rustprune._checkpoint.prune_checkpoint`. `places` are file and tensor by number, in the order of
    /// ties; `masks` is the side file and its notes. The axis of a pattern is that of each tensor and not the
    /// one given.
    #[expect(clippy::too_many_arguments, reason = "the parameters of the Python function")]
    fn prune(
        &self,
        py: Python<'_>,
        places: Vec<(usize, usize)>,
        outputs: Option<Vec<PathBuf>>,
        masks: Option<(PathBuf, BTreeMap<String, String>)>,
        progress: Option<Py<PyAny>>,
        score: &str,
        scope: &str,
        ratio: Option<f64>,
        count: Option<u64>,
        pattern: Option<(u32, u32, usize)>,
        nan: &str,
        seed: Option<u64>,
        named: bool,
    ) -> PyResult<Vec<Summary>> {
        let words = Words { score, scope, ratio, count, counts: None, pattern, nan, seed, named };
        let targets = Targets::new(&self.shards, &places)?;
        let names: Vec<_> = (0..places.len()).map(|part| targets.name(part)).collect();
        let request = words.request(&names)?;
        let masks = masks.as_ref().map(|(path, notes)| MaskFile { path, notes });
        let outputs = outputs.as_deref().map(|shards| Outputs { shards, masks });
        let summaries = run(py, usize::MAX, places.len(), progress.as_ref(), |ctx| {
            checkpoint::prune(&targets, &request, outputs, ctx)
        })?;
        Ok(summaries.iter().map(|it| (it.num_entries, it.num_pruned, it.threshold, it.num_ties)).collect())
    }

    /// See `rustprune._checkpoint.inspect_checkpoint`: the facts of each place, and of all of them together.
    fn inspect(
        &self,
        py: Python<'_>,
        places: Vec<(usize, usize)>,
        progress: Option<Py<PyAny>>,
    ) -> PyResult<(Vec<Facts>, Facts)> {
        let targets = Targets::new(&self.shards, &places)?;
        let (all, total) =
            run(py, usize::MAX, places.len(), progress.as_ref(), |ctx| checkpoint::inspect(&targets, ctx))?;
        Ok((all.iter().map(facts).collect(), facts(&total)))
    }

    /// How many entries `inspect` passes, for its progress.
    fn num_passed(&self, places: Vec<(usize, usize)>) -> PyResult<u64> {
        Ok(checkpoint::num_passed(&Targets::new(&self.shards, &places)?))
    }
}

fn facts(of: &Statistics) -> Facts {
    let groups = PATTERNS.iter().zip(of.groups);
    let groups =
        groups.map(|(&(kept, group), (conforming, num_groups))| (kept, group, conforming, num_groups));
    let quantiles = of.quantiles.iter().flat_map(|values| PERCENTS.into_iter().zip(*values));
    (of.num_entries, of.num_zeros, of.num_nan, groups.collect(), quantiles.collect())
}
