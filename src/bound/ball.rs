//! Theorem 1: the largest gap over a ball of inputs.

use std::sync::Arc;

use super::layer::Prepared;
use super::orders::{Best, Detail, best};
use super::shape::Part;
use super::special::times;
use super::trace::{chi_norm, gaussian_norm};
use super::widths::radius_of_width;

/// Upper bounds of `2p`-norms over the ball, all over `e^ln_unit`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BallState {
    /// `ln` of the unit of all others.
    pub ln_unit: f64,
    /// Of the largest state of the network.
    pub original: f64,
    /// Of the largest state of the pruned network.
    pub pruned: f64,
    /// Of the largest gap between them.
    pub gap: f64,
    /// Of the Gaussian width of the set of states (Proposition 2.16); infinite where not followed.
    pub width: f64,
    /// Of that of the pruned network.
    pub pruned_width: f64,
    /// Of that of the gaps.
    pub gap_width: f64,
    /// How far the set of states reaches along a vector of independent signs, over the length of what its gates let
    /// through of that vector (Proposition 2.18); infinite where not followed.
    pub reach: f64,
    /// The same of the pruned network.
    pub pruned_reach: f64,
}

/// The inputs of the supremum.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Ball {
    /// The largest Euclidean norm of an input.
    pub radius: f64,
    /// The dimension of a subspace that holds all inputs, where it is less than theirs.
    pub dimension: Option<usize>,
}

/// Beyond these the unit is changed.
const RANGE: std::ops::Range<f64> = 1e-100..1e100;
/// Positive bounds are not let below this: a bound may grow, not vanish.
const LEAST: f64 = 1e-290;

impl BallState {
    fn start(ball: Ball, first: &Prepared, p: usize) -> Self {
        let dimension = ball.dimension.or_else(|| first.is_matrix().then_some(first.layer.shape.cols));
        let width = dimension.map_or(f64::INFINITY, |dimension| chi_norm(dimension, p));
        let unit = f64::from(ball.radius > 0.0);
        let reach = times(unit, if first.is_matrix() { 1.0 } else { f64::INFINITY });
        Self {
            ln_unit: if ball.radius > 0.0 { ball.radius.ln() } else { 0.0 },
            original: unit,
            pruned: unit,
            gap: 0.0,
            width: times(unit, width),
            pruned_width: times(unit, width),
            gap_width: 0.0,
            reach,
            pruned_reach: reach,
        }
    }

    /// Takes a unit that is larger by `e^ln`.
    fn rescaled(self, ln: f64) -> Self {
        let by = |value: f64| if value > 0.0 { (value * (-ln).exp()).max(LEAST) } else { value };
        Self {
            ln_unit: self.ln_unit + ln,
            original: by(self.original),
            pruned: by(self.pruned),
            gap: by(self.gap),
            width: by(self.width),
            pruned_width: by(self.pruned_width),
            gap_width: by(self.gap_width),
            reach: by(self.reach),
            pruned_reach: by(self.pruned_reach),
        }
    }

    fn in_range(self) -> Self {
        let top = self.original.max(self.pruned);
        if top > 0.0 && top < f64::INFINITY && !RANGE.contains(&top) { self.rescaled(top.ln()) } else { self }
    }

    /// `ln` of the gap.
    fn ln_gap(&self) -> f64 {
        if self.gap > 0.0 { self.ln_unit + self.gap.ln() } else { f64::NEG_INFINITY }
    }
}

/// One layer's numbers for one order, at unit scale of its weights.
struct Step<'a> {
    layer: &'a Prepared,
    p: usize,
    detail: Detail,
    /// Whether layers depend on each other through a common threshold: then only norms may be multiplied, and reaches
    /// (2.12).
    norms_only: bool,
    /// The norm of the whole matrix.
    whole: f64,
    /// Of the kept and the pruned part.
    kept: f64,
    removed: f64,
    /// Scales of Gaussians that dominate the whole matrix and the parts; none without the width.
    scales: Option<Scales>,
    /// `chi_p` of the outputs.
    chi: f64,
    /// From the width of a set to its radius, over which it is at most this (Proposition 2.16).
    radius: f64,
}

