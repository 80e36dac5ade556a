//! The error function, which the standard library has not.

/// `erf(x)`, to `1e-15`.
pub(crate) fn erf(x: f64) -> f64 {
    let magnitude = x.abs();
    let value = if magnitude < 2.5 { series(magnitude) } else { 1.0 - tail(magnitude) };
    if x < 0.0 { -value } else { value }
}

/// `2 / sqrt(pi) exp(-x^2) sum_k 2^k x^(2k + 1) / (1 * 3 * ... * (2k + 1))`: all terms positive.
fn series(x: f64) -> f64 {
    let (mut term, mut sum) = (x, x);
    for k in 1..80 {
        term *= 2.0 * x * x / f64::from(2 * k + 1);
        sum += term;
        if term < 1e-18 * sum {
            break;
        }
    }
    std::f64::consts::FRAC_2_SQRT_PI * (-x * x).exp() * sum
}

/// `erfc(x)` for `x >= 2.5`, by its continued fraction from the end.
fn tail(x: f64) -> f64 {
    let mut value = x;
    for k in (1..60).rev() {
        value = x + f64::from(k) / 2.0 / value;
    }
    (-x * x).exp() / (value * std::f64::consts::PI.sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// From tables of the function to 16 digits.
    #[test]
    fn known_values_agree() {
        for (x, value) in [
            (0.0, 0.0),
            (0.1, 0.112_462_916_018_284_9),
            (0.5, 0.520_499_877_813_046_5),
            (1.0, 0.842_700_792_949_714_9),
            (2.0, 0.995_322_265_018_952_7),
            (3.0, 0.999_977_909_503_001_4),
            (-1.0, -0.842_700_792_949_714_9),
            (30.0, 1.0),
        ] {
            assert!((erf(x) - value).abs() <= 4e-16, "{x}");
        }
    }

    #[test]
    fn both_formulas_agree_where_they_meet() {
        for x in [2.0, 2.4, 2.5, 2.6, 3.0] {
            assert!((series(x) - (1.0 - tail(x))).abs() <= 1e-15, "{x}");
        }
    }
}
