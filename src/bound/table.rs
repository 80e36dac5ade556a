//! A law given by numbers: an upper table of the quantiles of the weights' magnitude.

use super::law::Side;
use super::special::ln_add;
use crate::error::{Error, Result};

/// Moments are tabled up to this order, half of it: the largest `p` of the grid.
const ORDERS: usize = 512;

/// Magnitudes at most `quantiles[i]` at each level in `(levels[i-1], levels[i]]`, the first from level zero.
///
/// Weights may be replaced by larger ones (Lemma 2.11), so a bound for the law of this step function is one for
/// every law below it, also one with atoms. All moments are those of the steps: rounded up, and at the level at
/// which the chances of the threshold are taken.
#[derive(Debug, PartialEq)]
pub struct Table {
    levels: Vec<f64>,
    quantiles: Vec<f64>,
    /// `below[k-1][i] = ln E[w^{2k}; level <= levels[i]]`, `above[k-1][i]` for levels over it.
    below: Vec<Vec<f64>>,
    above: Vec<Vec<f64>>,
}

impl Table {
    /// Checks and tables them.
    ///
    /// # Errors
    /// [`Error::BadTable`] unless both lists are equally long, the levels rise strictly from above zero to one,
    /// and the quantiles are finite and do not fall, the last of them above zero.
    pub fn new(levels: Vec<f64>, quantiles: Vec<f64>) -> Result<Self> {
        let rises = levels.windows(2).all(|pair| pair[0] < pair[1]) && levels.first() > Some(&0.0);
        let falls = quantiles.windows(2).any(|pair| pair[0] > pair[1]);
        let ends = levels.last() == Some(&1.0) && quantiles.last().is_some_and(|&q| q > 0.0 && q.is_finite());
        let starts = quantiles.first() >= Some(&0.0);
        if levels.len() != quantiles.len() || !rises || falls || !ends || !starts {
            return Err(Error::BadTable);
        }
        let mut table = Self { levels, quantiles, below: Vec::new(), above: Vec::new() };
        (table.below, table.above) = (1..=ORDERS).map(|k| table.sums(k)).unzip();
        Ok(table)
    }

    fn sums(&self, k: usize) -> (Vec<f64>, Vec<f64>) {
        let bins = self.quantiles.iter().zip(self.widths()).map(|(q, width)| ln_bin(*q, width, k));
        let bins: Vec<f64> = bins.collect();
        let running = |sum: &mut f64, bin: &f64| {
            *sum = ln_add(*sum, *bin);
            Some(*sum)
        };
        let below = bins.iter().scan(f64::NEG_INFINITY, running).collect();
        let mut above: Vec<f64> = bins.iter().skip(1).rev().scan(f64::NEG_INFINITY, running).collect();
        above.reverse();
        above.push(f64::NEG_INFINITY);
        (below, above)
    }

    fn widths(&self) -> impl Iterator<Item = f64> {
        let starts = std::iter::once(&0.0).chain(&self.levels);
        self.levels.iter().zip(starts).map(|(end, start)| end - start)
    }

    /// The bin that holds level `v` in (0, 1].
    fn bin(&self, v: f64) -> usize {
        self.levels.partition_point(|&level| level < v).min(self.levels.len() - 1)
    }

    /// `ln E[w^{2k} | side]`
    pub(crate) fn ln_moment(&self, side: Side, k: usize) -> f64 {
        match side {
            Side::Below(v) if v >= 1.0 => self.at(&self.below, k)[self.levels.len() - 1],
            Side::Below(v) => {
                let bin = self.bin(v);
                let start = if bin == 0 { 0.0 } else { self.levels[bin - 1] };
                let whole = if bin == 0 { f64::NEG_INFINITY } else { self.at(&self.below, k)[bin - 1] };
                ln_add(whole, ln_bin(self.quantiles[bin], v - start, k)) - v.ln()
            }
            Side::Above(v) if v <= 0.0 => self.at(&self.below, k)[self.levels.len() - 1],
            Side::Above(v) if v >= 1.0 => 2.0 * k as f64 * self.largest().ln(),
            Side::Above(v) => {
                let bin = self.bin(v);
                let part = ln_bin(self.quantiles[bin], self.levels[bin] - v, k);
                ln_add(self.at(&self.above, k)[bin], part) - (-v).ln_1p()
            }
        }
    }

    fn at<'a>(&self, sums: &'a [Vec<f64>], k: usize) -> &'a [f64] {
        debug_assert_eq!(sums.len(), ORDERS, "moments beyond the table");
        let _ = self;
        &sums[k - 1]
    }

    pub(crate) fn quantile(&self, v: f64) -> f64 {
        if v <= 0.0 { 0.0 } else { self.quantiles[self.bin(v)] }
    }

    /// The largest level whose magnitudes are all at most `t`.
    pub(crate) fn level(&self, t: f64) -> f64 {
        let bins = self.quantiles.partition_point(|&quantile| quantile <= t);
        if bins == 0 { 0.0 } else { self.levels[bins - 1] }
    }

    pub(crate) fn largest(&self) -> f64 {
        self.quantiles[self.quantiles.len() - 1]
    }
}

/// `ln (width * quantile^{2k})`
fn ln_bin(quantile: f64, width: f64, k: usize) -> f64 {
    2.0 * k as f64 * quantile.ln() + width.ln()
}
