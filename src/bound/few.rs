//! Matrices with few nonzero entries (Proposition 2.13).

use super::special::{ln_binomial, ln_factorial, ln_hypergeometric, ln_unimodal_sum, mode};

/// Above these the candidates here are not tried: others are smaller.
pub(crate) const MAX_P: usize = 64;
const MAX_SUMMED: u64 = 4096;

/// Which positions are nonzero.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Positions {
    /// Exactly so many, uniform among all sets of that size.
    Exactly(u64),
    /// Each with this chance, on its own.
    Each(f64),
}

impl Positions {
    /// How many there are on average.
    fn mean(self, len: u64) -> f64 {
        match self {
            Self::Exactly(count) => count as f64,
            Self::Each(chance) => chance * len as f64,
        }
    }

    /// Whether Proposition 2.13 is tried.
    pub(crate) fn are_few(self, rows: usize, cols: usize, p: usize) -> bool {
        p <= MAX_P && self.mean(rows as u64 * cols as u64) <= 4.0 * rows.max(cols) as f64
    }
}

/// `ln E (sum of x_i^2)^p` over the nonzero entries, from `ln E x^{2j}` (2.13a); infinite where there are too many to
/// be worth it. For independent positions the count is averaged over: `(1 + r (g(t) - 1))^D` in place of `g^k`.
pub(crate) fn ln_frobenius_moment(
    positions: Positions,
    len: u64,
    p: usize,
    ln_moment: impl Fn(usize) -> f64,
) -> f64 {
    let (power, chance) = match positions {
        Positions::Exactly(count) => (count, 1.0),
        Positions::Each(chance) => (len, chance),
    };
    if positions.mean(len) > MAX_SUMMED as f64 {
        return f64::INFINITY;
    }
    // Scaled so that the coefficients of the power are near those of e^t.
    let scale = ln_moment(1) + positions.mean(len).ln();
    let series: Vec<f64> =
        (0..=p)
            .map(|j| {
                if j == 0 { 1.0 } else { chance * (ln_moment(j) - ln_factorial(j) - j as f64 * scale).exp() }
            })
            .collect();
    let coefficient = power_of_series(series, power)[p];
    if coefficient > 0.0 { coefficient.ln() + ln_factorial(p) + p as f64 * scale } else { f64::INFINITY }
}

/// The leading coefficients of a power series to a positive power, by repeated squaring: all terms are positive.
fn power_of_series(mut base: Vec<f64>, mut power: u64) -> Vec<f64> {
    let mut product: Option<Vec<f64>> = None;
    loop {
        if power & 1 == 1 {
            product = Some(product.map_or_else(|| base.clone(), |product| convolve(&product, &base)));
        }
        power >>= 1;
        if power == 0 {
            return product.unwrap_or(base);
        }
        base = convolve(&base, &base);
    }
}

fn convolve(left: &[f64], right: &[f64]) -> Vec<f64> {
    (0..left.len()).map(|p| (0..=p).map(|j| left[j] * right[p - j]).sum()).collect()
}

/// `ln` of `(n E R^{2p} m E C^{2p})^{1/2}`, where `R` and `C` are the nonzero entries of one row and one column: times
/// `b^{2p}` it bounds the norm of entries at most `b` (2.13b).
pub(crate) fn ln_schur_moment(positions: Positions, rows: usize, cols: usize, p: usize) -> f64 {
    let len = rows as u64 * cols as u64;
    let of_line = |lines: usize, marked: usize| {
        let moment = match positions {
            Positions::Exactly(count) => ln_hypergeometric_moment(marked as u64, len, count, 2 * p),
            Positions::Each(chance) => ln_binomial_moment(marked as u64, chance, 2 * p),
        };
        (lines as f64).ln() + moment
    };
    f64::midpoint(of_line(rows, cols), of_line(cols, rows))
}

/// `ln E H^q` of the marked ones among `draws` of `len` entries.
pub(crate) fn ln_hypergeometric_moment(marked: u64, len: u64, draws: u64, q: usize) -> f64 {
    let low = (draws + marked).saturating_sub(len).max(1);
    let high = marked.min(draws);
    if high < low {
        return f64::NEG_INFINITY;
    }
    let ratio = |h: u64| {
        let without = ((marked - h + 1) as f64 / h as f64) * ((draws - h + 1) as f64);
        without / (len + h - marked - draws) as f64 * growth(h, q)
    };
    let top = mode((low, high), ratio);
    let peak = ln_hypergeometric(top as f64, len as f64, marked as f64, draws as f64);
    ln_unimodal_sum((low, top, high), peak + q as f64 * (top as f64).ln(), ratio)
}

/// `ln E B^q` of a binomial count.
pub(crate) fn ln_binomial_moment(len: u64, chance: f64, q: usize) -> f64 {
    if chance >= 1.0 {
        return q as f64 * (len as f64).ln();
    }
    let odds = chance / (1.0 - chance);
    let ratio = |h: u64| (len - h + 1) as f64 / h as f64 * odds * growth(h, q);
    let top = mode((1, len), ratio);
    ln_unimodal_sum(
        (1, top, len),
        ln_binomial(top as f64, len as f64, chance) + q as f64 * (top as f64).ln(),
        ratio,
    )
}

/// `(h / (h-1))^q`
fn growth(h: u64, q: usize) -> f64 {
    if h <= 1 { f64::INFINITY } else { (-(q as f64) * (-1.0 / h as f64).ln_1p()).exp() }
}

#[cfg(test)]
mod tests;
