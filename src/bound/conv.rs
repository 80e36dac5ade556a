//! Convolutions with independent kernels (Theorem 4).

use std::f64::consts::PI;

use super::law::Spread;
use super::shape::Kernel;
use super::special::ln_binomial;
use super::trace::{GaussianTrace, ln_trace};

/// Sizes of the frequency grid that are tried.
const GRIDS: [usize; 7] = [4, 6, 8, 12, 16, 24, 32];

/// The supremum over all frequencies of one axis is at most this many times the largest of `grid` equispaced ones, for
/// `taps` taps; infinite for `grid < taps` (Proposition 6.12c).
#[must_use]
pub fn grid_factor(taps: usize, grid: usize) -> f64 {
    if taps == 1 {
        1.0
    } else if grid < taps {
        f64::INFINITY
    } else {
        1.0 / (PI * (taps - 1) as f64 / (2 * grid) as f64).cos()
    }
}

/// `ln` of the factor from the trace moment at one frequency to the `2p`-th moment of the operator's norm.
pub(crate) fn ln_fold(kernel: Kernel, p: usize) -> f64 {
    let frequencies = |height: usize, width: usize| ((height * width / 2 + 2) as f64).ln();
    let along = |taps: usize, grid: usize| if taps == 1 { 1 } else { grid };
    let (tall, wide) = kernel.taps;
    let any_size = GRIDS.iter().map(|&grid| {
        let factor = grid_factor(tall, grid) * grid_factor(wide, grid);
        2.0 * p as f64 * factor.ln() + frequencies(along(tall, grid), along(wide, grid))
    });
    let any_size = any_size.fold(f64::INFINITY, f64::min);
    kernel.circular.map_or(any_size, |(height, width)| any_size.min(frequencies(height, width)))
}

/// `ln` of a bound of `E Tr (Y Y^T)^p` for entries that are sums of `taps` entries of that spread.
pub(crate) fn ln_tap_trace(spread: Spread, taps: usize, gauss: &GaussianTrace, p: usize) -> f64 {
    let ln_taps = (taps as f64).ln();
    if spread.share() >= 1.0 {
        return p as f64 * (ln_taps + spread.ln_variance) + gauss.ln_moment(p);
    }
    // E y^{2k} <= (2k-1)!! tau^{2k} E Bin(taps, share)^k
    let ln_moments: Vec<f64> = ln_binomial_moments(taps, spread.share(), p.max(2));
    let ln_variance = ln_moments[0] + spread.ln_tau2;
    let growth = (1..ln_moments.len()).map(|j| (ln_moments[j] - ln_moments[0]) / j as f64);
    let ln_tau2 = (spread.ln_tau2 + growth.fold(f64::NEG_INFINITY, f64::max)).max(ln_variance);
    let sum = Spread { ln_variance, ln_tau2 };
    p as f64 * ln_tau2 + ln_trace(sum.share(), gauss, p)
}

/// `ln E Bin(taps, share)^k` for `k = 1..=last`.
fn ln_binomial_moments(taps: usize, share: f64, last: usize) -> Vec<f64> {
    let logs: Vec<(f64, f64)> = (1..=taps)
        .map(|count| {
            let count = count as f64;
            (ln_binomial(count, taps as f64, share), count.ln())
        })
        .collect();
    let moment = |k: usize| {
        let terms = logs.iter().map(|(chance, ln_count)| chance + k as f64 * ln_count);
        let top = terms.clone().fold(f64::NEG_INFINITY, f64::max);
        top + terms.map(|term| (term - top).exp()).sum::<f64>().ln()
    };
    (1..=last).map(moment).collect()
}

/// How often one pixel is used at most along an axis: `ceil(taps * gcd(stride, dilation) / stride)`.
///
/// The average `taps / stride` is not enough: with 3 taps and stride 2 the even pixels are used twice.
#[must_use]
pub fn largest_use(taps: usize, stride: usize, dilation: usize) -> usize {
    let (mut gcd, mut rest) = (stride, dilation);
    while rest > 0 {
        (gcd, rest) = (rest, gcd % rest);
    }
    (taps * gcd).div_ceil(stride).min(taps)
}

#[cfg(test)]
mod tests;
