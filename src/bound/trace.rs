//! Trace moments of Gaussian matrices, and the comparison that carries them to masked and heavy entries.

use std::f64::consts::E;
use std::sync::OnceLock;

use super::special::{ln_gaussian_moment, ln_product};

/// A first run of the recursion goes this far: further than any optimum of a network met in practice.
const SHORT: usize = 128;
/// The last run: twice the largest `p` of the grid, for the Cauchy-Schwarz step of Proposition 2.10.
const LONG: usize = 1024;

/// Above this the scaled recursion stops, and its moments count as infinite.
const OVERFLOW: f64 = 1e280;

/// `ln` of a bound of `E Z^{2p}` for `Z >= 0` with `E e^{tZ} <= e^{t mean + t^2/2}` for all `t > 0` (Lemma 2.1).
#[must_use]
pub fn ln_gaussian_sup_moment(mean: f64, p: usize) -> f64 {
    let p = p as f64;
    let top = f64::midpoint(mean, (mean * mean + 8.0 * p).sqrt());
    2.0 * p * top.ln() - 2.0 * p * p / (top * top)
}

/// `c_p = sqrt(2p/e)`: the `2p`-norm of the positive part of a centred 1-sub-Gaussian variable is at most this
/// (Lemma 2.2).
#[must_use]
pub fn one_sided_moment(p: usize) -> f64 {
    (2.0 * p as f64 / E).sqrt()
}

/// The `2p`-norm of the length of a standard normal vector of `len` entries.
#[must_use]
pub fn chi_norm(len: usize, p: usize) -> f64 {
    (ln_product((0..p).map(|j| (len + 2 * j) as f64)) / (2 * p) as f64).exp()
}

/// The `2p`-norm of a standard normal variable.
#[must_use]
pub fn gaussian_norm(p: usize) -> f64 {
    (ln_gaussian_moment(p) / (2 * p) as f64).exp()
}

/// Runs the recursion of Proposition 2.4: entry `p` is `T_p / (n s^p)`, with `n` the shorter side and
/// `s = (sqrt n + sqrt m)^2`; the list ends before the first entry that overflows.
fn run(rows: usize, cols: usize, last: usize) -> Vec<f64> {
    let (n, m) = (rows.min(cols) as f64, rows.max(cols) as f64);
    let scale = (n.sqrt() + m.sqrt()).powi(2);
    // Forward and reversed, so that the convolution is a product of two contiguous runs.
    let mut terms = vec![1.0, m / scale];
    let mut reversed = vec![0.0; last + 1];
    let mut weighted = [vec![0.0, m / scale], vec![0.0; last + 1]];
    reversed[last - 1] = m / scale;
    weighted[1][last - 1] = m / scale;
    for p in 2..=last {
        let mut value = (n + m + (p - 1) as f64) / scale * terms[p - 1];
        if p >= 3 {
            let (here, there) = (1..p - 1, last + 2 - p..last);
            let plain = dot(&terms[here.clone()], &reversed[there.clone()]);
            let cross = dot(&weighted[0][here], &weighted[1][there]);
            value += n / scale * (plain + cross / (n * m));
            value += (p * (p - 1) * (p - 2)) as f64 / 6.0 / (scale * scale) * terms[p - 2];
        }
        if value > OVERFLOW {
            break;
        }
        terms.push(value);
        weighted[0].push(p as f64 * value);
        reversed[last - p] = value;
        weighted[1][last - p] = p as f64 * value;
    }
    terms
}

/// Sum of products, in eight runs that the compiler keeps in registers.
fn dot(left: &[f64], right: &[f64]) -> f64 {
    const LANES: usize = 8;
    let mut sums = [0.0; LANES];
    let (left, left_rest) = left.as_chunks::<LANES>();
    let (right, right_rest) = right.as_chunks::<LANES>();
    for (left, right) in left.iter().zip(right) {
        for (sum, (left, right)) in sums.iter_mut().zip(left.iter().zip(right)) {
            *sum += left * right;
        }
    }
    let rest: f64 = left_rest.iter().zip(right_rest).map(|(left, right)| left * right).sum();
    sums.iter().sum::<f64>() + rest
}

/// Bounds of `E Tr (G G^T)^p` of a standard normal matrix `G` of one shape, for all `p` (Proposition 2.4): exact
/// for `p <= 6`.
#[derive(Debug)]
pub struct GaussianTrace {
    rows: usize,
    cols: usize,
    runs: [OnceLock<Vec<f64>>; 2],
}

impl GaussianTrace {
    /// Of matrices with so many rows and columns, each at least one.
    #[must_use]
    pub const fn new(rows: usize, cols: usize) -> Self {
        Self { rows, cols, runs: [OnceLock::new(), OnceLock::new()] }
    }

    /// `ln T_p`, infinite where the recursion overflows or is not carried so far.
    #[must_use]
    pub fn ln_recursion(&self, p: usize) -> f64 {
        if p > LONG {
            return f64::INFINITY;
        }
        let (run_at, last) = if p <= SHORT { (0, SHORT) } else { (1, LONG) };
        let terms = self.runs[run_at].get_or_init(|| run(self.rows, self.cols, last));
        unscale(self.rows, self.cols, p, terms)
    }

    /// `ln` of the smaller of `T_p` and the bound of Lemma 2.1 times the rank.
    #[must_use]
    pub fn ln_moment(&self, p: usize) -> f64 {
        self.ln_recursion(p).min(ln_rank_moment(self.rows, self.cols, p))
    }
}