#[derive(Clone, Copy)]
struct Scales {
    whole: f64,
    kept: f64,
    removed: f64,
}

/// A set of vectors: the norms of its radius and of its width, and its reach.
#[derive(Clone, Copy)]
struct Set {
    radius: f64,
    width: f64,
    reach: f64,
}

impl Set {
    /// The states of a network, of its pruned form, and the gaps.
    fn all(state: &BallState) -> [Self; 3] {
        [
            Self { radius: state.original, width: state.width, reach: state.reach },
            Self { radius: state.pruned, width: state.pruned_width, reach: state.pruned_reach },
            Self { radius: state.gap, width: state.gap_width, reach: f64::INFINITY },
        ]
    }
}

/// The activation that made the inputs of a layer.
#[derive(Clone, Copy)]
struct Behind {
    cone: bool,
    /// The chance that one of its gates is open.
    gate: f64,
}

impl Behind {
    const INPUTS: Self = Self { cone: false, gate: 1.0 };
}

impl<'a> Step<'a> {
    fn new(layer: &'a Prepared, p: usize, detail: Detail, norms_only: bool) -> Self {
        let masked = layer.masked.as_deref();
        let whole = masked.map_or_else(|| layer.dense.norm(p), |masked| masked.whole_norm(p));
        let is_given = layer.layer.pruning.is_given();
        let part = |part| masked.map_or(f64::INFINITY, |masked| masked.norm(part, p, detail));
        let scale = layer.dense.family.gaussian_scale();
        let part_scale = |part, most: f64| masked.map_or(scale, |it| it.scale(part, p, detail).min(most));
        let scales = (layer.is_matrix() && scale < f64::INFINITY && !norms_only).then(|| {
            // Weights above a given threshold are larger than those of the law.
            let kept = part_scale(Part::Kept, if is_given { f64::INFINITY } else { scale });
            let removed = part_scale(Part::Pruned, scale);
            Scales { whole: if is_given { kept + removed } else { scale }, kept, removed }
        });
        Self {
            layer,
            p,
            detail,
            norms_only,
            whole,
            kept: if masked.is_some() { part(Part::Kept).min(whole) } else { whole },
            removed: if masked.is_some() { part(Part::Pruned) } else { 0.0 },
            scales,
            chi: layer.dense.chi(layer.layer.positions, p),
            radius: radius_of_width(p),
        }
    }

    /// Whether its numbers are those of a layer as well: they share all matrices.
    fn is_of(&self, other: &Prepared) -> bool {
        let layer = self.layer;
        let is_masked_alike = match (&layer.masked, &other.masked) {
            (Some(one), Some(other)) => Arc::ptr_eq(one, other),
            (one, other) => one.is_none() && other.is_none(),
        };
        Arc::ptr_eq(&layer.dense, &other.dense)
            && is_masked_alike
            && layer.layer.positions == other.layer.positions
    }

    /// Proposition 2.16 (i): the largest image of a set under a Gaussian matrix, from the norm of a Gaussian vector of
    /// its rows.
    fn image(scale: f64, set: Set, rows: f64) -> f64 {
        times(scale, times(rows, set.radius) + set.width)
    }

    /// The width of the image with slopes of one sign.
    fn linear_width(&self, scale: f64, set: Set) -> f64 {
        times(times(scale, self.chi), set.width)
    }

    /// The width of the image with slopes of any signs.
    fn absolute_width(&self, scale: f64, set: Set) -> f64 {
        let products = self.layer.dense.row_products(self.p);
        times(scale, times(products, set.radius) + times(self.chi, set.width))
    }

    /// The largest image of the pruned part.
    fn removed_image(&self, set: Set) -> f64 {
        let plain = times(self.removed, set.radius);
        match self.scales {
            Some(scales) if self.layer.masked.is_some() => {
                plain.min(Self::image(scales.removed, set, self.chi))
            }
            _ => plain,
        }
    }

