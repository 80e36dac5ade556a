//! Moments of a chi-squared variable whose degrees of freedom are binomial (Lemma 3.1).

use std::array::from_fn;
use std::f64::consts::LN_2;
use std::sync::LazyLock;

use super::orders::{LONG_ORDERS, ORDERS};
use super::special::{ln_factorial, ln_product};

/// `Q_p(n, x) = E prod_{j<p} (K + 2j)`, `K ~ Bin(n, x)`, by its logarithm.
///
/// With `E C(K, i) = C(n, i) x^i` the product is a sum of `p` positive terms,
/// `Q_p = 2^p p! sum_i b(p, i) C(n, i) x^i`, where `sum_p b(p, i) t^p = ((1-t)^{-1/2} - 1)^i`: no sum over the `n`
/// values of `K`.
#[must_use]
pub fn ln_chi_square_moment(rows: usize, share: f64, p: usize) -> f64 {
    ln_chi_square_moments(rows, [share], p)[0]
}

/// The same for several shares at once.
pub(crate) fn ln_chi_square_moments<const N: usize>(rows: usize, shares: [f64; N], p: usize) -> [f64; N] {
    let full = || ln_product((0..p).map(|j| (rows + 2 * j) as f64));
    if shares.iter().all(|&share| share >= 1.0) {
        return [full(); N];
    }
    let sums = if p > LAST {
        match LONG_ROWS.binary_search_by_key(&p, |(order, _)| *order) {
            Ok(at) => ln_long_sums(p, &LONG_ROWS[at].1, rows, shares),
            Err(_) => ln_long_sums(p, &long_rows(p, |order| order == p)[0].1, rows, shares),
        }
    } else {
        match ROWS.binary_search_by_key(&p, |(order, _)| *order) {
            Ok(at) => ln_sums(&ROWS[at].1, rows, shares),
            Err(_) => ln_sums(&coefficients(p), rows, shares),
        }
    };
    let scale = p as f64 * LN_2 + ln_factorial(p);
    from_fn(|i| if shares[i] >= 1.0 { full() } else { scale + sums[i] })
}

/// `ln sum_i b_i C(rows, i) share^i`
fn ln_sums<const N: usize>(coefficients: &[f64], rows: usize, shares: [f64; N]) -> [f64; N] {
    let mut lanes = Lanes { sums: [0.0; N], terms: [1.0; N], scales: [0.0; N] };
    for (i, b) in coefficients.iter().enumerate().skip(1).take(rows) {
        let factor = (rows - i + 1) as f64 / i as f64;
        lanes.step(shares.map(|share| share * factor), *b);
    }
    lanes.ln()
}

/// The rows of the orders that are tried, and of twice them.
static ROWS: LazyLock<Vec<(usize, Vec<f64>)>> = LazyLock::new(|| {
    let is_used = |p: usize| ORDERS.contains(&p) || (p.is_multiple_of(2) && ORDERS.contains(&(p / 2)));
    let rows = Rows::default().enumerate().take(LAST + 1).filter(|(p, _)| is_used(*p));
    rows.collect()
});

/// The last row that doubles can hold.
const LAST: usize = 2 * ORDERS[ORDERS.len() - 1];

/// The ratios of the rows of larger orders that are tried.
static LONG_ROWS: LazyLock<Vec<(usize, Vec<f64>)>> = LazyLock::new(|| {
    let last = LONG_ORDERS[LONG_ORDERS.len() - 1];
    long_rows(last, |p| p > LAST && (LONG_ORDERS.contains(&p) || LONG_ORDERS.contains(&(p / 2))))
});

/// Rows by the ratios `b(p, i+1) / b(p, i)`, for `i = 1..p`: the recursion of [`Rows`], divided by itself.
fn long_rows(last: usize, is_used: impl Fn(usize) -> bool) -> Vec<(usize, Vec<f64>)> {
    let (mut ratios, mut used): (Vec<f64>, _) = (Vec::with_capacity(last), Vec::new());
    for p in 1..=last {
        if is_used(p) {
            used.push((p, ratios.clone()));
        }
        let mut before = f64::INFINITY;
        for (at, ratio) in ratios.iter_mut().enumerate() {
            let i = at as f64 + 1.0;
            let (here, grown) = (*ratio, i + 2.0 * p as f64);
            *ratio = ((i + 1.0) + (grown + 1.0) * here) / (i / before + grown);
            before = here;
        }
        let i = p as f64;
        ratios.push((i + 1.0) / (i / before + i + 2.0 * p as f64));
    }
    used
}

/// `ln sum_i b_i C(rows, i) share^i` of a row by its ratios.
fn ln_long_sums<const N: usize>(p: usize, ratios: &[f64], rows: usize, shares: [f64; N]) -> [f64; N] {
    // b(p, 1) = C(2p, p) / 4^p
    let first = ln_factorial(2 * p) - 2.0 * ln_factorial(p) - 2.0 * p as f64 * LN_2;
    let mut lanes =
        Lanes { sums: shares.map(|share| share * rows as f64), terms: [0.0; N], scales: [first; N] };
    lanes.terms = lanes.sums;
    for (ratio, i) in ratios.iter().zip(2..=rows) {
        let factor = ratio * ((rows - i + 1) as f64 / i as f64);
        lanes.step(shares.map(|share| share * factor), 1.0);
    }
    lanes.ln()
}

/// Sums of products that may be large, several at once.
struct Lanes<const N: usize> {
    sums: [f64; N],
    terms: [f64; N],
    /// `ln` of what the others are over.
    scales: [f64; N],
}

impl<const N: usize> Lanes<N> {
    /// Multiplies the terms, and adds them with that weight.
    fn step(&mut self, factors: [f64; N], weight: f64) {
        const LARGE: f64 = 1e100;
        for ((sum, term), factor) in self.sums.iter_mut().zip(&mut self.terms).zip(factors) {
            *term *= factor;
            *sum += weight * *term;
        }
        if self.terms.iter().any(|&term| term > LARGE) {
            let numbers = self.sums.iter_mut().zip(&mut self.terms).zip(&mut self.scales);
            for ((sum, term), scale) in numbers.filter(|((_, term), _)| **term > LARGE) {
                (*sum, *term) = (*sum / LARGE, *term / LARGE);
                *scale += LARGE.ln();
            }
        }
    }

    fn ln(&self) -> [f64; N] {
        from_fn(|i| self.sums[i].ln() + self.scales[i])
    }
}

fn coefficients(p: usize) -> Vec<f64> {
    Rows::default().nth(p).unwrap_or_default()
}

/// `b(p, 0..=p)` for `p = 0, 1, ..`: `2(p+1) b(p+1, i) = i b(p, i-1) + (i+2p) b(p, i)`.
#[derive(Default)]
struct Rows(Option<Vec<f64>>);

impl Iterator for Rows {
    type Item = Vec<f64>;

    fn next(&mut self) -> Option<Vec<f64>> {
        let next = match &self.0 {
            None => vec![1.0],
            Some(row) => {
                let p = row.len() - 1;
                let at = |i: usize| row.get(i).copied().unwrap_or(0.0);
                let entry = |i: usize| {
                    let from_left = if i == 0 { 0.0 } else { i as f64 * at(i - 1) };
                    (from_left + (i + 2 * p) as f64 * at(i)) / (2 * (p + 1)) as f64
                };
                (0..=p + 1).map(entry).collect()
            }
        };
        self.0.replace(next.clone());
        Some(next)
    }
}

#[cfg(test)]
mod tests;
