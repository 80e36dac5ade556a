//! Factors of the radii and widths of sets of states (Propositions 2.16 and 2.18).

use std::f64::consts::{LN_2, PI};

use super::dense::Dense;
use super::inputs::plus;
use super::law::{Spread, WHOLE};
use super::layer::Prepared;
use super::masked::Masked;
use super::orders::{Detail, Slots, root};
use super::rising::ln_chi_square_moment;
use super::shape::Part;
use super::special::ln_product;
use super::trace::{chi_norm, gaussian_norm};

/// The `2p`-norm of the length of a standard normal vector of `len` entries, of which each is kept with chance `gate`.
pub(crate) fn gated_norm(len: usize, gate: f64, p: usize) -> f64 {
    root(ln_chi_square_moment(len, gate, p), p)
}

/// A bound of the `2p`-norm of `sum |g_i g_i'|` over `len` pairs of independent standard normal variables:
/// `E |g g'|^k` is at most the `k`-th moment of a gamma variable of shape `2/pi` (Proposition 2.16).
pub(crate) fn product_norm(len: usize, p: usize) -> f64 {
    let shape = 2.0 / PI * len as f64;
    (ln_product((0..2 * p).map(|j| shape + j as f64)) / (2 * p) as f64).exp()
}

/// The radius of a set is at most this times its width (Proposition 2.16).
pub(crate) fn radius_of_width(p: usize) -> f64 {
    (LN_2 / (2 * p) as f64).exp() / gaussian_norm(p)
}

/// Results for each order, kept for the gates that are usual: all open, and half of them.
#[derive(Debug, Default)]
pub(crate) struct Gated([Slots; 2]);

impl Gated {
    fn get(&self, gate: f64, p: usize, compute: impl FnOnce() -> f64) -> f64 {
        match [1.0_f64, 0.5].iter().position(|usual| usual.to_bits() == gate.to_bits()) {
            Some(slot) => self.0[slot].get(p, compute),
            None => compute(),
        }
    }
}

impl Dense {
    /// [`gated_norm`] of as many entries as it has rows.
    pub(crate) fn gated_rows(&self, gate: f64, p: usize) -> f64 {
        self.rows.get(gate, p, || gated_norm(self.shape.rows, gate, p))
    }

    /// [`product_norm`] of as many pairs as it has rows.
    pub(crate) fn row_products(&self, p: usize) -> f64 {
        self.products.get(p, || product_norm(self.shape.rows, p))
    }

    /// The `2p`-norm of the length of `B W^T q` for a fixed unit vector `q` and gates `B` that are open with chance
    /// `gate`: of the whole matrix (Proposition 2.18).
    pub(crate) fn turned(&self, gate: f64, p: usize) -> f64 {
        self.turned.get(gate, p, || root(self.ln_turned(gate, p), p))
    }

    fn ln_turned(&self, gate: f64, p: usize) -> f64 {
        self.ln_spread_turned(self.family.spread(WHOLE, 1.0, p), gate, p)
    }

    fn ln_spread_turned(&self, spread: Spread, gate: f64, p: usize) -> f64 {
        if spread.ln_variance == f64::NEG_INFINITY || !spread.is_finite() {
            return spread.ln_variance.max(spread.ln_tau2);
        }
        let open = (gate * spread.share()).min(1.0);
        p as f64 * spread.ln_tau2 + ln_chi_square_moment(self.shape.cols, open, p)
    }
}

impl Masked {
    /// The same of one part.
    pub(crate) fn turned(&self, part: Part, gate: f64, p: usize, detail: Detail) -> f64 {
        let detail = self.detail(detail);
        self.turned[detail as usize][part as usize]
            .get(gate, p, || root(self.ln_turned(part, gate, p, detail), p))
    }

    /// The same of the whole matrix. Where it is known only by its parts, by the triangle inequality: given the threshold
    /// and the counts, signs are independent and each part is a uniform subset (Proposition 2.12c).
    fn whole_turned(&self, gate: f64, p: usize) -> f64 {
        if !self.pruning.is_given() {
            return self.dense.turned(gate, p);
        }
        [Part::Pruned, Part::Kept].iter().map(|&part| self.turned(part, gate, p, Detail::Full)).sum()
    }

    fn ln_turned(&self, part: Part, gate: f64, p: usize, detail: Detail) -> f64 {
        let whole = |p| self.dense.ln_turned(gate, p);
        let at = |cell: &_| self.dense.ln_spread_turned(self.spread(cell, part, p), gate, p);
        self.ln_moment(part, p, detail, &whole, &at)
    }
}

impl Prepared {
    /// The same of the whole matrix and of the kept part.
    pub(super) fn turned(&self, gate: f64, p: usize, detail: Detail) -> [f64; 2] {
        match &self.masked {
            Some(masked) => [masked.whole_turned(gate, p), masked.turned(Part::Kept, gate, p, detail)],
            None => [self.dense.turned(gate, p); 2],
        }
    }
}

/// `ln` of bounds of the `2p`-norms of the largest distance, over its radius, that the outputs of the network and of its
/// pruned form have over a ball around a fixed input, in a subspace of that dimension (Lemma 6.5); infinite where there
/// is none, and for a threshold that is common to several layers, for which it is not proved.
pub(crate) fn ln_local_rates(layers: &[Prepared], dimension: usize, p: usize) -> [f64; 2] {
    let (mut ln_rates, mut gate, mut rows) = ([0.0; 2], 1.0, f64::INFINITY);
    for (at, prepared) in layers.iter().enumerate() {
        let Prepared { layer, dense, masked, .. } = prepared;
        let is_shared = layer.pruning.is_common() || layer.pruning.is_given();
        if !prepared.is_matrix() || prepared.offset != 0.0 || is_shared {
            return [f64::INFINITY; 2];
        }
        let mut factors = prepared.turned(gate, p, Detail::Full);
        if at == 0 && dimension < layer.shape.cols {
            // Of inputs in a subspace, not all of what a vector becomes on the way back matters.
            let scale = dense.family.gaussian_scale();
            let kept = masked.as_ref().map_or(scale, |it| it.scale(Part::Kept, p, Detail::Full).min(scale));
            let chi = chi_norm(dimension, p);
            factors = [factors[0].min(scale * chi), factors[1].min(kept * chi)];
        }
        let ln_scale = (layer.law.scale * layer.activation.lipschitz).ln();
        ln_rates = [0, 1].map(|part| plus(ln_rates[part], factors[part].ln() + ln_scale));
        gate = layer.gap_half();
        rows = dense.gated_rows(gate, p);
    }
    ln_rates.map(|ln| plus(ln, (rows * radius_of_width(p)).ln()))
}

#[cfg(test)]
mod tests;
