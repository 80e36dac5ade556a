//! How likely a random start hides the largest eigenvalue (Prop. 6.5).

use crate::norm::round::U;

/// A start is uniform on the sphere of this many dimensions; the square of one coordinate is
/// `Beta(1/2, (n - 1)/2)`: the probability that it is at most `x`, rounded up.
fn small_coordinate(x: f64, n: usize) -> f64 {
    if n < 2 || x <= 0.0 {
        return 0.0;
    }
    if x >= 1.0 {
        return 1.0;
    }
    let (a, b) = (0.5, (n - 1) as f64 / 2.0);
    let front = (b * (-x).ln_1p()).exp() * x.sqrt() * gamma_ratio(b) / std::f64::consts::PI.sqrt();
    let probability = if x < (a + 1.0) / (a + b + 2.0) {
        front * fraction(x, a, b) / a
    } else {
        1.0 - front * fraction(1.0 - x, b, a) / b + 4.0 * U
    };
    (probability * (1.0 + 1e-12)).min(1.0)
}

/// `Gamma(b + 1/2) / Gamma(b)`, by the recurrence up to where the asymptotic series has all digits.
fn gamma_ratio(b: f64) -> f64 {
    let (mut b, mut factor) = (b, 1.0);
    while b < 40.0 {
        factor *= b / (b + 0.5);
        b += 1.0;
    }
    let t = 1.0 / b;
    let series = 1.0
        + t * (-1.0 / 8.0
            + t * (1.0 / 128.0 + t * (5.0 / 1024.0 + t * (-21.0 / 32768.0 + t * (-399.0 / 262_144.0)))));
    factor * b.sqrt() * series
}

/// The continued fraction of the incomplete beta function, by the modified Lentz method.
#[expect(clippy::many_single_char_names, reason = "those of the formula")]
fn fraction(x: f64, a: f64, b: f64) -> f64 {
    const LEAST: f64 = 1e-300;
    let off_zero = |value: f64| if value.abs() < LEAST { LEAST } else { value };
    let (mut c, mut d) = (1.0, 1.0 / off_zero(1.0 - (a + b) * x / (a + 1.0)));
    let mut value = d;
    for step in 1..10_000 {
        let m = f64::from(step);
        let even = m * (b - m) * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m));
        let odd = -(a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 2.0 * m + 1.0));
        let before = value;
        for term in [even, odd] {
            d = 1.0 / off_zero(1.0 + term * d);
            c = off_zero(1.0 + term / c);
            value *= c * d;
        }
        if (value - before).abs() <= 2.0 * U * value.abs() {
            break;
        }
    }
    value
}

/// Prop. 6.5: a bound of the probability that the largest Ritz value of `steps` Krylov vectors of a positive
/// semidefinite matrix of order `n` is below `1 - epsilon` times the largest eigenvalue.
#[must_use]
pub fn lanczos_failure(n: usize, steps: usize, epsilon: f64) -> f64 {
    if epsilon <= 0.0 || steps == 0 {
        return 1.0;
    }
    let exponent = (2 * steps - 1) as f64 * epsilon.min(1.0).sqrt().atanh();
    let hyperbolic = exponent.cosh();
    small_coordinate(1.0 / (hyperbolic * hyperbolic), n)
}

/// Prop. 6.5: the same for the Rayleigh quotient after `steps` steps of the power method; attained.
#[must_use]
pub fn power_failure(n: usize, steps: usize, epsilon: f64) -> f64 {
    if epsilon <= 0.0 {
        return 1.0;
    }
    let double = 2.0 * steps as f64;
    let shrink = if steps == 0 { 0.0 } else { double * (double / (double + 1.0)).ln() };
    let log = (double + 1.0) * (-epsilon).ln_1p() - epsilon.ln() - (double + 1.0).ln() + shrink;
    let odds = log.exp();
    small_coordinate(if odds.is_finite() { odds / (1.0 + odds) } else { 1.0 }, n)
}

/// The least `epsilon` at which `starts` independent starts all fail with probability at most `delta`; 1 where
/// there is none.
pub(crate) fn least_epsilon(delta: f64, starts: usize, failure: impl Fn(f64) -> f64) -> f64 {
    let fails = |epsilon: f64| failure(epsilon).powf(starts as f64) > delta;
    let (mut low, mut high) = (0.0, 1.0 - 1e-15);
    if fails(high) {
        return 1.0;
    }
    while high - low > U * high {
        let middle = low + (high - low) / 2.0;
        if middle <= low || middle >= high {
            break;
        }
        (low, high) = if fails(middle) { (middle, high) } else { (low, middle) };
    }
    high
}

/// Prop. 6.5: the `epsilon` that `steps` Lanczos steps from each of `starts` independent starts reach with
/// failure probability `delta`.
#[must_use]
pub fn lanczos_epsilon(n: usize, steps: usize, delta: f64, starts: usize) -> f64 {
    least_epsilon(delta, starts, |epsilon| lanczos_failure(n, steps, epsilon))
}

#[cfg(test)]
#[expect(clippy::float_cmp, reason = "these numbers are exact")]
mod tests {
    use super::*;

    fn close(a: f64, b: f64) -> bool {
        (a / b - 1.0).abs() < 1e-10
    }

    /// Known values.
    #[test]
    fn reference_values_agree() {
        assert!(close(lanczos_failure(1000, 20, 0.1), 0.000_143_371_284_472_306));
        assert!(close(lanczos_epsilon(1000, 20, 1e-6, 1), 0.181_315_246_962_245));
        assert!(close(lanczos_epsilon(1000, 20, 1e-6, 3), 0.046_306_236_933_745_8));
        assert!(close(power_failure(1000, 50, 0.1), 0.023_581_321_491_020_8));
    }

    #[test]
    fn coordinates_have_their_elementary_laws() {
        for x in [1e-20, 1e-6, 0.01, 0.3, 0.5, 0.9, 0.999] {
            // The circle: the angle is uniform. The sphere: so is the coordinate.
            let circle = 2.0 / std::f64::consts::PI * f64::sqrt(x).asin();
            assert!(close(small_coordinate(x, 2), circle), "{x}");
            assert!(close(small_coordinate(x, 3), x.sqrt()), "{x}");
            // Five dimensions: density 3/4 (1 - t^2).
            let five = (3.0 * x.sqrt() - x.powf(1.5)) / 2.0;
            assert!(close(small_coordinate(x, 5), five), "{x}");
        }
        assert_eq!(small_coordinate(0.5, 1), 0.0);
        assert_eq!(small_coordinate(1.0, 7), 1.0);
    }

    #[test]
    fn no_start_sees_a_value_that_no_step_looks_at() {
        assert_eq!(lanczos_failure(10, 5, 0.0), 1.0);
        assert_eq!(lanczos_epsilon(1000, 1, 1e-12, 1), 1.0);
        assert_eq!(lanczos_failure(1, 1, 0.5), 0.0);
    }
}
