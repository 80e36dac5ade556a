//! Certified norms against arithmetic with twice the digits, on matrices made to break them.

use super::{CERTIFIED, Weights};
use crate::norm::Which;

/// A number of about 106 bits: the sum of both.
#[derive(Clone, Copy)]
struct Double(f64, f64);

impl Double {
    fn of_sum(a: f64, b: f64) -> Self {
        let sum = a + b;
        let back = sum - a;
        Self(sum, (a - (sum - back)) + (b - back))
    }

    fn plus(self, other: Self) -> Self {
        let high = Self::of_sum(self.0, other.0);
        let low = Self::of_sum(self.1, other.1);
        let sum = Self::of_sum(high.0, high.1 + low.0);
        Self::of_sum(sum.0, sum.1 + low.1)
    }

    fn times(self, other: Self) -> Self {
        let product = self.0 * other.0;
        let rest = self.0.mul_add(other.0, -product);
        Self::of_sum(product, rest + (self.0 * other.1 + self.1 * other.0))
    }

    fn times_power(self, factor: f64) -> Self {
        Self(self.0 * factor, self.1 * factor)
    }
}

/// `x^T G x` and `x^T x` for a vector `x` along which the Gram matrix `G` is largest, by squaring `G` until nothing
/// else is left: the quotient is below the square of the norm, but for the last of 106 bits.
fn quotient(columns: usize, values: &[f64]) -> (Double, Double) {
    let zero = Double(0.0, 0.0);
    let entry = |power: &[Double], i: usize, j: usize| power[i * columns + j];
    let mut gram = vec![zero; columns * columns];
    for row in values.chunks(columns) {
        for i in 0..columns {
            for j in 0..columns {
                let product = Double(row[i], 0.0).times(Double(row[j], 0.0));
                gram[i * columns + j] = entry(&gram, i, j).plus(product);
            }
        }
    }
    let mut power = gram.clone();
    for _ in 0..60 {
        let largest = power.iter().map(|value| value.0.abs()).fold(0.0, f64::max);
        if largest == 0.0 {
            break;
        }
        let scale = 2.0_f64.powi(-(largest.log2().floor() as i32));
        let scaled: Vec<_> = power.iter().map(|value| value.times_power(scale)).collect();
        for i in 0..columns {
            for j in 0..columns {
                let terms = (0..columns).map(|k| entry(&scaled, i, k).times(entry(&scaled, k, j)));
                power[i * columns + j] = terms.fold(zero, Double::plus);
            }
        }
    }
    let longest = (0..columns).max_by(|&a, &b| entry(&power, a, a).0.total_cmp(&entry(&power, b, b).0));
    let x: Vec<_> = (0..columns).map(|i| entry(&power, i, longest.unwrap_or(0))).collect();
    let [mut product, mut square] = [zero; 2];
    for i in 0..columns {
        let row = (0..columns).map(|j| entry(&gram, i, j).times(x[j])).fold(zero, Double::plus);
        product = product.plus(x[i].times(row));
        square = square.plus(x[i].times(x[i]));
    }
    (product, square)
}

/// Asserts that `bound^2 * square >= product`, to 2^-95 of it.
fn is_above(bound: f64, (product, square): (Double, Double)) -> bool {
    let bound = Double(bound, 0.0);
    let difference = bound.times(bound).times(square).plus(Double(-product.0, -product.1));
    difference.0 >= -product.0 * 2.0_f64.powi(-95)
}

/// Matrices with entries around 1 whose products round.
fn cases() -> Vec<([usize; 2], Vec<f64>)> {
    let mut cases = Vec::new();
    for (number, shape) in [[1, 1], [1, 5], [5, 1], [2, 2], [3, 4], [6, 3], [7, 7]].into_iter().enumerate() {
        for seed in 0..40 {
            let mut values = vec![0.0; shape[0] * shape[1]];
            crate::sample::Stream::of_position(seed, number as u64).normals(0, &mut values);
            let column = |at: usize| at % shape[1];
            let kind = seed % 5;
            for at in 0..values.len() {
                values[at] = match kind {
                    0 => values[at],
                    // Rank one, but for rounding.
                    1 => values[column(at)] * values[at / shape[1] * shape[1]],
                    // Columns of very different size.
                    2 => values[at] * [1.0, 1e8, 1e-8][column(at) % 3],
                    // Nearly equal rows and columns.
                    3 => 1.0 + values[at] * 1e-9,
                    // Few bits, cancelling.
                    _ => (values[at] * 2.0).round() / 3.0,
                };
            }
            cases.push((shape, values));
        }
    }
    cases.push(([1, 3], vec![1e16, 1.0, -1e16]));
    cases.push(([2, 2], vec![1e8, 1.0, 1.0, 1e-8]));
    cases
}

#[test]
fn certified_norms_are_above_the_exact_ones_at_every_scale() {
    for (shape, values) in cases() {
        let exact = quotient(shape[1], &values);
        if exact.1.0 == 0.0 {
            continue;
        }
        let norm = (exact.0.0 / exact.1.0).sqrt();
        for e in [0, -548, -950, 498] {
            // Exact, since nothing leaves the normal range.
            let scale = 2.0_f64.powi(e);
            let weights = Weights::new(shape, &values).scaled(scale);
            for which in CERTIFIED {
                let bound = weights.one(which) / scale;
                assert!(
                    is_above(bound, exact),
                    "{which:?} {shape:?} 2^{e}: {bound:e} < {norm:e}, {values:?}"
                );
            }
            assert!(!is_above(norm * (1.0 - 1e-13), exact));
            let cholesky = weights.one(Which::Cholesky) / scale;
            assert!(cholesky <= norm * (1.0 + 1e-10), "{shape:?} {values:?}");
        }
    }
}

#[test]
fn formats_of_few_bits_are_certified_as_they_are() {
    for (shape, values) in cases() {
        let rounded: Vec<_> = values.iter().map(|&value| f64::from(value as f32)).collect();
        let exact = quotient(shape[1], &rounded);
        if exact.1.0 > 0.0 {
            for norm in Weights::single(shape, &values).norms(&CERTIFIED) {
                assert!(is_above(norm.value, exact), "{shape:?} {values:?}");
            }
        }
    }
}
