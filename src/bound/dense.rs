//! Moments of the norm of an unpruned matrix: Propositions 2.6 and 2.15, Lemma 2.14, Theorem 4.

use super::conv::{ln_fold, ln_tap_trace};
use super::law::{Family, Spread, WHOLE};
use super::orders::{Slots, root};
use super::shape::Shape;
use super::special::ln_birthday;
use super::trace::{GaussianTrace, chi_norm, ln_gaussian_sup_moment, ln_trace};
use super::widths::Gated;

/// A matrix of independent weights of a law at unit scale.
#[derive(Debug)]
pub struct Dense {
    /// Its shape.
    pub shape: Shape,
    /// The law of its weights.
    pub family: Family,
    gauss: GaussianTrace,
    double: GaussianTrace,
    norms: Slots,
    cones: [Slots; 4],
    chis: Slots,
    birthdays: Slots,
    pub(super) rows: Gated,
    pub(super) products: Slots,
    pub(super) turned: Gated,
}

impl Dense {
    /// A matrix of that shape and law.
    #[must_use]
    pub fn new(shape: Shape, family: Family) -> Self {
        let gauss = GaussianTrace::new(shape.rows, shape.cols);
        let double = GaussianTrace::new(shape.rows, 2 * shape.cols);
        let (norms, cones, chis, birthdays) = Default::default();
        let (rows, products, turned) = Default::default();
        Self { shape, family, gauss, double, norms, cones, chis, birthdays, rows, products, turned }
    }

    /// The `2p`-norm that [`Dense::ln_norm`] bounds.
    pub(crate) fn norm(&self, p: usize) -> f64 {
        self.norms.get(p, || root(self.ln_norm(p), p))
    }

    /// The one that [`Dense::ln_cone_norm`] bounds.
    pub(crate) fn cone_norm(&self, p: usize, cone_in: bool, cone_out: bool) -> f64 {
        let slots = &self.cones[usize::from(cone_in) + 2 * usize::from(cone_out)];
        slots.get(p, || root(self.ln_cone_norm(p, cone_in, cone_out), p))
    }

    /// [`chi_norm`] of all outputs at so many positions.
    pub(crate) fn chi(&self, positions: usize, p: usize) -> f64 {
        let chi = || chi_norm(self.shape.rows * positions, p);
        if positions == 1 { self.chis.get(p, chi) } else { chi() }
    }

    /// [`ln_birthday`] of all weights.
    pub(crate) fn ln_birthday(&self, p: usize) -> f64 {
        self.birthdays.get(p, || ln_birthday(self.shape.len() as f64, p))
    }

    /// Whether each entry is one weight, so that every proposition on matrices applies.
    pub(crate) fn is_plain(&self) -> bool {
        self.shape.kernel.num_taps() == 1
    }

    /// `ln` of a bound of `E Tr (X X^T)^p` for entries of that spread (Proposition 2.6); of the trace of the operator,
    /// with its taps, for a convolution (Theorem 4).
    pub(crate) fn ln_spread_trace(&self, spread: Spread, p: usize) -> f64 {
        if spread.ln_variance == f64::NEG_INFINITY || !spread.is_finite() {
            return spread.ln_variance.max(spread.ln_tau2);
        }
        if self.is_plain() {
            p as f64 * spread.ln_tau2 + ln_trace(spread.share(), &self.gauss, p)
        } else {
            ln_tap_trace(spread, self.shape.kernel.num_taps(), &self.gauss, p) + ln_fold(self.shape.kernel, p)
        }
    }

    /// The same for a matrix of two blocks of this shape side by side.
    pub(crate) fn ln_double_trace(&self, spread: Spread, p: usize) -> f64 {
        p as f64 * spread.ln_tau2 + ln_trace(spread.share(), &self.double, p)
    }

    /// `ln` of a bound of `E ||W||^{2p}`: the smaller of the trace moments and, for matrices, those of a Gaussian that
    /// dominates in convex order.
    #[must_use]
    pub fn ln_norm(&self, p: usize) -> f64 {
        let trace = self.ln_spread_trace(self.family.spread(WHOLE, 1.0, p), p);
        if self.is_plain() { trace.min(self.ln_gaussian_norm(p, 1.0, 1.0)) } else { trace }
    }

    /// `ln` of a bound of the `2p`-th moment of the largest `u^T W h` over unit vectors, those of a side that is a cone
    /// in the nonnegative orthant (Proposition 2.15).
    #[must_use]
    pub fn ln_cone_norm(&self, p: usize, cone_in: bool, cone_out: bool) -> f64 {
        let share = |cone: bool| if cone { 0.5 } else { 1.0 };
        self.ln_norm(p).min(self.ln_gaussian_norm(p, share(cone_out), share(cone_in)))
    }

    fn ln_gaussian_norm(&self, p: usize, rows: f64, cols: f64) -> f64 {
        let mean = (self.shape.rows as f64 * rows).sqrt() + (self.shape.cols as f64 * cols).sqrt();
        2.0 * p as f64 * self.family.gaussian_scale().ln() + ln_gaussian_sup_moment(mean, p)
    }
}
