//! The layers that a certificate can be made for.

use crate::certify::Activation;
use crate::norm::Matrix;

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
    /// A layer whose two forms are the same (6.14).
    Map(Map),
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
