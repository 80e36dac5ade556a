//! The states of both networks at the centre of the ball, as computed, and how far they are from the exact ones (6.16).

use crate::certify::map::activated;
use crate::certify::{Activation, Map, Weights};
use crate::error::Result;
use crate::norm::Part;
use crate::norm::round::{U, Up, exponent, power_of_two};
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
    let scale = power_of_two(exponent(largest.get()));
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

    /// At least the norm of what the removed part, of that norm, makes of the exact vector.
    pub fn image(
        &self,
        layer: &Weights<'_>,
        removed: Up,
        weights: Option<&[f64]>,
        ctx: &Context<'_>,
    ) -> Result<Up> {
        let (product, lost) = layer.product(Part::Removed, &self.values, false, weights, ctx)?;
        Ok(norm(product.iter().copied(), weights) + lost + removed * self.error)
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
        let (product, lost) = layer.product(part, &self.values, true, weights, ctx)?;
        let (values, evaluation) = activated(activation, product.into_iter(), weights);
        let lipschitz = Up::new(activation.lipschitz());
        Ok(Self { values, error: lipschitz * (spectral * self.error + lost) + evaluation })
    }

    /// The state behind a map of that Lipschitz constant.
    pub fn mapped(&self, map: &Map<'_>, lipschitz: Up) -> Self {
        let (values, evaluation) = map.value(&self.values);
        Self { values, error: lipschitz * self.error + evaluation }
    }

    /// The sum of two states.
    pub fn plus(&self, other: &Self) -> Self {
        let values: Vec<_> = self.values.iter().zip(&other.values).map(|(a, b)| a + b).collect();
        let lost = Up::new(2.0 * U) * norm(values.iter().copied(), None);
        Self { values, error: self.error + other.error + lost }
    }

    /// Two states side by side.
    pub fn beside(&self, other: &Self) -> Self {
        let values = [self.values.as_slice(), &other.values].concat();
        Self { values, error: self.error.hypot(other.error) }
    }
}

/// At least the magnitude that a rounded number has; 0 is exact.
fn above(value: f64) -> f64 {
    if value == 0.0 { 0.0 } else { value.abs().next_up() }
}