fn unscale(rows: usize, cols: usize, p: usize, terms: &[f64]) -> f64 {
    let (n, m) = (rows.min(cols) as f64, rows.max(cols) as f64);
    let ln_scale = 2.0 * (n.sqrt() + m.sqrt()).ln();
    terms.get(p).map_or(f64::INFINITY, |term| term.ln() + n.ln() + p as f64 * ln_scale)
}

/// `ln (min(n, m) E ||G||^{2p})` by Lemma 2.1: within a few per cent of [`GaussianTrace::ln_moment`] at the best
/// `p`, in constant time.
fn ln_rank_moment(rows: usize, cols: usize, p: usize) -> f64 {
    (rows.min(cols) as f64).ln() + ln_gaussian_sup_moment((rows as f64).sqrt() + (cols as f64).sqrt(), p)
}

/// [`GaussianTrace::ln_moment`] for one `p` of one shape.
pub(crate) fn ln_gaussian_trace(rows: usize, cols: usize, p: usize) -> f64 {
    let terms = run(rows, cols, p.max(1));
    unscale(rows, cols, p, &terms).min(ln_rank_moment(rows, cols, p))
}

/// The smallest integer `r > J` with `prod_{j=start..=J} (r-j) >= prod_{j=start..=J} share (len-j)`,
/// `J = min(p, len) - 1` (Proposition 2.6); `len` itself for a share of one.
#[must_use]
pub fn effective_len(share: f64, len: usize, p: usize, start: usize) -> usize {
    if share >= 1.0 {
        return len;
    }
    let last = p.min(len) - 1;
    if last < start {
        return 1;
    }
    let ln_target = |r: usize| {
        let factors = (start..=last).map(|j| (r - j) as f64 / (share * (len - j) as f64));
        ln_product(factors)
    };
    // Near enough to start from: the share of the average factor.
    let guess = share * len as f64 + (1.0 - share) * f64::midpoint(start as f64, last as f64);
    first_integer(guess, (last + 1, len), |r| ln_target(r) >= SLACK)
}

/// The smallest integer `r >= p` with `prod_{j=start..p} (r-j) >= size^{p-start}` (Proposition 2.8).
#[must_use]
pub fn effective_size(size: f64, p: usize, start: usize) -> usize {
    if p <= start {
        return p.max(1);
    }
    let high = size.ceil() as usize + p;
    let guess = size + f64::midpoint(start as f64, p as f64 - 1.0);
    first_integer(guess, (p, high), |r| ln_product((start..p).map(|j| (r - j) as f64 / size)) >= SLACK)
}

/// The products of at most 1024 factors are off by less, relatively.
const SLACK: f64 = 1e-12;

/// The smallest integer of `low..=high` at which `holds`, which is false below some point and true from it on,
/// and true at `high`; looked for from `guess` outwards.
fn first_integer(guess: f64, (mut low, mut high): (usize, usize), holds: impl Fn(usize) -> bool) -> usize {
    let mut at = (guess as usize).clamp(low, high);
    let mut step = 1;
    // `low` may hold, `high` does.
    while low < high {
        if at >= high {
            at = high - 1;
        }
        let (below, above) = (at, at + 1);
        if holds(at) {
            high = below;
            at = at.saturating_sub(step).max(low);
        } else {
            low = above;
            at += step;
        }
        step *= 2;
        if step > 8 {
            at = usize::midpoint(low, high);
        }
    }
    high
}

/// `ln` of a bound of `E Tr (X X^T)^p / tau^{2p}` for independent symmetric entries with
/// `E x^{2k} <= v tau^{2k-2} (2k-1)!!`, `k <= p`, and `share = v / tau^2` (Proposition 2.6).
#[must_use]
pub fn ln_trace(share: f64, gauss: &GaussianTrace, p: usize) -> f64 {
    let share = round_up(share);
    if share >= 1.0 {
        return gauss.ln_moment(p);
    }
    let side = |rows: usize, cols: usize| {
        let (r, c) = (effective_len(share, rows, p, 1), effective_len(share, cols, p, 0));
        (rows as f64 / r as f64).ln() + ln_gaussian_trace(r, c, p)
    };
    let straight = side(gauss.rows, gauss.cols);
    if gauss.rows == gauss.cols { straight } else { straight.min(side(gauss.cols, gauss.rows)) }
}

/// Rounds a share up to a multiple of 1e-6, which is the safe side: a larger share has larger bounds.
pub(crate) fn round_up(share: f64) -> f64 {
    ((share * 1e6).ceil() / 1e6).min(1.0)
}

/// Rounds a share down to a multiple of 1e-6, the safe side of Lemma 3.1.
pub(crate) fn round_down(share: f64) -> f64 {
    if share < 1.0 { (share * 1e6).floor() / 1e6 } else { 1.0 }
}

/// `ln` of a bound of `E Tr (X X^T)^p` for independent symmetric entries with
/// `E x_ij^{2k} <= b_ij^2 tau^{2k-2} (2k-1)!!` and `b_ij <= tau`, where `row2` is the largest sum of `b_ij^2` over a
/// row, `col2` over a column (Proposition 2.8).
#[must_use]
pub fn ln_profile_trace(row2: f64, col2: f64, tau2: f64, rows: usize, cols: usize, p: usize) -> f64 {
    if row2 <= 0.0 || col2 <= 0.0 {
        return f64::NEG_INFINITY;
    }
    let side = |len: usize, first: f64, second: f64| {
        let r = effective_size((first / tau2).max(1e-12), p, 1);
        let c = effective_size((second / tau2).max(1e-12), p, 0);
        (len as f64 / r as f64).ln() + ln_gaussian_trace(r, c, p)
    };
    p as f64 * tau2.ln() + side(rows, col2, row2).min(side(cols, row2, col2))
}

#[cfg(test)]
mod tests;
