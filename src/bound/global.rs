//! Magnitude pruning of several layers by one threshold (Proposition 2.12).

use super::batch::{Answer, Question, answer};
use super::layer::Layer;
use super::network::Network;
use super::shape::Pruning;
use super::special::relative_entropy;
use super::store::Store;
use crate::error::{Error, Result};

/// The pruning of each layer where the `count` smallest of all weights of the chosen layers are pruned: between levels that
/// hold the common threshold but with chance `delta`. Bounds for the result fail with at most `delta` more.
///
/// # Errors
/// [`Error::CountOutOfRange`] for more than there are.
pub fn common_threshold(layers: &[Layer], chosen: &[bool], count: u64, delta: f64) -> Result<Vec<Pruning>> {
    Error::check_range(
        "number of chosen flags",
        chosen.len() as f64,
        layers.len() as f64,
        layers.len() as f64,
    )?;
    let members: Vec<&Layer> =
        layers.iter().zip(chosen).filter(|(_, chosen)| **chosen).map(|(layer, _)| layer).collect();
    let len: u64 = members.iter().map(|layer| layer.shape.len()).sum();
    if count > len {
        return Err(Error::CountOutOfRange { got: count, len, group: "the chosen layers" });
    }
    let bounds = if count == 0 {
        None
    } else if count == len {
        Some((f64::INFINITY, f64::INFINITY))
    } else {
        Some(threshold_range(&members, count as f64 / len as f64, len as f64, delta / 2.0))
    };
    let prune = |(layer, chosen): (&Layer, &bool)| match bounds.filter(|_| *chosen) {
        None => Pruning::NONE,
        Some((low, high)) => Pruning::Between { low: levels(layer, low).0, high: levels(layer, high).1 },
    };
    Ok(layers.iter().zip(chosen).map(prune).collect())
}

/// A share of `delta` for the threshold: the smallest bound of those that these give is taken.
const SHARES: [f64; 4] = [0.5, 0.1, 0.01, 1e-4];

/// A bound of the gap where the `count` smallest of all weights of the chosen layers are pruned, and the ranges of the common
/// threshold that it is for: part of `delta` pays for them, the rest for Theorem 1. Only its norm lines are used: layers
/// depend on each other through the threshold, and nothing else is proved for them.
///
/// # Errors
/// As for [`common_threshold`], and [`Error::OutOfRange`] for the other numbers.
pub fn global_bound(
    network: &Network,
    chosen: &[bool],
    count: u64,
    radius: f64,
    delta: f64,
) -> Result<(Answer, Vec<Pruning>)> {
    Error::check_range("radius", radius, 0.0, f64::MAX)?;
    Error::check_range("delta", delta, f64::from_bits(1), 1.0)?;
    let mut store = Store::default();
    let mut best = (Answer::NONE, Vec::new());
    for share in SHARES {
        let pruning = common_threshold(network.layers(), chosen, count, share * delta)?;
        let layer = |(layer, &pruning): (&Layer, &Pruning)| Layer { pruning, ..layer.clone() };
        let layers = store.prepare_all(network.layers().iter().zip(&pruning).map(layer));
        let ln_chance = -((1.0 - share) * delta).ln();
        let answer = answer(layers, network.dimension, radius, ln_chance, Question::Ball);
        if answer.epsilon < best.0.epsilon || best.1.is_empty() {
            best = (answer, pruning);
        }
    }
    Ok(best)
}

/// Thresholds that the common one is below and above, each but with chance `delta`.
fn threshold_range(layers: &[&Layer], share: f64, len: f64, delta: f64) -> (f64, f64) {
    let mean = |t: f64, pick: fn((f64, f64)) -> f64| {
        let sum: f64 = layers.iter().map(|layer| layer.shape.len() as f64 * pick(levels(layer, t))).sum();
        sum / len
    };
    let is_rare = |level: f64| len * relative_entropy(share, level) >= -delta.ln();
    let is_above = |t: f64| {
        let level = mean(t, |(low, _)| low);
        level >= 1.0 || (level > share && is_rare(level))
    };
    let is_below = |t: f64| {
        let level = mean(t, |(_, high)| high);
        level <= 0.0 || (level < share && is_rare(level))
    };
    let (_, high) = last_and_first(|t| !is_above(t));
    let (low, _) = last_and_first(is_below);
    (low, high)
}

/// Lower and upper bounds of `P(|w| <= t)`.
fn levels(layer: &Layer, t: f64) -> (f64, f64) {
    if t == f64::INFINITY {
        return (1.0, 1.0);
    }
    let level = layer.law.family.level(t / layer.law.scale);
    let is_exact = !matches!(layer.law.family, super::Family::Table(_));
    // The rounding of the level itself, away from the threshold.
    let slack = 4.0 * f64::EPSILON;
    (level * (1.0 - slack), if is_exact { (level * (1.0 + slack)).min(1.0) } else { 1.0 })
}

/// The last double at which `holds`, and the next; it holds below some point of the positive ones and not from it on.
fn last_and_first(holds: impl Fn(f64) -> bool) -> (f64, f64) {
    let (mut low, mut high) = (0_u64, f64::INFINITY.to_bits());
    while high - low > 1 {
        let middle = u64::midpoint(low, high);
        if holds(f64::from_bits(middle)) { low = middle } else { high = middle }
    }
    (f64::from_bits(low), f64::from_bits(high))
}

#[cfg(test)]
mod tests;
