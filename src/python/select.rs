//! Masks by score or at random, of arrays.

use numpy::{PyReadonlyArrayDyn, PyReadwriteArrayDyn};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedStr;

use super::arrays::{
    Entries, EntriesMut, arrays, dtype, kept_slices, last_axis, outputs, readable, writable,
};
use super::call::run;
use crate::mask::Mask;
use crate::plan::{Layout, Method, Request, Rule, apply_masks, apply_plan, decide, fill};
use crate::ratio::{Amount, NofM, Ratio};
use crate::sample::Stream;
use crate::select::{Nan, Scope, Score};

/// A `Summary` of the package: entries, pruned entries, threshold, ties.
type Summary = (u64, u64, Option<f64>, u64);

/// The words of a call, before they are a [`Request`].
pub(super) struct Words<'a> {
    pub score: &'a str,
    pub scope: &'a str,
    pub ratio: Option<f64>,
    pub count: Option<u64>,
    pub counts: Option<Vec<u64>>,
    pub pattern: Option<(u32, u32, usize)>,
    pub nan: &'a str,
    pub seed: Option<u64>,
    pub named: bool,
}

impl Words<'_> {
    pub fn request(&self, names: &[String]) -> PyResult<Request> {
        let nan = match self.nan {
            "raise" => Nan::Raise,
            "keep" => Nan::Keep,
            "prune" => Nan::Prune,
            other => return Err(unknown("nan", "raise, keep or prune", other)),
        };
        let scope = match self.scope {
            "row" => Scope::Row,
            "tensor" => Scope::Tensor,
            "global" => Scope::Global,
            other => return Err(unknown("scope", "row, tensor or global", other)),
        };
        let method = match (self.score, self.seed) {
            ("magnitude", _) => Method::Top(Score::Magnitude, nan),
            ("value", _) => Method::Top(Score::Value, nan),
            ("random", Some(seed)) => {
                let stream = |(position, name): (usize, &String)| {
                    if self.named {
                        Stream::of_name(seed, name)
                    } else {
                        Stream::of_position(seed, position as u64)
                    }
                };
                Method::Random { seed, streams: names.iter().enumerate().map(stream).collect() }
            }
            ("random", None) => return Err(PyValueError::new_err("method=\"random\" needs a seed")),
            (other, _) => return Err(unknown("method", "magnitude or random", other)),
        };
        let rule = match (self.ratio, self.count, &self.counts, self.pattern) {
            (Some(ratio), None, None, None) => Rule::Amount(Amount::Ratio(Ratio::new(ratio)?), scope),
            (None, Some(count), None, None) => Rule::Amount(Amount::Count(count), scope),
            (None, None, Some(counts), None) if scope == Scope::Tensor && counts.len() == names.len() => {
                Rule::Counts(counts.clone())
            }
            (None, None, Some(_), None) => {
                return Err(PyValueError::new_err(format!(
                    "scope must be tensor with a count for each array, got {:?}",
                    self.scope
                )));
            }
            (None, None, None, Some((kept, group, _))) => Rule::Pattern(NofM::new(kept, group)?),
            _ => return Err(PyValueError::new_err("expected exactly one of ratio, count and pattern")),
        };
        Ok(Request { method, rule })
    }

    pub fn layouts(&self, shapes: &[Vec<usize>]) -> Vec<Layout> {
        let axis = self.pattern.map_or(0, |(_, _, axis)| axis);
        shapes.iter().map(|shape| Layout::new(shape, axis)).collect()
    }
}

pub(super) fn unknown(parameter: &str, expected: &str, got: &str) -> PyErr {
    PyValueError::new_err(format!("{parameter} must be {expected}, got {got:?}"))
}

fn num_entries(shapes: &[Vec<usize>]) -> usize {
    shapes.iter().map(|shape| shape.iter().product::<usize>()).sum()
}

