//! Norms of a matrix, of the part a mask keeps and of the part it prunes, without building either.
//!
//! Weights of any format are streamed in pieces and summed in binary64. A matrix is cut into the same pieces and
//! every sum has the same order for each number of threads and each instruction set, so the answers have the same
//! bits. Each says what it is: certified (at least the norm of the stored matrix, rounding included), probabilistic
//! (too low with a stated probability at most), or an estimate. Infinity is a legal bound; NaN is an error.
//!
//! | file | proposition |
//! | --- | --- |
//! | `sums` | 6.1: Frobenius, 1, infinity, Schur |
//! | `collatz` | 6.2: Collatz-Wielandt |
//! | `cholesky` | 6.3: Gram iteration; 6.4: the Cholesky certificate |
//! | `lanczos`, `failure` | 6.5: Lanczos and the power method, and how likely they fail |
//! | `joint` | 6.13: the joint norm of the kept and the removed part |
//! | `conv`, `symbol` | 6.12: convolutions |
//! | `sparse` | 6.6: parts with few entries |
//! | `spectral` | which of them to ask |

mod cholesky;
mod collatz;
mod conv;
mod failure;
mod joint;
mod lanczos;
mod lanes;
mod lines;
mod matrix;
mod operator;
pub(crate) mod round;
mod sparse;
mod spectral;
mod sums;
mod symbol;
mod symmetric;
mod tile;
mod widen;

pub use conv::{By, Convolution, Domain, conv_norm};
pub use failure::{lanczos_epsilon, lanczos_failure, power_failure};
pub use joint::joint_norm;
pub use lanczos::Random;
pub(crate) use lines::line_squares;
pub use matrix::{Matrix, Part};
pub(crate) use operator::{by_rows, multiply};
pub(crate) use spectral::dense_norm;
pub use spectral::{Settings, Which, norms, spectral};
pub use sums::{Sums, sums};

#[cfg(test)]
#[expect(clippy::float_cmp, reason = "these numbers are exact")]
mod tests;

/// What a number promises about the norm that it stands for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Kind {
    /// At least the norm of the stored matrix, rounding included.
    Certified,
    /// Below the norm with a probability of at most `delta` over the random start, in exact arithmetic.
    Probabilistic {
        /// That probability.
        delta: f64,
    },
    /// No promise.
    Estimate,
}

impl Kind {
    /// The name that a caller sees.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Certified => "certified",
            Self::Probabilistic { .. } => "probabilistic",
            Self::Estimate => "estimate",
        }
    }

    /// The probability of failure, where there is one.
    #[must_use]
    pub fn delta(self) -> Option<f64> {
        match self {
            Self::Probabilistic { delta } => Some(delta),
            Self::Certified | Self::Estimate => None,
        }
    }
}

/// A norm and what it promises.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Norm {
    /// The number.
    pub value: f64,
    /// Its promise.
    pub kind: Kind,
}
