//! Moments of the norms of the two parts of a pruned matrix, of both together, and of the Gaussians above them.

use std::sync::{Arc, OnceLock};

use super::cells::{Cell, Rest, ln_average, ln_least_average};
use super::convex::{Scale, masked_uniform_scale, smallest_scale};
use super::dense::Dense;
use super::few::{MAX_P, ln_frobenius_moment, ln_schur_moment};
use super::law::{Family, Side, Spread, ln_plain_moment, ln_threshold_moment};
use super::orders::{Detail, Slots, root};
use super::shape::{Part, Pruning};
use super::special::{ln_add, ln_gaussian_moment};
use super::trace::round_up;
use super::widths::Gated;

/// A matrix of independent weights at unit scale, some of them pruned.
#[derive(Debug)]
pub struct Masked {
    /// The whole matrix.
    pub dense: Arc<Dense>,
    /// What is pruned.
    pub pruning: Pruning,
    cells: OnceLock<Vec<Cell>>,
    /// Of the kept part at each cell.
    scales: OnceLock<Vec<OnceLock<Scale>>>,
    /// Of the pruned and the kept part with all magnitudes, and of the kept part with the largest.
    blind_scales: [OnceLock<f64>; 3],
    norms: [[Slots; 2]; 2],
    part_scales: [[Slots; 2]; 2],
    joints: [Slots<2>; 2],
    wholes: Slots,
    pub(super) turned: [[Gated; 2]; 2],
}

impl Masked {
    /// That part of a matrix.
    #[must_use]
    pub fn new(dense: Arc<Dense>, pruning: Pruning) -> Self {
        let (cells, scales) = Default::default();
        let (blind_scales, norms, part_scales, joints, wholes, turned) = Default::default();
        Self { dense, pruning, cells, scales, blind_scales, norms, part_scales, joints, wholes, turned }
    }

    /// The cells of its threshold.
    pub(crate) fn cells(&self) -> &[Cell] {
        self.cells.get_or_init(|| {
            let mut cells = self.pruning.cells(self.dense.shape.len());
            if self.dense.family.is_settled() {
                let spread = |cell: &Cell, part| {
                    self.dense.family.spread(Self::side(cell, part), self.chance(part), 2)
                };
                for cell in &mut cells {
                    cell.spreads = Some([Part::Pruned, Part::Kept].map(|part| spread(cell, part)));
                }
            }
            cells
        })
    }

    /// The detail at which there is anything to save.
    pub(crate) fn detail(&self, detail: Detail) -> Detail {
        if self.cells().len() == 1 { Detail::Full } else { detail }
    }

    /// The `2p`-norm that [`Masked::ln_norm`] bounds.
    pub(crate) fn norm(&self, part: Part, p: usize, detail: Detail) -> f64 {
        let detail = self.detail(detail);
        self.norms[detail as usize][part as usize].get(p, || root(self.ln_part_norm(part, p, detail), p))
    }

    /// The one that [`Masked::ln_scale`] bounds.
    pub(crate) fn scale(&self, part: Part, p: usize, detail: Detail) -> f64 {
        let detail = self.detail(detail);
        self.part_scales[detail as usize][part as usize]
            .get(p, || root(self.ln_part_scale(part, p, detail), p))
    }

    /// The one that [`Masked::ln_joint_norm`] bounds, and its `c`.
    pub(crate) fn joint(&self, p: usize, detail: Detail) -> (f64, f64) {
        let detail = self.detail(detail);
        let [norm, c] = self.joints[detail as usize].get_all(p, || {
            let (ln_norm, c) = self.ln_both_norm(p, detail);
            [root(ln_norm, p), c]
        });
        (norm, c)
    }

    /// The `2p`-norm of the norm of the whole matrix.
    pub(crate) fn whole_norm(&self, p: usize) -> f64 {
        if !self.pruning.is_given() {
            return self.dense.norm(p);
        }
        self.wholes.get(p, || {
            let parts = [Part::Pruned, Part::Kept];
            let sum: f64 = parts.iter().map(|&part| self.norm(part, p, Detail::Full)).sum();
            root(self.ln_given_whole(p), p).min(sum)
        })
    }

