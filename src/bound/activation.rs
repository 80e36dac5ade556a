//! What the bounds need of an activation (Definition 1.4).

use crate::activation;
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

/// Taken from the lowest slope of one of them, which was rounded to 15 digits.
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
        use activation::Activation as Known;
        let known = Known::from_name(name, Some(parameter))
            .ok_or_else(|| Error::UnknownActivation { name: name.to_owned() })?;
        let plain = Self {
            lipschitz: known.lipschitz(),
            at_zero: known.at_zero(),
            lowest: 0.0,
            homogeneous: false,
            ..Self::IDENTITY
        };
        Ok(match known {
            Known::Identity => Self::IDENTITY,
            Known::Relu => Self::RELU,
            // Cut off above, which loses nothing but that it is homogeneous.
            Known::Relu6 => Self { homogeneous: false, ..Self::RELU },
            Known::LeakyRelu { slope } => Self::leaky_relu(slope)?,
            Known::Gelu | Known::GeluTanh | Known::Silu => plain.gated(),
            Known::Mish => Self { lowest: -0.112_526_122_389_463 - ROUND_UP, ..plain },
            Known::Hardswish => Self { lowest: -0.5, ..plain },
            Known::Elu { alpha } => {
                Error::check_range("activation parameter", alpha, 0.0, f64::MAX)?;
                plain
            }
            Known::Hardtanh
            | Known::Tanh
            | Known::Softsign
            | Known::Sigmoid
            | Known::Softplus
            | Known::Selu => plain,
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
    fn gated(self) -> Self {
        let half = f64::midpoint(1.0, ((self.lipschitz - 1.0) / self.lipschitz).powi(2));
        Self { half, lowest: 1.0 - self.lipschitz, ..self }
    }
}
