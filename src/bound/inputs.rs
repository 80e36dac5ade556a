//! Theorem 2: the gap at finitely many inputs that are fixed before the weights.

use std::sync::Arc;

use super::cells::{Cell, Rest, ln_averages, ln_least_average};
use super::dense::Dense;
use super::increments::{Moments, Pointwise};
use super::law::WHOLE;
use super::layer::Prepared;
use super::masked::Masked;
use super::orders::{Best, Detail, Slots, best};
use super::rising::ln_chi_square_moment;
use super::shape::Part;
use super::special::ln_add;
use super::trace::round_down;

/// What one layer does to the squared `2p`-norms of a gap and of a state, before its activation and at unit scale:
/// `|gap'|^2 <= kept |gap|^2 + pruned |state|^2`, by logarithms.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Coefficients {
    /// `ln` of the factor of the gap.
    pub ln_kept: f64,
    /// `ln` of the factor of the state.
    pub ln_pruned: f64,
}

/// The fluctuation of the sum over rows of what one layer makes of a fixed vector (Lemma 3.1).
#[derive(Debug)]
pub struct Fluctuation {
    pub(super) dense: Arc<Dense>,
    pub(super) masked: Option<Arc<Masked>>,
    pub(super) half: f64,
    slots: [Slots<2>; 2],
    pub(super) moments: Moments,
}

impl Fluctuation {
    /// Of a matrix, pruned or not, under an activation of that [`super::Activation::half`].
    #[must_use]
    pub fn new(dense: Arc<Dense>, masked: Option<Arc<Masked>>, half: f64) -> Self {
        let (slots, moments) = Default::default();
        Self { dense, masked, half, slots, moments }
    }

    /// The coefficients of order `p`.
    #[must_use]
    pub fn coefficients(&self, p: usize) -> Coefficients {
        self.coefficients_in(p, Detail::Full)
    }

    pub(super) fn coefficients_in(&self, p: usize, detail: Detail) -> Coefficients {
        let detail = self.masked.as_ref().map_or(Detail::Full, |masked| masked.detail(detail));
        let [ln_kept, ln_pruned] = self.slots[detail as usize].get_all(p, || match &self.masked {
            None => [self.ln_whole(p), f64::NEG_INFINITY],
            Some(masked) if masked.chance(Part::Pruned) >= 1.0 && !masked.pruning.is_given() => {
                [f64::NEG_INFINITY, self.ln_whole(p)]
            }
            Some(masked) => self.of_parts(masked, p, detail),
        });
        Coefficients { ln_kept, ln_pruned }
    }

    /// `ln (Q_p(n, half share)^{1/p} / share)`, times `p`.
    fn ln_rows(&self, share: f64, p: usize) -> f64 {
        if share <= 0.0 {
            return f64::INFINITY;
        }
        let half = (self.half * share).min(1.0);
        ln_chi_square_moment(self.dense.shape.rows, half, p) - p as f64 * share.ln()
    }

    /// `ln` of the factor of the squared norm of a difference of two inputs of the whole matrix.
    pub(super) fn ln_whole(&self, p: usize) -> f64 {
        let spread = self.dense.family.spread(WHOLE, 1.0, p);
        spread.ln_variance + self.ln_rows(spread.share(), p) / p as f64
    }

    fn of_parts(&self, masked: &Masked, p: usize, detail: Detail) -> [f64; 2] {
        let ln_penalty = masked.ln_independence(p);
        if ln_penalty == f64::INFINITY {
            return [f64::INFINITY; 2];
        }
        if detail == Detail::Least {
            let least = |part: usize| {
                let sum = ln_least_average(masked.cells(), |_, cell| self.at(masked, cell, p)[part]);
                (sum + ln_penalty) / p as f64
            };
            return [least(0), least(1)];
        }
        let last = if masked.is_bounded() { self.at(masked, &Cell::LAST, p) } else { [f64::INFINITY; 2] };
        let beyond = |ln_tail: f64| f64::midpoint(ln_tail, self.ln_envelope(p));
        let rests = last.map(|last| match masked.cells().len() {
            1 => Rest::Bounded(f64::NEG_INFINITY),
            _ if masked.is_bounded() => Rest::Bounded(last),
            _ => Rest::Beyond(&beyond),
        });
        let sums = ln_averages(masked.cells(), &rests, |_, cell| self.at(masked, cell, p));
        sums.map(|sum| (sum + ln_penalty) / p as f64)
    }

