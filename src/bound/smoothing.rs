//! Theorem 6: the largest gap over a ball by random smoothing, and its form for networks without activations.
//!
//! The value at a point is compared with that at a random point near it, that with one farther away, and so on: a
//! distance costs the increment between two fixed inputs, and how much more often points come close than uniform ones.

use std::f64::consts::FRAC_PI_2;

use super::ball::Ball;
use super::covering::{dimension, lipschitz};
use super::increments::Pointwise;
use super::inputs::plus;
use super::law::Family;
use super::layer::Prepared;
use super::orders::{Best, Detail, LONG_ORDERS, best};
use super::special::{ln_add, times};
use super::volumes::{ln_caps, ln_coordinate_moment, ln_lenses};
use super::widths::ln_local_rates;

/// Scales fall by `e^-0.2` each, to about one millionth.
const SCALES: usize = 71;
const STEP: f64 = 0.2;

/// Orders up to this, and up to four times the dimension and the logarithm of the chance.
const SHORT: usize = 64;
/// For laws whose moments have to be gone through one by one.
const SLOW: usize = 64;
/// For unbounded laws, which need moments of twice the order.
const UNBOUNDED: usize = 1024;

/// The scales of the chain of points.
struct Scales {
    /// The largest distance of a step, over the radius, and of what it starts from.
    steps: Vec<f64>,
    lengths: Vec<f64>,
    /// `ln` of the largest density of its end.
    ln_densities: Vec<f64>,
}

impl Scales {
    /// Of a sphere, on which it is enough to look for homogeneous networks, or of a ball.
    fn new(is_sphere: bool, dimension: usize) -> Self {
        let ratios = || (0..SCALES).map(|j| (-STEP * j as f64).exp());
        if is_sphere {
            let angles: Vec<f64> = ratios().map(|ratio| FRAC_PI_2 * ratio).collect();
            let mut lengths: Vec<f64> = angles.iter().map(|angle| angle.cos()).collect();
            // A right angle: the chain starts at the centre.
            lengths[0] = 0.0;
            Self {
                steps: angles.iter().map(|angle| angle.sin()).collect(),
                lengths,
                ln_densities: angles.iter().map(|&angle| ln_caps(angle, dimension)).collect(),
            }
        } else {
            Self {
                steps: ratios().collect(),
                lengths: vec![1.0; SCALES],
                ln_densities: ratios().map(|ratio| ln_lenses(ratio, dimension)).collect(),
            }
        }
    }
}

/// The increments and the chains at each scale, one column for each order, over `e^ln_unit`.
struct Chain {
    ln_unit: f64,
    /// What a step of length one to each scale costs.
    increments: Vec<Vec<f64>>,
    /// What all steps from each scale on cost.
    chains: Vec<Vec<f64>>,
}

impl Chain {
    /// From the rates of fixed inputs, and of all inputs around a fixed one, by order; and Lipschitz constants.
    fn new(scales: &Scales, orders: &[usize], ln_rates: [&[[f64; 2]]; 2], ln_lipschitz: &[f64]) -> Self {
        let [fixed, local] = ln_rates;
        // Bounds of norms grow with the order: none is below this one's.
        let ln_unit = fixed.first().map_or(0.0, |[one, other]| one.max(*other));
        let ln_unit = if ln_unit.is_finite() { ln_unit } else { 0.0 };
        // At a random point, with the least of all orders from one on: sums over both networks.
        let at_density = |ln_rates: &[[f64; 2]], ln_density: f64| {
            let (mut least, mut sums) = ([f64::INFINITY; 2], vec![0.0; orders.len()]);
            for (at, &p) in orders.iter().enumerate().rev() {
                for (least, rate) in least.iter_mut().zip(ln_rates[at]) {
                    *least = least.min((rate - ln_unit + ln_density / (2 * p) as f64).exp());
                }
                sums[at] = least[0] + least[1];
            }
            sums
        };
        let increments = scales.ln_densities.iter().zip(&scales.lengths).map(|(&ln_density, &length)| {
            at_density(fixed, ln_density).into_iter().map(|sum| times(length, sum)).collect()
        });
        let increments: Vec<Vec<f64>> = increments.collect();
        let slopes: Vec<f64> = ln_lipschitz.iter().map(|ln| (ln - ln_unit).exp()).collect();
        let mut chains = vec![Vec::new(); SCALES];
        for (start, &step) in scales.steps.iter().enumerate().rev() {
            let around = at_density(local, scales.ln_densities[start]);
            let mut least: Vec<f64> =
                slopes.iter().zip(around).map(|(slope, around)| step * slope.min(around)).collect();
            for (increment, chain) in increments[start + 1..].iter().zip(&chains[start + 1..]) {
                for ((least, increment), chain) in least.iter_mut().zip(increment).zip(chain) {
                    let sum = step * increment + chain;
                    *least = if sum < *least { sum } else { *least };
                }
            }
            chains[start] = least;
        }
        Self { ln_unit, increments, chains }
    }
}

