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

/// Weights of a call and what of them counts: name, dtype, bits, mask, `row_len` of a packed mask, part.
#[derive(FromPyObject)]
pub(super) struct PartWords<'py>(
    String,
    String,
    Entries<'py>,
    Option<PyReadonlyArray1<'py, u8>>,
    Option<usize>,
    String,
);

impl PartWords<'_> {
    /// What `work` makes of them as a matrix of that shape.
    fn with<R>(&self, shape: [usize; 2], work: impl FnOnce(Matrix<'_>) -> PyResult<R>) -> PyResult<R> {
        let Self(name, dtype, bits, bytes, row_len, part) = self;
        let array = array(name.clone(), dtype, bits)?;
        let source = std::slice::from_ref(&array);
        work(Matrix::new(&source, 0, shape, mask(bytes.as_ref(), *row_len)?, self::part(part)?)?)
    }
}

/// How random starts are made: delta, slack, their number, seed.
#[derive(FromPyObject)]
pub(super) struct Starts(f64, f64, usize, u64);

impl From<Starts> for Settings {
    fn from(Starts(delta, slack, starts, seed): Starts) -> Self {
        Self { random: Random { delta, starts, seed, slack }, ..Self::default() }
    }
}

/// See `rustprune.norms`.
#[pyfunction]
#[expect(clippy::needless_pass_by_value, reason = "as Python passes them")]
pub(super) fn norms(
    py: Python<'_>,
    weights: PartWords<'_>,
    shape: [usize; 2],
    kinds: Vec<String>,
    starts: Starts,
) -> PyResult<BTreeMap<String, Promise>> {
    let wanted = kinds.iter().map(|kind| which(kind)).collect::<PyResult<Vec<_>>>()?;
    let found = weights.with(shape, |matrix| {
        run(py, usize::MAX, 1, None, |ctx| norm::norms(&matrix, &wanted, starts.into(), ctx))
    })?;
    Ok(kinds.into_iter().zip(found.into_iter().map(promise)).collect())
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

/// See `rustprune.conv_norm`. `shape` is outputs, inputs per group, height and width of the kernel; `steps` are groups,
/// stride and dilation.
#[pyfunction]
#[expect(clippy::needless_pass_by_value, reason = "as Python passes them")]
pub(super) fn conv_norm(
    py: Python<'_>,
    kernel: PartWords<'_>,
    shape: [usize; 4],
    steps: (usize, [usize; 2], [usize; 2]),
    domain: (String, [usize; 2]),
    by: &str,
    starts: Starts,
) -> PyResult<Promise> {
    let ([outputs, inputs, height, width], (groups, stride, dilation)) = (shape, steps);
    let domain = self::domain(&domain.0, domain.1)?;
    let by = By::from_name(by).ok_or_else(|| unknown("by", "best, frequencies, unfoldings or taps", by))?;
    let norm = kernel.with([outputs, inputs * height * width], |matrix| {
        let conv = Convolution { matrix, size: [height, width], groups, stride, dilation };
        run(py, usize::MAX, 1, None, |ctx| norm::conv_norm(&conv, domain, by, starts.into(), ctx))
    })?;
    Ok(promise(norm))
}
