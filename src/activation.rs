//! Activations: names, Lipschitz constants, ranges and values at 0 (Def. 1.4); the only table of them.

use std::f64::consts::LN_2;

/// An elementwise function between layers.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub enum Activation {
    /// `z`.
    Identity,
    /// `max(z, 0)`.
    Relu,
    /// `min(max(z, 0), 6)`.
    Relu6,
    /// `min(max(z, -1), 1)`.
    Hardtanh,
    /// `z` or, below 0, `slope * z`.
    LeakyRelu {
        /// The slope below 0.
        slope: f64,
    },
    /// `z Phi(z)`.
    Gelu,
    /// Its approximation with tanh.
    GeluTanh,
    /// `z / (1 + exp(-z))`.
    Silu,
    /// `z tanh(log(1 + exp(z)))`.
    Mish,
    /// `tanh(z)`.
    Tanh,
    /// `z / (1 + |z|)`.
    Softsign,
    /// `1 / (1 + exp(-z))`.
    Sigmoid,
    /// `log(1 + exp(z))`.
    Softplus,
    /// `z` or, below 0, `alpha (exp(z) - 1)`.
    Elu {
        /// The limit at minus infinity, negated.
        alpha: f64,
    },
    /// The self-normalising ELU.
    Selu,
    /// `z min(max(z + 3, 0), 6) / 6`.
    Hardswish,
}

/// Added to Lipschitz constants that were rounded to 15 digits.
const RAISED: f64 = 1e-9;

impl Activation {
    /// The activation of that name; `parameter` is the slope of a leaky `relu` (0.01 if absent) or the alpha of an
    /// ELU (1 if absent).
    #[must_use]
    pub fn from_name(name: &str, parameter: Option<f64>) -> Option<Self> {
        Some(match name {
            "identity" => Self::Identity,
            "relu" => Self::Relu,
            "relu6" => Self::Relu6,
            "hardtanh" => Self::Hardtanh,
            "leaky_relu" => Self::LeakyRelu { slope: parameter.unwrap_or(0.01) },
            "gelu" => Self::Gelu,
            "gelu_tanh" => Self::GeluTanh,
            "silu" => Self::Silu,
            "mish" => Self::Mish,
            "tanh" => Self::Tanh,
            "softsign" => Self::Softsign,
            "sigmoid" => Self::Sigmoid,
            "softplus" => Self::Softplus,
            "elu" => Self::Elu { alpha: parameter.unwrap_or(1.0) },
            "selu" => Self::Selu,
            "hardswish" => Self::Hardswish,
            _ => return None,
        })
    }

    /// At least its Lipschitz constant.
    #[must_use]
    pub fn lipschitz(self) -> f64 {
        match self {
            Self::Identity
            | Self::Relu
            | Self::Relu6
            | Self::Hardtanh
            | Self::Tanh
            | Self::Softsign
            | Self::Softplus => 1.0,
            Self::LeakyRelu { slope } => slope.abs().max(1.0),
            Self::Gelu => 1.128_904_145_185_155 + RAISED,
            Self::GeluTanh => 1.128_993_068_658_772 + RAISED,
            Self::Silu => 1.099_839_320_128_867 + RAISED,
            Self::Mish => 1.088_498_161_251_728 + RAISED,
            Self::Sigmoid => 0.25,
            Self::Elu { alpha } => alpha.abs().max(1.0),
            Self::Selu => 1.758_099_340_847_377 + RAISED,
            Self::Hardswish => 1.5,
        }
    }

    /// At least the magnitude of any value, and at least the distance of any two; infinity where there is no bound.
    #[must_use]
    pub fn range(self) -> (f64, f64) {
        match self {
            Self::Relu6 => (6.0, 6.0),
            Self::Hardtanh | Self::Tanh | Self::Softsign => (1.0, 2.0),
            Self::Sigmoid => (1.0, 1.0),
            _ => (f64::INFINITY, f64::INFINITY),
        }
    }

    /// At least the magnitude of its value at 0.
    #[must_use]
    pub fn at_zero(self) -> f64 {
        match self {
            Self::Sigmoid => 0.5,
            Self::Softplus => LN_2.next_up(),
            _ => 0.0,
        }
    }
}
