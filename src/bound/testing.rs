//! What the tests of the bounds share.

use std::f64::consts::PI;

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

/// Numbers in (0, 1), the same for every run.
pub(super) struct Numbers(pub u64);

impl Numbers {
    pub fn uniform(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (((z ^ (z >> 31)) >> 11) as f64 + 0.5) / (1_u64 << 53) as f64
    }

    pub fn normal(&mut self) -> f64 {
        (-2.0 * self.uniform().ln()).sqrt() * (2.0 * PI * self.uniform()).cos()
    }

    fn weight(&mut self, family: &Family) -> f64 {
        let sign = if self.uniform() < 0.5 { -1.0 } else { 1.0 };
        match family {
            Family::Normal => self.normal(),
            Family::Laplace => -sign * self.uniform().ln(),
            _ => 2.0 * self.uniform() - 1.0,
        }
    }

    /// Weights row by row, and the same with the smallest, or the first of as many drawn, set to zero.
    pub fn matrix(&mut self, layer: &Layer) -> [Vec<f64>; 2] {
        let len = layer.shape.len() as usize;
        let whole: Vec<f64> = (0..len).map(|_| layer.law.scale * self.weight(&layer.law.family)).collect();
        let (count, keys): (u64, Vec<f64>) = match layer.pruning {
            Pruning::Magnitude(count) => (count, whole.iter().map(|w| w.abs()).collect()),
            Pruning::Random(count) => (count, (0..len).map(|_| self.uniform()).collect()),
            _ => unreachable!("other masks are not drawn here"),
        };
        let mut order: Vec<usize> = (0..len).collect();
        order.sort_by(|&one, &other| keys[one].total_cmp(&keys[other]));
        let mut kept = whole.clone();
        order[..count as usize].iter().for_each(|&at| kept[at] = 0.0);
        [whole, kept]
    }
}

/// The states after a layer with that matrix.
pub(super) fn forward(matrix: &[f64], input: &[f64], activation: fn(f64) -> f64) -> Vec<f64> {
    let row = |row: &[f64]| activation(row.iter().zip(input).map(|(w, x)| w * x).sum());
    matrix.chunks(input.len()).map(row).collect()
}
