//! The layers that a certificate can be made for.

use crate::certify::Activation;
use crate::norm::{Convolution, Domain, Matrix};

/// A layer with weights, or one without.
#[derive(Clone)]
pub enum Layer<'a> {
    /// `act(W x + b)`, of which the mask prunes a part of `W`.
    Linear {
        /// The weights, `(outputs, inputs)`, with their mask.
        weights: Weights<'a>,
        /// What follows.
        activation: Activation,
    },
    /// `act(W * x + b)`, a convolution of which the mask prunes a part of `W`.
    Convolution {
        /// The weights with their mask, `(outputs, inputs / groups * height * width)`, and their geometry.
        conv: Convolution<'a>,
        /// The inputs it is bounded for.
        domain: Domain,
        /// One number per output channel, or none.
        bias: Option<&'a [f64]>,
        /// Places of an output channel; needed where there is a bias, or a value of the activation at 0 or a bound
        /// of its values.
        places: Option<usize>,
        /// What follows.
        activation: Activation,
    },
    /// A layer whose two forms are the same (6.14).
    Map(Map),
    /// `x + g(x)` for a network `g` (6.14).
    Residual(Vec<Layer<'a>>),
}

impl<'a> Layer<'a> {
    /// Layers with weights, those of branches among them.
    pub(crate) fn num_weighted(layers: &[Self]) -> usize {
        let of = |layer: &Self| match layer {
            Self::Linear { .. } | Self::Convolution { .. } => 1,
            Self::Map(_) => 0,
            Self::Residual(branch) => Self::num_weighted(branch),
        };
        layers.iter().map(of).sum()
    }

    /// The weights of a linear layer.
    pub(crate) fn linear(&self) -> Option<&Weights<'a>> {
        match self {
            Self::Linear { weights, .. } => Some(weights),
            Self::Convolution { .. } | Self::Map(_) | Self::Residual(_) => None,
        }
    }
}

/// The weights of a layer and its bias.
#[derive(Clone)]
pub struct Weights<'a> {
    /// The weights and the mask; which part counts does not matter.
    pub matrix: Matrix<'a>,
    /// One number per output, or none.
    pub bias: Option<&'a [f64]>,
}

/// A layer without pruned weights, by what bounds it (6.14).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Map {
    /// At least its Lipschitz constant.
    pub lipschitz: f64,
    /// At least the norm of its value at 0.
    pub at_zero: f64,
    /// At least the norm of any value; infinity where there is no bound.
    pub largest: f64,
}
