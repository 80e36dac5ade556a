//! How far a pruned network can be from the original, for the weights and masks at hand (Theorem 5).
//!
//! No assumption on the weights: they may be trained. What is certified holds for the network in real arithmetic
//! with the stored weights, all rounding of the certificate included.
//!
//! | file | holds |
//! | --- | --- |
//! | `layer` | networks as graphs of layers, and their lengths |
//! | `affine` | matrices and convolutions: norms and products |
//! | `map`, `normalization`, `pool` | 6.14: layers without weights |
//! | `activation` | values of activations with their errors |
//! | `center` | the states at the centre of the ball, with forward errors (6.16) |
//! | `ball` | Theorem 5 and 6.14 for one layer |
//! | `network` | Theorem 5, layer by layer |
//! | `balance` | Prop. 6.15: diagonal weights, powers of two |

mod activation;
mod affine;
mod balance;
mod ball;
mod center;
mod layer;
mod map;
mod network;
mod normalization;
mod pool;

pub use crate::activation::Activation;
pub use affine::{Geometry, Weights};
pub use layer::{Layer, Network, Node};
pub use map::{Map, Scale};
pub use network::{Certificate, Options, Step, certify};
pub use normalization::{Normalization, Softmax};
pub use pool::{Maxima, Means, Window};

#[cfg(test)]
mod tests;