    /// The gap before the activation: `W h - W^ h^ = W^ a + D h = W a + D h^`.
    fn gap(&self, state: &BallState, removed: [f64; 2]) -> f64 {
        let [_, _, gaps] = Set::all(state);
        let [of_original, of_pruned] = removed;
        let mut gap = times(self.kept, state.gap) + of_original;
        gap = gap.min(times(self.whole, state.gap) + of_pruned);
        if let Some(scales) = self.scales {
            gap = gap.min(Self::image(scales.kept, gaps, self.chi) + of_original);
            gap = gap.min(Self::image(scales.whole, gaps, self.chi) + of_pruned);
        }
        if state.gap > 0.0
            && let Some(masked) = &self.layer.masked
        {
            let (joint, c) = masked.joint(self.p, self.detail);
            gap = gap.min(times(joint, state.gap.hypot(state.original / c)));
        }
        gap
    }

    /// Proposition 2.16 (iii): the width of the gaps after the activation, over its Lipschitz constants.
    fn gap_width(&self, scales: Scales, state: &BallState, removed: [f64; 2], gate: f64) -> f64 {
        let [original, pruned, gaps] = Set::all(state);
        let activation = &self.layer.layer.activation;
        let (linear, absolute) = (
            f64::midpoint(activation.lipschitz, activation.lowest),
            f64::midpoint(activation.lipschitz, -activation.lowest),
        );
        let orientation = |scale: f64, set: Set, removed: f64| {
            let most = times(self.chi, removed);
            let (line, any) = match &self.layer.masked {
                Some(masked) => {
                    let turned = masked.turned(Part::Pruned, gate, self.p, self.detail);
                    let line = self.linear_width(scales.removed, set);
                    let reached = times(self.chi, times(turned, set.reach));
                    (line.min(reached), self.absolute_width(scales.removed, set))
                }
                None => (0.0, 0.0),
            };
            times(linear, self.linear_width(scale, gaps) + most.min(line))
                + times(absolute, self.absolute_width(scale, gaps) + most.min(any))
        };
        orientation(scales.kept, original, removed[0]).min(orientation(scales.whole, pruned, removed[1]))
    }

    /// How far the images of both sets of states reach, before the activation (Proposition 2.18).
    fn reaches(&self, state: &BallState, gate: f64) -> [f64; 2] {
        if !self.layer.is_matrix() {
            return [f64::INFINITY; 2];
        }
        let turned = self.layer.turned(gate, self.p, self.detail);
        let scales = self.scales.map_or([f64::INFINITY; 2], |scales| [scales.whole, scales.kept]);
        let [original, pruned, _] = Set::all(state);
        let reach = |at: usize, set: Set| times(turned[at], set.reach).min(times(scales[at], set.width));
        [reach(0, original), reach(1, pruned)]
    }

