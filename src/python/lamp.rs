//! Layer-adaptive magnitude scores.

use numpy::PyReadwriteArrayDyn;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedStr;

use super::arrays::{Entries, arrays, readable};
use super::call::run;
use crate::lamp;

/// See `rustprune.allocate`.
#[pyfunction]
#[expect(clippy::needless_pass_by_value, reason = "as Python passes them")]
pub(super) fn lamp_counts(
    py: Python<'_>,
    names: Vec<String>,
    dtypes: Vec<PyBackedStr>,
    bits: Vec<Entries<'_>>,
    num_kept: u64,
) -> PyResult<Vec<u64>> {
    let kept = vec![None; bits.len()];
    let source = arrays(names, &dtypes, readable(&bits), &kept)?;
    let entries = source.iter().map(|array| array.bits.len()).sum();
    run(py, entries, source.len(), None, |ctx| lamp::lamp_counts(source.as_slice(), num_kept, ctx))
}

/// See `rustprune.lamp_scores`.
#[pyfunction]
pub(super) fn lamp_scores(
    py: Python<'_>,
    name: String,
    dtype: PyBackedStr,
    bits: Entries<'_>,
    mut scores: PyReadwriteArrayDyn<'_, f64>,
) -> PyResult<()> {
    let source = arrays(vec![name], &[dtype], std::iter::once(bits.bits()), &[None])?;
    let scores = scores.as_slice_mut()?;
    run(py, scores.len(), 1, None, |ctx| lamp::lamp_scores(source.as_slice(), 0, scores, ctx))
}
