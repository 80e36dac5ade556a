//! Functions of analysis that the bounds need: sums of logarithms, error functions, tails of the binomial law.
//!
//! No difference of two large log-gammas anywhere: such a difference loses, at 10^9 entries, more than the
//! allowance for rounding that a bound carries.

use std::f64::consts::{LN_2, PI};
use std::sync::LazyLock;

/// Largest argument of the tables of factorials: moments go up to order `2 * 512`.
const FACTORIALS: usize = 4096;

static LN_FACTORIAL: LazyLock<Vec<f64>> = LazyLock::new(|| {
    let mut sum = 0.0;
    let logs = (1..=FACTORIALS).map(|i| {
        sum += (i as f64).ln();
        sum
    });
    std::iter::once(0.0).chain(logs).collect()
});

/// `ln k!`
pub(crate) fn ln_factorial(k: usize) -> f64 {
    LN_FACTORIAL.get(k).copied().unwrap_or_else(|| libm::lgamma(k as f64 + 1.0))
}

/// `ln (2k-1)!!`, which is `ln E g^{2k}` of a standard normal `g`.
pub(crate) fn ln_gaussian_moment(k: usize) -> f64 {
    ln_factorial(2 * k) - ln_factorial(k) - k as f64 * LN_2
}

/// `ln (e^a + e^b)`
pub(crate) fn ln_add(a: f64, b: f64) -> f64 {
    let (low, high) = if a < b { (a, b) } else { (b, a) };
    if low == f64::NEG_INFINITY || high == f64::INFINITY { high } else { high + (low - high).exp().ln_1p() }
}

/// `ln (e^a - e^b)` for `a >= b`
pub(crate) fn ln_sub(a: f64, b: f64) -> f64 {
    if b == f64::NEG_INFINITY || a == f64::INFINITY { a } else { a + (-(b - a).exp_m1()).ln() }
}

/// The product of two nonnegative numbers, zero when either is: a quantity that is zero stays zero, also under a
/// factor that has no finite bound.
pub(crate) fn times(a: f64, b: f64) -> f64 {
    if a == 0.0 || b == 0.0 { 0.0 } else { a * b }
}

/// `ln` of the product of `factors`, with no logarithm for each.
pub(crate) fn ln_product(factors: impl Iterator<Item = f64>) -> f64 {
    const SMALL: f64 = 1e-100;
    const LARGE: f64 = 1e100;
    let (mut product, mut sum) = (1.0, 0.0);
    for factor in factors {
        product *= factor;
        if !(SMALL..LARGE).contains(&product) {
            sum += f64::ln(product);
            product = 1.0;
        }
    }
    sum + product.ln()
}

/// `-ln` of the chance that `p` draws from `len` entries, with repetition, are all different: `ln len^p / (len)_p`.
pub(crate) fn ln_birthday(len: f64, p: usize) -> f64 {
    if p as f64 > len { f64::INFINITY } else { -(1..p).map(|j| (-(j as f64) / len).ln_1p()).sum::<f64>() }
}

/// The `y >= 0` with `erf y = v`.
pub(crate) fn erf_inv(v: f64) -> f64 {
    if v <= 0.0 {
        return 0.0;
    }
    if v >= 1.0 {
        return f64::INFINITY;
    }
    let mut y = erf_inv_guess(v);
    for _ in 0..3 {
        // Relative to the smaller side, so that neither end loses digits.
        let miss = if v < 0.5 { libm::erf(y) - v } else { (1.0 - v) - libm::erfc(y) };
        let step = miss / (2.0 / PI.sqrt() * (-y * y).exp());
        y -= step / (1.0 + y * step);
    }
    y
}

/// Winitzki's approximation, good to 2e-3.
fn erf_inv_guess(v: f64) -> f64 {
    let a = 0.147;
    let log = (-v * v).ln_1p();
    let half = 2.0 / (PI * a) + log / 2.0;
    // The same root, in the form that does not cancel.
    let root = (half * half - log / a).sqrt();
    (-log / a / (root + half)).sqrt()
}

