//! The law of the weights: what the theory needs of it, and nothing else (Definition 1.2).

use std::f64::consts::PI;
use std::sync::Arc;

use super::special::{erf_inv, ln_factorial, ln_gaussian_moment, ln_product, lower_gamma_series};
use super::table::Table;

/// A symmetric law of independent weights.
#[derive(Debug, Clone, PartialEq)]
pub struct Law {
    /// The law up to its scale.
    pub family: Family,
    /// What its weights are multiplied by, above zero and finite.
    pub scale: f64,
}

/// A symmetric law at unit scale.
#[derive(Debug, Clone)]
pub enum Family {
    /// Uniform on [-1, 1].
    Uniform,
    /// Standard normal.
    Normal,
    /// Density `e^{-|w|} / 2`.
    Laplace,
    /// Any other, by an upper table of the quantiles of its magnitude.
    Table(Arc<Table>),
}

impl PartialEq for Family {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Table(one), Self::Table(other)) => Arc::ptr_eq(one, other),
            _ => std::mem::discriminant(self) == std::mem::discriminant(other),
        }
    }
}

/// Weights on one side of a threshold on their magnitude, given by its level `v = P(|w| <= threshold)`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Side {
    /// `|w| <= q(v)`; all weights for `v = 1`.
    Below(f64),
    /// `|w| > q(v)`; all weights for `v = 0`.
    Above(f64),
}

/// All weights.
pub const WHOLE: Side = Side::Below(1.0);

impl Side {
    fn is_whole(self) -> bool {
        match self {
            Self::Below(v) => v >= 1.0,
            Self::Above(v) => v <= 0.0,
        }
    }
}

/// The numbers of condition (M) for masked entries: `E x^{2k} <= v tau^{2k-2} (2k-1)!!` for `k <= p`, and
/// `share = v / tau^2`, at most one (Propositions 2.6 and 2.7).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Spread {
    /// `ln v`
    pub ln_variance: f64,
    /// `ln tau^2`
    pub ln_tau2: f64,
}

impl Spread {
    /// `v / tau^2`
    #[must_use]
    pub fn share(self) -> f64 {
        (self.ln_variance - self.ln_tau2).exp().min(1.0)
    }

    pub(crate) fn is_finite(self) -> bool {
        self.ln_variance < f64::INFINITY && self.ln_tau2 < f64::INFINITY
    }
}

impl Family {
    /// `ln (E[w^{2k} | side] / (2k-1)!!)`; infinite above the last quantile of an unbounded law.
    #[must_use]
    pub fn ln_moment(&self, side: Side, k: usize) -> f64 {
        match self {
            Self::Uniform => uniform_ln_moment(side, k),
            Self::Normal => normal_ln_moment(side, k),
            Self::Laplace => laplace_ln_moment(side, k),
            Self::Table(table) => table.ln_moment(side, k) - ln_gaussian_moment(k),
        }
    }

    /// `ln max_{2 <= j <= p} (m_j / m_1)^{1/(j-1)}` of the moments `m` of [`Family::ln_moment`], with `p` at least 2.
    fn ln_growth(&self, side: Side, p: usize) -> f64 {
        let last = if self.is_settled() { 2 } else { p.max(2) };
        let first = self.ln_moment(side, 1);
        let steps = (2..=last).map(|j| (self.ln_moment(side, j) - first) / (j - 1) as f64);
        steps.fold(f64::NEG_INFINITY, f64::max)
    }

    /// Whether the first step of the moments grows most, so that one spread holds for all orders: uniform and normal
    /// weights, and their parts, have moments over `(2k-1)!!` that are log-concave in `k`.
    pub(crate) fn is_settled(&self) -> bool {
        matches!(self, Self::Uniform | Self::Normal)
    }

    /// The spread of entries that are a weight of `side` with chance `chance`, else zero, for moments up to `2p`.
    #[must_use]
    pub fn spread(&self, side: Side, chance: f64, p: usize) -> Spread {
        let ln_variance = self.ln_moment(side, 1) + chance.ln();
        if ln_variance == f64::INFINITY {
            return Spread { ln_variance, ln_tau2: f64::INFINITY };
        }
        Spread { ln_variance, ln_tau2: self.ln_growth(side, p).max(ln_variance) }
    }

    /// The variance of a weight; an upper bound for a table.
    #[must_use]
    pub fn variance(&self) -> f64 {
        match self {
            Self::Uniform => 1.0 / 3.0,
            Self::Normal => 1.0,
            Self::Laplace => 2.0,
            Self::Table(_) => self.ln_moment(WHOLE, 1).exp(),
        }
    }

    /// The smallest known `s` with `w` below `N(0, s^2)` in convex order (Lemma 2.14); infinite where there is none.
    #[must_use]
    pub fn gaussian_scale(&self) -> f64 {
        match self {
            Self::Uniform => (PI / 8.0).sqrt(),
            Self::Normal => 1.0,
            Self::Laplace => f64::INFINITY,
            // |w| <= b: below the coin +-b, which is below N(0, b^2 pi/2).
            Self::Table(table) => table.largest() * (PI / 2.0).sqrt(),
        }
    }

