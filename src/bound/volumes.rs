//! Volumes of spherical caps, and of the part that two balls share (Lemmas 6.3 and 6.4).

use std::f64::consts::{FRAC_PI_2, LN_2, PI};

use super::special::{beta_fraction, ln_add};

/// What computed logarithms of volumes are raised by, against their rounding: at least this, and this times the
/// dimension for powers of it.
const SLACK: f64 = 1e-9;
const SLACK_OF_POWERS: f64 = 1e-15;

/// `ln` of one over the chance that a uniform point of the sphere in `dimension` dimensions is within `angle`, in
/// (0, pi/2], of a given one; rounded up. In one dimension the sphere is two points.
#[must_use]
pub fn ln_caps(angle: f64, dimension: usize) -> f64 {
    if dimension <= 1 || angle >= FRAC_PI_2 {
        return LN_2;
    }
    let (sine, cosine) = angle.sin_cos();
    let share = ln_beta(f64::midpoint(dimension as f64, -1.0), sine * sine, cosine * cosine);
    raised(LN_2 - share, dimension)
}

/// `ln` of the volume of the unit ball over that of its part within `radius`, in (0, 1], of a point of its surface;
/// rounded up.
#[must_use]
pub fn ln_lenses(radius: f64, dimension: usize) -> f64 {
    let order = f64::midpoint(dimension as f64, 1.0);
    let (square, quarter) = (radius * radius, radius * radius / 4.0);
    // What each of the two balls adds on its side of the plane through the common sphere.
    let far = ln_beta(order, square * (1.0 - quarter), (1.0 - 2.0 * quarter).powi(2));
    let near = dimension as f64 * radius.ln() + ln_beta(order, 1.0 - quarter, quarter);
    raised(LN_2 - ln_add(far, near), dimension)
}

/// `ln prod_{j<p} (d+2j) / (1+2j)`: minus that of the moment of order `2p` of one coordinate of a uniform point of the
/// sphere in `d` dimensions.
pub(crate) fn ln_coordinate_moment(dimension: usize, p: usize) -> f64 {
    super::special::ln_product((0..p).map(|j| (dimension + 2 * j) as f64 / (1 + 2 * j) as f64))
}

fn raised(ln: f64, dimension: usize) -> f64 {
    ln.max(0.0) + SLACK + SLACK_OF_POWERS * dimension as f64
}

/// `ln I_x(a, 1/2)` for `a >= 1/2`, with `y = 1 - x` given.
fn ln_beta(a: f64, x: f64, y: f64) -> f64 {
    if y <= 0.0 {
        return 0.0;
    }
    // x^a y^{1/2} / B(a, 1/2), with Gamma(1/2) = sqrt(pi)
    let ln_factor = a * x.ln() + 0.5 * y.ln() + ln_gamma_step(a) - 0.5 * PI.ln();
    if x < (a + 1.0) / (a + 2.5) {
        ln_factor + (beta_fraction(a, 0.5, x) / a).ln()
    } else {
        (-ln_factor.exp() * beta_fraction(0.5, a, y) / 0.5).ln_1p()
    }
}

/// `ln Gamma(a + 1/2) / Gamma(a)`
fn ln_gamma_step(mut a: f64) -> f64 {
    const FAR: f64 = 40.0;
    let mut product = 1.0;
    while a < FAR {
        product *= a / (a + 0.5);
        a += 1.0;
    }
    let square = 1.0 / (a * a);
    let series = (-1.0 / 8.0 + square * (1.0 / 192.0 - square * (1.0 / 640.0 - square * 17.0 / 14336.0))) / a;
    product.ln() + 0.5 * a.ln() + series
}

#[cfg(test)]
mod tests;
