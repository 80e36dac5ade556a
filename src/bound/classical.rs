//! Textbook bounds with a union over events (section 5): for comparison only. The constants of one of them are quoted,
//! not proved here.

use std::f64::consts::PI;

use super::cells::threshold_level;
use super::few::Positions;
use super::law::{Family, Law, Side};
use super::layer::Layer;
use super::shape::{Part, Pruning, Shape};
use super::special::{relative_entropy, times};

/// The norm of a matrix of independent normal entries of that deviation (Davidson and Szarek).
#[must_use]
pub fn davidson_szarek(rows: usize, cols: usize, deviation: f64, delta: f64) -> f64 {
    deviation * (roots(rows, cols) + (-2.0 * delta.ln()).sqrt())
}

/// The norm of a matrix of independent symmetric entries of magnitude at most `largest` (symmetrization and Talagrand).
#[must_use]
pub fn symmetrization_talagrand(rows: usize, cols: usize, largest: f64, delta: f64) -> f64 {
    (PI / 2.0).sqrt() * largest * roots(rows, cols) + largest * (-8.0 * delta.ln()).sqrt()
}

/// The norm of a matrix of independent centred entries of that variance and magnitude at most `largest` (matrix Bernstein,
/// Tropp).
#[must_use]
pub fn matrix_bernstein(rows: usize, cols: usize, variance: f64, largest: f64, delta: f64) -> f64 {
    let ln = ((rows + cols) as f64 / delta).ln();
    let linear = largest * ln / 3.0;
    linear + (linear * linear + 2.0 * rows.max(cols) as f64 * variance * ln).sqrt()
}

/// The norm of a Gaussian matrix whose variances add up to at most `row2` in each row and `col2` in each column, each at
/// most `largest2` (Bandeira and van Handel, constants as quoted).
fn bandeira_van_handel((row2, col2, largest2): (f64, f64, f64), shorter: usize, delta: f64) -> f64 {
    let largest = largest2.sqrt();
    let at = |step: usize| {
        let e = 0.01 + 0.49 * step as f64 / 98.0;
        let noise = 5.0 / e.ln_1p().sqrt() * largest * (shorter as f64).ln().sqrt();
        (1.0 + e) * (row2.sqrt() + col2.sqrt() + noise)
    };
    (0..99).map(at).fold(f64::INFINITY, f64::min) + largest * (-2.0 * delta.ln()).sqrt()
}

fn roots(rows: usize, cols: usize) -> f64 {
    (rows as f64).sqrt() + (cols as f64).sqrt()
}

/// A count that no row has more pruned entries than, but with chance `delta`: the smallest `x` for which Hoeffding's bound
/// allows it, with `count` of `rows * cols` entries pruned.
#[must_use]
pub fn largest_row_count(rows: usize, cols: usize, count: u64, delta: f64) -> u64 {
    let ratio = count as f64 / (rows as f64 * cols as f64);
    let most = (cols as u64).min(count);
    let is_rare = |x: u64| {
        let above = ((x + 1) as f64 / cols as f64).min(1.0 - 1e-16);
        x + 1 > most || (rows as f64).ln() - cols as f64 * relative_entropy(above, ratio) <= delta.ln()
    };
    let (mut low, mut high) = (((cols as f64 * ratio) as u64).min(most), most);
    while low < high {
        let middle = u64::midpoint(low, high);
        if is_rare(middle) { high = middle } else { low = middle + 1 }
    }
    low
}

/// The norm of an unpruned matrix; infinite for laws that none of them covers, and for convolutions.
fn whole_norm(shape: Shape, law: &Law, delta: f64) -> f64 {
    let (rows, cols, largest) = (shape.rows, shape.cols, law.family.largest());
    if shape.kernel.num_taps() > 1 {
        return f64::INFINITY;
    }
    let norm = match law.family {
        Family::Normal => davidson_szarek(rows, cols, 1.0, delta),
        Family::Laplace => f64::INFINITY,
        Family::Uniform | Family::Table(_) => symmetrization_talagrand(rows, cols, largest, delta)
            .min(matrix_bernstein(rows, cols, law.family.variance(), largest, delta)),
    };
    law.scale * norm
}

/// The norm of the pruned part, its budget split in four.
fn pruned_norm(layer: &Layer, delta: f64) -> f64 {
    let (shape, family, delta) = (layer.shape, &layer.law.family, delta / 4.0);
    let (rows, cols, len) = (shape.rows, shape.cols, shape.len());
    if shape.kernel.num_taps() > 1 {
        return f64::INFINITY;
    }
    let chance = layer.pruning.chance(Part::Pruned, len);
    let count = (chance * len as f64).ceil() as u64;
    let level = match layer.pruning {
        Pruning::Magnitude(count) => threshold_level(count, len, delta),
        Pruning::Random(_) | Pruning::Bernoulli(_) => 1.0,
        Pruning::Between { high: level, .. } | Pruning::Given { level, .. } => level,
    };
    let largest = family.quantile(level);
    let row = largest_row_count(rows, cols, count, delta) as f64;
    let col = largest_row_count(cols, rows, count, delta) as f64;
    let counts = (row, col, 1.0);
    let shorter = rows.min(cols);
    let mut norm = f64::INFINITY;
    if *family == Family::Normal && level >= 1.0 {
        norm = norm.min(bandeira_van_handel(counts, shorter, delta));
    }
    if largest < f64::INFINITY {
        let variance = chance * family.ln_moment(Side::Below(level), 1).exp();
        let noise =
            (PI / 2.0).sqrt() * bandeira_van_handel(counts, shorter, 1.0) + (-8.0 * delta.ln()).sqrt();
        norm = norm.min(largest * (row * col).sqrt()).min(largest * noise);
        norm = norm.min(matrix_bernstein(rows, cols, variance, largest, delta));
        if let Positions::Exactly(count) = layer.pruning.positions(Part::Pruned, len) {
            norm = norm.min(largest * (count as f64).sqrt());
        }
    }
    layer.law.scale * norm
}

/// What the largest gap over the ball is below, but with chance `delta`, by textbook norms, the triangle inequality and a
/// union over all events. Biases and activations that are not zero at zero enter through the states.
#[must_use]
pub fn classical_bound(layers: &[Layer], radius: f64, delta: f64) -> f64 {
    let events = layers.len() + layers.iter().filter(|layer| layer.is_pruned()).count();
    let share = delta / events as f64;
    let (mut state, mut gap) = (radius, 0.0);
    for layer in layers {
        let lipschitz = layer.activation.lipschitz;
        let whole = whole_norm(layer.shape, &layer.law, share);
        let pruned = if layer.is_pruned() { pruned_norm(layer, share) } else { 0.0 };
        gap = lipschitz * (times(whole, gap) + times(pruned, state + gap));
        state = lipschitz * times(whole, state) + layer.offset();
    }
    gap
}

#[cfg(test)]
mod tests;
