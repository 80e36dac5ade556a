//! Norms of matrices and of their parts.

use std::collections::BTreeMap;

use numpy::PyReadonlyArray1;
use pyo3::prelude::*;

use super::arrays::{Entries, arrays};
use super::call::run;
use super::select::unknown;
use crate::mask::Mask;
use crate::norm::{self, By, Convolution, Domain, Matrix, Norm, Part, Random, Settings, Which};
use crate::source::Array;

/// A norm as Python takes it: its value, its kind, its probability of failure.
pub(super) type Promise = (f64, &'static str, Option<f64>);

pub(super) fn promise(norm: Norm) -> Promise {
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

/// A mask has a byte per entry, or with `row_len` a bit per entry in rows of that length.
pub(super) fn mask<'a>(
    bytes: Option<&'a PyReadonlyArray1<'_, u8>>,
    row_len: Option<usize>,
) -> PyResult<Option<Mask<'a>>> {
    let bytes = bytes.map(|mask| mask.as_slice()).transpose()?;
    Ok(bytes.map(|bytes| match row_len {
        Some(row_len) => Mask::Bits { bytes, row_len },
        None => Mask::Bytes(bytes),
    }))
}

pub(super) fn array<'a>(name: String, dtype: &str, bits: &'a Entries<'_>) -> PyResult<Array<'a>> {
    let mut arrays = arrays(vec![name], &[dtype], std::iter::once(bits.bits()), &[None])?;
    Ok(arrays.remove(0))
}

/// See `rustprune.norms`.
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
    let array = array(name, dtype, &bits)?;
    let source = std::slice::from_ref(&array);
    let matrix = Matrix::new(&source, 0, shape, self::mask(mask.as_ref(), row_len)?, self::part(part)?)?;
    let settings = Settings { random: Random { delta, starts, seed, slack }, ..Settings::default() };
    let found = run(py, usize::MAX, 1, None, |ctx| norm::norms(&matrix, &wanted, settings, ctx))?;
    Ok(kinds.into_iter().zip(found.into_iter().map(promise)).collect())
}

/// See `rustprune.joint_norm`.
#[pyfunction]
#[expect(clippy::too_many_arguments, clippy::needless_pass_by_value, reason = "as Python passes them")]
pub(super) fn joint_norm(
    py: Python<'_>,
    name: String,
    dtype: &str,
    bits: Entries<'_>,
    shape: [usize; 2],
    mask: Option<PyReadonlyArray1<'_, u8>>,
    row_len: Option<usize>,
    kept_radius: f64,
    removed_radius: f64,
    delta: f64,
    slack: f64,
    starts: usize,
    seed: u64,
) -> PyResult<Promise> {
    let array = array(name, dtype, &bits)?;
    let source = std::slice::from_ref(&array);
    let matrix = Matrix::new(&source, 0, shape, self::mask(mask.as_ref(), row_len)?, Part::All)?;
    let settings = Settings { random: Random { delta, starts, seed, slack }, ..Settings::default() };
    let norm = run(py, usize::MAX, 1, None, |ctx| {
        norm::joint_norm(&matrix, kept_radius, removed_radius, settings, ctx)
    })?;
    Ok(promise(norm))
}

/// A domain by its name and its two sizes, the second of which counts nothing for inputs of any size.
fn domain(name: &str, size: [usize; 2]) -> PyResult<Domain> {
    match name {
        "circular" => Ok(Domain::Circular(size)),
        "zero" => Ok(Domain::Zero(size)),
        "any" => Ok(Domain::Any(size[0])),
        other => Err(unknown("domain", "circular, zero or any", other)),
    }
}

/// See `rustprune.conv_norm`. `shape` is outputs, inputs per group, height and width of the kernel.
#[pyfunction]
#[expect(clippy::too_many_arguments, clippy::needless_pass_by_value, reason = "as Python passes them")]
pub(super) fn conv_norm(
    py: Python<'_>,
    name: String,
    dtype: &str,
    bits: Entries<'_>,
    shape: [usize; 4],
    mask: Option<PyReadonlyArray1<'_, u8>>,
    row_len: Option<usize>,
    part: &str,
    groups: usize,
    stride: [usize; 2],
    dilation: [usize; 2],
    domain: &str,
    size: [usize; 2],
    by: &str,
    delta: f64,
    slack: f64,
    starts: usize,
    seed: u64,
) -> PyResult<Promise> {
    let array = array(name, dtype, &bits)?;
    let source = std::slice::from_ref(&array);
    let [outputs, inputs, height, width] = shape;
    let flat = [outputs, inputs * height * width];
    let matrix = Matrix::new(&source, 0, flat, self::mask(mask.as_ref(), row_len)?, self::part(part)?)?;
    let conv = Convolution { matrix, size: [height, width], groups, stride, dilation };
    let domain = self::domain(domain, size)?;
    let by = By::from_name(by).ok_or_else(|| unknown("by", "best, frequencies, unfoldings or taps", by))?;
    let settings = Settings { random: Random { delta, starts, seed, slack }, ..Settings::default() };
    let norm = run(py, usize::MAX, 1, None, |ctx| norm::conv_norm(&conv, domain, by, settings, ctx))?;
    Ok(promise(norm))
}
