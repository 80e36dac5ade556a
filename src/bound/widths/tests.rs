use std::f64::consts::PI;
use std::sync::Arc;

use super::*;
use crate::bound::exact::{magnitude_trace, random_trace};
use crate::bound::law::Family;
use crate::bound::shape::{Pruning, Shape};
use crate::bound::testing::{Numbers, assert_close, forward, law};
use crate::bound::trace::{chi_norm, gaussian_norm, one_sided_moment};
use crate::bound::{Activation, Layer};

/// `E (sum |g_i g_i'|)^k` for `k = 0..=last`, exactly.
fn product_moments(len: usize, last: usize) -> Vec<f64> {
    let absolute = |k: usize| {
        let half = f64::midpoint(k as f64, 1.0);
        ((k as f64) / 2.0 * 2.0_f64.ln() + libm::lgamma(half) - libm::lgamma(0.5)).exp()
    };
    let one: Vec<f64> = (0..=last).map(|k| absolute(k).powi(2)).collect();
    let binomial = |k: usize, j: usize| (1..=j).map(|i| (k - j + i) as f64 / i as f64).product::<f64>();
    let add = |sum: Vec<f64>, _| {
        (0..=last).map(|k| (0..=k).map(|j| binomial(k, j) * sum[j] * one[k - j]).sum()).collect()
    };
    (1..len).fold(one.clone(), add)
}

#[test]
fn sums_of_products_are_bounded_and_nearly_reached() {
    for len in [1, 2, 5, 40] {
        let exact = product_moments(len, 16);
        for p in 1..=8 {
            let norm = exact[2 * p].powf(1.0 / (2 * p) as f64);
            let bound = product_norm(len, p);
            assert!(bound >= norm && bound <= 1.1 * norm, "{len} {p} {bound} {norm}");
        }
    }
    // The mean is the exact one.
    let mean = 2.0 / PI * 1e6;
    assert!((product_norm(1_000_000, 1) / mean - 1.0).abs() < 1e-5);
}

#[test]
fn norms_of_gaussian_vectors_are_below_mean_and_deviation() {
    for (len, p) in [(1, 1), (3, 8), (64, 5), (64, 200), (1000, 16)] {
        let (root, c) = ((len as f64).sqrt(), one_sided_moment(p));
        assert!(gated_norm(len, 1.0, p) <= root + c);
        assert!(gated_norm(len, 0.5, p) <= (len as f64 / 2.0).sqrt() + c);
        assert_close(gated_norm(len, 1.0, p), chi_norm(len, p));
        let before =
            (2.0 / PI).sqrt() * (root * chi_norm(len, p)).min((2.0 / PI).sqrt() * len as f64 + root * c);
        assert!(product_norm(len, p) <= before + c * chi_norm(len, p));
    }
    // One entry is a normal variable, or, half the time, nothing.
    let half = 0.5_f64.powf(1.0 / 12.0);
    assert_close(gated_norm(1, 0.5, 6), half * gaussian_norm(6));
}

#[test]
fn rows_of_one_weight_are_bounded_by_their_moments() {
    // B W^T q of one row is B W^T, whose squared length has the trace of `W W^T`.
    let (shape, len) = ((1, 4), 4);
    for family in [Family::Uniform, Family::Normal, Family::Laplace] {
        let dense = Arc::new(Dense::new(Shape::dense(1, 4), family.clone()));
        for count in 1..len {
            for part in [Part::Kept, Part::Pruned] {
                let of = |pruning| Masked::new(Arc::clone(&dense), pruning);
                let number = if part == Part::Pruned { count } else { len - count };
                for p in 1..=4 {
                    let turned =
                        |pruning| 2.0 * p as f64 * of(pruning).turned(part, 1.0, p, Detail::Full).ln();
                    let exact = random_trace(&family, WHOLE, shape, number, p).ln();
                    assert!(turned(Pruning::Random(count)) >= exact - 1e-9, "{family:?} {count} {p}");
                    // The integral over the threshold of unbounded weights is good to a few parts in 10^5.
                    let exact = magnitude_trace(&family, part, shape, count, p).ln();
                    assert!(turned(Pruning::Magnitude(count)) >= exact - 1e-4, "{family:?} {count} {p}");
                }
            }
        }
    }
}