/// `P(a, x)` over its first term `x^a e^-x / Gamma(a+1)`: the series `1 + x/(a+1) + x^2/((a+1)(a+2)) + ..`
pub(crate) fn lower_gamma_series(a: f64, x: f64) -> f64 {
    let (mut sum, mut term, mut at) = (1.0, 1.0, a);
    loop {
        at += 1.0;
        term *= x / at;
        sum += term;
        if term <= sum * 1e-17 {
            return sum;
        }
    }
}

/// Binomial relative entropy `KL(a || b)`, infinite where `b` excludes what `a` allows.
pub(crate) fn relative_entropy(a: f64, b: f64) -> f64 {
    let term = |a: f64, b: f64| if a == 0.0 { 0.0 } else { a * (a / b).ln() };
    if a.to_bits() == b.to_bits() {
        0.0
    } else if b <= 0.0 || b >= 1.0 {
        f64::INFINITY
    } else {
        (term(a, b) + term(1.0 - a, 1.0 - b)).max(0.0)
    }
}

/// `ln (n! e^n / (n^n sqrt(2 pi n)))`
fn stirling_error(n: f64) -> f64 {
    if n <= 15.0 {
        let ln_power = if n == 0.0 { 0.0 } else { (n + 0.5) * n.ln() };
        return ln_factorial(n as usize) - ln_power + n - 0.5 * (2.0 * PI).ln();
    }
    let square = 1.0 / (n * n);
    let tail = 1.0 / 1260.0 - square * (1.0 / 1680.0 - square / 1188.0);
    (1.0 / 12.0 - square * (1.0 / 360.0 - square * tail)) / n
}

/// `x ln(x/mean) + mean - x`, without cancellation where the two are near.
fn deviance(x: f64, mean: f64) -> f64 {
    let difference = x - mean;
    if difference.abs() >= 0.1 * (x + mean) {
        return x * (x / mean).ln() - difference;
    }
    let v = difference / (x + mean);
    let (mut sum, mut power, mut odd) = (difference * v, 2.0 * x * v, 1.0);
    loop {
        power *= v * v;
        odd += 2.0;
        let next = sum + power / odd;
        if next.to_bits() == sum.to_bits() {
            return next;
        }
        sum = next;
    }
}

/// `ln P(Bin(len, chance) = count)` (Loader's saddle-point form: full relative accuracy at any size).
pub(crate) fn ln_binomial(count: f64, len: f64, chance: f64) -> f64 {
    ln_binomial_of(count, len, chance, 1.0 - chance)
}

/// The same, with `1 - chance` given, in case either is tiny.
fn ln_binomial_of(count: f64, len: f64, chance: f64, other: f64) -> f64 {
    if count < 0.0 || count > len {
        return f64::NEG_INFINITY;
    }
    let ln = |one: f64, other: f64| if one < 0.5 { one.ln() } else { (-other).ln_1p() };
    if count == 0.0 {
        return len * ln(other, chance);
    }
    if count.to_bits() == len.to_bits() {
        return len * ln(chance, other);
    }
    let rest = len - count;
    let errors = stirling_error(len) - stirling_error(count) - stirling_error(rest);
    let deviances = deviance(count, len * chance) + deviance(rest, len * other);
    errors - deviances - 0.5 * (2.0 * PI * count * (rest / len)).ln()
}

/// `ln P(Hyp = count)`: `draws` of `len` entries of which `marked` are marked.
pub(crate) fn ln_hypergeometric(count: f64, len: f64, marked: f64, draws: f64) -> f64 {
    if draws.to_bits() == len.to_bits() {
        return if count.to_bits() == marked.to_bits() { 0.0 } else { f64::NEG_INFINITY };
    }
    let chance = draws / len;
    ln_binomial(count, marked, chance) + ln_binomial(draws - count, len - marked, chance)
        - ln_binomial(draws, len, chance)
}

/// `P(Bin(len, chance) <= count)`, which is `I_{1-chance}(len-count, count+1)`.
pub(crate) fn binomial_cdf(count: u64, len: u64, chance: f64) -> f64 {
    cdf(count, len, chance, 1.0 - chance)
}

/// `P(Bin(len, chance) >= count)`
pub(crate) fn binomial_survival(count: u64, len: u64, chance: f64) -> f64 {
    if count > len { 0.0 } else { cdf(len - count, len, 1.0 - chance, chance) }
}

