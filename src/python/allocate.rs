//! One number to prune, split over arrays.

use numpy::PyReadwriteArrayDyn;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedStr;

use super::arrays::{Entries, arrays, readable};
use super::call::run;
use crate::allocate;
use crate::ratio::Amount;
use crate::source::Source;

/// See `rustprune.allocate`: how many entries of each array are pruned.
#[pyfunction]
#[expect(clippy::needless_pass_by_value, reason = "as Python passes them")]
pub(super) fn lamp_counts(
    py: Python<'_>,
    names: Vec<String>,
    dtypes: Vec<PyBackedStr>,
    bits: Vec<Entries<'_>>,
    count: u64,
) -> PyResult<Vec<u64>> {
    let kept = vec![None; bits.len()];
    let source = arrays(names, &dtypes, readable(&bits), &kept)?;
    let entries = source.iter().map(|array| array.bits.len()).sum();
    run(py, entries, source.len(), None, |ctx| {
        allocate::lamp_counts(source.as_slice(), Amount::Count(count), ctx)
    })
}

/// See `rustprune.lamp_scores`.
#[pyfunction]
#[expect(clippy::needless_pass_by_value, reason = "as Python passes them")]
pub(super) fn lamp_scores(
    py: Python<'_>,
    names: Vec<String>,
    dtypes: Vec<PyBackedStr>,
    bits: Vec<Entries<'_>>,
    mut scores: Vec<PyReadwriteArrayDyn<'_, f64>>,
) -> PyResult<()> {
    let kept = vec![None; bits.len()];
    let source = arrays(names, &dtypes, readable(&bits), &kept)?;
    let mut scores = scores.iter_mut().map(|scores| scores.as_slice_mut()).collect::<Result<Vec<_>, _>>()?;
    let (source, entries) = (source.as_slice(), scores.iter().map(|scores| scores.len()).sum());
    run(py, entries, source.num_parts(), None, |ctx| {
        let mut parts = scores.iter_mut().enumerate();
        parts.try_for_each(|(part, scores)| allocate::lamp_scores(source, part, scores, ctx))
    })
}