#[test]
fn gates_and_masks_only_shorten() {
    let dense = Arc::new(Dense::new(Shape::dense(30, 50), Family::Normal));
    for p in [1, 4, 20] {
        assert_close(dense.turned(1.0, p), chi_norm(50, p));
        assert!(dense.turned(0.5, p) < dense.turned(0.6, p) && dense.turned(0.6, p) < dense.turned(1.0, p));
        let masked = Masked::new(Arc::clone(&dense), Pruning::Magnitude(300));
        let parts = [Part::Kept, Part::Pruned].map(|part| masked.turned(part, 0.5, p, Detail::Full));
        assert!(parts[1] < parts[0] && parts[0] <= dense.turned(0.5, p));
        let least = masked.turned(Part::Kept, 0.5, p, Detail::Least);
        assert!(least <= parts[0]);
    }
}

#[test]
fn a_given_threshold_bounds_both_parts_and_their_sum() {
    const DRAWS: usize = 100_000;
    // Given the threshold, magnitudes are uniform below and above it, whichever positions are below.
    let (rows, cols, level, count) = (3, 4, 0.4, 5);
    let layer = Layer::dense(
        rows,
        cols,
        law(Family::Uniform, 1.0),
        Pruning::Given { level, least: count, most: count },
        Activation::RELU,
    );
    let prepared = Prepared::new(layer);
    let masked = prepared.masked.as_ref();
    let turned = |p| {
        let removed = masked.map_or(0.0, |masked| masked.turned(Part::Pruned, 0.5, p, Detail::Full));
        let [whole, kept] = prepared.turned(0.5, p, Detail::Full);
        [whole, kept, removed]
    };
    // Larger weights than those of the law.
    assert!(turned(2)[0] > prepared.dense.turned(0.5, 2));
    let mut numbers = Numbers(7);
    let direction: Vec<f64> = (0..rows).map(|row| (row as f64 + 1.0) / 14_f64.sqrt()).collect();
    let mut sums = [[[0.0; 2]; 3]; 2];
    for _ in 0..DRAWS {
        let mut positions: Vec<(f64, usize)> = (0..rows * cols).map(|at| (numbers.uniform(), at)).collect();
        positions.sort_by(|one, other| one.0.total_cmp(&other.0));
        let mut parts = [vec![0.0; cols], vec![0.0; cols]];
        for (order, &(_, at)) in positions.iter().enumerate() {
            let sign = if numbers.uniform() < 0.5 { -1.0 } else { 1.0 };
            let part = usize::from((order as u64) < count);
            let magnitude = numbers.uniform() * if part == 1 { level } else { 1.0 - level };
            let weight = sign * if part == 1 { magnitude } else { level + magnitude };
            parts[part][at % cols] += weight * direction[at / cols];
        }
        let gates: Vec<bool> = (0..cols).map(|_| numbers.uniform() < 0.5).collect();
        let square = |of: &dyn Fn(usize) -> f64| {
            (0..cols).filter(|&at| gates[at]).map(|at| of(at).powi(2)).sum::<f64>()
        };
        let squares = [
            square(&|at| parts[0][at] + parts[1][at]),
            square(&|at| parts[0][at]),
            square(&|at| parts[1][at]),
        ];
        for (p, sums) in sums.iter_mut().enumerate() {
            for (sum, square) in sums.iter_mut().zip(squares) {
                let power = square.powi(p as i32 + 1);
                *sum = [sum[0] + power, sum[1] + power * power];
            }
        }
    }
    for (at, sums) in sums.iter().enumerate() {
        for (sum, bound) in sums.iter().zip(turned(at + 1)) {
            let [mean, square] = sum.map(|sum| sum / DRAWS as f64);
            let error = ((square - mean * mean) / DRAWS as f64).sqrt();
            let bound = bound.powi(2 * at as i32 + 2);
            // Six standard errors.
            assert!(mean <= bound + 6.0 * error && mean > bound / 4.0, "{at} {mean} {bound}");
        }
    }
}