fn cdf(count: u64, len: u64, chance: f64, other: f64) -> f64 {
    if count >= len || chance <= 0.0 {
        return 1.0;
    }
    if other <= 0.0 {
        return 0.0;
    }
    let (below, above) = (count as f64, (len - count) as f64);
    let pmf = ln_binomial_of(below, len as f64, chance, other).exp();
    // I_x(a, b) = x^a (1-x)^b / (a B(a, b)) times a fraction, at x = 1 - chance: the factor is chance * pmf.
    if other < (above + 1.0) / (len as f64 + 3.0) {
        chance * pmf * beta_fraction(above, below + 1.0, other)
    } else {
        let factor = chance * pmf * (above / (below + 1.0));
        1.0 - factor * beta_fraction(below + 1.0, above, chance)
    }
    .clamp(0.0, 1.0)
}

/// The continued fraction of the incomplete beta function (Lentz), for `x` below the mean.
#[expect(clippy::many_single_char_names, reason = "the letters of the formula")]
pub(crate) fn beta_fraction(a: f64, b: f64, x: f64) -> f64 {
    const TINY: f64 = 1e-300;
    let guard = |value: f64| if value.abs() < TINY { TINY } else { value };
    let mut c = 1.0;
    let mut d = 1.0 / guard(1.0 - (a + b) * x / (a + 1.0));
    let mut fraction = d;
    // Converges in a small multiple of the root of the larger argument.
    let steps = 1000.0 + 20.0 * a.max(b).sqrt();
    let mut m = 1.0;
    while m < steps {
        let even = m * (b - m) * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m));
        d = 1.0 / guard(1.0 + even * d);
        c = guard(1.0 + even / c);
        fraction *= d * c;
        let odd = -(a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 2.0 * m + 1.0));
        d = 1.0 / guard(1.0 + odd * d);
        c = guard(1.0 + odd / c);
        let change = d * c;
        fraction *= change;
        if (change - 1.0).abs() < 1e-15 {
            break;
        }
        m += 1.0;
    }
    fraction
}

/// The smallest double `x` in [0, 1] at which `holds`, which is false below some point and true from it on.
pub(crate) fn first_where(holds: impl Fn(f64) -> bool) -> f64 {
    // Nonnegative doubles are ordered as their bits.
    let (mut low, mut high) = (0_u64, 1.0_f64.to_bits());
    while low < high {
        let middle = u64::midpoint(low, high);
        if holds(f64::from_bits(middle)) { high = middle } else { low = middle + 1 }
    }
    f64::from_bits(high)
}

/// `ln` of a sum of positive terms over `low..=high` that rise to `mode` and fall from it on, each given by its
/// ratio to the one before; `peak` is the logarithm of the largest. What is left out is bounded and added.
pub(crate) fn ln_unimodal_sum(
    (low, mode, high): (u64, u64, u64),
    peak: f64,
    ratio: impl Fn(u64) -> f64,
) -> f64 {
    let side = |mut at: u64, end: u64, step: &dyn Fn(u64) -> (u64, f64)| {
        let (mut sum, mut term) = (0.0, 1.0);
        while at != end {
            let (next, factor) = step(at);
            at = next;
            term *= factor;
            sum += term;
            // Ratios only fall from here, so that a geometric series bounds the rest.
            if term < 1e-18 && factor < 1.0 {
                return sum + term * factor / (1.0 - factor);
            }
        }
        sum
    };
    let above = side(mode, high, &|at| (at + 1, ratio(at + 1)));
    let below = side(mode, low, &|at| (at - 1, 1.0 / ratio(at)));
    peak + (1.0 + above + below).ln()
}

/// The last `at` of `low..=high` whose `ratio` to the one before is at least one; ratios fall.
pub(crate) fn mode((mut low, mut high): (u64, u64), ratio: impl Fn(u64) -> f64) -> u64 {
    while low < high {
        let middle = low + (high - low).div_ceil(2);
        if ratio(middle) >= 1.0 { low = middle } else { high = middle - 1 }
    }
    low
}

#[cfg(test)]
mod tests;
