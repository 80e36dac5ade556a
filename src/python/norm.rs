//! Norms of matrices and of their parts.

use std::collections::BTreeMap;

use numpy::PyReadonlyArray1;
use pyo3::prelude::*;

use super::arrays::{Entries, dtype};
use super::call::run;
use super::select::unknown;
use crate::mask::Mask;
use crate::norm::{self, Matrix, Norm, Part, Random, Settings, Which};
use crate::source::Array;

/// A norm as Python takes it: its value, its kind, its probability of failure.
type Promise = (f64, &'static str, Option<f64>);

fn promise(norm: Norm) -> Promise {
    (norm.value, norm.kind.name(), norm.kind.delta())
}

fn part(name: &str) -> PyResult<Part> {
    match name {
        "all" => Ok(Part::All),
        "kept" => Ok(Part::Kept),
        "removed" => Ok(Part::Removed),
        other => Err(unknown("part", "all, kept or removed", other)),
    }
}

fn which(name: &str) -> PyResult<Which> {
    let names = Which::NAMES.map(|(name, _)| name).join(", ");
    Which::from_name(name).ok_or_else(|| unknown("kinds", &format!("of {names}"), name))
}

/// See `rustprune.norms`. A mask has a byte per entry, or with `row_len` a bit per entry in rows of that length.
#[pyfunction]
#[expect(clippy::too_many_arguments, clippy::needless_pass_by_value, reason = "as Python passes them")]
pub(super) fn norms(
    py: Python<'_>,
    name: String,
    dtype: &str,
    bits: Entries<'_>,
    shape: [usize; 2],
    mask: Option<PyReadonlyArray1<'_, u8>>,
    row_len: Option<usize>,
    part: &str,
    kinds: Vec<String>,
    delta: f64,
    slack: f64,
    starts: usize,
    seed: u64,
) -> PyResult<BTreeMap<String, Promise>> {
    let wanted = kinds.iter().map(|kind| which(kind)).collect::<PyResult<Vec<_>>>()?;
    let array = Array { name, dtype: self::dtype(dtype)?, bits: bits.bits()?, kept: None };
    let mask = mask.as_ref().map(|mask| mask.as_slice()).transpose()?.map(|bytes| match row_len {
        Some(row_len) => Mask::Bits { bytes, row_len },
        None => Mask::Bytes(bytes),
    });
    let source = std::slice::from_ref(&array);
    let matrix = Matrix::new(&source, 0, shape, mask, self::part(part)?)?;
    let settings = Settings { random: Random { delta, starts, seed, slack }, ..Settings::default() };
    let found = run(py, usize::MAX, 1, None, |ctx| norm::norms(&matrix, &wanted, settings, ctx))?;
    Ok(kinds.into_iter().zip(found.into_iter().map(promise)).collect())
}