    fn apply(&self, state: &BallState, behind: Behind) -> BallState {
        let layer = &self.layer.layer;
        let lipschitz = layer.activation.lipschitz;
        let (state, offset) = in_unit(*state, self.layer.ln_scale, self.layer.offset);
        let [original, pruned, _] = Set::all(&state);
        let cone_out = layer.activation.cone;
        let has_cones = self.layer.is_matrix() && !self.norms_only && !layer.pruning.is_given();
        let norm = if has_cones && (behind.cone || cone_out) {
            self.layer.dense.cone_norm(self.p, behind.cone, cone_out)
        } else {
            self.whole
        };
        let removed = [self.removed_image(original), self.removed_image(pruned)];
        let gap = lipschitz * self.gap(&state, removed);
        let mut next = BallState {
            ln_unit: state.ln_unit,
            original: lipschitz * times(norm, state.original),
            pruned: lipschitz * times(norm.min(self.kept), state.pruned),
            gap,
            width: f64::INFINITY,
            pruned_width: f64::INFINITY,
            gap_width: f64::INFINITY,
            reach: f64::INFINITY,
            pruned_reach: f64::INFINITY,
        };
        if let Some(scales) = self.scales {
            let rows = if cone_out { self.layer.dense.gated_rows(0.5, self.p) } else { self.chi };
            next.original = next.original.min(lipschitz * Self::image(scales.whole, original, rows));
            next.pruned = next.pruned.min(lipschitz * Self::image(scales.kept, pruned, rows));
            let bias = gaussian_norm(self.p) * offset;
            next.width = lipschitz * self.linear_width(scales.whole, original) + bias;
            next.pruned_width = lipschitz * self.linear_width(scales.kept, pruned) + bias;
            next.gap_width = self.gap_width(scales, &state, removed, behind.gate);
        }
        if offset == 0.0 {
            let [reach, pruned_reach] = self.reaches(&state, behind.gate);
            let rows = self.layer.dense.gated_rows(layer.gap_half(), self.p);
            next.reach = times(lipschitz, reach);
            next.pruned_reach = times(lipschitz, pruned_reach);
            next.width = next.width.min(times(rows, next.reach));
            next.pruned_width = next.pruned_width.min(times(rows, next.pruned_reach));
        }
        next.original = (next.original + offset).min(self.radius * next.width);
        next.pruned =
            (next.pruned + offset).min(self.radius * next.pruned_width).min(next.original + next.gap);
        next.gap = next.gap.min(next.original + next.pruned);
        next.gap_width = next.gap_width.min(self.chi * next.gap).min(next.width + next.pruned_width);
        next.gap = next.gap.min(self.radius * next.gap_width);
        next.in_range()
    }
}

/// The state in the unit of the layer's weights, of that logarithm, and the offset in it.
fn in_unit(state: BallState, ln_scale: f64, offset: f64) -> (BallState, f64) {
    let mut state = BallState { ln_unit: state.ln_unit + ln_scale, ..state };
    if offset == 0.0 {
        return (state, 0.0);
    }
    let excess = offset.ln() - state.ln_unit;
    if excess > RANGE.end.ln() {
        state = state.rescaled(excess);
    }
    (state, (offset.ln() - state.ln_unit).exp())
}

/// The states after each layer, for one order (Theorem 1).
#[must_use]
pub fn ball_states(layers: &[Prepared], ball: Ball, p: usize) -> Vec<BallState> {
    let mut states = Vec::with_capacity(layers.len());
    follow(layers, ball, p, Detail::Full, |state| states.push(state));
    states
}

/// The state after the last layer; `see` is shown that after each.
fn follow(
    layers: &[Prepared],
    ball: Ball,
    p: usize,
    detail: Detail,
    mut see: impl FnMut(BallState),
) -> Option<BallState> {
    let norms_only = layers.iter().any(|layer| layer.layer.pruning.is_common());
    let mut behind = Behind::INPUTS;
    let mut state = BallState::start(ball, layers.first()?, p);
    let mut step = Step::new(&layers[0], p, detail, norms_only);
    for layer in layers {
        if !step.is_of(layer) {
            step = Step::new(layer, p, detail, norms_only);
        }
        step.layer = layer;
        state = step.apply(&state, behind);
        behind = Behind { cone: layer.layer.activation.cone, gate: layer.layer.gap_half() };
        see(state);
    }
    Some(state)
}

/// `ln` of the bound of the `2p`-norm of the largest gap over the ball.
pub(crate) fn ln_ball_gap(layers: &[Prepared], ball: Ball, p: usize, detail: Detail) -> f64 {
    let last = follow(layers, ball, p, detail, |_| ());
    last.map_or(f64::NEG_INFINITY, |last| last.ln_gap())
}

/// A bound `epsilon` with `P(sup |F - f| > epsilon) <= delta` over the ball (Theorem 1).
#[must_use]
pub fn ball_bound(layers: &[Prepared], ball: Ball, delta: f64) -> Best {
    best(|p| ln_ball_gap(layers, ball, p, Detail::Full) - delta.ln() / (2 * p) as f64)
}

#[cfg(test)]
mod tests;