/// The bounds of Theorem 6 for one network, one for each order.
#[derive(Debug, Clone, PartialEq)]
struct Smoothed {
    orders: &'static [usize],
    /// `ln` of bounds of the `2p`-norm of the largest gap over the ball.
    ln_gaps: Vec<f64>,
}

/// The orders for a ball of that dimension and a chance of `e^-ln_chance`.
fn smoothing_orders(layers: &[Prepared], dimension: usize, ln_chance: f64) -> &'static [usize] {
    let most = |layer: &Prepared| match layer.dense.family {
        Family::Uniform => usize::MAX,
        Family::Normal => UNBOUNDED,
        Family::Laplace | Family::Table(_) => SLOW,
    };
    let limit = SHORT.max(dimension.saturating_mul(4)).max((4.0 * ln_chance) as usize);
    let limit = layers.iter().map(most).fold(limit, usize::min);
    &LONG_ORDERS[..LONG_ORDERS.partition_point(|&p| p <= limit)]
}

impl Smoothed {
    /// Of those orders, the first and the last of which matter least.
    fn new(layers: &[Prepared], radius: f64, dimension: usize, orders: &'static [usize]) -> Self {
        if layers.iter().all(|layer| layer.masked.is_none()) {
            return Self { orders, ln_gaps: vec![f64::NEG_INFINITY; orders.len()] };
        }
        let local: Vec<[f64; 2]> = orders.iter().map(|&p| ln_local_rates(layers, dimension, p)).collect();
        Self::with_rates(layers, radius, dimension, orders, &local)
    }

    /// The same, with these logarithms of rates around a fixed input.
    fn with_rates(
        layers: &[Prepared],
        radius: f64,
        dimension: usize,
        orders: &'static [usize],
        local: &[[f64; 2]],
    ) -> Self {
        let is_sphere =
            layers.iter().all(|layer| layer.layer.activation.homogeneous && layer.layer.bias == 0.0);
        let scales = Scales::new(is_sphere, dimension);
        let points: Vec<Pointwise> = orders.iter().map(|&p| Pointwise::of(layers, radius, p)).collect();
        let ln_lipschitz: Vec<f64> = orders.iter().map(|&p| lipschitz(layers, p, Detail::Full)).collect();
        let fixed: Vec<[f64; 2]> = points.iter().map(|it| [it.ln_rate, it.ln_pruned_rate]).collect();
        let chain = Chain::new(&scales, orders, [&fixed, local], &ln_lipschitz);
        let ln_radius = radius.ln() + chain.ln_unit;
        let at = |(at, &p): (usize, &usize)| {
            let power = (2 * p) as f64;
            let ln_gap = points[at].ln_gap;
            // A chain of that scale, from a uniform point.
            let from_anywhere = |scale: usize| {
                let ln_reach = scales.lengths[scale].ln() + scales.ln_densities[scale] / power;
                ln_add(plus(ln_reach, ln_gap), plus(ln_radius, chain.chains[scale][at].ln()))
            };
            let least = (0..SCALES).map(from_anywhere).fold(f64::INFINITY, f64::min);
            if is_sphere {
                // The sphere of one dimension is two points.
                let ends = std::f64::consts::LN_2 / power + ln_gap;
                return if dimension == 1 { least.min(ends) } else { least };
            }
            // Or from the centre.
            let sums = chain.increments.iter().zip(&chain.chains).map(|(step, rest)| step[at] + rest[at]);
            let reach = (ln_lipschitz[at] - chain.ln_unit).exp();
            let reach = sums.fold(reach, f64::min).ln();
            least.min(ln_add(Pointwise::of(layers, 0.0, p).ln_gap, plus(ln_radius, reach)))
        };
        Self { orders, ln_gaps: orders.iter().enumerate().map(at).collect() }
    }

