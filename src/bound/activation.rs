//! What the bounds need of an activation (Definition 1.4).

use std::f64::consts::LN_2;

use crate::error::{Error, Result};

/// Numbers of an activation. Its slopes lie in `[lowest, lipschitz]`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Activation {
    /// The Lipschitz constant.
    pub lipschitz: f64,
    /// For all `u`, `v`, with `A = (f(u) - f(v))^2` and `B = (f(-u) - f(-v))^2`: both are at most
    /// `lipschitz^2 (u-v)^2`, and their sum at most twice this number times that.
    pub half: f64,
    /// The magnitude of the value at zero.
    pub at_zero: f64,
    /// Whether `0 <= f(u) <= max(u, 0)`.
    pub cone: bool,
    /// The lowest slope.
    pub lowest: f64,
    /// Whether `f(t u) = t f(u)` for all `t >= 0`.
    pub homogeneous: bool,
}

/// Added to constants that were rounded to 15 digits.
const ROUND_UP: f64 = 1e-9;

impl Activation {
    /// No activation.
    pub const IDENTITY: Self =
        Self { lipschitz: 1.0, half: 1.0, at_zero: 0.0, cone: false, lowest: 1.0, homogeneous: true };
    /// `max(u, 0)`.
    pub const RELU: Self =
        Self { lipschitz: 1.0, half: 0.5, at_zero: 0.0, cone: true, lowest: 0.0, homogeneous: true };

    /// The activation of that name; `parameter` is the slope of `leaky_relu`, in [-1, 1], or the `alpha` of `elu`, at
    /// least 0, and is not looked at for others.
    ///
    /// # Errors
    /// [`Error::UnknownActivation`], [`Error::OutOfRange`] for the parameter.
    pub fn named(name: &str, parameter: f64) -> Result<Self> {
        let monotone = |lipschitz, at_zero, lowest| Self {
            lipschitz,
            at_zero,
            lowest,
            homogeneous: false,
            ..Self::IDENTITY
        };
        Ok(match name {
            "identity" | "linear" => Self::IDENTITY,
            "relu" => Self::RELU,
            // Cut off above, which loses nothing but that it is homogeneous.
            "relu6" => Self { homogeneous: false, ..Self::RELU },
            "hardtanh" | "tanh" | "softsign" => monotone(1.0, 0.0, 0.0),
            "leaky_relu" => Self::leaky_relu(parameter)?,
            "gelu" => Self::gated(1.128_904_145_185_155),
            "gelu_tanh" => Self::gated(1.128_993_068_658_772),
            "silu" => Self::gated(1.099_839_320_128_867),
            "mish" => monotone(1.088_498_161_251_728 + ROUND_UP, 0.0, -0.112_526_122_389_463 - ROUND_UP),
            "sigmoid" => monotone(0.25, 0.5, 0.0),
            "softplus" => monotone(1.0, LN_2, 0.0),
            "elu" => monotone(
                Error::check_range("activation parameter", parameter, 0.0, f64::MAX)?.max(1.0),
                0.0,
                0.0,
            ),
            "selu" => monotone(1.758_099_340_847_377 + ROUND_UP, 0.0, 0.0),
            "hardswish" => monotone(1.5, 0.0, -0.5),
            _ => return Err(Error::UnknownActivation { name: name.to_owned() }),
        })
    }

    /// Whether it changes nothing: its slopes are one, and it is zero at zero.
    pub(crate) fn is_identity(&self) -> bool {
        self.lowest >= 1.0 && self.lipschitz <= 1.0 && self.at_zero == 0.0
    }

    fn leaky_relu(slope: f64) -> Result<Self> {
        let slope = Error::check_range("activation parameter", slope, -1.0, 1.0)?;
        let half = f64::midpoint(1.0, slope * slope);
        Ok(Self { half, lowest: slope, cone: false, ..Self::RELU })
    }

    /// Slopes at `u` and `-u` add up to one, as those of `u P(u)` do for a symmetric distribution function `P`.
    fn gated(lipschitz: f64) -> Self {
        let lipschitz = lipschitz + ROUND_UP;
        let half = f64::midpoint(1.0, ((lipschitz - 1.0) / lipschitz).powi(2));
        Self { lipschitz, half, lowest: 1.0 - lipschitz, homogeneous: false, ..Self::IDENTITY }
    }
}
