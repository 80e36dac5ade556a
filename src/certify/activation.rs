//! Activations evaluated, with the error of that.

use crate::activation::Activation;

const SELU_SCALE: f64 = 1.050_700_987_355_480_5;
const SELU_ALPHA: f64 = 1.673_263_242_354_377_2;
/// Relative to 1 plus the argument: a hundred times what the formulas lose.
const LOSS: f64 = 1e-13;

impl Activation {
    /// Its value, and how far that is from the exact value at most.
    #[must_use]
    pub fn value(self, z: f64) -> (f64, f64) {
        let logistic = |z: f64| if z < 0.0 { z.exp() / (1.0 + z.exp()) } else { 1.0 / (1.0 + (-z).exp()) };
        let softplus = |z: f64| z.max(0.0) + (-z.abs()).exp().ln_1p();
        let value = match self {
            Self::Identity => return (z, 0.0),
            Self::Relu => return (clamped(z, 0.0, f64::INFINITY), 0.0),
            Self::Relu6 => return (clamped(z, 0.0, 6.0), 0.0),
            Self::Hardtanh => return (clamped(z, -1.0, 1.0), 0.0),
            Self::LeakyRelu { slope } => {
                if z < 0.0 {
                    slope * z
                } else {
                    return (z, 0.0);
                }
            }
            Self::Gelu => z * 0.5 * (1.0 + libm::erf(z * std::f64::consts::FRAC_1_SQRT_2)),
            Self::GeluTanh => {
                let inner = (2.0 / std::f64::consts::PI).sqrt() * (z + 0.044_715 * z * z * z);
                0.5 * z * (1.0 + inner.tanh())
            }
            Self::Silu => z * logistic(z),
            Self::Mish => z * softplus(z).tanh(),
            Self::Tanh => z.tanh(),
            Self::Softsign => z / (1.0 + z.abs()),
            Self::Sigmoid => logistic(z),
            Self::Softplus => softplus(z),
            Self::Elu { alpha } => {
                if z < 0.0 {
                    alpha * z.exp_m1()
                } else {
                    return (z, 0.0);
                }
            }
            Self::Selu => SELU_SCALE * if z < 0.0 { SELU_ALPHA * z.exp_m1() } else { z },
            Self::Hardswish => z * clamped(z + 3.0, 0.0, 6.0) / 6.0,
        };
        let size = match self {
            Self::LeakyRelu { slope } => slope.abs(),
            Self::Elu { alpha } => alpha.abs(),
            _ => 1.0,
        };
        (value, LOSS * (1.0 + z.abs()) * size.max(1.0))
    }
}

/// As `f64::clamp`, but NaN stays.
fn clamped(z: f64, low: f64, high: f64) -> f64 {
    if z < low {
        low
    } else if z > high {
        high
    } else {
        z
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub const ALL: [Activation; 16] = [
        Activation::Identity,
        Activation::Relu,
        Activation::Relu6,
        Activation::Hardtanh,
        Activation::LeakyRelu { slope: 0.1 },
        Activation::Gelu,
        Activation::GeluTanh,
        Activation::Silu,
        Activation::Mish,
        Activation::Tanh,
        Activation::Softsign,
        Activation::Sigmoid,
        Activation::Softplus,
        Activation::Elu { alpha: 1.5 },
        Activation::Selu,
        Activation::Hardswish,
    ];

    #[test]
    fn slopes_reach_the_constant_and_stay_below_it() {
        for activation in ALL {
            let slope = |z: f64| {
                let h = 1e-4;
                ((activation.value(z + h).0 - activation.value(z - h).0) / (2.0 * h)).abs()
            };
            let steepest = (-120_000..120_000).map(|at| slope(f64::from(at) * 1e-4)).fold(0.0, f64::max);
            let constant = activation.lipschitz();
            assert!(steepest <= constant * (1.0 + 1e-8), "{activation:?} {steepest}");
            assert!(steepest >= constant * (1.0 - 1e-4), "{activation:?} {steepest}");
        }
    }

    #[test]
    fn values_stay_in_their_range() {
        for activation in ALL {
            let values: Vec<_> = (-4000..4000).map(|at| activation.value(f64::from(at) / 100.0).0).collect();
            let (low, high) = values.iter().fold((0.0, 0.0), |(low, high), &z| (z.min(low), z.max(high)));
            let (largest, spread) = activation.range();
            assert!(high.max(-low) <= largest && high - low <= spread, "{activation:?}");
        }
    }

    #[test]
    fn values_at_zero_are_those_stated() {
        for activation in ALL {
            let (value, error) = activation.value(0.0);
            assert!((value - activation.at_zero()).abs() <= error + 1e-15, "{activation:?}");
        }
    }
}
