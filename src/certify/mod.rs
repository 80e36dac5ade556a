//! How far a pruned network can be from the original, for the weights and masks at hand (Theorem 5).
//!
//! No assumption on the weights: they may be trained. What is certified holds for the network in real arithmetic
//! with the stored weights, all rounding of the certificate included.
//!
//! | file | holds |
//! | --- | --- |
//! | `activation` | values of activations with their errors |
//! | `balance` | Prop. 6.15: diagonal weights, powers of two |
//! | `center` | the states at the centre of the ball, with forward errors |
//! | `network` | Theorem 5, layer by layer |
//! | `pool` | 6.14: maxima and means over windows |
//! | `layer` | the layers, and the rules of 6.14 for those without weights |

mod activation;
mod balance;
mod center;
mod layer;
mod network;
mod pool;

pub use crate::activation::Activation;
pub use layer::{Layer, Map, Weights};
pub use network::{Certificate, Options, Step, certify};
pub use pool::{Means, Window, average_pool, max_pool};

#[cfg(test)]
mod tests;
