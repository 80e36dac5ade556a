//! Averages over the random threshold of magnitude pruning (Propositions 2.9 and 2.10).

use super::law::{Side, Spread};
use super::special::{binomial_cdf, ln_add, ln_sub, relative_entropy};

/// Where the cells end, in standard deviations from the mean.
const STEPS: [f64; 21] = [
    -3.0, -2.0, -1.25, -0.5, 0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.5, 8.0, 10.0, 13.0, 17.0, 22.0, 28.0,
    36.0, 48.0,
];

/// Below this a tail is taken by its exponential bound.
const SMALL_TAIL: f64 = 1e-10;
/// What a computed tail is raised by, against its rounding.
const TAIL_SLACK: f64 = 1e-9;
/// Cells are left out, and what they could add is added, once that is less than `e^-32` of the sum.
const NEGLIGIBLE: f64 = 32.0;

/// One value of the threshold, and how often it is exceeded.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Cell {
    /// The law of a pruned weight at this threshold.
    pub pruned: Side,
    /// The law of a kept one.
    pub kept: Side,
    /// `ln` of an upper bound of `P(V > v)`.
    pub ln_tail: f64,
    /// The spreads of the pruned and the kept part, where one holds for all orders.
    pub(crate) spreads: Option<[Spread; 2]>,
}

impl Cell {
    /// The single cell of masks that do not look at the weights.
    pub const BLIND: Self = Self::between(0.0, 1.0);

    fn at(level: f64, ln_tail: f64) -> Self {
        Self { ln_tail, ..Self::between(level, level) }
    }

    /// The cell of a threshold between two levels.
    pub(crate) const fn between(low: f64, high: f64) -> Self {
        let (pruned, kept) = (Side::Below(high), Side::Above(low));
        Self { pruned, kept, ln_tail: f64::NEG_INFINITY, spreads: None }
    }

    /// The cell of the largest threshold.
    pub(crate) const LAST: Self = Self::between(1.0, 1.0);
}

/// The cells of the `(k+1)`-th smallest of `len` uniform variables, `k < len`, in rising order.
#[must_use]
pub fn threshold_cells(k: u64, len: u64) -> Vec<Cell> {
    let (count, total) = (k as f64, len as f64);
    let mean = (count + 1.0) / (total + 1.0);
    let deviation = ((count + 1.0) * (total - count)).sqrt() / (total + 1.0) / (total + 2.0).sqrt();
    let levels = STEPS.iter().map(|z| mean + z * deviation).filter(|&v| v > mean / 50.0);
    let mut levels: Vec<f64> = levels.map(|v| v.min(1.0)).collect();
    levels.dedup();
    levels.into_iter().map(|v| Cell::at(v, ln_threshold_tail(k, len, v))).collect()
}

/// `ln` of an upper bound of `P(V > v) = P(Bin(len, v) <= k)`.
#[must_use]
pub fn ln_threshold_tail(k: u64, len: u64, v: f64) -> f64 {
    if v >= 1.0 {
        return f64::NEG_INFINITY;
    }
    let share = k as f64 / len as f64;
    if v <= share {
        return binomial_cdf(k, len, v).ln().min(0.0);
    }
    let ln_exponential = -(len as f64) * relative_entropy(share, v);
    // Where the exponential bound is below the exact value by far more than rounding, no need to look.
    if ln_exponential < (SMALL_TAIL / 10.0).ln() {
        return ln_exponential;
    }
    let exact = binomial_cdf(k, len, v);
    let ln_exact = if exact < SMALL_TAIL { f64::INFINITY } else { (exact * (1.0 + TAIL_SLACK)).ln() };
    ln_exact.min(ln_exponential).min(0.0)
}

/// What is left of an average beyond a cell.
pub(crate) enum Rest<'a> {
    /// `ln` of the value at the largest threshold.
    Bounded(f64),
    /// `ln` of a bound of `E f(V) 1{V > v}`, from `ln P(V > v)`.
    Beyond(&'a dyn Fn(f64) -> f64),
}

/// `ln` of an upper bound of `E f(V)` for nondecreasing `f`, given by its logarithm; a value of infinity ends the
/// cells (Proposition 2.10).
pub(crate) fn ln_average(cells: &[Cell], rest: &Rest<'_>, mut ln_f: impl FnMut(usize, &Cell) -> f64) -> f64 {
    let (mut sum, mut last, mut ln_tail) = (f64::NEG_INFINITY, f64::NEG_INFINITY, 0.0);
    for (index, cell) in cells.iter().enumerate() {
        let value = ln_f(index, cell).max(last);
        if value == f64::INFINITY {
            break;
        }
        if value > last {
            sum = ln_add(sum, ln_tail + ln_sub(value, last));
        }
        (last, ln_tail) = (value, cell.ln_tail);
        // What is left is at least the tail times the last value: before this it cannot be negligible.
        if ln_tail < -NEGLIGIBLE {
            let beyond = left(rest, ln_tail, f64::NEG_INFINITY);
            if beyond < sum - NEGLIGIBLE {
                return ln_add(sum, beyond);
            }
        }
    }
    ln_add(sum, left(rest, ln_tail, last))
}

fn left(rest: &Rest<'_>, ln_tail: f64, last: f64) -> f64 {
    match rest {
        _ if ln_tail == f64::NEG_INFINITY => f64::NEG_INFINITY,
        Rest::Bounded(value) if *value <= last => f64::NEG_INFINITY,
        Rest::Bounded(value) => ln_tail + ln_sub(*value, last),
        Rest::Beyond(bound) => bound(ln_tail),
    }
}

/// The level that `V` stays below with chance `1 - delta`: `q` of it bounds the threshold (section 5).
#[must_use]
pub fn threshold_level(k: u64, len: u64, delta: f64) -> f64 {
    if k >= len { 1.0 } else { super::special::first_where(|v| binomial_cdf(k, len, v) <= delta) }
}

#[cfg(test)]
mod tests;
