//! What a sample of measured gaps proves: numbers in, numbers out.

use pyo3::prelude::*;

use crate::bound;

/// Clopper and Pearson's bounds of a chance, each with confidence `1 - beta`.
#[pyfunction]
pub(super) fn bound_chance(count: u64, samples: u64, beta: f64) -> (f64, f64) {
    (bound::chance_lower(count, samples, beta), bound::chance_upper(count, samples, beta))
}

/// The rank of the sample that bounds a quantile.
#[pyfunction]
pub(super) fn bound_quantile_rank(samples: u64, level: f64, beta: f64) -> Option<u64> {
    bound::quantile_rank(samples, level, beta)
}

/// How many samples make their largest a bound of a quantile.
#[pyfunction]
pub(super) fn bound_samples_for_quantile(level: f64, beta: f64) -> f64 {
    bound::samples_for_quantile(level, beta)
}

/// How far an empirical distribution function is from the true one, on both sides.
#[pyfunction]
pub(super) fn bound_distribution_error(samples: f64, beta: f64) -> f64 {
    bound::distribution_error(samples, beta, true).unwrap_or(1.0)
}

/// How many samples bring that to `error`.
#[pyfunction]
pub(super) fn bound_samples_for_distribution(error: f64, beta: f64) -> Option<f64> {
    bound::samples_for_distribution(error, beta, true)
}

/// How far a sample mean is below the true one.
#[pyfunction]
pub(super) fn bound_mean_error(samples: f64, variance: f64, largest: f64, beta: f64) -> f64 {
    bound::mean_error(samples, variance, largest, beta)
}
