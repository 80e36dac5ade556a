//! What the tests of the bounds share.

use super::{Activation, Family, Law, Layer, Prepared, Pruning};

/// Fails unless the two agree to 1e-10, relatively.
#[track_caller]
pub(super) fn assert_close(got: f64, expected: f64) {
    let miss = (got - expected).abs();
    assert!(miss <= 1e-10 * expected.abs(), "expected {expected:.15e}, got {got:.15e}");
}

pub(super) fn law(family: Family, scale: f64) -> Law {
    Law { family, scale }
}

/// The networks of the reference values: variance `1 / max(n, m)` in each layer, `relu`, identity at the end, no bias,
/// the layers between the first and the last pruned.
pub(super) fn network(
    (width, depth, first, last): (usize, usize, usize, usize),
    family: &Family,
    ratio: f64,
    pruning: impl Fn(u64) -> Pruning,
) -> Vec<Layer> {
    let size = |i: usize| {
        if i == 0 {
            first
        } else if i == depth {
            last
        } else {
            width
        }
    };
    let layer = |i: usize| {
        let (rows, cols) = (size(i + 1), size(i));
        let longer = rows.max(cols) as f64;
        let scale = if *family == Family::Uniform { (3.0 / longer).sqrt() } else { 1.0 / longer.sqrt() };
        let pruned = if i == 0 || i + 1 == depth { 0 } else { (ratio * (rows * cols) as f64) as u64 };
        let activation = if i + 1 == depth { Activation::IDENTITY } else { Activation::RELU };
        Layer::dense(rows, cols, law(family.clone(), scale), pruning(pruned), activation)
    };
    (0..depth).map(layer).collect()
}

/// The four networks of the reference values.
pub(super) fn reference_networks() -> [Vec<Prepared>; 4] {
    let magnitude = Pruning::Magnitude;
    let random = Pruning::Random;
    [
        Prepared::all(&network((64, 3, 64, 10), &Family::Uniform, 0.5, magnitude)),
        Prepared::all(&network((64, 4, 64, 10), &Family::Normal, 0.1, random)),
        Prepared::all(&network((256, 4, 256, 10), &Family::Uniform, 0.1, magnitude)),
        Prepared::all(&network((256, 6, 16, 10), &Family::Uniform, 0.5, random)),
    ]
}

/// Width, layers, inputs and outputs of a network as [`network`] takes them, its law, and what is pruned.
pub(super) type Row = ((usize, usize, usize, usize), Family, f64, fn(u64) -> Pruning);

/// The networks of the reference values of Theorem 6.
pub(super) fn smoothing_rows() -> [Row; 6] {
    [
        ((64, 3, 8, 10), Family::Uniform, 0.5, Pruning::Magnitude),
        ((64, 4, 16, 10), Family::Normal, 0.1, Pruning::Random),
        ((256, 3, 16, 10), Family::Uniform, 0.1, Pruning::Magnitude),
        ((256, 6, 64, 10), Family::Uniform, 0.9, Pruning::Random),
        ((256, 6, 8, 10), Family::Uniform, 0.9, Pruning::Magnitude),
        ((1024, 6, 256, 10), Family::Uniform, 0.1, Pruning::Magnitude),
    ]
}
