//! Lemma 6.1: what one layer makes of the difference of two fixed inputs, of a fixed input, and of the gap between the
//! networks at it; and Corollary 6.2, which follows these through all layers.

use std::array::from_fn;
use std::sync::OnceLock;

use super::cells::{Cell, ln_least_average};
use super::inputs::{Coefficients, Fluctuation, plus};
use super::law::Spread;
use super::layer::Prepared;
use super::masked::Masked;
use super::orders::{Detail, Slots};
use super::rising::ln_chi_square_moment;
use super::shape::Part;
use super::special::ln_add;

/// Shares that are tried for both parts at once, from the smallest to the largest that either part has.
const SHARES: usize = 7;
/// No share is let below this.
const LEAST_SHARE: f64 = 1e-12;
/// Coefficients that are valid together: of each of those shares, and of Theorem 2.
type Pairs = [Coefficients; SHARES + 1];

/// Moments of what a layer does to fixed vectors, by order.
#[derive(Debug, Default)]
pub(super) struct Moments {
    weights: OnceLock<Weights>,
    whole: Slots<f64>,
    kept: [Slots<f64>; 2],
    pairs: [Slots<Pairs>; 2],
}

/// The chances of the cells, for averages of nondecreasing functions (Proposition 2.10): of each cell, of all from
/// it on, and `ln` of that of all beyond it.
#[derive(Debug)]
struct Weights(Vec<(f64, f64, f64)>);

/// What lies beyond a cell.
#[derive(Clone, Copy)]
enum Rest {
    /// Nothing: there is one cell.
    Nothing,
    /// `ln` of the value at the largest threshold.
    Bounded(f64),
    /// `ln` of the square of what stands under the root of Cauchy-Schwarz.
    Envelope(f64),
}

/// The cells end once what lies beyond is less than `e^-40` of the largest so far.
const NEGLIGIBLE: f64 = 40.0;

impl Weights {
    fn new(cells: &[Cell]) -> Self {
        let mut before = 1.0;
        let weigh = |cell: &Cell| {
            let tail = cell.ln_tail.exp().min(before);
            let weights = (before - tail, before, cell.ln_tail);
            before = tail;
            weights
        };
        Self(cells.iter().map(weigh).collect())
    }

    /// `ln` of upper bounds of the averages of nondecreasing functions, from their logarithms at the first `count` cells:
    /// all end at the same one.
    fn ln_averages<const N: usize>(
        &self,
        rests: [Rest; N],
        count: usize,
        ln_f: impl Fn(usize) -> [f64; N],
    ) -> [f64; N] {
        let (mut sums, mut tops) = ([0.0; N], [f64::NEG_INFINITY; N]);
        for (at, &(weight, from_here, ln_tail)) in self.0.iter().enumerate().take(count) {
            let mut ends = [(0.0, 0.0); N];
            for (i, value) in ln_f(at).into_iter().enumerate() {
                // Nondecreasing in truth, so that rounding may be undone.
                let top = value.max(tops[i]);
                if top > tops[i] {
                    sums[i] *= (tops[i] - top).exp();
                }
                tops[i] = top;
                ends[i] = match rests[i] {
                    Rest::Nothing => (from_here, f64::NEG_INFINITY),
                    Rest::Bounded(last) => (weight, last.max(top) + ln_tail),
                    Rest::Envelope(square) => (from_here, f64::midpoint(square, ln_tail)),
                };
            }
            let is_negligible = ends.iter().zip(&tops).all(|((_, beyond), top)| *beyond < top - NEGLIGIBLE);
            if at + 1 == count || is_negligible {
                return from_fn(|i| ln_add(tops[i] + (sums[i] + ends[i].0).ln(), ends[i].1));
            }
            sums.iter_mut().for_each(|sum| *sum += weight);
        }
        [f64::INFINITY; N]
    }
}

impl Fluctuation {
    /// `ln` of the factor from the squared `p`-norm of a fixed vector to that of its image under the whole matrix.
    pub(crate) fn ln_whole_factor(&self, p: usize) -> f64 {
        self.moments.whole.get(p, || self.ln_whole(p))
    }