#[test]
fn outputs_around_a_fixed_input_stay_as_near_as_said() {
    const NETWORKS: usize = 20_000;
    let relu = |u: f64| u.max(0.0);
    let identity = |u: f64| u;
    let sizes = [(6, 1, 0), (5, 6, 12), (2, 5, 0)];
    let mut numbers = Numbers(3);
    for family in [Family::Uniform, Family::Normal, Family::Laplace] {
        for pruning in [Pruning::Magnitude as fn(u64) -> Pruning, Pruning::Random] {
            let layer = |(rows, cols, count)| {
                Layer::dense(rows, cols, law(family.clone(), 0.7), pruning(count), Activation::RELU)
            };
            let mut layers = sizes.map(layer);
            layers[2].activation = Activation::IDENTITY;
            let prepared = Prepared::all(&layers);
            let (centre, radius) = (0.3, 0.5);
            let mut sums = [[[0.0; 2]; 2]; 2];
            for _ in 0..NETWORKS {
                let matrices: Vec<[Vec<f64>; 2]> = layers.iter().map(|it| numbers.matrix(it)).collect();
                for part in [0, 1] {
                    let outputs = |x: f64| {
                        let step = |state: Vec<f64>, (at, both): (usize, &[Vec<f64>; 2])| {
                            forward(&both[part], &state, if at == 2 { identity } else { relu })
                        };
                        matrices.iter().enumerate().fold(vec![x], step)
                    };
                    let middle = outputs(centre);
                    let square = |y: f64| {
                        let moved = outputs(centre + radius * y);
                        moved.iter().zip(&middle).map(|(a, b)| (a - b).powi(2)).sum::<f64>()
                    };
                    // With one input the distance is largest at an end of the ball, or where the output bends: at zero.
                    let largest = [-1.0, -centre / radius, 1.0].map(square).into_iter().fold(0.0, f64::max);
                    for p in [1, 2] {
                        sums[part][p - 1][0] += largest.powi(p as i32);
                        sums[part][p - 1][1] += largest.powi(2 * p as i32);
                    }
                }
            }
            for p in [1, 2] {
                let rates = ln_local_rates(&prepared, 1, p).map(f64::exp);
                for part in [0, 1] {
                    let [mean, square] = sums[part][p - 1].map(|sum| sum / NETWORKS as f64);
                    let error = ((square - mean * mean) / NETWORKS as f64).sqrt();
                    let bound = (radius * rates[part]).powi(2 * p as i32);
                    // Six standard errors.
                    assert!(mean <= bound + 6.0 * error, "{family:?} {p} {part}: {mean} {bound}");
                    assert!(mean > bound / 30.0, "{family:?} {p} {part}: {mean} {bound}");
                }
            }
        }
    }
}

#[test]
fn there_are_no_local_rates_with_biases_or_in_convolutions_or_for_one_threshold() {
    let layer = Layer::dense(4, 4, law(Family::Normal, 1.0), Pruning::NONE, Activation::RELU);
    let rates = |layer: Layer| ln_local_rates(&[Prepared::new(layer)], 2, 3)[0];
    assert!(rates(layer.clone()).is_finite());
    assert!(rates(Layer { bias: 0.1, ..layer.clone() }) == f64::INFINITY);
    assert!(rates(Layer { positions: 9, ..layer.clone() }) == f64::INFINITY);
    for pruning in
        [Pruning::Between { low: 0.2, high: 0.3 }, Pruning::Given { level: 0.3, least: 3, most: 5 }]
    {
        assert!(rates(Layer { pruning, ..layer.clone() }) == f64::INFINITY);
    }
}