    /// `ln ((v / share)^p Q_p(n, half share))` of the kept and the pruned part at one threshold.
    fn at(&self, masked: &Masked, cell: &Cell, p: usize) -> [f64; 2] {
        let [kept, pruned] = [Part::Kept, Part::Pruned].map(|part| masked.spread(cell, part, p));
        if !kept.is_finite() {
            return [f64::INFINITY; 2];
        }
        let share = kept.share().min(pruned.share());
        let share = if masked.cells().len() > 1 { round_down(share) } else { share };
        let rows = self.ln_rows(share, p);
        [kept, pruned].map(|spread| p as f64 * spread.ln_variance + rows)
    }

    /// `ln` of the square of what stands under the root beyond the last cell.
    pub(super) fn ln_envelope(&self, p: usize) -> f64 {
        let spread = self.dense.family.spread(WHOLE, 1.0, 2 * p);
        2.0 * p as f64 * spread.ln_variance + self.ln_rows(spread.share(), 2 * p)
    }
}

/// `ln` of bounds of the squared `2p`-norms at one fixed input.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct InputState {
    /// Of the state of the network.
    pub ln_state: f64,
    /// Of the gap.
    pub ln_gap: f64,
}

impl InputState {
    fn after(self, layer: &Prepared, p: usize) -> Self {
        let Prepared { gap, state, offset, .. } = layer;
        let ln_factor = 2.0 * layer.ln_factor;
        let (gap, state) = (gap.coefficients(p), state.ln_whole_factor(p));
        let ln_gap = ln_add(plus(gap.ln_kept, self.ln_gap), plus(gap.ln_pruned, self.ln_state));
        let grown = ln_factor + plus(state, self.ln_state);
        Self {
            ln_state: if *offset == 0.0 { grown } else { 2.0 * ln_add(grown / 2.0, offset.ln()) },
            ln_gap: plus(ln_factor, ln_gap),
        }
    }
}

/// The sum of logarithms of two factors: zero wins over infinity.
pub(super) fn plus(a: f64, b: f64) -> f64 {
    if a == f64::NEG_INFINITY || b == f64::NEG_INFINITY { f64::NEG_INFINITY } else { a + b }
}

/// The states after each layer for one input of norm at most `radius`, for one order (Theorem 2).
#[must_use]
pub fn input_states(layers: &[Prepared], radius: f64, p: usize) -> Vec<InputState> {
    let mut state = InputState { ln_state: 2.0 * radius.ln(), ln_gap: f64::NEG_INFINITY };
    let step = |layer: &Prepared| {
        state = state.after(layer, p);
        state
    };
    layers.iter().map(step).collect()
}

/// `ln` of the bound of the `2p`-norm of the gap at one input, with the sharper coefficients of Corollary 6.2.
pub(crate) fn ln_input_gap(layers: &[Prepared], radius: f64, p: usize, detail: Detail) -> f64 {
    Pointwise::ln_gap_in_detail(layers, radius, p, detail)
}

/// A bound `epsilon` with `P(max |F - f| > epsilon) <= delta` over `inputs` inputs of norm at most `radius` that are
/// fixed independently of the weights (Theorem 2 with Corollary 6.2).
#[must_use]
pub fn inputs_bound(layers: &[Prepared], radius: f64, inputs: f64, delta: f64) -> Best {
    best(|p| ln_input_gap(layers, radius, p, Detail::Full) + (inputs.ln() - delta.ln()) / (2 * p) as f64)
}

#[cfg(test)]
mod tests;