    /// The quantile of the magnitude at level `v`; an upper bound for a table.
    #[must_use]
    pub fn quantile(&self, v: f64) -> f64 {
        match self {
            Self::Uniform => v,
            Self::Normal => 2_f64.sqrt() * erf_inv(v),
            Self::Laplace => -(-v).ln_1p(),
            Self::Table(table) => table.quantile(v),
        }
    }

    /// `P(|w| <= t)`; a lower bound for a table.
    #[must_use]
    pub fn level(&self, t: f64) -> f64 {
        match self {
            Self::Uniform => t.clamp(0.0, 1.0),
            Self::Normal => libm::erf(t / 2_f64.sqrt()),
            Self::Laplace => -(-t).exp_m1(),
            Self::Table(table) => table.level(t),
        }
    }

    /// The largest magnitude; infinite for an unbounded law.
    #[must_use]
    pub fn largest(&self) -> f64 {
        self.quantile(1.0)
    }
}

fn uniform_ln_moment(side: Side, k: usize) -> f64 {
    let (order, power) = (2 * k, 2.0 * k as f64);
    let whole = -((order + 1) as f64).ln();
    let ln = match side {
        Side::Below(v) => power * v.ln() + whole,
        Side::Above(v) if v <= 0.0 => whole,
        Side::Above(v) if v >= 1.0 => 0.0,
        Side::Above(v) => (-((power + 1.0) * v.ln()).exp_m1() / (1.0 - v)).ln() + whole,
    };
    ln - ln_gaussian_moment(k)
}

/// `P(k + 1/2, q^2/2) / v` below, `Q(k + 1/2, q^2/2) / (1-v)` above.
fn normal_ln_moment(side: Side, k: usize) -> f64 {
    match side {
        _ if side.is_whole() => 0.0,
        Side::Below(v) => {
            let x = erf_inv(v).powi(2);
            let a = k as f64 + 0.5;
            if x < a + 1.0 {
                a * x.ln() - x - ln_half_gamma(k + 1) + lower_gamma_series(a, x).ln() - v.ln()
            } else {
                (-upper_half_gamma(k, x)).ln_1p() - v.ln()
            }
        }
        Side::Above(v) if v >= 1.0 => f64::INFINITY,
        Side::Above(v) => upper_half_gamma(k, erf_inv(v).powi(2)).ln() - (-v).ln_1p(),
    }
}

/// `ln Gamma(k + 1/2)`
fn ln_half_gamma(k: usize) -> f64 {
    ln_gaussian_moment(k) - k as f64 * std::f64::consts::LN_2 + 0.5 * PI.ln()
}

/// `Q(k + 1/2, x)`: the error function and positive terms.
fn upper_half_gamma(k: usize, x: f64) -> f64 {
    let mut term = x.sqrt() * (-x).exp() / (PI.sqrt() / 2.0);
    let mut sum = libm::erfc(x.sqrt());
    for i in 0..k {
        sum += term;
        term *= x / (i as f64 + 1.5);
    }
    sum.min(1.0)
}

/// `(2k)! P(2k+1, q) / v` below, with `Q` and `1-v` above.
fn laplace_ln_moment(side: Side, k: usize) -> f64 {
    let order = 2 * k;
    let whole = ln_factorial(order) - ln_gaussian_moment(k);
    match side {
        _ if side.is_whole() => whole,
        Side::Below(v) => {
            let x = -(-v).ln_1p();
            let a = (order + 1) as f64;
            if x < a + 1.0 {
                let first = a * x.ln() - x - ln_factorial(order + 1);
                whole + first + lower_gamma_series(a, x).ln() - v.ln()
            } else {
                whole + (-ln_upper_gamma(order, x).exp()).ln_1p() - v.ln()
            }
        }
        Side::Above(v) if v >= 1.0 => f64::INFINITY,
        Side::Above(v) => whole + ln_upper_gamma(order, -(-v).ln_1p()) - (-v).ln_1p(),
    }
}

/// `ln Q(order + 1, x)`, which is `e^-x` times the exponential series up to `order`.
fn ln_upper_gamma(order: usize, x: f64) -> f64 {
    // From the last term down, so that the sum stays near one.
    let sum = (1..=order).rev().fold(1.0, |sum, i| 1.0 + sum * x / i as f64);
    (sum.ln() - x).min(0.0)
}

/// `ln E V^{2p}` of the `(k+1)`-th smallest of `len` uniform variables, `V ~ Beta(k+1, len-k)` (Proposition 2.9).
#[must_use]
pub fn ln_threshold_moment(k: u64, len: u64, p: usize) -> f64 {
    let (k, len) = (k as f64, len as f64);
    ln_product((1..=2 * p).map(|i| (k + i as f64) / (len + i as f64)))
}

/// `ln` of an upper bound of `E x^{2j}`, not over `(2j-1)!!`.
pub(crate) fn ln_plain_moment(family: &Family, side: Side, j: usize) -> f64 {
    family.ln_moment(side, j) + ln_gaussian_moment(j)
}

#[cfg(test)]
mod tests;
