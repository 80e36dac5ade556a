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
use super::rising::{ln_chi_square_moment, ln_chi_square_moments};
use super::shape::Part;
use super::special::{ln_add, times};

/// Shares that are tried for both parts at once, from the smallest to the largest that either part has.
const SHARES: usize = 7;
/// So many shares of cells are worked on at once.
const LANES: usize = 8;
/// No share is let below this.
const LEAST_SHARE: f64 = 1e-12;
/// Coefficients that are valid together: of each of those shares, and of Theorem 2.
type Pairs = [Coefficients; SHARES + 1];

/// Moments of what a layer does to fixed vectors, by order.
#[derive(Debug, Default)]
pub(super) struct Moments {
    weights: OnceLock<Weights>,
    whole: Slots,
    kept: [Slots; 2],
    pairs: [Slots<{ 4 * (SHARES + 1) }>; 2],
}

/// The chances of the cells, for averages of nondecreasing functions (Proposition 2.10): of each cell, of all from
/// it on, and `ln` of that of all beyond it.
#[derive(Debug)]
struct Weights(Vec<(f64, f64, f64)>);

/// `e^(ln - unit)`, one for equal ones.
fn over(ln: f64, ln_unit: f64) -> f64 {
    if ln.to_bits() == ln_unit.to_bits() { 1.0 } else { (ln - ln_unit).exp() }
}

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
            for sum in &mut sums {
                *sum += weight;
            }
        }
        [f64::INFINITY; N]
    }
}

impl Fluctuation {
    /// `ln` of the factor from the squared `p`-norm of a fixed vector to that of its image under the whole matrix.
    pub(crate) fn ln_whole_factor(&self, p: usize) -> f64 {
        self.moments.whole.get(p, || match &self.masked {
            // The whole matrix is both parts, of the same vector.
            Some(masked) if masked.pruning.is_given() => {
                let pair = self.least_pair(0.0, p, Detail::Full);
                ln_add(pair.ln_kept, pair.ln_pruned)
            }
            _ => self.ln_whole(p),
        })
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
        let shares: Vec<f64> = spreads.iter().map(|spread| spread[0].share()).collect();
        let ln_rows: Vec<f64> = shares.chunks(LANES).flat_map(|shares| self.ln_rows_of(shares, p)).collect();
        let value = |cell: usize| [p as f64 * spreads[cell][0].ln_tau2 + ln_rows[cell]];
        self.weights(masked).ln_averages([rest], spreads.len(), value)[0] / p as f64
    }