    /// The same for the kept part: positions of one part alone cost nothing (Proposition 2.7a).
    pub(crate) fn ln_kept_factor(&self, p: usize, detail: Detail) -> f64 {
        let whole = self.ln_whole_factor(p);
        let Some(masked) = &self.masked else { return whole };
        if masked.is_empty(Part::Kept) {
            return f64::NEG_INFINITY;
        }
        let detail = masked.detail(detail);
        self.moments.kept[detail as usize].get(p, || self.ln_kept(masked, p, detail).min(whole))
    }

    fn ln_kept(&self, masked: &Masked, p: usize, detail: Detail) -> f64 {
        let at = |spread: Spread| p as f64 * spread.ln_tau2 + self.ln_share_rows(spread.share(), p);
        if detail == Detail::Least {
            let of_cell = |_, cell: &Cell| at(masked.spread(cell, Part::Kept, p));
            return ln_least_average(masked.cells(), of_cell) / p as f64;
        }
        let spreads = Self::spreads(masked, p);
        let rest = self.rest(masked, p, || at(masked.spread(&Cell::LAST, Part::Kept, p)));
        let sums = self.weights(masked).ln_averages([rest], spreads.len(), |cell| [at(spreads[cell][0])]);
        sums[0] / p as f64
    }

    /// Pairs of coefficients as those of [`Fluctuation::coefficients`], which are one of them: any is a bound.
    fn pairs(&self, p: usize, detail: Detail) -> Pairs {
        let detail = self.masked.as_ref().map_or(Detail::Full, |masked| masked.detail(detail));
        self.moments.pairs[detail as usize].get(p, || match &self.masked {
            Some(masked) if !masked.is_empty(Part::Kept) => self.of_shares(masked, p, detail),
            _ => [self.coefficients(p); SHARES + 1],
        })
    }

    fn of_shares(&self, masked: &Masked, p: usize, detail: Detail) -> Pairs {
        const NONE: Coefficients = Coefficients { ln_kept: f64::INFINITY, ln_pruned: f64::INFINITY };
        let ln_penalty = masked.ln_independence(p);
        let spreads = Self::spreads(masked, p);
        if ln_penalty == f64::INFINITY || spreads.is_empty() {
            return [NONE; SHARES + 1];
        }
        let last = [Part::Kept, Part::Pruned].map(|part| masked.spread(&Cell::LAST, part, p));
        let envelope = self.rest(masked, p, || f64::INFINITY);
        let shares = || spreads.iter().flatten().map(|spread| spread.share());
        let low = shares().fold(1.0, f64::min).max(LEAST_SHARE).ln();
        let high = shares().fold(LEAST_SHARE, f64::max).ln();
        from_fn(|index| {
            if index == SHARES {
                return self.coefficients_in(p, detail);
            }
            let ln_share = (low + (high - low) * (index as f64 / (SHARES - 1) as f64)).min(0.0);
            let ln_rows = self.ln_share_rows(ln_share.exp(), p);
            let at = |spread: Spread| p as f64 * spread.ln_tau2.max(spread.ln_variance - ln_share) + ln_rows;
            let sums = if detail == Detail::Least {
                [0, 1].map(|part| {
                    let of_cell =
                        |cell: usize, _: &Cell| spreads.get(cell).map_or(f64::INFINITY, |it| at(it[part]));
                    ln_least_average(masked.cells(), of_cell)
                })
            } else {
                let rests = last.map(|last| match envelope {
                    Rest::Bounded(_) => Rest::Bounded(at(last)),
                    other => other,
                });
                self.weights(masked).ln_averages(rests, spreads.len(), |cell| spreads[cell].map(at))
            };
            let [ln_kept, ln_pruned] = sums.map(|sum| (sum + ln_penalty) / p as f64);
            Coefficients { ln_kept, ln_pruned }
        })
    }

    /// `ln Q_p(n, half share)`
    fn ln_share_rows(&self, share: f64, p: usize) -> f64 {
        ln_chi_square_moment(self.dense.shape.rows, (self.half * share).min(1.0), p)
    }

