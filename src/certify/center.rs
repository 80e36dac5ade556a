//! The states of both networks at the centre of the ball, as computed, and how far they are from the exact ones.

use crate::certify::{Activation, Weights};
use crate::error::Result;
use crate::norm::round::{TINY, Up, gamma, lane_roundings};
use crate::norm::{Matrix, Part, multiply};
use crate::parallel::Context;

/// A computed vector, and a bound of its distance to the exact one.
///
/// Norms are weighted: each entry is divided by the power of two of its row (Prop. 6.15).
#[derive(Debug, Clone)]
pub(crate) struct State {
    pub values: Vec<f64>,
    pub error: Up,
}

/// At least the weighted norm of a vector.
pub(crate) fn norm(values: impl Iterator<Item = f64> + Clone, weights: Option<&[f64]>) -> Up {
    let weighted =
        |(at, value): (usize, f64)| Up::new(value.abs()).over(weights.map_or(1.0, |weights| weights[at]));
    let all = values.enumerate().map(weighted);
    let largest = all.clone().fold(Up::ZERO, Up::max);
    if largest.get() == 0.0 || largest.get() == f64::INFINITY {
        return largest;
    }
    let scale = crate::norm::round::power_of_two(crate::norm::round::exponent(largest.get()));
    let square: Up = all.map(|value| value.over(scale)).map(|value| value * value).sum();
    square.sqrt() * Up::new(scale)
}

impl State {
    /// A vector that is known exactly.
    pub fn exact(values: Vec<f64>) -> Self {
        Self { values, error: Up::ZERO }
    }

    /// At least the norm of the exact vector.
    pub fn norm(&self, weights: Option<&[f64]>) -> Up {
        norm(self.values.iter().copied(), weights) + self.error
    }

    /// At least the norm of the difference of two exact vectors.
    pub fn distance(&self, other: &Self, weights: Option<&[f64]>) -> Up {
        let pairs = self.values.iter().zip(&other.values);
        let difference = norm(pairs.map(|(a, b)| above(a - b)), weights);
        difference + self.error + other.error
    }

    /// At least the norm of the product of a matrix of that norm with the exact vector.
    pub fn image(
        &self,
        matrix: &Matrix<'_>,
        spectral: Up,
        weights: Option<&[f64]>,
        ctx: &Context<'_>,
    ) -> Result<Up> {
        let (product, lost) = product(matrix, &self.values, None, weights, ctx)?;
        Ok(norm(product.iter().copied(), weights) + lost + spectral * self.error)
    }

    /// The state behind a layer whose part that counts has that norm.
    pub fn after(
        &self,
        layer: &Weights<'_>,
        part: Part,
        spectral: Up,
        activation: Activation,
        weights: Option<&[f64]>,
        ctx: &Context<'_>,
    ) -> Result<Self> {
        let (product, lost) = product(&layer.matrix.part(part), &self.values, layer.bias, weights, ctx)?;
        let (values, errors): (Vec<_>, Vec<_>) = product.into_iter().map(|z| activation.value(z)).unzip();
        let evaluation = norm(errors.into_iter().map(above), weights);
        let lipschitz = Up::new(activation.lipschitz());
        Ok(Self { values, error: lipschitz * (spectral * self.error + lost) + evaluation })
    }
}

/// At least the magnitude that a rounded number has; 0 is exact.
fn above(value: f64) -> f64 {
    if value == 0.0 { 0.0 } else { value.abs().next_up() }
}

/// The computed `A x + b`, and at least the weighted norm of its error: `gamma (|A| |x| + |b|)`, and underflow.
fn product(
    matrix: &Matrix<'_>,
    x: &[f64],
    bias: Option<&[f64]>,
    weights: Option<&[f64]>,
    ctx: &Context<'_>,
) -> Result<(Vec<f64>, Up)> {
    if x.iter().all(|&x| x == 0.0) {
        // Exactly the bias.
        return Ok((bias.map_or_else(|| vec![0.0; matrix.rows()], <[f64]>::to_vec), Up::ZERO));
    }
    let magnitudes: Vec<_> = x.iter().map(|x| x.abs()).collect();
    let mut values = multiply(matrix, x, ctx)?;
    let mut sizes = multiply(&matrix.absolute(), &magnitudes, ctx)?;
    for (at, bias) in bias.unwrap_or_default().iter().enumerate() {
        values[at] += bias;
        sizes[at] += bias.abs();
    }
    let roundings = lane_roundings(x.len()) + 2;
    let sizes = norm(sizes.into_iter(), weights).grown(roundings);
    let underflow = norm(std::iter::repeat_n(TINY * x.len() as f64, values.len()), weights);
    Ok((values, gamma(roundings) * sizes + underflow))
}
