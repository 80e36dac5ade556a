//! What a sample of measured gaps proves (section 7).

use super::special::{binomial_cdf, binomial_survival, first_where};

/// The upper bound, with confidence `1 - beta`, of a chance seen `count` times in `len` trials (Clopper and Pearson).
#[must_use]
pub fn chance_upper(count: u64, len: u64, beta: f64) -> f64 {
    if count >= len { 1.0 } else { first_where(|chance| binomial_cdf(count, len, chance) <= beta) }
}

/// The lower one.
#[must_use]
pub fn chance_lower(count: u64, len: u64, beta: f64) -> f64 {
    if count == 0 {
        return 0.0;
    }
    // The last at which so many are unlikely: one bit below the first at which they are not.
    let first = first_where(|chance| binomial_survival(count, len, chance) > beta);
    f64::from_bits(first.to_bits().saturating_sub(1))
}

/// The rank, from one, of the sample of `len` that is at least the quantile at `level` with confidence `1 - beta`; none
/// where there are too few.
#[must_use]
pub fn quantile_rank(len: u64, level: f64, beta: f64) -> Option<u64> {
    let is_enough = |rank: u64| binomial_survival(rank, len, level) <= beta;
    if len == 0 || !is_enough(len) {
        return None;
    }
    let (mut low, mut high) = (1, len);
    while low < high {
        let middle = u64::midpoint(low, high);
        if is_enough(middle) { high = middle } else { low = middle + 1 }
    }
    Some(low)
}

/// How many samples make their largest an upper bound of the quantile at `level`: `ceil(ln beta / ln level)`.
#[must_use]
pub fn samples_for_quantile(level: f64, beta: f64) -> f64 {
    (beta.ln() / level.ln()).ceil().max(1.0)
}

/// How far the distribution function of `len` samples is from the true one at most, with confidence `1 - beta` (Dvoretzky,
/// Kiefer and Wolfowitz, with Massart's constant). One-sided only for `beta <= 1/2`: none above.
#[must_use]
pub fn distribution_error(len: f64, beta: f64, two_sided: bool) -> Option<f64> {
    sides(beta, two_sided).map(|ln| (ln / (2.0 * len)).sqrt().min(1.0))
}

/// How many samples bring [`distribution_error`] to `error`.
#[must_use]
pub fn samples_for_distribution(error: f64, beta: f64, two_sided: bool) -> Option<f64> {
    sides(beta, two_sided).map(|ln| (ln / (2.0 * error * error)).ceil())
}

fn sides(beta: f64, two_sided: bool) -> Option<f64> {
    if two_sided { Some((2.0 / beta).ln()) } else { (beta <= 0.5).then(|| (1.0 / beta).ln()) }
}

/// How far the mean of `len` gaps in `[0, largest]` is below the true mean at most, with confidence `1 - beta`: the smaller
/// of Hoeffding's bound and, from the sample variance, that of Maurer and Pontil, at half of `beta` each.
#[must_use]
pub fn mean_error(len: f64, variance: f64, largest: f64, beta: f64) -> f64 {
    let ln = (2.0 / beta).ln();
    let hoeffding = largest * (ln / (2.0 * len)).sqrt();
    if len < 2.0 {
        return hoeffding;
    }
    let ln = (4.0 / beta).ln();
    hoeffding.min((2.0 * variance * ln / len).sqrt() + 7.0 * largest * ln / (3.0 * (len - 1.0)))
}

/// The share of `beta` to spend at the `look`-th look at a growing sample, from one: they add up to `beta`.
#[must_use]
pub fn share_at_look(beta: f64, look: u64) -> f64 {
    let look = look as f64;
    beta / (look * (look + 1.0))
}

#[cfg(test)]
mod tests;