    /// Of the kept and the pruned part at the cells where both are finite.
    fn spreads(masked: &Masked, p: usize) -> Vec<[Spread; 2]> {
        let at = |cell: &Cell| [Part::Kept, Part::Pruned].map(|part| masked.spread(cell, part, p));
        let finite = |spreads: &[Spread; 2]| spreads.iter().all(|spread| spread.is_finite());
        masked.cells().iter().map(at).take_while(finite).collect()
    }

    fn weights(&self, masked: &Masked) -> &Weights {
        self.moments.weights.get_or_init(|| Weights::new(masked.cells()))
    }

    /// What lies beyond a cell: for unbounded weights by Cauchy-Schwarz with the whole matrix.
    fn rest(&self, masked: &Masked, p: usize, last: impl FnOnce() -> f64) -> Rest {
        match masked.cells().len() {
            1 => Rest::Nothing,
            _ if masked.is_bounded() => Rest::Bounded(last()),
            _ => Rest::Envelope(self.ln_envelope(p)),
        }
    }
}

/// `ln` of bounds of `2p`-norms for inputs that are fixed before the weights.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pointwise {
    /// Of the distance of the network's outputs at two inputs, over the distance of these.
    pub ln_rate: f64,
    /// The same of the pruned network.
    pub ln_pruned_rate: f64,
    /// Of the network's output.
    pub ln_state: f64,
    /// Of the pruned network's.
    pub ln_pruned_state: f64,
    /// Of the gap.
    pub ln_gap: f64,
}

impl Pointwise {
    /// After all layers, for inputs of norm at most `radius` (Corollary 6.2).
    #[must_use]
    pub fn of(layers: &[Prepared], radius: f64, p: usize) -> Self {
        Self::in_detail(layers, radius, p, Detail::Full)
    }

    /// Of least detail only the gap is what that says.
    pub(crate) fn in_detail(layers: &[Prepared], radius: f64, p: usize, detail: Detail) -> Self {
        let ln_radius = radius.ln();
        let start = Self {
            ln_rate: 0.0,
            ln_pruned_rate: 0.0,
            ln_state: ln_radius,
            ln_pruned_state: ln_radius,
            ln_gap: f64::NEG_INFINITY,
        };
        layers.iter().fold(start, |state, layer| state.after(layer, p, detail))
    }

    fn after(self, prepared: &Prepared, p: usize, detail: Detail) -> Self {
        let Prepared { layer, gap, state, pruned_state, .. } = prepared;
        let ln_factor =
            layer.activation.lipschitz.ln() + layer.law.scale.ln() + 0.5 * (layer.uses as f64).ln();
        let (offset, half) = (layer.offset(), |ln_square: f64| ln_factor + 0.5 * ln_square);
        let shifted = |ln: f64| if offset == 0.0 { ln } else { ln_add(ln, offset.ln()) };
        let ln_state = shifted(plus(half(state.ln_whole_factor(p)), self.ln_state));
        let ln_pruned_state =
            shifted(plus(half(pruned_state.ln_kept_factor(p, detail)), self.ln_pruned_state));
        let ln_gap = if prepared.masked.is_none() {
            plus(half(gap.ln_whole_factor(p)), self.ln_gap)
        } else {
            let (gap2, state2) = (2.0 * self.ln_gap, 2.0 * self.ln_state);
            let sums = gap
                .pairs(p, detail)
                .map(|pair| ln_add(plus(pair.ln_kept, gap2), plus(pair.ln_pruned, state2)));
            half(sums.into_iter().fold(f64::INFINITY, f64::min))
        };
        Self {
            ln_rate: plus(self.ln_rate, half(gap.ln_whole_factor(p))),
            ln_pruned_rate: plus(self.ln_pruned_rate, half(gap.ln_kept_factor(p, detail))),
            ln_state,
            ln_pruned_state,
            ln_gap: ln_gap.min(ln_add(ln_state, ln_pruned_state)),
        }
    }
}

#[cfg(test)]
mod tests;
