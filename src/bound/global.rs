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
        return Err(Error::CountOutOfRange { got: count, len, group: "the chosen layers".to_owned() });
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

/// The same, and between which counts the pruned weights of each chosen layer are: all together but with chance `delta`.
/// Given the threshold and the counts layers are independent (Proposition 2.12c).
fn common_counts(layers: &[Layer], chosen: &[bool], count: u64, delta: f64) -> Result<Vec<Pruning>> {
    let ranges = common_threshold(layers, chosen, count, delta / 2.0)?;
    let members = chosen.iter().filter(|chosen| **chosen).count() as f64;
    let ln_rare = (delta / (4.0 * members)).ln();
    let given = |(layer, range): (&Layer, Pruning)| {
        let Pruning::Between { low, high } = range else { return range };
        let len = layer.shape.len();
        if low >= 1.0 {
            return Pruning::Magnitude(len);
        }
        // A binomial count is at most, and at least, so much with a chance that is rare.
        let is_rare = |count: u64, level: f64| {
            -(len as f64) * relative_entropy(count as f64 / len as f64, level) <= ln_rare
        };
        let is_too_few = |count: u64| (count as f64) < len as f64 * low && is_rare(count, low);
        let is_many = |count: u64| count as f64 > len as f64 * high && is_rare(count, high);
        let least = first_count(len, |count| !is_too_few(count)).min(len - 1);
        let most = first_count(len + 1, is_many) - 1;
        Pruning::Given { level: high, least, most: most.clamp(1, len) }
    };
    Ok(layers.iter().zip(ranges).map(given).collect())
}

/// The first of `0..end` at which `holds`, which is false below some point and true from it on; `end` for none, above zero.
fn first_count(end: u64, holds: impl Fn(u64) -> bool) -> u64 {
    let (mut low, mut high) = (0, end);
    while low < high {
        let middle = u64::midpoint(low, high);
        if holds(middle) { high = middle } else { low = middle + 1 }
    }
    low
}

/// A share of `delta` for the threshold: the smallest bound of those that these give is taken.
const SHARES: [f64; 4] = [0.5, 0.1, 0.01, 1e-4];

/// A bound of the gap where the `count` smallest of all weights of the chosen layers are pruned, and the ranges of the common
/// threshold that it is for: part of `delta` pays for them, the rest for Theorem 2 at so many fixed inputs, or for Theorem 1.
/// Layers depend on each other through the threshold: for that only the norm lines and reaches of Theorem 1 are proved
/// (2.12a), and given the threshold and the counts all lines of both, with a bound of its own for the whole matrix (2.12c).
///
/// # Errors
/// As for [`common_threshold`], and [`Error::OutOfRange`] for the other numbers.
pub fn global_bound(
    network: &Network,
    chosen: &[bool],
    count: u64,
    radius: f64,
    inputs: Option<f64>,
    delta: f64,
) -> Result<(Answer, Vec<Pruning>)> {
    Error::check_range("radius", radius, 0.0, f64::MAX)?;
    Error::check_range("inputs", inputs.unwrap_or(1.0), 1.0, f64::MAX)?;
    Error::check_range("delta", delta, f64::from_bits(1), 1.0)?;
    let mut store = Store::default();
    let mut best = (Answer::NONE, Vec::new());
    let question = if inputs.is_some() { Question::Inputs } else { Question::Ball };
    for share in SHARES {
        let ln_chance = inputs.unwrap_or(1.0).ln() - ((1.0 - share) * delta).ln();
        let mut take = |pruning: Vec<Pruning>, ranges: Vec<Pruning>| {
            let layer = |(layer, pruning): (&Layer, Pruning)| Layer { pruning, ..layer.clone() };
            let layers = store.prepare_all(network.layers().iter().zip(pruning).map(layer));
            let answer = answer(layers, network.dimension, radius, ln_chance, question);
            if answer.epsilon < best.0.epsilon || best.1.is_empty() {
                best = (answer, ranges);
            }
        };
        let given = common_counts(network.layers(), chosen, count, share * delta)?;
        take(given, common_threshold(network.layers(), chosen, count, share * delta / 2.0)?);
        if question == Question::Ball {
            let ranges = common_threshold(network.layers(), chosen, count, share * delta)?;
            take(ranges.clone(), ranges);
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
