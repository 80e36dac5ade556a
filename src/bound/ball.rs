//! Theorem 1: the largest gap over a ball of inputs.

use std::f64::consts::PI;
use std::sync::Arc;

use super::layer::Prepared;
use super::orders::{Best, Detail, best};
use super::shape::{Part, Pruning};
use super::special::times;
use super::trace::{chi_norm, gaussian_norm, one_sided_moment};

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
        Self {
            ln_unit: if ball.radius > 0.0 { ball.radius.ln() } else { 0.0 },
            original: unit,
            pruned: unit,
            gap: 0.0,
            width: times(unit, width),
            pruned_width: times(unit, width),
            gap_width: 0.0,
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
    /// Whether layers depend on each other through a common threshold: then only norms may be multiplied (2.12).
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
    one_sided: f64,
}

#[derive(Clone, Copy)]
struct Scales {
    whole: f64,
    kept: f64,
    removed: f64,
}

/// A set of vectors: the norms of its radius and of its width.
#[derive(Clone, Copy)]
struct Set {
    radius: f64,
    width: f64,
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
            one_sided: one_sided_moment(p),
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

    fn rows(&self) -> f64 {
        self.layer.layer.shape.rows as f64
    }

    /// Proposition 2.16 (i): the largest image of a set under a Gaussian matrix.
    fn image(&self, scale: f64, set: Set, root_rows: f64) -> f64 {
        times(scale, times(root_rows + self.one_sided, set.radius) + set.width)
    }

    /// The width of the image with slopes of one sign.
    fn linear_width(&self, scale: f64, set: Set) -> f64 {
        times(times(scale, self.chi), set.width)
    }

    /// The width of the image with slopes of any signs.
    fn absolute_width(&self, scale: f64, set: Set) -> f64 {
        let (rows, c) = (self.rows(), self.one_sided);
        let ratio = (2.0 / PI).sqrt();
        let absolute = (rows.sqrt() * self.chi).min(ratio * rows + rows.sqrt() * c);
        let radius = ratio * absolute + c * self.chi;
        times(scale, times(radius, set.radius) + times(self.chi, set.width))
    }

    /// The largest image of the pruned part.
    fn removed_image(&self, set: Set) -> f64 {
        let plain = times(self.removed, set.radius);
        match self.scales {
            Some(scales) if self.layer.masked.is_some() => {
                plain.min(self.image(scales.removed, set, self.rows().sqrt()))
            }
            _ => plain,
        }
    }

    /// The gap before the activation: `W h - W^ h^ = W^ a + D h = W a + D h^`.
    fn gap(&self, state: &BallState, removed: [f64; 2]) -> f64 {
        let gaps = Set { radius: state.gap, width: state.gap_width };
        let [of_original, of_pruned] = removed;
        let mut gap = times(self.kept, state.gap) + of_original;
        gap = gap.min(times(self.whole, state.gap) + of_pruned);
        if let Some(scales) = self.scales {
            let root = self.rows().sqrt();
            gap = gap.min(self.image(scales.kept, gaps, root) + of_original);
            gap = gap.min(self.image(scales.whole, gaps, root) + of_pruned);
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
    fn gap_width(&self, scales: Scales, state: &BallState, removed: [f64; 2]) -> f64 {
        let gaps = Set { radius: state.gap, width: state.gap_width };
        let activation = &self.layer.layer.activation;
        let (linear, absolute) = (
            f64::midpoint(activation.lipschitz, activation.lowest),
            f64::midpoint(activation.lipschitz, -activation.lowest),
        );
        let sets = [
            Set { radius: state.original, width: state.width },
            Set { radius: state.pruned, width: state.pruned_width },
        ];
        let orientation = |scale: f64, set: Set, removed: f64| {
            let most = times(self.chi, removed);
            let (line, any) = if self.layer.masked.is_some() {
                (self.linear_width(scales.removed, set), self.absolute_width(scales.removed, set))
            } else {
                (0.0, 0.0)
            };
            times(linear, self.linear_width(scale, gaps) + most.min(line))
                + times(absolute, self.absolute_width(scale, gaps) + most.min(any))
        };
        orientation(scales.kept, sets[0], removed[0]).min(orientation(scales.whole, sets[1], removed[1]))
    }

    fn apply(&self, state: &BallState, cone_in: bool) -> BallState {
        let layer = &self.layer.layer;
        let lipschitz = layer.activation.lipschitz;
        let (state, offset) = in_unit(*state, self.layer.ln_scale, self.layer.offset);
        let original = Set { radius: state.original, width: state.width };
        let pruned = Set { radius: state.pruned, width: state.pruned_width };
        let cone_out = layer.activation.cone;
        let has_cones = self.layer.is_matrix() && !self.norms_only && !layer.pruning.is_given();
        let norm = if has_cones && (cone_in || cone_out) {
            self.layer.dense.cone_norm(self.p, cone_in, cone_out)
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
        };
        if let Some(scales) = self.scales {
            let root = if cone_out { (self.rows() / 2.0).sqrt() } else { self.rows().sqrt() };
            next.original = next.original.min(lipschitz * self.image(scales.whole, original, root));
            next.pruned = next.pruned.min(lipschitz * self.image(scales.kept, pruned, root));
            let bias = gaussian_norm(self.p) * offset;
            next.width = lipschitz * self.linear_width(scales.whole, original) + bias;
            next.pruned_width = lipschitz * self.linear_width(scales.kept, pruned) + bias;
            next.gap_width = self.gap_width(scales, &state, removed);
        }
        next.original += offset;
        next.pruned = (next.pruned + offset).min(next.original + next.gap);
        next.gap = next.gap.min(next.original + next.pruned);
        next.gap_width = next.gap_width.min(self.chi * next.gap).min(next.width + next.pruned_width);
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
    let is_common = |layer: &Prepared| matches!(layer.layer.pruning, Pruning::Between { .. });
    let norms_only = layers.iter().any(is_common);
    let mut cone_in = false;
    let mut state = BallState::start(ball, layers.first()?, p);
    let mut step = Step::new(&layers[0], p, detail, norms_only);
    for layer in layers {
        if !step.is_of(layer) {
            step = Step::new(layer, p, detail, norms_only);
        }
        step.layer = layer;
        state = step.apply(&state, cone_in);
        cone_in = layer.layer.activation.cone;
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