/// See `rustprune.mask` and `rustprune.select`.
#[pyfunction]
#[expect(clippy::too_many_arguments, clippy::needless_pass_by_value, reason = "as Python passes them")]
pub(super) fn select(
    py: Python<'_>,
    names: Vec<String>,
    dtypes: Vec<PyBackedStr>,
    bits: Vec<Entries<'_>>,
    shapes: Vec<Vec<usize>>,
    kept: Vec<Option<PyReadonlyArrayDyn<'_, u8>>>,
    mut output: Vec<PyReadwriteArrayDyn<'_, u8>>,
    packed: bool,
    preserve: bool,
    score: &str,
    scope: &str,
    ratio: Option<f64>,
    count: Option<u64>,
    pattern: Option<(u32, u32, usize)>,
    nan: &str,
    seed: Option<u64>,
    named: bool,
    counts: Option<Vec<u64>>,
) -> PyResult<()> {
    let words = Words { score, scope, ratio, count, counts, pattern, nan, seed, named };
    let (request, layouts) = (words.request(&names)?, words.layouts(&shapes));
    let kept = kept_slices(&kept)?;
    let source = arrays(names, &dtypes, readable(&bits), &kept)?;
    let outputs = outputs(&mut output, &shapes, packed)?;
    run(py, num_entries(&shapes), source.len(), None, |ctx| {
        fill(source.as_slice(), &layouts, outputs, &request, preserve, ctx)
    })
}

/// See `rustprune.prune_`.
#[pyfunction]
#[expect(clippy::too_many_arguments, clippy::needless_pass_by_value, reason = "as Python passes them")]
pub(super) fn prune(
    py: Python<'_>,
    names: Vec<String>,
    dtypes: Vec<PyBackedStr>,
    mut bits: Vec<EntriesMut<'_>>,
    shapes: Vec<Vec<usize>>,
    kept: Vec<Option<PyReadonlyArrayDyn<'_, u8>>>,
    score: &str,
    scope: &str,
    ratio: Option<f64>,
    count: Option<u64>,
    pattern: Option<(u32, u32, usize)>,
    nan: &str,
    seed: Option<u64>,
    named: bool,
    counts: Option<Vec<u64>>,
) -> PyResult<Vec<Summary>> {
    let words = Words { score, scope, ratio, count, counts, pattern, nan, seed, named };
    let (request, layouts) = (words.request(&names)?, words.layouts(&shapes));
    let kept = kept_slices(&kept)?;
    let source = arrays(names, &dtypes, writable(&bits), &kept)?;
    let (entries, parts) = (num_entries(&shapes), source.len());
    let plan = run(py, entries, parts, None, |ctx| decide(source.as_slice(), &layouts, &request, ctx))?;
    let bytes = bits.iter_mut().map(EntriesMut::bytes_mut).collect::<PyResult<Vec<_>>>()?;
    let targets = bytes.into_iter().zip(kept).collect();
    run(py, entries, parts, None, |ctx| apply_plan(&plan, targets, ctx))?;
    let summaries = (0..parts).map(|part| plan.summary(part));
    Ok(summaries.map(|it| (it.num_entries, it.num_pruned, it.threshold, it.num_ties)).collect())
}

/// See `rustprune.apply_`.
#[pyfunction]
#[expect(clippy::needless_pass_by_value, reason = "as Python passes them")]
pub(super) fn apply(
    py: Python<'_>,
    dtypes: Vec<PyBackedStr>,
    mut bits: Vec<EntriesMut<'_>>,
    shapes: Vec<Vec<usize>>,
    masks: Vec<PyReadonlyArrayDyn<'_, u8>>,
    packed: Vec<bool>,
) -> PyResult<()> {
    let mut arrays = Vec::new();
    for (number, bits) in bits.iter_mut().enumerate() {
        let (dtype, mask) = (dtype(&dtypes[number])?, masks[number].as_slice()?);
        let mask = if packed[number] {
            Mask::Bits { bytes: mask, row_len: last_axis(&shapes[number]) }
        } else {
            Mask::Bytes(mask)
        };
        arrays.push((dtype, bits.bytes_mut()?, mask));
    }
    run(py, num_entries(&shapes), arrays.len(), None, |ctx| apply_masks(&mut arrays, ctx))
}

/// See `rustprune.num_pruned`.
#[pyfunction]
pub(super) fn num_pruned(n: u64, ratio: f64) -> PyResult<u64> {
    Ok(Ratio::new(ratio)?.num_pruned(n))
}