    /// `ln` of a bound of `E ||W||^{2p}` where each entry is of one part or the other: their moments together, at the
    /// price of Proposition 2.7b.
    fn ln_given_whole(&self, p: usize) -> f64 {
        let parts = [Part::Pruned, Part::Kept].map(|part| self.spread(&self.cells()[0], part, p));
        if !parts.iter().all(|part| part.is_finite()) {
            return f64::INFINITY;
        }
        let ln_variance = ln_add(parts[0].ln_variance, parts[1].ln_variance);
        let ln_tau2 = parts[0].ln_tau2.max(parts[1].ln_tau2).max(ln_variance);
        self.ln_independence(p) + self.dense.ln_spread_trace(Spread { ln_variance, ln_tau2 }, p)
    }

    pub(crate) fn chance(&self, part: Part) -> f64 {
        self.pruning.chance(part, self.dense.shape.len())
    }

    /// Whether a part is empty.
    pub(crate) fn is_empty(&self, part: Part) -> bool {
        self.chance(part) <= 0.0
    }

    /// Whether the largest threshold leaves all magnitudes bounded.
    pub(crate) fn is_bounded(&self) -> bool {
        self.dense.family.largest() < f64::INFINITY
    }

    /// Pruned weights of a uniform law are a common factor `V` times a random part: the factor's moment.
    fn ln_factor(&self, part: Part, p: usize) -> Option<f64> {
        match (self.pruning, part, &self.dense.family) {
            (Pruning::Magnitude(count), Part::Pruned, Family::Uniform) => {
                Some(ln_threshold_moment(count, self.dense.shape.len(), p))
            }
            _ => None,
        }
    }

    /// `ln` of a bound of `E ||X||^{2p}` of one part (Propositions 2.6 to 2.13), at most that of the whole
    /// (Lemma 2.11).
    #[must_use]
    pub fn ln_norm(&self, part: Part, p: usize) -> f64 {
        self.ln_part_norm(part, p, Detail::Full)
    }

    fn ln_part_norm(&self, part: Part, p: usize, detail: Detail) -> f64 {
        let whole = |p| self.dense.ln_norm(p);
        self.ln_moment(part, p, detail, &whole, &|cell| self.ln_cell_norm(cell, part, p))
    }

    /// `ln` of a bound of a moment of order `2p` that rises with magnitudes, for one part: of what is known of the
    /// `whole` matrix, by order, and of the part at one cell.
    pub(super) fn ln_moment(
        &self,
        part: Part,
        p: usize,
        detail: Detail,
        whole: &dyn Fn(usize) -> f64,
        at: &dyn Fn(&Cell) -> f64,
    ) -> f64 {
        if self.is_empty(part) {
            return f64::NEG_INFINITY;
        }
        // Given the threshold the matrix is not one of independent entries of the law.
        let is_given = self.pruning.is_given();
        let most = if is_given { f64::INFINITY } else { whole(p) };
        if self.chance(part) >= 1.0 && !is_given {
            return most;
        }
        let moment = match self.ln_factor(part, p) {
            Some(factor) => factor + at(&Cell::BLIND),
            None => self.ln_average(part, p, detail, whole, at),
        };
        moment.min(most)
    }

    fn ln_average(
        &self,
        part: Part,
        p: usize,
        detail: Detail,
        whole: &dyn Fn(usize) -> f64,
        ln_f: &dyn Fn(&Cell) -> f64,
    ) -> f64 {
        if detail == Detail::Least {
            return ln_least_average(self.cells(), |_, cell| ln_f(cell));
        }
        // What lies beyond the last cell of unbounded kept weights: Cauchy-Schwarz with the whole matrix.
        let beyond = |ln_tail: f64| f64::midpoint(ln_tail, whole(2 * p));
        let rest = match part {
            _ if self.cells().len() == 1 => Rest::Bounded(f64::NEG_INFINITY),
            Part::Kept if !self.is_bounded() => Rest::Beyond(&beyond),
            _ => Rest::Bounded(ln_f(&Cell::LAST)),
        };
        ln_average(self.cells(), rest, |_, cell| ln_f(cell))
    }

    fn side(cell: &Cell, part: Part) -> Side {
        match part {
            Part::Pruned => cell.pruned,
            Part::Kept => cell.kept,
        }
    }

    pub(crate) fn spread(&self, cell: &Cell, part: Part, p: usize) -> Spread {
        match cell.spreads {
            Some(spreads) => spreads[part as usize],
            None => self.dense.family.spread(Self::side(cell, part), self.chance(part), p),
        }
    }

    fn ln_cell_norm(&self, cell: &Cell, part: Part, p: usize) -> f64 {
        let trace = self.dense.ln_spread_trace(self.spread(cell, part, p), p);
        if trace < f64::INFINITY && self.dense.is_plain() && p <= MAX_P {
            trace.min(self.ln_few_norm(cell, part, p))
        } else {
            trace
        }
    }