    /// Of pairs of coefficients as those of [`Fluctuation::coefficients`], which are one of them, the one that makes least of
    /// a squared gap of `e^ln_ratio` times the squared state: any is a bound.
    fn least_pair(&self, ln_ratio: f64, p: usize, detail: Detail) -> Coefficients {
        let detail = self.masked.as_ref().map_or(Detail::Full, |masked| masked.detail(detail));
        let numbers = self.moments.pairs[detail as usize].get_all(p, || {
            let pairs = match &self.masked {
                Some(masked) if !masked.is_empty(Part::Kept) => self.of_shares(masked, p, detail),
                _ => [self.coefficients(p); SHARES + 1],
            };
            // And over one of them, to compare them by.
            let is_finite = |pair: &&Coefficients| pair.ln_kept.is_finite() && pair.ln_pruned.is_finite();
            let Coefficients { ln_kept, ln_pruned } =
                *pairs.iter().rev().find(is_finite).unwrap_or(&pairs[SHARES]);
            from_fn(|i| match (&pairs[i / 4], i % 4) {
                (pair, 0) => pair.ln_kept,
                (pair, 1) => pair.ln_pruned,
                (pair, 2) => over(pair.ln_kept, ln_kept),
                (pair, _) => over(pair.ln_pruned, ln_pruned),
            })
        });
        let (pairs, _) = numbers.as_chunks::<4>();
        let is_finite = |pair: &&[f64; 4]| pair[0].is_finite() && pair[1].is_finite();
        let unit = pairs.iter().rev().find(is_finite).unwrap_or(&pairs[SHARES]);
        let weight = (plus(unit[0], ln_ratio) - unit[1]).exp();
        let cost = |pair: &&[f64; 4]| times(pair[2], weight) + pair[3];
        let least = pairs.iter().min_by(|one, other| cost(one).total_cmp(&cost(other))).unwrap_or(unit);
        Coefficients { ln_kept: least[0], ln_pruned: least[1] }
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
        let ln_shares: [f64; SHARES] =
            from_fn(|index| (low + (high - low) * (index as f64 / (SHARES - 1) as f64)).min(0.0));
        let halves = ln_shares.map(|ln_share| (self.half * ln_share.exp()).min(1.0));
        let ln_rows = ln_chi_square_moments(self.dense.shape.rows, halves, p);
        from_fn(|index| {
            if index == SHARES {
                return self.coefficients_in(p, detail);
            }
            let (ln_share, ln_rows) = (ln_shares[index], ln_rows[index]);
            let at = |spread: Spread| p as f64 * spread.ln_tau2.max(spread.ln_variance - ln_share) + ln_rows;
            let sums = if masked.cells().len() == 1 {
                spreads[0].map(at)
            } else if detail == Detail::Least {
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

    /// [`Fluctuation::ln_share_rows`] of that many shares at most, and then others.
    fn ln_rows_of(&self, shares: &[f64], p: usize) -> [f64; LANES] {
        let halves = from_fn(|i| (self.half * shares.get(i).unwrap_or(&1.0)).min(1.0));
        ln_chi_square_moments(self.dense.shape.rows, halves, p)
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

    /// The last of them alone. The pruned state is followed only where the gap may be larger than both states: before that
    /// it changes nothing.
    pub(super) fn ln_gap_in_detail(layers: &[Prepared], radius: f64, p: usize, detail: Detail) -> f64 {
        let (mut ln_state, mut ln_gap) = (radius.ln(), f64::NEG_INFINITY);
        for (at, layer) in layers.iter().enumerate() {
            let grown = layer.grown_gap(ln_gap, ln_state, p, detail);
            ln_state = layer.grown_state(ln_state, p);
            ln_gap = if grown > ln_state {
                let pruned = |ln, layer: &Prepared| layer.grown_pruned_state(ln, p, detail);
                grown.min(ln_add(ln_state, layers[..=at].iter().fold(radius.ln(), pruned)))
            } else {
                grown
            };
        }
        ln_gap
    }

    fn after(self, layer: &Prepared, p: usize, detail: Detail) -> Self {
        let ln_state = layer.grown_state(self.ln_state, p);
        let ln_pruned_state = layer.grown_pruned_state(self.ln_pruned_state, p, detail);
        let ln_gap = layer.grown_gap(self.ln_gap, self.ln_state, p, detail);
        let rate = |ln: f64, ln_square: f64| plus(ln, layer.half(ln_square));
        Self {
            ln_rate: rate(self.ln_rate, layer.gap.ln_whole_factor(p)),
            ln_pruned_rate: rate(self.ln_pruned_rate, layer.gap.ln_kept_factor(p, detail)),
            ln_state,
            ln_pruned_state,
            ln_gap: ln_gap.min(ln_add(ln_state, ln_pruned_state)),
        }
    }
}

/// What one layer makes of the logarithms of the norms before it.
impl Prepared {
    /// The factor of a norm from that of its square before the activation and at unit scale.
    fn half(&self, ln_square: f64) -> f64 {
        self.ln_factor + 0.5 * ln_square
    }

    fn shifted(&self, ln: f64) -> f64 {
        if self.offset == 0.0 { ln } else { ln_add(ln, self.offset.ln()) }
    }

    fn grown_state(&self, ln_state: f64, p: usize) -> f64 {
        self.shifted(plus(self.half(self.state.ln_whole_factor(p)), ln_state))
    }

    fn grown_pruned_state(&self, ln_state: f64, p: usize, detail: Detail) -> f64 {
        self.shifted(plus(self.half(self.pruned_state.ln_kept_factor(p, detail)), ln_state))
    }

    fn grown_gap(&self, ln_gap: f64, ln_state: f64, p: usize, detail: Detail) -> f64 {
        if self.masked.is_none() {
            return plus(self.half(self.gap.ln_whole_factor(p)), ln_gap);
        }
        let (gap2, state2) = (2.0 * ln_gap, 2.0 * ln_state);
        let pair = self.gap.least_pair(gap2 - state2, p, detail);
        self.half(ln_add(plus(pair.ln_kept, gap2), plus(pair.ln_pruned, state2)))
    }
}

#[cfg(test)]
mod tests;
