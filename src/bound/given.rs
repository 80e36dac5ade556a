//! Random masks of given weights, trained ones included (Proposition 2.8).

use super::orders::{Best, norm_tail};
use super::special::ln_binomial;
use super::trace::ln_profile_trace;
use crate::error::{Error, Result};

/// What is needed of given weights.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct GivenWeights {
    /// Rows of the matrix, at least one.
    pub rows: usize,
    /// Columns, at least one.
    pub cols: usize,
    /// The largest sum of squared weights over a row; an upper bound does.
    pub row2: f64,
    /// Over a column.
    pub col2: f64,
    /// The largest magnitude; an upper bound does.
    pub largest: f64,
}

impl GivenWeights {
    /// The same, once its numbers make sense.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] for an empty matrix, and for sums or a magnitude that are negative or not finite.
    pub fn checked(self) -> Result<Self> {
        for size in [self.rows, self.cols] {
            Error::check_range("size of a matrix", size as f64, 1.0, f64::MAX)?;
        }
        for sum in [self.row2, self.col2, self.largest] {
            Error::check_range("norm of weights", sum, 0.0, f64::MAX)?;
        }
        Ok(self)
    }
}

/// `t` with `P(||D - r W|| > t) <= delta` where each weight is pruned on its own with chance `ratio`, for the pruned part `D`:
/// then `||D|| <= r ||W|| + t`, and `||M*W|| <= (1-r) ||W|| + t` on the same event.
///
/// With `count` given instead, exactly so many of all are pruned, and `delta` pays for the chance of that number.
#[must_use]
pub fn random_mask_deviation(weights: &GivenWeights, ratio: f64, count: Option<u64>, delta: f64) -> Best {
    let GivenWeights { rows, cols, row2, col2, largest } = *weights;
    let len = rows as f64 * cols as f64;
    let ratio = count.map_or(ratio, |count| count as f64 / len);
    let variance = 2.0 * ratio * (1.0 - ratio);
    if variance <= 0.0 || largest <= 0.0 {
        return Best { ln_epsilon: f64::NEG_INFINITY, p: 1 };
    }
    let ln_price = count.map_or(0.0, |count| ln_binomial(count as f64, len, ratio));
    // At unit scale, so that squares neither overflow nor vanish.
    let unit = |sum: f64| (sum / largest / largest).max(1.0);
    let tau2 = (1.0_f64 / 3.0).max(variance);
    let ln_norm =
        |p: usize| ln_profile_trace(variance * unit(row2), variance * unit(col2), tau2, rows, cols, p);
    let best = norm_tail(1.0, |p| ln_norm(p) - delta.ln() - ln_price);
    Best { ln_epsilon: best.ln_epsilon + largest.ln(), ..best }
}

#[cfg(test)]
mod tests;