    fn ln_few_norm(&self, cell: &Cell, part: Part, p: usize) -> f64 {
        let shape = self.dense.shape;
        let positions = self.pruning.positions(part, shape.len());
        if !positions.are_few(shape.rows, shape.cols, p) {
            return f64::INFINITY;
        }
        let (family, side) = (&self.dense.family, Self::side(cell, part));
        let largest = match side {
            Side::Below(v) => family.quantile(v),
            Side::Above(_) => family.largest(),
        };
        let schur = if largest < f64::INFINITY {
            2.0 * p as f64 * largest.ln() + ln_schur_moment(positions, shape.rows, shape.cols, p)
        } else {
            f64::INFINITY
        };
        schur.min(ln_frobenius_moment(positions, shape.len(), p, |j| ln_plain_moment(family, side, j)))
    }

    /// `ln` of a bound of `E ||[kept, c pruned]||^{2p}`, and the `c` it is for (Proposition 2.17); infinite where it is
    /// not available.
    #[must_use]
    pub fn ln_joint_norm(&self, p: usize) -> (f64, f64) {
        self.ln_both_norm(p, Detail::Full)
    }

    fn ln_both_norm(&self, p: usize, detail: Detail) -> (f64, f64) {
        let unavailable = (f64::INFINITY, 1.0);
        if self.is_empty(Part::Pruned) || self.is_empty(Part::Kept) || !self.dense.is_plain() {
            return unavailable;
        }
        // Masks of a fixed size: their positions are not independent.
        let ln_penalty = self.ln_independence(p);
        if ln_penalty == f64::INFINITY {
            return unavailable;
        }
        let middle = self.middle_cell();
        let [ln_kept, ln_pruned] =
            [Part::Kept, Part::Pruned].map(|part| self.spread(&middle, part, 2).ln_variance);
        let ln_c2 = ln_kept - ln_pruned;
        if !ln_c2.is_finite() {
            return unavailable;
        }
        let at = |cell: &Cell| {
            let (kept, pruned) = (self.spread(cell, Part::Kept, p), self.spread(cell, Part::Pruned, p));
            if !kept.is_finite() {
                return f64::INFINITY;
            }
            let ln_variance = kept.ln_variance.max(ln_c2 + pruned.ln_variance);
            let ln_tau2 = kept.ln_tau2.max(ln_c2 + pruned.ln_tau2).max(ln_variance);
            self.dense.ln_double_trace(Spread { ln_variance, ln_tau2 }, p)
        };
        let c = (ln_c2 / 2.0).exp();
        if detail == Detail::Least {
            return (ln_penalty + ln_least_average(self.cells(), |_, cell| at(cell)), c);
        }
        let beyond =
            |ln_tail: f64| p as f64 * ln_c2.exp().ln_1p() + f64::midpoint(ln_tail, self.dense.ln_norm(2 * p));
        let rest = match self.cells().len() {
            1 => Rest::Bounded(f64::NEG_INFINITY),
            _ if self.is_bounded() => Rest::Bounded(at(&Cell::LAST)),
            _ => Rest::Beyond(&beyond),
        };
        let norm = ln_average(self.cells(), rest, |_, cell| at(cell));
        (ln_penalty + norm, c)
    }

    /// `ln` of the price of taking the entries of both parts as independent in products of up to `2p` of them
    /// (Proposition 2.7b); infinite where that is not known.
    pub(crate) fn ln_independence(&self, p: usize) -> f64 {
        match self.pruning {
            Pruning::Magnitude(_) | Pruning::Random(_) | Pruning::Given { .. } => self.dense.ln_birthday(p),
            Pruning::Bernoulli(_) => 0.0,
            Pruning::Between { low, high } if self.overlap_is_rare(low, high, p) => 0.0,
            Pruning::Between { .. } => f64::INFINITY,
        }
    }

    /// Whether the weights that either side of a common threshold may hold are so rare that their mixed moments are below
    /// those of independent entries: `P(low < |w| <= high) t^{2a+2b}` against the products of the bounds of both parts, for
    /// the larger threshold `t`. The parts of one layer overlap there, so that Proposition 2.7b does not apply to them.
    fn overlap_is_rare(&self, low: f64, high: f64, p: usize) -> bool {
        let ln_square = 2.0 * self.dense.family.quantile(high).ln();
        let least = |part: Part| {
            let spread = self.spread(&self.cells()[0], part, p);
            let at = |a: usize| {
                let moment = spread.ln_variance + (a - 1) as f64 * spread.ln_tau2 + ln_gaussian_moment(a);
                moment - a as f64 * ln_square
            };
            (1..=p).map(at).fold(f64::INFINITY, f64::min)
        };
        (high - low).ln() <= least(Part::Kept) + least(Part::Pruned)
    }

