//! Bounds in one formula: Corollaries 2.5, 4.1 and 4.2.

use std::f64::consts::SQRT_2;

use super::network::Method;

/// `t` with `P(||X|| > t) <= delta` for a matrix of independent normal entries of that deviation, and for every one of
/// Proposition 2.6 with a share of one (Corollary 2.5).
#[must_use]
pub fn closed_norm(rows: usize, cols: usize, deviation: f64, delta: f64) -> f64 {
    let mean = (rows as f64).sqrt() + (cols as f64).sqrt();
    let ln = (rows.min(cols) as f64 / delta).ln();
    let p = (mean * (ln / 2.0).sqrt()).ceil().max(1.0);
    let top = f64::midpoint(mean, (mean * mean + 8.0 * p).sqrt());
    deviation * (ln / (2.0 * p) - p / (top * top)).exp() * top
}

/// The networks of the closed forms: `depth` layers of `width` by `width`, weights uniform on `+-k / sqrt(width)`,
/// activations of Lipschitz constant one that are zero at zero, no biases, inputs in the unit ball, all layers but the first
/// and the last pruned.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Square {
    /// The number of layers.
    pub depth: usize,
    /// The constant of the law.
    pub k: f64,
    /// How weights are chosen.
    pub method: Method,
}

impl Square {
    fn order(&self, width: f64, delta: f64) -> f64 {
        ((self.depth as f64 * width.ln() - delta.ln()) / 2.0).ceil().max(1.0)
    }

    fn ln_growth(&self) -> f64 {
        (self.depth.saturating_sub(2) as f64).ln() + self.depth as f64 * (2.0 * self.k / 3_f64.sqrt()).ln()
    }

    /// A bound of the gap that fails with chance at most `delta` (Corollary 4.1), where a share `ratio` of each of those
    /// layers is pruned. Holds for every order, also above the width: there Lemma 2.1 gives the same constant.
    #[must_use]
    pub fn bound(&self, width: f64, ratio: f64, delta: f64) -> f64 {
        if ratio <= 0.0 || self.depth <= 2 {
            return 0.0;
        }
        let p = self.order(width, delta);
        let ln_a = self.ln_growth() + 1.25 + (self.depth - 1) as f64 * p / (4.0 * width);
        let ln_magnitude = match self.method {
            Method::Magnitude => (ratio + 2.0 * p / (width * width)).ln(),
            Method::Random | Method::Bernoulli => 0.0,
        };
        (ln_a + ln_magnitude + (ratio + p / width).ln() / 2.0).exp()
    }

    /// Whether a width is enough for Corollary 4.2: `floor(D^{1-alpha})` of the `D` weights of each of those layers can be
    /// pruned at a gap of `epsilon`.
    #[must_use]
    pub fn is_wide_enough(&self, width: f64, alpha: f64, epsilon: f64, delta: f64) -> bool {
        let p = self.order(width, delta);
        if width < (self.depth.saturating_sub(1)) as f64 * p {
            return false;
        }
        let a = self.ln_growth().exp() * 1.5_f64.exp();
        let is_magnitude = self.method == Method::Magnitude;
        if alpha < 0.5 {
            let (constant, rate) = if is_magnitude { (2.0 * SQRT_2, 3.0) } else { (SQRT_2, 1.0) };
            return width >= p.powf(1.0 / (1.0 - 2.0 * alpha))
                && width >= (constant * a / epsilon).powf(1.0 / (rate * alpha));
        }
        if is_magnitude {
            3.0 * SQRT_2 * a * p.powf(1.5) * width.powf(-2.0 * alpha - 0.5) <= epsilon
        } else {
            SQRT_2 * a * (p / width).sqrt() <= epsilon
        }
    }

    /// A width that Corollary 4.2 finds enough, the smallest found by doubling and bisection; none below 10^15.
    #[must_use]
    pub fn width(&self, alpha: f64, epsilon: f64, delta: f64) -> Option<f64> {
        const MOST: f64 = 1e15;
        let is_enough = |width: f64| self.is_wide_enough(width, alpha, epsilon, delta);
        let mut high = 1.0;
        while !is_enough(high) {
            high *= 2.0;
            if high > MOST {
                return None;
            }
        }
        let mut low = (high / 2.0_f64).floor();
        while high - low > 1.0 {
            let middle = f64::midpoint(low, high).floor();
            if is_enough(middle) { high = middle } else { low = middle }
        }
        Some(high)
    }
}

#[cfg(test)]
mod tests;