    /// The least bound with chance `1 - e^-ln_chance`.
    fn best(&self, ln_chance: f64) -> Best {
        let at = |(&p, ln_gap): (&usize, &f64)| Best { ln_epsilon: ln_gap + ln_chance / (2 * p) as f64, p };
        let less = |one: Best, other: Best| if other.ln_epsilon < one.ln_epsilon { other } else { one };
        self.orders.iter().zip(&self.ln_gaps).map(at).fold(Best::NONE, less)
    }
}

/// A network of matrices without activations, as it is and reversed: `x -> W x` and `y -> W^T y`, without biases.
#[derive(Debug)]
pub(crate) struct Linear {
    straight: Vec<Prepared>,
    reversed: Vec<Prepared>,
}

impl Linear {
    /// None for other networks, and for layers that depend on each other; `prepare` makes a layer ready.
    pub(crate) fn new(
        layers: &[Prepared],
        mut prepare: impl FnMut(super::Layer) -> Prepared,
    ) -> Option<Self> {
        let is_linear = |layer: &Prepared| {
            let Prepared { layer: it, .. } = layer;
            layer.is_matrix() && it.uses == 1 && it.activation.is_identity() && !it.pruning.is_common()
        };
        if !layers.iter().all(is_linear) {
            return None;
        }
        let layers = || layers.iter().map(|layer| super::Layer { bias: 0.0, ..layer.layer.clone() });
        let straight = layers().map(&mut prepare).collect();
        let reversed = layers().rev().map(|layer| prepare(layer.transposed())).collect();
        Some(Self { straight, reversed })
    }

    /// `ln` of a bound of the `2p`-norm of the largest gap over the ball (Theorem 6L): of the norm of the difference of
    /// the two products, and of the gap of `layers`, with their biases, at zero.
    pub(crate) fn ln_gap(&self, layers: &[Prepared], ball: Ball, p: usize, detail: Detail) -> f64 {
        let norm = |layers: &[Prepared], dimension: usize| {
            Pointwise::in_detail(layers, 1.0, p, detail).ln_gap
                + ln_coordinate_moment(dimension, p) / (2 * p) as f64
        };
        let inputs = dimension(&self.straight, ball).map_or(f64::INFINITY, |d| norm(&self.straight, d));
        let outputs = dimension(&self.reversed, Ball { dimension: None, ..ball });
        let outputs = outputs.map_or(f64::INFINITY, |d| norm(&self.reversed, d));
        let at_zero = Pointwise::in_detail(layers, 0.0, p, detail).ln_gap;
        let norm = inputs.min(outputs);
        ln_add(plus(ball.radius.ln(), norm), at_zero)
    }
}

/// The bounds of Theorem 6 for each pair of the logarithms of the chance and of what they are multiplied by: what each
/// costs does not depend on how many there are. None where layers depend on each other.
pub(crate) fn smoothing_bounds(layers: &[Prepared], ball: Ball, ends: &[(f64, f64)]) -> Vec<Best> {
    // Fixed inputs are not bounded where layers depend on each other (Proposition 2.12).
    let dimension = dimension(layers, ball).filter(|_| !layers.iter().any(|it| it.layer.pruning.is_common()));
    let Some(dimension) = dimension else { return vec![Best::NONE; ends.len()] };
    let mut known: Vec<Smoothed> = Vec::new();
    let bound = |&(ln_chance, ln_factor): &(f64, f64)| {
        let orders = smoothing_orders(layers, dimension, ln_chance);
        let at = known.iter().position(|smoothed| smoothed.orders.len() == orders.len());
        let at = at.unwrap_or_else(|| {
            known.push(Smoothed::new(layers, ball.radius, dimension, orders));
            known.len() - 1
        });
        let best = known[at].best(ln_chance);
        Best { ln_epsilon: best.ln_epsilon + ln_factor, ..best }
    };
    ends.iter().map(bound).collect()
}

/// A bound `epsilon` with `P(sup |F - f| > epsilon) <= delta` over the ball (Theorem 6); none where the dimension of
/// the inputs is not known.
#[must_use]
pub fn smoothing_bound(layers: &[Prepared], ball: Ball, delta: f64) -> Best {
    smoothing_bounds(layers, ball, &[(-delta.ln(), 0.0)])[0]
}

/// The same for a network of matrices without activations (Theorem 6L); none for others.
#[must_use]
pub fn linear_bound(layers: &[Prepared], ball: Ball, delta: f64) -> Best {
    let Some(linear) = Linear::new(layers, Prepared::new) else { return Best::NONE };
    best(|p| linear.ln_gap(layers, ball, p, Detail::Full) - delta.ln() / (2 * p) as f64)
}

#[cfg(test)]
mod tests;