    /// The cell at which the two parts are weighed against each other.
    fn middle_cell(&self) -> Cell {
        match self.pruning {
            Pruning::Magnitude(_) => {
                let ratio = self.chance(Part::Pruned);
                Cell::between(ratio, ratio)
            }
            _ => self.cells()[0],
        }
    }

    /// `ln` of a bound of `E s^{2p}` for the scale `s` of a Gaussian matrix that dominates a part in convex order, twice
    /// for masks of a fixed size (Lemma 2.14 with Proposition 2.7c); infinite where there is none that is known to be
    /// smaller than that of the whole.
    #[must_use]
    pub fn ln_scale(&self, part: Part, p: usize) -> f64 {
        self.ln_part_scale(part, p, Detail::Full)
    }

    fn ln_part_scale(&self, part: Part, p: usize, detail: Detail) -> f64 {
        let power = 2.0 * p as f64;
        if self.is_empty(part) {
            return f64::NEG_INFINITY;
        }
        if self.chance(part) >= 1.0 && !self.pruning.is_given() {
            return power * self.dense.family.gaussian_scale().ln();
        }
        let ln_transfer = if self.pruning.is_counted() { std::f64::consts::LN_2 } else { 0.0 };
        match (&self.dense.family, part, self.pruning) {
            (Family::Uniform, ..) => {}
            (Family::Normal, Part::Pruned, Pruning::Magnitude(_)) => {
                return ln_transfer + self.ln_enclosed_scale(p, detail);
            }
            _ => return f64::INFINITY,
        }
        let scale = match self.ln_factor(part, p) {
            Some(factor) => factor + power * self.blind_scale(part, Side::Below(1.0)).ln(),
            None if self.cells().len() == 1 => power * self.cell_scale(0, part).ln(),
            None if detail == Detail::Least => {
                ln_least_average(self.cells(), |index, _| power * self.cell_scale(index, part).ln())
            }
            None => {
                let rest = Rest::Bounded(power * self.blind_scale(part, Side::Above(1.0)).ln());
                ln_average(self.cells(), rest, |index, _| power * self.cell_scale(index, part).ln())
            }
        };
        ln_transfer + scale
    }

    /// Pruned weights of a density that falls with their magnitude are below uniform ones of the same threshold.
    fn ln_enclosed_scale(&self, p: usize, detail: Detail) -> f64 {
        let scale = self.blind_scale(Part::Pruned, Side::Below(1.0));
        let whole = self.dense.family.gaussian_scale();
        let at = |cell: &Cell| match cell.pruned {
            Side::Below(v) => 2.0 * p as f64 * (scale * self.dense.family.quantile(v)).min(whole).ln(),
            Side::Above(_) => f64::INFINITY,
        };
        if detail == Detail::Least {
            return ln_least_average(self.cells(), |_, cell| at(cell));
        }
        ln_average(self.cells(), Rest::Bounded(at(&Cell::LAST)), |_, cell| at(cell))
    }

    fn blind_scale(&self, part: Part, side: Side) -> f64 {
        let slot = if side == Side::Above(1.0) { 2 } else { part as usize };
        let solve = || masked_uniform_scale(round_up(self.chance(part)), side);
        *self.blind_scales[slot].get_or_init(solve)
    }

    fn cell_scale(&self, index: usize, part: Part) -> f64 {
        let chance = round_up(self.chance(part));
        let rounded = |v: f64| round_up(v.min(1.0));
        match Self::side(&self.cells()[index], part) {
            Side::Below(v) => masked_uniform_scale(chance, Side::Below(rounded(v))),
            Side::Above(v) if v <= 0.0 => self.blind_scale(part, Side::Below(1.0)),
            Side::Above(v) => {
                let scales =
                    self.scales.get_or_init(|| self.cells().iter().map(|_| OnceLock::new()).collect());
                let smaller = index.checked_sub(1).and_then(|before| scales[before].get().copied());
                let solve = || smallest_scale(chance, Side::Above(rounded(v)), smaller);
                scales[index].get_or_init(solve).s
            }
        }
    }
}

#[cfg(test)]
mod tests;
