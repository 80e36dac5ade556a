//! Averages over the random threshold of magnitude pruning (Propositions 2.9 and 2.10).

use std::array::from_fn;

use super::law::{Side, Spread};
use super::special::{binomial_cdf, ln_add, ln_binomial, ln_sub, relative_entropy};

/// Where the cells end, in standard deviations from the mean.
const STEPS: [f64; 28] = [
    -3.0, -2.0, -1.25, -0.5, 0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.5, 8.0, 10.0, 13.0, 17.0, 22.0, 28.0,
    36.0, 48.0, 64.0, 90.0, 130.0, 190.0, 290.0, 450.0, 700.0,
];

/// The cell at the mean, where none below it is left out.
const MIDDLE: usize = 4;

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
    let ln_tails = ln_threshold_tails(k, len, &levels);
    levels.into_iter().zip(ln_tails).map(|(v, ln_tail)| Cell::at(v, ln_tail)).collect()
}

/// `ln` of upper bounds of `P(V > v) = P(Bin(len, v) <= k)` at rising levels: the exponential bound, or the exact value
/// where that is not tiny.
fn ln_threshold_tails(k: u64, len: u64, levels: &[f64]) -> Vec<f64> {
    let share = k as f64 / len as f64;
    let ln_exponential = |v: f64| {
        if v > share { -(len as f64) * relative_entropy(share, v) } else { 0.0 }
    };
    let mut tails: Vec<f64> = levels.iter().map(|&v| ln_exponential(v)).collect();
    // Where the exponential bound is below the exact value by far more than rounding, no need to look.
    let exact = tails.partition_point(|&tail| tail >= (SMALL_TAIL / 10.0).ln());
    let mut tail = 0.0;
    for at in (0..exact).rev() {
        tail = if at + 1 == exact {
            binomial_cdf(k, len, levels[at])
        } else {
            tail + threshold_chance(k, len, levels[at], levels[at + 1])
        };
        if tail >= SMALL_TAIL {
            let slack = if levels[at] > share { 1.0 + TAIL_SLACK } else { 1.0 };
            tails[at] = tails[at].min((tail * slack).ln()).min(0.0);
        }
    }
    tails
}

/// `P(from < V <= to)` for levels that are at most a few deviations apart, by Gauss's rule on the density
/// `len P(Bin(len-1, v) = k)`.
fn threshold_chance(k: u64, len: u64, from: f64, to: f64) -> f64 {
    let (middle, half) = (f64::midpoint(from, to), (to - from) / 2.0);
    let (below, above) = (k as f64, (len - k - 1) as f64);
    let ln_density = ln_binomial(below, len as f64 - 1.0, middle) + (len as f64).ln();
    let at = |node: f64| {
        let step = half * node;
        let ln_ratio = |count: f64, x: f64| if count == 0.0 { 0.0 } else { count * x.ln_1p() };
        (ln_ratio(below, step / middle) + ln_ratio(above, -step / (1.0 - middle))).exp()
    };
    let sum: f64 = NODES.iter().map(|&(node, weight)| weight * (at(node) + at(-node))).sum();
    half * sum * ln_density.exp()
}

/// Nodes and weights of Gauss's rule with sixteen points, exact for polynomials of degree 31; each also at its opposite.
const NODES: [(f64, f64); 8] = [
    (0.095_012_509_837_637_44, 0.189_450_610_455_068_5),
    (0.281_603_550_779_258_9, 0.182_603_415_044_923_6),
    (0.458_016_777_657_227_4, 0.169_156_519_395_002_54),
    (0.617_876_244_402_643_7, 0.149_595_988_816_576_73),
    (0.755_404_408_355_003, 0.124_628_971_255_533_87),
    (0.865_631_202_387_831_7, 0.095_158_511_682_492_78),
    (0.944_575_023_073_232_6, 0.062_253_523_938_647_894),
    (0.989_400_934_991_649_9, 0.027_152_459_411_754_095),
];

/// What is left of an average beyond a cell.
#[derive(Clone, Copy)]
pub(crate) enum Rest<'a> {
    /// `ln` of the value at the largest threshold.
    Bounded(f64),
    /// `ln` of a bound of `E f(V) 1{V > v}`, from `ln P(V > v)`.
    Beyond(&'a dyn Fn(f64) -> f64),
}

/// `ln` of an upper bound of `E f(V)` for nondecreasing `f`, given by its logarithm; a value of infinity ends the
/// cells (Proposition 2.10).
pub(crate) fn ln_average(cells: &[Cell], rest: Rest<'_>, mut ln_f: impl FnMut(usize, &Cell) -> f64) -> f64 {
    ln_averages(cells, &[rest], |index, cell| [ln_f(index, cell)])[0]
}

/// The same for several functions, all of which end at the same cell: what Theorem 2 asks of its two coefficients.
pub(crate) fn ln_averages<const N: usize>(
    cells: &[Cell],
    rests: &[Rest<'_>; N],
    mut ln_f: impl FnMut(usize, &Cell) -> [f64; N],
) -> [f64; N] {
    let (mut sums, mut last, mut ln_tail) = ([f64::NEG_INFINITY; N], [f64::NEG_INFINITY; N], 0.0);
    for (index, cell) in cells.iter().enumerate() {
        let values = ln_f(index, cell);
        if values.contains(&f64::INFINITY) {
            break;
        }
        for ((sum, last), value) in sums.iter_mut().zip(&mut last).zip(values) {
            if value > *last {
                *sum = ln_add(*sum, ln_tail + ln_sub(value, *last));
                *last = value;
            }
        }
        ln_tail = cell.ln_tail;
        // What is left is at least the tail times the last value: before this it cannot be negligible.
        if ln_tail < -NEGLIGIBLE {
            let beyond = rests.each_ref().map(|rest| left(rest, ln_tail, f64::NEG_INFINITY));
            if beyond.iter().zip(&sums).all(|(beyond, sum)| *beyond < sum - NEGLIGIBLE) {
                return from_fn(|i| ln_add(sums[i], beyond[i]));
            }
        }
    }
    from_fn(|i| ln_add(sums[i], left(&rests[i], ln_tail, last[i])))
}

/// `ln` of a number that [`ln_average`] is not below, from the cell at the mean alone.
pub(crate) fn ln_least_average(cells: &[Cell], mut ln_f: impl FnMut(usize, &Cell) -> f64) -> f64 {
    // The steps up to a cell each count at least as often as the last of them.
    let index = cells.len().saturating_sub(1).min(MIDDLE);
    let ln_often = if index == 0 { 0.0 } else { cells[index - 1].ln_tail };
    let value = ln_f(index, &cells[index]);
    if value == f64::INFINITY { f64::NEG_INFINITY } else { value + ln_often }
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
